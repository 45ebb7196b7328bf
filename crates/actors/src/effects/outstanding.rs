//! What a new owner has to do: effects computed again from state.

use domain::cluster::Cluster;
use domain::{Decider, Effect};
use event_log::partition_of;
use events::{AggregateId, Partition};
use projections::Model;

/// Everything that is still to be performed for the clusters of a partition, and what of it is
/// done and has to be looked after.
#[must_use]
pub fn after_take_over(
    model: &Model,
    partition: Partition,
    partitions: u16,
) -> Vec<(AggregateId, Effect)> {
    let mut effects = vec![];
    for (name, cluster) in &model.clusters {
        let id = AggregateId::Cluster(name.clone());
        if partition_of(&id, partitions) == partition {
            let outstanding = Cluster::outstanding(&id, &cluster.state);
            let all = outstanding.into_iter().chain(Cluster::settled(&id, &cluster.state));
            effects.extend(all.map(|effect| (id.clone(), effect)));
        }
    }
    effects
}
