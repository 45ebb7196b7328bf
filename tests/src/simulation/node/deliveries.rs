//! The deliveries on record, where those who perform effects see them: they run beside the node.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::cluster::Delivery;
use events::PlacementKey;
use hub::performer::{Look, Visit};
use projections::Model;

/// What is on record of all members.
#[derive(Clone, Default)]
pub(super) struct Deliveries {
    by_cluster: Arc<Mutex<BTreeMap<String, BTreeMap<PlacementKey, Delivery>>>>,
}

impl Deliveries {
    /// Takes over what a model says of a cluster.
    pub(super) fn update(&self, model: &Model, cluster: &str) {
        let known = model.clusters.get(cluster);
        let deliveries = known.map(|known| known.state.deliveries.clone()).unwrap_or_default();
        let mut by_cluster = self.by_cluster.lock().unwrap_or_else(PoisonError::into_inner);
        by_cluster.insert(cluster.to_owned(), deliveries);
    }

    /// How to look at it.
    pub(super) fn look(&self) -> Look {
        let by_cluster = self.by_cluster.clone();
        Box::new(move |cluster: &str, visit: Visit<'_>| {
            let by_cluster = by_cluster.lock().unwrap_or_else(PoisonError::into_inner);
            for (placement, delivery) in by_cluster.get(cluster).into_iter().flatten() {
                visit(placement, delivery);
            }
        })
    }
}
