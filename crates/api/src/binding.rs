//! Bindings: a placement on one cluster, with the snapshot that the cluster is to hold.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::observed::{DiffedPlacement, DriftedPlacement, FailedPlacement, NamespacedName};
use crate::policy::ClusterDecision;
use crate::root::{PLACEMENT_GROUP, spec_kind};
use crate::schema;
use crate::strategy::ApplyStrategy;

spec_kind! {
    /// A ClusterResourcePlacement on one cluster.
    ClusterResourceBinding, PLACEMENT_GROUP, "clusterresourcebindings", Cluster,
    BindingSpec, BindingStatus
}

spec_kind! {
    /// A ResourcePlacement on one cluster.
    ResourceBinding, PLACEMENT_GROUP, "resourcebindings", Namespaced, BindingSpec, BindingStatus
}

/// What one cluster is to hold of a placement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BindingSpec {
    /// `Scheduled` (chosen), `Bound` (to be filled) or `Unscheduled` (to be emptied).
    pub state: String,
    /// The first chunk of the resource snapshot that the cluster is to hold.
    pub resource_snapshot_name: String,
    /// The namespaced override snapshots that apply to the cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resource_override_snapshots: Vec<NamespacedName>,
    /// The cluster-scoped override snapshots that apply to the cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cluster_resource_override_snapshots: Vec<String>,
    /// The policy snapshot for which the cluster was chosen.
    pub scheduling_policy_snapshot_name: String,
    /// The cluster.
    pub target_cluster: String,
    /// Why the cluster was chosen.
    pub cluster_decision: ClusterDecision,
    /// How objects are written to the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply_strategy: Option<ApplyStrategy>,
}

impl BindingSpec {
    /// How objects are written, with the defaults for what is not set.
    #[must_use]
    pub fn apply_strategy(&self) -> ApplyStrategy {
        self.apply_strategy.clone().unwrap_or_default()
    }
}

/// What became of a placement on one cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BindingStatus {
    /// Objects that could not be placed on the cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub failed_placements: Vec<FailedPlacement>,
    /// Objects that were changed on the cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub drifted_placements: Vec<DriftedPlacement>,
    /// Objects on the cluster that differ from the hub.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub diffed_placements: Vec<DiffedPlacement>,
    /// The state of the placement on the cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}
