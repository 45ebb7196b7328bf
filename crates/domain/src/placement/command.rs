//! What may be asked of a placement, and why it may say no.

use events::ContentHash;
use events::cluster::ObjectFailure;
use events::placement::{HoldReason, PlacementSpec, RefusalReason, TargetPhase};
use serde::{Deserialize, Serialize};

use crate::command::command_family;

command_family! {
    /// A request to a placement.
    PlacementCommand {
        /// This is what it asks for, and what it selects now.
        SubmitPlacement,
        /// What it asks for cannot be followed.
        RefusePlacement,
        /// Its object is being deleted.
        DeletePlacement,
        /// The hub's Kubernetes API lost something of it: nothing may move.
        HoldPlacement,
        /// Somebody confirmed that its object counts, though it is older than what is on record.
        AcceptOlder,
        /// Members hold moves of it that are not on record.
        RaiseMoves,
        /// The fleet changed: look again.
        Reschedule,
        /// How far a member is.
        ReportTarget,
    }
}

/// See [`PlacementCommand::SubmitPlacement`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubmitPlacement {
    /// The object's uid.
    pub uid: String,
    /// The object's generation.
    pub generation: i64,
    /// What it asks for.
    pub spec: PlacementSpec,
    /// What it selects.
    pub revision: RevisionInput,
    /// What its selectors leave out, or do not find, in words.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// The objects that a placement selects, already in the content store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RevisionInput {
    /// The list of manifests.
    pub manifests: ContentHash,
    /// How many objects it lists.
    pub objects: u32,
}

/// See [`PlacementCommand::RefusePlacement`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefusePlacement {
    /// The object's uid.
    pub uid: String,
    /// The object's generation.
    pub generation: i64,
    /// Why.
    pub reason: RefusalReason,
    /// In words, with what to change.
    pub message: String,
}

/// See [`PlacementCommand::DeletePlacement`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeletePlacement {
    /// The uid of the object that is being deleted.
    pub uid: String,
}

/// See [`PlacementCommand::HoldPlacement`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HoldPlacement {
    /// The uid of the object that is on record.
    pub uid: String,
    /// What was lost.
    pub reason: HoldReason,
    /// Stands for exactly what was lost.
    pub token: String,
    /// In words, with what to do.
    pub message: String,
}

/// See [`PlacementCommand::AcceptOlder`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AcceptOlder {
    /// What exactly it is held for.
    pub token: String,
}

/// See [`PlacementCommand::RaiseMoves`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RaiseMoves {
    /// The highest generation that a member was seen to hold.
    pub above: u64,
}

/// See [`PlacementCommand::Reschedule`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reschedule {}

/// See [`PlacementCommand::ReportTarget`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportTarget {
    /// The member.
    pub cluster: String,
    /// Of which move.
    pub generation: u64,
    /// How far it is.
    pub phase: TargetPhase,
    /// What is not as it should be.
    pub failures: Vec<ObjectFailure>,
    /// What else is to be known of it, such as objects that are kept for now. Mostly empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remark: String,
}

/// Why a placement says no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlacementRefusal {
    /// There is no such placement.
    #[error("there is no such placement")]
    ReasonNoPlacement,
    /// A newer generation of the object is on record.
    #[error("generation {asked} of the object is older than {recorded}")]
    ReasonStale {
        /// The generation in the command.
        asked: i64,
        /// The generation on record.
        recorded: i64,
    },
    /// It is about an earlier object of that name.
    #[error("it is about another object of this name")]
    ReasonOtherObject,
    /// It is being deleted: what it placed is being removed.
    #[error("the placement is being deleted")]
    ReasonBeingDeleted,
    /// It is not held, or for something else.
    #[error("it is not held for {asked}")]
    ReasonNotHeld {
        /// The token in the command.
        asked: String,
    },
    /// The report is not about the latest move of that target.
    #[error("it is not about the latest move of {cluster}")]
    ReasonOtherMove {
        /// The target.
        cluster: String,
    },
    /// A report was overtaken by a newer one.
    #[error("a newer report on {cluster} is on record")]
    ReasonOldEvidence {
        /// The target.
        cluster: String,
    },
    /// A report came without the event that proves it.
    #[error("a report on {cluster} came without evidence")]
    ReasonNoEvidence {
        /// The target.
        cluster: String,
    },
}
