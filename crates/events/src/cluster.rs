//! What happens to a member cluster: membership, health, labels, and the deliveries on it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event::event_family;
use crate::{ContentHash, ObjectId, PlacementKey, Timestamp};

event_family! {
    /// What happened to one member cluster.
    ClusterEvent {
        /// Its MemberCluster object was seen for the first time, or again after it had left.
        ClusterRegistered = 1,
        /// Labels moved.
        ClusterLabelsChanged = 1,
        /// Taints moved.
        ClusterTaintsChanged = 1,
        /// Its health is checked more often, or less, from now on.
        ClusterHeartbeatPeriodChanged = 1,
        /// It can be reached and is a member from now on.
        ClusterJoined = 2,
        /// The credential of its link is another one, or ends at another time.
        ClusterCredentialChanged = 1,
        /// The credential of its link ends soon.
        ClusterCredentialExpiring = 1,
        /// Its link cannot be used, for a reason that a person has to mend.
        ClusterLinkFailed = 1,
        /// It stopped answering, or answers that it is unwell.
        ClusterHealthLost = 1,
        /// It was unwell for the whole grace period: nothing new is placed on it until it is well.
        ClusterHealthGraceEnded = 1,
        /// It answers again.
        ClusterHealthRestored = 1,
        /// Properties moved by more than the threshold.
        ClusterPropertiesChanged = 1,
        /// It is no longer a member. What was placed on it stays there.
        ClusterLeft = 1,
        /// It should hold a revision of a placement from now on.
        DeliveryAssigned = 1,
        /// It holds the assigned revision, and nothing of the revisions before it.
        DeliveryApplied = 1,
        /// Some objects of the assigned revision could not be applied.
        DeliveryFailed = 2,
        /// Everything of the assigned revision that can be tracked is available.
        DeliveryAvailable = 1,
        /// Something of the assigned revision is not, or no longer, available.
        DeliveryUnavailable = 2,
        /// Some of the objects of the assigned revision are applied, of many.
        DeliveryProgressed = 1,
        /// Something of the assigned revision was applied and is not there any more; it is put back.
        DeliveryDisturbed = 1,
        /// It should no longer hold anything of a placement.
        DeliveryWithdrawn = 1,
        /// Something was done with single objects that its order alone does not tell.
        DeliveryNoted = 1,
        /// Something of the placement is still on it, and why.
        DeliveryRemovalWaits = 1,
        /// Nothing of the placement is left on it.
        DeliveryRemoved = 1,
        /// Its MemberCluster object is not there, and no deletion of it was seen: until that is
        /// explained, it stays a member and gets no orders.
        ClusterHeld = 1,
        /// Its MemberCluster object is there again.
        ClusterHoldEnded = 1,
    }
}

/// Labels of a cluster.
pub type Labels = BTreeMap<String, String>;

/// Keeps placements that do not tolerate it away from a cluster. The only effect is NoSchedule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Taint {
    /// Label-like key.
    pub key: String,
    /// May be empty.
    pub value: String,
}

/// See [`ClusterEvent::ClusterRegistered`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRegistered {
    /// The uid of the MemberCluster object: another uid is another membership.
    pub uid: String,
    /// Its labels.
    pub labels: Labels,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// How often its health is checked.
    pub heartbeat_period_seconds: u32,
}

/// See [`ClusterEvent::ClusterLabelsChanged`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterLabelsChanged {
    /// All labels, after the change.
    pub labels: Labels,
}

/// See [`ClusterEvent::ClusterTaintsChanged`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterTaintsChanged {
    /// All taints, after the change.
    pub taints: Vec<Taint>,
}

/// See [`ClusterEvent::ClusterHeartbeatPeriodChanged`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterHeartbeatPeriodChanged {
    /// How often its health is checked.
    pub heartbeat_period_seconds: u32,
}

/// See [`ClusterEvent::ClusterCredentialChanged`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterCredentialChanged {
    /// When it ends; `None` when it does not, or nobody can tell.
    pub expires_at: Option<Timestamp>,
}

/// See [`ClusterEvent::ClusterCredentialExpiring`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterCredentialExpiring {
    /// When it ends.
    pub expires_at: Timestamp,
}

/// See [`ClusterEvent::ClusterJoined`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterJoined {
    /// What makes the cluster that cluster, whatever its address: the uid of its kube-system
    /// namespace.
    pub identity: String,
    /// The API server's version, such as `v1.36.4`.
    pub kubernetes_version: String,
    /// The deployment that managed the cluster before, if somebody took it over from one.
    pub taken_from: Option<String>,
}

