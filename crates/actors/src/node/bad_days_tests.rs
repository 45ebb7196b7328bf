//! A node on bad days: its log went backwards or is another one, its rows cannot be written, its
//! name was taken.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::fleet::{FleetCommand, HandOverFleet};
use event_log::lease::LeaseConfig;
use event_log::{EmbeddedLog, Log, MemoryLog, Stream, partition_of};
use events::{AggregateId, Partition, Principal, Record};
use projections::Store;
use uuid::Uuid;

use super::tests::{PARTITIONS, ask, config, eventually, join, node, start, submit};
use super::{
    GenesisError, Handover, HubCluster, Node, NodeConfig, NodeError, NodeStatus, Ownership, Router,
};
use crate::ask::AskError;
use crate::fold::testing::Replaceable;

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// With rows in a directory.
fn with_rows(config: NodeConfig, rows: &Path) -> NodeConfig {
    let opened = Store::open(rows, partition_of).unwrap();
    NodeConfig { model: opened.model, store: Some(opened.store), ..config }
}

/// Waits for what a node shows of itself.
async fn shows(router: &Router, what: &str, holds: impl Fn(&NodeStatus) -> bool) {
    let wait = async {
        while !holds(&router.status()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, wait).await.is_err() {
        panic!("never: {what}; the status is {:#?}", router.status());
    }
}

fn owns_all(status: &NodeStatus) -> bool {
    status.owning.len() == usize::from(PARTITIONS)
}

/// How many claims stand in the log, whether they count or not.
fn claims(log: &MemoryLog) -> usize {
    let streams = (0..PARTITIONS).map(|partition| Stream::Events(Partition(partition)));
    let records = streams.flat_map(|stream| log.dump(stream));
    let claims =
        records.filter(|record| matches!(Record::from_bytes(&record.bytes), Ok(Record::Claim(_))));
    claims.count()
}

/// As after a rebuild: whoever claims what it has not read yet claims an epoch of former days.
#[actix::test]
async fn regression_nothing_is_claimed_before_the_log_is_read() {
    let log = Replaceable::new(MemoryLog::new());
    for restart in 1..=3 {
        log.hold(Stream::Events(Partition(2)));
        let node = start(config(Arc::new(log.clone()), Ownership::Alone)).await;
        shows(node.router(), "it waits for one partition alone", |status| {
            status.catching_up.as_ref().is_some_and(|at| at.partitions_behind() == 1)
        })
        .await;
        log.release();
        shows(node.router(), "it owns everything", owns_all).await;
        assert_eq!(node.router().status().catching_up, None);
        node.shutdown().await;
        assert_eq!(claims(&log.current()), restart * usize::from(PARTITIONS));
    }
    let report = crate::replay::verify(&log.current(), PARTITIONS).await.unwrap();
    assert_eq!(report.rejected, 0);
}

/// Others go on owning what this node cannot serve yet.
#[actix::test]
async fn regression_a_node_takes_part_only_when_it_has_read_the_log() {
    let log = Replaceable::new(MemoryLog::new());
    let first = node(&log.current()).await;
    join(first.router(), "eu-1").await;
    first.shutdown().await;

    log.hold(Stream::Events(Partition(2)));
    let leases =
        Ownership::Leased(LeaseConfig { ttl_ms: 300, renew_every_ms: 100, ..Default::default() });
    let node = start(config(Arc::new(log.clone()), leases)).await;
    let router = node.router();
    shows(router, "it waits for one partition alone", |status| {
        status.catching_up.as_ref().is_some_and(|at| at.partitions_behind() == 1)
    })
    .await;
    let current = log.current();
    assert_eq!((router.status().owning, claims(&current)), (BTreeMap::new(), 4));
    assert_eq!(current.end(Stream::Membership).await.unwrap(), 0, "nobody knows of it");

    log.release();
    shows(router, "it owns everything", owns_all).await;
    node.shutdown().await;
}

/// Has a node on the log and these rows register clusters.
async fn history_and_rows(log: &dyn Fn() -> Arc<dyn Log>, rows: &Path, names: &[&str]) {
    let node = start(with_rows(config(log(), Ownership::Alone), rows)).await;
    for name in names {
        join(node.router(), name).await;
    }
    node.shutdown().await;
}

/// Waits until everything has let go of the rows, and opens them.
async fn opened(config: impl Fn() -> NodeConfig, rows: &Path) -> NodeConfig {
    let wait = async {
        while Store::open(rows, partition_of).is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("a node that has ended lets go of its rows");
    with_rows(config(), rows)
}

async fn copy(from: &MemoryLog, leave: usize) -> MemoryLog {
    let copy = MemoryLog::new();
    for stream in (0..PARTITIONS).map(|partition| Stream::Events(Partition(partition))) {
        let records = from.dump(stream);
        for record in &records[..records.len().saturating_sub(leave).max(1)] {
            copy.append(stream, record.bytes.clone()).await.unwrap();
        }
    }
    copy
}

/// Checks that a node on a log that went backwards is of the log's opinion, and works.
async fn assert_rebuilt(config: impl Fn() -> NodeConfig, rows: &Path) {
    let node = start(opened(&config, rows).await).await;
    let quarantine = rows.with_file_name("quarantine").join("rows-1");
    assert!(quarantine.join("db").exists(), "what was derived before is set aside");
    let router = node.router();
    shows(router, "it owns everything", owns_all).await;
    assert!(!router.fold().model().clusters.contains_key("us-1"), "it has not happened");
    join(router, "ap-1").await;
    node.shutdown().await;
    let log = config().log;
    let report = crate::replay::verify(&*log, PARTITIONS).await.unwrap();
    assert_eq!((report.first_difference, report.rejected), (None, 0));
}

#[actix::test]
async fn regression_projections_of_a_log_that_went_backwards_are_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let (rows, log) = (dir.path().join("rows"), MemoryLog::new());
    let all = || -> Arc<dyn Log> { Arc::new(log.clone()) };
    history_and_rows(&all, &rows, &["eu-1"]).await;
    let older = copy(&log, 0).await;
    let node = start(opened(|| config(all(), Ownership::Alone), &rows).await).await;
    join(node.router(), "us-1").await;
    node.shutdown().await;
    assert!(!dir.path().join("quarantine").exists(), "a log that only grew is the same log");

    let config = || config(Arc::new(older.clone()), Ownership::Alone);
    assert_rebuilt(config, &rows).await;
}

#[actix::test]
async fn regression_projections_of_a_log_restored_from_a_copy_are_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let (rows, file) = (dir.path().join("rows"), dir.path().join("log"));
    let (other_rows, copy) = (dir.path().join("other-rows"), dir.path().join("copy"));
    let open = || -> Arc<dyn Log> { Arc::new(EmbeddedLog::open(&file).unwrap()) };
    history_and_rows(&open, &rows, &["eu-1"]).await;
    let_go(&file).await;
    std::fs::copy(&file, &copy).unwrap();
    let node = start(opened(|| config(open(), Ownership::Alone), &rows).await).await;
    join(node.router(), "us-1").await;
    node.shutdown().await;
    let_go(&file).await;
    // Meanwhile another history was written on top of the copy: as long as the first one.
    std::fs::copy(&copy, &file).unwrap();
    history_and_rows(&open, &other_rows, &["us-2", "us-3", "us-4"]).await;
    let_go(&file).await;

    let log = open();
    assert_rebuilt(|| config(log.clone(), Ownership::Alone), &rows).await;
}

