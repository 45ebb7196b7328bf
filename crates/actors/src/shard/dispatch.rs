//! Which asks are where: for each aggregate, in the order in which they came, from the moment that
//! they are taken in until they are answered or on record.
//!
//! ```text
//!   waiting ──(handed out)──► deciding ──(proposed)──► recording ──(counted)──► answered
//!      ▲                          │                        │
//!      └──(its entity ended)──────┴──(it fits no record)───┘
//! ```
//!
//! What goes back goes to the front, in order, so nothing overtakes anything. An aggregate has one
//! batch on its way at a time. No I/O.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use events::{AggregateId, CommandEnvelope, Envelope, Timestamp};

use super::bounds::Bounds;
use crate::ask::{Answer, AskError, AskSource};
use crate::entity::{
    COMMANDS_PER_PROPOSAL_MAX, DecisionDraft, Immediate, Proposal, Proposed, Request, Ticket,
};
use crate::set_aside;

/// After how long without an ask an entity gives its memory back. Its state is in the model.
const IDLE_MAX_MS: u64 = 120_000;

/// How often an entity may end over the same command before that is set aside. Deciders that fail
/// are caught, so this is for whatever else may go wrong: once may be bad luck.
const ENDS_MAX: u32 = 3;

/// Who asked, and what the answer is.
pub type Answered = (Ticket, Answer);

/// What to do with the asks of an aggregate.
#[derive(Debug)]
pub(super) enum Handed {
    /// Have its entity decide them.
    Decide(Vec<Request>),
    /// Record that they are refused.
    Record(Proposal),
}

/// All asks that are under way.
#[derive(Debug)]
pub(super) struct Dispatch {
    bounds: Bounds,
    lanes: BTreeMap<AggregateId, Lane>,
    /// The aggregates for which something waits and nothing is on its way.
    ready: BTreeSet<AggregateId>,
    last_ticket: u64,
}

/// The asks of one aggregate.
#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Waiting>,
    stage: Stage,
    /// How many times events that count were handed to the entity, of which it has not said yet
    /// that it knows them.
    settling: u32,
    /// How often the entity has ended over what waits first.
    ends: u32,
    used_at_ms: u64,
}

/// An ask that is not decided.
#[derive(Debug)]
struct Waiting {
    request: Request,
    /// Why it must not be decided but refused, and that recorded.
    set_aside: Option<String>,
}

/// What of an aggregate is on its way.
#[derive(Debug, Default)]
enum Stage {
    #[default]
    Free,
    /// The entity has these.
    Deciding(VecDeque<Waiting>),
    /// What was decided on these is in the log, or will be.
    Recording(VecDeque<Decided>),
}

/// An ask that was decided.
#[derive(Debug)]
struct Decided {
    ask: Waiting,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    /// It is recorded, with so many events or a refusal.
    Recorded { events: usize, refusal: Option<String> },
    /// It needs no record. The answer holds when everything before it counts.
    Follows(Result<(), AskError>),
}

