//! What was, at some moment.

use domain::{Decider, FleetView};
use events::{AggregateId, Partition, Position, Sequence, Timestamp, Watermark};

use super::{At, Queries};
use crate::model::Versioned;
use crate::step::Checkpoint;
use crate::store::{Key, KeyReader, Kind, StoreError, ViewRow, nanoseconds, restore, values};

impl Queries {
    /// The state of an aggregate at a moment: a look at the last state row before it, and a fold
    /// of the events in between. The empty state when it had no events yet.
    ///
    /// # Errors
    /// [`StoreError::NotReadYet`] for a moment that lies ahead of what was read;
    /// [`StoreError::OtherPartition`] for a position elsewhere.
    pub fn state_at<D: Decider>(
        &self,
        aggregate: &AggregateId,
        at: &At,
    ) -> Result<Versioned<D::State>, StoreError> {
        let Some(first) = self.rows.position(aggregate, 1)? else {
            return Ok(Versioned::default());
        };
        let bound = self.bound(aggregate, first.partition, at)?;
        let last = self.last_event_of(aggregate, bound)?;
        Ok(restore::<D>(&self.rows, aggregate, last)?.0)
    }

    /// The fleet as a scheduler saw it, that had seen this much of the log.
    ///
    /// # Errors
    /// [`StoreError::NotReadYet`] when so much was not read yet.
    pub fn view_at(&self, watermark: &Watermark) -> Result<FleetView, StoreError> {
        for (partition, sequence) in &watermark.0 {
            self.check_read(Position { partition: *partition, sequence: *sequence })?;
        }
        let mut view = FleetView { watermark: watermark.clone(), ..FleetView::default() };
        for cluster in self.rows.names(Kind::View, "") {
            let cluster = cluster?;
            let Some(latest) = self.view_row(&cluster, Sequence(u64::MAX))? else { continue };
            let bound = watermark.of(latest.partition);
            let then = self.view_row(&cluster, bound)?.and_then(|row| row.view);
            view.clusters.extend(then.map(|then| (cluster, then)));
        }
        Ok(view)
    }

    /// What of the log had been recorded up to a time.
    ///
    /// Within a partition time never falls: an event counts as recorded no earlier than those
    /// before it, whatever the clock of its owner said.
    ///
    /// # Errors
    /// When rows cannot be read.
    pub fn watermark_at(&self, time: Timestamp) -> Result<Watermark, StoreError> {
        let mut watermark = Watermark::default();
        for row in self.rows.scan(&Key::of(Kind::Checkpoint)) {
            let (key, _) = row?;
            let Some(partition) = KeyReader::new(&key).partition() else { continue };
            let sequence = self.last_event_until(partition, nanoseconds(time))?;
            if sequence > Sequence::default() {
                watermark.advance(Position { partition, sequence });
            }
        }
        Ok(watermark)
    }

    /// How an aggregate's partition stood at a moment: the last sequence that counts.
    pub(super) fn bound(
        &self,
        aggregate: &AggregateId,
        partition: Partition,
        at: &At,
    ) -> Result<Sequence, StoreError> {
        match at {
            At::Now => Ok(Sequence(u64::MAX)),
            At::Position(asked) if asked.partition != partition => {
                Err(StoreError::OtherPartition { asked: *asked, aggregate: aggregate.clone() })
            }
            At::Position(asked) => self.check_read(*asked),
            At::Watermark(watermark) => {
                self.check_read(Position { partition, sequence: watermark.of(partition) })
            }
            At::Time(time) => self.last_event_until(partition, nanoseconds(*time)),
        }
    }

    /// How far a partition was read.
    pub(super) fn read_to(&self, partition: Partition) -> Result<Sequence, StoreError> {
        let checkpoint = self.rows.bincode::<Checkpoint>(&Key::checkpoint(partition))?;
        Ok(checkpoint.map_or(Sequence::default(), |checkpoint| checkpoint.last))
    }

    /// The time that a partition had reached with the last event at or before a position, and
    /// that event.
    pub(super) fn reached(&self, at: Position) -> Result<Option<(Sequence, i64)>, StoreError> {
        let Some(chunk) = self.rows.chunk_at(Kind::Events, at)? else { return Ok(None) };
        let index = chunk.index_at(at.sequence);
        Ok(index.map(|index| (chunk.sequence(index), chunk.time(index))))
    }

    /// The last event of a partition that was recorded at a time or earlier; 0 when there is none.
    pub(super) fn last_event_until(
        &self,
        partition: Partition,
        time: i64,
    ) -> Result<Sequence, StoreError> {
        let reached = |sequence| self.reached(Position { partition, sequence: Sequence(sequence) });
        let is_later = |sequence| Ok(reached(sequence)?.is_some_and(|(_, reached)| reached > time));
        let last = last_before(self.read_to(partition)?.0, is_later)?;
        Ok(reached(last)?.map_or(Sequence::default(), |(sequence, _)| sequence))
    }

    /// The number of an aggregate's last event at or before a sequence of its partition.
    fn last_event_of(&self, aggregate: &AggregateId, bound: Sequence) -> Result<u64, StoreError> {
        let count = self.rows.count(aggregate)?;
        if bound == Sequence(u64::MAX) {
            return Ok(count);
        }
        last_before(count, |number| {
            Ok(self.rows.position(aggregate, number)?.is_some_and(|at| at.sequence > bound))
        })
    }

    fn check_read(&self, asked: Position) -> Result<Sequence, StoreError> {
        let read = self.read_to(asked.partition)?;
        if asked.sequence <= read {
            Ok(asked.sequence)
        } else {
            Err(StoreError::NotReadYet { asked, read })
        }
    }

    fn view_row(&self, cluster: &str, bound: Sequence) -> Result<Option<ViewRow>, StoreError> {
        let prefix = Key::view(cluster);
        let found = self.rows.at_or_before(&prefix, &prefix.clone().u64(bound.0))?;
        let read = found.map(|(key, value)| {
            values::from_bincode(&value).map_err(|e| StoreError::damaged(&key, e))
        });
        read.transpose()
    }
}

/// The last number of `0..=last` that is not beyond, where all numbers after one that is beyond
/// are so too. 0 never is.
fn last_before(
    last: u64,
    is_beyond: impl Fn(u64) -> Result<bool, StoreError>,
) -> Result<u64, StoreError> {
    let (mut within, mut beyond) = (0, last.saturating_add(1));
    while beyond - within > 1 {
        let middle = within + (beyond - within) / 2;
        if is_beyond(middle)? { beyond = middle } else { within = middle }
    }
    Ok(within)
}
