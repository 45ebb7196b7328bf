//! Work and AppliedWork: what one member cluster is to hold, and what it holds.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::core::object::HasStatus;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::observed::{DiffDetails, DriftDetails};
use crate::root::{PLACEMENT_GROUP, has_spec, is_default, kind, named, spec_kind};
use crate::schema::{self, RawObject};
use crate::strategy::{ApplyStrategy, ReportBackStrategy};

kind! {
    /// Manifests for one member cluster, in the namespace that the hub keeps for that member.
    Work, PLACEMENT_GROUP, "works", Namespaced {
        /// What the member is to hold.
        #[serde(default, skip_serializing_if = "WorkSpec::is_empty")]
        spec: WorkSpec,
        /// What became of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<WorkStatus>,
    }
}

impl Work {
    /// A Work with this name and spec, and no status yet.
    #[must_use]
    pub fn new(name: &str, spec: WorkSpec) -> Self {
        Self { metadata: named(name), spec, status: None }
    }
}

has_spec!(Work, WorkSpec);

impl HasStatus for Work {
    type Status = WorkStatus;

    fn status(&self) -> Option<&WorkStatus> {
        self.status.as_ref()
    }
    fn status_mut(&mut self) -> &mut Option<WorkStatus> {
        &mut self.status
    }
}

spec_kind! {
    /// Stands on a member cluster for one Work of the hub, and owns the objects that were applied
    /// for it.
    AppliedWork, PLACEMENT_GROUP, "appliedworks", Cluster, AppliedWorkSpec, AppliedWorkStatus
}

/// What a member cluster is to hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkSpec {
    /// The manifests.
    #[serde(default, skip_serializing_if = "is_default")]
    pub workload: Workload,
    /// How the manifests are written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply_strategy: Option<ApplyStrategy>,
    /// Whether the status of the applied objects comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report_back_strategy: Option<ReportBackStrategy>,
}

impl WorkSpec {
    /// Tells whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        is_default(self)
    }

    /// How the manifests are written, with the defaults for what is not set.
    #[must_use]
    pub fn apply_strategy(&self) -> ApplyStrategy {
        self.apply_strategy.clone().unwrap_or_default()
    }
}

/// A list of manifests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    /// The objects to apply, each complete with apiVersion, kind and metadata.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<RawObject>,
}

/// What became of a Work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkStatus {
    /// The state of the Work as a whole.
    #[schemars(schema_with = "schema::plain_conditions")]
    pub conditions: Vec<Condition>,
    /// The state of each manifest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manifest_conditions: Vec<ManifestCondition>,
}

/// What became of one manifest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManifestCondition {
    /// Which manifest this is about.
    pub identifier: WorkResourceIdentifier,
    /// The state of the manifest.
    #[schemars(schema_with = "schema::plain_conditions")]
    pub conditions: Vec<Condition>,
    /// How the object drifted from the manifest, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift_details: Option<DriftDetails>,
    /// How the object differs from the manifest, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff_details: Option<DiffDetails>,
    /// The status of the object on the member, if it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_reported_status: Option<BackReportedStatus>,
}

/// Which manifest of a Work an entry is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkResourceIdentifier {
    /// The position of the manifest in the Work, from zero. The other fields are empty for a
    /// manifest that could not be read.
    pub ordinal: i64,
    /// The API group of the object; empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The API version of the object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The kind of the object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The plural name under which the API server serves the kind.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resource: String,
    /// The namespace of the object; empty for cluster-scoped objects.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The name of the object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// The status of an object on a member cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackReportedStatus {
    /// The object with its status, and nothing of its spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-embedded-resource" = true))]
    pub observed_status: Option<RawObject>,
    /// When the status was read.
    pub observation_time: Time,
}

/// Which Work an AppliedWork stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppliedWorkSpec {
    /// The name of the Work on the hub.
    pub work_name: String,
    /// The namespace of the Work on the hub.
    pub work_namespace: String,
}

/// What was applied for a Work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppliedWorkStatus {
    /// The objects that were applied and still belong to the Work.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applied_resources: Vec<AppliedResource>,
}

/// One object that was applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppliedResource {
    /// The manifest that it came from.
    #[serde(flatten)]
    pub identifier: WorkResourceIdentifier,
    /// The uid of the object on the member, so that a namesake is not mistaken for it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
}
