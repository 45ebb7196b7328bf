//! A thousand placements on a hundred simulated members.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::arrivals::Shown;
use super::processes::{Simulator, mebibytes};
use super::report::Recorder;
use super::stage::{Stage, apps, write_app, write_apps};

const MEMBERS: usize = 100;
const PLACEMENTS: usize = 1_000;

/// How many requests to the hub are under way at once.
const AT_ONCE: usize = 16;

/// How long all of it may take before the measurement has failed.
const SCALE_PATIENCE: Duration = Duration::from_secs(20 * 60);

pub(super) async fn measure(recorder: &Recorder) -> Result<()> {
    let (_simulator, ground) = Simulator::start(MEMBERS).await?;
    let stage = Stage::on(ground)?;
    let hub = stage.start_hub()?;
    stage.join().await?;
    let placed = apps("scale", PLACEMENTS);
    let client = &stage.ground.hub.client;
    write_apps(client, &placed, "hello", AT_ONCE).await?;
    let asked = stage.place_all(&placed, AT_ONCE).await;
    let shown = stage.statuses.show(&placed, 1, Shown::Available, SCALE_PATIENCE).await?;
    let took = shown.duration_since(asked).as_secs_f64();
    let targets = PLACEMENTS * MEMBERS;
    let how = format!(
        "once: {targets} targets of a namespace with a ConfigMap, {:.0} a second, until all \
         placements are Available in their status; members, hub and watches in three processes on \
         the same processors; embedded log",
        targets as f64 / took
    );
    recorder.say("time", took, how);
    let memory = hub.memory()?;
    let how = format!(
        "resident, of the hub's process alone: at its peak; {:.0} MiB when all was available",
        mebibytes(memory.now)
    );
    recorder.say("memory", mebibytes(memory.peak), how);

    write_app(client, "app-after", "hello").await?;
    hub.kill()?;
    stage.place("app-after").await;
    let started = Instant::now();
    let hub = stage.spawn_hub()?;
    let after = ["app-after".to_owned()];
    let decided = stage.statuses.show(&after, 1, Shown::Scheduled, SCALE_PATIENCE).await?;
    let restart = decided.duration_since(started).as_secs_f64();
    stage.arrivals.everywhere(&after, "hello").await?;
    let delivered = started.elapsed().as_secs_f64();
    let how = format!(
        "once: SIGKILL, a new placement while there is no hub, from starting the process until its \
         status shows the decision; on all members after {delivered:.2} s; hub then at {:.0} MiB",
        mebibytes(hub.memory()?.now)
    );
    recorder.say("restart", restart, how);
    Ok(())
}
