//! Many placements at once, beside a bare client that writes the same objects.

use std::time::Instant;

use actors::effects::EFFECTS_PER_MEMBER_MAX;
use anyhow::Result;
use futures::future::try_join_all;

use super::arrivals::{PATIENCE, Shown};
use super::report::Recorder;
use super::stage::{Stage, apps, write_apps};

const PLACEMENTS: usize = 200;

pub(super) async fn measure(recorder: &Recorder) -> Result<()> {
    let stage = Stage::real().await?;
    let hub = stage.start_hub()?;
    stage.join().await?;
    let at_once = EFFECTS_PER_MEMBER_MAX * stage.ground.members.len();
    let placed = apps("many", PLACEMENTS);
    write_apps(&stage.ground.hub.client, &placed, "hello", at_once).await?;

    // Before and after, since API servers get slower and faster by what they did before.
    let before = bare(&stage, "bare-a").await?;
    let asked = stage.place_all(&placed, at_once).await;
    let took = stage.arrivals.everywhere(&placed, "hello").await?.duration_since(asked);
    let took = took.as_secs_f64();
    let shown = stage.statuses.show(&placed, 1, Shown::Available, PATIENCE).await?;
    let after = bare(&stage, "bare-b").await?;

    let targets = PLACEMENTS * stage.ground.members.len();
    let how = format!(
        "once: {PLACEMENTS} placements of a namespace with a ConfigMap, {at_once} requests at once, \
         from the first request until the last of {targets} targets is on its member; embedded log"
    );
    recorder.say("hub", took, &how);
    recorder.say("available", shown.duration_since(asked).as_secs_f64(), how);
    let bare = (before + after) / 2.0;
    let how = format!(
        "the mean of one run before ({before:.2} s) and one after ({after:.2} s): the namespaces \
         and ConfigMaps of {targets} targets by server-side apply, {EFFECTS_PER_MEMBER_MAX} apps at \
         once on each member, as many as the hub; without the AppliedWork that the hub keeps for \
         each target"
    );
    recorder.say("bare", bare, &how);
    recorder.say("ratio", took / bare, "of the two above");
    drop(hub);
    stage.ground.tidy().await;
    Ok(())
}

/// How many seconds a client without a hub takes to write as many apps to the members.
async fn bare(stage: &Stage, name: &str) -> Result<f64> {
    let apps = apps(name, PLACEMENTS);
    let since = Instant::now();
    let members = stage.ground.members.iter();
    try_join_all(
        members.map(|member| write_apps(&member.client, &apps, "hello", EFFECTS_PER_MEMBER_MAX)),
    )
    .await?;
    Ok(since.elapsed().as_secs_f64())
}
