//! A member cluster: its membership, its health, and what it should and does hold.
//!
//! ```text
//!  ObserveCluster           ReportLink              RemoveCluster
//! ───────────────► Registered ───────► Joined ───────────────────► Left
//!                   ▲   │ ReportLinkProblem      (what was placed stays on it)
//!                   └───┘ (a person has to mend something)
//! ```
//!
//! A delivery is one placement on this member:
//!
//! ```text
//!  AssignDelivery          ReportDelivery
//! ──────────────► Assigned ─────────────► Failed ⇄ Applied ⇄ Available
//!                    ▲                       │ AssignDelivery (next generation)
//!                    └───────────────────────┘
//!                 (what is missing on the member makes it Failed, and is put back)
//!  WithdrawDelivery        ReportRemoval
//! ────────────────► Withdrawn ──────────► (gone; the placement is told)
//! ```
//!
//! What was done with single objects on the way (adopted, let go, handed over, kept) is noted.
//!
//! A member that is unwell keeps what it holds. When it was unwell for the grace period, its owner
//! records that, woken up by the clock of the log: it gets nothing new from then on.
//!
//! **Invariants.** Generations of a delivery never fall. `held` names every revision of which an
//! object may be on the member, `kept` every object that has to stay for now, so nothing is ever
//! forgotten there. Nothing is removed from a
//! member without `DeliveryWithdrawn` or a newer `DeliveryAssigned`. A cluster that left keeps
//! what it holds, and every placement with a delivery on it is told: of many, in portions that fit a
//! record (`ReleaseOrphans`). Another object under the
//! name, or another cluster behind the link that somebody has confirmed, is another membership: it
//! starts from nothing.

mod command;
mod decide;
mod react;
mod state;
#[cfg(test)]
mod tests;

pub use command::{
    AssignDelivery, CheckCredential, CheckHealthGrace, ClusterCommand, ClusterRefusal,
    DeliveryOutcome, HoldCluster, Notes, ObserveCluster, ReleaseOrphans, RemoveCluster,
    ReportCredential, ReportDelivery, ReportHealth, ReportLink, ReportLinkProblem, ReportRemoval,
    ReportRemovalWaits, WithdrawDelivery,
};
pub use decide::{CONFIRMED_CLUSTER_ANNOTATION, Cluster};
pub use state::{
    ClusterHold, ClusterState, Credential, Delivery, DeliveryPhase, HEALTH_GRACE, LinkFailure,
    Member, Membership, Unhealthy,
};
