//! Staged updates: the strategy, the run that follows it and the approvals that it waits for.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::observed::NamespacedName;
use crate::root::{PLACEMENT_GROUP, spec_kind};
use crate::strategy::ApplyStrategy;
use crate::{rules, schema};

spec_kind! {
    /// The stages in which clusters are moved, for ClusterStagedUpdateRuns to follow.
    ClusterStagedUpdateStrategy, PLACEMENT_GROUP, "clusterstagedupdatestrategies", Cluster,
    UpdateStrategySpec
}

spec_kind! {
    /// The stages in which clusters are moved, for StagedUpdateRuns to follow.
    StagedUpdateStrategy, PLACEMENT_GROUP, "stagedupdatestrategies", Namespaced, UpdateStrategySpec
}

spec_kind! {
    /// Moves the clusters of a ClusterResourcePlacement to a snapshot, stage by stage.
    #[schemars(extend("x-kubernetes-validations" = [rules::V1]))]
    ClusterStagedUpdateRun, PLACEMENT_GROUP, "clusterstagedupdateruns", Cluster,
    UpdateRunSpec, UpdateRunStatus
}

spec_kind! {
    /// Moves the clusters of a ResourcePlacement to a snapshot, stage by stage.
    #[schemars(extend("x-kubernetes-validations" = [rules::V1]))]
    StagedUpdateRun, PLACEMENT_GROUP, "stagedupdateruns", Namespaced,
    UpdateRunSpec, UpdateRunStatus
}

spec_kind! {
    /// Asks whether a ClusterStagedUpdateRun may go on. Add the condition `Approved` to agree.
    ClusterApprovalRequest, PLACEMENT_GROUP, "clusterapprovalrequests", Cluster,
    ApprovalRequestSpec, ApprovalRequestStatus
}

spec_kind! {
    /// Asks whether a StagedUpdateRun may go on. Add the condition `Approved` to agree.
    ApprovalRequest, PLACEMENT_GROUP, "approvalrequests", Namespaced,
    ApprovalRequestSpec, ApprovalRequestStatus
}

/// The stages of an update, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateStrategySpec {
    /// The stages. Every cluster of the placement must be in exactly one of them.
    #[schemars(length(max = 31))]
    pub stages: Vec<StageConfig>,
}

/// One stage of an update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StageConfig {
    /// The name of the stage, in lower-case letters and digits.
    #[schemars(length(max = 63), regex(pattern = "^[a-z0-9]+$"))]
    pub name: String,
    /// The clusters of the stage; every cluster when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub label_selector: Option<LabelSelector>,
    /// The cluster label with a number by which clusters take their turn; by name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sorting_label_key: Option<String>,
    /// How many clusters are moved at the same time, as a number or as a percentage of the
    /// clusters in the stage. Percentages round down, but at least one cluster moves.
    #[serde(default = "one_cluster")]
    #[schemars(
        schema_with = "schema::positive_count_or_percent",
        extend("x-kubernetes-validations" = [rules::V23])
    )]
    pub max_concurrency: IntOrString,
    /// What to wait for before the stage starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1), transform = checked_before)]
    pub before_stage_tasks: Vec<StageTask>,
    /// What to wait for after the last cluster of the stage; both when there are two.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2), transform = checked_after)]
    pub after_stage_tasks: Vec<StageTask>,
}

fn checked_before(schema: &mut schemars::Schema) {
    schema::items_obey(schema, &[rules::V20, rules::V22]);
}

fn checked_after(schema: &mut schemars::Schema) {
    schema::items_obey(schema, &[rules::V20, rules::V21]);
}

fn one_cluster() -> IntOrString {
    IntOrString::Int(1)
}

impl StageConfig {
    /// A stage with this name and nothing else set: every cluster, one at a time, no waiting.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            label_selector: None,
            sorting_label_key: None,
            max_concurrency: one_cluster(),
            before_stage_tasks: Vec::new(),
            after_stage_tasks: Vec::new(),
        }
    }
}

