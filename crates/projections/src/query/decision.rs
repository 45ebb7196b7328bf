//! Decisions, and records as they stood in the log.

use events::{
    AggregateId, CommandEnvelope, CommandSource, Frame, Partition, PlacementKey, Position, Record,
    Sequence,
};

use super::{At, Decision, EVENTS_PER_PAGE_MAX, Page, Queries, Recorded};
use crate::store::{
    EventReader, FrameRow, Key, KeyReader, Kind, RecordRow, StoreError, frame_around, read_record,
    values,
};

impl Queries {
    /// The decision that an event is part of; `None` when there is no event.
    ///
    /// # Errors
    /// When rows cannot be read.
    pub fn decision_of(&self, event: Position) -> Result<Option<Decision>, StoreError> {
        let Some(frame) = frame_around(&self.rows, event)? else { return Ok(None) };
        let Position { partition, sequence } = event;
        let mut first = frame.first;
        for (ordinal, record) in frame.decisions.iter().enumerate() {
            let next = first.plus(u64::from(record.events));
            if sequence < next {
                return Ok(Some(Decision {
                    frame: Position { partition, sequence: frame.first },
                    ordinal,
                    record: record.clone(),
                    first_event: Some(Position { partition, sequence: first }),
                    command: self.command(&record.command)?,
                }));
            }
            first = next;
        }
        Ok(None)
    }

    /// The last scheduling decision of a placement at a moment, with the event that holds the
    /// verdicts.
    ///
    /// # Errors
    /// [`StoreError::NotReadYet`] for a moment that lies ahead of what was read;
    /// [`StoreError::OtherPartition`] for a position elsewhere.
    pub fn latest_decision(
        &self,
        placement: &PlacementKey,
        at: &At,
    ) -> Result<Option<(Recorded, Decision)>, StoreError> {
        let Some(latest) = self.scheduled_until(placement, Sequence(u64::MAX))? else {
            return Ok(None);
        };
        let aggregate = AggregateId::Placement(placement.clone());
        let bound = self.bound(&aggregate, latest.partition, at)?;
        let Some(event) = self.scheduled_until(placement, bound)? else { return Ok(None) };
        let (envelope, _) = EventReader::new(&self.rows).expect(event)?;
        let decision = self.decision_of(event)?.ok_or_else(|| {
            let key = Key::chunk(Kind::Frames, event);
            StoreError::inconsistent(&key, format!("no decision led to {event}"))
        })?;
        Ok(Some((Recorded { position: event, envelope }, decision)))
    }

    /// The records of a partition as they stand in the log, in order, from a sequence on. The
    /// genesis, which takes no sequence, is not among them.
    ///
    /// # Errors
    /// When rows cannot be read.
    pub fn records(
        &self,
        partition: Partition,
        from: Sequence,
        limit: usize,
    ) -> Result<Page<(Position, Record), Sequence>, StoreError> {
        let limit = limit.min(EVENTS_PER_PAGE_MAX);
        let mut page = Page { items: Vec::new(), next: None };
        let mut events = EventReader::new(&self.rows);
        let start = Position { partition, sequence: from };
        let mut chunk = match self.rows.chunk_at(Kind::Frames, start)? {
            Some(chunk) => Some(chunk),
            None => self.rows.chunk_from(Kind::Frames, start)?,
        };
        while let Some(current) = chunk {
            for index in current.index_from(from)..current.len() {
                let at = Position { partition, sequence: current.sequence(index) };
                if page.items.len() == limit {
                    page.next = Some(at.sequence);
                    return Ok(page);
                }
                page.items.push((at, whole(read_record(&current, index, at)?, at, &mut events)?));
            }
            chunk = self.rows.chunk_after(Kind::Frames, partition, &current)?;
        }
        Ok(page)
    }

    fn command(&self, source: &CommandSource) -> Result<Option<CommandEnvelope>, StoreError> {
        match source {
            CommandSource::Direct(command) | CommandSource::Submitted { command, .. } => {
                Ok(Some(command.clone()))
            }
            CommandSource::FollowUp(reference) => {
                let frame = frame_around(&self.rows, reference.frame)?;
                Ok(frame.and_then(|frame| frame.follow_up(*reference).cloned()))
            }
        }
    }

    /// The last scheduling decision of a placement at or before a sequence of its partition.
    fn scheduled_until(
        &self,
        placement: &PlacementKey,
        bound: Sequence,
    ) -> Result<Option<Position>, StoreError> {
        let prefix = Key::scheduled(placement);
        let found = self.rows.at_or_before(&prefix, &prefix.clone().u64(bound.0))?;
        let Some((key, value)) = found else { return Ok(None) };
        let mut reader = KeyReader::new(&key);
        let (_, sequence) = (reader.name(), reader.u64());
        let partition = values::from_bincode(&value).map_err(|e| StoreError::damaged(&key, e))?;
        let sequence = sequence.ok_or_else(|| StoreError::damaged(&key, "it has no sequence"))?;
        Ok(Some(Position { partition, sequence: Sequence(sequence) }))
    }
}

/// A record with its events.
fn whole(row: RecordRow, at: Position, events: &mut EventReader<'_>) -> Result<Record, StoreError> {
    let FrameRow { epoch, first, previous, events: count, decisions, follow_ups, commands_before } =
        match row {
            RecordRow::Claim(claim) => return Ok(Record::Claim(claim)),
            RecordRow::Frame(frame) => frame,
        };
    let event = |offset| {
        let position = Position { partition: at.partition, sequence: first.plus(offset) };
        events.expect(position).map(|(envelope, _)| envelope)
    };
    let events = (0..count).map(event).collect::<Result<_, _>>()?;
    Ok(Record::Frame(Box::new(Frame {
        epoch,
        first,
        previous,
        decisions,
        events,
        follow_ups,
        commands_before,
    })))
}
