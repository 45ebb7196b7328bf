//! Reading rows: what the load at the start and the queries have in common.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use events::{AggregateId, Envelope, Partition, Position, Sequence, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sled::IVec;

use super::chunk::Chunk;
use super::database::Database;
use super::error::StoreError;
use super::keys::{Key, KeyReader, Kind};
use super::{parts, values};

/// The rows of an open store. Clones share it; the directory is locked while there are any.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    pub(crate) db: Arc<Database>,
}

/// Where consecutive events of an aggregate stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) partition: Partition,
    /// One for each event, from that of the key on.
    pub(crate) sequences: Vec<Sequence>,
}

/// A moment as a number that sorts. What lies beyond the years 1678 to 2262 is cut to them.
pub(crate) fn nanoseconds(time: Timestamp) -> i64 {
    let nanoseconds = time.as_nanosecond();
    let bound = if nanoseconds < 0 { i64::MIN } else { i64::MAX };
    i64::try_from(nanoseconds).unwrap_or(bound)
}

/// sled could not read.
fn unread(source: sled::Error) -> StoreError {
    StoreError::Read { source }
}

impl Rows {
    /// A row of bincode.
    pub(crate) fn bincode<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, StoreError> {
        let Some(value) = self.db.get(key.bytes()).map_err(unread)? else { return Ok(None) };
        values::from_bincode(&value).map(Some).map_err(|e| StoreError::damaged(key.bytes(), e))
    }

    /// A row of bytes.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<IVec>, StoreError> {
        self.db.get(key).map_err(unread)
    }

    /// Writes all of a batch or nothing. sled panics where it finds pages that rotted.
    pub(crate) fn apply(&self, batch: sled::Batch) -> Result<(), StoreError> {
        let applied = catch_unwind(AssertUnwindSafe(|| self.db.apply_batch(batch)));
        let applied = applied.unwrap_or_else(|_| {
            Err(sled::Error::ReportableBug("sled panicked at a write".to_owned()))
        });
        applied.map_err(|source| StoreError::Write { source })
    }

    /// All rows with keys that start with `prefix`, in order.
    pub(crate) fn scan(
        &self,
        prefix: &Key,
    ) -> impl DoubleEndedIterator<Item = Result<(IVec, IVec), StoreError>> + use<> {
        self.db.scan_prefix(prefix.bytes()).map(|row| row.map_err(unread))
    }

    /// The last row of which the key starts with `prefix` and is at most `key`.
    pub(crate) fn at_or_before(
        &self,
        prefix: &Key,
        key: &Key,
    ) -> Result<Option<(IVec, IVec)>, StoreError> {
        self.db.range(prefix.bytes()..=key.bytes()).next_back().transpose().map_err(unread)
    }

    /// The last value in parts of which the key starts with `prefix` and is at most `key`.
    pub(crate) fn whole_at_or_before(
        &self,
        prefix: &Key,
        key: &Key,
    ) -> Result<Option<(IVec, IVec)>, StoreError> {
        parts::at_or_before(&self.db, prefix, key).map_err(unread)
    }

    /// The chunk that holds the last entry at or before a position.
    pub(crate) fn chunk_at(&self, kind: Kind, at: Position) -> Result<Option<Chunk>, StoreError> {
        let prefix = Key::chunks(kind, at.partition);
        let found = self.whole_at_or_before(&prefix, &Key::chunk(kind, at))?;
        read_chunk(found)
    }

    /// The first chunk that starts at a position or later.
    pub(crate) fn chunk_from(&self, kind: Kind, at: Position) -> Result<Option<Chunk>, StoreError> {
        let prefix = Key::chunks(kind, at.partition);
        let found = parts::at_or_after(&self.db, &prefix, &Key::chunk(kind, at)).map_err(unread)?;
        read_chunk(found)
    }

    /// The chunk that follows on one of a partition.
    pub(crate) fn chunk_after(
        &self,
        kind: Kind,
        partition: Partition,
        chunk: &Chunk,
    ) -> Result<Option<Chunk>, StoreError> {
        let at = Position { partition, sequence: chunk.last().plus(1) };
        let next = self.chunk_from(kind, at)?;
        match &next {
            Some(next) if next.after() != chunk.last() => {
                let what = format!("the chunk after {} is missing", chunk.last());
                Err(StoreError::inconsistent(&Key::chunk(kind, at), what))
            }
            Some(_) | None => Ok(next),
        }
    }

    /// The names that there are under a kind of which the keys start with a name, from `prefix`
    /// on: one look-up for each name, however many rows it has.
    pub(crate) fn names(
        &self,
        kind: Kind,
        prefix: &str,
    ) -> impl Iterator<Item = Result<String, StoreError>> {
        let mut from = [Key::of(kind).bytes(), prefix.as_bytes()].concat();
        let within = from.clone();
        std::iter::from_fn(move || {
            let found = match self.db.range(&*from..).next()? {
                Ok((key, _)) if key.starts_with(&within) => key,
                Ok(_) => return None,
                Err(source) => return Some(Err(unread(source))),
            };
            let Some(name) = KeyReader::new(&found).name() else {
                return Some(Err(StoreError::damaged(&found, "its key holds no name")));
            };
            from = Key::of(kind).name(name).after_name().into_bytes();
            Some(Ok(name.to_owned()))
        })
    }

    /// The rows about where an aggregate's events stand, from the one that holds event `from` on.
    pub(crate) fn runs(
        &self,
        aggregate: &AggregateId,
        from: u64,
    ) -> Result<impl Iterator<Item = Result<(u64, Run), StoreError>> + use<>, StoreError> {
        let prefix = Key::aggregate(Kind::Aggregate, aggregate);
        let wanted = prefix.clone().u64(from);
        let start = match self.at_or_before(&prefix, &wanted)? {
            Some((key, _)) => key,
            None => wanted.bytes().into(),
        };
        let end = prefix.clone().after_name();
        let rows = self.db.range(&*start..end.bytes());
        Ok(rows.map(move |row| row.map_err(unread).and_then(|(key, value)| read_run(&key, &value))))
    }

    /// How many events an aggregate has.
    pub(crate) fn count(&self, aggregate: &AggregateId) -> Result<u64, StoreError> {
        let prefix = Key::aggregate(Kind::Aggregate, aggregate);
        let Some((key, value)) = self.at_or_before(&prefix, &prefix.clone().u64(u64::MAX))? else {
            return Ok(0);
        };
        let (first, run) = read_run(&key, &value)?;
        Ok(first + run.sequences.len() as u64 - 1)
    }

    /// Where an aggregate's event stands.
    pub(crate) fn position(
        &self,
        aggregate: &AggregateId,
        number: u64,
    ) -> Result<Option<Position>, StoreError> {
        let prefix = Key::aggregate(Kind::Aggregate, aggregate);
        let Some((key, value)) = self.at_or_before(&prefix, &prefix.clone().u64(number))? else {
            return Ok(None);
        };
        let (first, run) = read_run(&key, &value)?;
        let index = usize::try_from(number - first).unwrap_or(usize::MAX);
        let (partition, sequence) = (run.partition, run.sequences.get(index).copied());
        Ok(sequence.map(|sequence| Position { partition, sequence }))
    }

    /// Where an aggregate's events stand, from event `from` on.
    pub(crate) fn positions(
        &self,
        aggregate: &AggregateId,
        from: u64,
    ) -> Result<impl Iterator<Item = Result<(u64, Position), StoreError>> + use<>, StoreError> {
        let each = self.runs(aggregate, from)?.flat_map(|run| match run {
            Ok((first, run)) => run.positions(first).map(Ok).collect(),
            Err(error) => vec![Err(error)],
        });
        let own = each.filter(move |at| at.as_ref().map_or(true, |(number, _)| *number >= from));
        // An aggregate's events have no holes, so a hole is a row that is missing.
        let key = Key::aggregate(Kind::Aggregate, aggregate);
        let mut next = from.max(1);
        Ok(own.map(move |at| {
            let at = at?;
            if at.0 != next {
                let what = format!("event {next} is missing");
                return Err(StoreError::inconsistent(&key, what));
            }
            next += 1;
            Ok(at)
        }))
    }
}

