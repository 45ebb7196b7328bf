//! The shard without its mailbox.
//!
//! | part | knows |
//! |---|---|
//! | [`Frames`] | what is in the log and what of it counts; who owns the partition |
//! | [`Intake`] | which durable commands were taken in |
//! | [`Dispatch`] | which asks wait for which aggregate, and what is on its way |
//! | [`Timers`] | when which aggregate is to be asked something |
//!
//! Here they are one: what counts for one of them moves the others. The shell keeps the mailbox, the
//! entities, and those who wait for answers.

use bytes::Bytes;
use domain::WakeUp;
use event_log::{Accepted, Acceptor, Failure};
use events::{AggregateId, CommandEnvelope, Envelope, Epoch, FollowUpRef, Principal, Timestamp};
use projections::Inbox;
use uuid::Uuid;

use super::bounds::Bounds;
use super::dispatch::{Answered, Dispatch, Handed};
use super::frames::{Appended, ClaimIdentity, Counted, Frames, Next, ShardState};
use super::intake::{Intake, Taken};
use super::time::LatestTime;
use super::timers::Timers;
use crate::ask::{AskError, AskSource, Origin, envelope};
use crate::entity::{Proposed, Request, Ticket};

/// How long a shard waits before it appends again after a failure.
const APPEND_RETRY_MS: u64 = 100;

/// What the shell has to do next.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Nothing, until something arrives or is due.
    Wait,
    /// Append this record.
    Append(Bytes),
    /// Give these answers.
    Answer(Vec<Answered>),
}

/// What a record that counts means for the shell.
#[derive(Debug, PartialEq)]
pub enum Told {
    /// The partition is this shard's now. It wants to be given what waits in the inbox
    /// ([`ShardCore::take_pending`]), where to read the command stream
    /// ([`ShardCore::start_reading`]) and the wake-ups ([`ShardCore::take_wake_ups`]); effects have
    /// to be computed again.
    Owned(Epoch),
    /// Decisions count: their entities have to be told ([`ShardCore::settled`]).
    Counted(Vec<Recorded>),
    /// The partition is not this shard's any more. It ends.
    Lost,
    /// Nothing of ours.
    Other,
}

/// Decisions of one aggregate that count.
#[derive(Debug, PartialEq)]
pub struct Recorded {
    /// Whose.
    pub aggregate: AggregateId,
    /// Their events.
    pub envelopes: Vec<Envelope>,
    /// Who is answered now.
    pub answers: Vec<Answered>,
}

/// A partition at work.
#[derive(Debug)]
pub struct ShardCore {
    frames: Frames,
    intake: Intake,
    dispatch: Dispatch,
    timers: Timers,
    latest: LatestTime,
    /// Before this, nothing is appended again.
    retry_at_ms: Option<u64>,
    stopping: bool,
}

impl ShardCore {
    /// A shard that wants the partition, which was folded up to the given place.
    #[must_use]
    pub fn new(identity: ClaimIdentity, at: &Acceptor, bounds: Bounds) -> Self {
        Self {
            frames: Frames::new(identity, at),
            intake: Intake::new(at.partition, bounds),
            dispatch: Dispatch::new(bounds),
            timers: Timers::default(),
            latest: LatestTime::default(),
            retry_at_ms: None,
            stopping: false,
        }
    }

    /// Whether it decides.
    #[must_use]
    pub fn is_owning(&self) -> bool {
        matches!(self.frames.state(), ShardState::Owning(_)) && !self.stopping
    }

