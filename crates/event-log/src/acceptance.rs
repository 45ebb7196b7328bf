//! The acceptance rule: which records of a partition count.
//!
//! Anybody can write anything into a partition: an owner that was presumed dead, two nodes that
//! claim at once, a retry that was stored twice. Every reader applies the same rule to the same
//! bytes in the same order, so all readers agree on what counts, whatever was written:
//!
//! - a **claim** counts iff its epoch is the current one + 1. It takes the next sequence.
//! - a **frame** counts iff its epoch is the current one, its first sequence is the last + 1, and
//!   its previous hash is the hash of everything that counted before it. Before the first claim
//!   nobody owns the partition, and no frame counts.
//! - a **genesis** counts iff it is the very first record of partition 0.
//!
//! The rule looks at the *header* of a record alone (see `Header`), which no version changes. So a
//! record that does not count is skipped by every version alike, whatever else is in it: the frame
//! of a zombie of a newer version stops nobody. Only a record that counts must be readable.
//!
//! An owner acts on its own frame only when it reads it back and it counts.

use events::{ChainHash, Epoch, Partition, Position, Record, Sequence};
use serde::{Deserialize, Serialize};

/// Why a record does not count. It is ignored by all readers alike; `doctor` shows how many there
/// are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Written by an owner whose time is over, or by one whose claim was never seen.
    #[error("its epoch is {found}, the current one is {current}")]
    OtherEpoch {
        /// The record's epoch.
        found: Epoch,
        /// The epoch in force.
        current: Epoch,
    },
    /// Nobody has claimed the partition yet.
    #[error("nobody owns the partition yet")]
    Unclaimed,
    /// It does not follow on what counted before: a frame before it is missing or was rejected.
    #[error("it starts at sequence {found}, the next one is {next}")]
    NotNext {
        /// Where the frame starts.
        found: Sequence,
        /// Where it would have to.
        next: Sequence,
    },
    /// It was written on top of another history.
    #[error("it continues a history with hash {found}, this one has {current}")]
    OtherHistory {
        /// The hash that it names.
        found: ChainHash,
        /// The hash of what counted.
        current: ChainHash,
    },
    /// Another claim on this epoch, or a later one, stands before it.
    #[error("it claims epoch {found}, but the next one is {next}")]
    LostClaim {
        /// The epoch that it wants.
        found: Epoch,
        /// The next free one.
        next: Epoch,
    },
    /// A genesis that is not the first record of partition 0.
    #[error("the log has its genesis already")]
    SecondGenesis,
    /// The events of a frame do not carry the sequences that it says.
    #[error("its events are not numbered from {first} on")]
    Misnumbered {
        /// The frame's first sequence.
        first: Sequence,
    },
    /// It is no record at all: not even its header can be read.
    #[error("it is not a record: {reason}")]
    NoRecord {
        /// What is wrong.
        reason: String,
    },
    /// It counts by its header, but this version cannot read what is in it. Others may have accepted
    /// it, so it must not be skipped: see [`Rejection::stops_the_reader`].
    #[error("it counts, but holds something that this version cannot read: {reason}")]
    Undecodable {
        /// What is wrong.
        reason: String,
    },
}

impl Rejection {
    /// Whether a reader must not go on: it cannot know whether the record counts, and to guess
    /// would be to disagree with other readers.
    #[must_use]
    pub fn stops_the_reader(&self) -> bool {
        match self {
            Self::Undecodable { .. } => true,
            Self::OtherEpoch { .. }
            | Self::Unclaimed
            | Self::NotNext { .. }
            | Self::OtherHistory { .. }
            | Self::LostClaim { .. }
            | Self::SecondGenesis
            | Self::Misnumbered { .. }
            | Self::NoRecord { .. } => false,
        }
    }
}

/// A record that counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// Its partition and (first) sequence.
    pub position: Position,
    /// Where it stands in the stream.
    pub offset: u64,
    /// What it says.
    pub record: Record,
    /// The chain hash after it.
    pub hash: ChainHash,
}

/// What a reader has accepted of one partition so far. Small, and stored with whatever is derived
/// from the log, so that reading can go on from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceptor {
    /// The partition.
    pub partition: Partition,
    /// The epoch in force; 0 before the first claim.
    pub epoch: Epoch,
    /// The last sequence that counted.
    pub last: Sequence,
    /// The hash of everything that counted.
    pub hash: ChainHash,
    /// The last record that counted: its offset and the hash before it.
    pub last_record: Option<(u64, ChainHash)>,
}

impl Acceptor {
    /// The start of a partition.
    #[must_use]
    pub fn new(partition: Partition) -> Self {
        Self {
            partition,
            epoch: Epoch::default(),
            last: Sequence::default(),
            hash: ChainHash::default(),
            last_record: None,
        }
    }

