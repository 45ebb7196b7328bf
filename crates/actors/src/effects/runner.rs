//! Doing it: one task takes what is due and runs it, and reports what came of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use domain::{DomainCommand, Effect, EffectKey};
use event_log::partition_of;
use events::{AggregateId, Epoch, Partition, Principal};
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tracing::{Instrument as _, Span};

use super::queue::{Due, EffectQueue, Finished};
use crate::ask::AskError;
use crate::node::Router;
use crate::trace::adopted;

/// Whether an effect has to be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Nothing is left to do.
    No,
    /// After a while, longer with each attempt.
    WithBackoff,
    /// The same, and soon after another effect of the same member has changed something: what this
    /// one lacks may come from there.
    WithNeighbours,
    /// After so long: nothing was tried.
    After(Duration),
}

/// What came of an effect.
#[derive(Debug)]
pub struct Performed {
    /// What to tell the cluster.
    pub report: Option<DomainCommand>,
    /// Whether to try again.
    pub again: Again,
}

/// Changes the world outside.
///
/// # Assumptions
/// Performing is idempotent and fenced by (epoch, delivery generation): it may happen twice, and a
/// former owner may still be at it.
#[async_trait]
pub trait Performer: Send + Sync + 'static {
    /// Performs one effect for the owner of this epoch.
    async fn perform(&self, effect: &Effect, epoch: Epoch, attempt: u32) -> Performed;
}

/// Where effects are put. Cheap to clone.
#[derive(Clone)]
pub struct EffectSink {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<EffectQueue>,
    /// The trace context of those who asked for what is not done.
    traceparents: Mutex<BTreeMap<EffectKey, String>>,
    moved: Notify,
    started: Instant,
}

impl EffectSink {
    fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                queue: Mutex::new(EffectQueue::default()),
                traceparents: Mutex::default(),
                moved: Notify::new(),
                started: Instant::now(),
            }),
        }
    }

    /// Takes an effect in, with the trace context of whoever asked for it.
    pub fn send(&self, aggregate: &AggregateId, effect: Effect, traceparent: Option<&str>) {
        tracing::debug!(%aggregate, ?effect, "to be done");
        // Nobody performs what is cancelled, so nobody would forget it again.
        let traceparent = traceparent.filter(|_| !matches!(effect, Effect::Cancel(_)));
        self.remember(effect.key(), traceparent);
        self.with(|queue, now_ms| queue.offer(effect, now_ms));
        self.shared.moved.notify_one();
    }

    fn remember(&self, key: &EffectKey, traceparent: Option<&str>) {
        let traceparents = &self.shared.traceparents;
        let mut traceparents = traceparents.lock().unwrap_or_else(PoisonError::into_inner);
        match traceparent {
            Some(traceparent) => drop(traceparents.insert(key.clone(), traceparent.to_owned())),
            None => drop(traceparents.remove(key)),
        }
    }

    /// The span of performing an effect, within the trace of whoever asked for it.
    fn span(&self, effect: &Effect) -> Span {
        let key = effect.key();
        let (cluster, placement) = (&key.cluster, &key.placement);
        let span = match effect {
            Effect::Deliver(_) => tracing::debug_span!("apply", %cluster, %placement),
            Effect::Withdraw(_) => tracing::debug_span!("withdraw", %cluster, %placement),
            Effect::Observe(_) => tracing::debug_span!("observe", %cluster, %placement),
            Effect::Cancel(_) => Span::none(),
        };
        let traceparents = &self.shared.traceparents;
        let traceparents = traceparents.lock().unwrap_or_else(PoisonError::into_inner);
        adopted(span, traceparents.get(key).map(String::as_str))
    }

    /// Tries at once what waits to be tried again on a member: it can be reached now.
    pub fn hurry(&self, cluster: &str) {
        self.with(|queue, now_ms| queue.hurry(cluster, now_ms));
        self.shared.moved.notify_one();
    }

    /// Tries one effect at once that waits to be tried again: it may get on now.
    pub fn hurry_one(&self, key: &EffectKey) {
        self.with(|queue, now_ms| queue.hurry_one(key, now_ms));
        self.shared.moved.notify_one();
    }

    /// How many effects are not done.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.with(|queue, _| queue.len())
    }

    fn with<T>(&self, f: impl FnOnce(&mut EffectQueue, u64) -> T) -> T {
        let elapsed = self.shared.started.elapsed().as_millis();
        let now_ms = u64::try_from(elapsed).unwrap_or(u64::MAX);
        f(&mut self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner), now_ms)
    }
}

/// What a runner needs.
pub struct RunnerConfig {
    /// Who performs.
    pub performer: Arc<dyn Performer>,
    /// Which partitions this node owns.
    pub owning: watch::Receiver<BTreeMap<Partition, Epoch>>,
    /// How many partitions there are.
    pub partitions: u16,
}

/// Performs effects until it is dropped.
pub struct Runner {
    sink: EffectSink,
    config: RunnerConfig,
}

impl Runner {
    /// A runner, and the sink that feeds it.
    #[must_use]
    pub fn new(config: RunnerConfig) -> (Self, EffectSink) {
        let sink = EffectSink::new();
        (Self { sink: sink.clone(), config }, sink)
    }

