//! Which partitions this node runs: starts and stops shards as ownership moves.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, Arbiter};
use event_log::lease::{LeaseConfig, LeaseRecord, TimeAsked};
use event_log::{Log, Stream};
use events::{Epoch, Partition};
use futures::FutureExt as _;
use jiff::SignedDuration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::clock::{ClockCheck, Judged};
use super::leases::{Leases, Wanted};
use super::{HubCluster, Router};
use crate::concerns::{Concern, Gravity};
use crate::fold::FoldHandle;
use crate::shard::{ClaimIdentity, ShardActor, ShardConfig, Stop};
use crate::supervised::{self, words};

/// Whether other nodes share the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// This node has the log to itself: it owns every partition.
    Alone,
    /// Nodes share the log and divide the partitions by leases in it.
    Leased(LeaseConfig),
}

/// How often a shard that ended is noticed and, if it is still wanted, started again.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// How long a shard may take to end in order.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a node that takes no part in leases, which would tell it, asks for the log's time.
const TIME_ASKED_EVERY: Duration = Duration::from_secs(1);

/// The check that `/readyz` and `status` show when the clocks disagree.
const CLOCK: &str = "clock";

pub(super) struct Config {
    pub(super) ownership: Ownership,
    pub(super) identity: ClaimIdentity,
    pub(super) log: Arc<dyn Log>,
    pub(super) fold: FoldHandle,
    pub(super) router: Router,
    pub(super) owning: watch::Sender<BTreeMap<Partition, Epoch>>,
    pub(super) superseded: watch::Sender<Option<String>>,
    pub(super) hub: HubCluster,
    pub(super) partitions: u16,
    pub(super) threads: usize,
}

/// The task that runs the shards.
pub(super) struct Task {
    stop: mpsc::Sender<oneshot::Sender<()>>,
}

impl Task {
    /// Ends all shards in order.
    pub(super) async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        if self.stop.send(done).await.is_ok() && stopped.await.is_err() {
            tracing::warn!("the shards ended without saying so");
        }
    }
}

struct Shards {
    config: Config,
    leases: Option<Leases>,
    clock: ClockCheck,
    time_asked_at: Option<Instant>,
    arbiters: Vec<Arbiter>,
    running: BTreeMap<Partition, Addr<ShardActor>>,
}

/// Must be called where an actix system runs, since the shards get threads of their own.
pub(super) fn start(config: Config) -> Task {
    let arbiters = (0..config.threads.max(1)).map(|_| Arbiter::new()).collect();
    let (stop, stopping) = mpsc::channel(1);
    let off_max_ms = match config.ownership {
        Ownership::Alone => 0,
        Ownership::Leased(leases) => leases.clock_off_max_ms,
    };
    let off_max = SignedDuration::from_millis(i64::try_from(off_max_ms).unwrap_or(i64::MAX));
    let shards = Shards {
        config,
        leases: None,
        clock: ClockCheck::new(off_max),
        time_asked_at: None,
        arbiters,
        running: BTreeMap::new(),
    };
    tokio::spawn(shards.run(stopping));
    Task { stop }
}

impl Shards {
    async fn run(mut self, mut stopping: mpsc::Receiver<oneshot::Sender<()>>) {
        let worked = AssertUnwindSafe(self.work(&mut stopping)).catch_unwind().await;
        let stop = match worked {
            Ok(stop) => stop,
            Err(panic) => {
                self.give_up(&words(&*panic)).await;
                stopping.recv().await
            }
        };
        self.stop_all().await;
        if let Some(done) = stop {
            done.send(()).unwrap_or_else(|()| tracing::debug!("nobody waits any more"));
        }
    }

