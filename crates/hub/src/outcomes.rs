//! How available deliveries are, as it was last seen.
//!
//! Two tell of it: the order that was carried out, and the watch that goes on afterwards. Their
//! reports may overtake each other on the way to the cluster, so that an older one would be the
//! last word. Here the latest of each delivery is kept, and told until it is what is on record.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actors::ask::AskError;
use actors::node::Router;
use delivery::DeliveryAvailability;
use delivery::failure::{FAILED_TO_FIND, failure};
use domain::cluster::{
    ClusterCommand, Delivery, DeliveryOutcome, DeliveryPhase, Notes, ReportDelivery,
};
use domain::{DomainCommand, EffectKey};
use events::cluster::{FAILURES_PER_DELIVERY_MAX, ObjectFailure, Progress};
use events::{AggregateId, Principal};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::fights::{Fights, missing_because};
use crate::work_queue::{Next, WorkQueue};

/// How many outcomes are told at once.
const WORKERS: usize = 32;

/// How long after it was told it is looked whether an outcome is on record.
const CHECK_AFTER: Duration = Duration::from_millis(200);

/// How long nothing is told of a delivery that is not available, and was not before: a Deployment
/// says something new with each of its pods, and each would be an event for ever. Twice as long, and
/// people who watch would take it for stuck.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// How long a watch waits for an order that has been carried out and whose own word is not on record
/// yet. It takes a few milliseconds; if it cannot be told, the order is carried out again.
const ORDER_FIRST: Duration = Duration::from_millis(10);

/// The latest that was seen of one delivery.
#[derive(Debug, Clone)]
struct Latest {
    generation: u64,
    ordinal: u64,
    outcome: DeliveryOutcome,
    /// When the last outcome of the delivery was told.
    told_at: Option<Instant>,
}

/// The latest outcomes. Cheap to clone.
#[derive(Clone)]
pub struct Outcomes {
    latest: Arc<Mutex<BTreeMap<EffectKey, Latest>>>,
    /// Deliveries that were applied as a whole, by generation, and whose objects are not all
    /// available.
    waiting: Arc<Mutex<BTreeMap<EffectKey, u64>>>,
    /// How far orders are that are being carried out, by generation, until that is told.
    progress: Arc<Mutex<BTreeMap<EffectKey, (u64, Progress)>>>,
    fights: Fights,
    untold: WorkQueue<EffectKey>,
}

impl Default for Outcomes {
    fn default() -> Self {
        Self {
            latest: Arc::default(),
            waiting: Arc::default(),
            progress: Arc::default(),
            fights: Fights::default(),
            untold: WorkQueue::new(),
        }
    }
}

impl Outcomes {
    /// Takes in what a watch has seen; it is told at once unless it is mere progress.
    pub fn observed(&self, key: EffectKey, generation: u64, availability: DeliveryAvailability) {
        if self.keep(&key, generation, availability) {
            self.untold.mark(key, Duration::ZERO);
        }
    }

    /// Takes in what an order has seen; whoever carried it out tells it. Should a watch have seen
    /// something later meanwhile, that is told then.
    pub fn reported(&self, key: EffectKey, generation: u64, availability: DeliveryAvailability) {
        self.keep(&key, generation, availability);
        self.untold.mark(key, CHECK_AFTER);
    }

    /// Takes in how far an order is that is being carried out.
    pub fn progressed(&self, key: EffectKey, generation: u64, progress: Progress) {
        self.progress().insert(key.clone(), (generation, progress));
        self.untold.mark(key, Duration::ZERO);
    }

    /// How long to wait before what is missing of a delivery is put back: somebody deletes it again
    /// and again.
    pub(crate) fn put_back_after(&self, key: &EffectKey) -> Option<Duration> {
        self.fights.wait(key, Instant::now())
    }

    /// The delivery is gone: nothing is told of it any more.
    pub fn removed(&self, key: &EffectKey) {
        self.latest().remove(key);
        self.waiting().remove(key);
        self.progress().remove(key);
        self.fights.forget(|other| other == key);
    }

    /// A cluster is no member any more: nothing is told of what it holds.
    pub(crate) fn forget_cluster(&self, cluster: &str) {
        self.latest().retain(|key, _| key.cluster != cluster);
        self.waiting().retain(|key, _| key.cluster != cluster);
        self.progress().retain(|key, _| key.cluster != cluster);
        self.fights.forget(|key| key.cluster == cluster);
    }

    /// Notes whether all that is left of a delivery is to wait: it was applied as a whole.
    pub(crate) fn note_waiting(&self, key: &EffectKey, generation: u64, waits: bool) {
        match waits {
            true => drop(self.waiting().insert(key.clone(), generation)),
            false => drop(self.waiting().remove(key)),
        }
    }

