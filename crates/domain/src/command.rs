//! All commands in one enum, and how they travel in envelopes.

use events::{AggregateKind, CommandEnvelope};
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

impl DomainCommand {
    /// The command's name and payload, for an envelope.
    ///
    /// # Errors
    /// When the payload cannot be written as JSON; no command of ours is of that kind.
    pub fn to_parts(&self) -> Result<(String, Box<RawValue>), CommandError> {
        let (kind, data) = match self {
            Self::Cluster(command) => command.to_parts(),
            Self::Placement(command) => command.to_parts(),
            Self::Fleet(command) => command.to_parts(),
        };
        match data {
            Ok(data) => Ok((kind.to_owned(), data)),
            Err(error) => Err(CommandError { kind: kind.to_owned(), reason: error.to_string() }),
        }
    }

    /// Reads the command in an envelope, by the kind of aggregate that it is for.
    ///
    /// # Errors
    /// When that aggregate has no such command, or the payload does not fit it.
    pub fn from_envelope(envelope: &CommandEnvelope) -> Result<Self, CommandError> {
        let CommandEnvelope { kind, data, aggregate, .. } = envelope;
        let read = match aggregate.kind() {
            AggregateKind::Cluster => ClusterCommand::from_parts(kind, data).map(Self::Cluster),
            AggregateKind::Placement => {
                PlacementCommand::from_parts(kind, data).map(Self::Placement)
            }
            AggregateKind::Fleet => FleetCommand::from_parts(kind, data).map(Self::Fleet),
        };
        read.map_err(|error| CommandError { kind: kind.clone(), reason: error.to_string() })
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

/// Declares the commands to one kind of aggregate: an enum over payload types of the same names,
/// and how they travel.
macro_rules! command_family {
    ($(#[$doc:meta])* $family:ident { $($(#[$variant_doc:meta])* $name:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub enum $family {
            $($(#[$variant_doc])* $name($name),)*
        }

        impl $family {
            const KINDS: &'static [&'static str] = &[$(stringify!($name),)*];

            pub(crate) fn to_parts(
                &self,
            ) -> (&'static str, serde_json::Result<Box<serde_json::value::RawValue>>) {
                match self {
                    $(Self::$name(payload) => {
                        (stringify!($name), serde_json::value::to_raw_value(payload))
                    })*
                }
            }

            pub(crate) fn from_parts(
                kind: &str,
                data: &serde_json::value::RawValue,
            ) -> serde_json::Result<Self> {
                match kind {
                    $(stringify!($name) => serde_json::from_str(data.get()).map(Self::$name),)*
                    _ => Err(serde::de::Error::unknown_variant(kind, Self::KINDS)),
                }
            }
        }
    };
}
pub(crate) use command_family;
