//! How the rest of a hub asks for things, and where it looks.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use actix::Addr;
use actix::prelude::SendError;
use bytes::Bytes;
use domain::DomainCommand;
use event_log::{Log, LogError, Stream};
use events::{AggregateId, CommandEnvelope, Epoch, Partition, Principal};
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use super::{NodeStatus, Parts};
use crate::ask::{Answer, Ask, AskError, Origin, envelope};
use crate::concerns::Concerns;
use crate::effects::EffectSink;
use crate::fold::FoldHandle;
use crate::shard::{Route, ShardActor};
use crate::supervised::Supervisor;

/// Finds the owner of an aggregate on this node. Cheap to clone.
#[derive(Clone)]
pub struct Router {
    parts: Parts,
    shards: Arc<RwLock<BTreeMap<Partition, Addr<ShardActor>>>>,
}

impl Router {
    pub(super) fn new(parts: Parts) -> Self {
        Self { parts, shards: Arc::new(RwLock::new(BTreeMap::new())) }
    }

    pub(super) fn set_shard(&self, partition: Partition, shard: Option<Addr<ShardActor>>) {
        let mut shards = self.shards.write().unwrap_or_else(PoisonError::into_inner);
        match shard {
            Some(shard) => shards.insert(partition, shard),
            None => shards.remove(&partition),
        };
    }

    /// Asks the owner, which must be this node, and waits until the answer is durable.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn ask(
        &self,
        aggregate: AggregateId,
        command: DomainCommand,
        principal: Principal,
    ) -> Answer {
        let origin = Origin {
            id: Uuid::now_v7(),
            principal,
            time: self.parts.log.clock().now(),
            traceparent: crate::trace::current_traceparent(),
        };
        self.ask_as(aggregate, &command, &origin).await
    }

    /// Asks with an id and a time of the caller's.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn ask_as(
        &self,
        aggregate: AggregateId,
        command: &DomainCommand,
        origin: &Origin,
    ) -> Answer {
        let not_owner = || AskError::NotOwner { aggregate: aggregate.to_string() };
        let partition = self.parts.partition_of(&aggregate);
        let shard = {
            let shards = self.shards.read().unwrap_or_else(PoisonError::into_inner);
            shards.get(&partition).cloned().ok_or_else(not_owner)?
        };
        let envelope = envelope(aggregate.clone(), command, origin)
            .map_err(|error| AskError::Unreadable(error.to_string()))?;
        let (reply, answer) = oneshot::channel();
        let ask = Ask { envelope, reply };
        match shard.try_send(Route(ask)) {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(not_owner())),
            Err(SendError::Full(_)) => Err(AskError::Busy { aggregate: aggregate.to_string() }),
            Err(SendError::Closed(_)) => Err(not_owner()),
        }
    }

    /// Puts a command into the log, for whichever node owns the aggregate. Durable when it
    /// answers; the same id twice is decided once.
    ///
    /// # Errors
    /// When the log does not take it.
    pub async fn submit(&self, envelope: &CommandEnvelope) -> Result<(), LogError> {
        let partition = self.parts.partition_of(&envelope.aggregate);
        let bytes = serde_json::to_vec(envelope).expect("an envelope is plain data");
        self.parts.log.append(Stream::Commands(partition), Bytes::from(bytes)).await.map(drop)
    }

    /// Whether this node decides for the aggregate now.
    #[must_use]
    pub fn owns(&self, aggregate: &AggregateId) -> bool {
        self.parts.owning.borrow().contains_key(&self.parts.partition_of(aggregate))
    }

    /// Which partitions this node owns, now and from now on.
    #[must_use]
    pub fn owning(&self) -> watch::Receiver<BTreeMap<Partition, Epoch>> {
        self.parts.owning.clone()
    }

    /// The partition of an aggregate.
    #[must_use]
    pub fn partition_of(&self, aggregate: &AggregateId) -> Partition {
        self.parts.partition_of(aggregate)
    }

    /// What is folded.
    #[must_use]
    pub fn fold(&self) -> &FoldHandle {
        &self.parts.fold
    }

    /// The log, for content.
    #[must_use]
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.parts.log
    }

    /// Where effects are put: an observation may ask for one to be performed again.
    #[must_use]
    pub fn effects(&self) -> &EffectSink {
        &self.parts.effects
    }

    /// What is wrong with this node just now: to be raised and settled by whoever notices.
    #[must_use]
    pub fn concerns(&self) -> &Concerns {
        &self.parts.concerns
    }

    /// Who looks after the tasks of this node.
    #[must_use]
    pub fn supervisor(&self) -> &Supervisor {
        &self.parts.supervisor
    }

    /// Has this node let go of all partitions at once, for good: somebody else has its place.
    pub fn supersede(&self, reason: String) {
        tracing::error!("{reason}");
        self.parts.superseded.send_replace(Some(reason));
    }

    /// What this node shows of itself.
    #[must_use]
    pub fn status(&self) -> NodeStatus {
        let fold = self.parts.fold.status();
        let fold = fold.borrow();
        NodeStatus {
            watermark: fold.watermark.clone(),
            owning: self.parts.owning.borrow().clone(),
            effects: self.parts.effects.waiting(),
            catching_up: fold.catching_up.clone(),
            unread: fold.unread.clone(),
            projections: fold.projections.clone(),
            superseded: self.parts.superseded.borrow().clone(),
            stopped: fold.stopped.clone(),
        }
    }
}
