//! Snapshots: the policy and the objects of a placement as they were at one moment.

use k8s_openapi::ByteString;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::{ClusterDecision, PlacementPolicy};
use crate::root::{PLACEMENT_GROUP, spec_kind};
use crate::schema::{self, RawObject};

spec_kind! {
    /// The policy of a ClusterResourcePlacement at one moment, and the clusters chosen for it.
    ClusterSchedulingPolicySnapshot, PLACEMENT_GROUP, "clusterschedulingpolicysnapshots", Cluster,
    PolicySnapshotSpec, PolicySnapshotStatus
}

spec_kind! {
    /// The policy of a ResourcePlacement at one moment, and the clusters chosen for it.
    SchedulingPolicySnapshot, PLACEMENT_GROUP, "schedulingpolicysnapshots", Namespaced,
    PolicySnapshotSpec, PolicySnapshotStatus
}

spec_kind! {
    /// The objects of a ClusterResourcePlacement at one moment, or a part of them.
    ClusterResourceSnapshot, PLACEMENT_GROUP, "clusterresourcesnapshots", Cluster,
    ResourceSnapshotSpec, ResourceSnapshotStatus
}

spec_kind! {
    /// The objects of a ResourcePlacement at one moment, or a part of them.
    ResourceSnapshot, PLACEMENT_GROUP, "resourcesnapshots", Namespaced,
    ResourceSnapshotSpec, ResourceSnapshotStatus
}

/// The most clusters that the status of a policy snapshot lists.
pub const TARGET_CLUSTERS_MAX: usize = 1000;

/// A policy that will not change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicySnapshotSpec {
    /// The policy; absent when the placement has none, which means every cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PlacementPolicy>,
    /// The hash of the policy without numberOfClusters, so that scaling makes no new snapshot.
    #[schemars(schema_with = "schema::bytes")]
    pub policy_hash: ByteString,
}

/// The clusters that were chosen for a policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicySnapshotStatus {
    /// The generation of the placement that the choice was made for.
    #[serde(rename = "observedCRPGeneration")]
    pub observed_placement_generation: i64,
    /// Whether enough clusters were found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The chosen clusters, and some of those that were turned down with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub target_clusters: Vec<ClusterDecision>,
}

/// Objects that will not change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceSnapshotSpec {
    /// The objects, without what the hub's API server adds to them.
    pub selected_resources: Vec<RawObject>,
}

/// The state of a resource snapshot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceSnapshotStatus {
    /// The state of the snapshot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}
