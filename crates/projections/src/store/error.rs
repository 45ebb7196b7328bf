//! Why rows cannot be read or written.

use std::path::PathBuf;

use events::{AggregateId, Position, Sequence};

use super::keys::Key;

/// Why the rows cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process, or another store in this one, has the directory open.
    #[error("the projections in {} are in use; stop the other process first", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory cannot be made, opened or moved.
    #[error("the directory {} cannot be used for projections; check its owner and free space", dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A directory that was just made cannot be opened.
    #[error("new projections cannot be made in {}: {reason}", dir.display())]
    Fresh {
        /// The directory.
        dir: PathBuf,
        /// What happened.
        reason: String,
    },
    /// sled cannot write.
    #[error("rows cannot be written")]
    Write {
        /// What sled said.
        source: sled::Error,
    },
    /// A batch could not be written before. Start over, or open the directory again.
    #[error("the projections in {} are incomplete since a write failed; they have to be rebuilt", dir.display())]
    Broken {
        /// The directory.
        dir: PathBuf,
    },
    /// sled cannot read.
    #[error("rows cannot be read")]
    Read {
        /// What sled said.
        source: sled::Error,
    },
    /// A row is not what it should be. Everything can be had again from the log: start over.
    #[error("row {key} is damaged; remove the projections directory to rebuild it from the log")]
    Damaged {
        /// Its key, in hex.
        key: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Somebody asks for a place in the log that was not read yet.
    #[error("{asked} was not read yet, only up to sequence {read}; ask again later")]
    NotReadYet {
        /// What was asked for.
        asked: Position,
        /// How far that partition was read.
        read: Sequence,
    },
    /// Positions of different partitions have no order.
    #[error("{asked} is not in the partition of {aggregate}; ask for a time or a watermark")]
    OtherPartition {
        /// What was asked for.
        asked: Position,
        /// Of what.
        aggregate: AggregateId,
    },
}

/// What cannot be right about a row that can be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Inconsistent(String);

impl StoreError {
    /// A row that cannot be read.
    pub(crate) fn damaged(
        key: &[u8],
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Damaged { key: hex::encode(key), source: source.into() }
    }

    /// A row that does not fit the others.
    pub(crate) fn inconsistent(key: &Key, what: impl Into<String>) -> Self {
        Self::damaged(key.bytes(), Inconsistent(what.into()))
    }
}
