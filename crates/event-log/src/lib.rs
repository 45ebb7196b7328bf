//! The log: where everything that happened stands, and who may add to it.
//!
//! | module | what |
//! |---|---|
//! | [`port`] | the four verbs that a backend offers, and how it fails |
//! | [`acceptance`] | which records count, decided by every reader alike |
//! | [`partition`] | which partition an aggregate lives in |
//!
//! **Invariant.** Safety rests on the acceptance rule alone. No clock, lease or broker feature is
//! needed for it; those only decide how soon somebody acts.

pub mod acceptance;
pub mod partition;
pub mod port;

pub use acceptance::{Accepted, Acceptor, Rejection};
pub use partition::{PARTITIONS, partition_of};
pub use port::{Failure, Log, LogError, Reader, StoredRecord, Stream};