    /// Whether all that was left of a delivery was to wait.
    pub(crate) fn is_waiting(&self, key: &EffectKey, generation: u64) -> bool {
        self.waiting().get(key) == Some(&generation)
    }

    /// Keeps the outcome unless a later one is known.
    fn keep(&self, key: &EffectKey, generation: u64, seen: DeliveryAvailability) -> bool {
        let ordinal = seen.ordinal;
        let mut latest = self.latest();
        let known = latest.get(key);
        if known.map(|known| (known.generation, known.ordinal)) >= Some((generation, ordinal)) {
            return false;
        }
        let told_at = known.and_then(|known| known.told_at);
        let outcome = outcome_of(seen);
        latest.insert(key.clone(), Latest { generation, ordinal, outcome, told_at });
        true
    }

    fn latest(&self) -> MutexGuard<'_, BTreeMap<EffectKey, Latest>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn progress(&self) -> MutexGuard<'_, BTreeMap<EffectKey, (u64, Progress)>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<EffectKey, u64>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what is seen, for ever.
    pub(crate) async fn run(self, router: Router) {
        let outcomes = self.clone();
        self.untold
            .run(WORKERS, move |key| {
                let (outcomes, router) = (outcomes.clone(), router.clone());
                let span = tracing::debug_span!("observed", cluster = key.cluster);
                async move { outcomes.tell(&router, &key).await }.instrument(span)
            })
            .await;
    }

    async fn tell(&self, router: &Router, key: &EffectKey) -> Next {
        let progress = self.progress().remove(key);
        if let Some((generation, progress)) = progress {
            self.tell_progress(router, key, generation, progress).await;
        }
        let Some(latest) = self.latest().get(key).cloned() else { return Next::Wait };
        let id = AggregateId::Cluster(key.cluster.clone());
        let recorded = {
            let model = router.fold().model();
            let cluster = model.clusters.get(&key.cluster);
            cluster.and_then(|known| known.state.deliveries.get(&key.placement).cloned())
        };
        let is_current = recorded.as_ref().is_some_and(|it| it.generation == latest.generation);
        if !is_current || !router.owns(&id) {
            self.forget(key, &latest);
            return Next::Wait;
        }
        if let Some(recorded) = &recorded {
            if says(recorded, &latest.outcome) {
                return Next::Wait;
            }
            let rest = rest(recorded, &latest, Instant::now());
            if !rest.is_zero() {
                return Next::After(rest);
            }
        }
        let outcome = match latest.outcome {
            DeliveryOutcome::Missing(missing) => self.disturbed(key, missing),
            other @ (DeliveryOutcome::Applying(_)
            | DeliveryOutcome::Failed(_)
            | DeliveryOutcome::Unavailable(_)
            | DeliveryOutcome::Available { .. }) => other,
        };
        let command = report(key, latest.generation, outcome, Notes::default());
        let principal = Principal::Member(key.cluster.clone());
        match router.ask(id, command, principal).await {
            Ok(_) => {
                self.told(key);
                Next::After(CHECK_AFTER)
            }
            Err(AskError::Busy { .. }) => Next::After(CHECK_AFTER),
            Err(error) => {
                tracing::debug!(cluster = key.cluster, %error, "an outcome was not taken");
                Next::Wait
            }
        }
    }

    /// What is missing, and when it is put back.
    fn disturbed(&self, key: &EffectKey, mut missing: Vec<ObjectFailure>) -> DeliveryOutcome {
        let message = missing_because(self.fights.disturbed(key, Instant::now()));
        for object in &mut missing {
            object.message.clone_from(&message);
        }
        DeliveryOutcome::Missing(missing)
    }

    /// Tells how far an order is. What cannot be told is no loss: the next is told soon, or the end.
    async fn tell_progress(
        &self,
        router: &Router,
        key: &EffectKey,
        generation: u64,
        progress: Progress,
    ) {
        let id = AggregateId::Cluster(key.cluster.clone());
        if !router.owns(&id) {
            return;
        }
        let outcome = DeliveryOutcome::Applying(progress);
        let command = report(key, generation, outcome, Notes::default());
        if let Err(error) = router.ask(id, command, Principal::Member(key.cluster.clone())).await {
            tracing::debug!(cluster = key.cluster, %error, "progress was not taken");
        }
    }

    fn told(&self, key: &EffectKey) {
        if let Some(latest) = self.latest().get_mut(key) {
            latest.told_at = Some(Instant::now());
        }
    }

    /// Forgets an outcome, unless a later one has come.
    fn forget(&self, key: &EffectKey, told: &Latest) {
        let mut latest = self.latest();
        if latest.get(key).is_some_and(|known| known.ordinal == told.ordinal) {
            latest.remove(key);
        }
    }
}

