//! What happens to the fleet as a whole.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::event::event_family;

event_family! {
    /// What happened to the fleet as a whole.
    FleetEvent {
        /// The first hub started on an empty log.
        FleetFounded = 1,
        /// Somebody decided that this deployment takes a hub cluster over.
        FleetHandedOver = 1,
    }
}

/// See [`FleetEvent::FleetFounded`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetFounded {
    /// The deployment that this log belongs to.
    pub deployment: Uuid,
    /// How many partitions its log has, for ever.
    pub partitions: u16,
    /// The version of Taffrail that founded it.
    pub version: String,
}

/// See [`FleetEvent::FleetHandedOver`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetHandedOver {
    /// Names the handover. Later ones have higher ids (UUIDv7): of two, the higher one holds.
    pub handover: Uuid,
    /// The hub cluster from then on: the uid of its kube-system namespace.
    pub hub: String,
    /// The hub cluster of the deployment before, if it was another one.
    pub from_hub: Option<String>,
    /// The deployment that managed the hub cluster before, if another one did.
    pub from_deployment: Option<Uuid>,
}