/// Why a link cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LinkProblem {
    /// The kubeconfig cannot be read.
    InvalidKubeconfig,
    /// The address does not answer.
    Unreachable,
    /// The credential is refused.
    Unauthorized,
    /// The credential may not do what is needed.
    Forbidden,
    /// It leads to the hub itself.
    IsHub,
    /// It leads to a cluster that is a member under this name already.
    DuplicateOf(String),
    /// There is no link any more: the Secret is gone.
    Missing,
    /// It leads to a cluster that belongs to another deployment, this one.
    OtherDeployment(String),
    /// It leads to another cluster than the one that joined, and nobody has confirmed that: this
    /// one, by the uid of its kube-system namespace.
    OtherCluster(String),
}

/// See [`ClusterEvent::ClusterLinkFailed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterLinkFailed {
    /// What is wrong.
    pub problem: LinkProblem,
    /// In words, with what to do about it.
    pub message: String,
}

/// See [`ClusterEvent::ClusterHealthLost`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterHealthLost {
    /// What was seen, in words.
    pub message: String,
}

/// See [`ClusterEvent::ClusterHealthGraceEnded`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterHealthGraceEnded {
    /// Since when it is unwell.
    pub unhealthy_since: Timestamp,
}

/// See [`ClusterEvent::ClusterHealthRestored`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterHealthRestored {}

/// See [`ClusterEvent::ClusterPropertiesChanged`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterPropertiesChanged {
    /// All properties, after the change, by their public names: `kubernetes-fleet.io/node-count`,
    /// `resources.kubernetes-fleet.io/available-cpu` and so on. Values are Kubernetes quantities.
    pub properties: BTreeMap<String, String>,
}

/// See [`ClusterEvent::ClusterLeft`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterLeft {
    /// The first deliveries whose objects stay behind on it, at most
    /// [`ORPHANS_PER_EVENT_MAX`]. [`DeliveryRemoved`] events follow for the others.
    pub orphaned: Vec<Orphaned>,
}

/// The most deliveries that a [`ClusterLeft`] names, and that are let go of by one decision after
/// it: each is told to its placement, all of which stands in one record.
pub const ORPHANS_PER_EVENT_MAX: usize = 250;

/// A delivery that nobody looks after any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphaned {
    /// Whose objects.
    pub placement: PlacementKey,
    /// The last assignment or withdrawal.
    pub generation: u64,
}

/// One revision of a placement, as deliveries name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionRef {
    /// The number of the revision within its placement, from 0.
    pub index: u32,
    /// Its list of manifests in the content store.
    pub manifests: ContentHash,
}

/// How manifests are written to a member.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ApplyStrategy {
    /// Take fields over from other managers instead of reporting a conflict.
    pub force: bool,
    /// Apply objects that others own as well.
    pub allow_co_ownership: bool,
}

/// See [`ClusterEvent::DeliveryAssigned`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryAssigned {
    /// Whose objects.
    pub placement: PlacementKey,
    /// Rises with every assignment of the placement. A member never moves backwards.
    pub generation: u64,
    /// What it should hold.
    pub revision: RevisionRef,
    /// How to write it.
    pub apply: ApplyStrategy,
}

/// See [`ClusterEvent::DeliveryApplied`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryApplied {
    /// Whose objects.
    pub placement: PlacementKey,
    /// Of which assignment.
    pub generation: u64,
}

/// An object that is not as it should be, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectFailure {
    /// Which object.
    pub object: ObjectId,
    /// A manifest condition reason of the public API, such as `ManifestApplyFailed`.
    pub reason: String,
    /// In words. Never holds values of Secrets.
    pub message: String,
    /// The generation of the object on the member, if it is there and counts them.
    #[serde(default)]
    pub generation: Option<i64>,
}

/// See [`ClusterEvent::DeliveryFailed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryFailed {
    /// Whose objects.
    pub placement: PlacementKey,
    /// Of which assignment.
    pub generation: u64,
    /// The first of what failed; bounded by [`FAILURES_PER_DELIVERY_MAX`].
    pub failures: Vec<ObjectFailure>,
}

/// How many failed objects one event names: the public API shows no more for a cluster. More are
/// counted in the message of the last one.
pub const FAILURES_PER_DELIVERY_MAX: usize = 100;

