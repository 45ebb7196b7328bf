//! What a link says about what it did and what it sees.

use std::collections::BTreeMap;
use std::time::Duration;

use events::cluster::{ObjectFailure, ObjectNote, Progress};
use events::{ObjectId, PlacementKey};

use crate::mark::MarkSeen;

/// What an order to deliver came to. Failures of single objects are in here; a link that cannot be
/// used is a [`LinkError`](crate::LinkError).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeliveryReport {
    /// Objects that could not be applied.
    pub failures: Vec<ObjectFailure>,
    /// Leftovers that are still there, such as those that wait for a finalizer. The order has to be
    /// repeated until there are none.
    pub remaining: Vec<ObjectFailure>,
    /// How available the objects were when the order was done; nothing unless it [is
    /// applied](Self::is_applied).
    pub availability: DeliveryAvailability,
    /// How many objects were written.
    pub written: usize,
    /// How many objects were as they should be and were not touched.
    pub unchanged: usize,
    /// How many leftovers are gone.
    pub removed: usize,
    /// How many leftovers were let go, or belong to somebody else by now and were left alone.
    pub released: usize,
    /// What else is to be known of single objects: what was adopted, let go, handed over or kept.
    pub notes: Vec<ObjectNote>,
}

impl DeliveryReport {
    /// Whether the member holds all of the order, and nothing of the revisions before it.
    #[must_use]
    pub fn is_applied(&self) -> bool {
        self.failures.is_empty() && self.remaining.is_empty()
    }
}

/// How available the objects of one delivery are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeliveryAvailability {
    /// Applied objects that are there and not available, and why.
    pub waiting: Vec<ObjectFailure>,
    /// Applied objects that are not on the member any more, or do not carry our label any more:
    /// they do not come by waiting, but when the order is repeated. One that runs once is among them
    /// only if it was seen to go before it was finished.
    pub missing: Vec<ObjectId>,
    /// How many applied objects are of kinds whose availability cannot be tracked.
    pub untracked: u32,
    /// Rises with every statement that links of this process make: of two about the same delivery, the one with
    /// the higher number is the newer.
    pub ordinal: u64,
}

impl DeliveryAvailability {
    /// Whether everything is there, and what can be tracked is available.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.waiting.is_empty() && self.missing.is_empty()
    }
}

/// Something that was noticed on a member after an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// On which member.
    pub cluster: String,
    /// Of which placement.
    pub placement: PlacementKey,
    /// The name of the AppliedWork.
    pub work: String,
    /// Which assignment was carried out by the order that this is about.
    pub generation: u64,
    /// What was noticed.
    pub what: Observed,
}

/// What can be noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// How the objects of a delivery that was applied are now.
    Availability(DeliveryAvailability),
    /// How far an order is that takes long, or did not get on.
    Progress(Progress),
    /// Something came or went that an order waits for which did not get on: it is worth a try.
    MayGetOn,
}

/// What an order to withdraw came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WithdrawReport {
    /// Objects that are still there. The order has to be repeated until there are none.
    pub remaining: Vec<ObjectFailure>,
    /// How many objects are gone.
    pub removed: usize,
    /// How many objects were let go, or belong to somebody else by now and were left alone.
    pub released: usize,
    /// What else is to be known of single objects: what was let go or handed over.
    pub notes: Vec<ObjectNote>,
}

/// What a member says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Probe {
    /// The API server says that it is ready.
    pub ready: bool,
    /// What it says when it is not ready; empty when it is.
    pub message: String,
    /// The API server's version, such as `v1.36.4`.
    pub kubernetes_version: String,
    /// The uid of the kube-system namespace: which cluster this is, whatever its address.
    pub identity: String,
    /// Whose it is.
    pub mark: MarkSeen,
    /// Properties by their public names. Those that could not be collected are absent.
    pub properties: BTreeMap<String, String>,
    /// Sums over all nodes, absent when they could not be read.
    pub usage: Option<ResourceUsage>,
    /// What could not be collected, and why.
    pub incomplete: Vec<String>,
}

/// CPU and memory of a whole cluster, by resource name, as Kubernetes quantities.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResourceUsage {
    /// How long ago the oldest part of this was collected: pods are not counted by every probe.
    pub age: Duration,
    /// What the nodes have.
    pub capacity: BTreeMap<String, String>,
    /// What the nodes offer to pods.
    pub allocatable: BTreeMap<String, String>,
    /// What no pod has asked for yet. Empty when the pods could not all be counted.
    pub available: BTreeMap<String, String>,
}
