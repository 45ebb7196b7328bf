//! The shard's mailbox: routes commands to entities, appends frames, hears what was folded.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use bytes::Bytes;
use domain::Decider;
use domain::cluster::Cluster;
use domain::fleet::Fleet;
use domain::placement::Placement;
use event_log::{Accepted, Acceptor, Log, LogError, Stream};
use events::{AggregateId, CommandEnvelope, Envelope, Epoch, FollowUpRef, Partition, Timestamp};
use tokio::sync::{oneshot, watch};

use super::core::{Appended, ClaimIdentity, ShardCore, ShardState, Step};
use super::intake::Intake;
use crate::ask::{Ask, AskError};
use crate::effects::{EffectSink, after_take_over};
use crate::entity::{Deliver, EntityActor, Proposal};
use crate::fold::FoldHandle;

/// How many messages may wait for a shard. Commands beyond it are answered with *busy*; what the
/// folder tells waits in the folder. Twice as many would only wait longer for the same frames.
pub(super) const MAILBOX_MAX: usize = 4_096;

/// How long a shard waits before it appends again after a failure.
const APPEND_RETRY: Duration = Duration::from_millis(100);

/// How often idle entities are looked for.
const PASSIVATE_INTERVAL: Duration = Duration::from_secs(60);

/// After how long without a command an entity gives its memory back. Its state is in the model.
const IDLE_MAX: Duration = Duration::from_secs(120);

/// How often an entity may be started again within [`CRASH_WINDOW`] before its commands are
/// refused: it panics, and would go on doing so.
const CRASHES_MAX: usize = 3;

/// See [`CRASHES_MAX`].
const CRASH_WINDOW: Duration = Duration::from_secs(60);

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

/// The folder tells a new shard where the partition stands.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Start {
    /// What is folded so far.
    pub acceptor: Acceptor,
}

/// A record of the partition counts.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Folded {
    /// The record.
    pub accepted: Arc<Accepted>,
}

/// A record of the partition does not count.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Rejected {
    /// The record.
    pub bytes: Bytes,
}

/// Follow-ups for this partition were folded.
#[derive(Message)]
#[rtype(result = "()")]
pub struct InboxMoved {
    /// The commands, in order.
    pub commands: Vec<(FollowUpRef, CommandEnvelope)>,
}

/// A command for an entity of this partition.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Route(pub Ask);

/// An entity wants to record something.
#[derive(Message)]
#[rtype(result = "ProposalOutcome")]
pub struct Propose {
    /// What.
    pub proposal: Proposal,
}

/// What became of a proposal.
#[derive(Debug)]
pub enum ProposalOutcome {
    /// It counts; these are its events.
    Counted(Vec<Envelope>),
    /// It can never be recorded.
    Abandoned {
        /// How many bytes it would take.
        bytes: usize,
    },
    /// It did not happen: the partition is another node's.
    NotOwner,
}

/// Ends the shard: nothing new is taken in; what is in the log is waited for.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Stop;

#[derive(Message)]
#[rtype(result = "()")]
struct Flush;

#[derive(Message)]
#[rtype(result = "()")]
struct Submitted {
    offset: u64,
    bytes: Bytes,
}

/// An entity, whatever its kind.
struct EntityHandle {
    deliver: Recipient<Deliver>,
    passivate: Recipient<crate::entity::Passivate>,
    used: Instant,
}

/// One partition.
pub struct ShardActor {
    config: ShardConfig,
    core: Option<ShardCore>,
    entities: BTreeMap<AggregateId, EntityHandle>,
    crashes: BTreeMap<AggregateId, Vec<Instant>>,
    proposals: BTreeMap<u64, oneshot::Sender<ProposalOutcome>>,
    next_key: u64,
    intake: Intake,
    /// Durable commands whose entity was busy.
    backlog: VecDeque<Ask>,
    flush_is_due: bool,
    stopping: bool,
}

impl ShardActor {
    /// A shard that will claim its partition when the folder has told it where that stands.
    #[must_use]
    pub fn new(config: ShardConfig) -> Self {
        let intake = Intake::new(config.partition);
        Self {
            config,
            core: None,
            entities: BTreeMap::new(),
            crashes: BTreeMap::new(),
            proposals: BTreeMap::new(),
            next_key: 0,
            intake,
            backlog: VecDeque::new(),
            flush_is_due: false,
            stopping: false,
        }
    }