    /// Runs shards until this node is told to end.
    async fn work(
        &mut self,
        stopping: &mut mpsc::Receiver<oneshot::Sender<()>>,
    ) -> Option<oneshot::Sender<()>> {
        let fold = self.config.fold.clone();
        // Who claims what it has not read yet claims in vain, for ever to be seen; and who takes
        // part before it can decide takes partitions from nodes that can.
        tokio::select! {
            stop = stopping.recv() => return stop,
            caught_up = fold.caught_up() => match caught_up {
                Ok(()) => {}
                Err(reason) => tracing::error!(%reason, "no partition is taken over"),
            }
        }
        let mut check = tokio::time::interval(CHECK_INTERVAL);
        loop {
            if self.is_superseded() {
                self.let_go().await;
                return stopping.recv().await;
            }
            tokio::select! {
                biased;
                stop = stopping.recv() => return stop,
                () = fold.stopped() => {
                    self.let_go().await;
                    return stopping.recv().await;
                }
                () = self.wanted_moved() => self.adjust().await,
                _ = check.tick() => self.look().await,
            }
        }
    }

    /// Takes part while this node's clock agrees with the log's, and steps back while it does not.
    async fn look(&mut self) {
        let judged = match self.config.ownership {
            Ownership::Alone => Judged::Agree,
            Ownership::Leased(_) => self.clock.judge(self.config.log.clock().reading()),
        };
        let (message, takes_part) = match judged {
            Judged::Agree => (None, true),
            Judged::Unknown => (Some("the log has not told its time yet".to_owned()), false),
            Judged::Off(message) => (Some(message), false),
        };
        self.config.router.concerns().set(CLOCK, "", Gravity::Blocking, message.clone());
        if takes_part {
            self.start_leases();
            self.adjust().await;
        } else {
            self.step_back(&message.unwrap_or_default()).await;
            self.ask_for_time();
        }
    }

    /// Lets go of everything in order: the others take over at once.
    async fn step_back(&mut self, reason: &str) {
        if self.running.is_empty() && self.leases.is_none() {
            return;
        }
        tracing::error!("{reason}");
        self.stop(self.running.keys().copied().collect()).await;
        if let Some(leases) = self.leases.take() {
            leases.leave().await;
        }
    }

    /// The log tells its time with what is stored.
    fn ask_for_time(&mut self) {
        if self.time_asked_at.is_some_and(|at| at.elapsed() < TIME_ASKED_EVERY) {
            return;
        }
        self.time_asked_at = Some(Instant::now());
        let (log, node) = (self.config.log.clone(), self.config.identity.node.clone());
        tokio::spawn(async move {
            let asked = LeaseRecord::TimeAsked(TimeAsked { node });
            if let Err(error) = log.append(Stream::Membership, asked.to_bytes()).await {
                tracing::warn!(%error, "the log does not tell its time");
            }
        });
    }

    /// What this node believed to own cannot be told any more: others take over. To begin anew here
    /// would be to run a partition twice under one name.
    async fn give_up(&mut self, panic: &str) {
        let message = format!(
            "it panicked ({panic}), so this hub lets go of its partitions; see its log, then restart \
             it"
        );
        tracing::error!(task = "ownership", "{message}");
        let (check, about) = (supervised::CHECK, "ownership".to_owned());
        let concern = Concern { check, about, gravity: Gravity::Blocking, message };
        self.config.router.concerns().raise(concern);
        self.let_go().await;
    }

    /// Whether somebody else has this node's place, which then is never its own again.
    fn is_superseded(&self) -> bool {
        if self.config.superseded.borrow().is_some() {
            return true;
        }
        let moved = self.config.hub.reason_moved(&self.config.fold.model().fleet.state);
        let is_moved = moved.is_some();
        if let Some(reason) = moved {
            self.config.router.supersede(reason);
        }
        is_moved
    }

    fn start_leases(&mut self) {
        let Ownership::Leased(leases) = self.config.ownership else { return };
        let is_superseded = self.config.superseded.borrow().is_some();
        if self.leases.is_some() || is_superseded {
            return;
        }
        let Config { log, identity, superseded, partitions, .. } = &self.config;
        let supervisor = self.config.router.supervisor();
        let (log, superseded) = (log.clone(), superseded.clone());
        self.leases =
            Some(Leases::start(log, identity, *partitions, leases, superseded, supervisor));
    }

