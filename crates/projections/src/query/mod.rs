//! Typed questions about the past, answered from the rows.
//!
//! Every answer is bounded: pages have at most [`EVENTS_PER_PAGE_MAX`] items, and a page that
//! searches gives up after [`EVENTS_EXAMINED_MAX`] events, with the place to ask on from.

mod decision;
mod scan;
mod travel;

use events::{
    AggregateId, CommandEnvelope, CorrelationId, DecisionRecord, Envelope, Position, Principal,
    Timestamp, Watermark,
};

use crate::store::{EventReader, Rows, StoreError};

/// The most items of one page. A thousand events are about 400 KB of JSON; twice as many and a
/// page takes longer than a person notices.
pub const EVENTS_PER_PAGE_MAX: usize = 1_000;

/// How many events a page looks at while it searches: 20,000 take about 40 ms. At twice this, a
/// search for something rare holds a thread for longer than queries may take.
pub const EVENTS_EXAMINED_MAX: usize = 20_000;

/// Answers questions from the rows. Cheap to clone; may be used on any thread that may wait for a
/// disk.
#[derive(Debug, Clone)]
pub struct Queries {
    rows: Rows,
}

/// An event and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Where.
    pub position: Position,
    /// What.
    pub envelope: Envelope,
}

/// A part of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T, C> {
    /// In order.
    pub items: Vec<T>,
    /// What to ask on with. `None` when there is no more; otherwise there may be more, even when
    /// this page is empty.
    pub next: Option<C>,
}

/// A moment in the past.
#[derive(Debug, Clone, PartialEq)]
pub enum At {
    /// After everything that was read.
    Now,
    /// Right after an event, which stands in the same partition as what is asked for.
    Position(Position),
    /// After everything that a watermark covers.
    Watermark(Watermark),
    /// After everything that was recorded up to this time; see [`Queries::watermark_at`].
    Time(Timestamp),
}

/// Which events. Everything that is given must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventFilter {
    /// The aggregate's id starts with this: `placement/ns.team-a/`.
    pub aggregate_prefix: Option<String>,
    /// The event's type: `PlacementScheduled`.
    pub event_type: Option<String>,
    /// Who caused it.
    pub principal: Option<Principal>,
    /// What started it all.
    pub correlation: Option<CorrelationId>,
    /// Recorded at this time or later; see [`Queries::watermark_at`].
    pub since: Option<Timestamp>,
    /// Recorded at this time or earlier.
    pub until: Option<Timestamp>,
}

/// A decision and what was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The frame that it stands in.
    pub frame: Position,
    /// Its place among the frame's decisions.
    pub ordinal: usize,
    /// What was recorded of it.
    pub record: DecisionRecord,
    /// Its first event; `None` when it has none. The others follow.
    pub first_event: Option<Position>,
    /// The command. `None` when it is a follow-up from a partition that was not read so far yet.
    pub command: Option<CommandEnvelope>,
}

impl Queries {
    pub(crate) fn new(rows: Rows) -> Self {
        Self { rows }
    }

    /// The event at a position; `None` when there is none, or none yet.
    ///
    /// # Errors
    /// When rows cannot be read.
    pub fn event(&self, at: Position) -> Result<Option<Recorded>, StoreError> {
        let found = EventReader::new(&self.rows).get(at)?;
        Ok(found.map(|(envelope, _)| Recorded { position: at, envelope }))
    }

    /// The events of an aggregate, in order, from an aggregate sequence on (the first one is 1).
    ///
    /// # Errors
    /// When rows cannot be read.
    pub fn history(
        &self,
        aggregate: &AggregateId,
        from: u64,
        limit: usize,
    ) -> Result<Page<Recorded, u64>, StoreError> {
        let limit = limit.min(EVENTS_PER_PAGE_MAX);
        let mut events = EventReader::new(&self.rows);
        let mut page = Page { items: Vec::new(), next: None };
        for at in self.rows.positions(aggregate, from)? {
            let (number, position) = at?;
            if page.items.len() == limit {
                page.next = Some(number);
                break;
            }
            let (envelope, _) = events.expect(position)?;
            page.items.push(Recorded { position, envelope });
        }
        Ok(page)
    }
}