    fn flush_soon(&mut self, ctx: &mut Context<Self>) {
        if !self.flush_is_due {
            self.flush_is_due = true;
            ctx.notify(Flush);
        }
    }

    /// Does what the core wants next, until it wants to wait.
    fn advance(&mut self, ctx: &mut Context<Self>) {
        loop {
            let Some(core) = &mut self.core else { return };
            match core.next_step(Timestamp::now()) {
                Step::Wait => return,
                Step::Abandon { key, bytes } => {
                    self.resolve(key, ProposalOutcome::Abandoned { bytes });
                }
                Step::Append(bytes) => {
                    self.append(bytes, ctx);
                    return;
                }
            }
        }
    }

    fn append(&mut self, bytes: Bytes, ctx: &mut Context<Self>) {
        let log = self.config.log.clone();
        let stream = Stream::Events(self.config.partition);
        let appended = async move { log.append(stream, bytes).await };
        let done = appended.into_actor(self).map(|result, shard, ctx| {
            if let Err(error) = result {
                shard.append_failed(&error, ctx);
            }
        });
        ctx.spawn(done);
    }

    fn append_failed(&mut self, error: &LogError, ctx: &mut Context<Self>) {
        let partition = self.config.partition;
        tracing::warn!(%partition, %error, failure = ?error.failure(), "an append failed");
        if let Some(core) = &mut self.core {
            core.append_failed(error.failure());
        }
        ctx.run_later(APPEND_RETRY, Self::flush_soon_later);
    }

    fn flush_soon_later(&mut self, ctx: &mut Context<Self>) {
        self.flush_soon(ctx);
    }

    fn resolve(&mut self, key: u64, outcome: ProposalOutcome) {
        if let Some(reply) = self.proposals.remove(&key) {
            // The entity may have ended.
            drop(reply.send(outcome));
        }
    }

    fn owned(&mut self, epoch: Epoch, ctx: &mut Context<Self>) {
        let partition = self.config.partition;
        tracing::debug!(%partition, %epoch, "owns the partition");
        self.config.owning.send_modify(|owning| {
            owning.insert(partition, epoch);
        });
        let (pending, from) = {
            let model = self.config.fold.model();
            (self.intake.owned(&model.inbox), self.intake.start_reading(&model.inbox))
        };
        if !self.stopping {
            pending.into_iter().for_each(|ask| self.dispatch(ask, ctx));
        }
        if let Some(from) = from {
            self.follow_commands(from, ctx);
        }
        self.compute_effects();
    }

    /// After a take-over the effects that are still to be performed are computed again.
    fn compute_effects(&self) {
        let fold = self.config.fold.clone();
        let model = fold.model();
        for (id, effect) in after_take_over(&model, self.config.partition, self.config.partitions) {
            self.config.effects.send(&id, effect, None);
        }
    }

    fn lost(&mut self, keys: Vec<u64>, ctx: &mut Context<Self>) {
        let partition = self.config.partition;
        tracing::info!(%partition, "another hub owns the partition now");
        for key in keys {
            self.resolve(key, ProposalOutcome::NotOwner);
        }
        ctx.stop();
    }

    fn is_owning(&self) -> bool {
        let state = self.core.as_ref().map(ShardCore::state);
        matches!(state, Some(ShardState::Owning(_))) && !self.stopping
    }

    /// Reads the partition's command stream from now on.
    fn follow_commands(&mut self, from: u64, ctx: &mut Context<Self>) {
        let log = self.config.log.clone();
        let stream = Stream::Commands(self.config.partition);
        let shard = ctx.address().downgrade();
        actix::spawn(async move {
            let mut from = from;
            loop {
                let Some(shard) = shard.upgrade() else { return };
                if let Ok(mut reader) = log.read(stream, from).await {
                    while let Some(Ok(record)) = reader.next().await {
                        from = record.offset + 1;
                        let told = Submitted { offset: record.offset, bytes: record.bytes };
                        if shard.send(told).await.is_err() {
                            return;
                        }
                    }
                }
                tokio::time::sleep(APPEND_RETRY).await;
            }
        });
    }

