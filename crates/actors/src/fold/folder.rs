//! The reading itself: one task follows all partitions, folds what counts into the model, hands it
//! to the writer of the projections, and tells shards and listeners.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use actix::Addr;
use event_log::{Accepted, Acceptor, Log, StoredRecord};
use events::{CommandEnvelope, FollowUpRef, Partition, Position, Record, Watermark};
use projections::{Model, Store};
use tokio::runtime::Handle;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::core::{Fold, FoldCore, FoldError, apply, follow_ups};
use super::follow::{Follower, Told};
use super::handle::{Change, ENDED, FoldHandle};
use super::rebuild::Rebuilding;
use super::status::{CatchUp, FoldStatus};
use super::writer::{Queue, StepToWrite, Writer};
use crate::shard::{Folded, InboxMoved, Rejected, ShardActor};
use crate::trace::traceparents;

/// How many records are folded in one step, so that readers of the model wait for milliseconds at
/// most: 512 records of a few events each take about one.
const RECORDS_PER_STEP_MAX: usize = 512;

/// How many changes a listener may lag behind before it is told to look at everything again.
/// Twice as many would hold twice the memory for listeners that are lost anyway.
const CHANGES_BUFFERED_MAX: usize = 4_096;

/// How often the log says how far reading is, while it catches up.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

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

/// What the folder is asked, between two steps.
pub(super) enum Control {
    Register {
        partition: Partition,
        shard: Addr<ShardActor>,
    },
    Unregister {
        partition: Partition,
    },
    /// Where it is.
    Places {
        reply: oneshot::Sender<Vec<Acceptor>>,
    },
    /// What is folded from now on is to be written again; answers where that begins.
    GoOnWriting {
        queue: Queue,
        reply: oneshot::Sender<Vec<Acceptor>>,
    },
}

/// How many control messages may wait. One for each partition, and one for the rows, is the most
/// there ever are at once.
const CONTROLS_MAX: usize = 256;

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

/// What came of a batch.
#[derive(Default)]
struct Step {
    notices: Vec<Notice>,
    /// What is to be written, with the sizes of the records.
    written: Vec<(StepToWrite, usize)>,
    stopped: Option<FoldError>,
}

impl Folder {
    /// Starts to read all partitions from where the model stands. Runs on the current tokio
    /// runtime until the handle is dropped or reading cannot go on.
    #[must_use]
    pub fn start(config: FolderConfig) -> FoldHandle {
        let core = FoldCore::resume(&config.model, config.partitions);
        let (records, incoming) = mpsc::channel(RECORDS_PER_STEP_MAX);
        for acceptor in core.acceptors() {
            tokio::spawn(
                Follower::new(config.log.clone(), *acceptor, records.clone()).run_to_its_end(),
            );
        }

        let watermark = Watermark(core.acceptors().map(|at| (at.partition, at.last)).collect());
        let (control, controls) = mpsc::channel(CONTROLS_MAX);
        let (changes, _) = broadcast::channel(CHANGES_BUFFERED_MAX);
        let catching_up = Some(CatchUp::new(config.partitions));
        let (status, status_seen) =
            watch::channel(FoldStatus { watermark, catching_up, ..FoldStatus::default() });
        let model = Arc::new(RwLock::new(config.model));
        let queries = config.store.as_ref().map(|store| Arc::new(RwLock::new(store.queries())));
        let writer = config.store.zip(queries.clone()).map(|(store, queries)| {
            Writer::start(store, model.clone(), status.clone(), |alive| Rebuilding {
                log: config.log,
                partitions: config.partitions,
                runtime: Handle::current(),
                folder: control.downgrade(),
                queries,
                alive,
            })
        });
        let folder = Self {
            core,
            partitions: config.partitions,
            model: model.clone(),
            writer,
            shards: BTreeMap::new(),
            changes: changes.clone(),
            status: status.clone(),
        };
        tokio::spawn(supervise(tokio::spawn(folder.run(incoming, controls)), status));
        FoldHandle { model, queries, control, changes, status: status_seen }
    }

    async fn run(
        mut self,
        mut incoming: mpsc::Receiver<(Partition, Told)>,
        mut controls: mpsc::Receiver<Control>,
    ) {
        let mut batch = Vec::with_capacity(RECORDS_PER_STEP_MAX);
        let mut progress = Progress::new();
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
                    let step = self.step(batch.drain(..));
                    self.tell(step.notices).await;
                    if let Some(writer) = &mut self.writer {
                        writer.write(step.written).await;
                    }
                    progress.note(self.status.borrow().catching_up.as_ref());
                    if let Some(error) = step.stopped {
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
            Control::Places { reply } => self.answer(reply),
            Control::GoOnWriting { queue, reply } => {
                if let Some(writer) = &mut self.writer {
                    writer.go_on(queue);
                }
                self.answer(reply);
            }
        }
    }

