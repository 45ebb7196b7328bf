//! One batch: the rows and checkpoints of some steps, applied all or nothing.

use std::collections::BTreeMap;

use domain::ClusterView;
use events::event::PlacementEvent;
use events::{AggregateId, CorrelationId, Envelope, Event, Partition, Position, Record, Sequence};
use serde::{Deserialize, Serialize};

use super::chunk::ChunkWriter;
use super::keys::{self, Key, Kind};
use super::parts;
use super::records::RecordRowRef;
use super::rows::{Run, nanoseconds};
use super::values;
use crate::inbox::InboxChange;
use crate::model::Changes;
use crate::step::FoldStep;

/// The most events that one row about the places of an aggregate's (or a correlation's) events
/// names: at most 9 KB.
const PLACES_PER_ROW_MAX: usize = 1_000;

/// How a cluster looks to a scheduler from some event on; `None` when it left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ViewRow {
    pub(crate) partition: Partition,
    pub(crate) view: Option<ClusterView>,
}

/// Collects the rows of some steps.
#[derive(Debug, Default)]
pub(crate) struct Batch<'a> {
    rows: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    partitions: BTreeMap<Partition, Chunks>,
    runs: BTreeMap<&'a AggregateId, Vec<(u64, Run)>>,
    correlations: BTreeMap<CorrelationId, Vec<Position>>,
    /// How many events of an aggregate there are, and how many bytes they have.
    pub(crate) tails: BTreeMap<&'a AggregateId, (u64, u64)>,
}

#[derive(Debug)]
struct Chunks {
    events: ChunkWriter,
    frames: ChunkWriter,
    /// The time of the last event or of one before it, whichever is later.
    time: i64,
}

impl<'a> Batch<'a> {
    /// Adds a step. `time_of` is the time that a partition had reached before this batch.
    pub(crate) fn add(
        &mut self,
        step: &'a FoldStep<'a>,
        changes: &Changes,
        time_of: impl Fn(Partition) -> i64,
    ) {
        let FoldStep { partition, position, record, checkpoint } = step;
        self.put(Key::checkpoint(*partition), values::to_bincode(checkpoint));
        let chunks = self.partitions.entry(*partition).or_insert_with(|| Chunks {
            events: ChunkWriter::new(*partition),
            frames: ChunkWriter::new(*partition),
            time: time_of(*partition),
        });
        match record {
            Record::Genesis(genesis) => {
                self.put(Key::from_bytes(keys::GENESIS), values::to_json(genesis));
            }
            Record::Claim(claim) => {
                chunks.frames.push(position.sequence, 0, &RecordRowRef::Claim(claim));
            }
            Record::Frame(frame) => {
                chunks.frames.push(frame.first, 0, &RecordRowRef::from(&**frame));
                self.add_events(*partition, &frame.events);
            }
        }
        for changed in &changes.views {
            let key = Key::view(&changed.cluster).u64(changed.position.sequence.0);
            let row = ViewRow { partition: changed.position.partition, view: changed.view.clone() };
            self.put(key, values::to_bincode(&row));
        }
        for change in &changes.inbox {
            self.add_inbox_change(change);
        }
    }

    fn add_events(&mut self, partition: Partition, envelopes: &'a [Envelope]) {
        for envelope in envelopes {
            let position = Position { partition, sequence: envelope.sequence };
            if let Some(chunks) = self.partitions.get_mut(&partition) {
                chunks.time = chunks.time.max(nanoseconds(envelope.time));
                let bytes = chunks.events.push(envelope.sequence, chunks.time, envelope);
                let tail = self.tails.entry(&envelope.aggregate).or_default();
                *tail = (tail.0 + 1, tail.1 + bytes);
            }
            self.add_to_run(position, envelope);
            self.correlations.entry(envelope.correlation).or_default().push(position);
            if let (AggregateId::Placement(placement), Event::Placement(event)) =
                (&envelope.aggregate, &envelope.event)
                && matches!(event, PlacementEvent::PlacementScheduled(_))
            {
                let key = Key::scheduled(placement).u64(envelope.sequence.0);
                self.put(key, values::to_bincode(&partition));
            }
        }
    }

