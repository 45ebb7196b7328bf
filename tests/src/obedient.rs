//! Members that take whatever they are told, at once, for nodes without a hub.

use actors::effects::{Again, Performed, Performer};
use async_trait::async_trait;
use domain::Effect;
use domain::cluster::{ClusterCommand, DeliveryOutcome, Notes, ReportDelivery, ReportRemoval};
use events::Epoch;

/// Every order succeeds at once.
#[derive(Debug)]
pub struct Obedient;

#[async_trait]
impl Performer for Obedient {
    async fn perform(&self, effect: &Effect, _epoch: Epoch, _attempt: u32) -> Performed {
        let report = match effect {
            Effect::Deliver(deliver) => Some(ClusterCommand::ReportDelivery(ReportDelivery {
                placement: deliver.key.placement.clone(),
                generation: deliver.generation,
                outcome: DeliveryOutcome::Available { untracked: 0 },
                notes: Notes::default(),
            })),
            Effect::Withdraw(withdraw) => Some(ClusterCommand::ReportRemoval(ReportRemoval {
                placement: withdraw.key.placement.clone(),
                generation: withdraw.generation,
                notes: Notes::default(),
            })),
            Effect::Observe(_) | Effect::Cancel(_) => None,
        };
        Performed { report: report.map(Into::into), again: Again::No }
    }
}
