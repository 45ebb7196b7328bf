//! The rows in sled: opened under supervision, written in batches.
//!
//! sled is quick but may not open again after a hard stop, and what it calls flushed may be lost
//! with the power. Nothing is lost with it: every row comes from the log, rows and checkpoint
//! move together, and what cannot be used is set aside and read again.

mod batch;
mod chunk;
mod directory;
mod entities;
mod error;
mod keys;
mod load;
mod load_inbox;
mod open;
mod parts;
mod records;
mod rows;
pub(crate) mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use events::{AggregateId, Partition, Position, Sequence};

use self::batch::{Batch, insert_parts};
use self::directory::Lock;
use self::entities::Tail;
use crate::model::{Changes, Model, PartitionOf};
use crate::query::Queries;
use crate::step::FoldStep;

pub(crate) use self::batch::ViewRow;
pub(crate) use self::chunk::Chunk;
pub use self::directory::QUARANTINED_MAX;
pub(crate) use self::entities::restore;
pub use self::error::StoreError;
pub(crate) use self::keys::{Key, KeyReader, Kind};
pub(crate) use self::records::{FrameRow, RecordRow, frame_around, read_record};
pub(crate) use self::rows::{EventReader, Rows, nanoseconds};

/// The writer of the rows. One per directory; queries have their own handle.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    rows: Rows,
    partition_of: PartitionOf,
    /// The events of each aggregate since its last state row.
    tails: BTreeMap<AggregateId, Tail>,
    /// The time that each partition has reached.
    times: BTreeMap<Partition, i64>,
    /// How far each partition is written.
    written: BTreeMap<Partition, Sequence>,
}

/// What was found in a directory.
#[derive(Debug)]
pub struct Opened {
    /// Where to write on.
    pub store: Store,
    /// The present as far as it was written: read on from its checkpoints.
    pub model: Model,
    /// Set when the rows could not be used: the model is empty, read the log from its start.
    pub rebuilt: Option<Quarantine>,
}

/// A directory that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    /// Where it is now.
    pub moved_to: PathBuf,
    /// What was wrong with it.
    pub reason: String,
}

impl Store {
    /// Opens the rows of a directory and loads the present from them.
    ///
    /// Rows that cannot be used (of another version, damaged) are moved to `quarantine/` next to
    /// the directory and the store starts empty.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when the directory is open already; [`StoreError::Directory`] when it
    /// cannot be made, read or moved.
    pub fn open(dir: &Path, partition_of: PartitionOf) -> Result<Opened, StoreError> {
        let lock = Arc::new(Lock::acquire(dir)?);
        open::open(dir, &lock, partition_of)
    }

    /// Sets the rows aside and starts empty: for whoever finds that they do not come from this
    /// log. Queries with the old handle go on answering from the old rows.
    ///
    /// # Errors
    /// [`StoreError::Directory`] when the directory cannot be moved or made again.
    pub fn start_over(self, reason: &str) -> Result<Opened, StoreError> {
        let Self { dir, rows, partition_of, .. } = self;
        let lock = Arc::clone(&rows.lock);
        drop(rows);
        open::open_anew(&dir, &lock, partition_of, reason.to_owned())
    }

    /// Writes the rows and checkpoints of some steps, all or nothing. Each step is written once,
    /// in the order in which it was folded, with what the fold said that it changed.
    ///
    /// Queries wait while a batch is written: 5,000 steps take about 50 ms.
    ///
    /// # Errors
    /// [`StoreError::Write`]. Drop the store then and open it again.
    pub fn write<'a>(
        &mut self,
        steps: impl IntoIterator<Item = (&'a FoldStep<'a>, &'a Changes)>,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        let mut written = BTreeMap::new();
        for (step, changes) in steps {
            batch.add(step, changes, |partition| {
                self.times.get(&partition).copied().unwrap_or(i64::MIN)
            });
            written.insert(step.partition, step.checkpoint.last);
        }
        let tails = std::mem::take(&mut batch.tails);
        let times: Vec<_> = batch.times().collect();
        self.apply(batch.finish())?;

        self.times.extend(times);
        self.written.append(&mut written);
        for (aggregate, (events, bytes)) in tails {
            if !self.tails.contains_key(aggregate) {
                self.tails.insert(aggregate.clone(), Tail::default());
            }
            if let Some(tail) = self.tails.get_mut(aggregate) {
                tail.events += events;
                tail.bytes += bytes;
            }
        }
        Ok(())
    }

    /// Writes the states of those of the given aggregates that have many events since their last
    /// state row. Costs next to nothing when none has, so it may be called after each write with
    /// whatever changed.
    ///
    /// An aggregate of which the model knows more than was written is left for the next time.
    ///
    /// # Errors
    /// [`StoreError::Write`]. Drop the store then and open it again.
    pub fn snapshot<'a>(
        &mut self,
        model: &Model,
        dirty: impl IntoIterator<Item = &'a AggregateId>,
    ) -> Result<(), StoreError> {
        for aggregate in dirty {
            if !self.tails.get(aggregate).is_some_and(Tail::is_long) {
                continue;
            }
            let Some((position, (key, value))) = state_row(model, aggregate) else { continue };
            if self.written.get(&position.partition).is_none_or(|last| position.sequence > *last) {
                continue;
            }
            let mut batch = sled::Batch::default();
            insert_parts(&mut batch, &key, &value);
            self.apply(batch)?;
            let tail = Tail { state_bytes: value.len() as u64, ..Tail::default() };
            self.tails.insert(aggregate.clone(), tail);
        }
        Ok(())
    }

    /// Hands everything written so far to the operating system. To be called before an orderly
    /// end, so that the next start has less to read from the log.
    ///
    /// # Errors
    /// [`StoreError::Write`].
    pub fn flush(&self) -> Result<(), StoreError> {
        self.rows.db.flush().map(drop).map_err(|source| StoreError::Write { source })
    }

    /// A handle to ask questions; any number of them, on any thread. They read from disk: not for
    /// threads that must not wait.
    #[must_use]
    pub fn queries(&self) -> Queries {
        Queries::new(self.rows.clone())
    }

    fn apply(&self, batch: sled::Batch) -> Result<(), StoreError> {
        self.rows.db.apply_batch(batch).map_err(|source| StoreError::Write { source })
    }
}

/// The row of the state that an aggregate has in the model, and the position of that state.
fn state_row(model: &Model, aggregate: &AggregateId) -> Option<(Position, (Key, Vec<u8>))> {
    match aggregate {
        AggregateId::Cluster(name) => {
            let cluster = model.clusters.get(name)?;
            Some((cluster.position, entities::state_row(aggregate, cluster)))
        }
        AggregateId::Placement(key) => {
            let placement = model.placements.get(key)?;
            Some((placement.position, entities::state_row(aggregate, placement)))
        }
        AggregateId::Fleet => {
            let fleet = &model.fleet;
            Some((fleet.position, entities::state_row(aggregate, fleet)))
        }
    }
}