    /// Hands a command to its entity, which is started if need be.
    fn dispatch(&mut self, ask: Ask, ctx: &mut Context<Self>) {
        let id = ask.envelope.aggregate.clone();
        let handle = match self.entity(&id, ctx) {
            Ok(handle) => handle,
            Err(error) => return refuse(ask, error),
        };
        handle.used = Instant::now();
        match handle.deliver.try_send(Deliver(ask)) {
            Ok(()) => {}
            Err(SendError::Full(Deliver(ask))) => self.busy(ask, &id),
            Err(SendError::Closed(Deliver(ask))) => {
                self.entity_ended(&id);
                if self.core.as_ref().is_some_and(ShardCore::is_idle) {
                    self.dispatch(ask, ctx);
                } else {
                    // What is in the log may be its own: only a new claim tells what counts.
                    refuse(ask, AskError::NotOwner { aggregate: id.to_string() });
                    ctx.stop();
                }
            }
        }
    }

    /// A handler panicked. The entity is started again from its state, a few times.
    fn entity_ended(&mut self, id: &AggregateId) {
        tracing::error!(aggregate = %id, "an entity ended unexpectedly; it is started again");
        self.entities.remove(id);
        self.crashes.entry(id.clone()).or_default().push(Instant::now());
    }

    fn busy(&mut self, ask: Ask, id: &AggregateId) {
        if ask.source.is_durable() {
            self.backlog.push_back(ask);
        } else {
            refuse(ask, AskError::Busy { aggregate: id.to_string() });
        }
    }

    fn entity(
        &mut self,
        id: &AggregateId,
        ctx: &mut Context<Self>,
    ) -> Result<&mut EntityHandle, AskError> {
        if !self.entities.contains_key(id) {
            let crashes = self.crashes.entry(id.clone()).or_default();
            crashes.retain(|at| at.elapsed() < CRASH_WINDOW);
            if crashes.len() >= CRASHES_MAX {
                let message = format!("{id} failed {CRASHES_MAX} times in a row; see the log");
                return Err(AskError::Refused(message));
            }
            let handle = self.spawn(id, ctx);
            self.entities.insert(id.clone(), handle);
        }
        Ok(self.entities.get_mut(id).expect("it was just put there"))
    }

    fn spawn(&self, id: &AggregateId, ctx: &mut Context<Self>) -> EntityHandle {
        let fold = self.config.fold.clone();
        let model = fold.model();
        match id {
            AggregateId::Cluster(name) => {
                let known = model.clusters.get(name);
                let (sequence, state) =
                    known.map(|known| (known.sequence, known.state.clone())).unwrap_or_default();
                self.spawn_entity::<Cluster>(id, sequence, state, ctx)
            }
            AggregateId::Placement(key) => {
                let known = model.placements.get(key);
                let (sequence, state) =
                    known.map(|known| (known.sequence, known.state.clone())).unwrap_or_default();
                self.spawn_entity::<Placement>(id, sequence, state, ctx)
            }
            AggregateId::Fleet => {
                let (sequence, state) = (model.fleet.sequence, model.fleet.state.clone());
                self.spawn_entity::<Fleet>(id, sequence, state, ctx)
            }
        }
    }

    fn spawn_entity<D: Decider>(
        &self,
        id: &AggregateId,
        sequence: u64,
        state: D::State,
        ctx: &mut Context<Self>,
    ) -> EntityHandle {
        let (fold, effects) = (self.config.fold.clone(), self.config.effects.clone());
        let entity =
            EntityActor::<D>::new(id.clone(), sequence, state, ctx.address(), fold, effects);
        let address = entity.start();
        EntityHandle {
            deliver: address.clone().recipient(),
            passivate: address.recipient(),
            used: Instant::now(),
        }
    }

    /// Tries what had to wait for a busy entity.
    fn drain_backlog(&mut self, ctx: &mut Context<Self>) {
        for ask in std::mem::take(&mut self.backlog) {
            self.dispatch(ask, ctx);
        }
    }

    fn passivate_idle(&mut self, ctx: &mut Context<Self>) {
        let idle: Vec<AggregateId> = self
            .entities
            .iter()
            .filter(|(_, handle)| handle.used.elapsed() > IDLE_MAX)
            .map(|(id, _)| id.clone())
            .collect();
        for id in idle {
            let Some(handle) = self.entities.get(&id) else { continue };
            let asked = handle.passivate.send(crate::entity::Passivate);
            let done = asked.into_actor(self).map(move |ended, shard, _| {
                if matches!(ended, Ok(true)) {
                    shard.entities.remove(&id);
                }
            });
            // Nothing may be given to the entity between its yes and its end.
            ctx.wait(done);
        }
    }
}

