//! The log: where everything that happened stands, and who may add to it.
//!
//! | module | what |
//! |---|---|
//! | [`port`] | the five verbs that a backend offers, and how it fails |
//! | [`acceptance`] | which records count, decided by every reader alike |
//! | [`clock`] | the clock whose times are compared: the log's |
//! | [`partition`] | which partition an aggregate lives in |
//! | [`lease`] | which node should own which partition |
//! | [`memory`] | the log in memory, for tests and simulations |
//! | [`faults`] | any log with faults on the way to it |
//! | [`embedded`] | the log of one node, in one file |
//! | `conformance` | the suite that every backend passes (feature `conformance`) |
//!
//! **Invariant.** Who may write rests on the acceptance rule alone. No clock, lease or broker feature is
//! needed for it; those only decide how soon somebody acts.

pub mod acceptance;
pub mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod embedded;
pub mod faults;
pub mod lease;
pub mod memory;
pub mod partition;
pub mod port;

pub use acceptance::{Accepted, Acceptor, Rejection};
pub use clock::{ClockReading, LogClock, NodeClock};
pub use embedded::{EmbeddedConfig, EmbeddedLog};
pub use faults::{AppendFault, FaultyLog, Odds};
pub use lease::{LeaseActions, LeaseConfig, LeaseCore, LeaseRecord};
pub use memory::MemoryLog;
pub use partition::{PARTITIONS, partition_of};
pub use port::{
    CONTENT_BYTES_MAX, ENTRY_BYTES_MAX, Failure, Log, LogError, Pull, Reader, StoredRecord, Stream,
};
