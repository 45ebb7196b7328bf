//! One thing at a time on three real members.

use std::time::Duration;

use anyhow::Result;

use super::arrivals::{PATIENCE, Shown};
use super::report::Recorder;
use super::samples::Samples;
use super::stage::{Stage, apps, write_app, write_greeting};

/// How often each is measured.
const SAMPLES: usize = 50;

/// The pause between two, in which what is left of the one before comes to its end.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn measure(recorder: &Recorder) -> Result<()> {
    let stage = Stage::real().await?;
    let hub = stage.start_hub()?;
    stage.join().await?;
    let apps = apps("one", SAMPLES);
    placed(recorder, &stage, &apps).await?;
    changed(recorder, &stage, &apps).await?;
    drop(hub);
    stage.ground.tidy().await;
    Ok(())
}

async fn placed(recorder: &Recorder, stage: &Stage, apps: &[String]) -> Result<()> {
    let (mut placed, mut available) = (vec![], vec![]);
    for app in apps {
        write_app(&stage.ground.hub.client, app, "hello").await?;
        tokio::time::sleep(PAUSE).await;
        let asked = stage.place(app).await;
        let one = std::slice::from_ref(app);
        placed.push(stage.arrivals.everywhere(one, "hello").await?.duration_since(asked));
        let shown = stage.statuses.show(one, 1, Shown::Available, PATIENCE).await?;
        available.push(shown.duration_since(asked));
    }
    let (placed, available) = (Samples::of(placed), Samples::of(available));
    let how = format!(
        "{} placements of a namespace with a ConfigMap, one at a time, from sending the request \
         that creates the placement; embedded log",
        placed.count()
    );
    recorder.say("placed.p50", placed.p50_ms(), &how);
    recorder.say("placed.p99", placed.p99_ms(), &how);
    recorder.say("available.p50", available.p50_ms(), &how);
    recorder.say("available.p99", available.p99_ms(), &how);
    Ok(())
}

async fn changed(recorder: &Recorder, stage: &Stage, apps: &[String]) -> Result<()> {
    let mut changed = vec![];
    for app in apps {
        tokio::time::sleep(PAUSE).await;
        let asked = std::time::Instant::now();
        write_greeting(&stage.ground.hub.client, app, "hello again").await?;
        let one = std::slice::from_ref(app);
        let arrived = stage.arrivals.everywhere(one, "hello again").await?;
        changed.push(arrived.duration_since(asked));
    }
    let changed = Samples::of(changed);
    let how = format!(
        "{} changes of a placed ConfigMap, one at a time, from sending the request that changes it; \
         embedded log, {} placements on the hub",
        changed.count(),
        apps.len()
    );
    recorder.say("changed.p50", changed.p50_ms(), &how);
    recorder.say("changed.p99", changed.p99_ms(), &how);
    Ok(())
}
