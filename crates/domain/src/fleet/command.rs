//! What may be asked of the fleet.

use events::fleet::{FleetFounded, FleetHandedOver};

use crate::command::command_family;

command_family! {
    /// A request to the fleet.
    FleetCommand {
        /// Record that it exists.
        FoundFleet,
        /// Record that it takes a hub cluster over.
        HandOverFleet,
    }
}

/// See [`FleetCommand::FoundFleet`].
pub type FoundFleet = FleetFounded;

/// See [`FleetCommand::HandOverFleet`].
pub type HandOverFleet = FleetHandedOver;

/// Why the fleet says no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FleetRefusal {
    /// It was founded as another deployment.
    #[error("the fleet was founded as deployment {recorded}, not {asked}")]
    ReasonOtherDeployment {
        /// The deployment on record.
        recorded: String,
        /// The one that was asked for.
        asked: String,
    },
    /// A later handover is on record.
    #[error("the fleet was handed over to the hub cluster {hub} later")]
    ReasonHandedOverLater {
        /// The hub cluster on record.
        hub: String,
    },
}