fn refuse(ask: Ask, error: AskError) {
    tracing::warn!(aggregate = %ask.envelope.aggregate, command = ask.envelope.kind, %error,
        "a command is refused");
    if let Some(reply) = ask.reply {
        drop(reply.send(Err(error)));
    }
}

impl Actor for ShardActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX_MAX);
        ctx.run_interval(PASSIVATE_INTERVAL, Self::passivate_idle);
    }

    fn stopped(&mut self, _ctx: &mut Context<Self>) {
        let partition = self.config.partition;
        self.config.owning.send_modify(|owning| {
            owning.remove(&partition);
        });
        for (_, reply) in std::mem::take(&mut self.proposals) {
            drop(reply.send(ProposalOutcome::NotOwner));
        }
    }
}

impl Handler<Start> for ShardActor {
    type Result = ();

    fn handle(&mut self, Start { acceptor }: Start, ctx: &mut Context<Self>) {
        self.core = Some(ShardCore::new(
            self.config.partition,
            self.config.identity.clone(),
            acceptor.epoch,
            acceptor.last,
            acceptor.hash,
        ));
        self.advance(ctx);
    }
}

impl Handler<Folded> for ShardActor {
    type Result = ();

    fn handle(&mut self, Folded { accepted }: Folded, ctx: &mut Context<Self>) {
        let Some(core) = &mut self.core else { return };
        let appended = core.accepted(&accepted);
        if let Some(before) = self.intake.decided(&accepted) {
            core.note_commands_before(before);
        }
        match appended {
            Appended::Owned(epoch) => self.owned(epoch, ctx),
            Appended::Counted(counted) => {
                for (key, envelopes) in counted {
                    self.resolve(key, ProposalOutcome::Counted(envelopes));
                }
                self.drain_backlog(ctx);
            }
            Appended::Lost(keys) => return self.lost(keys, ctx),
            Appended::Other => {}
        }
        if self.stopping && self.core.as_ref().is_some_and(ShardCore::is_idle) {
            return ctx.stop();
        }
        self.flush_soon(ctx);
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

    fn handle(&mut self, moved: InboxMoved, ctx: &mut Context<Self>) {
        if self.is_owning() {
            let asks = self.intake.follow_ups(moved.commands);
            asks.into_iter().for_each(|ask| self.dispatch(ask, ctx));
        }
    }
}

impl Handler<Submitted> for ShardActor {
    type Result = ();

    fn handle(&mut self, submitted: Submitted, ctx: &mut Context<Self>) {
        let Submitted { offset, bytes } = submitted;
        let taken = {
            let model = self.config.fold.model();
            self.intake.submitted(offset, &bytes, &model.inbox)
        };
        match taken {
            Ok(ask) => ask.into_iter().for_each(|ask| self.dispatch(ask, ctx)),
            Err(error) => {
                let partition = self.config.partition;
                tracing::warn!(%partition, offset, %error, "a submitted command is unreadable");
            }
        }
    }
}

impl Handler<Route> for ShardActor {
    type Result = ();

    fn handle(&mut self, Route(ask): Route, ctx: &mut Context<Self>) {
        if self.is_owning() {
            self.dispatch(ask, ctx);
        } else {
            let aggregate = ask.envelope.aggregate.to_string();
            refuse(ask, AskError::NotOwner { aggregate });
        }
    }
}

impl Handler<Propose> for ShardActor {
    type Result = ResponseFuture<ProposalOutcome>;

    fn handle(&mut self, propose: Propose, ctx: &mut Context<Self>) -> Self::Result {
        let (reply, outcome) = oneshot::channel();
        self.next_key += 1;
        let key = self.next_key;
        if let Some(core) = &mut self.core {
            core.propose(key, propose.proposal);
            self.proposals.insert(key, reply);
        }
        self.flush_soon(ctx);
        Box::pin(async move { outcome.await.unwrap_or(ProposalOutcome::NotOwner) })
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
        self.stopping = true;
        if self.core.as_ref().is_none_or(ShardCore::is_idle) {
            ctx.stop();
        }
    }
}