    fn answer(&self, reply: oneshot::Sender<Vec<Acceptor>>) {
        // Who asked may have ended.
        drop(reply.send(self.core.acceptors().copied().collect()));
    }

    /// Folds a batch under one lock. What is told is told afterwards, so that whoever is told finds
    /// the model moved.
    fn step(&mut self, batch: impl Iterator<Item = (Partition, Told)>) -> Step {
        let mut step = Step::default();
        let mut status = self.status.borrow().clone();
        let model = self.model.clone();
        let mut model = model.write().unwrap_or_else(PoisonError::into_inner);
        for (partition, told) in batch {
            match told {
                Told::Record(record) => {
                    self.record(&mut model, partition, record, &mut status, &mut step);
                }
                Told::Began { from, end } => {
                    status.catching_up.iter_mut().for_each(|at| at.found(partition, from, end));
                }
                Told::CaughtUp => {
                    status.catching_up.iter_mut().for_each(|at| at.caught_up(partition));
                    status.catching_up.take_if(|at| at.partitions_behind() == 0);
                }
                Told::Failing(reason) => match reason {
                    Some(reason) => drop(status.unread.insert(partition, reason)),
                    None => drop(status.unread.remove(&partition)),
                },
                Told::Stopped(error) => step.stopped = Some(error),
            }
            if step.stopped.is_some() {
                break;
            }
        }
        drop(model);
        self.status.send_modify(|known| {
            // Whoever writes the rows tells about those.
            let projections = known.projections.take();
            *known = FoldStatus { projections, ..status };
        });
        step
    }

    fn record(
        &mut self,
        model: &mut Model,
        partition: Partition,
        record: StoredRecord,
        status: &mut FoldStatus,
        step: &mut Step,
    ) {
        status.catching_up.iter_mut().for_each(|at| at.read(partition, record.offset));
        match self.core.offer(partition, &record) {
            Ok(Fold::Accepted(accepted)) => {
                let last = match &accepted.record {
                    Record::Frame(frame) => frame.last(),
                    Record::Claim(_) | Record::Genesis(_) => accepted.position.sequence,
                };
                status.watermark.advance(Position { partition, sequence: last });
                self.fold(model, *accepted, record.bytes.len(), step);
            }
            Ok(Fold::Rejected(rejection)) => {
                tracing::info!(%partition, offset = record.offset, %rejection, "ignored");
                model.reject(partition, record.offset, &rejection.to_string());
                step.notices.push(Notice::Rejected(partition, Rejected { bytes: record.bytes }));
            }
            Ok(Fold::Known) => {}
            Err(error) => step.stopped = Some(error),
        }
    }

    fn fold(&self, model: &mut Model, accepted: Accepted, bytes: usize, step: &mut Step) {
        let accepted = Arc::new(accepted);
        let partition = accepted.position.partition;
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
        if self.writer.is_some() {
            let to_write = StepToWrite { accepted: accepted.clone(), checkpoint, changes };
            step.written.push((to_write, bytes));
        }
        let inbox = inbox.into_iter().filter(|(to, _)| self.shards.contains_key(to));
        step.notices.push(Notice::Folded(partition, Folded { accepted }));
        step.notices.extend(inbox.map(|(to, commands)| Notice::Inbox(to, commands)));
        step.notices.push(Notice::Change(Arc::new(change)));
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

/// Says so when the folder ends without having said why.
pub(super) async fn supervise(folder: JoinHandle<()>, status: watch::Sender<FoldStatus>) {
    let reason = match folder.await {
        Err(error) if error.is_panic() => {
            "reading the log panicked; see the log of this hub, then restart it".to_owned()
        }
        Ok(()) | Err(_) => ENDED.to_owned(),
    };
    status.send_if_modified(|status| {
        let is_news = status.stopped.is_none();
        status.stopped.get_or_insert(reason);
        is_news
    });
}

/// Tells now and then how far reading is, until it has caught up.
struct Progress {
    began: Instant,
    told: Instant,
    is_over: bool,
}

impl Progress {
    fn new() -> Self {
        let now = Instant::now();
        Self { began: now, told: now, is_over: false }
    }

    fn note(&mut self, catching_up: Option<&CatchUp>) {
        if self.is_over {
            return;
        }
        match catching_up {
            None => {
                self.is_over = true;
                tracing::info!(took = ?self.began.elapsed(), "everything in the log is folded");
            }
            Some(catch_up) if self.told.elapsed() >= PROGRESS_INTERVAL => {
                self.told = Instant::now();
                tracing::info!("the log is being read: {catch_up}");
            }
            Some(_) => {}
        }
    }
}
