//! What happens to a placement: its specification, revisions, decisions and targets.

use serde::{Deserialize, Serialize};

use crate::cluster::{ApplyStrategy, Labels, ObjectFailure};
use crate::event::event_family;
use crate::{ContentHash, Position, Watermark};

event_family! {
    /// What happened to one placement.
    PlacementEvent {
        /// Somebody wrote or changed its specification.
        PlacementSpecified = 1,
        /// Its specification cannot be followed; what was decided before stays as it is.
        PlacementRefused = 1,
        /// The objects that it selects are now these.
        RevisionRecorded = 1,
        /// What its selectors leave out, or do not find, is now this.
        SelectionNoted = 1,
        /// A scheduling decision, with the verdict on each cluster.
        PlacementScheduled = 2,
        /// Targets were told to hold a revision, or nothing any more.
        TargetsMoved = 1,
        /// A target reported what it holds.
        TargetProgressed = 2,
        /// Somebody deleted it: everything that it placed is to be removed.
        PlacementDeletionRequested = 1,
        /// Nothing of it is left anywhere.
        PlacementDeleted = 1,
        /// The hub's Kubernetes API lost something of it that nobody is known to have deleted: until
        /// that is explained, everything stays as it is.
        PlacementHeld = 1,
        /// What it was held for is there again, or was confirmed.
        PlacementHoldEnded = 1,
        /// Members hold moves of it that are not on record: further moves are numbered above those.
        MovesRaised = 1,
    }
}

/// What a placement asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementSpec {
    /// Which objects.
    pub selectors: Vec<ResourceSelector>,
    /// Which clusters.
    pub policy: Policy,
    /// How to write them.
    pub apply: ApplyStrategy,
}

/// Selects objects of one kind on the hub, by name or by labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceSelector {
    /// API group, empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// By name, when not empty.
    pub name: String,
    /// By labels, when given.
    pub labels: Option<LabelSelector>,
    /// What a selected Namespace brings with it.
    pub scope: SelectionScope,
}

/// What selecting a Namespace means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum SelectionScope {
    /// The namespace and all that is in it.
    #[default]
    NamespaceWithResources,
    /// The namespace object alone.
    NamespaceOnly,
    /// The namespace and those kinds in it that further selectors name.
    NamespaceWithResourceSelectors,
}

/// A Kubernetes label selector: all parts must hold. The empty selector matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LabelSelector {
    /// Labels that must have these values.
    pub match_labels: Labels,
    /// Further requirements.
    pub match_expressions: Vec<LabelRequirement>,
}

/// One requirement of a label selector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelRequirement {
    /// Label key.
    pub key: String,
    /// What must hold.
    pub operator: LabelOperator,
    /// The values for `In` and `NotIn`.
    pub values: Vec<String>,
}

/// Operators of label requirements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LabelOperator {
    /// The value is one of those given.
    In,
    /// The label is absent or its value is none of those given.
    NotIn,
    /// The label is present.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

/// Which clusters a placement wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    /// Every eligible cluster that matches one of the terms (every one, when there are none) and
    /// whose taints are tolerated.
    PickAll {
        /// Selectors over cluster labels, of which one must match.
        terms: Vec<LabelSelector>,
        /// What taints to accept.
        tolerations: Vec<Toleration>,
    },
    /// These clusters, by name.
    PickFixed {
        /// Names of MemberClusters.
        clusters: Vec<String>,
    },
}

/// Accepts taints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toleration {
    /// The taint's key; empty accepts every key.
    pub key: String,
    /// The taint's value; `None` accepts every value (operator Exists).
    pub value: Option<String>,
}

/// See [`PlacementEvent::PlacementSpecified`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementSpecified {
    /// The uid of the placement object: another uid is another placement of the same name.
    pub uid: String,
    /// The object's generation.
    pub generation: i64,
    /// What it asks for.
    pub spec: PlacementSpec,
    /// The number of the policy, from 0; it rises when the policy changes.
    pub policy_index: u32,
}

/// Why a specification cannot be followed. The names are condition reasons of the public API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalReason {
    /// The selectors select something that cannot be placed, or the same object twice.
    InvalidResourceSelectors,
    /// The policy cannot be followed.
    SchedulingPolicyUnfulfilled,
}

/// See [`PlacementEvent::PlacementRefused`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementRefused {
    /// The uid of the placement object.
    pub uid: String,
    /// The object's generation.
    pub generation: i64,
    /// Why.
    pub reason: RefusalReason,
    /// In words, with what to change.
    pub message: String,
}

/// See [`PlacementEvent::RevisionRecorded`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionRecorded {
    /// The number of the revision, from 0.
    pub index: u32,
    /// The list of manifests in the content store (a JSON array of
    /// [`ManifestRef`](crate::ManifestRef)). The same list is the same revision.
    pub manifests: ContentHash,
    /// How many objects it lists.
    pub objects: u32,
}

