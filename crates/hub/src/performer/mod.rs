//! Effects become orders to members; what came of them becomes commands.

mod neighbours;
mod orders;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use actors::effects::{Again, Performed, Performer};
use api::{PLACEMENT_GROUP, STORAGE_VERSION};
use async_trait::async_trait;
use delivery::failure::{MANIFEST_APPLY_FAILED, failure};
use delivery::{AdoptedRemoval, DeliverOrder, DeliveryAvailability, Fence, Link, LinkError};
use domain::cluster::{
    ClusterCommand, DeliveryOutcome, Notes, ReportLinkProblem, ReportRemoval, ReportRemovalWaits,
};
use domain::{DeliverEffect, Effect, EffectKey, WithdrawEffect};
use events::cluster::{LinkProblem, NOTES_PER_EVENT_MAX, Note, ObjectFailure, ObjectNote};
use events::{Epoch, ObjectId};

use crate::contents::{ContentError, Contents};
use crate::fences::{Ahead, Fences};
use crate::links::Links;
use crate::outcomes::{Outcomes, bounded, outcome_of, report};
use neighbours::OnRecord;
pub use neighbours::{Look, Record, Visit};
use orders::Circumstances;
pub use orders::work_name;

/// Performs effects through links.
#[derive(Clone)]
pub struct LinkPerformer {
    links: Links,
    contents: Contents,
    outcomes: Outcomes,
    record: Record,
    adopted: AdoptedRemoval,
    fences: Fences,
}

impl LinkPerformer {
    /// A performer. How available its deliveries are goes to `outcomes` as well.
    #[must_use]
    pub fn new(links: Links, contents: Contents, outcomes: Outcomes, record: Record) -> Self {
        Self {
            links,
            contents,
            outcomes,
            record,
            adopted: AdoptedRemoval::default(),
            fences: Fences::default(),
        }
    }

    /// The same, with what becomes of objects that were on a member before their placement.
    #[must_use]
    pub fn with_adopted(self, adopted: AdoptedRemoval) -> Self {
        Self { adopted, ..self }
    }

    /// What orders need to know besides the effect; `None` before it is known.
    fn circumstances(&self, key: &EffectKey, epoch: Epoch) -> Option<Circumstances> {
        if !self.record.is_known() {
            return None;
        }
        let neighbours = OnRecord {
            record: self.record.clone(),
            contents: self.contents.clone(),
            cluster: key.cluster.clone(),
            placement: key.placement.clone(),
        };
        Some(Circumstances { epoch, adopted: self.adopted, neighbours: Arc::new(neighbours) })
    }

    /// The notes that are not on record yet, as many as a record takes.
    fn news(&self, key: &EffectKey, mut notes: Vec<ObjectNote>) -> Notes {
        if notes.is_empty() {
            return Notes::default();
        }
        let known = self.record.delivery(&key.cluster, &key.placement);
        let known = known.map(|delivery| delivery.adopted).unwrap_or_default();
        notes.retain(|one| one.note != Note::Adopted || !known.contains(&one.object));
        let more = notes.len().saturating_sub(NOTES_PER_EVENT_MAX);
        notes.truncate(NOTES_PER_EVENT_MAX);
        Notes { notes, more: u32::try_from(more).unwrap_or(u32::MAX) }
    }

    /// Tells also which members hold newer orders.
    #[must_use]
    pub fn with_fences(self, fences: Fences) -> Self {
        Self { fences, ..self }
    }

    async fn deliver(&self, effect: &DeliverEffect, epoch: Epoch, attempt: u32) -> Performed {
        let cluster = &effect.key.cluster;
        if let Some(wait) = self.outcomes.put_back_after(&effect.key) {
            return Performed { report: None, again: Again::After(wait) };
        }
        let Some(link) = self.links.for_orders(cluster) else { return later() };
        let Some(circumstances) = self.circumstances(&effect.key, epoch) else { return later() };
        let order = match orders::to_deliver(&self.contents, effect, circumstances).await {
            Ok(order) => order,
            Err(error) => return unreadable(effect, &error),
        };
        let (outcome, notes) = match self.carry_out(effect, &order, &link).await {
            Ok(done) => done,
            Err(LinkError::Superseded { holder }) => {
                return self.superseded(effect, &order, holder, attempt);
            }
            Err(error) => return self.failed(cluster, &link, &error),
        };
        // Objects that are not available yet are watched by the link; a slow retry covers what
        // a watch may miss.
        let again = match &outcome {
            DeliveryOutcome::Available { .. } => self.again_unless_used(cluster, &link),
            // What an object lacks, or who holds it, may be another placement's matter.
            DeliveryOutcome::Failed(_) => Again::WithNeighbours,
            DeliveryOutcome::Applying(_)
            | DeliveryOutcome::Missing(_)
            | DeliveryOutcome::Unavailable(_) => Again::WithBackoff,
        };
        let notes = self.news(&effect.key, notes);
        let report = report(&effect.key, effect.generation, outcome, notes);
        Performed { report: Some(report), again }
    }

