//! A hub that is killed and started again, with placements on three real members.

use actors::effects::EFFECTS_PER_MEMBER_MAX;
use anyhow::Result;
use std::time::Instant;

use super::arrivals::{PATIENCE, Shown};
use super::report::Recorder;
use super::samples::Samples;
use super::stage::{Stage, apps, write_apps};

const PLACEMENTS: usize = 200;

/// How often it is killed.
const KILLS: usize = 10;

pub(super) async fn measure(recorder: &Recorder) -> Result<()> {
    let stage = Stage::real().await?;
    let mut hub = stage.start_hub()?;
    stage.join().await?;
    let at_once = EFFECTS_PER_MEMBER_MAX * stage.ground.members.len();
    let (placed, next) = (apps("old", PLACEMENTS), apps("new", KILLS));
    let client = &stage.ground.hub.client;
    write_apps(client, &placed, "hello", at_once).await?;
    write_apps(client, &next, "hello", at_once).await?;
    stage.place_all(&placed, at_once).await;
    stage.statuses.show(&placed, 1, Shown::Available, PATIENCE).await?;

    let mut times = vec![];
    for app in &next {
        hub.kill()?;
        stage.place(app).await;
        let started = Instant::now();
        hub = stage.spawn_hub()?;
        let one = std::slice::from_ref(app);
        times.push(stage.arrivals.everywhere(one, "hello").await?.duration_since(started));
        stage.statuses.show(one, 1, Shown::Available, PATIENCE).await?;
    }
    let times = Samples::of(times);
    let how = format!(
        "{} times: SIGKILL, a new placement while there is no hub, from starting the process until \
         it is on all members; embedded log",
        times.count()
    );
    recorder.say("p50", times.p50_ms(), &how);
    recorder.say("worst", times.worst_ms(), &how);
    drop(hub);
    stage.ground.tidy().await;
    Ok(())
}
