//! Building the projections again while the node goes on deciding.
//!
//! ```text
//!  folder     ──step──step──step──┬──step──step──►  the present, as always
//!                                 │ hand-over: from here on steps wait for the disk again
//!  rebuild    0 ──────────────────┴ writes up to here, then what waits
//! ```
//!
//! The log is read from its start into a model and rows of their own. When they are nearly where
//! the folder is, the folder is asked to queue what it folds from now on and to say where that
//! begins; what is missing up to there is read, and then the queue is written. Rows are a function
//! of how far each partition was folded, in whatever order, so both fit together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use event_log::{Accepted, Acceptor, Log, LogError, Reader, Stream};
use events::{AggregateId, Partition};
use projections::{Model, Queries, Store, StoreError};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use super::FoldStatus;
use super::core::{Fold, FoldCore, FoldError, apply};
use super::folder::Control;
use super::writer::{Queue, STEPS_PER_BATCH_MAX, StepToWrite, Waiting, chain, write_batch};

/// How long to wait before the rows are built again, at first and at most. A disk that is full gets
/// room when somebody makes it.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// From how few records on the folder is asked to hand over: what it folds while these are read
/// waits in memory.
const RECORDS_BEHIND_MAX: usize = 2_048;

/// After how many rounds it is asked at the latest: a log that grows faster than it is read again
/// has to wait for it.
const ROUNDS_MAX: usize = 10;

/// How many records of a partition are read before the next one's turn: partitions that are read
/// evenly keep the inbox small.
const RECORDS_PER_TURN_MAX: usize = 64;

/// What a rebuild works with.
pub(super) struct Rebuilding {
    pub(super) log: Arc<dyn Log>,
    pub(super) partitions: u16,
    pub(super) runtime: Handle,
    /// The folder; gone when that is.
    pub(super) folder: mpsc::WeakSender<Control>,
    pub(super) queries: Arc<RwLock<Queries>>,
    /// Closed when the folder ends.
    pub(super) alive: watch::Receiver<()>,
}

/// What there is to go on with.
pub(super) struct Rebuilt {
    pub(super) waiting: Waiting,
    pub(super) dirty: BTreeSet<AggregateId>,
}

#[derive(Debug, thiserror::Error)]
enum RebuildError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Fold(#[from] FoldError),
    #[error("the partition {0} ended before the place that was folded")]
    Ended(Partition),
    #[error("reading has ended")]
    FolderGone,
}

impl Rebuilding {
    /// Builds the rows again, as often as it takes. `store` is the new one then. `None` when the
    /// folder has ended.
    pub(super) fn run(
        &mut self,
        store: &mut Store,
        reason: &str,
        status: &watch::Sender<FoldStatus>,
    ) -> Option<Rebuilt> {
        let mut alive = self.alive.clone();
        let runtime = self.runtime.clone();
        runtime.block_on(async {
            tokio::select! {
                rebuilt = self.rebuild(store, reason, status) => Some(rebuilt),
                _ = alive.changed() => None,
            }
        })
    }