    /// Delivers, or only looks if nothing was left but to wait for objects that are there.
    async fn carry_out(
        &self,
        effect: &DeliverEffect,
        order: &DeliverOrder,
        link: &Arc<dyn Link>,
    ) -> Result<(DeliveryOutcome, Vec<ObjectNote>), LinkError> {
        let (key, generation) = (&effect.key, effect.generation);
        if self.outcomes.is_waiting(key, generation) {
            let availability = link.assess(order).await?;
            return Ok((self.applied(effect, availability), vec![]));
        }
        let delivered = link.deliver(order).await?;
        self.fences.taken(key);
        if delivered.is_applied() {
            return Ok((self.applied(effect, delivered.availability), delivered.notes));
        }
        self.outcomes.note_waiting(key, generation, false);
        let failures = delivered.failures.into_iter().chain(delivered.remaining);
        Ok((DeliveryOutcome::Failed(failures.collect()), delivered.notes))
    }

    fn applied(
        &self,
        effect: &DeliverEffect,
        availability: DeliveryAvailability,
    ) -> DeliveryOutcome {
        let (key, generation) = (&effect.key, effect.generation);
        let waits = availability.missing.is_empty() && !availability.is_available();
        self.outcomes.note_waiting(key, generation, waits);
        self.outcomes.reported(key.clone(), generation, availability.clone());
        outcome_of(availability)
    }

    async fn observe(&self, effect: &DeliverEffect, epoch: Epoch, attempt: u32) -> Performed {
        let cluster = &effect.key.cluster;
        let Some(link) = self.links.for_orders(cluster) else { return later() };
        let Some(circumstances) = self.circumstances(&effect.key, epoch) else { return later() };
        let order = match orders::to_deliver(&self.contents, effect, circumstances).await {
            Ok(order) => order,
            Err(error) => return unreadable(effect, &error),
        };
        match link.assess(&order).await {
            Ok(availability) => {
                self.fences.taken(&effect.key);
                self.outcomes.reported(effect.key.clone(), effect.generation, availability.clone());
                let outcome = outcome_of(availability);
                let report = report(&effect.key, effect.generation, outcome, Notes::default());
                Performed { report: Some(report), again: self.again_unless_used(cluster, &link) }
            }
            Err(LinkError::Superseded { holder }) => {
                self.superseded(effect, &order, holder, attempt)
            }
            Err(error) => self.failed(cluster, &link, &error),
        }
    }

    /// A link that was replaced meanwhile watches nothing any more; the one that is used now has to.
    fn again_unless_used(&self, cluster: &str, link: &Arc<dyn Link>) -> Again {
        if self.links.is_used(cluster, link) { Again::No } else { Again::WithBackoff }
    }

    async fn withdraw(&self, effect: &WithdrawEffect, epoch: Epoch, attempt: u32) -> Performed {
        let cluster = &effect.key.cluster;
        let Some(link) = self.links.for_orders(cluster) else { return later() };
        let Some(circumstances) = self.circumstances(&effect.key, epoch) else { return later() };
        let Some(order) = orders::to_withdraw(&self.contents, effect, circumstances).await else {
            return later();
        };
        match link.withdraw(&order).await {
            Ok(report) if report.remaining.is_empty() => {
                self.fences.taken(&effect.key);
                self.outcomes.removed(&effect.key);
                let command = ClusterCommand::ReportRemoval(ReportRemoval {
                    placement: effect.key.placement.clone(),
                    generation: effect.generation,
                    notes: self.news(&effect.key, report.notes),
                });
                Performed { report: Some(command.into()), again: Again::No }
            }
            Ok(report) => {
                let command = ClusterCommand::ReportRemovalWaits(ReportRemovalWaits {
                    placement: effect.key.placement.clone(),
                    generation: effect.generation,
                    remaining: bounded(report.remaining),
                });
                Performed { report: Some(command.into()), again: Again::WithBackoff }
            }
            Err(LinkError::Superseded { holder }) => {
                if attempt > 0 {
                    self.fences.refused(&effect.key, Ahead { holder, own: order.fence });
                }
                later()
            }
            Err(error) => self.failed(cluster, &link, &error),
        }
    }

