//! What happens to the fleet as a whole.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::event::event_family;

event_family! {
    /// What happened to the fleet as a whole.
    FleetEvent {
        /// The first hub started on an empty log.
        FleetFounded = 1,
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
