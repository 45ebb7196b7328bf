//! A placement: what it selects, where it goes, and how far it is.
//!
//! ```text
//!  SubmitPlacement                 ReportTarget (from each member)
//! ────────────────► specified ──► revision ──► scheduled ──► targets moved ──► progressed ...
//!        ▲                                        │ Reschedule (the fleet changed)
//!        └────────────────────────────────────────┘
//!  DeletePlacement                               every target removed
//! ────────────────► deletion requested ──► targets moved to nothing ──► deleted
//! ```
//!
//! While the hub's Kubernetes API has lost something of it (a restored etcd), the placement is *held*:
//! nothing moves until that is there again, or somebody confirmed that it is to count.
//!
//! A specification that cannot be followed is refused and shown; what was decided before stays.
//!
//! **Invariants.** Generations of moves never fall, not even when a placement is deleted and
//! created again. A target is forgotten only when its member said that nothing is left or that its
//! membership ended, on evidence newer than the move. A decision record stands before the moves
//! that follow from it.

mod command;
mod decide;
mod react;
mod state;
#[cfg(test)]
mod tests;

pub use command::{
    AcceptOlder, DeletePlacement, HoldPlacement, PlacementCommand, PlacementRefusal, RaiseMoves,
    RefusePlacement, ReportTarget, Reschedule, RevisionInput, SubmitPlacement,
};
pub use decide::{Placement, TARGETS_PER_MOVE_MAX};
pub use state::{Hold, PlacementState, Problem, Revision, Scheduled, Specified, Target};
