//! The inbox in rows: what is open of each frame in one row, and ids in one row for each batch.
//!
//! Most follow-ups are asked and decided within moments, often within one batch. A row for each
//! would be two writes for almost every event; a row for each frame that has open follow-ups is
//! written only when something of it is still open at the end of a batch.

use std::collections::{BTreeMap, BTreeSet};

use events::{CommandId, FollowUpRef, Partition, Position};

use super::keys::{Key, Kind};
use super::known::Digest;
use super::values;
use crate::inbox::InboxChange;

/// Rows to write and to delete, by key.
#[derive(Debug, Default)]
pub(crate) struct RowWrites(BTreeMap<Vec<u8>, Option<Vec<u8>>>);

impl RowWrites {
    pub(crate) fn put(&mut self, key: Key, value: Vec<u8>) {
        self.0.insert(key.into_bytes(), Some(value));
    }

    /// Deletes a row. Only rows that are written once may be deleted: what this batch put there
    /// was new, so nothing is left to delete.
    pub(crate) fn delete(&mut self, key: Key) {
        let key = key.into_bytes();
        if self.0.remove(&key).is_none() {
            self.0.insert(key, None);
        }
    }

    pub(crate) fn into_batch(self) -> sled::Batch {
        let mut batch = sled::Batch::default();
        for (key, value) in self.0 {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        batch
    }
}

/// What the rows say about the inbox, and what has changed since they were written.
#[derive(Debug, Default)]
pub(crate) struct InboxRows {
    pending: OpenFrames,
    early: OpenFrames,
    ids: BTreeMap<Partition, IdRows>,
    before: BTreeMap<Partition, u64>,
    digest: Digest,
}

/// Frames with open follow-ups.
#[derive(Debug, Default)]
struct OpenFrames {
    frames: BTreeMap<Position, OpenFrame>,
    changed: BTreeSet<Position>,
}

#[derive(Debug, Default)]
struct OpenFrame {
    ordinals: BTreeSet<u32>,
    has_row: bool,
}

/// The rows with ids of one partition.
#[derive(Debug, Default)]
struct IdRows {
    /// The first number of each row, by its last.
    rows: BTreeMap<u64, u64>,
    /// The ids that came since, and the number of the first of them.
    new: Vec<CommandId>,
    new_first: u64,
    /// Everything below this number is forgotten.
    forgotten_before: u64,
}

impl InboxRows {
    /// A row that was read: what is open of a frame. So with the others.
    pub(crate) fn restore_frame(&mut self, kind: Kind, frame: Position, ordinals: &[u32]) {
        for ordinal in ordinals {
            self.toggle_follow_up(kind, FollowUpRef { frame, ordinal: *ordinal });
        }
        let ordinals = ordinals.iter().copied().collect();
        self.open(kind).frames.insert(frame, OpenFrame { ordinals, has_row: true });
    }

    pub(crate) fn restore_commands_before(&mut self, partition: Partition, before: u64) {
        self.set_before(partition, before);
    }

    pub(crate) fn restore_offset(&mut self, partition: Partition, offset: u64) {
        self.digest.toggle(&Key::numbered(Kind::OffsetDecided, partition, offset));
    }

    /// So many ids from this number on.
    pub(crate) fn restore_ids(&mut self, partition: Partition, first: u64, count: u64) {
        for number in first..first + count {
            self.digest.toggle(&Key::numbered(Kind::IdsDecided, partition, number));
        }
        let ids = self.ids.entry(partition).or_default();
        ids.rows.insert(first + count - 1, first);
    }

    /// An id of a row that was read is forgotten already.
    pub(crate) fn restore_forgotten(&mut self, partition: Partition, number: u64) {
        self.digest.toggle(&Key::numbered(Kind::IdsDecided, partition, number));
    }

    /// The digest of what is open, decided and remembered.
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    fn toggle_follow_up(&mut self, kind: Kind, reference: FollowUpRef) {
        let FollowUpRef { frame, ordinal } = reference;
        self.digest.toggle(&Key::of(kind).position(frame).u64(u64::from(ordinal)));
    }

    fn set_before(&mut self, partition: Partition, before: u64) {
        let key = Key::commands_before(partition);
        if let Some(earlier) = self.before.insert(partition, before) {
            self.digest.toggle(&key.clone().u64(earlier));
        }
        self.digest.toggle(&key.u64(before));
    }

    fn open(&mut self, kind: Kind) -> &mut OpenFrames {
        if kind == Kind::Early { &mut self.early } else { &mut self.pending }
    }

