//! Chunks: consecutive entries of a partition in one row.
//!
//! sled takes about the same time for a row of 50 bytes and one of 5,000, so the events of a write
//! share rows as far as they fit. A write of one event makes a chunk of one; a rebuild makes full
//! ones. A table in front says where each entry is, so one event is read without parsing the
//! others.

use std::ops::Range;

use events::{Position, Sequence};
use serde::{Deserialize, Serialize};
use sled::IVec;

use super::parts::PART_BYTES_MAX;
use super::values::{self, Malformed};

/// When a chunk is full. With its table it still fits into one part of a row.
const CHUNK_BYTES_MAX: usize = PART_BYTES_MAX * 7 / 8;

/// The most entries of a chunk: their table takes at most 20 bytes each.
const CHUNK_ENTRIES_MAX: usize = PART_BYTES_MAX / 8 / 20;

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
    table: Vec<Entry>,
    bytes: Vec<u8>,
}

impl ChunkWriter {
    pub(crate) fn new(partition: events::Partition) -> Self {
        Self { full: Vec::new(), partition, table: Vec::new(), bytes: Vec::new() }
    }

    /// Adds an entry, as JSON. Answers with its size.
    pub(crate) fn push(&mut self, sequence: Sequence, time: i64, value: &impl Serialize) -> u64 {
        let start = self.bytes.len();
        values::write_json(&mut self.bytes, value);
        let length = self.bytes.len() - start;
        let beyond = (start + length > CHUNK_BYTES_MAX).then(|| self.bytes.split_off(start));
        if let Some(entry) = beyond {
            self.close();
            self.bytes = entry;
        }
        let entry_length = u32::try_from(length).expect("a record has at most 900 KB");
        self.table.push(Entry { sequence, time, length: entry_length });
        if self.table.len() == CHUNK_ENTRIES_MAX {
            self.close();
        }
        length as u64
    }

    /// All chunks, with their keys.
    pub(crate) fn finish(mut self) -> Vec<(Position, Vec<u8>)> {
        self.close();
        self.full
    }

    fn close(&mut self) {
        let Some(first) = self.table.first() else { return };
        let at = Position { partition: self.partition, sequence: first.sequence };
        let mut value = values::chunk_start(&self.table);
        value.append(&mut self.bytes);
        self.full.push((at, value));
        self.table.clear();
    }
}

/// A chunk that was read.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    table: Vec<Entry>,
    value: IVec,
    /// Where the entries start.
    start: usize,
}

/// One entry of a chunk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChunkEntry<'a> {
    pub(crate) sequence: Sequence,
    pub(crate) time: i64,
    pub(crate) json: &'a [u8],
}

impl Chunk {
    pub(crate) fn read(value: IVec) -> Result<Self, Malformed> {
        let (table, start) = values::chunk_table::<Vec<Entry>>(&value)?;
        let length: usize = table.iter().map(|entry| entry.length as usize).sum();
        if table.is_empty() || start + length != value.len() {
            return Err(Malformed::Short);
        }
        Ok(Self { table, value, start })
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// The entry of an index below [`Self::len`].
    pub(crate) fn entry(&self, index: usize) -> ChunkEntry<'_> {
        let before: usize = self.table[..index].iter().map(|entry| entry.length as usize).sum();
        let Entry { sequence, time, length } = self.table[index];
        let start = self.start + before;
        let range: Range<usize> = start..start + length as usize;
        ChunkEntry { sequence, time, json: &self.value[range] }
    }

    /// All entries, in order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = ChunkEntry<'_>> {
        (0..self.len()).map(|index| self.entry(index))
    }

    /// The index of the first entry at or after a sequence.
    pub(crate) fn index_from(&self, sequence: Sequence) -> usize {
        self.table.partition_point(|entry| entry.sequence < sequence)
    }

    /// The last entry at or before a sequence.
    pub(crate) fn at(&self, sequence: Sequence) -> Option<ChunkEntry<'_>> {
        let after = self.table.partition_point(|entry| entry.sequence <= sequence);
        after.checked_sub(1).map(|index| self.entry(index))
    }

    pub(crate) fn last(&self) -> ChunkEntry<'_> {
        self.entry(self.table.len() - 1)
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
        let mut writer = ChunkWriter::new(Partition(3));
        for (sequence, text) in (1..).zip(&texts) {
            // Claims take sequences without an event: every third one is missing.
            writer.push(Sequence(sequence * 3), i64::try_from(sequence).unwrap(), text);
        }
        let chunks = writer.finish();
        assert!(chunks.len() > 10);
        let small = chunks.iter().filter(|(_, value)| value.len() <= PART_BYTES_MAX).count();
        assert_eq!(small, chunks.len() - 1, "all but the oversized entry fit into one part");

        let mut read = Vec::new();
        for (at, value) in chunks {
            let chunk = Chunk::read(value.into()).unwrap();
            assert_eq!(chunk.entry(0).sequence, at.sequence);
            for index in 0..chunk.len() {
                let entry = chunk.entry(index);
                assert_eq!(chunk.at(entry.sequence.plus(2)).unwrap().sequence, entry.sequence);
                read.push(serde_json::from_slice::<String>(entry.json).unwrap());
            }
            assert!(chunk.at(Sequence(at.sequence.0 - 1)).is_none());
        }
        assert_eq!(read, texts);
    }

    #[test]
    fn a_cut_chunk_is_noticed() {
        let mut writer = ChunkWriter::new(Partition(0));
        writer.push(Sequence(1), 0, &"some event");
        let (_, value) = writer.finish().remove(0);
        assert!(Chunk::read(value[..value.len() - 1].into()).is_err());
        assert!(Chunk::read(value.into()).is_ok());
    }
}