    /// Whether it decides, and nothing is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.is_owning() && self.frames.is_idle() && self.dispatch.is_idle()
    }

    /// This time stands in the partition already.
    pub fn note_time(&mut self, recorded: Timestamp) {
        self.latest.note(recorded);
    }

    /// The time for a decision, when the log's clock shows this.
    #[must_use]
    pub fn time(&self, log: Timestamp) -> Timestamp {
        self.latest.time(log)
    }

    /// Nothing is taken in any more; what was proposed is still recorded.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// Whether it was stopped, nothing of it is in the log or on its way there, and everybody knows
    /// what counts.
    #[must_use]
    pub fn has_stopped(&self) -> bool {
        self.stopping && self.frames.is_idle() && !self.dispatch.is_settling()
    }

    // What comes in.

    /// A direct ask. The ticket names it in the answer.
    ///
    /// # Errors
    /// When the partition is not owned, or too many wait for the aggregate.
    pub fn ask(&mut self, envelope: CommandEnvelope, now_ms: u64) -> Result<Ticket, AskError> {
        if !self.is_owning() {
            return Err(AskError::NotOwner { aggregate: envelope.aggregate.to_string() });
        }
        if !self.dispatch.has_room(&envelope.aggregate) {
            return Err(AskError::Busy { aggregate: envelope.aggregate.to_string() });
        }
        Ok(self.dispatch.take_in(envelope, AskSource::Direct, now_ms))
    }

    /// Follow-ups to this partition were folded. Whoever does not own it finds them in the inbox
    /// when it does.
    pub fn follow_ups(&mut self, commands: Vec<(FollowUpRef, CommandEnvelope)>, now_ms: u64) {
        if self.is_owning() {
            let taken = self.intake.follow_ups(commands);
            self.take_in(taken, now_ms);
        }
    }

    /// Takes in what waits in the inbox, as far as there is room.
    pub fn take_pending(&mut self, inbox: &Inbox, now_ms: u64) {
        if self.is_owning() {
            let taken = self.intake.pending(inbox);
            self.take_in(taken, now_ms);
        }
    }

    /// Whether there is room for more of the inbox, and more in it.
    #[must_use]
    pub fn wants_pending(&self) -> bool {
        self.is_owning() && self.intake.wants_pending()
    }

    /// From which offset on the command stream has to be read, the first time that this is asked.
    pub fn start_reading(&mut self, inbox: &Inbox) -> Option<u64> {
        self.intake.start_reading(inbox)
    }

    /// Whether the next entry of the command stream may be read.
    #[must_use]
    pub fn wants_submitted(&self) -> bool {
        !self.stopping && self.intake.wants_submitted()
    }

    /// The next entry of the command stream was read.
    ///
    /// # Errors
    /// When it is no command; it is passed over.
    pub fn submitted(
        &mut self,
        offset: u64,
        bytes: &[u8],
        inbox: &Inbox,
        now_ms: u64,
    ) -> Result<(), serde_json::Error> {
        // What is not taken in must not be passed either: the next owner reads it.
        if !self.stopping {
            let taken = self.intake.submitted(offset, bytes, inbox)?;
            self.take_in(taken, now_ms);
        }
        Ok(())
    }

    fn take_in(&mut self, taken: impl IntoIterator<Item = Taken>, now_ms: u64) {
        for (envelope, source) in taken {
            self.dispatch.take_in(envelope, source, now_ms);
        }
    }

    // What entities do.

    /// The aggregates that something can be done for.
    pub fn ready(&self) -> impl Iterator<Item = &AggregateId> {
        self.dispatch.ready().filter(|_| self.is_owning())
    }

    /// The first of them.
    #[must_use]
    pub fn first_ready(&self) -> Option<AggregateId> {
        self.ready().next().cloned()
    }

    /// Takes what waits first for an aggregate that is ready: its entity has to decide it.
    pub fn hand_out(&mut self, id: &AggregateId, now: Timestamp) -> Option<Vec<Request>> {
        match self.dispatch.hand_out(id, self.time(now))? {
            Handed::Decide(requests) => Some(requests),
            Handed::Record(proposal) => {
                self.frames.propose(proposal);
                None
            }
        }
    }

    /// An entity has decided what it was handed. Answers to whom no record is needed.
    #[must_use]
    pub fn proposed(&mut self, id: &AggregateId, proposed: Proposed) -> Vec<Answered> {
        if self.stopping {
            // As if it had never been decided: whoever owns the partition next does that.
            return vec![];
        }
        let (proposal, answers) = self.dispatch.proposed(id, proposed);
        if let Some(proposal) = proposal {
            self.frames.propose(proposal);
        }
        answers
    }

    /// An entity was told of what counts, and wants to be woken up then.
    pub fn settled(&mut self, id: &AggregateId, wake_up: Option<WakeUp>) {
        self.dispatch.settled(id);
        self.timers.set(id, wake_up);
    }

    /// An entity has ended before it was let go. Its effects have to be computed again. Answers to
    /// whom it ended over their command too often.
    #[must_use]
    pub fn entity_ended(&mut self, id: &AggregateId, wake_up: Option<WakeUp>) -> Vec<Answered> {
        self.timers.set(id, wake_up);
        self.dispatch.ended(id)
    }

    /// The entities that nobody needs at the moment. They end.
    pub fn let_go_idle(&mut self, now_ms: u64) -> Vec<AggregateId> {
        self.dispatch.let_go_idle(now_ms)
    }

    // What the clock does.

    /// After a take-over: what aggregates want to be woken up for.
    pub fn take_wake_ups(&mut self, all: impl IntoIterator<Item = (AggregateId, WakeUp)>) {
        self.timers.reset(all);
    }

    /// When the next aggregate wants to be woken up.
    #[must_use]
    pub fn next_wake_up(&self) -> Option<Timestamp> {
        self.timers.next().filter(|_| self.is_owning())
    }

    /// Asks what is due to be asked by the clock. `id` gives each command its name.
    pub fn wake(&mut self, now: Timestamp, now_ms: u64, mut id: impl FnMut() -> Uuid) {
        let now = self.time(now);
        while self.is_owning()
            && let Some((aggregate, command)) = self.timers.fire(now)
        {
            let principal = Principal::System;
            let origin = Origin { id: id(), principal, time: now, traceparent: None };
            let asked = envelope(aggregate.clone(), &command, &origin);
            let asked = asked.map_err(|error| AskError::Unreadable(error.to_string()));
            match asked.and_then(|envelope| self.ask(envelope, now_ms)) {
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%aggregate, %error, "a wake-up is put off");
                    self.timers.put_off(&aggregate, now);
                }
            }
        }
    }

    // What happens in the log.

    /// What to do next.
    pub fn next_step(&mut self, now: Timestamp, now_ms: u64) -> Step {
        if self.retry_at_ms.is_some_and(|at| now_ms < at) {
            return Step::Wait;
        }
        self.retry_at_ms = None;
        match self.frames.next(self.time(now)) {
            Next::Wait => Step::Wait,
            Next::Append(bytes) => Step::Append(bytes),
            Next::Abandon { aggregate, bytes } => {
                let (answers, left_out) = self.dispatch.too_large(&aggregate, bytes);
                if let Some(source) = left_out {
                    self.intake.forget(source);
                }
                Step::Answer(answers)
            }
        }
    }

    /// When there is something to do again after a failed append.
    #[must_use]
    pub fn retry_at_ms(&self) -> Option<u64> {
        self.retry_at_ms
    }

    /// The append of a record failed.
    pub fn append_failed(&mut self, bytes: &Bytes, failure: Failure, now_ms: u64) {
        self.frames.append_failed(bytes, failure);
        self.retry_at_ms = Some(now_ms + APPEND_RETRY_MS);
    }

    /// A record of this partition counts, ours or not. Called for every one, in order.
    pub fn accepted(&mut self, accepted: &Accepted, now_ms: u64) -> Told {
        self.latest.note_record(&accepted.record);
        let appended = self.frames.accepted(accepted);
        if let Some(before) = self.intake.decided(accepted) {
            self.frames.note_commands_before(before);
        }
        match appended {
            Appended::Owned(epoch) => Told::Owned(epoch),
            Appended::Counted(counted) => {
                let recorded = counted.into_iter().map(|one| self.recorded(one, now_ms));
                Told::Counted(recorded.collect())
            }
            Appended::Lost => Told::Lost,
            Appended::Other => Told::Other,
        }
    }

    fn recorded(&mut self, counted: Counted, now_ms: u64) -> Recorded {
        let Counted { aggregate, decisions, envelopes } = counted;
        let answers = self.dispatch.counted(&aggregate, decisions, &envelopes, now_ms);
        Recorded { aggregate, envelopes, answers }
    }

    /// A record of this partition was read back and does not count.
    pub fn rejected(&mut self, bytes: &[u8]) {
        self.frames.rejected(bytes);
    }
}
