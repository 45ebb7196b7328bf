//! Why a placement is where it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ProblemView, TargetView};

/// The decision record behind where a placement is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Why {
    /// The placement: `cluster/web` or `ns.team-a/web`.
    pub placement: String,
    /// The latest scheduling decision. Absent when there was none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionView>,
    /// Why the latest specification cannot be followed; the decision before it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<ProblemView>,
    /// What was decided about the cluster that was asked for, or about all that were considered.
    pub clusters: Vec<ClusterWhy>,
}

/// A scheduling decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionView {
    /// Where the decision record stands in the log.
    pub position: String,
    /// When it was decided.
    pub time: String,
    /// The version of the scheduling algorithm.
    pub algorithm: u32,
    /// The generation of the specification that was followed.
    pub generation: i64,
    /// The number of the policy that was followed.
    pub policy_index: u32,
    /// Whether the policy could be fulfilled.
    pub fulfilled: bool,
    /// The outcome in words.
    pub message: String,
    /// How much of the log the scheduler had seen of the fleet, by partition.
    pub watermark: BTreeMap<String, u64>,
    /// What was asked, and by whom.
    pub command: CommandView,
}

/// The command that was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommandView {
    /// Names the command.
    pub id: String,
    /// What it asked, such as `SubmitPlacement`. Absent when it stands in a partition that was not
    /// read that far yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Who asked.
    pub principal: String,
    /// The event that led to it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation: Option<String>,
    /// Ties together everything that one input set in motion.
    pub correlation: String,
}

/// What was decided about one cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterWhy {
    /// The cluster.
    pub cluster: String,
    /// Whether it was chosen.
    pub chosen: bool,
    /// The verdict: `Matches`, `LabelsDoNotMatch` and so on; `NotConsidered` when the decision
    /// says nothing about the cluster.
    pub reason: String,
    /// In words.
    pub text: String,
    /// What the cluster holds now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetView>,
}
