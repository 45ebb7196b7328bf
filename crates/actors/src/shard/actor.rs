//! The shard's mailbox: carries what one core says to the next, appends, keeps the time and those
//! who wait for answers.
//!
//! It never waits within a handler: whatever takes time is spawned, so that the folder and the
//! entities always find somebody who listens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;
use domain::WakeUp;
use event_log::{Log, Stream};
use events::{AggregateId, Epoch, Partition, Timestamp};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tracing::Span;
use uuid::Uuid;

use super::bounds::Bounds;
use super::commands;
use super::core::{Recorded, ShardCore, Step, Told};
use super::dispatch::Answered;
use super::entities::Entities;
use super::frames::ClaimIdentity;
use super::messages::{Flush, Folded, InboxMoved, Rejected, Route, Start, Stop, Submitted};
use super::timers::{wake_up_of, wake_ups};
use crate::ask::{Answer, AskError};
use crate::effects::{EffectSink, after_take_over, effects_of};
use crate::entity::{Decide, Proposed, Settle, Settled, Ticket};
use crate::fold::FoldHandle;
use crate::trace::adopted;

/// How many messages may wait for a shard. Commands beyond it are answered with *busy*; what the
/// folder tells waits in the folder. Twice as many would only wait longer for the same frames.
const MAILBOX_MAX: usize = 4_096;

/// How often idle entities are looked for.
const IDLE_INTERVAL: Duration = Duration::from_secs(60);

/// How long a shard sleeps at most when something is due at some time of day: clocks are set.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// How long a shard that is to stop waits for what is in the log, before it leaves that to the next
/// owner. Whoever stops it waits a second longer.
const STOP_MAX: Duration = Duration::from_secs(4);

/// What a shard needs.
#[derive(Clone)]
pub struct ShardConfig {
    /// Its partition.
    pub partition: Partition,
    /// Who claims.
    pub identity: ClaimIdentity,
    /// The log.
    pub log: Arc<dyn Log>,
    /// How many partitions there are.
    pub partitions: u16,
    /// What is folded.
    pub fold: FoldHandle,
    /// Where effects go.
    pub effects: EffectSink,
    /// Where it tells whether it owns the partition.
    pub owning: watch::Sender<BTreeMap<Partition, Epoch>>,
}

/// One partition.
pub struct ShardActor {
    config: ShardConfig,
    core: Option<ShardCore>,
    entities: Entities,
    /// Who waits for an answer.
    replies: BTreeMap<Ticket, oneshot::Sender<Answer>>,
    /// For each aggregate, the spans of what is on its way into the log.
    appending: BTreeMap<AggregateId, Vec<Span>>,
    /// Set while the reader of the command stream waits for room.
    room: Option<oneshot::Sender<()>>,
    /// The epoch in which the partition is owned.
    epoch: Option<Epoch>,
    started: Instant,
    alarm: Option<(Instant, SpawnHandle)>,
    flush_is_due: bool,
}

