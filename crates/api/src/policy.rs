//! Where a placement goes: which clusters may hold it and how many of them do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::root::is_default;
use crate::rules;
use crate::schema;
use crate::selector::{ClusterSelector, ClusterSelectorTerm};

/// Chooses the clusters of a placement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlacementPolicy {
    /// How clusters are chosen. Cannot be changed later.
    #[serde(default)]
    pub placement_type: PlacementType,
    /// The clusters of a PickFixed placement, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub cluster_names: Vec<String>,
    /// How many clusters a PickN placement takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub number_of_clusters: Option<i32>,
    /// Which clusters qualify and which are preferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// How a PickN placement is spread over the values of a cluster label.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// The taints that do not keep this placement away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub tolerations: Vec<Toleration>,
}

/// The rules of a policy that a user writes. Snapshots of a policy do not check them again.
pub(crate) fn checked(schema: &mut schemars::Schema) {
    schema::obey(
        schema,
        &[
            rules::V9,
            rules::V10_AFFINITY,
            rules::V10_NUMBER,
            rules::V10_SPREAD,
            rules::V10_TOLERATIONS,
            rules::V11_NAMES,
            rules::V11_NUMBER,
            rules::V11_SPREAD,
            rules::V12_NAMES,
            rules::V12_NUMBER,
        ],
    );
}

/// How the clusters of a placement are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PlacementType {
    /// Every cluster that qualifies.
    #[default]
    PickAll,
    /// The best clusters, as many as numberOfClusters says.
    PickN,
    /// The clusters listed in clusterNames.
    PickFixed,
}

/// Rules that draw a placement to clusters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Affinity {
    /// Rules about the clusters themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_affinity: Option<ClusterAffinity>,
}

/// Which clusters qualify, and which of them are preferred. Judged when clusters are chosen: a
/// cluster that stops matching later keeps what it has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterAffinity {
    /// What a cluster must match to be chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_during_scheduling_ignored_during_execution: Option<ClusterSelector>,
    /// What makes one cluster better than another; only PickN ranks clusters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preferred_during_scheduling_ignored_during_execution: Vec<PreferredClusterSelector>,
}

/// A preference and how much it counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreferredClusterSelector {
    /// The score of a full match; negative to avoid such clusters.
    #[schemars(range(min = -100, max = 100))]
    pub weight: i32,
    /// What to look for.
    pub preference: ClusterSelectorTerm,
}

/// Spreads a placement over the values of a cluster label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopologySpreadConstraint {
    /// By how many clusters one value may be ahead of another.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub max_skew: i32,
    /// The cluster label whose values are the domains.
    pub topology_key: String,
    /// What to do with a cluster that would break the constraint.
    #[serde(default)]
    pub when_unsatisfiable: WhenUnsatisfiable,
}

fn one() -> i32 {
    1
}

/// What to do with a cluster that would break a spread constraint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WhenUnsatisfiable {
    /// Leave the cluster out.
    #[default]
    DoNotSchedule,
    /// Take the cluster only when nothing better is left.
    ScheduleAnyway,
}

/// Lets a placement onto clusters with a matching taint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [rules::V13, rules::V14]))]
pub struct Toleration {
    /// The key of the taint. Empty with operator Exists tolerates every taint.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// How the taint is compared.
    #[serde(default)]
    pub operator: TolerationOperator,
    /// The value of the taint, for operator Equal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// The effect of the taint; empty tolerates every effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
}

/// How a toleration is compared with a taint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TolerationOperator {
    /// Key and value are equal.
    #[default]
    Equal,
    /// The key is present, with any value.
    Exists,
}

/// What a taint does to placements that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// Keeps new placements away; those already there stay.
    NoSchedule,
}

/// Why a cluster was or was not chosen, and how it scored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterDecision {
    /// The cluster that was judged.
    pub cluster_name: String,
    /// Whether the cluster was chosen.
    pub selected: bool,
    /// The score of the cluster, when it was scored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_score: Option<ClusterScore>,
    /// Why it was chosen or not, for people to read.
    pub reason: String,
}

/// How a cluster scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterScore {
    /// The sum of the preferences that the cluster met.
    #[serde(default, skip_serializing_if = "is_default")]
    pub affinity_score: i32,
    /// What topology spreading added or took away.
    #[serde(default, skip_serializing_if = "is_default")]
    pub priority_score: i32,
}
