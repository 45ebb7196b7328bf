//! The inbox, from rows.

use events::{FollowUpRef, Partition, Position};
use serde::de::DeserializeOwned;

use super::error::StoreError;
use super::keys::{Key, KeyReader, Kind};
use super::records::{FrameRow, frame_around};
use super::rows::Rows;
use super::values;
use crate::inbox::Inbox;
use crate::model::Model;

/// Loads the inbox. The model knows the genesis already.
pub(crate) fn load_inbox(rows: &Rows, model: &Model) -> Result<Inbox, StoreError> {
    let mut inbox = Inbox::default();
    load_pending(rows, model, &mut inbox)?;
    for row in rows.scan(&Key::of(Kind::Early)) {
        inbox.restore_early(follow_up(&row?.0)?);
    }
    for row in rows.scan(&Key::of(Kind::CommandsBefore)) {
        let (key, value) = row?;
        inbox.restore_commands_before(partition(&key)?, read(&key, &value)?);
    }
    for row in rows.scan(&Key::of(Kind::OffsetDecided)) {
        let (key, _) = row?;
        let (partition, offset) = numbered(&key)?;
        inbox.restore_decided(partition, offset);
    }
    for row in rows.scan(&Key::of(Kind::IdDecided)) {
        let (key, value) = row?;
        let (partition, number) = numbered(&key)?;
        inbox.restore_id(partition, number, read(&key, &value)?);
    }
    Ok(inbox)
}

/// The rows say which follow-ups are pending; the commands are in their frames. Those of one frame
/// come one after another.
fn load_pending(rows: &Rows, model: &Model, inbox: &mut Inbox) -> Result<(), StoreError> {
    let mut frame: Option<(Position, FrameRow)> = None;
    for row in rows.scan(&Key::of(Kind::Pending)) {
        let (key, _) = row?;
        let reference = follow_up(&key)?;
        if frame.as_ref().is_none_or(|(at, _)| *at != reference.frame) {
            frame = frame_around(rows, reference.frame)?.map(|frame| (reference.frame, frame));
        }
        let command = frame.as_ref().and_then(|(_, frame)| frame.follow_up(reference));
        let command = command.ok_or_else(|| StoreError::damaged(&key, "no such follow-up"))?;
        let to = model.route(&command.aggregate);
        inbox.restore_pending(to, reference, command.clone());
    }
    Ok(())
}

fn follow_up(key: &[u8]) -> Result<FollowUpRef, StoreError> {
    KeyReader::new(key).follow_up().ok_or_else(|| StoreError::damaged(key, "no reference"))
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