impl ShardActor {
    /// A shard that will claim its partition when the folder has told it where that stands.
    #[must_use]
    pub fn new(config: ShardConfig) -> Self {
        Self {
            config,
            core: None,
            entities: Entities::default(),
            replies: BTreeMap::new(),
            appending: BTreeMap::new(),
            room: None,
            epoch: None,
            started: Instant::now(),
            alarm: None,
            flush_is_due: false,
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// What the log's clock shows.
    fn now(&self) -> Timestamp {
        self.config.log.clock().now()
    }

    fn flush_soon(&mut self, ctx: &mut Context<Self>) {
        if !self.flush_is_due {
            self.flush_is_due = true;
            ctx.notify(Flush);
        }
    }

    /// Does what the core wants next, until it wants to wait.
    fn advance(&mut self, ctx: &mut Context<Self>) {
        let (now, now_ms) = (self.now(), self.now_ms());
        if let Some(core) = &mut self.core {
            core.wake(now, now_ms, Uuid::now_v7);
        }
        loop {
            self.hand_out(ctx);
            let Some(core) = &mut self.core else { return };
            match core.next_step(now, now_ms) {
                Step::Wait => break,
                Step::Append(bytes) => self.append(bytes, ctx),
                Step::Answer(answers) => self.answer(answers),
            }
        }
        self.set_alarm(ctx);
    }

    /// Hands every aggregate that is ready what waits for it.
    fn hand_out(&mut self, ctx: &mut Context<Self>) {
        let now = self.now();
        while let Some(core) = &mut self.core {
            let Some(id) = core.first_ready() else { return };
            if let Some(requests) = core.hand_out(&id, now) {
                let decide = Decide { requests, now: core.time(now) };
                self.decide(id, decide, ctx);
            }
        }
    }

    fn decide(&mut self, id: AggregateId, decide: Decide, ctx: &mut Context<Self>) {
        let entity = self.entities.get_or_start(&id, &self.config.fold);
        let number = entity.number;
        let decided = entity.decide.send(decide);
        let done = decided.into_actor(self).map(move |proposed, shard, ctx| {
            if shard.is_current(&id, number) {
                match proposed {
                    Ok(proposed) => shard.proposed(&id, proposed),
                    Err(_) => shard.entity_ended(&id),
                }
                shard.flush_soon(ctx);
            }
        });
        ctx.spawn(done);
    }

    /// Whether it is still this entity that stands for the aggregate.
    fn is_current(&self, id: &AggregateId, number: u64) -> bool {
        self.entities.get(id).is_some_and(|entity| entity.number == number)
    }

    fn proposed(&mut self, id: &AggregateId, proposed: Proposed) {
        let spans = append_spans(&proposed);
        if !spans.is_empty() {
            self.appending.insert(id.clone(), spans);
        }
        if let Some(core) = &mut self.core {
            let answers = core.proposed(id, proposed);
            self.answer(answers);
        }
    }

    /// Something failed in an entity. It is started again from its state when it is needed.
    fn entity_ended(&mut self, id: &AggregateId) {
        tracing::error!(aggregate = %id, "an entity ended unexpectedly; it is started again");
        self.entities.remove(id);
        let wake_up = self.compute_again(id);
        if let Some(core) = &mut self.core {
            let answers = core.entity_ended(id, wake_up);
            self.answer(answers);
        }
    }

    /// What an aggregate wants to be done, by its state alone: its entity cannot tell.
    fn compute_again(&self, id: &AggregateId) -> Option<WakeUp> {
        let model = self.config.fold.model();
        for effect in effects_of(&model, id) {
            self.config.effects.send(id, effect, None);
        }
        wake_up_of(&model, id)
    }

    fn append(&mut self, bytes: Bytes, ctx: &mut Context<Self>) {
        let (log, stream) = (self.config.log.clone(), Stream::Events(self.config.partition));
        let record = bytes.clone();
        let appended = async move { log.append(stream, record).await };
        let done = appended.into_actor(self).map(move |result, shard, ctx| {
            let Err(error) = result else { return };
            let partition = shard.config.partition;
            tracing::warn!(%partition, %error, failure = ?error.failure(), "an append failed");
            let now_ms = shard.now_ms();
            if let Some(core) = &mut shard.core {
                core.append_failed(&bytes, error.failure(), now_ms);
            }
            shard.flush_soon(ctx);
        });
        ctx.spawn(done);
    }

    fn answer(&mut self, answers: Vec<Answered>) {
        for (ticket, answer) in answers {
            if let Some(reply) = self.replies.remove(&ticket) {
                // Whoever asked may have gone.
                drop(reply.send(answer));
            }
        }
    }

    fn owned(&mut self, epoch: Epoch, ctx: &mut Context<Self>) {
        let ShardConfig { partition, partitions, .. } = self.config;
        tracing::debug!(%partition, %epoch, "owns the partition");
        self.epoch = Some(epoch);
        self.config.owning.send_modify(|owning| {
            owning.insert(partition, epoch);
        });
        let now_ms = self.now_ms();
        let Some(core) = &mut self.core else { return };
        let (from, effects) = {
            let model = self.config.fold.model();
            core.take_pending(&model.inbox, now_ms);
            core.take_wake_ups(wake_ups(&model, partition, partitions));
            (core.start_reading(&model.inbox), after_take_over(&model, partition, partitions))
        };
        for (id, effect) in effects {
            self.config.effects.send(&id, effect, None);
        }
        if let Some(from) = from {
            let shard = ctx.address().downgrade();
            let reading = commands::follow(self.config.log.clone(), partition, from, shard);
            ctx.spawn(reading.into_actor(self));
        }
    }

    /// Decisions count. Their effects are known before anybody is answered.
    fn counted(&mut self, recorded: Recorded, ctx: &mut Context<Self>) {
        let Recorded { aggregate, envelopes, answers } = recorded;
        drop(self.appending.remove(&aggregate));
        let Some(entity) = self.entities.get(&aggregate) else {
            let wake_up = self.compute_again(&aggregate);
            if let Some(core) = &mut self.core {
                core.settled(&aggregate, wake_up);
            }
            return self.answer(answers);
        };
        let number = entity.number;
        let settled = entity.settle.send(Settle(envelopes));
        let done = settled.into_actor(self).map(move |settled, shard, ctx| {
            if shard.is_current(&aggregate, number) {
                match settled {
                    Ok(settled) => shard.settled(&aggregate, settled),
                    Err(_) => shard.entity_ended(&aggregate),
                }
            }
            shard.answer(answers);
            shard.stop_or_go_on(ctx);
        });
        ctx.spawn(done);
    }

    /// Ends if it was told to and nothing is under way.
    fn stop_or_go_on(&mut self, ctx: &mut Context<Self>) {
        match self.core.as_ref().is_none_or(ShardCore::has_stopped) {
            true => ctx.stop(),
            false => self.flush_soon(ctx),
        }
    }

    fn settled(&mut self, id: &AggregateId, settled: Settled) {
        for (index, effect) in settled.effects {
            let traceparent = settled.envelopes[index].traceparent.as_deref();
            self.config.effects.send(id, effect, traceparent);
        }
        if let Some(core) = &mut self.core {
            core.settled(id, settled.wake_up);
        }
    }

    /// What there is room for now.
    fn fill_up(&mut self) {
        let now_ms = self.now_ms();
        let Some(core) = &mut self.core else { return };
        if core.wants_pending() {
            core.take_pending(&self.config.fold.model().inbox, now_ms);
        }
        if core.wants_submitted()
            && let Some(room) = self.room.take()
        {
            room.send(()).unwrap_or_else(|()| tracing::debug!("the command stream is not read"));
        }
    }

    /// Sleeps until the core has something to do by the clock.
    fn set_alarm(&mut self, ctx: &mut Context<Self>) {
        let Some(core) = &self.core else { return };
        let now = core.time(self.now());
        let wake_up = core.next_wake_up().map(|at| {
            let wait = at.duration_since(now);
            Duration::try_from(wait).unwrap_or(Duration::ZERO).min(SLEEP_MAX)
        });
        let now_ms = self.now_ms();
        let retry = core.retry_at_ms().map(|at| Duration::from_millis(at.saturating_sub(now_ms)));
        let Some(wait) = wake_up.into_iter().chain(retry).min() else { return };
        let (now, at) = (Instant::now(), Instant::now() + wait);
        if self.alarm.is_some_and(|(set, _)| now < set && set <= at) {
            return;
        }
        if let Some((_, alarm)) = self.alarm.take() {
            ctx.cancel_future(alarm);
        }
        let alarm = ctx.run_later(wait, |shard, ctx| {
            shard.alarm = None;
            shard.flush_soon(ctx);
        });
        self.alarm = Some((at, alarm));
    }

    fn let_go_idle(&mut self, _ctx: &mut Context<Self>) {
        let now_ms = self.now_ms();
        let idle = self.core.as_mut().map(|core| core.let_go_idle(now_ms)).unwrap_or_default();
        for id in idle {
            self.entities.remove(&id);
        }
    }
}

/// A span for each decision, from here until it is read back.
fn append_spans(proposed: &Proposed) -> Vec<Span> {
    let Some(proposal) = &proposed.proposal else { return vec![] };
    let recorded = proposal.decisions.iter().filter(|decision| !decision.events.is_empty());
    recorded
        .map(|decision| {
            let (aggregate, events) = (&proposal.aggregate, decision.events.len());
            let span = tracing::debug_span!("append", %aggregate, events);
            adopted(span, decision.command.traceparent.as_deref())
        })
        .collect()
}

impl Actor for ShardActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX_MAX);
        ctx.run_interval(IDLE_INTERVAL, Self::let_go_idle);
    }
}

