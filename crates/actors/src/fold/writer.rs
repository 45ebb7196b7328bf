//! Writing the projections: a thread of its own takes what was folded and writes it in batches, so
//! that no decision waits for a disk. What is lost with a crash is read from the log again.
//!
//! When rows cannot be written, they are set aside and built again from the log, beside the folder
//! (see `rebuild`). Nothing is queued for the disk meanwhile; decisions go on.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use event_log::Accepted;
use events::AggregateId;
use projections::{Changes, Checkpoint, FoldStep, Model, Store, StoreError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::FoldStatus;
use super::rebuild::{Rebuilding, Rebuilt};
use crate::supervised::words;

/// How many bytes of folded records may wait for the disk, as they stand in the log; in memory
/// they take about three times as much. When more do, folding waits as well: twice as many would
/// only hide a disk that is too slow.
const WAITING_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How many records one batch holds. Larger batches gain nothing measurable.
pub(super) const STEPS_PER_BATCH_MAX: usize = 2_048;

/// How much longer than a batch took the writer rests after it, unless more waits than a batch
/// holds. What comes meanwhile shares rows, so a busy hub writes half as many of them and has the
/// processor for decisions; a quiet one writes at once.
const REST_SHARE: u32 = 2;

/// How long it rests at most: answers from rows may be this much older under load.
const REST_MAX: Duration = Duration::from_millis(100);

/// How often the states of what changed are written.
const SNAPSHOT_INTERVAL: Duration = Duration::from_secs(5);

/// How many states are copied while the model is held, so that folding waits a few milliseconds at
/// most.
const AGGREGATES_PER_LOCK_MAX: usize = 32;

/// A folded record on its way to the disk.
pub(super) struct StepToWrite {
    pub(super) accepted: Arc<Accepted>,
    pub(super) checkpoint: Checkpoint,
    pub(super) changes: Changes,
}

/// What waits for the disk, and the room that it takes.
pub(super) type Waiting = Receiver<(StepToWrite, OwnedSemaphorePermit)>;

/// The folder's end of what waits for the disk.
pub(super) struct Queue {
    steps: Sender<(StepToWrite, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
}

impl Queue {
    pub(super) fn new() -> (Self, Waiting) {
        let (steps, waiting) = channel();
        (Self { steps, room: Arc::new(Semaphore::new(WAITING_BYTES_MAX)) }, waiting)
    }

    /// Waits for room. Says whether somebody is there to write it.
    async fn push(&self, step: StepToWrite, bytes: usize) -> bool {
        let bytes = u32::try_from(bytes.clamp(1, WAITING_BYTES_MAX)).unwrap_or(u32::MAX);
        let room = self.room.clone().acquire_many_owned(bytes).await;
        let room = room.expect("the semaphore is never closed");
        self.steps.send((step, room)).is_ok()
    }
}

/// The writer as the folder holds it. Dropping it lets the writer finish.
pub(super) struct Writer {
    /// `None` while the rows are built again: what is folded meanwhile is read from the log.
    queue: Option<Queue>,
    /// Dropped to end what the thread does without the queue.
    alive: Option<watch::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        store: Store,
        model: Arc<RwLock<Model>>,
        status: watch::Sender<FoldStatus>,
        rebuilding: impl FnOnce(watch::Receiver<()>) -> Rebuilding,
    ) -> Self {
        let (queue, waiting) = Queue::new();
        let (alive, seen_alive) = watch::channel(());
        let rebuilding = rebuilding(seen_alive);
        let thread = Thread { store, model, status, rebuilding, dirty: BTreeSet::new() };
        let thread = thread::Builder::new()
            .name("projections".to_owned())
            .spawn(move || thread.run_to_its_end(waiting))
            .expect("a thread can be started");
        Self { queue: Some(queue), alive: Some(alive), thread: Some(thread) }
    }

    /// Hands over what was folded, each with the size of its record. Waits while too much waits for
    /// the disk.
    pub(super) async fn write(&mut self, steps: Vec<(StepToWrite, usize)>) {
        for (step, bytes) in steps {
            let Some(queue) = &self.queue else { return };
            if !queue.push(step, bytes).await {
                self.queue = None;
            }
        }
    }

    /// What is folded from now on waits here.
    pub(super) fn go_on(&mut self, queue: Queue) {
        self.queue = Some(queue);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        (self.queue, self.alive) = (None, None);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the writer of the projections panicked");
        }
    }
}

