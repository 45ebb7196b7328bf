//! The rows in sled.

use std::path::{Path, PathBuf};

use events::AggregateId;

use crate::model::{Changes, Model, PartitionOf};
use crate::query::Queries;
use crate::step::FoldStep;

/// The writer of the rows. One per directory; queries have their own handle.
#[derive(Debug)]
pub struct Store {}

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

/// Why the rows cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the directory open.
    #[error("the projections in {} are in use by another process; stop it first", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
}

impl Store {
    /// Opens the rows of a directory and loads the present from them.
    ///
    /// Rows that cannot be used (of another version, damaged) are moved to `quarantine/` next to
    /// the directory and the store starts empty.
    ///
    /// # Errors
    /// When another process has the directory open, or the directory cannot be made or moved.
    pub fn open(_dir: &Path, _partition_of: PartitionOf) -> Result<Opened, StoreError> {
        todo!("comes with the store")
    }

    /// Writes the rows and checkpoints of some steps, all or nothing. Each step is written once,
    /// in the order in which it was folded, with what the fold said that it changed.
    ///
    /// # Errors
    /// When sled cannot write. Nothing of the steps was written then.
    pub fn write<'a>(
        &mut self,
        _steps: impl IntoIterator<Item = (&'a FoldStep<'a>, &'a Changes)>,
    ) -> Result<(), StoreError> {
        todo!("comes with the store")
    }

    /// Writes the states of those aggregates of which the events since their last state row have
    /// become many. Cheap when there are none, so it may be called after each write.
    ///
    /// # Errors
    /// When sled cannot write.
    pub fn snapshot<'a>(
        &mut self,
        _model: &Model,
        _dirty: impl IntoIterator<Item = &'a AggregateId>,
    ) -> Result<(), StoreError> {
        todo!("comes with the store")
    }

    /// A handle to ask questions; any number of them, on any thread.
    #[must_use]
    pub fn queries(&self) -> Queries {
        todo!("comes with the store")
    }
}
