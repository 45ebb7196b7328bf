//! Taking a placement off one cluster, and how much of that it bears at a time.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::root::{PLACEMENT_GROUP, spec_kind};
use crate::{rules, schema};

spec_kind! {
    /// Takes a ClusterResourcePlacement off one cluster. Judged once, then final.
    ClusterResourcePlacementEviction, PLACEMENT_GROUP, "clusterresourceplacementevictions", Cluster,
    EvictionSpec, EvictionStatus
}

spec_kind! {
    /// Says how many clusters evictions must leave to the ClusterResourcePlacement of the same
    /// name.
    ClusterResourcePlacementDisruptionBudget, PLACEMENT_GROUP,
    "clusterresourceplacementdisruptionbudgets", Cluster, DisruptionBudgetSpec
}

/// What to take off where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EvictionSpec {
    /// The placement. Cannot be changed later.
    #[schemars(length(max = 255), extend("x-kubernetes-validations" = [rules::IMM_PLACEMENT_NAME]))]
    pub placement_name: String,
    /// The cluster. Cannot be changed later.
    #[schemars(length(max = 255), extend("x-kubernetes-validations" = [rules::IMM_CLUSTER_NAME]))]
    pub cluster_name: String,
}

/// What became of an eviction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EvictionStatus {
    /// Whether the eviction made sense and whether it was carried out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// How many clusters must keep a placement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [rules::V26]))]
pub struct DisruptionBudgetSpec {
    /// How many clusters may be without the placement, as a number or a percentage. Not for
    /// PickAll.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        schema_with = "schema::any_int_or_string",
        extend("x-kubernetes-validations" = [rules::V27])
    )]
    pub max_unavailable: Option<IntOrString>,
    /// How many clusters must have the placement, as a number or a percentage. Only a number for
    /// PickAll.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        schema_with = "schema::any_int_or_string",
        extend("x-kubernetes-validations" = [rules::V27])
    )]
    pub min_available: Option<IntOrString>,
}
