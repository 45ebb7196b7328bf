//! The folder as the rest of a node sees it: the present, the rows, and what moves.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use actix::Addr;
use events::{AggregateId, Partition, Position};
use projections::{Model, Queries};
use tokio::sync::{broadcast, mpsc, watch};

use super::folder::Control;
use super::status::FoldStatus;
use crate::shard::ShardActor;

/// Something that counts was folded.
#[derive(Debug, Clone)]
pub struct Change {
    /// Where.
    pub position: Position,
    /// What moved.
    pub aggregates: Vec<AggregateId>,
    /// The trace context that aggregates were moved with.
    pub traceparents: BTreeMap<AggregateId, String>,
    /// Whether the fleet looks different to a scheduler.
    pub fleet_moved: bool,
}

/// A folder at work. Cheap to clone.
#[derive(Clone)]
pub struct FoldHandle {
    pub(super) model: Arc<RwLock<Model>>,
    pub(super) queries: Option<Arc<RwLock<Queries>>>,
    pub(super) control: mpsc::Sender<Control>,
    pub(super) changes: broadcast::Sender<Arc<Change>>,
    pub(super) status: watch::Receiver<FoldStatus>,
}

impl FoldHandle {
    /// The present. Folding waits while this is held: look, copy what is needed, let go.
    pub fn model(&self) -> RwLockReadGuard<'_, Model> {
        self.model.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows, for history. `None` when none are written. While they are built again this is the
    /// old ones, which do not grow any more.
    #[must_use]
    pub fn queries(&self) -> Option<Queries> {
        let queries = self.queries.as_ref()?.read().unwrap_or_else(PoisonError::into_inner);
        Some(queries.clone())
    }

    /// Tells about every change from now on. A listener that lags too far behind gets an error and
    /// has to look at everything again.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Arc<Change>> {
        self.changes.subscribe()
    }

    /// How reading is going.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<FoldStatus> {
        self.status.clone()
    }

    /// Lets a shard know what is folded of its partition from now on.
    pub async fn register(&self, partition: Partition, shard: Addr<ShardActor>) {
        let told = self.control.send(Control::Register { partition, shard }).await;
        if told.is_err() {
            tracing::warn!(%partition, "reading has stopped; the partition cannot be taken over");
        }
    }

    /// Forgets a shard.
    pub async fn unregister(&self, partition: Partition) {
        let told = self.control.send(Control::Unregister { partition }).await;
        if told.is_err() {
            tracing::debug!(%partition, "reading has stopped already");
        }
    }

    /// Waits until everything is folded that stood in the log when reading began.
    ///
    /// # Errors
    /// Why reading stopped before that.
    pub async fn caught_up(&self) -> Result<(), String> {
        let mut status = self.status.clone();
        let over = |status: &FoldStatus| status.stopped.is_some() || status.catching_up.is_none();
        match status.wait_for(over).await {
            Ok(status) => status.stopped.clone().map_or(Ok(()), Err),
            Err(_) => Err(ENDED.to_owned()),
        }
    }

    /// Waits until reading has stopped.
    pub async fn stopped(&self) {
        let mut status = self.status.clone();
        // An error: the folder is no more.
        drop(status.wait_for(|status| status.stopped.is_some()).await);
    }
}

/// Why reading is over when nobody has said another reason.
pub(super) const ENDED: &str = "reading the log has ended; restart this hub";
