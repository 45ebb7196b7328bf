//! What is done on members, and what links see there.

use actors::effects::{Again, Finished, Performed, Performer};
use delivery::{Observation, Observed};
use domain::cluster::{ClusterCommand, DeliveryOutcome, Notes, ReportDelivery};
use domain::{Effect, EffectKey};
use event_log::partition_of;
use events::{AggregateId, Principal};
use hub::outcomes::outcome_of;
use tokio::task::JoinHandle;

use super::{Asker, Life};
use crate::simulation::Shared;
use crate::simulation::oracle::{Checked, violated};

pub(super) struct Performing {
    pub(super) key: EffectKey,
    pub(super) task: Option<JoinHandle<Performed>>,
    pub(super) again: Again,
}

impl Life {
    /// Whether effects are due.
    #[must_use]
    pub fn has_due_effects(&self, now_ms: u64) -> bool {
        self.queue.next_due_ms().is_some_and(|at| at <= now_ms)
    }

    /// Starts to perform what is due.
    pub fn perform(&mut self, shared: &mut Shared) -> Checked {
        for due in self.queue.take_due(shared.now_ms) {
            let key = due.effect.key().clone();
            let cluster = AggregateId::Cluster(key.cluster.clone());
            let partition = partition_of(&cluster, shared.partitions);
            let Some(epoch) = self.owning.get(&partition).copied() else {
                self.finished(&key, Finished::Done, shared);
                continue;
            };
            shared.oracle.check_effect(&due.effect, epoch, self.incarnation)?;
            shared.trace.note(format!("      {} performs {}", self.name, words(&due.effect)));
            shared.figures.deliveries += 1;
            let performer = self.performer.clone();
            let task =
                tokio::spawn(
                    async move { performer.perform(&due.effect, epoch, due.attempt).await },
                );
            shared.numbers += 1;
            let performing = Performing { key, task: Some(task), again: Again::No };
            self.performing.insert(shared.numbers, performing);
        }
        Ok(())
    }

    /// The effects that have ended and were not reported yet.
    #[must_use]
    pub fn ended_effects(&self) -> Vec<u64> {
        let ended = self.performing.iter().filter(|(_, performing)| {
            performing.task.as_ref().is_some_and(JoinHandle::is_finished)
        });
        ended.map(|(number, _)| *number).collect()
    }

    /// Reports on an effect that has ended.
    pub async fn report(&mut self, number: u64, shared: &mut Shared) -> Checked {
        let Some(performing) = self.performing.get_mut(&number) else { return Ok(()) };
        let Some(task) = performing.task.take() else { return Ok(()) };
        let performed = match task.await {
            Ok(performed) => performed,
            Err(error) => return violated!("an effect panicked: {error}"),
        };
        performing.again = performed.again;
        let cluster = performing.key.cluster.clone();
        let asker = Asker::Effect(number);
        match performed.report {
            None => self.answers.push((asker, Ok(vec![]))),
            Some(report) => {
                let id = AggregateId::Cluster(cluster.clone());
                self.ask(id, report, Principal::Member(cluster), asker, shared);
            }
        }
        self.settle(shared)
    }

    /// Takes what links have observed.
    pub fn observe(&mut self, shared: &mut Shared) -> Checked {
        let Ok(observation) = self.observed.try_recv() else { return Ok(()) };
        let Observation { cluster, placement, generation, what, .. } = observation;
        let outcome = match what {
            Observed::Availability(availability) => outcome_of(availability),
            Observed::Progress(progress) => DeliveryOutcome::Applying(progress),
            Observed::MayGetOn => {
                self.queue.hurry_one(&EffectKey { cluster, placement }, shared.now_ms);
                return Ok(());
            }
        };
        let id = AggregateId::Cluster(cluster.clone());
        if self.owns(&id, shared) {
            let notes = Notes::default();
            let report = ReportDelivery { placement, generation, outcome, notes };
            let report = ClusterCommand::ReportDelivery(report);
            self.ask(id, report, Principal::Member(cluster), Asker::Nobody, shared);
        }
        self.settle(shared)
    }

    /// Whether links have observed something.
    #[must_use]
    pub fn has_observations(&self) -> bool {
        !self.observed.is_empty()
    }

    pub(super) fn finished(&mut self, key: &EffectKey, finished: Finished, shared: &mut Shared) {
        let jitter = shared.random.f64();
        self.queue.finished(key, finished, jitter, shared.now_ms);
    }
}

fn words(effect: &Effect) -> String {
    let EffectKey { cluster, placement } = effect.key();
    match effect {
        Effect::Deliver(effect) => {
            let (generation, index) = (effect.generation, effect.revision.index);
            format!("deliver r{index} of {placement} to {cluster} (generation {generation})")
        }
        Effect::Observe(effect) => {
            format!("observe {placement} on {cluster} (generation {})", effect.generation)
        }
        Effect::Withdraw(effect) => {
            format!("withdraw {placement} from {cluster} (generation {})", effect.generation)
        }
        Effect::Cancel(_) => format!("forget {placement} on {cluster}"),
    }
}
