//! What the hub serves over HTTP below `/api/v1`: plain data, for the command line and for other
//! programs alike.
//!
//! Positions are written `partition:sequence`, times as RFC 3339, aggregates and principals as in
//! the log (`placement/cluster/web`, `user:alice`). Fields are only ever added.

mod fleet;
mod record;
mod why;

pub use fleet::{
    ClusterCounts, ClusterDetail, ClusterPhase, ClusterSummary, ClusterTaint, DeliveryView,
    FailureView, FenceView, HeldView, HubStatus, IndexView, OwnedPartition, PartitionRejections,
    PlacementCounts, PlacementDetail, PlacementPhase, PlacementSummary, ProblemView,
    RejectedRecord, TargetView,
};
pub use record::{CloudEvent, EventsPage, RecordedEvent, ReplayDifference, ReplayReport};
pub use why::{ClusterWhy, CommandView, DecisionView, Why};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Something that was asked cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// What is wrong.
    pub error: String,
    /// What to do about it, if there is something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Whether a hub can do its work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// Whether nothing is in the way.
    pub ready: bool,
    /// What is in the way.
    pub not_ready: Vec<NotReady>,
    /// What is wrong without being in the way: this hub serves and decides, something else suffers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<NotReady>,
}

/// Something that keeps a hub from its work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotReady {
    /// Which part: `log`, `fold`, `partitions`, `index`.
    pub check: String,
    /// What is wrong with it, in words.
    pub message: String,
}
