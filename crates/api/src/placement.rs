//! ClusterResourcePlacement and ResourcePlacement: what goes where.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::observed::{
    DiffedPlacement, DriftedPlacement, FailedPlacement, NamespacedName, ResourceIdentifier,
};
use crate::policy::{self, PlacementPolicy};
use crate::root::{PLACEMENT_GROUP, kind, spec_kind};
use crate::selector::ResourceSelector;
use crate::strategy::RolloutStrategy;
use crate::{rules, schema};

spec_kind! {
    /// Places cluster-scoped objects, and whole namespaces, on member clusters.
    ClusterResourcePlacement, PLACEMENT_GROUP, "clusterresourceplacements", Cluster,
    PlacementSpec, PlacementStatus
}

spec_kind! {
    /// Places objects of its own namespace on member clusters. The namespace must already be
    /// there.
    ResourcePlacement, PLACEMENT_GROUP, "resourceplacements", Namespaced,
    PlacementSpec, PlacementStatus
}

kind! {
    /// A copy of the status of a ClusterResourcePlacement, in the namespace that it places, for
    /// people who may not read cluster-scoped objects.
    ClusterResourcePlacementStatus, PLACEMENT_GROUP, "clusterresourceplacementstatuses", Namespaced {
        /// The status of the placement with the same name.
        source_status: PlacementStatus,
        /// When the copy was last written.
        last_updated_time: Time,
    }
}

/// What to place, where, and how to get it there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rules::V2, rules::V3, rules::V4, rules::V5, rules::V6, rules::V7, rules::V15,
]))]
pub struct PlacementSpec {
    /// The objects to place. An object is placed when any of the selectors takes it; two
    /// selectors must not take the same object.
    #[schemars(length(min = 1, max = 100), transform = name_or_labels)]
    pub resource_selectors: Vec<ResourceSelector>,
    /// Which clusters to place them on; every cluster when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = policy::checked)]
    pub policy: Option<PlacementPolicy>,
    /// How changes reach the clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<RolloutStrategy>,
    /// How many old snapshots of policy and objects are kept.
    #[serde(default = "history")]
    #[schemars(range(min = 1, max = 1000))]
    pub revision_history_limit: i32,
    /// Whether the status is also copied into the placed namespace. Only cluster-scoped
    /// placements act on it.
    #[serde(default)]
    pub status_reporting_scope: StatusReportingScope,
}

fn name_or_labels(schema: &mut schemars::Schema) {
    schema::items_obey(schema, &[rules::V8]);
}

fn history() -> i32 {
    10
}

impl Default for PlacementSpec {
    fn default() -> Self {
        Self {
            resource_selectors: Vec::new(),
            policy: None,
            strategy: None,
            revision_history_limit: history(),
            status_reporting_scope: StatusReportingScope::default(),
        }
    }
}

impl PlacementSpec {
    /// The policy, with the default (every cluster) when none is set.
    #[must_use]
    pub fn policy(&self) -> PlacementPolicy {
        self.policy.clone().unwrap_or_default()
    }

    /// The strategy, with the defaults for what is not set.
    #[must_use]
    pub fn strategy(&self) -> RolloutStrategy {
        self.strategy.clone().unwrap_or_default()
    }
}

/// Who can read the status of a placement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StatusReportingScope {
    /// Only those who can read the placement.
    #[default]
    ClusterScopeOnly,
    /// Also those who can read the placed namespace, in a ClusterResourcePlacementStatus.
    NamespaceAccessible,
}

/// What became of a placement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlacementStatus {
    /// The objects that the selectors take now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub selected_resources: Vec<ResourceIdentifier>,
    /// The index of the snapshot that the clusters hold or are moving to. Empty while different
    /// clusters hold different snapshots on purpose.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub observed_resource_index: String,
    /// The state of each chosen cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub placement_statuses: Vec<PerClusterPlacementStatus>,
    /// The state of the placement as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// What became of a placement on one cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PerClusterPlacementStatus {
    /// The cluster; empty for an entry that says why no cluster was found.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cluster_name: String,
    /// The namespaced overrides that apply to this cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applicable_resource_overrides: Vec<NamespacedName>,
    /// The cluster-scoped overrides that apply to this cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applicable_cluster_resource_overrides: Vec<String>,
    /// Objects that could not be placed on this cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub failed_placements: Vec<FailedPlacement>,
    /// Objects that were changed on this cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub drifted_placements: Vec<DriftedPlacement>,
    /// Objects on this cluster that differ from the hub.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub diffed_placements: Vec<DiffedPlacement>,
    /// The index of the snapshot that this cluster holds or is moving to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub observed_resource_index: String,
    /// The state of the placement on this cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}
