//! The entity's mailbox. It decides what the shard hands it, and hears what counts; it asks nobody
//! for anything, so it never waits. It holds no address either: it ends when the shard lets go of
//! it.

use actix::prelude::*;
use domain::{Decider, Effect, WakeUp};
use events::{AggregateId, Envelope, Timestamp};

use super::core::{EntityCore, Proposed, Request};
use crate::fold::FoldHandle;

/// Has commands decided.
#[derive(Message)]
#[rtype(result = "Proposed")]
pub struct Decide {
    /// The commands.
    pub requests: Vec<Request>,
    /// The time that they are decided at.
    pub now: Timestamp,
}

/// Events of the entity's count.
#[derive(Message)]
#[rtype(result = "Settled")]
pub struct Settle(pub Vec<Envelope>);

/// What follows from events that count.
#[derive(Debug)]
pub struct Settled {
    /// What came with the message.
    pub envelopes: Vec<Envelope>,
    /// What to do, with the index of the event that causes it.
    pub effects: Vec<(usize, Effect)>,
    /// When the entity wants to be asked something, and what.
    pub wake_up: Option<WakeUp>,
}

/// One aggregate.
pub struct EntityActor<D: Decider> {
    core: EntityCore<D>,
    fold: FoldHandle,
}

impl<D: Decider> EntityActor<D> {
    /// An entity with the state that its first `sequence` events left.
    pub fn new(id: AggregateId, sequence: u64, state: D::State, fold: FoldHandle) -> Self {
        Self { core: EntityCore::new(id, sequence, state), fold }
    }
}

impl<D: Decider> Actor for EntityActor<D> {
    type Context = Context<Self>;
}

impl<D: Decider> Handler<Decide> for EntityActor<D> {
    type Result = MessageResult<Decide>;

    fn handle(
        &mut self,
        Decide { requests, now }: Decide,
        _ctx: &mut Context<Self>,
    ) -> Self::Result {
        let model = self.fold.model();
        MessageResult(self.core.propose(&requests, now, &model.view))
    }
}

impl<D: Decider> Handler<Settle> for EntityActor<D> {
    type Result = MessageResult<Settle>;

    fn handle(&mut self, Settle(envelopes): Settle, _ctx: &mut Context<Self>) -> Self::Result {
        let effects = self.core.accepted(&envelopes);
        MessageResult(Settled { envelopes, effects, wake_up: self.core.wake_up() })
    }
}