    fn add_to_run(&mut self, position: Position, envelope: &'a Envelope) {
        let runs = self.runs.entry(&envelope.aggregate).or_default();
        let number = envelope.aggregate_sequence;
        if let Some((first, run)) = runs.last_mut()
            && *first + run.sequences.len() as u64 == number
            && run.sequences.len() < PLACES_PER_ROW_MAX
        {
            run.sequences.push(position.sequence);
            return;
        }
        let run = Run { partition: position.partition, sequences: vec![position.sequence] };
        runs.push((number, run));
    }

    fn add_inbox_change(&mut self, change: &InboxChange) {
        let nothing = Vec::new;
        match *change {
            InboxChange::Asked(reference) => {
                self.put(Key::follow_up(Kind::Pending, reference), nothing());
            }
            InboxChange::Decided(reference) => {
                self.delete(Key::follow_up(Kind::Pending, reference));
            }
            InboxChange::DecidedEarly(reference) => {
                self.put(Key::follow_up(Kind::Early, reference), nothing());
            }
            InboxChange::Paired(reference) => self.delete(Key::follow_up(Kind::Early, reference)),
            InboxChange::OffsetDecided(partition, offset) => {
                self.put(Key::submitted(Kind::OffsetDecided, partition, offset), nothing());
            }
            InboxChange::OffsetForgotten(partition, offset) => {
                self.delete(Key::submitted(Kind::OffsetDecided, partition, offset));
            }
            InboxChange::CommandsBefore(partition, offset) => {
                self.put(Key::commands_before(partition), values::to_bincode(&offset));
            }
            InboxChange::IdRemembered(partition, number, id) => {
                let key = Key::submitted(Kind::IdDecided, partition, number);
                self.put(key, values::to_bincode(&id));
            }
            InboxChange::IdForgotten(partition, number) => {
                self.delete(Key::submitted(Kind::IdDecided, partition, number));
            }
        }
    }

    fn put(&mut self, key: Key, value: Vec<u8>) {
        self.rows.insert(key.into_bytes(), Some(value));
    }

    /// Deletes a row. What this batch put there was new, so nothing has to be deleted then.
    fn delete(&mut self, key: Key) {
        let key = key.into_bytes();
        if self.rows.remove(&key).is_none() {
            self.rows.insert(key, None);
        }
    }

    /// The time that each partition of the batch has reached.
    pub(crate) fn times(&self) -> impl Iterator<Item = (Partition, i64)> {
        self.partitions.iter().map(|(partition, chunks)| (*partition, chunks.time))
    }

    /// The rows as sled takes them.
    pub(crate) fn finish(self) -> sled::Batch {
        let mut batch = sled::Batch::default();
        for (key, value) in self.rows {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        for chunks in self.partitions.into_values() {
            let both = [(Kind::Events, chunks.events), (Kind::Frames, chunks.frames)];
            for (kind, chunks) in both {
                for (at, value) in chunks.finish() {
                    insert_parts(&mut batch, &Key::chunk(kind, at), &value);
                }
            }
        }
        for (aggregate, runs) in self.runs {
            let prefix = Key::aggregate(Kind::Aggregate, aggregate);
            for (first, run) in runs {
                batch.insert(prefix.clone().u64(first).into_bytes(), values::to_bincode(&run));
            }
        }
        for (correlation, positions) in self.correlations {
            for positions in positions.chunks(PLACES_PER_ROW_MAX) {
                let key = Key::correlation(correlation).position(positions[0]);
                let places: Vec<(Partition, Sequence)> =
                    positions.iter().map(|at| (at.partition, at.sequence)).collect();
                batch.insert(key.into_bytes(), values::to_bincode(&places));
            }
        }
        batch
    }
}

/// Adds a value that may be large.
pub(crate) fn insert_parts(batch: &mut sled::Batch, key: &Key, value: &[u8]) {
    for (key, part) in parts::split(key, value) {
        batch.insert(key.into_bytes(), part);
    }
}
