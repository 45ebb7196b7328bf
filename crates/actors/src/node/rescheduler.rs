//! Looks at placements again when the fleet has moved, or when this node has come to own them.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::placement::{PlacementCommand, PlacementState, Reschedule};
use events::{AggregateId, Principal};
use futures::StreamExt;
use projections::Model;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::Router;
use crate::ask::AskError;

/// How long changes of the fleet are collected: a fleet that joins moves hundreds of times within
/// seconds, and one look at the end is enough. People do not notice it.
const COLLECT: Duration = Duration::from_millis(10);

/// How many placements are looked at at once.
const PLACEMENTS_AT_ONCE_MAX: usize = 64;

/// How long to wait before placements that were busy are looked at again, at first and at most.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// How often in a row that is tried: for two minutes. What is busy for longer is told, and looked
/// at with the next change of the fleet.
const RETRIES_MAX: u32 = 18;

/// Runs for ever, and may be run again when it has ended or panicked: it begins with a look at all.
pub(super) async fn run(router: Router) {
    let mut changes = router.fold().changes();
    let mut owning = router.owning();
    owning.mark_changed();
    let (mut lookout, mut busy) = (Lookout::default(), Busy::default());
    loop {
        let moved = tokio::select! {
            change = changes.recv() => match change {
                Ok(change) => {
                    busy.also(lookout.newcomers(&change.aggregates, &router.fold().model()));
                    change.fleet_moved
                }
                Err(RecvError::Lagged(_)) => true,
                Err(RecvError::Closed) => return,
            },
            changed = owning.changed() => match changed {
                Ok(()) => true,
                Err(_) => return,
            },
            placements = busy.due() => {
                busy.again(look_again(&router, placements).await);
                false
            },
        };
        if moved {
            tokio::time::sleep(COLLECT).await;
            changes = router.fold().changes();
            owning.mark_unchanged();
            let placements = lookout.all(&router.fold().model());
            busy = Busy::default();
            busy.again(look_again(&router, placements).await);
        }
    }
}

/// Which placements have to look at the fleet.
///
/// When it has moved, all that are known have to. One that is not known then may have been decided
/// on before the fleet moved, and be on its way through the log: so each has to that comes to be.
#[derive(Debug, Default)]
pub struct Lookout {
    /// Those that were told to since the fleet moved.
    known: BTreeSet<AggregateId>,
}

impl Lookout {
    /// The fleet has moved: those that are known.
    pub fn all(&mut self, model: &Model) -> Vec<AggregateId> {
        let live = model.placements.iter().filter(|(_, placement)| is_live(&placement.state));
        self.known = live.map(|(key, _)| AggregateId::Placement(key.clone())).collect();
        self.known.iter().cloned().collect()
    }

    /// These aggregates have changed: those among them that have come to be.
    pub fn newcomers(&mut self, changed: &[AggregateId], model: &Model) -> Vec<AggregateId> {
        let is_new = |id: &&AggregateId| match id {
            AggregateId::Placement(key) => {
                let placement = model.placements.get(key);
                placement.is_some_and(|placement| is_live(&placement.state))
                    && !self.known.contains(*id)
            }
            AggregateId::Cluster(_) | AggregateId::Fleet => false,
        };
        let newcomers: Vec<AggregateId> = changed.iter().filter(is_new).cloned().collect();
        self.known.extend(newcomers.iter().cloned());
        newcomers
    }
}

/// Whether it matters to a placement that the fleet has moved.
fn is_live(state: &PlacementState) -> bool {
    state.specified.is_some() || state.deleting.is_some()
}

/// Placements that have just come to be, and those for which too many commands waited when they
/// were looked at.
#[derive(Default)]
struct Busy {
    placements: Vec<AggregateId>,
    retries: u32,
    retry_at: Option<Instant>,
}

