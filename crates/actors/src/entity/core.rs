//! The entity without its mailbox: commands in, a proposal out; accepted events in, state and
//! effects out.
//!
//! A batch of commands is decided on a draft of the state, each on what the ones before it
//! leave. The state itself moves only by events that count. Which commands wait, and for what, is
//! for the shard to know.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use domain::{Decider, DomainCommand, Effect, FleetView, FollowUp, Inputs, Reaction, WakeUp};
use events::{AggregateId, CommandEnvelope, CommandSource, Envelope, Event, Timestamp, Watermark};

use crate::ask::{AskError, AskSource};
use crate::set_aside;
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
    pub envelope: Arc<CommandEnvelope>,
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
    pub command: Arc<CommandEnvelope>,
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

impl Proposal {
    /// Takes the decisions from `at` on off it: a proposal of their own, to follow this one.
    pub(crate) fn split_off(&mut self, at: usize) -> Self {
        let decisions = self.decisions.split_off(at);
        let before: usize = self.decisions.iter().map(|decision| decision.events.len()).sum();
        let first_sequence = self.first_sequence + before as u64;
        Self { aggregate: self.aggregate.clone(), first_sequence, decisions }
    }
}

/// An answer that needs no record.
#[derive(Debug, Clone, PartialEq)]
pub struct Immediate {
    /// The request.
    pub ticket: Ticket,
    /// `Ok` when there is nothing to do.
    pub answer: Result<(), AskError>,
}

/// What came of deciding a batch. Commands of the batch that are in none of it were not decided:
/// it led to more than one proposal holds.
#[derive(Debug, Default)]
pub struct Proposed {
    /// To be put into the log; `None` when nothing has to be.
    pub proposal: Option<Proposal>,
    /// Answers that can be given at once.
    pub immediate: Vec<Immediate>,
    /// Answers that need no record of their own, but follow from what is proposed before them: they
    /// hold when that counts, and not earlier.
    pub dependent: Vec<Immediate>,
}

/// An aggregate at work.
#[derive(Debug)]
pub struct EntityCore<D: Decider> {
    id: AggregateId,
    sequence: u64,
    state: D::State,
    /// The state that what was proposed leaves: what is decided next is decided on it. A copy of its
    /// own, since to copy a cluster with a thousand deliveries for each batch costs more than
    /// everything else.
    draft: D::State,
    /// The sequence after what was proposed. It is `sequence` again when all of that counts; if
    /// less does, the draft is made anew.
    draft_sequence: u64,
}

impl<D: Decider> EntityCore<D> {
    /// An entity with the state that its first `sequence` events left.
    #[must_use]
    pub fn new(id: AggregateId, sequence: u64, state: D::State) -> Self {
        let draft = state.clone();
        Self { id, sequence, state, draft, draft_sequence: sequence }
    }

    /// Which aggregate it is.
    #[must_use]
    pub fn id(&self) -> &AggregateId {
        &self.id
    }

    /// When it wants to be asked something, and what.
    #[must_use]
    pub fn wake_up(&self) -> Option<WakeUp> {
        D::wake_up(&self.state)
    }

    /// Decides commands, in order, as far as they fit one proposal.
    #[must_use]
    pub fn propose(&mut self, requests: &[Request], now: Timestamp, fleet: &FleetView) -> Proposed {
        if self.draft_sequence != self.sequence {
            self.draft.clone_from(&self.state);
            self.draft_sequence = self.sequence;
        }
        let mut proposed = Proposed::default();
        let mut decisions: Vec<DecisionDraft> = vec![];
        let mut events = 0;
        for request in requests {
            if events >= EVENTS_PER_PROPOSAL_MAX {
                break;
            }
            let decided =
                AssertUnwindSafe(|| decide::<D>(&self.id, &mut self.draft, request, now, fleet));
            let draft = catch_unwind(decided).unwrap_or_else(|panic| {
                self.draft = self.after(&decisions);
                let (kind, words) = (&request.envelope.kind, set_aside::words_of(&*panic));
                let reason = format!("the decider failed on {kind}: {words}");
                let refusal = set_aside::because(&self.id, kind, &reason);
                DecisionDraft::refused(request, now, refusal)
            });
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
            self.draft_sequence += draft.events.len() as u64;
            decisions.push(draft);
        }
        if !decisions.is_empty() {
            let (aggregate, first_sequence) = (self.id.clone(), self.sequence + 1);
            proposed.proposal = Some(Proposal { aggregate, first_sequence, decisions });
        }
        proposed
    }

    /// The state that these decisions would leave.
    fn after(&self, decisions: &[DecisionDraft]) -> D::State {
        let mut state = self.state.clone();
        for draft in decisions {
            for event in draft.events.iter().filter_map(D::own_event) {
                D::evolve(&mut state, event, draft.time);
            }
        }
        state
    }

    /// Events of its own count. Returns what to do about them, with the index of the event that
    /// causes each.
    pub fn accepted(&mut self, envelopes: &[Envelope]) -> Vec<(usize, Effect)> {
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
}

impl DecisionDraft {
    fn of(request: &Request, now: Timestamp) -> Self {
        Self {
            ticket: request.ticket,
            source: recorded_source(request),
            command: request.envelope.clone(),
            time: now,
            watermark: None,
            events: vec![],
            follow_ups: vec![],
            refusal: None,
        }
    }

    /// A command is refused.
    pub(crate) fn refused(request: &Request, now: Timestamp, refusal: String) -> Self {
        Self { refusal: Some(refusal), ..Self::of(request, now) }
    }
}

fn decide<D: Decider>(
    id: &AggregateId,
    state: &mut D::State,
    request: &Request,
    now: Timestamp,
    fleet: &FleetView,
) -> DecisionDraft {
    let span = tracing::debug_span!("decide", aggregate = %id, command = %request.envelope.kind);
    let _entered = adopted(span, request.envelope.traceparent.as_deref()).entered();
    let mut draft = DecisionDraft::of(request, now);
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
    match D::decide(state, &command, &inputs) {
        Err(refusal) => draft.refusal = Some(refusal.to_string()),
        Ok(events) => {
            for (index, event) in events.into_iter().enumerate() {
                D::evolve(state, &event, now);
                for reaction in D::react(id, state, &event) {
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
        AskSource::Direct => CommandSource::Direct((*request.envelope).clone()),
        AskSource::Submitted(offset) => {
            CommandSource::Submitted { offset, command: (*request.envelope).clone() }
        }
        AskSource::FollowUp(reference) => CommandSource::FollowUp(reference),
    }
}
