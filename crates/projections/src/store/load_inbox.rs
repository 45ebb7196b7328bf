//! The inbox, from rows.

use events::{CommandId, FollowUpRef, Partition, Position};
use serde::de::DeserializeOwned;

use super::error::StoreError;
use super::inbox_rows::InboxRows;
use super::keys::{Key, KeyReader, Kind};
use super::records::frame_around;
use super::rows::Rows;
use super::values;
use crate::inbox::Inbox;
use crate::model::Model;

/// Loads the inbox. The model knows the genesis already.
pub(crate) fn load_inbox(rows: &Rows, model: &Model) -> Result<(Inbox, InboxRows), StoreError> {
    let mut inbox = Inbox::default();
    let mut known = InboxRows::default();
    for row in rows.scan(&Key::of(Kind::Pending)) {
        let (key, value) = row?;
        let (frame, ordinals): (_, Vec<u32>) = (position(&key)?, read(&key, &value)?);
        known.restore_frame(Kind::Pending, frame, &ordinals);
        restore_pending(rows, model, &mut inbox, frame, ordinals)?;
    }
    for row in rows.scan(&Key::of(Kind::Early)) {
        let (key, value) = row?;
        let (frame, ordinals): (_, Vec<u32>) = (position(&key)?, read(&key, &value)?);
        known.restore_frame(Kind::Early, frame, &ordinals);
        for ordinal in ordinals {
            inbox.restore_early(FollowUpRef { frame, ordinal });
        }
    }
    for row in rows.scan(&Key::of(Kind::CommandsBefore)) {
        let (key, value) = row?;
        let (partition, before) = (partition(&key)?, read(&key, &value)?);
        known.restore_commands_before(partition, before);
        inbox.restore_commands_before(partition, before);
    }
    for row in rows.scan(&Key::of(Kind::OffsetDecided)) {
        let (key, _) = row?;
        let (partition, offset) = numbered(&key)?;
        known.restore_offset(partition, offset);
        inbox.restore_decided(partition, offset);
    }
    for row in rows.scan(&Key::of(Kind::IdsDecided)) {
        let (key, value) = row?;
        let (partition, first) = numbered(&key)?;
        let ids: Vec<CommandId> = read(&key, &value)?;
        known.restore_ids(partition, first, ids.len() as u64);
        for number in inbox.restore_ids(partition, first, ids) {
            known.restore_forgotten(partition, number);
        }
    }
    Ok((inbox, known))
}

/// The commands themselves are in the frame.
fn restore_pending(
    rows: &Rows,
    model: &Model,
    inbox: &mut Inbox,
    at: Position,
    ordinals: Vec<u32>,
) -> Result<(), StoreError> {
    let frame = frame_around(rows, at)?;
    for ordinal in ordinals {
        let reference = FollowUpRef { frame: at, ordinal };
        let command = frame.as_ref().and_then(|frame| frame.follow_up(reference));
        let command = command.ok_or_else(|| {
            let key = Key::of(Kind::Pending).position(at);
            StoreError::inconsistent(&key, format!("{at} asks for no follow-up {ordinal}"))
        })?;
        inbox.restore_pending(model.route(&command.aggregate), reference, command.clone());
    }
    Ok(())
}

fn position(key: &[u8]) -> Result<Position, StoreError> {
    KeyReader::new(key).position().ok_or_else(|| StoreError::damaged(key, "no position"))
}

fn partition(key: &[u8]) -> Result<Partition, StoreError> {
    KeyReader::new(key).partition().ok_or_else(|| StoreError::damaged(key, "no partition"))
}

fn numbered(key: &[u8]) -> Result<(Partition, u64), StoreError> {
    let mut reader = KeyReader::new(key);
    reader
        .partition()
        .zip(reader.u64())
        .ok_or_else(|| StoreError::damaged(key, "no partition and number"))
}

fn read<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, StoreError> {
    values::from_bincode(value).map_err(|e| StoreError::damaged(key, e))
}