/// However it ends, it owns nothing any more. Those who wait hear that by their dropped replies.
impl Drop for ShardActor {
    fn drop(&mut self) {
        let partition = self.config.partition;
        self.config.owning.send_if_modified(|owning| {
            let is_ours = owning.get(&partition).copied() == self.epoch && self.epoch.is_some();
            is_ours && owning.remove(&partition).is_some()
        });
    }
}

impl Handler<Start> for ShardActor {
    type Result = ();

    fn handle(&mut self, Start { acceptor }: Start, ctx: &mut Context<Self>) {
        let identity = self.config.identity.clone();
        let mut core = ShardCore::new(identity, &acceptor, Bounds::default());
        core.note_time(self.config.fold.model().checkpoint(self.config.partition).time);
        self.core = Some(core);
        self.advance(ctx);
    }
}

impl Handler<Folded> for ShardActor {
    type Result = ();

    fn handle(&mut self, Folded { accepted }: Folded, ctx: &mut Context<Self>) {
        let now_ms = self.now_ms();
        let Some(core) = &mut self.core else { return };
        match core.accepted(&accepted, now_ms) {
            Told::Owned(epoch) => self.owned(epoch, ctx),
            Told::Counted(recorded) => {
                recorded.into_iter().for_each(|one| self.counted(one, ctx));
                self.fill_up();
            }
            Told::Lost => {
                let partition = self.config.partition;
                tracing::info!(%partition, "the partition is not owned any more");
                return ctx.stop();
            }
            Told::Other => {}
        }
        self.stop_or_go_on(ctx);
    }
}