    async fn rebuild(
        &mut self,
        store: &mut Store,
        reason: &str,
        status: &watch::Sender<FoldStatus>,
    ) -> Rebuilt {
        let dir = store.dir().display().to_string();
        let mut reason = reason.to_owned();
        let mut wait = RETRY_MIN;
        loop {
            let trouble = format!(
                "the projections in {dir} could not be written ({reason}); they are built again \
                 from the log; if this stays, look for room on the disk and at the owner of {dir}"
            );
            status.send_modify(|status| status.projections = Some(trouble));
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY_MAX);
            match self.attempt(store, &reason).await {
                Ok(rebuilt) => {
                    status.send_modify(|status| status.projections = None);
                    return rebuilt;
                }
                Err(error) => {
                    reason = chain(&error);
                    tracing::warn!(%dir, %reason, "the projections are built again later");
                }
            }
        }
    }

    async fn attempt(&self, store: &mut Store, reason: &str) -> Result<Rebuilt, RebuildError> {
        let opened = store.start_over(reason)?;
        let core = FoldCore::resume(&opened.model, self.partitions);
        let (model, readers) = (opened.model, BTreeMap::new());
        *store = opened.store;
        let mut anew = Anew { core, model, store, readers, batch: vec![], dirty: BTreeSet::new() };
        for _ in 0..ROUNDS_MAX {
            let places = self.ask(|reply| Control::Places { reply }).await?;
            if anew.read_up_to(&*self.log, &places).await? <= RECORDS_BEHIND_MAX {
                break;
            }
        }
        let (queue, waiting) = Queue::new();
        let places = self.ask(|reply| Control::GoOnWriting { queue, reply }).await?;
        anew.read_up_to(&*self.log, &places).await?;
        let dirty = anew.dirty;
        *self.queries.write().unwrap_or_else(PoisonError::into_inner) = store.queries();
        Ok(Rebuilt { waiting, dirty })
    }

    /// Asks the folder something.
    async fn ask<T>(
        &self,
        what: impl FnOnce(oneshot::Sender<T>) -> Control,
    ) -> Result<T, RebuildError> {
        let (reply, answer) = oneshot::channel();
        let folder = self.folder.upgrade().ok_or(RebuildError::FolderGone)?;
        folder.send(what(reply)).await.map_err(|_| RebuildError::FolderGone)?;
        drop(folder);
        answer.await.map_err(|_| RebuildError::FolderGone)
    }
}

/// The rows on their way.
struct Anew<'a> {
    core: FoldCore,
    model: Model,
    store: &'a mut Store,
    readers: BTreeMap<Partition, Reader>,
    batch: Vec<StepToWrite>,
    dirty: BTreeSet<AggregateId>,
}

impl Anew<'_> {
    /// Folds and writes up to the given places, exactly. Says how many records that were.
    async fn read_up_to(
        &mut self,
        log: &dyn Log,
        places: &[Acceptor],
    ) -> Result<usize, RebuildError> {
        let mut count = 0;
        let mut behind: Vec<&Acceptor> = places.iter().collect();
        while !behind.is_empty() {
            let mut still = vec![];
            for place in behind {
                let folded = self.turn(log, place).await?;
                count += folded;
                if folded == RECORDS_PER_TURN_MAX {
                    still.push(place);
                }
            }
            behind = still;
        }
        self.write()?;
        Ok(count)
    }

    /// Folds the next records of a partition, up to its place: fewer than a turn's when it is there.
    async fn turn(&mut self, log: &dyn Log, place: &Acceptor) -> Result<usize, RebuildError> {
        let partition = place.partition;
        for count in 0..RECORDS_PER_TURN_MAX {
            if self.core.acceptor(partition).last_record >= place.last_record {
                return Ok(count);
            }
            let accepted = Arc::new(self.next(log, partition).await?);
            let (changes, checkpoint) = apply(&mut self.model, &accepted);
            self.batch.push(StepToWrite { accepted, checkpoint, changes });
            if self.batch.len() >= STEPS_PER_BATCH_MAX {
                self.write()?;
            }
        }
        Ok(RECORDS_PER_TURN_MAX)
    }

    /// The next record of a partition that counts.
    async fn next(
        &mut self,
        log: &dyn Log,
        partition: Partition,
    ) -> Result<Accepted, RebuildError> {
        if !self.readers.contains_key(&partition) {
            let from = self.core.acceptor(partition).resume_from();
            self.readers.insert(partition, log.read(Stream::Events(partition), from).await?);
        }
        let reader = self.readers.get_mut(&partition).expect("it was just put there");
        loop {
            let record = reader.next().await.ok_or(RebuildError::Ended(partition))??;
            match self.core.offer(partition, &record)? {
                Fold::Accepted(accepted) => return Ok(*accepted),
                Fold::Rejected(rejection) => {
                    self.model.reject(partition, record.offset, &rejection.to_string());
                }
                Fold::Known => {}
            }
        }
    }

    fn write(&mut self) -> Result<(), RebuildError> {
        if !self.batch.is_empty() {
            write_batch(self.store, &self.batch, &mut self.dirty)?;
            self.batch.clear();
        }
        Ok(())
    }
}
