//! The rows in sled: opened under supervision, written in batches.
//!
//! sled is quick but may not open again after a hard stop, and what it calls flushed may be lost
//! with the power. Nothing is lost with it: every row comes from the log, rows and checkpoint
//! move together, and what cannot be used is set aside and read again.

mod batch;
mod chunk;
mod database;
mod directory;
mod entities;
mod error;
mod inbox_rows;
mod keys;
mod known;
mod load;
mod load_inbox;
mod open;
mod packing;
mod parts;
mod records;
#[cfg(test)]
mod round_trip;
mod rows;
pub(crate) mod values;
mod version;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::Decider;
use domain::cluster::Cluster;
use domain::fleet::Fleet;
use domain::placement::Placement;
use events::{AggregateId, Position};

use self::batch::Batch;
use self::directory::Lock;
use self::entities::Tail;
use self::known::Known;
use crate::model::{Changes, Model, PartitionOf, Versioned};
use crate::query::Queries;
use crate::step::FoldStep;

pub(crate) use self::batch::{CorrelatedEvent, ViewRow, bucket_of};
pub(crate) use self::chunk::Chunk;
pub use self::directory::QUARANTINED_MAX;
pub(crate) use self::entities::restore;
pub use self::error::StoreError;
pub(crate) use self::keys::{Key, KeyReader, Kind};
pub(crate) use self::records::{FrameRow, RecordRow, frame_around, read_record};
pub(crate) use self::rows::{EventReader, Rows, chunk_json, nanoseconds};

/// The writer of the rows. One per directory; queries have their own handle.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    rows: Rows,
    partition_of: PartitionOf,
    known: Known,
    /// Set when a batch failed.
    is_broken: bool,
    /// Set when the rows were set aside already, since they are incomplete.
    is_set_aside: bool,
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
    /// log, or cannot be written any more. Queries with the old handle go on answering from the
    /// old rows; this store writes nothing from now on. When this fails, it may be tried again.
    ///
    /// # Errors
    /// [`StoreError::Directory`] when the directory cannot be moved or made again.
    pub fn start_over(&mut self, reason: &str) -> Result<Opened, StoreError> {
        self.is_broken = true;
        let lock = self.rows.db.lock();
        if self.is_set_aside || !self.dir.exists() {
            return open::open(&self.dir, &lock, self.partition_of);
        }
        let opened = open::open_anew(&self.dir, &lock, self.partition_of, reason.to_owned())?;
        self.is_set_aside = true;
        Ok(opened)
    }

    /// The directory of the rows.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Those aggregates of which [`Store::snapshot`] would write the state. Looks at memory alone.
    #[must_use]
    pub fn due<'a>(
        &self,
        dirty: impl IntoIterator<Item = &'a AggregateId>,
    ) -> Vec<&'a AggregateId> {
        dirty.into_iter().filter(|aggregate| self.known.tail(aggregate).is_long()).collect()
    }

    /// Writes the rows and checkpoints of some steps, all or nothing. Each step is written once,
    /// in the order in which it was folded, with what the fold said that it changed.
    ///
    /// Queries wait while a batch is written: 5,000 steps take about 50 ms.
    ///
    /// # Errors
    /// [`StoreError::Write`], and [`StoreError::Broken`] from then on: the rows were set aside, and
    /// the next store that is opened here starts empty.
    pub fn write<'a>(
        &mut self,
        steps: impl IntoIterator<Item = (&'a FoldStep<'a>, &'a Changes)>,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for (step, changes) in steps {
            batch.add(step, changes, &mut self.known);
        }
        let batch = batch.finish(&mut self.known);
        self.apply(batch)
    }

    /// Writes the states of those of the given aggregates that have many events since their last
    /// state row. Costs next to nothing when none has, so it may be called after each write with
    /// whatever changed. The model may be ahead of what is written; a part of it that holds these
    /// aggregates will do, see [`Model::part`].
    ///
    /// # Errors
    /// When rows cannot be read or written. Nothing but time is lost by that.
    pub fn snapshot<'a>(
        &mut self,
        model: &Model,
        dirty: impl IntoIterator<Item = &'a AggregateId>,
    ) -> Result<(), StoreError> {
        for aggregate in self.due(dirty) {
            let tail = match aggregate {
                AggregateId::Cluster(name) => {
                    self.state_row::<Cluster>(aggregate, model.clusters.get(name))
                }
                AggregateId::Placement(key) => {
                    self.state_row::<Placement>(aggregate, model.placements.get(key))
                }
                AggregateId::Fleet => self.state_row::<Fleet>(aggregate, Some(&model.fleet)),
            }?;
            self.known.set_tail(aggregate, tail);
        }
        Ok(())
    }

    /// Writes the state of an aggregate as of its last event that is written: from the model, or
    /// from the rows when the model is ahead of them.
    fn state_row<D: Decider>(
        &self,
        aggregate: &AggregateId,
        known: Option<&Versioned<D::State>>,
    ) -> Result<Tail, StoreError> {
        let is_written = |position: Position| {
            let end = self.known.ends.get(&position.partition);
            end.is_some_and(|end| position.sequence <= end.last)
        };
        match known.filter(|known| is_written(known.position)) {
            Some(known) => entities::write(&self.rows, aggregate, known),
            None => {
                let count = self.rows.count(aggregate)?;
                Ok(entities::restore::<D>(&self.rows, aggregate, count)?.1)
            }
        }
    }

    /// Hands everything written so far to the operating system. To be called before an orderly
    /// end, so that the next start has less to read from the log.
    ///
    /// # Errors
    /// [`StoreError::Write`].
    pub fn flush(&self) -> Result<(), StoreError> {
        self.rows.db.flush().map(drop).map_err(|source| StoreError::Write { source })
    }

    /// Applies a batch. What a failed one leaves behind may be a part of it, so nothing may be
    /// built on it: the directory is set aside at once, where no later start finds it.
    fn apply(&mut self, batch: sled::Batch) -> Result<(), StoreError> {
        if self.is_broken {
            return Err(StoreError::Broken { dir: self.dir.clone() });
        }
        let applied = self.rows.apply(batch);
        if applied.is_err() {
            self.is_broken = true;
            match directory::quarantine(&self.dir) {
                Ok(_) => self.is_set_aside = true,
                Err(error) => {
                    tracing::error!(%error, "projections that are incomplete cannot be set aside");
                }
            }
        }
        applied
    }

    /// A handle to ask questions; any number of them, on any thread. They read from disk: not for
    /// threads that must not wait.
    #[must_use]
    pub fn queries(&self) -> Queries {
        Queries::new(self.rows.clone())
    }
}
