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
    let ids = model.clusters.keys().cloned().map(AggregateId::Cluster);
    let owned = ids.filter(|id| partition_of(id, partitions) == partition);
    let effects = owned.flat_map(|id| {
        let effects = effects_of(model, &id);
        effects.into_iter().map(move |effect| (id.clone(), effect))
    });
    effects.collect()
}

/// The same for one aggregate, whose entity has to be started again.
#[must_use]
pub fn effects_of(model: &Model, id: &AggregateId) -> Vec<Effect> {
    let AggregateId::Cluster(name) = id else { return vec![] };
    let Some(cluster) = model.clusters.get(name) else { return vec![] };
    let mut effects = Cluster::outstanding(id, &cluster.state);
    effects.extend(Cluster::settled(id, &cluster.state));
    effects
}