struct Thread {
    store: Store,
    model: Arc<RwLock<Model>>,
    status: watch::Sender<FoldStatus>,
    rebuilding: Rebuilding,
    /// What has changed since its state was looked at.
    dirty: BTreeSet<AggregateId>,
}

impl Thread {
    /// Decisions go on without rows; history and `why` do not.
    fn run_to_its_end(self, waiting: Waiting) {
        let status = self.status.clone();
        let ended = catch_unwind(AssertUnwindSafe(|| self.run(waiting)));
        if let Err(panic) = ended {
            let reason = format!(
                "the writer of the projections panicked ({}); see the log of this hub, then restart \
                 it",
                words(&*panic)
            );
            tracing::error!("{reason}");
            status.send_modify(|status| status.projections = Some(reason));
        }
    }

    fn run(mut self, mut waiting: Waiting) {
        loop {
            // sled panics where it finds pages that rotted.
            let written = catch_unwind(AssertUnwindSafe(|| self.write(&waiting)));
            let reason = match written {
                Ok(Ok(())) => return,
                Ok(Err(error)) => chain(&error),
                Err(_) => "the writer panicked; see the log".to_owned(),
            };
            // The folder queues nothing more.
            drop(waiting);
            let dir = self.store.dir().display();
            tracing::error!(%dir, %reason, "projections cannot be written; they are built again from the log");
            match self.rebuilding.run(&mut self.store, &reason, &self.status) {
                Some(rebuilt) => waiting = self.go_on(rebuilt),
                None => return,
            }
        }
    }

    fn go_on(&mut self, rebuilt: Rebuilt) -> Waiting {
        tracing::info!(dir = %self.store.dir().display(), "the projections were built again");
        self.dirty = rebuilt.dirty;
        rebuilt.waiting
    }

    /// Writes until the folder has ended.
    fn write(&mut self, waiting: &Waiting) -> Result<(), StoreError> {
        let mut snapshot_at = Instant::now() + SNAPSHOT_INTERVAL;
        loop {
            let patience = snapshot_at.saturating_duration_since(Instant::now());
            let ended = match waiting.recv_timeout(patience) {
                Ok(first) => {
                    let rest = waiting.try_iter().take(STEPS_PER_BATCH_MAX - 1);
                    let (batch, room): (Vec<_>, Vec<_>) =
                        std::iter::once(first).chain(rest).unzip();
                    let since = Instant::now();
                    write_batch(&mut self.store, &batch, &mut self.dirty)?;
                    drop(room);
                    if batch.len() < STEPS_PER_BATCH_MAX {
                        thread::sleep((since.elapsed() * REST_SHARE).min(REST_MAX));
                    }
                    false
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            if ended || Instant::now() >= snapshot_at {
                self.snapshot();
                snapshot_at = Instant::now() + SNAPSHOT_INTERVAL;
            }
            if ended {
                return self.store.flush();
            }
        }
    }

    /// Writes the states that are due. The model is held only to copy them.
    fn snapshot(&mut self) {
        let dirty = std::mem::take(&mut self.dirty);
        let due = self.store.due(&dirty);
        for some in due.chunks(AGGREGATES_PER_LOCK_MAX) {
            let part = self.model.read().unwrap_or_else(PoisonError::into_inner).part(some);
            if let Err(error) = self.store.snapshot(&part, some.iter().copied()) {
                tracing::error!(%error, "states could not be written; they will be folded again");
            }
        }
    }
}

/// Writes a batch, and notes what it changes.
pub(super) fn write_batch(
    store: &mut Store,
    batch: &[StepToWrite],
    dirty: &mut BTreeSet<AggregateId>,
) -> Result<(), StoreError> {
    let steps: Vec<FoldStep<'_>> = batch
        .iter()
        .map(|step| FoldStep {
            partition: step.accepted.position.partition,
            position: step.accepted.position,
            record: &step.accepted.record,
            checkpoint: step.checkpoint.clone(),
        })
        .collect();
    for step in batch {
        let changed = step.changes.aggregates.iter();
        dirty.extend(changed.map(|changed| changed.aggregate.clone()));
    }
    store.write(steps.iter().zip(batch.iter().map(|step| &step.changes)))
}

/// An error and what led to it, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
