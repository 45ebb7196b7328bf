//! The present: the hub, its placements and its clusters.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Readiness;

/// A hub at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HubStatus {
    /// The name of this node.
    pub node: String,
    /// The version of Taffrail that it runs.
    pub version: String,
    /// Since when it runs.
    pub started_at: String,
    /// The deployment that the log belongs to.
    pub deployment: String,
    /// Whether it can do its work.
    pub readiness: Readiness,
    /// How many partitions the log has.
    pub partitions: u16,
    /// The partitions that this node owns.
    pub owned: Vec<OwnedPartition>,
    /// The last position of each partition that was folded.
    pub watermark: BTreeMap<String, u64>,
    /// How many records of the log did not count, ever.
    pub records_rejected: u64,
    /// The newest of them in each partition that has some.
    #[serde(default)]
    pub rejections: Vec<PartitionRejections>,
    /// Orders to members that are not done, whichever hub carries them out.
    pub effects_waiting: usize,
    /// The objects on the hub that placements may select.
    pub index: IndexView,
    /// The clusters, counted.
    pub clusters: ClusterCounts,
    /// The placements, counted.
    pub placements: PlacementCounts,
}

/// Records of one partition of the log that did not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PartitionRejections {
    /// The partition.
    pub partition: u16,
    /// How many there were.
    pub count: u64,
    /// The newest, the oldest of them first.
    pub newest: Vec<RejectedRecord>,
}

/// A record of the log that did not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RejectedRecord {
    /// Where it stands in its partition.
    pub offset: u64,
    /// Why it did not count.
    pub reason: String,
}

/// A partition and the number of its ownership.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnedPartition {
    /// The partition.
    pub partition: u16,
    /// Rises with each owner.
    pub epoch: u64,
}

/// The objects on the hub that placements may select.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IndexView {
    /// How many kinds are watched.
    pub kinds: usize,
    /// How many objects are known.
    pub objects: usize,
    /// Kinds that were not listed yet.
    pub unsynced: Vec<String>,
}

/// The clusters, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterCounts {
    /// Those with a MemberCluster object.
    pub members: usize,
    /// Of these, those that have joined.
    pub joined: usize,
    /// Of these, those that are unwell.
    pub unhealthy: usize,
}

/// The placements and their targets, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlacementCounts {
    /// Those that exist.
    pub placements: usize,
    /// Clusters that they are on, or are to be on.
    pub targets: usize,
    /// Of these, those where everything is available.
    pub available: usize,
    /// Of these, those where something could not be applied.
    pub failed: usize,
}

/// How far a placement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum PlacementPhase {
    /// It was not scheduled yet.
    Pending,
    /// Its specification cannot be followed; what was decided before stays.
    Refused,
    /// The policy cannot be fulfilled.
    Unfulfilled,
    /// Some clusters do not hold it yet.
    Progressing,
    /// Something could not be applied somewhere.
    Failed,
    /// Everything is available everywhere.
    Available,
    /// Everything that it placed is being removed.
    Deleting,
    /// The hub's Kubernetes API lost something of it: nothing moves until that is explained.
    Held,
}

/// A member that holds a placement for a newer order than the one on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FenceView {
    /// The placement: `placement/cluster/web`.
    pub placement: String,
    /// The member.
    pub cluster: String,
    /// The order that the member holds it for.
    pub holder: String,
    /// The latest order on record.
    pub own: String,
    /// Stands for exactly this; an answer names it.
    pub token: String,
    /// In words, with what to do.
    pub message: String,
}

/// Something that is held because the hub's Kubernetes API lost it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldView {
    /// What: `placement/cluster/web`, `cluster/eu-1`.
    pub aggregate: String,
    /// What was lost: `ObjectGone`, `ObjectWentBack`, `SelectionGone`.
    pub reason: String,
    /// Stands for exactly what was lost; an answer names it.
    pub token: String,
    /// In words, with what to do.
    pub message: String,
    /// Since when.
    pub since: String,
}

/// A placement in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlacementSummary {
    /// `cluster`, or `ns.` and a namespace.
    pub scope: String,
    /// Its name.
    pub name: String,
    /// How far it is.
    pub phase: PlacementPhase,
    /// The generation of the object that is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// The latest revision of what it selects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// How many objects that revision has.
    pub objects: u32,
    /// How many clusters were chosen.
    pub chosen: usize,
    /// On how many of them everything is available.
    pub available: usize,
    /// On how many of them something could not be applied.
    pub failed: usize,
    /// In words.
    pub message: String,
    /// When it last moved.
    pub changed_at: String,
}

/// A placement with all its targets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlacementDetail {
    /// In short.
    pub summary: PlacementSummary,
    /// Why the latest specification cannot be followed, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<ProblemView>,
    /// The clusters that it is on, or is leaving.
    pub targets: Vec<TargetView>,
}

/// Why a specification cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemView {
    /// The generation of the object that says so.
    pub generation: i64,
    /// A condition reason of the public API.
    pub reason: String,
    /// In words, with what to change.
    pub message: String,
    /// Since when.
    pub since: String,
}

/// A placement on one cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TargetView {
    /// The cluster.
    pub cluster: String,
    /// How far it is: `Moving`, `Assigned`, `ApplyFailed`, `Applied`, `Available`,
    /// `AvailableUntracked`, `Removing` or `Removed`.
    pub phase: String,
    /// The revision that it should hold; absent when it is being removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// The number of the latest move.
    pub generation: u64,
    /// When it last moved or progressed.
    pub since: String,
    /// The event that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// What else is to be known of it, such as objects that were adopted or are kept.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remark: String,
    /// What is not as it should be.
    pub failures: Vec<FailureView>,
}

/// An object that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailureView {
    /// Which object.
    pub object: String,
    /// A manifest condition reason of the public API.
    pub reason: String,
    /// In words.
    pub message: String,
}

/// Where a cluster stands with the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum ClusterPhase {
    /// Its MemberCluster is there, its link is not, or does not work.
    Joining,
    /// It is a member and well.
    Healthy,
    /// It is a member and does not answer, or says that it is unwell.
    Unhealthy,
    /// It was a member once.
    Left,
}

/// A cluster in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSummary {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub phase: ClusterPhase,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its taints.
    pub taints: Vec<ClusterTaint>,
    /// The version of its API server when it joined.
    pub kubernetes_version: String,
    /// When it joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined_at: Option<String>,
    /// How many placements it holds, or should.
    pub deliveries: usize,
    /// What is wrong, if something is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Keeps placements away from a cluster. The effect is always NoSchedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterTaint {
    /// The key.
    pub key: String,
    /// The value; may be empty.
    pub value: String,
}

/// A cluster with everything that it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterDetail {
    /// In short.
    pub summary: ClusterSummary,
    /// What makes the cluster that cluster, whatever its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// What it offers, by the public names of the properties.
    pub properties: BTreeMap<String, String>,
    /// What it holds, or should.
    pub deliveries: Vec<DeliveryView>,
}

/// A placement, seen from the cluster that holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryView {
    /// Which placement: `cluster/web` or `ns.team-a/web`.
    pub placement: String,
    /// How far it is: `Assigned`, `Failed`, `Applied`, `Available` or `Withdrawn`.
    pub phase: String,
    /// The number of the latest order.
    pub generation: u64,
    /// The revision that it should hold; absent when it is being removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// What is not as it should be.
    pub failures: Vec<FailureView>,
}
