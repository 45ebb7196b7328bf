//! The mailboxes, on a log that stops answering.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use async_trait::async_trait;
use event_log::{Log, LogClock, LogError, MemoryLog, Reader, Stream, partition_of};
use events::{ContentHash, Epoch};
use projections::Model;
use tokio::sync::{oneshot, watch};

use super::*;
use crate::ask::{Ask, AskError};
use crate::effects::{Performed, Performer, Runner, RunnerConfig};
use crate::fold::{FoldHandle, Folder, FolderConfig};
use crate::shard::{Rejected, Route, ShardActor, ShardConfig, Stop};

/// A log that takes nothing while it is closed.
struct Gated {
    log: MemoryLog,
    open: watch::Receiver<bool>,
}

#[async_trait]
impl Log for Gated {
    fn clock(&self) -> LogClock {
        self.log.clock()
    }

    async fn append(&self, stream: Stream, bytes: Bytes) -> Result<u64, LogError> {
        self.open.clone().wait_for(|open| *open).await.unwrap();
        self.log.append(stream, bytes).await
    }

    async fn read(&self, stream: Stream, from: u64) -> Result<Reader, LogError> {
        self.log.read(stream, from).await
    }

    async fn end(&self, stream: Stream) -> Result<u64, LogError> {
        self.log.end(stream).await
    }

    async fn put(&self, bytes: Bytes) -> Result<ContentHash, LogError> {
        self.log.put(bytes).await
    }

    async fn mend(&self, bytes: Bytes) -> Result<ContentHash, LogError> {
        self.log.mend(bytes).await
    }

    async fn get(&self, hash: ContentHash) -> Result<Option<Bytes>, LogError> {
        self.log.get(hash).await
    }
}

struct Idle;

#[async_trait]
impl Performer for Idle {
    async fn perform(&self, _effect: &domain::Effect, _epoch: Epoch, _attempt: u32) -> Performed {
        Performed { report: None, again: crate::effects::Again::No }
    }
}

/// A shard that owns the only partition.
struct Setup {
    shard: Addr<ShardActor>,
    fold: FoldHandle,
    log: Arc<Gated>,
    gate: watch::Sender<bool>,
    owning: watch::Receiver<BTreeMap<Partition, Epoch>>,
}

impl Setup {
    async fn new() -> Self {
        let (gate, open) = watch::channel(true);
        let log = Arc::new(Gated { log: MemoryLog::new(), open });
        let model = Model::new(partition_of);
        let fold =
            Folder::start(FolderConfig { log: log.clone(), partitions: 1, model, store: None });
        let (owning, mut seen) = watch::channel(BTreeMap::new());
        let performer = Arc::new(Idle);
        let (_, effects) =
            Runner::new(RunnerConfig { performer, owning: seen.clone(), partitions: 1 });
        let config = ShardConfig {
            partition: HERE,
            identity: identity(),
            log: log.clone(),
            partitions: 1,
            fold: fold.clone(),
            effects,
            owning,
        };
        let shard = ShardActor::new(config).start();
        fold.register(HERE, shard.clone()).await;
        seen.wait_for(|owning| owning.contains_key(&HERE)).await.unwrap();
        Self { shard, fold, log, gate, owning: seen }
    }

    async fn ask(&self, number: u64) -> oneshot::Receiver<Answer> {
        let (reply, answer) = oneshot::channel();
        self.shard.send(Route(Ask { envelope: observe(number, 1), reply })).await.unwrap();
        answer
    }
}

/// Time is simulated: it passes when nothing else is left to do.
async fn minutes_pass(minutes: u64) {
    tokio::time::sleep(Duration::from_secs(60 * minutes)).await;
}

/// As on a full disk: what the shard is told must not wait for an entity that waits for the log.
#[actix::test]
async fn regression_a_log_that_does_not_answer_for_long_blocks_nobody() {
    tokio::time::pause();
    let setup = Setup::new().await;
    setup.gate.send_replace(false);
    let answer = setup.ask(1).await;
    minutes_pass(10).await;
    let told = setup.shard.send(Rejected { bytes: Bytes::new() });
    tokio::time::timeout(Duration::from_secs(1), told).await.unwrap().unwrap();
    setup.gate.send_replace(true);
    assert_eq!(answer.await.unwrap().map(|events| events.len()), Ok(1));
}

#[actix::test]
async fn regression_a_shard_that_cannot_stop_in_order_stops_all_the_same() {
    tokio::time::pause();
    let mut setup = Setup::new().await;
    setup.gate.send_replace(false);
    let answer = setup.ask(1).await;
    setup.shard.send(Stop).await.unwrap();
    assert!(setup.shard.connected(), "what is in the log is waited for");
    setup.owning.wait_for(BTreeMap::is_empty).await.unwrap();
    assert!(answer.await.is_err(), "nobody knows");
    assert!(!setup.shard.connected());
}

#[actix::test]
async fn what_counts_is_answered_before_it_stops() {
    tokio::time::pause();
    let mut setup = Setup::new().await;
    setup.gate.send_replace(false);
    let answer = setup.ask(1).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    setup.shard.send(Stop).await.unwrap();
    setup.gate.send_replace(true);
    assert!(answer.await.unwrap().is_ok());
    setup.owning.wait_for(BTreeMap::is_empty).await.unwrap();
}

/// It would hold on to the log, one for each ownership.
#[actix::test]
async fn regression_the_reader_of_the_command_stream_ends_with_its_shard() {
    tokio::time::pause();
    let Setup { shard, fold, log, owning, .. } = &mut Setup::new().await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    fold.unregister(HERE).await;
    let while_it_runs = Arc::strong_count(log);
    shard.send(Stop).await.unwrap();
    owning.wait_for(BTreeMap::is_empty).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(Arc::strong_count(log), while_it_runs - 2, "the shard's own, and its reader's");
}

#[actix::test]
async fn an_entity_that_was_let_go_is_started_again_from_what_counts() {
    tokio::time::pause();
    let setup = Setup::new().await;
    setup.ask(1).await.await.unwrap().unwrap();
    minutes_pass(10).await;
    let events = setup.ask(2).await.await.unwrap().unwrap();
    assert_eq!(events[0].aggregate_sequence, 2);
    let refused = setup.ask(2).await.await.unwrap();
    assert_eq!(refused.map_err(|error| matches!(error, AskError::Refused(_))), Ok(vec![]));
}
