//! All events in one enum, with their names, schema versions and codec.
//!
//! An event on the wire is a type name, a schema version and JSON data. The families
//! ([`ClusterEvent`], [`PlacementEvent`], [`FleetEvent`]) are what the deciders of the aggregates
//! speak; [`Event`] is what the log carries.

use std::cmp::Ordering;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

pub use crate::cluster::ClusterEvent;
pub use crate::fleet::FleetEvent;
pub use crate::placement::PlacementEvent;
use crate::upcast;

/// Why an event could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum EventCodecError {
    /// The type is unknown: written by a newer version, or not an event of ours.
    #[error("event type {kind} is unknown to this version; upgrade before reading this log")]
    UnknownType {
        /// The type as written.
        kind: String,
    },
    /// The schema is newer than this version knows.
    #[error("event {kind} has schema version {version}, this version knows up to {known}")]
    TooNew {
        /// The type.
        kind: String,
        /// Its version in the log.
        version: u32,
        /// The newest version known here.
        known: u32,
    },
    /// The schema is older than this version reads: an upcaster is missing. Our own mistake.
    #[error(
        "no upcaster leads event {kind} from schema version {version} to {known}, which is written \
         today; use a version of Taffrail that has one"
    )]
    NoUpcaster {
        /// The type.
        kind: String,
        /// The version up to which the upcasters lead.
        version: u32,
        /// The version that is written today.
        known: u32,
    },
    /// The data does not fit the type.
    #[error("the data of event {kind} version {version} cannot be read")]
    Data {
        /// The type.
        kind: String,
        /// Its schema version.
        version: u32,
        /// What is wrong with the data.
        source: serde_json::Error,
    },
    /// The event cannot be written as JSON.
    #[error("event {kind} cannot be written")]
    Encode {
        /// The type.
        kind: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// To a member cluster or a delivery on it.
    Cluster(ClusterEvent),
    /// To a placement.
    Placement(PlacementEvent),
    /// To the fleet as a whole.
    Fleet(FleetEvent),
}

/// An event type: its name and the schema version that is written today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventType {
    /// Past tense, such as `ClusterJoined`.
    pub name: &'static str,
    /// Starts at 1.
    pub version: u32,
}

impl Event {
    /// Every type that this version writes.
    pub fn types() -> impl Iterator<Item = EventType> {
        let families = [ClusterEvent::TYPES, PlacementEvent::TYPES, FleetEvent::TYPES];
        families.into_iter().flatten().copied()
    }

    /// The type of this event.
    #[must_use]
    pub fn event_type(&self) -> EventType {
        match self {
            Self::Cluster(event) => event.event_type(),
            Self::Placement(event) => event.event_type(),
            Self::Fleet(event) => event.event_type(),
        }
    }

    /// The payload as JSON.
    ///
    /// # Errors
    /// [`EventCodecError::Encode`] when a payload holds something that JSON cannot, such as a map
    /// with keys that are not text. No event of ours does.
    pub fn to_data(&self) -> Result<Box<RawValue>, EventCodecError> {
        let kind = self.event_type().name;
        serde_json::value::to_raw_value(&Data(self))
            .map_err(|source| EventCodecError::Encode { kind, source })
    }

    /// Reads a payload of any version that was ever written.
    ///
    /// # Errors
    /// When the type is unknown, its version too new, an upcaster is missing, or the data does not
    /// fit.
    pub fn from_data(kind: &str, version: u32, data: &RawValue) -> Result<Self, EventCodecError> {
        let upcast = upcast::to_current(kind, version, data)?;
        let (version, data) = match &upcast {
            Some(current) => (current.version, &*current.data),
            None => (version, data),
        };
        if let Some(event) = ClusterEvent::from_data(kind, version, data)? {
            return Ok(Self::Cluster(event));
        }
        if let Some(event) = PlacementEvent::from_data(kind, version, data)? {
            return Ok(Self::Placement(event));
        }
        if let Some(event) = FleetEvent::from_data(kind, version, data)? {
            return Ok(Self::Fleet(event));
        }
        Err(EventCodecError::UnknownType { kind: kind.to_owned() })
    }
}

/// The payload of an event alone.
pub(crate) struct Data<'a>(pub(crate) &'a Event);

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Event::Cluster(event) => event.serialize_data(serializer),
            Event::Placement(event) => event.serialize_data(serializer),
            Event::Fleet(event) => event.serialize_data(serializer),
        }
    }
}

impl From<ClusterEvent> for Event {
    fn from(event: ClusterEvent) -> Self {
        Self::Cluster(event)
    }
}

impl From<PlacementEvent> for Event {
    fn from(event: PlacementEvent) -> Self {
        Self::Placement(event)
    }
}

impl From<FleetEvent> for Event {
    fn from(event: FleetEvent) -> Self {
        Self::Fleet(event)
    }
}

/// Declares the events of one family: an enum with one variant for each payload type of the same
/// name, and the schema version that is written today.
macro_rules! event_family {
    ($(#[$doc:meta])* $family:ident { $($(#[$variant_doc:meta])* $name:ident = $version:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub enum $family {
            $($(#[$variant_doc])* $name($name),)*
        }

        impl $family {
            /// Every type of this family.
            pub const TYPES: &'static [$crate::event::EventType] = &[
                $($crate::event::EventType { name: stringify!($name), version: $version },)*
            ];

            /// The type of this event.
            #[must_use]
            pub fn event_type(&self) -> $crate::event::EventType {
                match self {
                    $(Self::$name(_) => $crate::event::EventType {
                        name: stringify!($name),
                        version: $version,
                    },)*
                }
            }

            pub(crate) fn serialize_data<S: serde::Serializer>(
                &self,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$name(payload) => serde::Serialize::serialize(payload, serializer),)*
                }
            }

            /// `None` when the type belongs to another family.
            pub(crate) fn from_data(
                kind: &str,
                version: u32,
                data: &serde_json::value::RawValue,
            ) -> Result<Option<Self>, $crate::event::EventCodecError> {
                match kind {
                    $(stringify!($name) => {
                        $crate::event::check_version(kind, version, $version)?;
                        serde_json::from_str(data.get())
                            .map(|payload| Some(Self::$name(payload)))
                            .map_err(|source| $crate::event::EventCodecError::Data {
                                kind: kind.to_owned(), version, source,
                            })
                    })*
                    _ => Ok(None),
                }
            }
        }

        $(impl From<$name> for $family {
            fn from(payload: $name) -> Self {
                Self::$name(payload)
            }
        })*
    };
}
pub(crate) use event_family;

/// Only data of today's version is read; that of earlier ones has been lifted to it. An older one
/// might fit by chance and mean something else.
pub(crate) fn check_version(kind: &str, version: u32, known: u32) -> Result<(), EventCodecError> {
    let kind = || kind.to_owned();
    match version.cmp(&known) {
        Ordering::Less => Err(EventCodecError::NoUpcaster { kind: kind(), version, known }),
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(EventCodecError::TooNew { kind: kind(), version, known }),
    }
}
