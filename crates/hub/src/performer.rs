//! Effects become orders to members; what came of them becomes commands.

use std::collections::BTreeSet;

use actors::effects::{Again, Performed, Performer};
use async_trait::async_trait;
use delivery::{DeliverOrder, Fence, LinkError, Manifest, WithdrawOrder};
use domain::cluster::{
    ClusterCommand, DeliveryOutcome, ReportDelivery, ReportLinkProblem, ReportRemoval,
};
use domain::{DeliverEffect, DomainCommand, Effect, WithdrawEffect};
use events::cluster::{LinkProblem, RevisionRef};
use events::{Epoch, ObjectId, PlacementKey, PlacementScope};

use crate::contents::{ContentError, Contents};
use crate::links::Links;
use crate::outcomes::{Outcomes, outcome_of};

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

    async fn deliver(&self, effect: &DeliverEffect, epoch: Epoch) -> Performed {
        let cluster = &effect.key.cluster;
        let Some(link) = self.links.for_orders(cluster) else { return later() };
        let Some(order) = self.readable_order(effect, epoch).await else { return later() };
        let delivered = match link.deliver(&order).await {
            Ok(delivered) => delivered,
            Err(error) => return failed(cluster, &error),
        };
        let outcome = match delivered.is_applied() {
            false => {
                let failures = delivered.failures.into_iter().chain(delivered.remaining);
                DeliveryOutcome::Failed(failures.collect())
            }
            true => {
                let (key, availability) = (effect.key.clone(), delivered.availability.clone());
                self.outcomes.reported(key, effect.generation, availability);
                outcome_of(delivered.availability)
            }
        };
        // Objects that are not available yet are watched by the link; a slow retry covers what
        // a watch may miss.
        let again = match &outcome {
            DeliveryOutcome::Available { .. } => Again::No,
            DeliveryOutcome::Failed(_) | DeliveryOutcome::Unavailable(_) => Again::WithBackoff,
        };
        Performed { report: Some(report(effect, outcome)), again }
    }

    async fn observe(&self, effect: &DeliverEffect, epoch: Epoch) -> Performed {
        let cluster = &effect.key.cluster;
        let Some(link) = self.links.for_orders(cluster) else { return later() };
        let Some(order) = self.readable_order(effect, epoch).await else { return later() };
        match link.assess(&order).await {
            Ok(availability) => {
                self.outcomes.reported(effect.key.clone(), effect.generation, availability.clone());
                let report = report(effect, outcome_of(availability));
                Performed { report: Some(report), again: Again::No }
            }
            Err(error) => failed(cluster, &error),
        }
    }

    /// The order, or a word in the log about why there is none.
    async fn readable_order(&self, effect: &DeliverEffect, epoch: Epoch) -> Option<DeliverOrder> {
        let order = self.order(effect, epoch).await;
        order
            .inspect_err(|error| {
                let (cluster, placement) = (&effect.key.cluster, &effect.key.placement);
                tracing::error!(%cluster, %placement, error = error as &dyn std::error::Error,
                    "what should be delivered cannot be read");
            })
            .ok()
    }

    async fn order(
        &self,
        effect: &DeliverEffect,
        epoch: Epoch,
    ) -> Result<DeliverOrder, ContentError> {
        let references = self.contents.revision(effect.revision.manifests).await?;
        let mut manifests = Vec::with_capacity(references.len());
        for reference in &references {
            let body = self.contents.manifest(reference).await?;
            manifests.push(Manifest { id: reference.object.clone(), body });
        }
        let mut leftovers = self.inventory(&effect.held).await?;
        leftovers.retain(|old| !manifests.iter().any(|new| new.id.is_same_object(old)));
        Ok(DeliverOrder {
            cluster: effect.key.cluster.clone(),
            placement: effect.key.placement.clone(),
            work: work_name(&effect.key.placement),
            fence: Fence { generation: effect.generation, epoch },
            manifests,
            leftovers,
            apply: effect.apply.clone(),
        })
    }

    async fn withdraw(&self, effect: &WithdrawEffect, epoch: Epoch) -> Performed {
        let cluster = &effect.key.cluster;
        let Some(link) = self.links.for_orders(cluster) else { return later() };
        let inventory = match self.inventory(&effect.held).await {
            Ok(inventory) => inventory,
            Err(error) => {
                tracing::error!(%cluster, placement = %effect.key.placement, error = &error as &dyn
                    std::error::Error, "what should be removed cannot be read");
                return later();
            }
        };
        let order = WithdrawOrder {
            cluster: cluster.clone(),
            placement: effect.key.placement.clone(),
            work: work_name(&effect.key.placement),
            fence: Fence { generation: effect.generation, epoch },
            inventory,
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
            Err(error) => failed(cluster, &error),
        }
    }

    /// Every object that the revisions name, each once.
    async fn inventory(&self, held: &[RevisionRef]) -> Result<Vec<ObjectId>, ContentError> {
        let mut objects = BTreeSet::new();
        for revision in held {
            let references = self.contents.revision(revision.manifests).await?;
            objects.extend(references.into_iter().map(|reference| reference.object));
        }
        Ok(objects.into_iter().collect())
    }
}

#[async_trait]
impl Performer for LinkPerformer {
    async fn perform(&self, effect: &Effect, epoch: Epoch, _attempt: u32) -> Performed {
        match effect {
            Effect::Deliver(effect) => self.deliver(effect, epoch).await,
            Effect::Withdraw(effect) => self.withdraw(effect, epoch).await,
            Effect::Observe(effect) => self.observe(effect, epoch).await,
            Effect::Cancel(_) => Performed { report: None, again: Again::No },
        }
    }
}

fn report(effect: &DeliverEffect, outcome: DeliveryOutcome) -> DomainCommand {
    let placement = effect.key.placement.clone();
    let report = ReportDelivery { placement, generation: effect.generation, outcome };
    ClusterCommand::ReportDelivery(report).into()
}

fn later() -> Performed {
    Performed { report: None, again: Again::WithBackoff }
}

/// A problem that a person has to mend is recorded; everything else is tried again.
fn failed(cluster: &str, error: &LinkError) -> Performed {
    tracing::info!(%cluster, %error, "an order was not carried out");
    match error {
        // A newer order holds the member: whoever gave it reports on it.
        LinkError::Superseded { .. } => Performed { report: None, again: Again::No },
        LinkError::Busy { .. } => later(),
        LinkError::Unusable { problem, message, .. } => match problem {
            LinkProblem::Unreachable => later(),
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
        },
    }
}

/// The name of a placement's AppliedWork.
#[must_use]
pub fn work_name(placement: &PlacementKey) -> String {
    let namespace = match &placement.scope {
        PlacementScope::Cluster => None,
        PlacementScope::Namespace(namespace) => Some(namespace.as_str()),
    };
    api::names::work(&api::names::work_base(namespace, &placement.name))
}
