//! Looks at placements again when the fleet has moved, or when this node has come to own them.

use std::time::Duration;

use domain::placement::{PlacementCommand, Reschedule};
use events::{AggregateId, Principal};
use futures::StreamExt;
use projections::Model;
use tokio::sync::broadcast::error::RecvError;
use tracing::Instrument as _;

use super::Router;

/// How long changes of the fleet are collected: a fleet that joins moves hundreds of times within
/// seconds, and one look at the end is enough. People do not notice it.
const COLLECT: Duration = Duration::from_millis(10);

/// How many placements are looked at at once.
const PLACEMENTS_AT_ONCE_MAX: usize = 64;

pub(super) async fn run(router: Router) {
    let mut changes = router.fold().changes();
    let mut owning = router.owning();
    loop {
        let moved = tokio::select! {
            change = changes.recv() => match change {
                Ok(change) => change.fleet_moved,
                Err(RecvError::Lagged(_)) => true,
                Err(RecvError::Closed) => return,
            },
            changed = owning.changed() => match changed {
                Ok(()) => true,
                Err(_) => return,
            },
        };
        if moved {
            tokio::time::sleep(COLLECT).await;
            changes = router.fold().changes();
            owning.mark_unchanged();
            look_again(&router).await;
        }
    }
}

async fn look_again(router: &Router) {
    let placements = placements_to_look_at(&router.fold().model());
    let owned = placements.into_iter().filter(|placement| router.owns(placement));
    futures::stream::iter(owned)
        .for_each_concurrent(PLACEMENTS_AT_ONCE_MAX, |placement| async move {
            let command = PlacementCommand::Reschedule(Reschedule {});
            let span = tracing::debug_span!("reschedule", %placement);
            let asked = router.ask(placement.clone(), command.into(), Principal::System);
            let asked = asked.instrument(span).await;
            if let Err(error) = asked {
                tracing::warn!(%placement, %error, "the placement is looked at with the next change");
            }
        })
        .await;
}

/// The placements for which it matters that the fleet has moved.
#[must_use]
pub fn placements_to_look_at(model: &Model) -> Vec<AggregateId> {
    let live = model.placements.iter().filter(|(_, placement)| {
        placement.state.specified.is_some() || placement.state.deleting.is_some()
    });
    live.map(|(key, _)| AggregateId::Placement(key.clone())).collect()
}
