//! The present, from rows: the latest states and the events after them, and the inbox.

use std::collections::BTreeMap;

use domain::Decider;
use domain::cluster::Cluster;
use domain::fleet::Fleet;
use domain::placement::Placement;
use events::{AggregateId, Partition, Position, Sequence};

use super::batch::ViewRow;
use super::entities::{self, Tail};
use super::error::StoreError;
use super::inbox_rows::InboxRows;
use super::keys::{self, Key, KeyReader, Kind};
use super::load_inbox::load_inbox;
use super::records::{RecordRow, read_record};
use super::rows::Rows;
use super::values;
use crate::model::{Model, PartitionOf, Versioned};
use crate::step::Checkpoint;

/// What is in the rows.
pub(crate) struct Loaded {
    pub(crate) model: Model,
    /// What the rows say about the inbox.
    pub(crate) inbox_rows: InboxRows,
    /// The events of each aggregate since its last state row.
    pub(crate) tails: BTreeMap<AggregateId, Tail>,
    /// The time that each partition has reached.
    pub(crate) times: BTreeMap<Partition, i64>,
}

/// Loads the present.
pub(crate) fn load(rows: &Rows, partition_of: PartitionOf) -> Result<Loaded, StoreError> {
    let mut model = Model::new(partition_of);
    if let Some(value) = rows.get(keys::GENESIS)? {
        let genesis = values::from_json(&value);
        model.genesis = Some(genesis.map_err(|e| StoreError::damaged(keys::GENESIS, e))?);
    }
    let mut times = BTreeMap::new();
    for row in rows.scan(&Key::of(Kind::Checkpoint)) {
        let (key, value) = row?;
        let partition = KeyReader::new(&key).partition();
        let partition = partition.ok_or_else(|| StoreError::damaged(&key, "no partition"))?;
        let checkpoint: Checkpoint =
            values::from_bincode(&value).map_err(|e| StoreError::damaged(&key, e))?;
        if let Some((sequence, time)) = last_event(rows, partition, checkpoint.last)? {
            model.view.watermark.advance(Position { partition, sequence });
            times.insert(partition, time);
        }
        check_last_record(rows, partition, checkpoint.last)?;
        model.checkpoints.insert(partition, checkpoint);
    }
    load_view(rows, &mut model)?;
    let tails = load_entities(rows, &mut model)?;
    let (inbox, inbox_rows) = load_inbox(rows, &model)?;
    model.inbox = inbox;
    Ok(Loaded { model, inbox_rows, tails, times })
}

/// The last event of a partition and the time that it reached.
fn last_event(
    rows: &Rows,
    partition: Partition,
    last: Sequence,
) -> Result<Option<(Sequence, i64)>, StoreError> {
    let chunk = rows.chunk_at(Kind::Events, Position { partition, sequence: last })?;
    Ok(chunk.map(|chunk| (chunk.last(), chunk.time(chunk.len() - 1))))
}

/// Rows and checkpoints are written together, so the last record ends where the checkpoint is.
fn check_last_record(rows: &Rows, partition: Partition, last: Sequence) -> Result<(), StoreError> {
    let end = Position { partition, sequence: Sequence(u64::MAX) };
    let found = match rows.chunk_at(Kind::Frames, end)? {
        Some(chunk) => {
            let at = Position { partition, sequence: chunk.last() };
            match read_record(&chunk, chunk.len() - 1, at)? {
                RecordRow::Claim(_) => at.sequence,
                RecordRow::Frame(frame) => frame.last(),
            }
        }
        None => Sequence::default(),
    };
    if found == last {
        return Ok(());
    }
    let key = Key::checkpoint(partition);
    Err(StoreError::inconsistent(&key, format!("it says {last}, the last record ends at {found}")))
}

fn load_view(rows: &Rows, model: &mut Model) -> Result<(), StoreError> {
    for cluster in rows.names(Kind::View, "") {
        let cluster = cluster?;
        let prefix = Key::view(&cluster);
        let last = rows.at_or_before(&prefix, &prefix.clone().u64(u64::MAX))?;
        let Some((key, value)) = last else { continue };
        let row: ViewRow =
            values::from_bincode(&value).map_err(|e| StoreError::damaged(&key, e))?;
        if let Some(view) = row.view {
            model.view.clusters.insert(cluster, view);
        }
    }
    Ok(())
}

fn load_entities(
    rows: &Rows,
    model: &mut Model,
) -> Result<BTreeMap<AggregateId, Tail>, StoreError> {
    let mut tails = BTreeMap::new();
    for name in rows.names(Kind::Aggregate, "") {
        let name = name?;
        let prefix = Key::of(Kind::Aggregate).name(&name);
        let aggregate: AggregateId =
            name.parse().map_err(|e| StoreError::damaged(prefix.bytes(), e))?;
        let tail = match &aggregate {
            AggregateId::Cluster(name) => {
                let (state, tail) = load_entity::<Cluster>(rows, model, &aggregate)?;
                model.clusters.insert(name.clone(), state);
                tail
            }
            AggregateId::Placement(key) => {
                let (state, tail) = load_entity::<Placement>(rows, model, &aggregate)?;
                model.placements.insert(key.clone(), state);
                tail
            }
            AggregateId::Fleet => {
                let (state, tail) = load_entity::<Fleet>(rows, model, &aggregate)?;
                model.fleet = state;
                tail
            }
        };
        tails.insert(aggregate, tail);
    }
    Ok(tails)
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
