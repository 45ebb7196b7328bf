//! What may be asked of the fleet.

use serde::{Deserialize, Serialize};

use events::fleet::FleetFounded;

/// A request to the fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum FleetCommand {
    /// Record that it exists.
    FoundFleet(FoundFleet),
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
