//! Which partitions this node runs: starts and stops shards as ownership moves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, Arbiter};
use event_log::Log;
use events::{Epoch, Partition};
use tokio::sync::{mpsc, oneshot, watch};

use super::Router;
use crate::fold::FoldHandle;
use crate::shard::{ClaimIdentity, ShardActor, ShardConfig, Stop};

/// Whether other nodes share the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// This node has the log to itself: it owns every partition.
    Alone,
}

/// How often a shard that ended is noticed and, if it is still wanted, started again.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// How long a shard may take to end in order.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct Config {
    pub(super) ownership: Ownership,
    pub(super) identity: ClaimIdentity,
    pub(super) log: Arc<dyn Log>,
    pub(super) fold: FoldHandle,
    pub(super) router: Router,
    pub(super) owning: watch::Sender<BTreeMap<Partition, Epoch>>,
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
    arbiters: Vec<Arbiter>,
    running: BTreeMap<Partition, Addr<ShardActor>>,
}

/// Must be called where an actix system runs, since the shards get threads of their own.
pub(super) fn start(config: Config) -> Task {
    let arbiters = (0..config.threads.max(1)).map(|_| Arbiter::new()).collect();
    let (stop, stopping) = mpsc::channel(1);
    let shards = Shards { config, arbiters, running: BTreeMap::new() };
    tokio::spawn(shards.run(stopping));
    Task { stop }
}

impl Shards {
    async fn run(mut self, mut stopping: mpsc::Receiver<oneshot::Sender<()>>) {
        let mut check = tokio::time::interval(CHECK_INTERVAL);
        loop {
            tokio::select! {
                stop = stopping.recv() => {
                    self.stop_all().await;
                    if let Some(done) = stop {
                        done.send(()).unwrap_or_else(|()| tracing::debug!("nobody waits any more"));
                    }
                    return;
                }
                _ = check.tick() => {
                    let wanted = self.wanted();
                    self.adjust(&wanted).await;
                }
            }
        }
    }

    fn wanted(&self) -> BTreeSet<Partition> {
        match self.config.ownership {
            Ownership::Alone => (0..self.config.partitions).map(Partition).collect(),
        }
    }

    async fn adjust(&mut self, wanted: &BTreeSet<Partition>) {
        self.running.retain(|_, shard| shard.connected());
        let unwanted: Vec<Partition> =
            self.running.keys().filter(|partition| !wanted.contains(partition)).copied().collect();
        for partition in unwanted {
            self.stop_one(partition).await;
        }
        for partition in wanted {
            if !self.running.contains_key(partition) {
                self.start_one(*partition).await;
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

    async fn stop_one(&mut self, partition: Partition) {
        let Some(shard) = self.running.remove(&partition) else { return };
        self.config.router.set_shard(partition, None);
        if shard.send(Stop).await.is_ok() {
            let ended = async {
                while shard.connected() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            if tokio::time::timeout(STOP_TIMEOUT, ended).await.is_err() {
                tracing::warn!(%partition, "the shard did not end in time");
            }
        }
        self.config.fold.unregister(partition).await;
    }

    async fn stop_all(&mut self) {
        let all: Vec<Partition> = self.running.keys().copied().collect();
        for partition in all {
            self.stop_one(partition).await;
        }
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
    }
}
