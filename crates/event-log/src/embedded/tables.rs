//! The tables in the file, and what can be found wrong with them.
//!
//! | table | key | value |
//! |---|---|---|
//! | `events`, `commands`, `membership` | (partition, offset) | checksum, time, the entry's bytes |
//! | `content` | SHA-256 | the bytes |
//! | `meta` | name | number: `format` |
//!
//! Offsets have no holes. Events start at 0; of the other streams the oldest entries are trimmed,
//! never the newest, so that offsets go on rising.

use std::collections::BTreeMap;

use events::Partition;
use redb::{
    ReadOnlyTable, ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction,
};

use super::seal;
use crate::Stream;

pub(super) type EntryTable = TableDefinition<'static, (u16, u64), &'static [u8]>;

const EVENTS: EntryTable = TableDefinition::new("events");
const COMMANDS: EntryTable = TableDefinition::new("commands");
const MEMBERSHIP: EntryTable = TableDefinition::new("membership");
pub(super) const CONTENT: TableDefinition<'static, [u8; 32], &'static [u8]> =
    TableDefinition::new("content");
pub(super) const META: TableDefinition<'static, &'static str, u64> = TableDefinition::new("meta");

/// The layout of the tables that this version reads and writes.
pub(super) const FORMAT: u64 = 1;

/// How many bytes of the newest entries of each stream are checked when the log is opened: 1 MiB,
/// in all some 30 ms for 32 partitions. With twice as much, opening takes twice as long; damage to
/// older entries is found when they are read.
const CHECKED_ON_OPEN_BYTES_MAX: usize = 1024 * 1024;

/// How many old entries of one stream one commit removes, so that it stays short. They come at a
/// far lower rate than this.
const TRIMMED_AT_ONCE_MAX: usize = 1_000;

/// The offset after the last entry of each stream that has any.
pub(super) type Ends = BTreeMap<Stream, u64>;

/// The streams that share a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Events,
    Commands,
    Membership,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Events, Self::Commands, Self::Membership];

    pub(super) fn of(stream: Stream) -> (Self, u16) {
        match stream {
            Stream::Events(Partition(partition)) => (Self::Events, partition),
            Stream::Commands(Partition(partition)) => (Self::Commands, partition),
            Stream::Membership => (Self::Membership, 0),
        }
    }

    pub(super) fn stream(self, partition: u16) -> Stream {
        match self {
            Self::Events => Stream::Events(Partition(partition)),
            Self::Commands => Stream::Commands(Partition(partition)),
            Self::Membership => Stream::Membership,
        }
    }

    pub(super) fn table(self) -> EntryTable {
        match self {
            Self::Events => EVENTS,
            Self::Commands => COMMANDS,
            Self::Membership => MEMBERSHIP,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Commands => "commands",
            Self::Membership => "membership",
        }
    }

    pub(super) fn missing(self, partition: u16, offset: u64) -> StoreFailure {
        let name = self.name();
        StoreFailure::Damaged(format!("{name} of partition {partition}: entry {offset} is missing"))
    }

    /// Opens a sealed entry: its time and its bytes.
    pub(super) fn open(
        self,
        place: seal::Place,
        sealed: &[u8],
    ) -> Result<(u64, &[u8]), StoreFailure> {
        seal::open(place, sealed).ok_or_else(|| {
            let (name, (partition, offset)) = (self.name(), place);
            let what = format!("{name} of partition {partition}: entry {offset} has changed");
            StoreFailure::Damaged(what)
        })
    }
}

/// Finds the end of every stream in a table; on the way, that no entry is missing and that the
/// newest are as they were written.
pub(super) fn check(
    kind: Kind,
    table: &ReadOnlyTable<(u16, u64), &'static [u8]>,
) -> Result<Ends, StoreFailure> {
    let mut ends = Ends::new();
    let mut expected = 0;
    let mut from = Some(0);
    while let Some(partition) = from {
        let Some(first) = table.range((partition, 0)..)?.next() else { break };
        let (partition, first) = first?.0.value();
        if kind == Kind::Events && first != 0 {
            return Err(kind.missing(partition, 0));
        }
        let mut end = first;
        let mut checked = 0;
        for entry in table.range((partition, 0)..=(partition, u64::MAX))?.rev() {
            let (key, value) = entry?;
            let (_, bytes) = kind.open(key.value(), value.value())?;
            end = end.max(key.value().1 + 1);
            checked += bytes.len();
            if checked >= CHECKED_ON_OPEN_BYTES_MAX {
                break;
            }
        }
        expected += end - first;
        ends.insert(kind.stream(partition), end);
        from = partition.checked_add(1);
    }
    if expected == table.len()? { Ok(ends) } else { Err(first_gap(kind, table)?) }
}

/// What is wrong with a table whose entries do not add up.
fn first_gap(
    kind: Kind,
    table: &ReadOnlyTable<(u16, u64), &'static [u8]>,
) -> Result<StoreFailure, StoreFailure> {
    let mut before: Option<(u16, u64)> = None;
    for entry in table.iter()? {
        let (partition, offset) = entry?.0.value();
        match before {
            Some((same, last)) if same == partition && last + 1 != offset => {
                return Ok(kind.missing(partition, last + 1));
            }
            Some(_) | None => before = Some((partition, offset)),
        }
    }
    Ok(StoreFailure::Damaged(format!("the {} do not add up", kind.name())))
}

/// Removes entries from before a moment, but never the newest of a stream.
pub(super) fn trim(
    transaction: &WriteTransaction,
    kind: Kind,
    before_ms: u64,
) -> Result<(), StoreFailure> {
    let mut table = transaction.open_table(kind.table())?;
    let mut old = Vec::new();
    let mut from = Some(0);
    while let Some(partition) = from {
        let Some(first) = table.range((partition, 0)..)?.next() else { break };
        let (partition, _) = first?.0.value();
        let of_stream = (partition, 0)..=(partition, u64::MAX);
        let newest = table.range(of_stream.clone())?.next_back().transpose()?;
        let newest = newest.map(|(key, _)| key.value());
        for entry in table.range(of_stream)?.take(TRIMMED_AT_ONCE_MAX) {
            let (key, value) = entry?;
            let (time_ms, _) = kind.open(key.value(), value.value())?;
            if time_ms >= before_ms || Some(key.value()) == newest {
                break;
            }
            old.push(key.value());
        }
        from = partition.checked_add(1);
    }
    for key in old {
        table.remove(key)?;
    }
    Ok(())
}

/// What stops an operation on the file from within.
pub(super) enum StoreFailure {
    Damaged(String),
    Redb(redb::Error),
}

macro_rules! from_redb {
    ($($error:ty,)*) => {
        $(impl From<$error> for StoreFailure {
            fn from(error: $error) -> Self {
                Self::Redb(error.into())
            }
        })*
    };
}

from_redb! {
    redb::TransactionError,
    redb::SetDurabilityError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError,
}