    /// Runs for ever, and may be run again when it has ended or panicked. Reports go through `router`.
    pub async fn run(&self, router: Router) {
        let mut running = Running::default();
        let mut owning = self.config.owning.clone();
        self.sink.with(EffectQueue::nothing_runs);
        loop {
            for due in self.sink.with(EffectQueue::take_due) {
                self.start(due, &router, &mut running);
            }
            let next = self.sink.with(|queue, now_ms| {
                queue.next_due_ms().map(|due| Duration::from_millis(due.saturating_sub(now_ms)))
            });
            let patience = next.unwrap_or(Duration::from_secs(60));
            tokio::select! {
                Some((key, finished)) = running.next_ended() => self.ended(&key, finished),
                () = self.sink.shared.moved.notified() => {}
                () = tokio::time::sleep(patience) => {}
                moved = owning.changed() => {
                    if moved.is_err() {
                        return;
                    }
                    self.drop_what_was_lost(&running);
                }
            }
        }
    }

    fn ended(&self, key: &EffectKey, finished: Finished) {
        let is_done = self.sink.with(|queue, now_ms| {
            queue.finished(key, finished, fastrand::f64(), now_ms);
            !queue.contains(key)
        });
        if is_done {
            self.sink.remember(key, None);
        }
    }

    /// Stops what runs for clusters that are somebody else's now, as a crash would: two owners
    /// must not write to one member longer than needed.
    fn drop_what_was_lost(&self, running: &Running) {
        let owning = self.config.owning.borrow().clone();
        let is_ours = |key: &EffectKey| {
            let cluster = AggregateId::Cluster(key.cluster.clone());
            owning.contains_key(&partition_of(&cluster, self.config.partitions))
        };
        self.sink.with(|queue, _| queue.retain(is_ours));
        running.keep(is_ours);
    }

    fn start(&self, due: Due, router: &Router, running: &mut Running) {
        let key = due.effect.key().clone();
        let cluster = AggregateId::Cluster(key.cluster.clone());
        let partition = partition_of(&cluster, self.config.partitions);
        let epoch = self.config.owning.borrow().get(&partition).copied();
        let performer = self.config.performer.clone();
        let router = router.clone();
        let span = self.sink.span(&due.effect);
        let member = key.cluster.clone();
        let performing = async move {
            let Some(epoch) = epoch else { return Finished::Done };
            let performed = performer.perform(&due.effect, epoch, due.attempt).await;
            let reported = match performed.report {
                None => Ok(()),
                Some(report) => {
                    let principal = Principal::Member(member);
                    router.ask(cluster, report, principal).await.map(drop)
                }
            };
            finished(&reported, performed.again)
        };
        running.start(key, performing.instrument(span));
    }
}

/// The effects that run, each as a task.
#[derive(Default)]
struct Running {
    tasks: JoinSet<Finished>,
    keys: HashMap<tokio::task::Id, (EffectKey, AbortHandle)>,
}

impl Running {
    fn start(
        &mut self,
        key: EffectKey,
        performing: impl Future<Output = Finished> + Send + 'static,
    ) {
        let task = self.tasks.spawn(performing);
        self.keys.insert(task.id(), (key, task));
    }

    /// Stops all others.
    fn keep(&self, keeps: impl Fn(&EffectKey) -> bool) {
        for (_, task) in self.keys.values().filter(|(key, _)| !keeps(key)) {
            task.abort();
        }
    }

    /// Waits until one ends; `None` if none runs. A panic costs only the effect that it happened
    /// in, which is tried again.
    async fn next_ended(&mut self) -> Option<(EffectKey, Finished)> {
        let ended = self.tasks.join_next_with_id().await?;
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let (key, _) = self.keys.remove(&id).expect("every task has a key");
        let finished = match ended {
            Ok((_, finished)) => finished,
            Err(stopped) if stopped.is_cancelled() => Finished::Retry,
            Err(error) => {
                tracing::error!(%error, ?key, "an effect panicked; it is tried again");
                Finished::Retry
            }
        };
        Some((key, finished))
    }
}

/// Whether anything is left of an effect that was performed and whose report was answered so.
#[must_use]
pub fn finished(reported: &Result<(), AskError>, again: Again) -> Finished {
    match (reported, again) {
        (Ok(()) | Err(AskError::Refused(_)), Again::No) => Finished::Done,
        (Ok(()) | Err(AskError::Refused(_)), Again::WithBackoff) => Finished::Retry,
        (Ok(()) | Err(AskError::Refused(_)), Again::WithNeighbours) => {
            Finished::RetryWithNeighbours
        }
        (Ok(()) | Err(AskError::Refused(_)), Again::After(wait)) => {
            Finished::RetryAfter(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX / 2))
        }
        // Whoever owns the cluster now computes the effect again.
        (Err(AskError::NotOwner { .. }), _) => Finished::Done,
        (Err(AskError::Busy { .. } | AskError::TooLarge { .. } | AskError::Unreadable(_)), _) => {
            Finished::Retry
        }
    }
}

#[cfg(test)]
mod tests {
    use events::PlacementKey;

    use super::*;

    fn key(cluster: &str) -> EffectKey {
        EffectKey { cluster: cluster.to_owned(), placement: PlacementKey::cluster("web") }
    }

    #[tokio::test]
    async fn a_panic_costs_only_its_own_effect() {
        let mut running = Running::default();
        running.start(key("eu"), async { panic!("on purpose") });
        assert_eq!(running.next_ended().await, Some((key("eu"), Finished::Retry)));
        running.start(key("us"), async { Finished::Done });
        assert_eq!(running.next_ended().await, Some((key("us"), Finished::Done)));
        assert_eq!(running.next_ended().await, None);
    }

    #[tokio::test]
    async fn what_is_not_kept_is_stopped() {
        let mut running = Running::default();
        for cluster in ["eu", "us"] {
            running.start(key(cluster), std::future::pending());
        }
        running.keep(|key| key.cluster == "us");
        assert_eq!(running.next_ended().await, Some((key("eu"), Finished::Retry)));
        assert_eq!(running.keys.len(), 1);
    }
}