impl Dispatch {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, lanes: BTreeMap::new(), ready: BTreeSet::new(), last_ticket: 0 }
    }

    /// Whether a direct ask may be taken in.
    pub(super) fn has_room(&self, id: &AggregateId) -> bool {
        self.lanes.get(id).is_none_or(|lane| lane.len() < self.bounds.asks_per_aggregate)
    }

    /// Takes an ask in. The ticket names it in the answer.
    pub(super) fn take_in(
        &mut self,
        envelope: CommandEnvelope,
        source: AskSource,
        now_ms: u64,
    ) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        let id = envelope.aggregate.clone();
        let request = Request { ticket, envelope: Arc::new(envelope), source };
        let lane = self.lanes.entry(id.clone()).or_default();
        lane.waiting.push_back(Waiting { request, set_aside: None });
        lane.used_at_ms = now_ms;
        self.note(&id);
        ticket
    }

    /// The aggregates for which something can be done.
    pub(super) fn ready(&self) -> impl Iterator<Item = &AggregateId> {
        self.ready.iter()
    }

    /// Takes what waits first for an aggregate that is ready.
    pub(super) fn hand_out(&mut self, id: &AggregateId, now: Timestamp) -> Option<Handed> {
        if !self.ready.remove(id) {
            return None;
        }
        let lane = self.lanes.get_mut(id)?;
        let first = lane.waiting.pop_front()?;
        if let Some(refusal) = first.set_aside.clone() {
            let draft = DecisionDraft::refused(&first.request, now, refusal.clone());
            let outcome = Outcome::Recorded { events: 0, refusal: Some(refusal) };
            lane.stage = Stage::Recording([Decided { ask: first, outcome }].into());
            // Without an event it takes no sequence.
            let (aggregate, first_sequence) = (id.clone(), 0);
            let proposal = Proposal { aggregate, first_sequence, decisions: vec![draft] };
            return Some(Handed::Record(proposal));
        }
        // One by one, once the entity has ended over one of them.
        let max = if lane.ends == 0 { COMMANDS_PER_PROPOSAL_MAX } else { 1 };
        let mut batch = VecDeque::from([first]);
        while batch.len() < max
            && let Some(next) = lane.waiting.pop_front_if(|next| next.set_aside.is_none())
        {
            batch.push_back(next);
        }
        let requests = batch.iter().map(|ask| ask.request.clone()).collect();
        lane.stage = Stage::Deciding(batch);
        Some(Handed::Decide(requests))
    }

    /// The entity has decided what it was handed: what is to be recorded, and who is answered at
    /// once.
    pub(super) fn proposed(
        &mut self,
        id: &AggregateId,
        proposed: Proposed,
    ) -> (Option<Proposal>, Vec<Answered>) {
        let Some(lane) = self.lanes.get_mut(id) else { return (None, vec![]) };
        let Stage::Deciding(batch) = std::mem::take(&mut lane.stage) else { return (None, vec![]) };
        lane.ends = 0;
        let now =
            proposed.immediate.into_iter().map(|Immediate { ticket, answer }| (ticket, answer));
        let mut now: BTreeMap<Ticket, Result<(), AskError>> = now.collect();
        let mut later = outcomes(proposed.proposal.as_ref(), proposed.dependent);
        let (mut answers, mut decided, mut undecided) = (vec![], VecDeque::new(), vec![]);
        for ask in batch {
            let ticket = ask.request.ticket;
            if let Some(answer) = now.remove(&ticket) {
                answers.push((ticket, answer.map(|()| vec![])));
            } else if let Some(outcome) = later.remove(&ticket) {
                decided.push_back(Decided { ask, outcome });
            } else {
                undecided.push(ask);
            }
        }
        lane.put_back(undecided);
        if proposed.proposal.is_some() {
            lane.stage = Stage::Recording(decided);
        }
        self.note(id);
        (proposed.proposal, answers)
    }

    /// The next decisions on an aggregate count. Answers to whom their events are owed; its entity
    /// has to be told, and [`Dispatch::settled`] when it knows.
    pub(super) fn counted(
        &mut self,
        id: &AggregateId,
        decisions: usize,
        envelopes: &[Envelope],
        now_ms: u64,
    ) -> Vec<Answered> {
        let Some(lane) = self.lanes.get_mut(id) else { return vec![] };
        lane.settling += 1;
        lane.used_at_ms = now_ms;
        let mut answers = vec![];
        let Stage::Recording(recording) = &mut lane.stage else { return answers };
        let (mut left, mut envelopes) = (decisions, envelopes);
        while let Some(next) = recording.front() {
            let answer = match &next.outcome {
                Outcome::Follows(answer) => answer.clone().map(|()| vec![]),
                Outcome::Recorded { .. } if left == 0 => break,
                Outcome::Recorded { events, refusal } => {
                    left -= 1;
                    let (own, others) = envelopes.split_at(*events);
                    envelopes = others;
                    refusal
                        .clone()
                        .map_or_else(|| Ok(own.to_vec()), |why| Err(AskError::Refused(why)))
                }
            };
            answers.push((next.ask.request.ticket, answer));
            recording.pop_front();
        }
        if recording.is_empty() {
            lane.stage = Stage::Free;
        }
        answers
    }

    /// The entity knows what it was told of.
    pub(super) fn settled(&mut self, id: &AggregateId) {
        if let Some(lane) = self.lanes.get_mut(id) {
            lane.settling = lane.settling.saturating_sub(1);
            self.note(id);
        }
    }

    /// The first decision of an aggregate that is on its way takes too many bytes to be recorded.
    /// It is set aside if it has to leave a record; what was decided after it is decided again.
    /// Says who is answered, and what leaves no trace at all.
    pub(super) fn too_large(
        &mut self,
        id: &AggregateId,
        bytes: usize,
    ) -> (Vec<Answered>, Option<AskSource>) {
        let Some(lane) = self.lanes.get_mut(id) else { return (vec![], None) };
        let Stage::Recording(recording) = std::mem::take(&mut lane.stage) else {
            return (vec![], None);
        };
        let mut asks = recording.into_iter().map(|decided| decided.ask);
        let first = asks.next();
        lane.put_back(asks.collect());
        let mut came_to = (vec![], None);
        match first {
            None => {}
            Some(Waiting { request, set_aside: Some(_) }) => {
                tracing::error!(aggregate = %id, source = ?request.source, bytes,
                    "a command is left out: not even its refusal fits a record");
                came_to.1 = Some(request.source);
            }
            Some(Waiting { request, set_aside: None }) if request.source.is_durable() => {
                let reason = AskError::TooLarge { aggregate: id.to_string(), bytes }.to_string();
                let refusal = set_aside::because(id, &request.envelope.kind, &reason);
                let request = set_aside::shortened(request);
                lane.put_back(vec![Waiting { request, set_aside: Some(refusal) }]);
            }
            Some(Waiting { request, set_aside: None }) => {
                let answer = Err(AskError::TooLarge { aggregate: id.to_string(), bytes });
                came_to.0.push((request.ticket, answer));
            }
        }
        self.note(id);
        came_to
    }

    /// The entity has ended before it was let go: what it was deciding waits again. Says who is
    /// answered because it ended over the same command too often.
    pub(super) fn ended(&mut self, id: &AggregateId) -> Vec<Answered> {
        let Some(lane) = self.lanes.get_mut(id) else { return vec![] };
        lane.settling = 0;
        let mut answers = vec![];
        if let Stage::Deciding(batch) = &mut lane.stage {
            let mut asks: Vec<Waiting> = std::mem::take(batch).into();
            lane.stage = Stage::Free;
            lane.ends += 1;
            if lane.ends >= ENDS_MAX {
                lane.ends = 0;
                answers.extend(give_up_first(id, &mut asks));
            }
            lane.put_back(asks);
        }
        self.note(id);
        answers
    }

    /// The aggregates whose entities may go: nobody has asked for a while, and nothing is under way.
    pub(super) fn let_go_idle(&mut self, now_ms: u64) -> Vec<AggregateId> {
        let is_idle =
            |lane: &Lane| lane.is_idle() && now_ms.saturating_sub(lane.used_at_ms) > IDLE_MAX_MS;
        self.lanes.extract_if(.., |_, lane| is_idle(lane)).map(|(id, _)| id).collect()
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.lanes.values().all(Lane::is_idle)
    }

    /// Whether an entity was told of what counts, and has not said yet that it knows.
    pub(super) fn is_settling(&self) -> bool {
        self.lanes.values().any(|lane| lane.settling > 0)
    }

    /// Notes whether something can be done for an aggregate.
    fn note(&mut self, id: &AggregateId) {
        let is_ready = self.lanes.get(id).is_some_and(Lane::is_ready);
        if is_ready && !self.ready.contains(id) {
            self.ready.insert(id.clone());
        }
    }
}

