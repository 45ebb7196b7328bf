//! How a placement reaches its clusters: rolling, applying, deleting and reporting back.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::root::is_default;
use crate::schema;

/// How changes of a placement reach its clusters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStrategy {
    /// Who moves clusters to a new revision. External cannot be changed back.
    #[serde(default, rename = "type")]
    pub rollout_type: RolloutType,
    /// The pace of a rolling update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolling_update: Option<RollingUpdate>,
    /// How objects are written to the clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply_strategy: Option<ApplyStrategy>,
    /// What happens to the placed objects when the placement is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_strategy: Option<DeleteStrategy>,
    /// Whether the status of the placed objects comes back to the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [crate::rules::V16]))]
    pub report_back_strategy: Option<ReportBackStrategy>,
}

impl RolloutStrategy {
    /// The pace of a rolling update, with the defaults for what is not set.
    #[must_use]
    pub fn rolling_update(&self) -> RollingUpdate {
        self.rolling_update.clone().unwrap_or_default()
    }

    /// How objects are written, with the defaults for what is not set.
    #[must_use]
    pub fn apply_strategy(&self) -> ApplyStrategy {
        self.apply_strategy.clone().unwrap_or_default()
    }

    /// What deletion of the placement leaves behind.
    #[must_use]
    pub fn propagation_policy(&self) -> DeletePropagation {
        self.delete_strategy.unwrap_or_default().propagation_policy
    }

    /// Whether and where status is reported back.
    #[must_use]
    pub fn report_back_strategy(&self) -> ReportBackStrategy {
        self.report_back_strategy.unwrap_or_default()
    }
}

/// Who moves the clusters of a placement to a new revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RolloutType {
    /// The hub, a few clusters at a time.
    #[default]
    RollingUpdate,
    /// Staged update runs, started by somebody else.
    External,
}

/// The pace of a rolling update. Percentages are of the number of chosen clusters and round up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RollingUpdate {
    /// How many clusters may be unavailable at a time, as a number or a percentage.
    #[serde(default = "quarter")]
    #[schemars(schema_with = "schema::count_or_percent")]
    pub max_unavailable: IntOrString,
    /// How many clusters more than asked for may hold the placement during the update, as a
    /// number or a percentage.
    #[serde(default = "quarter")]
    #[schemars(schema_with = "schema::count_or_percent")]
    pub max_surge: IntOrString,
    /// How long objects whose availability cannot be tracked count as unavailable.
    #[serde(default = "a_minute")]
    #[schemars(range(min = 0))]
    pub unavailable_period_seconds: i64,
}

fn quarter() -> IntOrString {
    IntOrString::String("25%".to_owned())
}

fn a_minute() -> i64 {
    60
}

impl Default for RollingUpdate {
    fn default() -> Self {
        Self {
            max_unavailable: quarter(),
            max_surge: quarter(),
            unavailable_period_seconds: a_minute(),
        }
    }
}

/// How objects are written to a cluster, and what is done about those that differ.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplyStrategy {
    /// How objects are written.
    #[serde(default, rename = "type")]
    pub apply_type: ApplyType,
    /// Which differences count as drift.
    #[serde(default)]
    pub comparison_option: ComparisonOption,
    /// Whether drift stops an object from being written.
    #[serde(default)]
    pub when_to_apply: WhenToApply,
    /// Whether an object that already exists on the cluster is taken over.
    #[serde(default)]
    pub when_to_take_over: WhenToTakeOver,
    /// Whether objects may have owners other than the fleet.
    #[serde(default, skip_serializing_if = "is_default")]
    pub allow_co_ownership: bool,
    /// Settings for server-side apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_side_apply_config: Option<ServerSideApplyConfig>,
}

/// How objects are written to a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApplyType {
    /// Compare with what was applied last and patch the difference.
    #[default]
    ClientSideApply,
    /// Let the API server of the cluster merge, with field ownership.
    ServerSideApply,
    /// Write nothing, only report what differs.
    ReportDiff,
}

/// Which differences between hub and cluster count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ComparisonOption {
    /// Only fields that the hub sets.
    #[default]
    PartialComparison,
    /// Every field.
    FullComparison,
}

/// When an object is written again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WhenToApply {
    /// Always; drift is overwritten.
    #[default]
    Always,
    /// Only while nobody has changed it on the cluster.
    IfNotDrifted,
}

/// When an object that already exists on a cluster is taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WhenToTakeOver {
    /// Always.
    #[default]
    Always,
    /// Only when it does not differ from what the hub has.
    IfNoDiff,
    /// Never; the object is reported as failed.
    Never,
}

/// Settings for server-side apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerSideApplyConfig {
    /// Take fields away from other managers instead of failing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub force: bool,
}

/// What happens to the placed objects when the placement is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteStrategy {
    /// Whether the objects go with the placement.
    #[serde(default)]
    pub propagation_policy: DeletePropagation,
}

/// Whether placed objects go with their placement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletePropagation {
    /// Leave the objects on the clusters.
    Abandon,
    /// Delete the objects from the clusters.
    #[default]
    Delete,
}

/// Whether and where the status of the placed objects is reported back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportBackStrategy {
    /// Whether status comes back.
    #[serde(default, rename = "type")]
    pub report_back_type: ReportBackType,
    /// Where the status goes. Required with type Mirror.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<ReportBackDestination>,
}

/// Whether the status of placed objects comes back to the hub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReportBackType {
    /// Status stays on the clusters.
    #[default]
    Disabled,
    /// The status is copied to the hub as it is.
    Mirror,
}

/// Where reported status goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReportBackDestination {
    /// To the object on the hub that was placed.
    OriginalResource,
    /// To the Work object of the cluster only.
    WorkAPI,
}