impl Busy {
    /// Waits until it is time to look at them again; for ever when there are none.
    async fn due(&mut self) -> Vec<AggregateId> {
        match self.retry_at {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
        self.retry_at = None;
        std::mem::take(&mut self.placements)
    }

    /// These are to be looked at as well, soon.
    fn also(&mut self, placements: Vec<AggregateId>) {
        if !placements.is_empty() {
            self.placements.extend(placements);
            self.retry_at.get_or_insert_with(|| Instant::now() + COLLECT);
        }
    }

    /// These were busy (again).
    fn again(&mut self, placements: Vec<AggregateId>) {
        if placements.is_empty() {
            *self = Self::default();
        } else if self.retries == RETRIES_MAX {
            let (count, first) = (placements.len(), &placements[0]);
            tracing::warn!(count, %first, "placements are too busy to be looked at; they are with \
                the next change of the fleet");
            *self = Self::default();
        } else {
            let wait = RETRY_MIN.saturating_mul(1 << self.retries.min(16)).min(RETRY_MAX);
            self.retries += 1;
            self.retry_at = Some(Instant::now() + wait);
            self.placements = placements;
        }
    }
}

/// Has this node's placements among these look at the fleet. Answers with those that were busy.
async fn look_again(router: &Router, placements: Vec<AggregateId>) -> Vec<AggregateId> {
    let owned = placements.into_iter().filter(|placement| router.owns(placement));
    let asked = futures::stream::iter(owned).map(|placement| async move {
        let command = PlacementCommand::Reschedule(Reschedule {});
        let span = tracing::debug_span!("reschedule", %placement);
        let asked = router.ask(placement.clone(), command.into(), Principal::System);
        match asked.instrument(span).await {
            Ok(_) => None,
            Err(AskError::Busy { .. }) => Some(placement),
            // Who owns it now looks at it.
            Err(AskError::NotOwner { .. }) => None,
            Err(
                error
                @ (AskError::Refused(_) | AskError::TooLarge { .. } | AskError::Unreadable(_)),
            ) => {
                tracing::warn!(%placement, %error, "the placement does not look at the fleet");
                None
            }
        }
    });
    asked.buffer_unordered(PLACEMENTS_AT_ONCE_MAX).filter_map(std::future::ready).collect().await
}

#[cfg(test)]
mod tests {
    use domain::placement::Specified;
    use events::PlacementKey;
    use events::placement::{PlacementSpec, Policy};

    use super::*;

    fn placements() -> Vec<AggregateId> {
        vec![AggregateId::Placement(PlacementKey::cluster("web"))]
    }

    /// A cluster joined while the first decision on a placement was on its way through the log: the
    /// decision had not seen the cluster, and who told the placements did not know this one.
    #[test]
    fn regression_a_placement_that_comes_to_be_after_the_fleet_has_moved_looks_at_it() {
        let [web, late] = ["web", "late"].map(PlacementKey::cluster);
        let [web_id, late_id] = [&web, &late].map(|key| AggregateId::Placement(key.clone()));
        let mut model = Model::new(event_log::partition_of);
        let specify = |model: &mut Model, key: &PlacementKey| {
            let policy = Policy::PickAll { terms: vec![], tolerations: vec![] };
            let spec = PlacementSpec { selectors: vec![], policy, apply: Default::default() };
            let specified =
                Specified { uid: "uid".to_owned(), generation: 1, spec, policy_index: 0 };
            model.placements.entry(key.clone()).or_default().state.specified = Some(specified);
        };
        specify(&mut model, &web);
        let mut lookout = Lookout::default();
        assert_eq!(lookout.all(&model), std::slice::from_ref(&web_id));
        specify(&mut model, &late);
        let changed = [web_id.clone(), late_id.clone(), AggregateId::Cluster("eu-1".to_owned())];
        assert_eq!(lookout.newcomers(&changed, &model), std::slice::from_ref(&late_id));
        assert!(lookout.newcomers(&changed, &model).is_empty(), "once is enough");

        // Deleted, it is none of them; made again, it is new.
        model.placements.get_mut(&late).unwrap().state.specified = None;
        assert!(lookout.newcomers(&changed, &model).is_empty());
        assert_eq!(lookout.all(&model), [web_id]);
        specify(&mut model, &late);
        assert_eq!(lookout.newcomers(&changed, &model), [late_id]);
    }

    #[test]
    fn regression_what_was_busy_is_looked_at_again_a_bounded_number_of_times() {
        let mut busy = Busy::default();
        let mut waits = vec![];
        loop {
            let before = Instant::now();
            busy.again(placements());
            let Some(at) = busy.retry_at else { break };
            assert_eq!(busy.placements, placements());
            waits.push(at.duration_since(before));
        }
        assert_eq!(waits.len(), RETRIES_MAX as usize);
        assert!(waits[0] < 2 * RETRY_MIN && waits[17] >= RETRY_MAX, "{waits:?}");
        assert!(waits.iter().sum::<Duration>() > Duration::from_secs(60));

        busy.again(placements());
        busy.again(vec![]);
        assert_eq!((busy.retries, busy.retry_at), (0, None));
    }
}
