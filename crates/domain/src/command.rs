//! All commands in one enum, and how they travel in envelopes.

use events::CommandEnvelope;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::cluster::ClusterCommand;
use crate::fleet::FleetCommand;
use crate::placement::PlacementCommand;

/// A command to some aggregate.
#[derive(Debug, Clone, PartialEq)]
pub enum DomainCommand {
    /// To a cluster.
    Cluster(ClusterCommand),
    /// To a placement.
    Placement(PlacementCommand),
    /// To the fleet.
    Fleet(FleetCommand),
}

/// A command envelope that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("command {kind} cannot be read or written: {reason}")]
pub struct CommandError {
    /// The command's name.
    pub kind: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Every command enum is adjacently tagged with its name, which is what the envelope carries.
#[derive(Serialize, Deserialize)]
struct Tagged {
    #[serde(rename = "type")]
    kind: String,
    data: Box<RawValue>,
}

impl DomainCommand {
    /// The command's name and payload, for an envelope.
    ///
    /// # Errors
    /// When the payload cannot be written as JSON; no command of ours is of that kind.
    pub fn to_parts(&self) -> Result<(String, Box<RawValue>), CommandError> {
        let written = match self {
            Self::Cluster(command) => serde_json::to_string(command),
            Self::Placement(command) => serde_json::to_string(command),
            Self::Fleet(command) => serde_json::to_string(command),
        };
        written
            .and_then(|text| serde_json::from_str::<Tagged>(&text))
            .map(|tagged| (tagged.kind, tagged.data))
            .map_err(|error| CommandError {
                kind: format!("{self:?}").chars().take(40).collect(),
                reason: error.to_string(),
            })
    }

    /// Reads the command in an envelope, by the kind of aggregate that it is for.
    ///
    /// # Errors
    /// When that aggregate has no such command, or the payload does not fit it.
    pub fn from_envelope(envelope: &CommandEnvelope) -> Result<Self, CommandError> {
        let tagged = Tagged { kind: envelope.kind.clone(), data: envelope.data.clone() };
        let read =
            serde_json::to_string(&tagged).and_then(|text| match envelope.aggregate.kind() {
                events::AggregateKind::Cluster => serde_json::from_str(&text).map(Self::Cluster),
                events::AggregateKind::Placement => {
                    serde_json::from_str(&text).map(Self::Placement)
                }
                events::AggregateKind::Fleet => serde_json::from_str(&text).map(Self::Fleet),
            });
        read.map_err(|error| CommandError { kind: tagged.kind, reason: error.to_string() })
    }
}

impl From<ClusterCommand> for DomainCommand {
    fn from(command: ClusterCommand) -> Self {
        Self::Cluster(command)
    }
}

impl From<PlacementCommand> for DomainCommand {
    fn from(command: PlacementCommand) -> Self {
        Self::Placement(command)
    }
}

impl From<FleetCommand> for DomainCommand {
    fn from(command: FleetCommand) -> Self {
        Self::Fleet(command)
    }
}
