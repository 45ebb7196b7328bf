//! Writing the projections: a thread of its own takes what was folded and writes it in batches, so
//! that no decision waits for a disk. What is lost with a crash is read from the log again.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use event_log::Accepted;
use events::AggregateId;
use projections::{Changes, Checkpoint, FoldStep, Model, Store};

/// How many folded records may wait for the disk. When more do, folding waits as well: twice as
/// many would only hide a disk that is too slow.
const STEPS_WAITING_MAX: usize = 16_384;

/// How many records one batch holds. Larger batches gain nothing measurable.
const STEPS_PER_BATCH_MAX: usize = 2_048;

/// How often the states of what changed are written.
const SNAPSHOT_INTERVAL: Duration = Duration::from_secs(5);

/// How many states are written while the model is held, so that folding waits a few milliseconds
/// at most.
const AGGREGATES_PER_LOCK_MAX: usize = 32;

/// A folded record on its way to the disk.
pub(super) struct StepToWrite {
    pub(super) accepted: Arc<Accepted>,
    pub(super) checkpoint: Checkpoint,
    pub(super) changes: Changes,
}

/// The end of the writer that the folder holds. Dropping it lets the writer finish.
pub(super) struct Writer {
    steps: Option<SyncSender<StepToWrite>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(store: Store, model: Arc<RwLock<Model>>) -> Self {
        let (steps, waiting) = sync_channel(STEPS_WAITING_MAX);
        let thread = thread::Builder::new()
            .name("projections".to_owned())
            .spawn(move || run(store, &model, &waiting))
            .expect("a thread can be started");
        Self { steps: Some(steps), thread: Some(thread) }
    }

    pub(super) fn write(&self, step: StepToWrite) {
        if let Some(steps) = &self.steps
            && steps.send(step).is_err()
        {
            tracing::error!("the writer of the projections has ended");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.steps = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the writer of the projections panicked");
        }
    }
}

fn run(mut store: Store, model: &RwLock<Model>, waiting: &Receiver<StepToWrite>) {
    let mut dirty = BTreeSet::new();
    let mut snapshot_at = Instant::now() + SNAPSHOT_INTERVAL;
    loop {
        let patience = snapshot_at.saturating_duration_since(Instant::now());
        let ended = match waiting.recv_timeout(patience) {
            Ok(first) => {
                let rest = waiting.try_iter().take(STEPS_PER_BATCH_MAX - 1);
                let batch: Vec<StepToWrite> = std::iter::once(first).chain(rest).collect();
                write_batch(&mut store, &batch, &mut dirty);
                false
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        };
        if (ended || Instant::now() >= snapshot_at) && !dirty.is_empty() {
            snapshot(&mut store, model, &mut dirty);
        }
        if Instant::now() >= snapshot_at {
            snapshot_at = Instant::now() + SNAPSHOT_INTERVAL;
        }
        if ended {
            return;
        }
    }
}

fn write_batch(store: &mut Store, batch: &[StepToWrite], dirty: &mut BTreeSet<AggregateId>) {
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
    let changes = batch.iter().map(|step| &step.changes);
    if let Err(error) = store.write(steps.iter().zip(changes)) {
        tracing::error!(%error, "projections could not be written; they will be rebuilt");
    }
}

fn snapshot(store: &mut Store, model: &RwLock<Model>, dirty: &mut BTreeSet<AggregateId>) {
    let changed: Vec<AggregateId> = std::mem::take(dirty).into_iter().collect();
    for some in changed.chunks(AGGREGATES_PER_LOCK_MAX) {
        let model = model.read().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = store.snapshot(&model, some) {
            tracing::error!(%error, "states could not be written; they will be folded again");
        }
    }
}
