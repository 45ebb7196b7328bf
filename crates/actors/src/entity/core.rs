//! The entity without its mailbox: commands in, a proposal out; accepted events in, state and
//! effects out.
//!
//! While a proposal is in the log the state does not move and nothing else is decided. A batch of
//! commands is decided on a scratch copy, each on the state that the ones before it leave.

use std::collections::VecDeque;

use domain::{Decider, DomainCommand, Effect, FleetView, FollowUp, Inputs, Reaction};
use events::{AggregateId, CommandEnvelope, CommandSource, Envelope, Event, Timestamp, Watermark};

use crate::ask::{AskError, AskSource};
use crate::trace::adopted;

/// How many commands one proposal decides. A batch of 256 small decisions fills a third of a frame;
/// twice as many and two busy entities no longer share one.
pub const COMMANDS_PER_PROPOSAL_MAX: usize = 256;

/// How many events one proposal may hold; see `events::frame::EVENTS_PER_FRAME_MAX`.
const EVENTS_PER_PROPOSAL_MAX: usize = 500;

/// Tells the requests of an entity apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A command to decide.
#[derive(Debug, Clone)]
pub struct Request {
    /// Names the request in what comes back.
    pub ticket: Ticket,
    /// The command.
    pub envelope: CommandEnvelope,
    /// How it came here.
    pub source: AskSource,
}

/// One decided command, before it has a place in the log.
#[derive(Debug, Clone)]
pub struct DecisionDraft {
    /// The request.
    pub ticket: Ticket,
    /// How the record names the command.
    pub source: CommandSource,
    /// The command itself, for the attributes of its events.
    pub command: CommandEnvelope,
    /// The time that the decider was given.
    pub time: Timestamp,
    /// What its view had seen.
    pub watermark: Option<Watermark>,
    /// What happened.
    pub events: Vec<Event>,
    /// Commands to others, with the index of the event that causes each.
    pub follow_ups: Vec<(usize, FollowUp)>,
    /// Why it was refused.
    pub refusal: Option<String>,
}

/// Decisions that go into the log together.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// Whose.
    pub aggregate: AggregateId,
    /// The aggregate sequence of its first event.
    pub first_sequence: u64,
    /// In order.
    pub decisions: Vec<DecisionDraft>,
}

/// An answer that needs no record.
#[derive(Debug, Clone, PartialEq)]
pub struct Immediate {
    /// The request.
    pub ticket: Ticket,
    /// `Ok` when there is nothing to do.
    pub answer: Result<(), AskError>,
}

/// What came of deciding a batch.
#[derive(Debug, Default)]
pub struct Proposed {
    /// To be put into the log; `None` when nothing has to be.
    pub proposal: Option<Proposal>,
    /// Answers that can be given at once.
    pub immediate: Vec<Immediate>,
    /// Answers that need no record of their own, but follow from what is proposed before them: they
    /// hold when the proposal counts, and not earlier.
    pub dependent: Vec<Immediate>,
}

/// An aggregate at work.
#[derive(Debug)]
pub struct EntityCore<D: Decider> {
    id: AggregateId,
    sequence: u64,
    state: D::State,
    queue: VecDeque<Request>,
    in_flight: Vec<Request>,
}

impl<D: Decider> EntityCore<D> {
    /// An entity with the state that its first `sequence` events left.
    #[must_use]
    pub fn new(id: AggregateId, sequence: u64, state: D::State) -> Self {
        Self { id, sequence, state, queue: VecDeque::new(), in_flight: vec![] }
    }

    /// Which aggregate it is.
    #[must_use]
    pub fn id(&self) -> &AggregateId {
        &self.id
    }

    /// What it knows.
    #[must_use]
    pub fn state(&self) -> &D::State {
        &self.state
    }

