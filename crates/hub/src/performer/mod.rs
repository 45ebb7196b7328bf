//! Effects become orders to members; what came of them becomes commands.

mod orders;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use actors::effects::{Again, Performed, Performer};
use api::{PLACEMENT_GROUP, STORAGE_VERSION};
use async_trait::async_trait;
use delivery::failure::{MANIFEST_APPLY_FAILED, failure};
use delivery::{DeliverOrder, DeliveryAvailability, Fence, Link, LinkError};
use domain::cluster::{ClusterCommand, DeliveryOutcome, ReportLinkProblem, ReportRemoval};
use domain::{DeliverEffect, Effect, WithdrawEffect};
use events::cluster::{LinkProblem, ObjectFailure};
use events::{Epoch, ObjectId};

use crate::contents::Contents;
use crate::links::Links;
use crate::outcomes::{Outcomes, outcome_of, report};
pub use orders::work_name;

/// Performs effects through links.
#[derive(Clone)]
pub struct LinkPerformer {
    links: Links,
    contents: Contents,
    outcomes: Outcomes,
}

impl LinkPerformer {
    /// A performer. How available its deliveries are goes to `outcomes` as well.
    #[must_use]
    pub fn new(links: Links, contents: Contents, outcomes: Outcomes) -> Self {
        Self { links, contents, outcomes }
    }

    async fn deliver(&self, effect: &DeliverEffect, epoch: Epoch, attempt: u32) -> Performed {
        let cluster = &effect.key.cluster;
        let Some(link) = self.links.for_orders(cluster) else { return later() };
        let Some(order) = orders::to_deliver(&self.contents, effect, epoch).await else {
            return later();
        };
        let outcome = match self.carry_out(effect, &order, &link).await {
            Ok(outcome) => outcome,
            Err(LinkError::Superseded { holder }) => {
                return superseded(effect, &order, holder, attempt);
            }
            Err(error) => return self.failed(cluster, &link, &error),
        };
        // Objects that are not available yet are watched by the link; a slow retry covers what
        // a watch may miss.
        let again = match &outcome {
            DeliveryOutcome::Available { .. } => self.again_unless_used(cluster, &link),
            DeliveryOutcome::Failed(_) | DeliveryOutcome::Unavailable(_) => Again::WithBackoff,
        };
        let report = report(&effect.key, effect.generation, outcome);
        Performed { report: Some(report), again }
    }

    /// Delivers, or only looks if nothing was left but to wait for objects that are there.
    async fn carry_out(
        &self,
        effect: &DeliverEffect,
        order: &DeliverOrder,
        link: &Arc<dyn Link>,
    ) -> Result<DeliveryOutcome, LinkError> {
        let (key, generation) = (&effect.key, effect.generation);
        if self.outcomes.is_waiting(key, generation) {
            let availability = link.assess(order).await?;
            if availability.missing == 0 {
                return Ok(self.applied(effect, availability));
            }
        }
        let delivered = link.deliver(order).await?;
        if delivered.is_applied() {
            return Ok(self.applied(effect, delivered.availability));
        }
        self.outcomes.note_waiting(key, generation, false);
        let failures = delivered.failures.into_iter().chain(delivered.remaining);
        Ok(DeliveryOutcome::Failed(failures.collect()))
    }

    fn applied(
        &self,
        effect: &DeliverEffect,
        availability: DeliveryAvailability,
    ) -> DeliveryOutcome {
        let (key, generation) = (&effect.key, effect.generation);
        self.outcomes.note_waiting(key, generation, !availability.is_available());
        self.outcomes.reported(key.clone(), generation, availability.clone());
        outcome_of(availability)
    }

    async fn observe(&self, effect: &DeliverEffect, epoch: Epoch, attempt: u32) -> Performed {
        let cluster = &effect.key.cluster;
        let Some(link) = self.links.for_orders(cluster) else { return later() };
        let Some(order) = orders::to_deliver(&self.contents, effect, epoch).await else {
            return later();
        };
        match link.assess(&order).await {
            Ok(availability) => {
                self.outcomes.reported(effect.key.clone(), effect.generation, availability.clone());
                let report = report(&effect.key, effect.generation, outcome_of(availability));
                Performed { report: Some(report), again: self.again_unless_used(cluster, &link) }
            }
            Err(LinkError::Superseded { holder }) => superseded(effect, &order, holder, attempt),
            Err(error) => self.failed(cluster, &link, &error),
        }
    }

    /// A link that was replaced meanwhile watches nothing any more; the one that is used now has to.
    fn again_unless_used(&self, cluster: &str, link: &Arc<dyn Link>) -> Again {
        if self.links.is_used(cluster, link) { Again::No } else { Again::WithBackoff }
    }

    async fn withdraw(&self, effect: &WithdrawEffect, epoch: Epoch) -> Performed {
        let cluster = &effect.key.cluster;
        let Some(link) = self.links.for_orders(cluster) else { return later() };
        let Some(order) = orders::to_withdraw(&self.contents, effect, epoch).await else {
            return later();
        };
        match link.withdraw(&order).await {
            Ok(report) if report.remaining.is_empty() => {
                self.outcomes.removed(&effect.key);
                let command = ClusterCommand::ReportRemoval(ReportRemoval {
                    placement: effect.key.placement.clone(),
                    generation: effect.generation,
                });
                Performed { report: Some(command.into()), again: Again::No }
            }
            Ok(report) => {
                for object in &report.remaining {
                    tracing::info!(%cluster, object = %object.object, message = object.message,
                        "is not gone yet");
                }
                later()
            }
            Err(error) => self.failed(cluster, &link, &error),
        }
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
            | LinkProblem::Missing => {
                let command = ClusterCommand::ReportLinkProblem(ReportLinkProblem {
                    problem: problem.clone(),
                    message: message.clone(),
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
            Effect::Withdraw(effect) => self.withdraw(effect, epoch).await,
            Effect::Observe(effect) => self.observe(effect, epoch, attempt).await,
            Effect::Cancel(_) => Performed { report: None, again: Again::No },
        }
    }
}

fn later() -> Performed {
    Performed { report: None, again: Again::WithBackoff }
}

/// A newer order holds the member. If it is this hub's, it has replaced this one before that is
/// tried again; if it is still held then, nobody else will say so.
fn superseded(
    effect: &DeliverEffect,
    order: &DeliverOrder,
    holder: Fence,
    attempt: u32,
) -> Performed {
    if attempt == 0 {
        return later();
    }
    let outcome = DeliveryOutcome::Failed(vec![held_by_another(order, holder)]);
    let report = report(&effect.key, effect.generation, outcome);
    Performed { report: Some(report), again: Again::WithBackoff }
}

fn held_by_another(order: &DeliverOrder, holder: Fence) -> ObjectFailure {
    let work = &order.work;
    let applied_work = ObjectId {
        group: PLACEMENT_GROUP.to_owned(),
        version: STORAGE_VERSION.to_owned(),
        kind: "AppliedWork".to_owned(),
        namespace: String::new(),
        name: work.clone(),
    };
    let message = format!(
        "the member holds this placement for an order that is newer ({holder}) than the hub's \
         ({own}): another hub delivers to it, or the log of this hub was begun anew; if no other \
         hub does, let go of what the earlier one recorded, on the member: kubectl delete \
         appliedwork {work} --cascade=orphan",
        own = order.fence,
    );
    failure(&applied_work, MANIFEST_APPLY_FAILED, message)
}
