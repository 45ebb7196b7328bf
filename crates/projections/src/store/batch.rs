//! One batch: the rows and checkpoints of some steps, applied all or nothing.

use std::collections::BTreeMap;

use domain::ClusterView;
use events::event::PlacementEvent;
use events::{
    AggregateId, CorrelationId, Envelope, Event, Frame, Partition, Position, Record, Sequence,
};
use serde::{Deserialize, Serialize};

use super::chunk::ChunkWriter;
use super::inbox_rows::RowWrites;
use super::keys::{self, Key, Kind};
use super::known::Known;
use super::parts;
use super::records::RecordRowRef;
use super::rows::{Run, nanoseconds};
use super::values;
use crate::model::{ChangedAggregate, ChangedView, Changes};
use crate::step::FoldStep;

/// The most events that one row about the places of an aggregate's events names: at most 9 KB.
const PLACES_PER_ROW_MAX: usize = 1_000;

/// The most events that one row of a bucket of correlations names: at most 7 KB.
const CORRELATED_PER_ROW_MAX: usize = 400;

/// How a cluster looks to a scheduler from some event on; `None` when it left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ViewRow {
    pub(crate) partition: Partition,
    pub(crate) view: Option<ClusterView>,
}

/// An event and a digest of the correlation that it belongs to. Events of other correlations with
/// the same digest are told apart when they are read.
pub(crate) type CorrelatedEvent = (u32, Partition, Sequence);

/// How many buckets correlations are spread over. Each batch writes at most a row for each, and
/// who looks for a correlation reads its bucket: of 10 million events, 10,000. Twice as many make
/// a rebuild write more rows; half as many make look-ups longer.
const CORRELATION_BUCKETS: u16 = 1_024;

/// The bucket of a correlation, and its digest there. The last bytes of all kinds of UUIDs in use
/// are random.
pub(crate) fn bucket_of(correlation: CorrelationId) -> (u16, u32) {
    let [.., a, b, c, d, e, f] = correlation.0.into_bytes();
    (u16::from_be_bytes([e, f]) % CORRELATION_BUCKETS, u32::from_be_bytes([a, b, c, d]))
}

/// Collects the rows of some steps.
#[derive(Debug, Default)]
pub(crate) struct Batch<'a> {
    writes: RowWrites,
    partitions: BTreeMap<Partition, Chunks>,
    runs: BTreeMap<&'a AggregateId, Vec<(u64, Run)>>,
    correlations: BTreeMap<u16, Vec<CorrelatedEvent>>,
}

#[derive(Debug)]
struct Chunks {
    events: ChunkWriter,
    frames: ChunkWriter,
}

impl<'a> Batch<'a> {
    /// Adds a step.
    pub(crate) fn add(&mut self, step: &'a FoldStep<'a>, changes: &Changes, known: &mut Known) {
        let FoldStep { partition, position, record, checkpoint } = step;
        self.writes.put(Key::checkpoint(*partition), values::to_bincode(checkpoint));
        let end = known.ends.entry(*partition).or_default();
        end.last = checkpoint.last;
        let chunks = self.partitions.entry(*partition).or_insert_with(|| Chunks {
            events: ChunkWriter::new(*partition, end.event),
            frames: ChunkWriter::new(*partition, end.record),
        });
        match record {
            Record::Genesis(genesis) => {
                self.writes.put(Key::from_bytes(keys::GENESIS), values::to_json(genesis));
            }
            Record::Claim(claim) => {
                chunks.frames.push(position.sequence, 0, &RecordRowRef::Claim(claim));
                end.record = position.sequence;
            }
            Record::Frame(frame) => {
                chunks.frames.push(frame.first, 0, &RecordRowRef::from(&**frame));
                end.record = frame.first;
                self.add_events(*partition, frame, changes, known);
            }
        }
        for changed in &changes.views {
            let ChangedView { cluster, position: Position { partition, sequence }, view, .. } =
                changed;
            let row = ViewRow { partition: *partition, view: view.clone() };
            self.writes.put(Key::view(cluster).u64(sequence.0), values::to_bincode(&row));
            known.set_view(cluster, *sequence);
        }
        for change in &changes.inbox {
            known.inbox.note(*change, &mut self.writes);
        }
    }

    fn add_events(
        &mut self,
        partition: Partition,
        frame: &'a Frame,
        changes: &Changes,
        known: &mut Known,
    ) {
        let mut sizes = Vec::with_capacity(frame.events.len());
        if let (Some(chunks), Some(end)) =
            (self.partitions.get_mut(&partition), known.ends.get_mut(&partition))
        {
            for envelope in &frame.events {
                end.time = end.time.max(nanoseconds(envelope.time));
                end.event = envelope.sequence;
                sizes.push(chunks.events.push(envelope.sequence, end.time, envelope));
            }
        }
        for ChangedAggregate { aggregate, events } in &changes.aggregates {
            let bytes = events.iter().map(|index| sizes[*index]).sum();
            let last = events.last().map_or(0, |index| frame.events[*index].aggregate_sequence);
            known.add_events(aggregate, last, events.len() as u64, bytes);
        }
        for envelope in &frame.events {
            let position = Position { partition, sequence: envelope.sequence };
            self.add_to_run(position, envelope);
            let (bucket, digest) = bucket_of(envelope.correlation);
            let bucket = self.correlations.entry(bucket).or_default();
            bucket.push((digest, partition, envelope.sequence));
            if let (AggregateId::Placement(placement), Event::Placement(event)) =
                (&envelope.aggregate, &envelope.event)
                && matches!(event, PlacementEvent::PlacementScheduled(_))
            {
                let key = Key::scheduled(placement).u64(envelope.sequence.0);
                self.writes.put(key, values::to_bincode(&partition));
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

    /// The rows as sled takes them.
    pub(crate) fn finish(mut self, known: &mut Known) -> sled::Batch {
        known.inbox.finish(&mut self.writes);
        let digest = known.digest().to_bytes().to_vec();
        self.writes.put(Key::from_bytes(keys::DIGEST), digest);
        let mut batch = self.writes.into_batch();
        for chunks in self.partitions.into_values() {
            let both = [(Kind::Events, chunks.events), (Kind::Frames, chunks.frames)];
            for (kind, chunks) in both {
                for (at, value) in chunks.finish() {
                    parts::insert(&mut batch, &Key::chunk(kind, at), &value);
                }
            }
        }
        for (aggregate, runs) in self.runs {
            let prefix = Key::aggregate(Kind::Aggregate, aggregate);
            for (first, run) in runs {
                batch.insert(prefix.clone().u64(first).bytes(), values::to_bincode(&run));
            }
        }
        for (bucket, events) in self.correlations {
            for events in events.chunks(CORRELATED_PER_ROW_MAX) {
                let (_, partition, sequence) = events[0];
                let key = Key::correlations(bucket).position(Position { partition, sequence });
                batch.insert(key.bytes(), values::to_bincode(&events));
            }
        }
        batch
    }
}
