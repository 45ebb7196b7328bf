//! Typed questions about the past.

use domain::{Decider, FleetView};
use events::{
    AggregateId, CommandEnvelope, CorrelationId, DecisionRecord, Envelope, PlacementKey, Position,
    Principal, Timestamp, Watermark,
};

use crate::model::Versioned;
use crate::store::StoreError;

/// Answers questions from the rows. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Queries {}

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
    /// From where to ask on; `None` when there is no more. A page may be empty and yet not the
    /// last one.
    pub next: Option<C>,
}

/// A moment in the past.
#[derive(Debug, Clone, PartialEq)]
pub enum At {
    /// After everything that was read.
    Now,
    /// Right after an event (of the same partition as what is asked for).
    Position(Position),
    /// After everything that a watermark covers.
    Watermark(Watermark),
    /// After everything that was recorded up to this time.
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
    /// Not before this.
    pub since: Option<Timestamp>,
    /// Not after this.
    pub until: Option<Timestamp>,
}

/// A decision and what was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The frame that it stands in.
    pub frame: Position,
    /// What was recorded of it.
    pub record: DecisionRecord,
    /// The command. `None` when it is a follow-up from a partition that was not read so far yet.
    pub command: Option<CommandEnvelope>,
    /// Its first event's position; meaningless when it has none.
    pub first: Position,
}

impl Queries {
    /// The event at a position.
    ///
    /// # Errors
    /// When the rows cannot be read. So with all others.
    pub fn event(&self, _at: Position) -> Result<Option<Recorded>, StoreError> {
        todo!("comes with the store")
    }

    /// The events of an aggregate, from an aggregate sequence on.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn history(
        &self,
        _aggregate: &AggregateId,
        _from: u64,
        _limit: usize,
    ) -> Result<Page<Recorded, u64>, StoreError> {
        todo!("comes with the store")
    }

    /// Events of all aggregates in order of time.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn events(
        &self,
        _filter: &EventFilter,
        _after: Option<Position>,
        _limit: usize,
    ) -> Result<Page<Recorded, Position>, StoreError> {
        todo!("comes with the store")
    }

    /// The state of an aggregate at a moment.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn state_at<D: Decider>(
        &self,
        _aggregate: &AggregateId,
        _at: &At,
    ) -> Result<Versioned<D::State>, StoreError> {
        todo!("comes with the store")
    }

    /// The fleet as a scheduler saw it.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn view_at(&self, _watermark: &Watermark) -> Result<FleetView, StoreError> {
        todo!("comes with the store")
    }

    /// What of the log had been recorded up to a time.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn watermark_at(&self, _time: Timestamp) -> Result<Watermark, StoreError> {
        todo!("comes with the store")
    }

    /// The decision that an event is part of.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn decision_of(&self, _at: Position) -> Result<Option<Decision>, StoreError> {
        todo!("comes with the store")
    }

    /// The last scheduling decision of a placement at a moment.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn latest_decision(
        &self,
        _placement: &PlacementKey,
        _at: &At,
    ) -> Result<Option<(Recorded, Decision)>, StoreError> {
        todo!("comes with the store")
    }
}
