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
        /// The hub's etcd had come so far: noted now and then.
        HubRevisionSeen = 1,
        /// The hub's etcd is an older copy of itself, or another one.
        HubWentBack = 1,
        /// Somebody confirmed that the hub's etcd counts as it is.
        HubAccepted = 1,
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

/// See [`FleetEvent::HubRevisionSeen`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubRevisionSeen {
    /// The resource version of a list that was consistent.
    pub revision: u64,
}

/// See [`FleetEvent::HubWentBack`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubWentBack {
    /// The resource version on record.
    pub from: u64,
    /// The lower one that was seen after it.
    pub to: u64,
    /// Stands for exactly this: a confirmation names it.
    pub token: String,
    /// In words, with what to do.
    pub message: String,
}

/// See [`FleetEvent::HubAccepted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubAccepted {}