/// See [`ClusterEvent::DeliveryAvailable`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryAvailable {
    /// Whose objects.
    pub placement: PlacementKey,
    /// Of which assignment.
    pub generation: u64,
    /// How many objects are of kinds whose availability cannot be tracked.
    pub untracked: u32,
}

/// See [`ClusterEvent::DeliveryUnavailable`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryUnavailable {
    /// Whose objects.
    pub placement: PlacementKey,
    /// Of which assignment.
    pub generation: u64,
    /// What is not available; bounded by [`FAILURES_PER_DELIVERY_MAX`].
    pub waiting: Vec<ObjectFailure>,
}

/// How many of the objects of a delivery are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// So many are.
    pub applied: u32,
    /// Of so many.
    pub of: u32,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} objects are applied", self.applied, self.of)
    }
}

/// See [`ClusterEvent::DeliveryProgressed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryProgressed {
    /// Whose objects.
    pub placement: PlacementKey,
    /// Of which assignment.
    pub generation: u64,
    /// How far it is.
    pub progress: Progress,
}

/// See [`ClusterEvent::DeliveryDisturbed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryDisturbed {
    /// Whose objects.
    pub placement: PlacementKey,
    /// Of which assignment.
    pub generation: u64,
    /// What is missing; bounded by [`FAILURES_PER_DELIVERY_MAX`].
    pub missing: Vec<ObjectFailure>,
}

/// See [`ClusterEvent::DeliveryRemovalWaits`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryRemovalWaits {
    /// Whose objects.
    pub placement: PlacementKey,
    /// Of which withdrawal.
    pub generation: u64,
    /// What is still there; bounded by [`FAILURES_PER_DELIVERY_MAX`].
    pub remaining: Vec<ObjectFailure>,
}

/// See [`ClusterEvent::DeliveryWithdrawn`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryWithdrawn {
    /// Whose objects.
    pub placement: PlacementKey,
    /// The number of the withdrawal; it counts like an assignment.
    pub generation: u64,
}

/// See [`ClusterEvent::DeliveryNoted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryNoted {
    /// Whose objects.
    pub placement: PlacementKey,
    /// Of which assignment or withdrawal.
    pub generation: u64,
    /// What was done; bounded by [`NOTES_PER_EVENT_MAX`].
    pub notes: Vec<ObjectNote>,
    /// How many more notes there were.
    pub more: u32,
}

/// How many objects one [`DeliveryNoted`] names: with names of the usual length they take a
/// twentieth of a record. Whether an object was adopted also stands on the member's object, so
/// those that are only counted are not forgotten.
pub const NOTES_PER_EVENT_MAX: usize = 250;

/// What became of one object beyond what its order says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectNote {
    /// Which object.
    pub object: ObjectId,
    /// What.
    pub note: Note,
}

/// See [`ObjectNote`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Note {
    /// It was on the member before, and is the placement's from now on. It outlives the placement.
    Adopted,
    /// It stays on the member and is nobody's of ours any more.
    Released {
        /// Why it was not deleted.
        why: String,
    },
    /// Another placement of this member has it from now on.
    HandedOver {
        /// Which.
        to: PlacementKey,
    },
    /// It stays the placement's, although it is not selected any more.
    Kept {
        /// What has to go before it can.
        why: String,
    },
    /// It runs once, was made before and is gone: it has finished, or may have.
    Finished,
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Adopted => f.write_str("adopted: it was on the member before"),
            Self::Released { why } => write!(f, "let go: {why}"),
            Self::HandedOver { to } => write!(f, "handed over to {to}"),
            Self::Kept { why } => write!(f, "kept: {why}"),
            Self::Finished => {
                f.write_str("was finished, or may have been, and is gone: not made again")
            }
        }
    }
}

/// See [`ClusterEvent::DeliveryRemoved`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryRemoved {
    /// Whose objects.
    pub placement: PlacementKey,
    /// Of which withdrawal.
    pub generation: u64,
}

/// See [`ClusterEvent::ClusterHeld`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterHeld {
    /// The uid of the MemberCluster object.
    pub uid: String,
    /// Stands for this membership: a confirmation names it, so that it confirms nothing else.
    pub token: String,
    /// In words, with what to do.
    pub message: String,
}

/// See [`ClusterEvent::ClusterHoldEnded`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterHoldEnded {}