    /// Takes note of a change. What can be written at once is.
    pub(crate) fn note(&mut self, change: InboxChange, writes: &mut RowWrites) {
        match change {
            InboxChange::Asked(reference) => {
                self.toggle_follow_up(Kind::Pending, reference);
                self.pending.add(reference);
            }
            InboxChange::Decided(reference) => {
                self.toggle_follow_up(Kind::Pending, reference);
                self.pending.remove(reference);
            }
            InboxChange::DecidedEarly(reference) => {
                self.toggle_follow_up(Kind::Early, reference);
                self.early.add(reference);
            }
            InboxChange::Paired(reference) => {
                self.toggle_follow_up(Kind::Early, reference);
                self.early.remove(reference);
            }
            InboxChange::OffsetDecided(partition, offset) => {
                let key = Key::numbered(Kind::OffsetDecided, partition, offset);
                self.digest.toggle(&key);
                writes.put(key, Vec::new());
            }
            InboxChange::OffsetForgotten(partition, offset) => {
                let key = Key::numbered(Kind::OffsetDecided, partition, offset);
                self.digest.toggle(&key);
                writes.delete(key);
            }
            InboxChange::CommandsBefore(partition, offset) => {
                self.set_before(partition, offset);
                writes.put(Key::commands_before(partition), values::to_bincode(&offset));
            }
            InboxChange::IdRemembered(partition, number, id) => {
                self.digest.toggle(&Key::numbered(Kind::IdsDecided, partition, number));
                self.ids.entry(partition).or_default().remember(number, id);
            }
            InboxChange::IdForgotten(partition, number) => {
                self.digest.toggle(&Key::numbered(Kind::IdsDecided, partition, number));
                let ids = self.ids.entry(partition).or_default();
                if let Some(first) = ids.forget(number) {
                    writes.delete(Key::numbered(Kind::IdsDecided, partition, first));
                }
            }
        }
    }

    /// Writes the rest.
    pub(crate) fn finish(&mut self, writes: &mut RowWrites) {
        self.pending.finish(Kind::Pending, writes);
        self.early.finish(Kind::Early, writes);
        for (partition, ids) in &mut self.ids {
            if let Some((first, ids)) = ids.finish() {
                let key = Key::numbered(Kind::IdsDecided, *partition, first);
                writes.put(key, values::to_bincode(&ids));
            }
        }
    }
}

impl OpenFrames {
    fn add(&mut self, reference: FollowUpRef) {
        self.frames.entry(reference.frame).or_default().ordinals.insert(reference.ordinal);
        self.changed.insert(reference.frame);
    }

    fn remove(&mut self, reference: FollowUpRef) {
        if let Some(frame) = self.frames.get_mut(&reference.frame) {
            frame.ordinals.remove(&reference.ordinal);
            self.changed.insert(reference.frame);
        }
    }

    fn finish(&mut self, kind: Kind, writes: &mut RowWrites) {
        for position in std::mem::take(&mut self.changed) {
            let Some(frame) = self.frames.get_mut(&position) else { continue };
            let key = Key::of(kind).position(position);
            if !frame.ordinals.is_empty() {
                writes.put(key, values::to_bincode(&frame.ordinals));
                frame.has_row = true;
            } else {
                if frame.has_row {
                    writes.delete(key);
                }
                self.frames.remove(&position);
            }
        }
    }
}

impl IdRows {
    fn remember(&mut self, number: u64, id: CommandId) {
        if self.new.is_empty() {
            self.new_first = number;
        }
        self.new.push(id);
    }

    /// Answers with the first number of the row that ends with this one: nothing of it is needed
    /// any more.
    fn forget(&mut self, number: u64) -> Option<u64> {
        self.forgotten_before = number + 1;
        self.rows.remove(&number)
    }

    /// The ids that came and were not forgotten already, with the number of the first.
    fn finish(&mut self) -> Option<(u64, Vec<CommandId>)> {
        let mut ids = std::mem::take(&mut self.new);
        let forgotten = self.forgotten_before.saturating_sub(self.new_first);
        let forgotten = usize::try_from(forgotten).unwrap_or(usize::MAX).min(ids.len());
        ids.drain(..forgotten);
        let first = self.new_first + forgotten as u64;
        let last = (first + ids.len() as u64).checked_sub(1).filter(|_| !ids.is_empty())?;
        self.rows.insert(last, first);
        Some((first, ids))
    }
}
