//! Folds of the log into rows, kept in sled, with typed queries and time travel.
//!
//! A single thread folds the accepted records of all partitions:
//!
//! ```text
//!  accepted record ──► Model::apply ──► the present, in memory ──► actors, status, scheduler
//!                           │ Changes
//!                           ▼
//!                      Store::write ──► rows + checkpoint, one batch ──► Queries: history, why, at
//! ```
//!
//! **Invariants.** Everything here comes from the log and can be thrown away. Rows and checkpoints
//! move together. The order in which partitions are folded does not matter. No clock, no async.

mod inbox;
mod model;
mod query;
mod rejections;
mod step;
mod store;

pub use inbox::{DECIDED_IDS_PER_PARTITION_MAX, Inbox, InboxChange};
pub use model::{ChangedAggregate, ChangedView, Changes, Model, PartitionOf, Versioned};
pub use query::{
    At, Decision, EVENTS_EXAMINED_MAX, EVENTS_PER_PAGE_MAX, EventFilter, Page, Queries, Recorded,
};
pub use rejections::{REJECTIONS_KEPT_MAX, RejectedRecord, Rejections};
pub use step::{Checkpoint, FoldStep, Owner};
pub use store::{Opened, QUARANTINED_MAX, Quarantine, Store, StoreError};