/// Waits until the file of a log is nobody's.
async fn let_go(file: &Path) {
    let wait = async {
        while EmbeddedLog::open(file).is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("a node that has ended lets go of its log");
}

/// No second fleet is founded where somebody has mistaken the log.
#[actix::test]
async fn regression_an_empty_log_is_refused_when_there_was_one() {
    let dir = tempfile::tempdir().unwrap();
    let rows = dir.path().join("rows");
    let log = MemoryLog::new();
    history_and_rows(&|| Arc::new(log.clone()), &rows, &[]).await;
    let empty = MemoryLog::new();
    let config = opened(|| config(Arc::new(empty.clone()), Ownership::Alone), &rows).await;
    let refused = Node::start(config).await.err();
    assert!(
        matches!(refused, Some(NodeError::Genesis(GenesisError::Emptied { .. }))),
        "{refused:?}"
    );
    assert_eq!(empty.end(Stream::Events(Partition(0))).await.unwrap(), 0);
}

/// Nothing is decided, and nothing appended, on top of a history that is not the one that was read.
#[actix::test]
async fn regression_a_node_stops_when_its_log_is_replaced() {
    let log = Replaceable::new(MemoryLog::new());
    let node = start(config(Arc::new(log.clone()), Ownership::Alone)).await;
    join(node.router(), "eu-1").await;
    eventually(node.router(), "the fleet is founded", |model| model.fleet.sequence > 0).await;

    // Of the same length at least, so that no read fails.
    let other = copy(&log.current(), 3).await;
    for stream in (0..PARTITIONS).map(|partition| Stream::Events(Partition(partition))) {
        for _ in 0..10 {
            other.append(stream, "another".into()).await.unwrap();
        }
    }
    let before: Vec<_> =
        (0..PARTITIONS).map(|p| other.dump(Stream::Events(Partition(p)))).collect();
    log.replace(other.clone());
    shows(node.router(), "it has stopped", |status| status.stopped.is_some()).await;
    shows(node.router(), "it owns nothing", |status| status.owning.is_empty()).await;
    let reason = node.router().status().stopped.unwrap();
    assert!(reason.contains("is not the log that was read before"), "{reason}");
    assert!(reason.contains("restart this hub"), "{reason}");
    let refused =
        node.router().ask(AggregateId::Fleet, submit(1, b"one").into(), Principal::System).await;
    assert!(matches!(refused, Err(AskError::NotOwner { .. })), "{refused:?}");
    node.shutdown().await;
    let after: Vec<_> = (0..PARTITIONS).map(|p| other.dump(Stream::Events(Partition(p)))).collect();
    assert_eq!(before, after, "nothing was written to the other log");
}

/// Decisions go on while rows cannot be written, and what was missed is written later.
#[actix::test]
async fn regression_rows_that_could_not_be_written_are_built_again() {
    let (log, dir) = (MemoryLog::new(), tempfile::tempdir().unwrap());
    let first = node(&log).await;
    join(first.router(), "eu-1").await;
    first.shutdown().await;

    let mut opened = Store::open(&dir.path().join("rows"), partition_of).unwrap();
    // From now on this store fails at every write.
    drop(opened.store.start_over("for a test").unwrap());
    let config = config(Arc::new(log.clone()), Ownership::Alone);
    let node = start(NodeConfig { store: Some(opened.store), ..config }).await;
    let router = node.router();
    shows(router, "it says so", |status| {
        status.projections.as_ref().is_some_and(|why| why.contains("could not be written"))
    })
    .await;
    join(router, "us-1").await;
    shows(router, "they are there again", |status| status.projections.is_none()).await;
    join(router, "ap-1").await;

    let folded = router.fold().model().view.watermark.clone();
    let queries = router.fold().queries().unwrap();
    let is_written = || queries.watermark_at(events::Timestamp::MAX).unwrap() == folded;
    shows(router, "everything is written", |_| is_written()).await;
    for name in ["eu-1", "us-1", "ap-1"] {
        let id = AggregateId::Cluster(name.to_owned());
        let history = queries.history(&id, 1, 10).unwrap().items;
        let known = router.fold().model().clusters[name].sequence;
        assert_eq!(history.len() as u64, known, "{name}");
    }
    drop(queries);
    node.shutdown().await;
}

/// As two hubs that were given one name.
#[actix::test]
async fn regression_a_node_whose_name_was_taken_says_so_and_rests() {
    let log = MemoryLog::new();
    let leases =
        Ownership::Leased(LeaseConfig { ttl_ms: 600, renew_every_ms: 200, ..Default::default() });
    let first = start(config(Arc::new(log.clone()), leases)).await;
    shows(first.router(), "it owns everything", owns_all).await;
    let second = start(config(Arc::new(log.clone()), leases)).await;
    shows(first.router(), "it was superseded", |status| status.superseded.is_some()).await;
    shows(first.router(), "it owns nothing", |status| status.owning.is_empty()).await;
    let reason = first.router().status().superseded.unwrap();
    assert!(reason.contains("under the node name test") && reason.contains("`node`"), "{reason}");

    shows(second.router(), "the later one owns everything", owns_all).await;
    first.shutdown().await;
    assert_eq!(second.router().status().superseded, None);
    second.shutdown().await;
}

/// A shard that waits for the log does not keep a node from ending, nor seems to be owned for ever.
#[actix::test]
async fn regression_a_shard_that_does_not_end_is_given_up() {
    let log = Replaceable::new(MemoryLog::new());
    let node = start(config(Arc::new(log.clone()), Ownership::Alone)).await;
    shows(node.router(), "it owns everything", owns_all).await;
    log.hang_appends();
    let asking = {
        let router = node.router().clone();
        tokio::spawn(async move { join(&router, "eu-1").await })
    };
    log.append_waits().await;
    let owning = node.router().owning();
    tokio::time::timeout(PATIENCE, node.shutdown()).await.expect("it ends");
    assert_eq!(*owning.borrow(), BTreeMap::new());
    asking.abort();
}

/// Two hub clusters on one log would each deliver what they hold to the members of the other.
#[actix::test]
async fn a_node_lets_go_when_its_deployment_is_handed_over_to_another_hub_cluster() {
    let log = MemoryLog::new();
    let first = node(&log).await;
    shows(first.router(), "it owns everything", owns_all).await;
    let handover = Uuid::now_v7();
    let command = FleetCommand::HandOverFleet(HandOverFleet {
        handover,
        hub: "elsewhere".to_owned(),
        from_hub: Some("hub".to_owned()),
        from_deployment: None,
    });
    ask(first.router(), AggregateId::Fleet, command).await;
    shows(first.router(), "it lets go", |status| status.owning.is_empty()).await;
    let reason = first.router().status().superseded.unwrap();
    assert!(reason.contains("handed over to the hub cluster elsewhere"), "{reason}");
    assert!(reason.contains("taffrail handover --config FILE"), "{reason}");
    first.shutdown().await;

    let before = claims(&log);
    let again = node(&log).await;
    shows(again.router(), "it stays away", |status| status.superseded.is_some()).await;
    assert_eq!(again.router().status().owning, BTreeMap::new());
    again.shutdown().await;
    assert_eq!(claims(&log), before, "nothing was claimed");

    let handover = Handover { id: handover, from_hub: None, from_deployment: None };
    let hub = HubCluster { identity: "elsewhere".to_owned(), handover: Some(handover) };
    let config = config(Arc::new(log.clone()), Ownership::Alone);
    let there = start(NodeConfig { hub, ..config }).await;
    shows(there.router(), "it owns everything", owns_all).await;
    there.shutdown().await;
}

/// How many records did not count, and where the last of them stands.
fn rejections(router: &Router) -> (u64, Option<(Partition, u64, String)>) {
    let model = router.fold().model();
    let all = model.checkpoints.iter();
    let count = all.clone().map(|(_, at)| at.rejections.count).sum();
    let mut newest =
        all.filter_map(|(partition, at)| Some((*partition, at.rejections.newest.last()?)));
    let last =
        newest.next_back().map(|(partition, last)| (partition, last.offset, last.reason.clone()));
    (count, last)
}

#[actix::test]
async fn records_that_do_not_count_are_counted_once_across_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let rows = dir.path().join("rows");
    let log = MemoryLog::new();
    let stream = Stream::Events(Partition(3));
    let fresh = || config(Arc::new(log.clone()), Ownership::Alone);
    let mut places = vec![];
    for round in 1..=3_u64 {
        let node = start(opened(fresh, &rows).await).await;
        shows(node.router(), "it owns everything", owns_all).await;
        // Nobody else writes here: it stands behind everything that counts until the next restart.
        let late = r#"{"claim":{"epoch":1,"node":"late","incarnation":"00000000-0000-0000-0000-000000000001","version":"0","time":"2026-01-01T00:00:00Z"}}"#;
        places.push(log.append(stream, late.into()).await.unwrap());
        shows(node.router(), "it is counted", |_| rejections(node.router()).0 == round).await;
        node.shutdown().await;
    }
    let last = |router: &Router| {
        let (count, last) = rejections(router);
        let (partition, offset, reason) = last.expect("there is one");
        assert!(reason.contains("epoch"), "{reason}");
        (count, partition, offset)
    };
    let expected = (3, Partition(3), places[2]);
    let node = start(opened(fresh, &rows).await).await;
    shows(node.router(), "it owns everything", owns_all).await;
    assert_eq!(last(node.router()), expected, "from its rows");
    node.shutdown().await;
    let node = self::node(&log).await;
    shows(node.router(), "it owns everything", owns_all).await;
    assert_eq!(last(node.router()), expected, "from the log");
    node.shutdown().await;
}
