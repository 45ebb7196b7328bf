//! What may be asked of the fleet.

use events::fleet::FleetFounded;

use crate::command::command_family;

command_family! {
    /// A request to the fleet.
    FleetCommand {
        /// Record that it exists.
        FoundFleet,
    }
}

/// See [`FleetCommand::FoundFleet`].
pub type FoundFleet = FleetFounded;

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
}