    /// Nothing is read any more, so nothing that a shard appends would ever be acted on; or another
    /// node has this one's place. All end at once, whatever they were about to record, and other
    /// nodes may take over.
    async fn let_go(&mut self) {
        for arbiter in self.arbiters.drain(..) {
            arbiter.stop();
        }
        let running = std::mem::take(&mut self.running);
        for (partition, shard) in &running {
            self.config.router.set_shard(*partition, None);
            if tokio::time::timeout(STOP_TIMEOUT, ended(shard)).await.is_err() {
                tracing::warn!(%partition, "the shard did not end in time");
            }
        }
        self.config.owning.send_replace(BTreeMap::new());
        if let Some(leases) = self.leases.take() {
            leases.leave().await;
        }
    }

    /// Waits until the leases say something new; for ever when there are none.
    async fn wanted_moved(&mut self) {
        if let Some(leases) = &mut self.leases
            && leases.wanted.changed().await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }

    fn wanted(&self) -> Wanted {
        match (&self.leases, self.config.ownership) {
            (Some(leases), _) => leases.wanted.borrow().clone(),
            (None, Ownership::Leased(_)) => Wanted::default(),
            (None, Ownership::Alone) => Wanted {
                partitions: (0..self.config.partitions).map(Partition).collect(),
                may_claim: true,
            },
        }
    }

    /// Lets go of what another node should have, claims what this one should. What runs goes on
    /// while the log does not answer: nothing that it does counts before it is read back.
    async fn adjust(&mut self) {
        let wanted = self.wanted();
        self.running.retain(|_, shard| shard.connected());
        let unwanted: Vec<Partition> = self
            .running
            .keys()
            .filter(|partition| !wanted.partitions.contains(partition))
            .copied()
            .collect();
        self.stop(unwanted).await;
        if !wanted.may_claim {
            return;
        }
        for partition in wanted.partitions {
            if !self.running.contains_key(&partition) {
                self.start_one(partition).await;
            }
        }
    }

    async fn start_one(&mut self, partition: Partition) {
        let config = ShardConfig {
            partition,
            identity: self.config.identity.clone(),
            log: self.config.log.clone(),
            partitions: self.config.partitions,
            fold: self.config.fold.clone(),
            effects: self.config.router.effects().clone(),
            owning: self.config.owning.clone(),
        };
        let arbiter = &self.arbiters[usize::from(partition.0) % self.arbiters.len()];
        let shard = ShardActor::start_in_arbiter(&arbiter.handle(), |_| ShardActor::new(config));
        self.config.router.set_shard(partition, Some(shard.clone()));
        self.config.fold.register(partition, shard.clone()).await;
        self.running.insert(partition, shard);
    }

    /// Ends some shards in order, all at once.
    async fn stop(&mut self, partitions: Vec<Partition>) {
        let mut stopping = vec![];
        for partition in partitions {
            if let Some(shard) = self.running.remove(&partition) {
                self.config.router.set_shard(partition, None);
                stopping.push(stop_one(&self.config, partition, shard));
            }
        }
        futures::future::join_all(stopping).await;
    }

    async fn stop_all(&mut self) {
        self.stop(self.running.keys().copied().collect()).await;
        if let Some(leases) = &self.leases {
            leases.leave().await;
        }
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
    }
}

async fn stop_one(config: &Config, partition: Partition, shard: Addr<ShardActor>) {
    let in_order = async {
        if shard.send(Stop).await.is_ok() {
            ended(&shard).await;
        }
    };
    let in_order = tokio::time::timeout(STOP_TIMEOUT, in_order).await;
    config.fold.unregister(partition).await;
    if in_order.is_err() {
        tracing::warn!(%partition, "the shard did not end in time; it is not listened to any more");
        config.owning.send_modify(|owning| {
            owning.remove(&partition);
        });
    }
}

/// Waits until a shard has ended.
async fn ended(shard: &Addr<ShardActor>) {
    while shard.connected() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