impl Lane {
    fn len(&self) -> usize {
        let on_its_way = match &self.stage {
            Stage::Free => 0,
            Stage::Deciding(batch) => batch.len(),
            Stage::Recording(recording) => recording.len(),
        };
        self.waiting.len() + on_its_way
    }

    fn is_free(&self) -> bool {
        matches!(self.stage, Stage::Free) && self.settling == 0
    }

    fn is_ready(&self) -> bool {
        self.is_free() && !self.waiting.is_empty()
    }

    fn is_idle(&self) -> bool {
        self.is_free() && self.waiting.is_empty()
    }

    /// They came before everything that waits.
    fn put_back(&mut self, asks: Vec<Waiting>) {
        for ask in asks.into_iter().rev() {
            self.waiting.push_front(ask);
        }
    }
}

/// What becomes of each command when the proposal counts.
fn outcomes(proposal: Option<&Proposal>, dependent: Vec<Immediate>) -> BTreeMap<Ticket, Outcome> {
    let recorded = proposal.into_iter().flat_map(|proposal| &proposal.decisions).map(|draft| {
        let (events, refusal) = (draft.events.len(), draft.refusal.clone());
        (draft.ticket, Outcome::Recorded { events, refusal })
    });
    let follows = dependent.into_iter();
    let follows = follows.map(|Immediate { ticket, answer }| (ticket, Outcome::Follows(answer)));
    recorded.chain(follows).collect()
}

/// The entity ends over the first of these again and again.
fn give_up_first(id: &AggregateId, asks: &mut Vec<Waiting>) -> Option<Answered> {
    let first = asks.first_mut()?;
    let kind = &first.request.envelope.kind;
    let reason = format!("{id} ended {ENDS_MAX} times over {kind}; see the log");
    let refusal = set_aside::because(id, kind, &reason);
    if first.request.source.is_durable() {
        first.set_aside = Some(refusal);
        return None;
    }
    let ticket = asks.remove(0).request.ticket;
    Some((ticket, Err(AskError::Refused(refusal))))
}