/// Something to wait for between stages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StageTask {
    /// What to wait for.
    #[serde(rename = "type")]
    pub task_type: StageTaskType,
    /// How long to wait, such as `1h30m`. For TimedWait only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = schema::DURATION))]
    pub wait_time: Option<String>,
}

impl StageTask {
    /// How long to wait; none when it is not set or not a duration.
    #[must_use]
    pub fn wait_time(&self) -> Option<std::time::Duration> {
        let duration: Duration = self.wait_time.as_ref()?.parse().ok()?;
        (!duration.is_negative()).then(|| duration.into())
    }
}

/// What an update waits for between stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StageTaskType {
    /// Time to pass.
    TimedWait,
    /// Somebody to agree.
    Approval,
}

/// Which placement to update, to what, and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rules::V17, rules::V18, rules::V19, rules::IMM_SNAPSHOT_INDEX,
]))]
pub struct UpdateRunSpec {
    /// The placement to update; its strategy must be External. Cannot be changed later.
    #[schemars(length(max = 255), extend("x-kubernetes-validations" = [rules::IMM_PLACEMENT_NAME]))]
    pub placement_name: String,
    /// The index of the resource snapshot to move to. When absent, a snapshot is taken as the
    /// run starts. Cannot be changed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_snapshot_index: Option<String>,
    /// The strategy whose stages to follow. Cannot be changed later.
    #[schemars(extend("x-kubernetes-validations" = [rules::IMM_STRATEGY_NAME]))]
    pub staged_rollout_strategy_name: String,
    /// What the run is to do. From Initialize to Run, and between Run and Stop.
    #[serde(default)]
    pub state: UpdateRunState,
}

/// What an update run is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpdateRunState {
    /// Make the plan and wait.
    #[default]
    Initialize,
    /// Follow the plan.
    Run,
    /// Finish the clusters under way and wait.
    Stop,
}

/// How far an update run has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateRunStatus {
    /// The index of the policy snapshot whose clusters are updated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_snapshot_index_used: Option<String>,
    /// How many clusters that policy asked for when the plan was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_observed_cluster_count: Option<i64>,
    /// The index of the resource snapshot that clusters move to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_snapshot_index_used: Option<String>,
    /// How objects are written during the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_strategy: Option<ApplyStrategy>,
    /// The strategy as it was when the plan was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staged_update_strategy_snapshot: Option<UpdateStrategySpec>,
    /// The stages, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages_status: Vec<StageUpdatingStatus>,
    /// The last stage, which removes what is no longer placed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_stage_status: Option<StageUpdatingStatus>,
    /// The state of the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// How far a stage has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StageUpdatingStatus {
    /// The name of the stage.
    pub stage_name: String,
    /// The clusters of the stage, in order.
    pub clusters: Vec<ClusterUpdatingStatus>,
    /// What is waited for before the stage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1))]
    pub before_stage_task_status: Vec<StageTaskStatus>,
    /// What is waited for after the stage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    pub after_stage_task_status: Vec<StageTaskStatus>,
    /// When the stage started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When the stage ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Time>,
    /// The state of the stage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// How far the update of a cluster has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterUpdatingStatus {
    /// The cluster.
    pub cluster_name: String,
    /// The namespaced override snapshots that the cluster gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resource_override_snapshots: Vec<NamespacedName>,
    /// The cluster-scoped override snapshots that the cluster gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cluster_resource_override_snapshots: Vec<String>,
    /// The state of the update.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// Whether what a stage waits for has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StageTaskStatus {
    /// What is waited for.
    #[serde(rename = "type")]
    pub task_type: StageTaskType,
    /// The approval request, for tasks of type Approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_request_name: Option<String>,
    /// The state of the task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// What there is to approve.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [rules::IMM_SPEC]))]
pub struct ApprovalRequestSpec {
    /// The update run that waits.
    pub parent_stage_rollout: String,
    /// The stage that it waits for.
    pub target_stage: String,
}

/// Whether it has been approved.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalRequestStatus {
    /// `Approved`, set by a user, and `ApprovalAccepted`, set when it was acted on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}