    /// Whether nothing waits and nothing is in the log.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.in_flight.is_empty()
    }

    /// Takes a command in.
    pub fn enqueue(&mut self, request: Request) {
        self.queue.push_back(request);
    }

    /// Decides what waits, unless a proposal is in the log already.
    pub fn propose(&mut self, now: Timestamp, fleet: &FleetView) -> Proposed {
        let mut proposed = Proposed::default();
        if !self.in_flight.is_empty() {
            return proposed;
        }
        let mut scratch = self.state.clone();
        let mut decisions = vec![];
        let mut events = 0;
        while decisions.len() < COMMANDS_PER_PROPOSAL_MAX && events < EVENTS_PER_PROPOSAL_MAX {
            let Some(request) = self.queue.pop_front() else { break };
            let draft = decide::<D>(&self.id, &mut scratch, &request, now, fleet);
            if draft.events.is_empty() && !request.source.is_durable() {
                let answer = match draft.refusal {
                    None => Ok(()),
                    Some(reason) => Err(AskError::Refused(reason)),
                };
                let answer = Immediate { ticket: request.ticket, answer };
                match events {
                    0 => proposed.immediate.push(answer),
                    _ => proposed.dependent.push(answer),
                }
                continue;
            }
            events += draft.events.len();
            decisions.push(draft);
            self.in_flight.push(request);
        }
        if !decisions.is_empty() {
            let (aggregate, first_sequence) = (self.id.clone(), self.sequence + 1);
            proposed.proposal = Some(Proposal { aggregate, first_sequence, decisions });
        }
        proposed
    }

    /// The proposal counts: its events are part of the history. Returns what to do about it, with
    /// the index of the event that causes each.
    pub fn accepted(&mut self, envelopes: &[Envelope]) -> Vec<(usize, Effect)> {
        self.in_flight.clear();
        let mut effects = vec![];
        for (index, envelope) in envelopes.iter().enumerate() {
            assert_eq!(
                envelope.aggregate_sequence,
                self.sequence + 1,
                "events of {} are folded in order",
                self.id
            );
            self.sequence = envelope.aggregate_sequence;
            if let Some(event) = D::own_event(&envelope.event) {
                D::evolve(&mut self.state, event, envelope.time);
                effects.extend(D::react(&self.id, &self.state, event).into_iter().filter_map(
                    |reaction| match reaction {
                        Reaction::Effect(effect) => Some((index, effect)),
                        Reaction::FollowUp(_) => None,
                    },
                ));
            }
        }
        effects
    }

    /// The proposal did not happen: its commands are decided again.
    pub fn rejected(&mut self) {
        for request in self.in_flight.drain(..).rev() {
            self.queue.push_front(request);
        }
    }

    /// The proposal can never be recorded: its commands are given up.
    pub fn abandoned(&mut self) {
        self.in_flight.clear();
    }
}

fn decide<D: Decider>(
    id: &AggregateId,
    scratch: &mut D::State,
    request: &Request,
    now: Timestamp,
    fleet: &FleetView,
) -> DecisionDraft {
    let span = tracing::debug_span!("decide", aggregate = %id, command = %request.envelope.kind);
    let _entered = adopted(span, request.envelope.traceparent.as_deref()).entered();
    let mut draft = DecisionDraft {
        ticket: request.ticket,
        source: recorded_source(request),
        command: request.envelope.clone(),
        time: now,
        watermark: None,
        events: vec![],
        follow_ups: vec![],
        refusal: None,
    };
    let command = match DomainCommand::from_envelope(&request.envelope) {
        Ok(command) => D::own_command(command),
        Err(error) => {
            draft.refusal = Some(error.to_string());
            return draft;
        }
    };
    let Some(command) = command else {
        draft.refusal = Some(format!("{id} knows no command {}", request.envelope.kind));
        return draft;
    };
    draft.watermark = D::uses_view(&command).then(|| fleet.watermark.clone());
    let inputs = Inputs { now, fleet, origin: request.envelope.origin };
    match D::decide(scratch, &command, &inputs) {
        Err(refusal) => draft.refusal = Some(refusal.to_string()),
        Ok(events) => {
            for (index, event) in events.into_iter().enumerate() {
                D::evolve(scratch, &event, now);
                for reaction in D::react(id, scratch, &event) {
                    match reaction {
                        Reaction::FollowUp(follow_up) => draft.follow_ups.push((index, follow_up)),
                        // Performed when the event counts, from the state that it leaves then.
                        Reaction::Effect(_) => {}
                    }
                }
                draft.events.push(event.into());
            }
        }
    }
    draft
}

fn recorded_source(request: &Request) -> CommandSource {
    match request.source {
        AskSource::Direct => CommandSource::Direct(request.envelope.clone()),
        AskSource::Submitted(offset) => {
            CommandSource::Submitted { offset, command: request.envelope.clone() }
        }
        AskSource::FollowUp(reference) => CommandSource::FollowUp(reference),
    }
}
