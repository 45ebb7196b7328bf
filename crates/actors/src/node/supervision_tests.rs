//! Tasks of a node are killed, and it goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use event_log::lease::LeaseConfig;
use event_log::{Log, LogClock, LogError, MemoryLog, Reader, Stream};
use events::placement::TargetPhase;
use events::{AggregateId, ContentHash, PlacementKey};

use super::tests::{PARTITIONS, ask, config, eventually, join, node, start, submit};
use super::{NodeConfig, Ownership, Router};
use crate::concerns::Gravity;
use crate::shard::ClaimIdentity;

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Tasks that are named just now, with how bad that is.
fn named(router: &Router) -> Vec<(String, Gravity)> {
    let concerns = router.concerns().all().into_iter();
    let tasks = concerns.filter(|concern| concern.check == "task");
    tasks.map(|concern| (concern.about, concern.gravity)).collect()
}

/// Waits until a task is named that was broken.
async fn is_named(router: &Router, task: &str) {
    let wait = async {
        while !named(router).iter().any(|(name, _)| name == task) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{task} is not named"));
}

#[actix::test]
async fn regression_orders_are_carried_out_after_the_effect_runner_has_panicked() {
    let node = node(&MemoryLog::new()).await;
    let router = node.router();
    let key = PlacementKey::cluster("web");
    join(router, "eu-1").await;
    router.supervisor().break_task("effects");
    is_named(router, "effects").await;
    assert_eq!(named(router), [("effects".to_owned(), Gravity::Warning)]);
    ask(router, AggregateId::Placement(key.clone()), submit(1, b"one")).await;
    eventually(router, "it is delivered", |model| {
        let targets = &model.placements[&key].state.targets;
        targets.get("eu-1").is_some_and(|target| target.phase == TargetPhase::Available)
    })
    .await;
    node.shutdown().await;
}

#[actix::test]
async fn regression_placements_look_at_the_fleet_after_the_rescheduler_has_panicked() {
    let node = node(&MemoryLog::new()).await;
    let router = node.router();
    let key = PlacementKey::cluster("web");
    ask(router, AggregateId::Placement(key.clone()), submit(1, b"one")).await;
    router.supervisor().break_task("rescheduler");
    is_named(router, "rescheduler").await;
    join(router, "eu-1").await;
    eventually(router, "the new member gets it", |model| {
        model.placements[&key].state.targets.contains_key("eu-1")
    })
    .await;
    node.shutdown().await;
}

/// A log over whose clock whoever asks panics, once it is broken.
struct Fragile {
    log: MemoryLog,
    is_broken: Arc<AtomicBool>,
}

#[async_trait]
impl Log for Fragile {
    fn clock(&self) -> LogClock {
        assert!(!self.is_broken.load(Ordering::SeqCst), "broken by a test");
        self.log.clock()
    }

    async fn append(&self, stream: Stream, bytes: Bytes) -> Result<u64, LogError> {
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

#[actix::test]
async fn regression_another_node_takes_over_from_one_whose_ownership_has_panicked() {
    let (log, is_broken) = (MemoryLog::new(), Arc::new(AtomicBool::new(false)));
    let leases = LeaseConfig { ttl_ms: 600, renew_every_ms: 200, ..Default::default() };
    let named_node = |name: &str, log: Arc<dyn Log>| {
        let config = config(log, Ownership::Leased(leases));
        let identity = ClaimIdentity { node: name.to_owned(), ..config.identity.clone() };
        NodeConfig { identity, ..config }
    };
    let fragile = Fragile { log: log.clone(), is_broken: is_broken.clone() };
    let first = start(named_node("first", Arc::new(fragile))).await;
    let second = start(named_node("second", Arc::new(log))).await;
    let owns = |router: &Router, count: usize| {
        let mut owning = router.owning();
        async move { owning.wait_for(|owning| owning.len() == count).await.map(drop) }
    };
    let mut shared = first.router().owning();
    shared.wait_for(|owning| !owning.is_empty()).await.unwrap();

    is_broken.store(true, Ordering::SeqCst);
    is_named(first.router(), "ownership").await;
    assert_eq!(named(first.router()), [("ownership".to_owned(), Gravity::Blocking)]);
    for (router, count) in [(first.router(), 0), (second.router(), usize::from(PARTITIONS))] {
        tokio::time::timeout(PATIENCE, owns(router, count)).await.unwrap().unwrap();
    }
    first.shutdown().await;
    second.shutdown().await;
}
