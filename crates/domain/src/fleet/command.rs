//! What may be asked of the fleet.

use events::fleet::{FleetFounded, FleetHandedOver};
use serde::{Deserialize, Serialize};

use crate::command::command_family;

command_family! {
    /// A request to the fleet.
    FleetCommand {
        /// Record that it exists.
        FoundFleet,
        /// Record that it takes a hub cluster over.
        HandOverFleet,
        /// The hub's etcd has this resource version now.
        ReportHubRevision,
        /// Somebody confirmed that the hub's etcd counts as it is.
        AcceptHub,
    }
}

/// See [`FleetCommand::FoundFleet`].
pub type FoundFleet = FleetFounded;

/// See [`FleetCommand::HandOverFleet`].
pub type HandOverFleet = FleetHandedOver;

/// See [`FleetCommand::ReportHubRevision`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportHubRevision {
    /// The resource version of a list that was consistent, asked for by whoever decides for the
    /// fleet since it does.
    pub revision: u64,
}

/// See [`FleetCommand::AcceptHub`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AcceptHub {
    /// What exactly is confirmed.
    pub token: String,
}

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
    /// The hub did not go back, or in another way.
    #[error("the hub is not held for {asked}")]
    ReasonNotHeld {
        /// The token in the command.
        asked: String,
    },
}
