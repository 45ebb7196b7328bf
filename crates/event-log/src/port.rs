//! The port: what a log backend offers.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use events::{ContentHash, Partition};

use crate::clock::LogClock;

/// The most bytes that an entry of a stream may have, in every backend alike: what fits one fits
/// all, so a history can move between them. The bound of a record is the bound of an entry.
pub const ENTRY_BYTES_MAX: usize = events::frame::RECORD_BYTES_MAX;

/// The most bytes that one piece of content may have: 16 MiB, ten times the largest object that a
/// kube-apiserver stores. At twice this, a handful of them in flight would fill a small hub.
pub const CONTENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One of the ordered streams of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// The records of a partition. Kept for ever.
    Events(Partition),
    /// Commands submitted to a partition by anybody. Kept for a week.
    Commands(Partition),
    /// The leases of the nodes. Kept for a day.
    Membership,
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Events(partition) => write!(f, "events of partition {partition}"),
            Self::Commands(partition) => write!(f, "commands of partition {partition}"),
            Self::Membership => f.write_str("membership"),
        }
    }
}

/// An entry of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Where it stands. Offsets rise; they may have holes.
    pub offset: u64,
    /// What was appended.
    pub bytes: Bytes,
}

/// Whether something that failed may have happened all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It did not happen and will not.
    Determinate,
    /// Nobody knows yet. For an append to a partition: claim again, and the log says.
    Indeterminate,
}

/// Why the log could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The backend cannot be reached, or did not answer in time.
    #[error("the log does not answer ({stage})")]
    Unavailable {
        /// What was being done.
        stage: &'static str,
        /// Whether it may have happened.
        failure: Failure,
        /// What the driver said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no room for more. Nothing was written.
    #[error("the log's disk is full; make room, and writing goes on by itself")]
    Full {
        /// What the driver said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The entry is larger than the backend takes. Nothing was written.
    #[error("an entry of {bytes} bytes is too large for the log (at most {max})")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// What stands in the log cannot be right.
    #[error("the log is damaged: {what}")]
    Corrupt {
        /// What was found, where.
        what: String,
    },
    /// The log is not set up as it must be.
    #[error("{problem}\n  mend it with: {remedy}")]
    Misconfigured {
        /// What is wrong.
        problem: String,
        /// The exact command, or what to change.
        remedy: String,
    },
    /// Another process has this log open.
    #[error("the log {log} is in use by another process")]
    InUse {
        /// Which log.
        log: String,
    },
}

impl LogError {
    /// Whether what failed may have happened all the same.
    #[must_use]
    pub fn failure(&self) -> Failure {
        match self {
            Self::Unavailable { failure, .. } => *failure,
            Self::Full { .. }
            | Self::TooLarge { .. }
            | Self::Corrupt { .. }
            | Self::Misconfigured { .. }
            | Self::InUse { .. } => Failure::Determinate,
        }
    }
}

/// Delivers a stream, in order, first what is there and then what comes.
pub struct Reader {
    source: Box<dyn Pull>,
}

/// What a reader draws from: a backend that can be asked for the next record. What it reads ahead it
/// must bound by itself.
#[async_trait]
pub trait Pull: Send + Sync + 'static {
    /// See [`Reader::next`]. Must be cancel safe.
    async fn next(&mut self) -> Option<Result<StoredRecord, LogError>>;

    /// See [`Reader::try_next`].
    fn try_next(&mut self) -> Option<Result<StoredRecord, LogError>>;
}

impl Reader {
    /// A reader that asks `source`.
    #[must_use]
    pub fn pull(source: impl Pull) -> Self {
        Self { source: Box::new(source) }
    }

    /// The next record; waits for one. `None` when the log was closed. After an error the reader
    /// is at its end: read again from the offset after the last record.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Result<StoredRecord, LogError>> {
        self.source.next().await
    }

    /// The next record if it is there already.
    pub fn try_next(&mut self) -> Option<Result<StoredRecord, LogError>> {
        self.source.try_next()
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

/// A stream that ends at `end` was to be read on from beyond that. `stream` names it as the backend
/// does.
#[must_use]
pub fn went_backwards(stream: impl fmt::Display, end: u64, from: u64) -> LogError {
    LogError::Corrupt {
        what: format!(
            "{stream} ends at offset {end}, but is to be read on from offset {from}: it went \
             backwards"
        ),
    }
}

/// Refuses what is larger than every backend takes.
///
/// # Errors
/// [`LogError::TooLarge`].
pub fn check_size(bytes: &Bytes, max: usize) -> Result<(), LogError> {
    if bytes.len() <= max { Ok(()) } else { Err(LogError::TooLarge { bytes: bytes.len(), max }) }
}

/// A log backend.
///
/// # Guarantees
/// - Entries of one stream have one order, the same for every reader, and stay as they are.
/// - When `append` or `put` answers `Ok`, the entry is durable and every reader will see it.
/// - Appends of one caller to one stream, awaited in the order in which they were polled first,
///   are stored in that order, even when several are in flight. After one fails, later ones of the
///   same caller may still be stored: the acceptance rule is what rejects them.
/// - A determinate error means that the entry is not in the log and will not be.
/// - A reader sees an entry only when it is durable.
/// - Nothing is deduplicated: the same bytes appended twice are two entries. That a command which
///   was submitted twice is decided once is the promise of the inbox (crate `projections`), which
///   knows the last 10,000 commands that each partition has decided, and no more.
/// - **A log that went backwards is found out.** Who reads from beyond the end knows of entries that
///   are not there any more: a disk was lost, or an old copy put back. The reader answers
///   [`LogError::Corrupt`], which says where the log ends and where it was to be read on, and does
///   not wait until the log is as long again. To read from exactly the end is to wait for the next
///   entry. That another history of the same length or a longer one has taken the place of the one
///   that was known, only its hashes tell: see [`crate::Acceptor::recognises`].
///
/// # Assumptions
/// - Anybody may append anything at any time: the port fences nobody.
///
/// # Cancel safety
/// A dropped `append` or `put` may or may not have happened. `read` and `get` have no effect.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Adds an entry to the end of a stream. Answers with its offset when it is durable. An entry
    /// has at most [`ENTRY_BYTES_MAX`] bytes.
    async fn append(&self, stream: Stream, bytes: Bytes) -> Result<u64, LogError>;

    /// Reads a stream from an offset on (the first entry at or after it), then live. From beyond the
    /// end: see the guarantees.
    async fn read(&self, stream: Stream, from: u64) -> Result<Reader, LogError>;

    /// The offset that the next entry of a stream will have, or a lower bound on it: whoever has
    /// read all entries below it has seen everything that was there when this was asked.
    async fn end(&self, stream: Stream) -> Result<u64, LogError>;

    /// Stores bytes under their SHA-256. Storing the same bytes again changes nothing. At most
    /// [`CONTENT_BYTES_MAX`] bytes.
    async fn put(&self, bytes: Bytes) -> Result<ContentHash, LogError>;

    /// Stores bytes under their SHA-256 although bytes of that name were stored before: they are gone,
    /// or are not what was stored.
    async fn mend(&self, bytes: Bytes) -> Result<ContentHash, LogError>;

    /// Reads bytes that were stored. `None` when there are none of that name.
    async fn get(&self, hash: ContentHash) -> Result<Option<Bytes>, LogError>;

    /// The log's clock, as this node knows it: every backend that several nodes share learns it from
    /// what the node appends to [`Stream::Membership`], which has one place in the backend and so one
    /// clock.
    fn clock(&self) -> LogClock;
}