/// See [`PlacementEvent::SelectionNoted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelectionNoted {
    /// In words, for the people who wrote the selectors; empty when there is nothing to say.
    pub notes: Vec<String>,
}

/// See [`PlacementEvent::PlacementScheduled`]: the decision record of a scheduling decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementScheduled {
    /// The generation of the specification that was followed.
    pub generation: i64,
    /// The policy that was followed.
    pub policy_index: u32,
    /// What of the log the scheduler had seen of the fleet. Replaying to it gives the same view.
    pub watermark: Watermark,
    /// The version of the scheduling algorithm.
    pub algorithm: u32,
    /// Whether the policy could be fulfilled.
    pub fulfilled: bool,
    /// The outcome in words.
    pub message: String,
    /// The verdict on each cluster that was considered, by name.
    pub verdicts: Vec<Verdict>,
}

/// What the scheduler decided about one cluster, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The cluster.
    pub cluster: String,
    /// Whether it was chosen.
    pub chosen: bool,
    /// Why.
    pub reason: VerdictReason,
}

/// Why a cluster was chosen or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum VerdictReason {
    /// Every requirement holds.
    Matches,
    /// The policy names it.
    Named,
    /// It holds the placement, and what speaks against it moves nothing that is already placed.
    StaysPlaced {
        /// What keeps the placement away from clusters that do not hold it. Decisions of the first
        /// schema version do not tell.
        despite: Option<Box<VerdictReason>>,
    },
    /// The policy names it, but there is no such member.
    NotFound,
    /// It has not joined yet.
    NotJoined,
    /// It was unwell for the whole grace period.
    Unhealthy,
    /// No term of the affinity matches its labels.
    LabelsDoNotMatch,
    /// It carries this taint, which the placement does not tolerate.
    TaintNotTolerated {
        /// The taint's key.
        key: String,
        /// The taint's value.
        value: String,
    },
}

/// See [`PlacementEvent::TargetsMoved`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetsMoved {
    /// In order of cluster names.
    pub moves: Vec<TargetMove>,
}

/// What one target is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetMove {
    /// The member.
    pub cluster: String,
    /// The delivery generation of this move; it rises with every move of the placement.
    pub generation: u64,
    /// The revision that it should hold, or nothing any more.
    pub revision: Option<u32>,
}

/// How far a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TargetPhase {
    /// The move was decided; the member's deliveries do not have it yet.
    Moving,
    /// The member's deliveries have it; nothing was written yet.
    Assigned,
    /// Some objects could not be applied.
    ApplyFailed,
    /// All is applied, something is not available yet.
    Applied,
    /// All is applied and available.
    Available,
    /// All is applied; what can be tracked is available, some objects cannot be tracked.
    AvailableUntracked,
    /// Nothing is left on the member.
    Removed,
    /// It is being removed, and something is still on the member.
    Removing,
}

/// See [`PlacementEvent::TargetProgressed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetProgressed {
    /// The member.
    pub cluster: String,
    /// Of which move.
    pub generation: u64,
    /// How far it is.
    pub phase: TargetPhase,
    /// The event of the cluster that says so.
    pub evidence: Position,
    /// What is not as it should be.
    pub failures: Vec<ObjectFailure>,
    /// What else is to be known of it, such as objects that are kept for now. Mostly empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remark: String,
}

/// See [`PlacementEvent::PlacementDeletionRequested`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementDeletionRequested {
    /// The uid of the object that was deleted.
    pub uid: String,
}

/// See [`PlacementEvent::PlacementDeleted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementDeleted {
    /// The uid of the object that was deleted.
    pub uid: String,
}

/// What the hub's Kubernetes API lost of a placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum HoldReason {
    /// Its object is not there. It carried a finalizer, and no deletion was seen.
    ObjectGone,
    /// Its object is an older version of what is on record.
    ObjectWentBack,
    /// Many of the objects that it placed are not there, and no deletion of them was seen.
    SelectionGone,
}

/// See [`PlacementEvent::PlacementHeld`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementHeld {
    /// The uid of the placement object.
    pub uid: String,
    /// What was lost.
    pub reason: HoldReason,
    /// Stands for exactly what was lost: a confirmation names it, so that it confirms nothing else.
    pub token: String,
    /// In words, with what to do.
    pub message: String,
}

/// See [`PlacementEvent::PlacementHoldEnded`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementHoldEnded {
    /// The uid of the placement object that it was held for.
    pub uid: String,
    /// Whether a person confirmed that the object counts as it is, though it is older than what is on
    /// record.
    pub older_counts: bool,
}

/// See [`PlacementEvent::MovesRaised`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovesRaised {
    /// The highest generation that a member was seen to hold.
    pub above: u64,
}