/// Whether a delivery on record says the same as what was seen.
fn says(recorded: &Delivery, seen: &DeliveryOutcome) -> bool {
    match (&recorded.phase, seen) {
        (
            DeliveryPhase::Available { untracked },
            DeliveryOutcome::Available { untracked: seen },
        ) => untracked == seen,
        (DeliveryPhase::Applied(waiting), DeliveryOutcome::Unavailable(seen)) => {
            // Of very many only the first are on record.
            let is_cut = waiting.len() == FAILURES_PER_DELIVERY_MAX && seen.len() > waiting.len();
            waiting == seen || is_cut
        }
        // Being removed, or not applied as a whole: availability is not the question.
        (DeliveryPhase::Withdrawn(_) | DeliveryPhase::Failed(_), _) => true,
        (
            DeliveryPhase::Assigned | DeliveryPhase::Applied(_) | DeliveryPhase::Available { .. },
            _,
        ) => false,
    }
}

/// How long to wait before an outcome is told: until the order has told its own, since that would
/// seem to be the newer one if it came second; and for mere progress, which is collected.
fn rest(recorded: &Delivery, latest: &Latest, now: Instant) -> Duration {
    match (&recorded.phase, &latest.outcome, latest.told_at) {
        (DeliveryPhase::Applied(_), DeliveryOutcome::Unavailable(_), Some(told_at)) => {
            (told_at + PROGRESS_INTERVAL).saturating_duration_since(now)
        }
        (DeliveryPhase::Assigned, _, _) => ORDER_FIRST,
        (
            DeliveryPhase::Applied(_)
            | DeliveryPhase::Failed(_)
            | DeliveryPhase::Available { .. }
            | DeliveryPhase::Withdrawn(_),
            _,
            _,
        ) => Duration::ZERO,
    }
}

/// What to tell the cluster. However many objects it is about, it fits a record.
pub(crate) fn report(
    key: &EffectKey,
    generation: u64,
    outcome: DeliveryOutcome,
    notes: Notes,
) -> DomainCommand {
    let outcome = match outcome {
        DeliveryOutcome::Failed(failures) => DeliveryOutcome::Failed(bounded(failures)),
        DeliveryOutcome::Missing(missing) => DeliveryOutcome::Missing(bounded(missing)),
        DeliveryOutcome::Unavailable(waiting) => DeliveryOutcome::Unavailable(bounded(waiting)),
        short @ (DeliveryOutcome::Available { .. } | DeliveryOutcome::Applying(_)) => short,
    };
    let placement = key.placement.clone();
    ClusterCommand::ReportDelivery(ReportDelivery { placement, generation, outcome, notes }).into()
}

/// The first of them; the last of those says how many more there are.
pub(crate) fn bounded(mut failures: Vec<ObjectFailure>) -> Vec<ObjectFailure> {
    let beyond = failures.len().saturating_sub(FAILURES_PER_DELIVERY_MAX);
    failures.truncate(FAILURES_PER_DELIVERY_MAX);
    if beyond > 0
        && let Some(last) = failures.last_mut()
    {
        last.message = format!("{} (and {beyond} more objects)", last.message);
    }
    failures
}

/// What an availability means for the delivery. What is missing has to be put back before anything
/// can be said about the rest.
#[must_use]
pub fn outcome_of(availability: DeliveryAvailability) -> DeliveryOutcome {
    if !availability.missing.is_empty() {
        let message = missing_because((1, Duration::ZERO));
        let missing = availability.missing.iter();
        let missing = missing.map(|id| failure(id, FAILED_TO_FIND, message.as_str()));
        return DeliveryOutcome::Missing(missing.collect());
    }
    match availability.waiting.is_empty() {
        true => DeliveryOutcome::Available { untracked: availability.untracked },
        false => DeliveryOutcome::Unavailable(availability.waiting),
    }
}

#[cfg(test)]
mod tests {
    use events::PlacementKey;

    use super::*;

    fn seen(ordinal: u64, untracked: u32) -> DeliveryAvailability {
        DeliveryAvailability { untracked, ordinal, ..DeliveryAvailability::default() }
    }

    fn key(cluster: &str) -> EffectKey {
        EffectKey { cluster: cluster.to_owned(), placement: PlacementKey::cluster("web") }
    }

    fn object_failure(number: usize) -> ObjectFailure {
        let object = events::ObjectId {
            group: String::new(),
            version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            namespace: "app".to_owned(),
            name: format!("c{number}"),
        };
        let (reason, message) = ("ManifestApplyFailed".to_owned(), "no".to_owned());
        ObjectFailure { object, reason, message, generation: None }
    }