impl Run {
    /// The events with their numbers, of which `first` is the first.
    fn positions(self, first: u64) -> impl Iterator<Item = (u64, Position)> {
        let partition = self.partition;
        let at = move |sequence| Position { partition, sequence };
        (first..).zip(self.sequences).map(move |(number, sequence)| (number, at(sequence)))
    }
}

fn read_run(key: &IVec, value: &IVec) -> Result<(u64, Run), StoreError> {
    let mut reader = KeyReader::new(key);
    let (_, first) = (reader.name(), reader.u64());
    let run = values::from_bincode::<Run>(value).map_err(|e| StoreError::damaged(key, e))?;
    match first {
        Some(first) if !run.sequences.is_empty() => Ok((first, run)),
        Some(_) | None => Err(StoreError::damaged(key, "it names no event")),
    }
}

fn read_chunk(found: Option<(IVec, IVec)>) -> Result<Option<Chunk>, StoreError> {
    let Some((key, value)) = found else { return Ok(None) };
    Chunk::read(value).map(Some).map_err(|e| StoreError::damaged(&key, e))
}

/// The JSON of an event in a chunk.
pub(crate) fn chunk_json(chunk: &Chunk, index: usize, at: Position) -> Result<&[u8], StoreError> {
    chunk.json(index).map_err(|e| StoreError::damaged(Key::chunk(Kind::Events, at).bytes(), e))
}

/// Reads events one by one. Neighbours share a chunk, so the last one is kept.
#[derive(Debug)]
pub(crate) struct EventReader<'a> {
    rows: &'a Rows,
    partition: Partition,
    chunk: Option<Chunk>,
}

impl<'a> EventReader<'a> {
    pub(crate) fn new(rows: &'a Rows) -> Self {
        Self { rows, partition: Partition::default(), chunk: None }
    }

    /// The event at a position, and how many bytes it has as JSON.
    pub(crate) fn get(&mut self, at: Position) -> Result<Option<(Envelope, u64)>, StoreError> {
        let Some(chunk) = self.chunk(at)? else { return Ok(None) };
        let found = chunk.index_at(at.sequence);
        let Some(index) = found.filter(|index| chunk.sequence(*index) == at.sequence) else {
            return Ok(None);
        };
        let json = chunk_json(chunk, index, at)?;
        let envelope = serde_json::from_slice(json)
            .map_err(|e| StoreError::damaged(Key::chunk(Kind::Events, at).bytes(), e))?;
        Ok(Some((envelope, json.len() as u64)))
    }

    /// An event that other rows say is there.
    pub(crate) fn expect(&mut self, at: Position) -> Result<(Envelope, u64), StoreError> {
        self.get(at)?.ok_or_else(|| {
            StoreError::inconsistent(&Key::chunk(Kind::Events, at), format!("no event at {at}"))
        })
    }

    fn chunk(&mut self, at: Position) -> Result<Option<&Chunk>, StoreError> {
        let has = |chunk: &Chunk| chunk.first() <= at.sequence && at.sequence <= chunk.last();
        if self.partition != at.partition || !self.chunk.as_ref().is_some_and(has) {
            self.chunk = self.rows.chunk_at(Kind::Events, at)?;
            self.partition = at.partition;
        }
        Ok(self.chunk.as_ref())
    }
}
