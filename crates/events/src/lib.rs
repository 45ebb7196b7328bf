//! The facts: what happened in a fleet, in the one form in which it is recorded.
//!
//! This crate is the bottom of Taffrail. It knows the identifiers, the event types with their
//! payloads, the envelope around each event, its JSON form (a CloudEvent), the upcasters that keep
//! old events readable, and the hash chain. It decides nothing and does nothing.
//!
//! **Invariants.** No async, no clock, no randomness, no hash-ordered maps. An event that was ever
//! written can be read for ever: `tests/golden/` holds one file for each version of each event,
//! `tests/golden-records/` one for each kind of record.

pub mod chain;
pub mod cluster;
pub mod command;
pub mod content;
pub mod envelope;
pub mod event;
pub mod fleet;
pub mod frame;
pub mod ids;
pub mod object;
pub mod placement;
pub mod upcast;

pub use chain::ChainHash;
pub use command::CommandEnvelope;
pub use content::ContentHash;
pub use envelope::Envelope;
pub use event::{Event, EventCodecError};
pub use frame::{Claim, CommandSource, DecisionRecord, FollowUpRef, Frame, Genesis, Record};
pub use ids::{
    AggregateId, AggregateKind, CommandId, CorrelationId, Epoch, EventId, InvalidId, Partition,
    PlacementKey, PlacementScope, Position, Principal, Sequence, Watermark,
};
pub use object::{ManifestRef, ObjectId};

/// A moment, to the nanosecond, in UTC. Always passed in, never read from a clock in this crate.
pub type Timestamp = jiff::Timestamp;
