//! The reading itself: one task follows all partitions, folds what counts into the model, hands it
//! to the writer of the projections, and tells shards and listeners.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use actix::Addr;
use event_log::{Accepted, Acceptor, Log, StoredRecord, Stream};
use events::{AggregateId, CommandEnvelope, FollowUpRef, Partition, Position, Record, Watermark};
use projections::{Model, Queries, Store};
use tokio::sync::{broadcast, mpsc, watch};

use super::core::{Fold, FoldCore, FoldError, apply, follow_ups};
use super::writer::{StepToWrite, Writer};
use crate::shard::{Folded, InboxMoved, Rejected, ShardActor};
use crate::trace::traceparents;

/// How many records are folded in one step, so that readers of the model wait for milliseconds at
/// most: 512 records of a few events each take about one.
const RECORDS_PER_STEP_MAX: usize = 512;

/// How many changes a listener may lag behind before it is told to look at everything again.
/// Twice as many would hold twice the memory for listeners that are lost anyway.
const CHANGES_BUFFERED_MAX: usize = 4_096;

/// How long to wait before a partition is read again after an error.
const READ_RETRY: Duration = Duration::from_millis(200);

/// What a folder needs.
pub struct FolderConfig {
    /// The log.
    pub log: Arc<dyn Log>,
    /// How many partitions it has.
    pub partitions: u16,
    /// The model, as it was loaded.
    pub model: Model,
    /// Where rows are written, if they are.
    pub store: Option<Store>,
}

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

/// How reading is going.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoldStatus {
    /// How far it is.
    pub watermark: Watermark,
    /// How many records did not count.
    pub rejected: u64,
    /// Why it stopped, if it did.
    pub stopped: Option<String>,
}

enum Control {
    Register { partition: Partition, shard: Addr<ShardActor> },
    Unregister { partition: Partition },
}

/// How many control messages may wait. One for each partition is the most there ever are at once.
const CONTROLS_MAX: usize = 256;

/// A folder at work. Cheap to clone.
#[derive(Clone)]
pub struct FoldHandle {
    model: Arc<RwLock<Model>>,
    queries: Option<Queries>,
    control: mpsc::Sender<Control>,
    changes: broadcast::Sender<Arc<Change>>,
    status: watch::Receiver<FoldStatus>,
}

impl FoldHandle {
    /// The present. Folding waits while this is held: look, copy what is needed, let go.
    pub fn model(&self) -> RwLockReadGuard<'_, Model> {
        self.model.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows, for history. `None` when none are written.
    #[must_use]
    pub fn queries(&self) -> Option<&Queries> {
        self.queries.as_ref()
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

    /// Waits until everything up to `watermark` is folded.
    ///
    /// # Errors
    /// Why reading stopped before that.
    pub async fn wait_for(&self, watermark: &Watermark) -> Result<(), String> {
        let mut status = self.status.clone();
        let reached = |status: &FoldStatus| {
            status.stopped.is_some()
                || watermark
                    .0
                    .iter()
                    .all(|(partition, last)| status.watermark.of(*partition) >= *last)
        };
        match status.wait_for(reached).await {
            Ok(status) => status.stopped.clone().map_or(Ok(()), Err),
            Err(_) => Err("reading the log has ended".to_owned()),
        }
    }
}

/// The reader of the log.
pub struct Folder {
    core: FoldCore,
    partitions: u16,
    model: Arc<RwLock<Model>>,
    writer: Option<Writer>,
    shards: BTreeMap<Partition, Addr<ShardActor>>,
    changes: broadcast::Sender<Arc<Change>>,
    status: watch::Sender<FoldStatus>,
}

/// What has to be told after a step, in order.
enum Notice {
    Folded(Partition, Folded),
    Rejected(Partition, Rejected),
    Inbox(Partition, Vec<(FollowUpRef, CommandEnvelope)>),
    Change(Arc<Change>),
}

impl Folder {
    /// Starts to read all partitions from where the model stands. Runs on the current tokio
    /// runtime until the handle is dropped or reading cannot go on.
    #[must_use]
    pub fn start(config: FolderConfig) -> FoldHandle {
        let core = FoldCore::resume(&config.model, config.partitions);
        let (records, incoming) = mpsc::channel(RECORDS_PER_STEP_MAX);
        for acceptor in core.acceptors() {
            tokio::spawn(follow(config.log.clone(), *acceptor, records.clone()));
        }

        let watermark = Watermark(core.acceptors().map(|at| (at.partition, at.last)).collect());
        let (control, controls) = mpsc::channel(CONTROLS_MAX);
        let (changes, _) = broadcast::channel(CHANGES_BUFFERED_MAX);
        let (status, status_seen) =
            watch::channel(FoldStatus { watermark, ..FoldStatus::default() });
        let model = Arc::new(RwLock::new(config.model));
        let queries = config.store.as_ref().map(Store::queries);
        let folder = Self {
            core,
            partitions: config.partitions,
            model: model.clone(),
            writer: config.store.map(|store| Writer::start(store, model.clone())),
            shards: BTreeMap::new(),
            changes: changes.clone(),
            status,
        };
        tokio::spawn(folder.run(incoming, controls));
        FoldHandle { model, queries, control, changes, status: status_seen }
    }

