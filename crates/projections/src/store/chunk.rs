//! Chunks: consecutive entries of a partition in one row.
//!
//! sled takes about the same time for a row of 50 bytes and one of 5,000, so the events of a write
//! share rows as far as they fit. A write of one event makes a chunk of one; a rebuild makes full
//! ones. A table in front says where each entry is, so one event is read without parsing the
//! others. The entries behind it are packed, since JSON events are much alike.

use std::cell::OnceCell;

use events::{Position, Sequence};
use serde::{Deserialize, Serialize};
use sled::IVec;

use super::packing;
use super::values::{self, Malformed};

/// When a chunk is full. Packed, 24 KiB of events have 5 KiB: one part of a row. To unpack them
/// takes 20 µs; at twice this, a look at one event takes twice that and most chunks two parts.
const CHUNK_BYTES_MAX: usize = 24 * 1024;

#[derive(Debug, Serialize, Deserialize)]
struct Table {
    /// The last entry before this chunk; 0 if there is none. It tells when a chunk is missing.
    after: Sequence,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    sequence: Sequence,
    /// In nanoseconds; no earlier than that of the entry before it.
    time: i64,
    length: u32,
}

/// Puts entries of one partition into chunks.
#[derive(Debug)]
pub(crate) struct ChunkWriter {
    full: Vec<(Position, Vec<u8>)>,
    partition: events::Partition,
    table: Table,
    bytes: Vec<u8>,
}

impl ChunkWriter {
    /// Goes on after the last entry that was written before.
    pub(crate) fn new(partition: events::Partition, after: Sequence) -> Self {
        let table = Table { after, entries: Vec::new() };
        Self { full: Vec::new(), partition, table, bytes: Vec::new() }
    }

    /// Adds an entry, as JSON. Answers with its size.
    pub(crate) fn push(&mut self, sequence: Sequence, time: i64, value: &impl Serialize) -> u64 {
        let start = self.bytes.len();
        values::write_json(&mut self.bytes, value);
        let length = self.bytes.len() - start;
        if self.bytes.len() > CHUNK_BYTES_MAX {
            self.close(start);
        }
        let entry_length = u32::try_from(length).expect("a record has at most 900 KB");
        self.table.entries.push(Entry { sequence, time, length: entry_length });
        length as u64
    }

    /// All chunks, with their keys.
    pub(crate) fn finish(mut self) -> Vec<(Position, Vec<u8>)> {
        self.close(self.bytes.len());
        self.full
    }

    /// Makes a chunk of the entries in the table, which have so many bytes.
    fn close(&mut self, length: usize) {
        let entries = &self.table.entries;
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return };
        let at = Position { partition: self.partition, sequence: first.sequence };
        let next = Table { after: last.sequence, entries: Vec::new() };
        let mut value = values::chunk_start(&self.table);
        packing::pack(&mut value, &self.bytes[..length]);
        self.bytes.drain(..length);
        self.full.push((at, value));
        self.table = next;
    }
}

/// A chunk that was read.
#[derive(Debug)]
pub(crate) struct Chunk {
    after: Sequence,
    table: Vec<Entry>,
    value: IVec,
    /// Where the packed entries start.
    start: usize,
    /// The entries, once somebody wants one.
    entries: OnceCell<Vec<u8>>,
}

impl Chunk {
    pub(crate) fn read(value: IVec) -> Result<Self, Malformed> {
        let (Table { after, entries: table }, start) = values::chunk_table(&value)?;
        if table.is_empty() {
            return Err(Malformed::Short);
        }
        Ok(Self { after, table, value, start, entries: OnceCell::new() })
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// The last entry before this chunk; 0 if there is none.
    pub(crate) fn after(&self) -> Sequence {
        self.after
    }

    pub(crate) fn first(&self) -> Sequence {
        self.table[0].sequence
    }

    pub(crate) fn last(&self) -> Sequence {
        self.table[self.table.len() - 1].sequence
    }

    /// The sequence of the entry of an index below [`Self::len`].
    pub(crate) fn sequence(&self, index: usize) -> Sequence {
        self.table[index].sequence
    }

    /// The time that the partition had reached with the entry of an index below [`Self::len`].
    pub(crate) fn time(&self, index: usize) -> i64 {
        self.table[index].time
    }

    /// The JSON of the entry of an index below [`Self::len`].
    pub(crate) fn json(&self, index: usize) -> Result<&[u8], Malformed> {
        let before: usize = self.table[..index].iter().map(|entry| entry.length as usize).sum();
        let range = before..before + self.table[index].length as usize;
        self.entries()?.get(range).ok_or(Malformed::Short)
    }

    fn entries(&self) -> Result<&[u8], Malformed> {
        if let Some(entries) = self.entries.get() {
            return Ok(entries);
        }
        let entries = packing::unpack(&self.value[self.start..])?;
        let length: usize = self.table.iter().map(|entry| entry.length as usize).sum();
        if entries.len() != length {
            return Err(Malformed::Short);
        }
        Ok(self.entries.get_or_init(|| entries))
    }

    /// The index of the first entry at or after a sequence.
    pub(crate) fn index_from(&self, sequence: Sequence) -> usize {
        self.table.partition_point(|entry| entry.sequence < sequence)
    }

    /// The index of the last entry at or before a sequence.
    pub(crate) fn index_at(&self, sequence: Sequence) -> Option<usize> {
        self.table.partition_point(|entry| entry.sequence <= sequence).checked_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use events::Partition;

    use super::*;

    #[test]
    fn entries_come_back_from_full_chunks_and_oversized_ones() {
        let texts: Vec<String> =
            (0..200).map(|n| "x".repeat(if n == 100 { 50_000 } else { n * 7 })).collect();
        let mut writer = ChunkWriter::new(Partition(3), Sequence(0));
        for (sequence, text) in (1..).zip(&texts) {
            // Claims take sequences without an event: every third one is missing.
            writer.push(Sequence(sequence * 3), i64::try_from(sequence).unwrap(), text);
        }
        let chunks = writer.finish();
        assert!(chunks.len() > 5, "{}", chunks.len());

        let mut read = Vec::new();
        for (at, value) in chunks {
            let chunk = Chunk::read(value.into()).unwrap();
            assert_eq!(chunk.first(), at.sequence);
            assert_eq!(chunk.after().0, 3 * read.len() as u64);
            for index in 0..chunk.len() {
                let sequence = chunk.sequence(index);
                assert_eq!(chunk.index_at(sequence.plus(2)), Some(index));
                assert_eq!(chunk.index_from(Sequence(sequence.0 - 2)), index);
                read.push(serde_json::from_slice::<String>(chunk.json(index).unwrap()).unwrap());
            }
            assert_eq!(chunk.index_at(Sequence(at.sequence.0 - 1)), None);
        }
        assert_eq!(read, texts);
    }

    #[test]
    fn a_cut_chunk_is_noticed() {
        let mut writer = ChunkWriter::new(Partition(0), Sequence(0));
        writer.push(Sequence(1), 0, &"some event");
        let (_, value) = writer.finish().remove(0);
        let json = |value: &[u8]| {
            let chunk = Chunk::read(value.into()).ok()?;
            chunk.json(0).ok().map(<[u8]>::to_vec)
        };
        assert_eq!(json(&value), Some(br#""some event""#.to_vec()));
        for length in 0..value.len() {
            assert_eq!(json(&value[..length]), None);
        }
    }
}