    /// A newer order holds the member. If it is this hub's, it has replaced this one before that is
    /// tried again; if it is still held then, nobody else will say so.
    fn superseded(
        &self,
        effect: &DeliverEffect,
        order: &DeliverOrder,
        holder: Fence,
        attempt: u32,
    ) -> Performed {
        if attempt == 0 {
            return later();
        }
        self.fences.refused(&effect.key, Ahead { holder, own: order.fence });
        let outcome = DeliveryOutcome::Failed(vec![held_by_another(order, holder)]);
        let report = report(&effect.key, effect.generation, outcome, Notes::default());
        Performed { report: Some(report), again: Again::WithBackoff }
    }

    /// A problem that a person has to mend is recorded; everything else is tried again.
    fn failed(&self, cluster: &str, link: &Arc<dyn Link>, error: &LinkError) -> Performed {
        tracing::info!(%cluster, %error, "an order was not carried out");
        let LinkError::Unusable { problem, message, .. } = error else { return later() };
        match problem {
            LinkProblem::Unreachable => {
                self.links.doubted(cluster, link);
                later()
            }
            LinkProblem::InvalidKubeconfig
            | LinkProblem::Unauthorized
            | LinkProblem::Forbidden
            | LinkProblem::IsHub
            | LinkProblem::DuplicateOf(_)
            | LinkProblem::OtherDeployment(_)
            | LinkProblem::OtherCluster(_)
            | LinkProblem::Missing => {
                let command = ClusterCommand::ReportLinkProblem(ReportLinkProblem {
                    problem: problem.clone(),
                    message: message.clone(),
                    is_new_link: false,
                });
                Performed { report: Some(command.into()), again: Again::WithBackoff }
            }
        }
    }
}

#[async_trait]
impl Performer for LinkPerformer {
    async fn perform(&self, effect: &Effect, epoch: Epoch, attempt: u32) -> Performed {
        match effect {
            Effect::Deliver(effect) => self.deliver(effect, epoch, attempt).await,
            Effect::Withdraw(effect) => self.withdraw(effect, epoch, attempt).await,
            Effect::Observe(effect) => self.observe(effect, epoch, attempt).await,
            Effect::Cancel(key) => {
                self.fences.taken(key);
                Performed { report: None, again: Again::No }
            }
        }
    }
}

fn later() -> Performed {
    Performed { report: None, again: Again::WithBackoff }
}

/// What an order names cannot be read: told as a failure of the whole when it is damaged.
fn unreadable(effect: &DeliverEffect, error: &ContentError) -> Performed {
    let Some(damage) = error.damage() else { return later() };
    let message = format!("what is to be delivered cannot be read: {damage}");
    let work = applied_work(&work_name(&effect.key.placement));
    let outcome = DeliveryOutcome::Failed(vec![failure(&work, MANIFEST_APPLY_FAILED, message)]);
    let report = report(&effect.key, effect.generation, outcome, Notes::default());
    Performed { report: Some(report), again: Again::WithBackoff }
}

fn applied_work(name: &str) -> ObjectId {
    ObjectId {
        group: PLACEMENT_GROUP.to_owned(),
        version: STORAGE_VERSION.to_owned(),
        kind: "AppliedWork".to_owned(),
        namespace: String::new(),
        name: name.to_owned(),
    }
}

fn held_by_another(order: &DeliverOrder, holder: Fence) -> ObjectFailure {
    let message = format!(
        "the member holds this placement for an order that is newer ({holder}) than the hub's \
         ({own}): another hub delivers to it, or the log of this hub went back or was begun \
         anew; if no other hub does, number further orders above that with: taffrail log raise",
        own = order.fence,
    );
    failure(&applied_work(&order.work), MANIFEST_APPLY_FAILED, message)
}
