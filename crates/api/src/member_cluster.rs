//! MemberCluster and InternalMemberCluster: a cluster of the fleet, and its agent's side of it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::TaintEffect;
use crate::root::{CLUSTER_GROUP, spec_kind};
use crate::rules;
use crate::schema::{self, Quantity};

spec_kind! {
    /// A cluster of the fleet.
    #[schemars(extend("x-kubernetes-validations" = [rules::V1]))]
    MemberCluster, CLUSTER_GROUP, "memberclusters", Cluster, MemberClusterSpec, MemberClusterStatus
}

spec_kind! {
    /// What the agent of a member cluster reports, in the namespace that the hub keeps for that
    /// member.
    InternalMemberCluster, CLUSTER_GROUP, "internalmemberclusters", Namespaced,
    InternalMemberClusterSpec, MemberClusterStatus
}

/// The type of the one agent status that the hub looks at.
pub const MEMBER_AGENT: &str = "MemberAgent";

/// How a cluster takes part in the fleet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberClusterSpec {
    /// Who may act for this cluster on the hub.
    pub identity: Subject,
    /// How often the agent reports that it is alive.
    #[serde(default = "a_minute")]
    #[schemars(range(min = 1, max = 600))]
    pub heartbeat_period_seconds: i32,
    /// Keeps away placements that do not tolerate them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub taints: Vec<Taint>,
    /// What is checked before the cluster may leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_options: Option<DeleteOptions>,
}

fn a_minute() -> i32 {
    60
}

impl MemberClusterSpec {
    /// A cluster for which this subject may act, with the defaults for the rest.
    #[must_use]
    pub fn new(identity: Subject) -> Self {
        Self {
            identity,
            heartbeat_period_seconds: a_minute(),
            taints: Vec::new(),
            delete_options: None,
        }
    }

    /// What is checked before the cluster may leave.
    #[must_use]
    pub fn validation_mode(&self) -> DeleteValidationMode {
        self.delete_options.unwrap_or_default().validation_mode
    }
}

/// A user, group or service account, in the words of Kubernetes RBAC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// `User`, `Group` or `ServiceAccount`.
    pub kind: String,
    /// The API group of the kind; empty for service accounts.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_group: String,
    /// The name of the subject.
    pub name: String,
    /// The namespace of a service account.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

/// Keeps placements away from a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Taint {
    /// The key of the taint.
    pub key: String,
    /// The value of the taint.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// What happens to placements that do not tolerate it.
    pub effect: TaintEffect,
}

/// What is checked before a cluster may leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteOptions {
    /// Whether deletion is refused while others depend on the cluster.
    #[serde(default)]
    pub validation_mode: DeleteValidationMode,
}

/// Whether deletion of a cluster is refused while others depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeleteValidationMode {
    /// Delete without looking.
    Skip,
    /// Refuse while the cluster still exports services.
    #[default]
    Strict,
}

/// What the hub asks of the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InternalMemberClusterSpec {
    /// `Join` or `Leave`.
    pub state: String,
    /// How often the agent reports that it is alive.
    #[serde(default = "a_minute")]
    #[schemars(range(min = 1, max = 600))]
    pub heartbeat_period_seconds: i32,
}

/// The cluster is to join, or to stay.
pub const STATE_JOIN: &str = "Join";
/// The cluster is to leave.
pub const STATE_LEAVE: &str = "Leave";

/// What is known about a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberClusterStatus {
    /// The state of the membership.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// What the cluster publishes about itself, by property name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, PropertyValue>,
    /// The namespaces of the cluster, each with the name of the fleet object that made it, if
    /// any. At most 200 are listed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub namespaces: BTreeMap<String, String>,
    /// How much of each resource the cluster has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_usage: Option<ResourceUsage>,
    /// What the agents of the cluster report about themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agent_status: Vec<AgentStatus>,
}

/// One published fact about a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PropertyValue {
    /// The value; a quantity wherever it is compared.
    pub value: String,
    /// When the value was collected.
    pub observation_time: Time,
}

/// How much of each resource a cluster has, by resource name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceUsage {
    /// The sum over all nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capacity: BTreeMap<String, Quantity>,
    /// What of that can be given to pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub allocatable: BTreeMap<String, Quantity>,
    /// What of that no pod has requested yet.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub available: BTreeMap<String, Quantity>,
    /// When this was collected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observation_time: Option<Time>,
}

/// What one agent of a cluster reports about itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentStatus {
    /// Which agent this is, for example `MemberAgent`.
    #[serde(rename = "type")]
    pub agent_type: String,
    /// The state of the agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// When the agent last reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_received_heartbeat: Option<Time>,
}