    async fn run(
        mut self,
        mut incoming: mpsc::Receiver<(Partition, StoredRecord)>,
        mut controls: mpsc::Receiver<Control>,
    ) {
        let mut batch = Vec::with_capacity(RECORDS_PER_STEP_MAX);
        loop {
            tokio::select! {
                biased;
                control = controls.recv() => match control {
                    Some(control) => self.control(control).await,
                    None => return,
                },
                count = incoming.recv_many(&mut batch, RECORDS_PER_STEP_MAX) => {
                    if count == 0 {
                        return;
                    }
                    let (notices, stopped) = self.step(batch.drain(..));
                    self.tell(notices).await;
                    if let Some(error) = stopped {
                        tracing::error!(%error, "reading the log has to stop");
                        self.status.send_modify(|status| status.stopped = Some(error.to_string()));
                        return;
                    }
                }
            }
        }
    }

    async fn control(&mut self, control: Control) {
        match control {
            Control::Register { partition, shard } => {
                let start = crate::shard::Start { acceptor: self.core.acceptor(partition) };
                if shard.send(start).await.is_ok() {
                    self.shards.insert(partition, shard);
                }
            }
            Control::Unregister { partition } => {
                self.shards.remove(&partition);
            }
        }
    }

    /// Folds a batch under one lock. What is told is told afterwards, so that whoever is told finds
    /// the model moved.
    fn step(
        &mut self,
        batch: impl Iterator<Item = (Partition, StoredRecord)>,
    ) -> (Vec<Notice>, Option<FoldError>) {
        let mut notices = vec![];
        let mut stopped = None;
        let model = self.model.clone();
        let mut model = model.write().unwrap_or_else(PoisonError::into_inner);
        for (partition, record) in batch {
            match self.core.offer(partition, &record) {
                Ok(Fold::Accepted(accepted)) => {
                    self.fold(&mut model, partition, *accepted, &mut notices);
                }
                Ok(Fold::Rejected(rejection)) => {
                    tracing::info!(%partition, offset = record.offset, %rejection, "ignored");
                    let rejected = Rejected { bytes: record.bytes };
                    notices.push(Notice::Rejected(partition, rejected));
                }
                Ok(Fold::Known) => {}
                Err(error) => {
                    stopped = Some(error);
                    break;
                }
            }
        }
        drop(model);
        let rejected = self.core.rejected();
        self.status.send_modify(|status| {
            status.rejected = rejected;
            for notice in &notices {
                if let Notice::Folded(partition, folded) = notice {
                    let sequence = match &folded.accepted.record {
                        Record::Frame(frame) => frame.last(),
                        Record::Claim(_) | Record::Genesis(_) => folded.accepted.position.sequence,
                    };
                    status.watermark.advance(Position { partition: *partition, sequence });
                }
            }
        });
        (notices, stopped)
    }

    fn fold(
        &self,
        model: &mut Model,
        partition: Partition,
        accepted: Accepted,
        notices: &mut Vec<Notice>,
    ) {
        let accepted = Arc::new(accepted);
        let (changes, checkpoint) = apply(model, &accepted);
        let inbox = follow_ups(&accepted, &changes, self.partitions);
        let fleet_moved = changes.fleet_moved();
        let aggregates = changes.aggregates.iter().map(|changed| changed.aggregate.clone());
        let change = Change {
            position: accepted.position,
            aggregates: aggregates.collect(),
            traceparents: traceparents(&accepted.record),
            fleet_moved,
        };
        if let Some(writer) = &self.writer {
            writer.write(StepToWrite { accepted: accepted.clone(), checkpoint, changes });
        }
        let inbox = inbox.into_iter().filter(|(to, _)| self.shards.contains_key(to));
        notices.push(Notice::Folded(partition, Folded { accepted }));
        notices.extend(inbox.map(|(to, commands)| Notice::Inbox(to, commands)));
        notices.push(Notice::Change(Arc::new(change)));
    }

    async fn tell(&self, notices: Vec<Notice>) {
        for notice in notices {
            let told = match notice {
                Notice::Folded(partition, folded) => match self.shards.get(&partition) {
                    Some(shard) => shard.send(folded).await,
                    None => Ok(()),
                },
                Notice::Rejected(partition, rejected) => match self.shards.get(&partition) {
                    Some(shard) => shard.send(rejected).await,
                    None => Ok(()),
                },
                Notice::Inbox(partition, commands) => match self.shards.get(&partition) {
                    Some(shard) => shard.send(InboxMoved { commands }).await,
                    None => Ok(()),
                },
                Notice::Change(change) => {
                    // Nobody listening is fine.
                    drop(self.changes.send(change));
                    Ok(())
                }
            };
            if let Err(error) = told {
                tracing::warn!(%error, "a shard is gone");
            }
        }
    }
}

/// Feeds one partition into the folder, for ever.
async fn follow(
    log: Arc<dyn Log>,
    acceptor: Acceptor,
    records: mpsc::Sender<(Partition, StoredRecord)>,
) {
    let partition = acceptor.partition;
    let mut from = acceptor.resume_from();
    loop {
        match log.read(Stream::Events(partition), from).await {
            Err(error) => tracing::warn!(%partition, %error, "reading is tried again"),
            Ok(mut reader) => loop {
                let record = tokio::select! {
                    biased;
                    record = reader.next() => record,
                    // Nobody folds any more: let go of the log.
                    () = records.closed() => return,
                };
                match record {
                    Some(Ok(record)) => {
                        from = record.offset + 1;
                        if records.send((partition, record)).await.is_err() {
                            return;
                        }
                    }
                    Some(Err(error)) => {
                        tracing::warn!(%partition, %error, "reading is tried again");
                        break;
                    }
                    None => return,
                }
            },
        }
        if records.is_closed() {
            return;
        }
        tokio::time::sleep(READ_RETRY).await;
    }
}
