//! Events of all aggregates in order of time.
//!
//! The order is that of (time recorded, partition, sequence), in which each partition keeps its
//! own. A place in it is named by a position alone, so a page goes on after the last position that
//! the page before it looked at.

use std::borrow::Cow;
use std::collections::BTreeMap;

use events::{CorrelationId, Partition, Position, Sequence, envelope};
use serde::Deserialize;

use super::{EVENTS_EXAMINED_MAX, EVENTS_PER_PAGE_MAX, EventFilter, Page, Queries, Recorded};
use crate::store::{
    Chunk, CorrelatedEvent, Key, KeyReader, Kind, Rows, StoreError, bucket_of, chunk_json,
    nanoseconds, values,
};

/// The most events of one correlation that are put in order of time by themselves. A larger set is
/// found by looking at all events. At twice this, a page takes longer than a look at all.
const CORRELATED_EVENTS_MAX: usize = 10_000;

/// A place in the order of all events.
type Place = (i64, Position);

impl Queries {
    /// Events of all aggregates in order of time, after the one at a position.
    ///
    /// # Errors
    /// When rows cannot be read.
    pub fn events(
        &self,
        filter: &EventFilter,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Page<Recorded, Position>, StoreError> {
        let after = match after {
            Some(position) => self.reached(position)?.map(|(_, time)| (time, position)),
            None => None,
        };
        let matching = Matching::new(filter);
        let limit = limit.clamp(1, EVENTS_PER_PAGE_MAX);
        let correlated = match filter.correlation {
            Some(correlation) => self.correlated(correlation)?,
            None => None,
        };
        match correlated {
            Some(places) => {
                let rest = places.into_iter().filter(|place| Some(*place) > after);
                self.page_of(rest, &matching, limit)
            }
            None => self.search(&matching, after, limit),
        }
    }

    /// Where the events of a correlation stand, in order, unless they are too many.
    fn correlated(&self, correlation: CorrelationId) -> Result<Option<Vec<Place>>, StoreError> {
        let mut places = Vec::new();
        let (bucket, wanted) = bucket_of(correlation);
        for row in self.rows.scan(&Key::correlations(bucket)) {
            let (key, value) = row?;
            let events: Vec<CorrelatedEvent> =
                values::from_bincode(&value).map_err(|e| StoreError::damaged(&key, e))?;
            let own = events.into_iter().filter(|(digest, ..)| *digest == wanted);
            for (_, partition, sequence) in own {
                let position = Position { partition, sequence };
                let reached = self.reached(position)?;
                places.extend(reached.map(|(_, time)| (time, position)));
            }
            if places.len() > CORRELATED_EVENTS_MAX {
                return Ok(None);
            }
        }
        places.sort_unstable();
        Ok(Some(places))
    }

    /// The first of some events that match.
    fn page_of(
        &self,
        places: impl Iterator<Item = Place>,
        matching: &Matching,
        limit: usize,
    ) -> Result<Page<Recorded, Position>, StoreError> {
        let mut page = Page { items: Vec::new(), next: None };
        for (time, position) in places {
            if matching.is_after(time) {
                break;
            }
            let Some(chunk) = self.rows.chunk_at(Kind::Events, position)? else { continue };
            let Some(index) = chunk.index_at(position.sequence) else { continue };
            let json = chunk_json(&chunk, index, position)?;
            page.items.extend(matching.read(time, position, json)?);
            if page.items.len() == limit {
                page.next = Some(position);
                break;
            }
        }
        Ok(page)
    }

    /// Looks at all events, in order, and keeps those that match.
    fn search(
        &self,
        matching: &Matching,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Page<Recorded, Position>, StoreError> {
        let mut streams = BTreeMap::new();
        for row in self.rows.scan(&Key::of(Kind::Checkpoint)) {
            let (key, _) = row?;
            let Some(partition) = KeyReader::new(&key).partition() else { continue };
            let from = self.start(partition, matching.since, after)?;
            let stream = Stream::open(&self.rows, Position { partition, sequence: from })?;
            streams.extend(stream.map(|stream| (stream.place(), stream)));
        }

        let mut page = Page { items: Vec::new(), next: None };
        let mut examined = 0;
        while let Some(((time, position), stream)) = streams.pop_first() {
            if matching.is_after(time) {
                break;
            }
            page.items.extend(matching.read(time, position, stream.json()?)?);
            examined += 1;
            if page.items.len() == limit || examined == EVENTS_EXAMINED_MAX {
                page.next = Some(position);
                break;
            }
            streams.extend(stream.advance(&self.rows)?.map(|stream| (stream.place(), stream)));
        }
        Ok(page)
    }

    /// From where on to read a partition, to see everything since a time and after a place.
    fn start(
        &self,
        partition: Partition,
        since: Option<i64>,
        after: Option<Place>,
    ) -> Result<Sequence, StoreError> {
        let mut start = Sequence::default();
        if let Some(since) = since {
            start = self.last_event_until(partition, since.saturating_sub(1))?;
        }
        if let Some((time, position)) = after {
            let seen = match partition.cmp(&position.partition) {
                std::cmp::Ordering::Less => self.last_event_until(partition, time)?,
                std::cmp::Ordering::Equal => position.sequence,
                std::cmp::Ordering::Greater => {
                    self.last_event_until(partition, time.saturating_sub(1))?
                }
            };
            start = start.max(seen);
        }
        Ok(start.plus(1))
    }
}

/// A partition's events, one after another.
struct Stream {
    partition: Partition,
    chunk: Chunk,
    index: usize,
}

impl Stream {
    /// Starts at the first event at or after a position, if there is one.
    fn open(rows: &Rows, from: Position) -> Result<Option<Self>, StoreError> {
        let partition = from.partition;
        if let Some(chunk) = rows.chunk_at(Kind::Events, from)?
            && chunk.last() >= from.sequence
        {
            let index = chunk.index_from(from.sequence);
            return Ok(Some(Self { partition, chunk, index }));
        }
        let chunk = rows.chunk_from(Kind::Events, from)?;
        Ok(chunk.map(|chunk| Self { partition, chunk, index: 0 }))
    }

    fn place(&self) -> Place {
        let sequence = self.chunk.sequence(self.index);
        (self.chunk.time(self.index), Position { partition: self.partition, sequence })
    }

    fn json(&self) -> Result<&[u8], StoreError> {
        chunk_json(&self.chunk, self.index, self.place().1)
    }

    fn advance(self, rows: &Rows) -> Result<Option<Self>, StoreError> {
        let index = self.index + 1;
        if index < self.chunk.len() {
            return Ok(Some(Self { index, ..self }));
        }
        let chunk = rows.chunk_after(Kind::Events, self.partition, &self.chunk)?;
        Ok(chunk.map(|chunk| Self { chunk, index: 0, ..self }))
    }
}

/// A filter, in the words of the rows.
struct Matching {
    aggregate_prefix: Option<String>,
    event_type: Option<String>,
    principal: Option<String>,
    correlation: Option<CorrelationId>,
    since: Option<i64>,
    until: Option<i64>,
}

/// What a filter looks at; the rest of the event is skipped.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    subject: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    principal: Cow<'a, str>,
    correlationid: CorrelationId,
}

impl Matching {
    fn new(filter: &EventFilter) -> Self {
        let EventFilter { aggregate_prefix, event_type, principal, correlation, since, until } =
            filter;
        let full_type = |name: &String| format!("{}{name}", envelope::TYPE_PREFIX);
        Self {
            aggregate_prefix: aggregate_prefix.clone(),
            event_type: event_type.as_ref().map(full_type),
            principal: principal.as_ref().map(ToString::to_string),
            correlation: *correlation,
            since: since.map(nanoseconds),
            until: until.map(nanoseconds),
        }
    }

    /// Whether a time, and so everything in order after it, is too late.
    fn is_after(&self, time: i64) -> bool {
        self.until.is_some_and(|until| time > until)
    }

    /// The event, if it matches.
    fn read(
        &self,
        time: i64,
        position: Position,
        json: &[u8],
    ) -> Result<Option<Recorded>, StoreError> {
        let damaged = |error: serde_json::Error| {
            StoreError::damaged(Key::chunk(Kind::Events, position).bytes(), error)
        };
        let head: Head<'_> = serde_json::from_slice(json).map_err(damaged)?;
        let is_since = self.since.is_none_or(|since| time >= since);
        if !is_since || !self.matches(&head) {
            return Ok(None);
        }
        let envelope = serde_json::from_slice(json).map_err(damaged)?;
        Ok(Some(Recorded { position, envelope }))
    }

    fn matches(&self, head: &Head<'_>) -> bool {
        self.aggregate_prefix.as_ref().is_none_or(|prefix| head.subject.starts_with(prefix))
            && self.event_type.as_ref().is_none_or(|wanted| *wanted == head.event_type)
            && self.principal.as_ref().is_none_or(|wanted| *wanted == head.principal)
            && self.correlation.is_none_or(|wanted| wanted == head.correlationid)
    }
}
