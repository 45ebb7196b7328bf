//! What was found on a cluster: failed, drifted and differing objects, in the shapes that the
//! statuses of placements, bindings and works share.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// The most entries of each per-cluster list of failed, drifted or differing objects.
pub const OBSERVED_PLACEMENTS_MAX: usize = 100;

/// The name of a namespaced object.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct NamespacedName {
    /// The namespace of the object.
    pub namespace: String,
    /// The name of the object.
    pub name: String,
}

/// Which object of a placement an entry is about.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct ResourceIdentifier {
    /// The API group of the object; empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The API version of the object.
    pub version: String,
    /// The kind of the object.
    pub kind: String,
    /// The name of the object.
    pub name: String,
    /// The namespace of the object; empty for cluster-scoped objects.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The envelope that holds the object, if it is in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envelope: Option<EnvelopeIdentifier>,
}

/// Names an envelope.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct EnvelopeIdentifier {
    /// The name of the envelope.
    pub name: String,
    /// The namespace of the envelope; empty for cluster-scoped ones.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The kind of the envelope.
    #[serde(default, rename = "type")]
    pub envelope_type: EnvelopeType,
}

/// The kinds of envelope.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum EnvelopeType {
    /// A config map with a marker; no longer made, kept for old statuses.
    #[default]
    ConfigMap,
    /// A ClusterResourceEnvelope.
    ClusterResourceEnvelope,
    /// A ResourceEnvelope.
    ResourceEnvelope,
}

/// An object that could not be placed on a cluster, with the condition that says why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailedPlacement {
    /// The object.
    #[serde(flatten)]
    pub resource: ResourceIdentifier,
    /// What failed.
    #[schemars(schema_with = "schema::condition")]
    pub condition: Condition,
}

/// An object that somebody changed on a cluster after it was placed there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftedPlacement {
    /// The object.
    #[serde(flatten)]
    pub resource: ResourceIdentifier,
    /// When the drift was last looked at.
    pub observation_time: Time,
    /// The generation of the object on the cluster at that time.
    pub target_cluster_observed_generation: i64,
    /// When the drift was first seen.
    pub first_drifted_observed_time: Time,
    /// What has drifted; may be incomplete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed_drifts: Vec<PatchDetail>,
}

/// An object on a cluster that differs from the one on the hub.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiffedPlacement {
    /// The object.
    #[serde(flatten)]
    pub resource: ResourceIdentifier,
    /// When the difference was last looked at.
    pub observation_time: Time,
    /// The generation of the object on the cluster at that time; absent when it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_cluster_observed_generation: Option<i64>,
    /// When the difference was first seen.
    pub first_diffed_observed_time: Time,
    /// What differs; may be incomplete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed_diffs: Vec<PatchDetail>,
}

/// One field that differs between hub and cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PatchDetail {
    /// The field, as a JSON pointer.
    pub path: String,
    /// Its value on the cluster; absent when the field is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_in_member: Option<String>,
    /// Its value on the hub; absent when the field is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_in_hub: Option<String>,
}

/// How one manifest differs from the object on the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiffDetails {
    /// When the difference was last looked at.
    pub observation_time: Time,
    /// The generation of the object on the cluster at that time; absent when it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_in_member_cluster_generation: Option<i64>,
    /// When the difference was first seen.
    pub first_diffed_observed_time: Time,
    /// What differs; may be incomplete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed_diffs: Vec<PatchDetail>,
}

/// How the object on the cluster drifted from the manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftDetails {
    /// When the drift was last looked at.
    pub observation_time: Time,
    /// The generation of the object on the cluster at that time.
    pub observed_in_member_cluster_generation: i64,
    /// When the drift was first seen.
    pub first_drifted_observed_time: Time,
    /// What has drifted; may be incomplete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed_drifts: Vec<PatchDetail>,
}