impl Handler<Rejected> for ShardActor {
    type Result = ();

    fn handle(&mut self, Rejected { bytes }: Rejected, ctx: &mut Context<Self>) {
        if let Some(core) = &mut self.core {
            core.rejected(&bytes);
        }
        self.flush_soon(ctx);
    }
}

impl Handler<InboxMoved> for ShardActor {
    type Result = ();

    fn handle(&mut self, InboxMoved { commands }: InboxMoved, ctx: &mut Context<Self>) {
        let now_ms = self.now_ms();
        if let Some(core) = &mut self.core {
            core.follow_ups(commands, now_ms);
        }
        self.flush_soon(ctx);
    }
}

impl Handler<Submitted> for ShardActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, submitted: Submitted, ctx: &mut Context<Self>) -> Self::Result {
        let Submitted { offset, bytes } = submitted;
        let now_ms = self.now_ms();
        let (room, is_given) = oneshot::channel();
        if let Some(core) = &mut self.core {
            let inbox = &self.config.fold.model().inbox;
            if let Err(error) = core.submitted(offset, &bytes, inbox, now_ms) {
                let partition = self.config.partition;
                tracing::warn!(%partition, offset, %error, "a submitted command is unreadable");
            }
            self.room = Some(room);
        }
        self.fill_up();
        self.flush_soon(ctx);
        Box::pin(async move {
            // When the shard ends, so does the reader.
            is_given.await.unwrap_or_default();
        })
    }
}

impl Handler<Route> for ShardActor {
    type Result = ();

    fn handle(&mut self, Route(ask): Route, ctx: &mut Context<Self>) {
        let now_ms = self.now_ms();
        let (aggregate, kind) = (ask.envelope.aggregate.clone(), ask.envelope.kind.clone());
        let asked = match &mut self.core {
            Some(core) => core.ask(ask.envelope, now_ms),
            None => Err(AskError::NotOwner { aggregate: aggregate.to_string() }),
        };
        match asked {
            Ok(ticket) => {
                self.replies.insert(ticket, ask.reply);
                self.flush_soon(ctx);
            }
            Err(error) => {
                tracing::warn!(%aggregate, command = kind, %error, "a command is refused");
                drop(ask.reply.send(Err(error)));
            }
        }
    }
}

impl Handler<Flush> for ShardActor {
    type Result = ();

    fn handle(&mut self, _: Flush, ctx: &mut Context<Self>) {
        self.flush_is_due = false;
        self.advance(ctx);
    }
}

impl Handler<Stop> for ShardActor {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        if let Some(core) = &mut self.core {
            core.stop();
        }
        self.stop_or_go_on(ctx);
        let partition = self.config.partition;
        ctx.run_later(STOP_MAX, move |_, ctx| {
            tracing::warn!(%partition, "what is in the log is left to the next owner");
            ctx.stop();
        });
    }
}
