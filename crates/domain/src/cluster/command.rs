//! What may be asked of a cluster, and why it may say no.

use std::collections::BTreeMap;

use events::cluster::{
    ApplyStrategy, Labels, LinkProblem, ObjectFailure, ObjectNote, Progress, RevisionRef, Taint,
};
use events::{PlacementKey, Timestamp};
use serde::{Deserialize, Serialize};

use crate::command::command_family;

command_family! {
    /// A request to a cluster.
    ClusterCommand {
        /// Its MemberCluster object looks like this.
        ObserveCluster,
        /// Its MemberCluster object is being deleted.
        RemoveCluster,
        /// The hub's Kubernetes API lost its MemberCluster object.
        HoldCluster,
        /// Its link works.
        ReportLink,
        /// Its link does not work.
        ReportLinkProblem,
        /// How long the credential of its link is good for.
        ReportCredential,
        /// The time has come to look whether the credential ends soon.
        CheckCredential,
        /// What a health check found.
        ReportHealth,
        /// The time has come to look whether the grace period of an unwell cluster is over.
        CheckHealthGrace,
        /// Hold a revision of a placement.
        AssignDelivery,
        /// Hold nothing of a placement any more.
        WithdrawDelivery,
        /// What became of a delivery.
        ReportDelivery,
        /// Something of a placement is still there.
        ReportRemovalWaits,
        /// Nothing of a placement is left.
        ReportRemoval,
        /// Let go of deliveries of a membership that has ended.
        ReleaseOrphans,
    }
}

/// See [`ClusterCommand::ObserveCluster`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObserveCluster {
    /// The object's uid.
    pub uid: String,
    /// The object's labels.
    pub labels: Labels,
    /// The object's taints.
    pub taints: Vec<Taint>,
    /// How often to check its health.
    pub heartbeat_period_seconds: u32,
}

/// See [`ClusterCommand::RemoveCluster`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RemoveCluster {
    /// The uid of the object that is being deleted.
    pub uid: String,
}

/// See [`ClusterCommand::HoldCluster`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HoldCluster {
    /// The uid of the object that is on record.
    pub uid: String,
    /// Stands for this membership.
    pub token: String,
    /// In words, with what to do.
    pub message: String,
}

/// See [`ClusterCommand::ReportLink`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportLink {
    /// The member's name, to tell it from other members with the same identity.
    pub cluster: String,
    /// Which cluster the link leads to: the uid of its kube-system namespace.
    pub identity: String,
    /// The identity of the hub's own cluster.
    pub hub_identity: String,
    /// The API server's version.
    pub kubernetes_version: String,
    /// The cluster that a person confirmed to be behind this name from now on, by its identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<String>,
    /// The deployment that a person took the cluster over from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_from: Option<String>,
}

/// See [`ClusterCommand::ReportLinkProblem`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportLinkProblem {
    /// What is wrong.
    pub problem: LinkProblem,
    /// In words, with what to do.
    pub message: String,
    /// Whether the link is another one since the last report: what was known of the one before says
    /// nothing about this one.
    #[serde(default)]
    pub is_new_link: bool,
}

/// See [`ClusterCommand::ReportCredential`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportCredential {
    /// When it ends; `None` when it does not, or nobody can tell.
    pub expires_at: Option<Timestamp>,
}

/// See [`ClusterCommand::CheckCredential`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckCredential {}

/// See [`ClusterCommand::ReportHealth`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportHealth {
    /// Whether it answers that it is well.
    pub healthy: bool,
    /// What was seen, in words.
    pub message: String,
    /// Its properties, when it answered.
    pub properties: Option<BTreeMap<String, String>>,
}

/// See [`ClusterCommand::CheckHealthGrace`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckHealthGrace {}

/// See [`ClusterCommand::AssignDelivery`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssignDelivery {
    /// Whose objects.
    pub placement: PlacementKey,
    /// Rises with every move of the placement.
    pub generation: u64,
    /// What to hold.
    pub revision: RevisionRef,
    /// How to write it.
    pub apply: ApplyStrategy,
}

/// See [`ClusterCommand::WithdrawDelivery`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WithdrawDelivery {
    /// Whose objects.
    pub placement: PlacementKey,
    /// Rises with every move of the placement.
    pub generation: u64,
}

/// See [`ClusterCommand::ReportDelivery`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportDelivery {
    /// Whose objects.
    pub placement: PlacementKey,
    /// Of which assignment.
    pub generation: u64,
    /// What was seen.
    pub outcome: DeliveryOutcome,
    /// What was done with single objects beyond what the order says.
    #[serde(default)]
    pub notes: Notes,
}

/// What is told of single objects, bounded by whoever tells it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Notes {
    /// The first of them, at most [`NOTES_PER_EVENT_MAX`](events::cluster::NOTES_PER_EVENT_MAX).
    pub notes: Vec<ObjectNote>,
    /// How many more there are.
    pub more: u32,
}

/// What was seen of a delivery on the member.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum DeliveryOutcome {
    /// Not all is applied yet.
    Applying(Progress),
    /// Some objects could not be applied.
    Failed(Vec<ObjectFailure>),
    /// All was applied, and these are not there any more.
    Missing(Vec<ObjectFailure>),
    /// All is applied, but these are not available yet.
    Unavailable(Vec<ObjectFailure>),
    /// All is applied and everything that can be tracked is available.
    Available {
        /// How many objects cannot be tracked.
        untracked: u32,
    },
}

/// See [`ClusterCommand::ReleaseOrphans`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReleaseOrphans {
    /// The last of them; all that come before it are let go of as well.
    pub through: PlacementKey,
}

/// See [`ClusterCommand::ReportRemovalWaits`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportRemovalWaits {
    /// Whose objects.
    pub placement: PlacementKey,
    /// Of which withdrawal.
    pub generation: u64,
    /// What is still there, and why.
    pub remaining: Vec<ObjectFailure>,
}

/// See [`ClusterCommand::ReportRemoval`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportRemoval {
    /// Whose objects.
    pub placement: PlacementKey,
    /// Of which withdrawal.
    pub generation: u64,
    /// What was done with single objects beyond what the order says.
    #[serde(default)]
    pub notes: Notes,
}

/// Why a cluster says no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClusterRefusal {
    /// There is no member of that name.
    #[error("the cluster is not a member")]
    ReasonNotAMember,
    /// The command is about an earlier MemberCluster object of that name.
    #[error("it is about another MemberCluster object of this name")]
    ReasonOtherObject,
    /// A newer generation of the delivery is on record.
    #[error("generation {asked} is superseded by {recorded}")]
    ReasonSuperseded {
        /// The generation in the command.
        asked: u64,
        /// The generation on record.
        recorded: u64,
    },
    /// There is no such delivery.
    #[error("nothing of this placement is assigned here")]
    ReasonNoDelivery,
}