    /// The offset to read from: the last record that counted comes once more, so that
    /// [`Acceptor::recognises`] can tell whether it is still the same log.
    #[must_use]
    pub fn resume_from(&self) -> u64 {
        self.last_record.map_or(0, |(offset, _)| offset)
    }

    /// Whether the record at the resume offset is the one that was accepted there. If not, the log
    /// was replaced or went backwards, and everything derived from it must be rebuilt.
    #[must_use]
    pub fn recognises(&self, offset: u64, bytes: &[u8]) -> bool {
        match self.last_record {
            Some((last, before)) => last == offset && before.then(bytes) == self.hash,
            None => true,
        }
    }

    /// Applies the rule to the next record of the stream.
    ///
    /// # Errors
    /// Why the record does not count. Nothing changes then.
    pub fn offer(&mut self, offset: u64, bytes: &[u8]) -> Result<Accepted, Rejection> {
        let record = self.read(bytes)?;
        let first = self.last.plus(1);
        match &record {
            Record::Genesis(_) => {}
            Record::Claim(claim) => {
                self.epoch = claim.epoch;
                self.last = first;
            }
            Record::Frame(frame) => self.last = frame.last(),
        }
        self.last_record = Some((offset, self.hash));
        self.hash = self.hash.then(bytes);
        let position = Position { partition: self.partition, sequence: first };
        Ok(Accepted { position, offset, record, hash: self.hash })
    }

    /// Reads a record that counts. What does not count need not be readable.
    fn read(&self, bytes: &[u8]) -> Result<Record, Rejection> {
        match Record::from_bytes(bytes) {
            Ok(record) => {
                self.check(&Header::of(&record))?;
                check_numbers(&record)?;
                Ok(record)
            }
            Err(error) => {
                self.check(&Header::read(bytes)?)?;
                Err(Rejection::Undecodable { reason: error.to_string() })
            }
        }
    }

    /// The rule.
    fn check(&self, header: &Header) -> Result<(), Rejection> {
        match *header {
            Header::Genesis { .. } => {
                let is_first = self.partition == Partition(0) && self.last_record.is_none();
                if is_first { Ok(()) } else { Err(Rejection::SecondGenesis) }
            }
            Header::Claim { epoch } => {
                let next = self.epoch.next();
                // No epoch comes after the last one that there is.
                if epoch == next && next > self.epoch {
                    Ok(())
                } else {
                    Err(Rejection::LostClaim { found: epoch, next })
                }
            }
            Header::Frame { epoch, first, previous } => {
                let (next, current) = (self.last.plus(1), self.hash);
                if self.epoch == Epoch::default() {
                    return Err(Rejection::Unclaimed);
                }
                if epoch != self.epoch {
                    return Err(Rejection::OtherEpoch { found: epoch, current: self.epoch });
                }
                if first != next || next == self.last {
                    return Err(Rejection::NotNext { found: first, next });
                }
                if previous != current {
                    return Err(Rejection::OtherHistory { found: previous, current });
                }
                Ok(())
            }
        }
    }
}

/// What decides whether a record counts. Every version writes it like this and reads it like this,
/// whatever else it puts into its records.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Header {
    Genesis {
        /// Tells a genesis from anything else of that name.
        #[serde(rename = "format")]
        _format: u32,
    },
    Claim {
        epoch: Epoch,
    },
    Frame {
        epoch: Epoch,
        first: Sequence,
        previous: ChainHash,
    },
}

impl Header {
    fn of(record: &Record) -> Self {
        match record {
            Record::Genesis(genesis) => Self::Genesis { _format: genesis.format },
            Record::Claim(claim) => Self::Claim { epoch: claim.epoch },
            Record::Frame(frame) => {
                Self::Frame { epoch: frame.epoch, first: frame.first, previous: frame.previous }
            }
        }
    }

    /// Reads the header of a record of any version.
    fn read(bytes: &[u8]) -> Result<Self, Rejection> {
        let no_record = |reason: String| Rejection::NoRecord { reason };
        let text = std::str::from_utf8(bytes).map_err(|error| no_record(error.to_string()))?;
        serde_json::from_str(text).map_err(|error| no_record(error.to_string()))
    }
}

/// The events of a frame carry the sequences that its header says.
fn check_numbers(record: &Record) -> Result<(), Rejection> {
    let Record::Frame(frame) = record else { return Ok(()) };
    let expected = (frame.first.0..).map(Sequence);
    if frame.events.iter().zip(expected).any(|(event, n)| event.sequence != n) {
        return Err(Rejection::Misnumbered { first: frame.first });
    }
    Ok(())
}
