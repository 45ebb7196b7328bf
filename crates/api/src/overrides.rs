//! Overrides: changes to placed objects for some of the clusters.

use k8s_openapi::ByteString;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::root::{PLACEMENT_GROUP, spec_kind};
use crate::selector::{ClusterSelector, NamespacedResourceSelector, ResourceSelector};
use crate::{rules, schema};

spec_kind! {
    /// Changes cluster-scoped objects, or everything in a namespace, for some of the clusters.
    #[schemars(extend("x-kubernetes-validations" = [rules::V24]))]
    ClusterResourceOverride, PLACEMENT_GROUP, "clusterresourceoverrides", Cluster,
    ClusterResourceOverrideSpec
}

spec_kind! {
    /// Changes objects of its own namespace for some of the clusters.
    ResourceOverride, PLACEMENT_GROUP, "resourceoverrides", Namespaced, ResourceOverrideSpec
}

spec_kind! {
    /// A ClusterResourceOverride at one moment.
    ClusterResourceOverrideSnapshot, PLACEMENT_GROUP, "clusterresourceoverridesnapshots", Cluster,
    ClusterResourceOverrideSnapshotSpec
}

spec_kind! {
    /// A ResourceOverride at one moment.
    ResourceOverrideSnapshot, PLACEMENT_GROUP, "resourceoverridesnapshots", Namespaced,
    ResourceOverrideSnapshotSpec
}

/// Which cluster-scoped objects to change, and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [rules::V25]))]
pub struct ClusterResourceOverrideSpec {
    /// The only placement that the override is for; every placement when absent. Cannot be
    /// changed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<PlacementRef>,
    /// The objects to change, by name. A namespace stands for everything in it.
    #[schemars(length(min = 1, max = 20))]
    pub cluster_resource_selectors: Vec<ResourceSelector>,
    /// What to change for which clusters.
    pub policy: OverridePolicy,
}

/// Which namespaced objects to change, and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [rules::V25]))]
pub struct ResourceOverrideSpec {
    /// The only placement that the override is for; every placement when absent. Cannot be
    /// changed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<PlacementRef>,
    /// The objects to change, by name.
    #[schemars(length(min = 1, max = 20))]
    pub resource_selectors: Vec<NamespacedResourceSelector>,
    /// What to change for which clusters.
    pub policy: OverridePolicy,
}

/// A ClusterResourceOverride that will not change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterResourceOverrideSnapshotSpec {
    /// The override.
    pub override_spec: ClusterResourceOverrideSpec,
    /// The hash of the override.
    #[schemars(schema_with = "schema::bytes")]
    pub override_hash: ByteString,
}

/// A ResourceOverride that will not change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceOverrideSnapshotSpec {
    /// The override.
    pub override_spec: ResourceOverrideSpec,
    /// The hash of the override.
    #[schemars(schema_with = "schema::bytes")]
    pub override_hash: ByteString,
}

/// Names a placement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlacementRef {
    /// The name of the placement.
    pub name: String,
    /// Which kind of placement it is.
    #[serde(default)]
    pub scope: PlacementScope,
}

/// Which kind of placement is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PlacementScope {
    /// A ClusterResourcePlacement.
    #[default]
    Cluster,
    /// A ResourcePlacement in the namespace of the override.
    Namespaced,
}

/// What to change for which clusters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OverridePolicy {
    /// The rules, applied in order.
    #[schemars(length(min = 1, max = 20))]
    pub override_rules: Vec<OverrideRule>,
}

/// A change for some of the clusters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OverrideRule {
    /// The clusters, by labels only. Absent takes none, an empty list of terms takes all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_selector: Option<ClusterSelector>,
    /// Whether the objects are changed or left out.
    #[serde(default)]
    pub override_type: OverrideType,
    /// The changes, applied in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 20))]
    pub json_patch_overrides: Vec<JsonPatchOverride>,
}

/// What an override does to objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OverrideType {
    /// Change fields.
    #[default]
    JSONPatch,
    /// Leave the objects out.
    Delete,
}

/// One change of a field, as in JSON Patch (RFC 6902).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JsonPatchOverride {
    /// What to do with the field.
    #[serde(rename = "op")]
    pub operator: JsonPatchOperator,
    /// The field, as a JSON pointer.
    pub path: String,
    /// The new value; not for remove. `${MEMBER-CLUSTER-NAME}` and
    /// `${MEMBER-CLUSTER-LABEL-KEY-<key>}` in it stand for the name and the labels of the cluster.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any_json")]
    pub value: Option<Value>,
}

/// Reads a field that is there, so that a null is a value and not an absence.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// What to do with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JsonPatchOperator {
    /// Add the field, or an item to a list.
    Add,
    /// Remove the field.
    Remove,
    /// Give the field another value.
    Replace,
}