    #[test]
    fn regression_of_thousands_of_failures_the_first_are_told_and_the_others_counted() {
        let told = |count: usize| {
            let failures = (0..count).map(object_failure).collect();
            let command =
                report(&key("eu"), 1, DeliveryOutcome::Failed(failures), Notes::default());
            let DomainCommand::Cluster(ClusterCommand::ReportDelivery(report)) = command else {
                panic!("a report, not {command:?}")
            };
            report.outcome
        };
        let all: Vec<ObjectFailure> = (0..FAILURES_PER_DELIVERY_MAX).map(object_failure).collect();
        assert_eq!(told(FAILURES_PER_DELIVERY_MAX), DeliveryOutcome::Failed(all.clone()));
        let mut first = all;
        first.last_mut().unwrap().message = "no (and 4900 more objects)".to_owned();
        assert_eq!(told(FAILURES_PER_DELIVERY_MAX + 4900), DeliveryOutcome::Failed(first));
    }

    #[test]
    fn regression_only_another_reason_to_wait_is_told_later() {
        let now = Instant::now();
        let waits = |object| vec![object_failure(object)];
        let recorded = |phase| {
            let (revision, held, apply, adopted, kept) = Default::default();
            let progress = None;
            Delivery { generation: 1, phase, revision, held, apply, adopted, kept, progress }
        };
        let latest = |outcome, told_at| Latest { generation: 1, ordinal: 1, outcome, told_at };
        let (waiting, available) =
            (recorded(DeliveryPhase::Applied(waits(1))), DeliveryPhase::Available { untracked: 0 });
        let unavailable = || DeliveryOutcome::Unavailable(waits(2));

        assert_eq!(rest(&waiting, &latest(unavailable(), None), now), Duration::ZERO);
        assert_eq!(rest(&waiting, &latest(unavailable(), Some(now)), now), PROGRESS_INTERVAL);
        let later = now + PROGRESS_INTERVAL;
        assert_eq!(rest(&waiting, &latest(unavailable(), Some(now)), later), Duration::ZERO);
        let turned = latest(DeliveryOutcome::Available { untracked: 0 }, Some(now));
        assert_eq!(rest(&waiting, &turned, now), Duration::ZERO);
        let turned = latest(unavailable(), Some(now));
        assert_eq!(rest(&recorded(available), &turned, now), Duration::ZERO);
    }

    #[test]
    fn regression_a_watch_does_not_speak_before_its_order() {
        let (revision, held, apply, adopted, kept) = Default::default();
        let (phase, progress) = (DeliveryPhase::Assigned, None);
        let assigned =
            Delivery { generation: 1, phase, revision, held, apply, adopted, kept, progress };
        let outcome = DeliveryOutcome::Available { untracked: 0 };
        let latest = Latest { generation: 1, ordinal: 2, outcome, told_at: None };
        assert_eq!(rest(&assigned, &latest, Instant::now()), ORDER_FIRST);
    }

    #[test]
    fn when_a_delivery_was_told_of_is_known_of_what_is_seen_next() {
        let (outcomes, key) = (Outcomes::default(), key("eu"));
        assert!(outcomes.keep(&key, 1, seen(1, 0)));
        assert_eq!(outcomes.latest()[&key].told_at, None);
        outcomes.told(&key);
        let told_at = outcomes.latest()[&key].told_at;
        assert!(told_at.is_some());
        assert!(outcomes.keep(&key, 1, seen(2, 0)));
        assert_eq!(outcomes.latest()[&key].told_at, told_at);
    }

    #[test]
    fn nothing_is_kept_of_a_cluster_that_left() {
        let outcomes = Outcomes::default();
        for cluster in ["eu", "us"] {
            assert!(outcomes.keep(&key(cluster), 1, seen(1, 0)));
            outcomes.note_waiting(&key(cluster), 1, true);
        }
        outcomes.forget_cluster("eu");
        assert_eq!(outcomes.latest().keys().collect::<Vec<_>>(), [&key("us")]);
        assert_eq!(outcomes.waiting().keys().collect::<Vec<_>>(), [&key("us")]);
    }

    #[test]
    fn an_older_outcome_never_replaces_a_newer_one() {
        let outcomes = Outcomes::default();
        let key = key("eu");
        let kept = || match outcomes.latest()[&key].outcome {
            DeliveryOutcome::Available { untracked } => untracked,
            DeliveryOutcome::Applying(_)
            | DeliveryOutcome::Failed(_)
            | DeliveryOutcome::Missing(_)
            | DeliveryOutcome::Unavailable(_) => {
                panic!("it is available")
            }
        };
        assert!(outcomes.keep(&key, 1, seen(5, 50)));
        assert!(!outcomes.keep(&key, 1, seen(4, 40)), "seen before");
        assert_eq!(kept(), 50);
        assert!(outcomes.keep(&key, 1, seen(6, 60)));
        assert!(outcomes.keep(&key, 2, seen(3, 30)), "a later generation counts more");
        assert!(!outcomes.keep(&key, 1, seen(7, 70)));
        assert_eq!(kept(), 30);
    }
}
