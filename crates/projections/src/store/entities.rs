//! States of aggregates: a row now and then, and the events after it.
//!
//! A state row after each event would be quadratic: a cluster with 1,000 deliveries has a state of
//! 300 KB, its events have 400 bytes. So a state is written when the events since its last row
//! are many ([`TAIL_EVENTS_MIN`]) and together larger than the state itself
//! ([`TAIL_BYTES_PER_STATE_BYTE`]). Then state rows never take more than half the space of the
//! events, and to restore a state takes no longer than to read a few times its own size.
//!
//! Whoever restores a state and finds that rows are missing on the way writes them: after a
//! rebuild, say, in which states were written less often than they were due. A state row is a
//! function of the events before it, so nobody can write it wrong or twice differently.

use domain::Decider;
use events::{AggregateId, Position, Timestamp};
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::keys::{Key, KeyReader, Kind};
use super::rows::{EventReader, Rows};
use super::{parts, values};
use crate::model::Versioned;

/// A state is not written before so many events. To fold 64 events takes 0.1 ms; at half of this,
/// the rows of small placements are as many as their events' chunks.
pub(crate) const TAIL_EVENTS_MIN: u64 = 64;

/// A state is not written before its events since the last row have so many bytes for each byte
/// of that row. At 1, state rows take as much space as events; at 4, a restart folds twice as many.
pub(crate) const TAIL_BYTES_PER_STATE_BYTE: u64 = 2;

/// The events of an aggregate since its last state row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) events: u64,
    /// As JSON.
    pub(crate) bytes: u64,
    /// The size of the state in the last row, before it was packed.
    pub(crate) state_bytes: u64,
}

impl Tail {
    /// Whether it is time to write a state row.
    pub(crate) fn is_long(&self) -> bool {
        self.events >= TAIL_EVENTS_MIN && self.bytes >= TAIL_BYTES_PER_STATE_BYTE * self.state_bytes
    }
}

#[derive(Serialize)]
struct StateRowRef<'a, S> {
    position: Position,
    changed_at: Timestamp,
    state: &'a S,
}

#[derive(Deserialize)]
struct StateRow<S> {
    position: Position,
    changed_at: Timestamp,
    state: S,
}

/// Writes a state row. Its events are written already. Answers with the tail that is left.
pub(crate) fn write<S: Serialize>(
    rows: &Rows,
    aggregate: &AggregateId,
    versioned: &Versioned<S>,
) -> Result<Tail, StoreError> {
    let Versioned { sequence, position, changed_at, state } = versioned;
    let row = StateRowRef { position: *position, changed_at: *changed_at, state };
    let plain = values::to_bincode(&row);
    let value = values::pack(&plain);
    let mut batch = sled::Batch::default();
    parts::insert(&mut batch, &Key::aggregate(Kind::State, aggregate).u64(*sequence), &value);
    rows.apply(batch)?;
    Ok(Tail { state_bytes: plain.len() as u64, ..Tail::default() })
}

/// The state of an aggregate after its event `last`, and the events since the last state row.
pub(crate) fn restore<D: Decider>(
    rows: &Rows,
    aggregate: &AggregateId,
    last: u64,
) -> Result<(Versioned<D::State>, Tail), StoreError> {
    let (mut versioned, state_bytes) = last_state_row(rows, aggregate, last)?;
    let mut tail = Tail { state_bytes, ..Tail::default() };
    if versioned.sequence == last {
        return Ok((versioned, tail));
    }
    let mut events = EventReader::new(rows);
    for at in rows.positions(aggregate, versioned.sequence + 1)? {
        let (number, position) = at?;
        if number > last {
            break;
        }
        let (envelope, bytes) = events.expect(position)?;
        if envelope.aggregate != *aggregate || envelope.aggregate_sequence != number {
            let key = Key::aggregate(Kind::Aggregate, aggregate).u64(number);
            return Err(StoreError::inconsistent(&key, format!("{position} is another event")));
        }
        versioned.apply::<D>(position, &envelope);
        tail.events += 1;
        tail.bytes += bytes;
        if tail.is_long() {
            tail = write(rows, aggregate, &versioned)?;
        }
    }
    if versioned.sequence != last {
        let key = Key::aggregate(Kind::Aggregate, aggregate).u64(last);
        let missing = format!("event {} of {aggregate} is missing", versioned.sequence + 1);
        return Err(StoreError::inconsistent(&key, missing));
    }
    Ok((versioned, tail))
}

/// The state in the last row at or before event `last`, and the size of that row.
fn last_state_row<S: serde::de::DeserializeOwned + Default>(
    rows: &Rows,
    aggregate: &AggregateId,
    last: u64,
) -> Result<(Versioned<S>, u64), StoreError> {
    let prefix = Key::aggregate(Kind::State, aggregate);
    let Some((key, value)) = rows.whole_at_or_before(&prefix, &prefix.clone().u64(last))? else {
        return Ok((Versioned::default(), 0));
    };
    let mut reader = KeyReader::new(&key);
    let (_, sequence) = (reader.name(), reader.u64());
    let sequence = sequence.ok_or_else(|| StoreError::damaged(&key, "it has no sequence"))?;
    let damaged = |error| StoreError::damaged(&key, error);
    let plain = values::unpack(&value).map_err(damaged)?;
    let row = values::from_bincode(&plain).map_err(damaged)?;
    let StateRow { position, changed_at, state } = row;
    Ok((Versioned { sequence, position, changed_at, state }, plain.len() as u64))
}
