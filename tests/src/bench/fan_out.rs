//! One placement on a hundred simulated members.

use std::time::Duration;

use anyhow::Result;

use super::arrivals::{PATIENCE, Shown};
use super::processes::Simulator;
use super::report::Recorder;
use super::samples::Samples;
use super::stage::{Stage, apps, write_app};

const MEMBERS: usize = 100;

/// How many placements are measured.
const SAMPLES: usize = 50;

/// The pause between two.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn measure(recorder: &Recorder) -> Result<()> {
    let (_simulator, ground) = Simulator::start(MEMBERS).await?;
    let stage = Stage::on(ground)?;
    let _hub = stage.start_hub()?;
    stage.join().await?;
    let mut times = vec![];
    for app in apps("wide", SAMPLES) {
        write_app(&stage.ground.hub.client, &app, "hello").await?;
        tokio::time::sleep(PAUSE).await;
        let asked = stage.place(&app).await;
        let one = std::slice::from_ref(&app);
        times.push(stage.arrivals.everywhere(one, "hello").await?.duration_since(asked));
        stage.statuses.show(one, 1, Shown::Available, PATIENCE).await?;
    }
    let times = Samples::of(times);
    let how = format!(
        "{} placements of a namespace with a ConfigMap, one at a time, until the last of {MEMBERS} \
         members has it; members, hub and watches of the members in three processes",
        times.count()
    );
    recorder.say("p50", times.p50_ms(), &how);
    recorder.say("p99", times.p99_ms(), &how);
    Ok(())
}
