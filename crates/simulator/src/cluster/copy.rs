//! A cluster's etcd, copied and put back.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::Cluster;
use super::background::Timer;
use crate::registry::Registry;
use crate::store::Store;

/// Everything that a cluster's etcd held at one moment.
#[derive(Debug, Clone)]
pub struct ClusterCopy {
    store: Store,
    registry: Registry,
    timers: BTreeSet<(Timestamp, Timer)>,
}

impl Cluster {
    /// A copy of the cluster's etcd.
    pub fn copy(&self) -> ClusterCopy {
        let Self { store, registry, timers, .. } = self;
        ClusterCopy { store: store.clone(), registry: registry.clone(), timers: timers.clone() }
    }

    /// The API server is stopped, its etcd becomes the copy, and it is started: all watches break,
    /// resource versions go back, and no watch ever tells of the difference. A journal does not
    /// keep this.
    pub fn restore_copy(&mut self, copy: ClusterCopy) {
        let ClusterCopy { store, registry, timers } = copy;
        self.drop_watches();
        self.store = store;
        self.registry = registry;
        self.timers = timers;
        self.store.forget_history();
    }
}
