//! The present, from rows: the latest states and the events after them, and the inbox.

use domain::Decider;
use domain::cluster::Cluster;
use domain::fleet::Fleet;
use domain::placement::Placement;
use events::{AggregateId, Partition, Position, Sequence};

use super::batch::ViewRow;
use super::entities::{self, Tail};
use super::error::StoreError;
use super::keys::{self, Key, KeyReader, Kind};
use super::known::{End, Known};
use super::load_inbox::load_inbox;
use super::records::{RecordRow, read_record};
use super::rows::Rows;
use super::values;
use crate::model::{Model, PartitionOf, Versioned};
use crate::step::Checkpoint;

/// What is in the rows.
pub(crate) struct Loaded {
    pub(crate) model: Model,
    pub(crate) known: Known,
}

/// Loads the present.
pub(crate) fn load(rows: &Rows, partition_of: PartitionOf) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded { model: Model::new(partition_of), known: Known::default() };
    if let Some(value) = rows.get(keys::GENESIS)? {
        let genesis = values::from_json(&value);
        let genesis = genesis.map_err(|e| StoreError::damaged(keys::GENESIS, e))?;
        loaded.model.genesis = Some(genesis);
    }
    load_checkpoints(rows, &mut loaded)?;
    load_view(rows, &mut loaded)?;
    load_entities(rows, &mut loaded)?;
    let (inbox, inbox_rows) = load_inbox(rows, &loaded.model)?;
    loaded.model.inbox = inbox;
    loaded.known.inbox = inbox_rows;
    check_digest(rows, &loaded.known)?;
    Ok(loaded)
}

/// Everything that the last batch left is there, and nothing else.
fn check_digest(rows: &Rows, known: &Known) -> Result<(), StoreError> {
    let written = rows.get(keys::DIGEST)?;
    let found = known.digest().to_bytes();
    let is_same = match &written {
        Some(written) => **written == found,
        None => known.ends.is_empty(),
    };
    if is_same {
        return Ok(());
    }
    let key = Key::from_bytes(keys::DIGEST);
    Err(StoreError::inconsistent(&key, "rows are missing, or there are too many"))
}

fn load_checkpoints(rows: &Rows, loaded: &mut Loaded) -> Result<(), StoreError> {
    for row in rows.scan(&Key::of(Kind::Checkpoint)) {
        let (key, value) = row?;
        let partition = KeyReader::new(&key).partition();
        let partition = partition.ok_or_else(|| StoreError::damaged(&key, "no partition"))?;
        let checkpoint: Checkpoint =
            values::from_bincode(&value).map_err(|e| StoreError::damaged(&key, e))?;
        let end = load_end(rows, partition, checkpoint.last)?;
        if end.event > Sequence::default() {
            let last_event = Position { partition, sequence: end.event };
            loaded.model.view.watermark.advance(last_event);
        }
        loaded.known.ends.insert(partition, end);
        loaded.model.checkpoints.insert(partition, checkpoint);
    }
    Ok(())
}

/// The end of a partition. Rows and checkpoints are written together, so its last record ends
/// where the checkpoint is.
fn load_end(rows: &Rows, partition: Partition, last: Sequence) -> Result<End, StoreError> {
    let mut end = End { last, ..End::default() };
    let beyond = Position { partition, sequence: Sequence(u64::MAX) };
    if let Some(chunk) = rows.chunk_at(Kind::Events, beyond)? {
        (end.event, end.time) = (chunk.last(), chunk.time(chunk.len() - 1));
    }
    let mut found = (Sequence::default(), Sequence::default());
    if let Some(chunk) = rows.chunk_at(Kind::Frames, beyond)? {
        let at = Position { partition, sequence: chunk.last() };
        end.record = at.sequence;
        found = match read_record(&chunk, chunk.len() - 1, at)? {
            RecordRow::Claim(_) => (at.sequence, end.event),
            RecordRow::Frame(frame) if frame.events == 0 => (frame.last(), end.event),
            RecordRow::Frame(frame) => (frame.last(), frame.last()),
        };
    }
    if found == (last, end.event) {
        return Ok(end);
    }
    let (record, event) = found;
    let what = format!(
        "it says {last}, the last record ends at {record}, the last event is {} instead of {event}",
        end.event
    );
    Err(StoreError::inconsistent(&Key::checkpoint(partition), what))
}

fn load_view(rows: &Rows, loaded: &mut Loaded) -> Result<(), StoreError> {
    for cluster in rows.names(Kind::View, "") {
        let cluster = cluster?;
        let prefix = Key::view(&cluster);
        let last = rows.at_or_before(&prefix, &prefix.clone().u64(u64::MAX))?;
        let Some((key, value)) = last else { continue };
        let row: ViewRow =
            values::from_bincode(&value).map_err(|e| StoreError::damaged(&key, e))?;
        let mut reader = KeyReader::new(&key);
        let (_, sequence) = (reader.name(), reader.u64());
        let sequence = sequence.ok_or_else(|| StoreError::damaged(&key, "no sequence"))?;
        loaded.known.set_view(&cluster, Sequence(sequence));
        if let Some(view) = row.view {
            loaded.model.view.clusters.insert(cluster, view);
        }
    }
    Ok(())
}

fn load_entities(rows: &Rows, loaded: &mut Loaded) -> Result<(), StoreError> {
    let Loaded { model, known } = loaded;
    for name in rows.names(Kind::Aggregate, "") {
        let name = name?;
        let prefix = Key::of(Kind::Aggregate).name(&name);
        let aggregate: AggregateId =
            name.parse().map_err(|e| StoreError::damaged(prefix.bytes(), e))?;
        let (last, tail) = match &aggregate {
            AggregateId::Cluster(name) => {
                let (state, tail) = load_entity::<Cluster>(rows, model, &aggregate)?;
                let last = state.sequence;
                model.clusters.insert(name.clone(), state);
                (last, tail)
            }
            AggregateId::Placement(key) => {
                let (state, tail) = load_entity::<Placement>(rows, model, &aggregate)?;
                let last = state.sequence;
                model.placements.insert(key.clone(), state);
                (last, tail)
            }
            AggregateId::Fleet => {
                let (state, tail) = load_entity::<Fleet>(rows, model, &aggregate)?;
                let last = state.sequence;
                model.fleet = state;
                (last, tail)
            }
        };
        known.restore(aggregate, last, tail);
    }
    Ok(())
}

fn load_entity<D: Decider>(
    rows: &Rows,
    model: &Model,
    aggregate: &AggregateId,
) -> Result<(Versioned<D::State>, Tail), StoreError> {
    let (versioned, tail) = entities::restore::<D>(rows, aggregate, rows.count(aggregate)?)?;
    let position = versioned.position;
    if !model.view.watermark.covers(position) {
        let key = Key::checkpoint(position.partition);
        return Err(StoreError::inconsistent(
            &key,
            format!("{aggregate} is at {position} already"),
        ));
    }
    Ok((versioned, tail))
}
