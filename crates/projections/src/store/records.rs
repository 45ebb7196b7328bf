//! Records without their events: the decisions and follow-ups of a frame, and claims.

use events::{
    ChainHash, Claim, CommandEnvelope, DecisionRecord, Epoch, FollowUpRef, Frame, Position,
    Sequence,
};
use serde::{Deserialize, Serialize};

use super::chunk::Chunk;
use super::error::StoreError;
use super::keys::{Key, Kind};
use super::rows::Rows;
use super::values::Malformed;

/// A record as it is read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RecordRow {
    Claim(Claim),
    Frame(FrameRow),
}

/// A frame without its events.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct FrameRow {
    pub(crate) epoch: Epoch,
    pub(crate) first: Sequence,
    pub(crate) previous: ChainHash,
    /// How many events it has.
    pub(crate) events: u64,
    pub(crate) decisions: Vec<DecisionRecord>,
    pub(crate) follow_ups: Vec<CommandEnvelope>,
    pub(crate) commands_before: Option<u64>,
}

impl FrameRow {
    /// The last sequence that it takes.
    pub(crate) fn last(&self) -> Sequence {
        self.first.plus(self.events.max(1) - 1)
    }

    /// The follow-up that a reference to this frame names.
    pub(crate) fn follow_up(&self, reference: FollowUpRef) -> Option<&CommandEnvelope> {
        self.follow_ups.get(usize::try_from(reference.ordinal).ok()?)
    }
}

/// A record as it is written: the same, without copies.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RecordRowRef<'a> {
    Claim(&'a Claim),
    Frame(FrameRowRef<'a>),
}

#[derive(Serialize)]
pub(crate) struct FrameRowRef<'a> {
    epoch: Epoch,
    first: Sequence,
    previous: ChainHash,
    events: usize,
    decisions: &'a [DecisionRecord],
    follow_ups: &'a [CommandEnvelope],
    commands_before: Option<u64>,
}

impl<'a> From<&'a Frame> for RecordRowRef<'a> {
    fn from(frame: &'a Frame) -> Self {
        let Frame { epoch, first, previous, decisions, events, follow_ups, commands_before } =
            frame;
        Self::Frame(FrameRowRef {
            epoch: *epoch,
            first: *first,
            previous: *previous,
            events: events.len(),
            decisions,
            follow_ups,
            commands_before: *commands_before,
        })
    }
}

/// The frame that a position lies in: at its first event, any other, or at its place when it has
/// none. `None` for a claim and for what was not read yet.
pub(crate) fn frame_around(rows: &Rows, at: Position) -> Result<Option<FrameRow>, StoreError> {
    let Some(chunk) = rows.chunk_at(Kind::Frames, at)? else { return Ok(None) };
    let Some(index) = chunk.index_at(at.sequence) else { return Ok(None) };
    match read_record(&chunk, index, at)? {
        RecordRow::Frame(frame) if at.sequence <= frame.last() => Ok(Some(frame)),
        RecordRow::Frame(_) | RecordRow::Claim(_) => Ok(None),
    }
}

/// Reads a record that was found in a chunk at or before a position.
pub(crate) fn read_record(
    chunk: &Chunk,
    index: usize,
    at: Position,
) -> Result<RecordRow, StoreError> {
    let damaged =
        |source: Malformed| StoreError::damaged(Key::chunk(Kind::Frames, at).bytes(), source);
    let json = chunk.json(index).map_err(damaged)?;
    serde_json::from_slice(json).map_err(|error| damaged(error.into()))
}
