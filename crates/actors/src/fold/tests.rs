//! The folder on a log that fails it.

use std::sync::Arc;
use std::time::Duration;

use event_log::{Log, MemoryLog, Stream, partition_of};
use events::frame::RECORD_FORMAT;
use events::{Claim, Epoch, Genesis, Partition, Record, Timestamp};
use projections::Model;
use tokio::sync::watch;
use uuid::Uuid;

use super::folder::supervise;
use super::testing::Replaceable;
use super::{FoldHandle, FoldStatus, Folder, FolderConfig};

const HERE: Stream = Stream::Events(Partition(0));

/// A log of one partition with a genesis and some claims by a node.
async fn claimed(node: &str, claims: u64) -> MemoryLog {
    let log = MemoryLog::new();
    let genesis = Record::Genesis(Genesis {
        deployment: Uuid::from_u128(1),
        partitions: 1,
        format: RECORD_FORMAT,
        time: Timestamp::UNIX_EPOCH,
        hub: None,
    });
    append(&log, &genesis).await;
    for epoch in 1..=claims {
        append(&log, &claim(node, epoch)).await;
    }
    log
}

fn claim(node: &str, epoch: u64) -> Record {
    Record::Claim(Claim {
        epoch: Epoch(epoch),
        node: node.to_owned(),
        incarnation: Uuid::from_u128(epoch.into()),
        version: "0".to_owned(),
        time: Timestamp::UNIX_EPOCH,
    })
}

async fn append(log: &MemoryLog, record: &Record) {
    log.append(HERE, record.to_bytes().unwrap().into()).await.unwrap();
}

/// A folder that has read everything.
async fn caught_up(log: &Replaceable) -> FoldHandle {
    let handle = Folder::start(FolderConfig {
        log: Arc::new(log.clone()),
        partitions: 1,
        model: Model::new(partition_of),
        store: None,
    });
    handle.caught_up().await.unwrap();
    handle
}

fn epoch(handle: &FoldHandle) -> Epoch {
    handle.model().checkpoint(Partition(0)).epoch
}

/// Why it has stopped. Time is paused, so this takes no time.
async fn stopped(handle: &FoldHandle) -> String {
    let patience = Duration::from_secs(60);
    tokio::time::timeout(patience, handle.stopped()).await.expect("reading stops");
    handle.status().borrow().stopped.clone().unwrap()
}

#[tokio::test(start_paused = true)]
async fn regression_reading_stops_when_the_log_went_backwards() {
    let log = Replaceable::new(claimed("a", 5).await);
    let handle = caught_up(&log).await;
    assert_eq!(epoch(&handle), Epoch(5));
    log.replace(claimed("a", 3).await);
    let mut status = handle.status();
    let unread = status.wait_for(|status| !status.unread.is_empty()).await.unwrap().clone();
    assert_eq!(unread.stopped, None, "a broker may know less for a moment");
    let reason = stopped(&handle).await;
    assert!(reason.contains("ends at offset 4, and was read up to 5 before"), "{reason}");
    assert!(reason.contains("restart this hub"), "{reason}");
    assert_eq!(epoch(&handle), Epoch(5), "what was read stays as it was");
}

#[tokio::test(start_paused = true)]
async fn regression_reading_stops_when_another_log_has_grown_as_long() {
    let log = Replaceable::new(claimed("a", 5).await);
    let handle = caught_up(&log).await;
    log.replace(claimed("b", 9).await);
    let reason = stopped(&handle).await;
    assert!(reason.contains("is not the log that was read before"), "{reason}");
    assert_eq!(epoch(&handle), Epoch(5), "nothing is folded on top of another history");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_the_same_after_an_error_is_read_on() {
    let log = Replaceable::new(claimed("a", 5).await);
    let handle = caught_up(&log).await;
    log.replace(claimed("a", 5).await);
    append(&log.current(), &claim("a", 6)).await;
    let mut status = handle.status();
    let is_read = |status: &FoldStatus| status.watermark.of(Partition(0)).0 == 6;
    status.wait_for(is_read).await.unwrap();
    status.wait_for(|status| status.unread.is_empty()).await.unwrap();
    assert_eq!((epoch(&handle), status.borrow().stopped.clone()), (Epoch(6), None));
}

/// Brokers may leave places without a record, at the end as well.
#[tokio::test(start_paused = true)]
async fn a_log_that_ends_in_a_hole_is_read_to_its_end() {
    let log = MemoryLog::with_holes(3);
    append(&log, &claim("a", 1)).await;
    assert_eq!(log.end(HERE).await.unwrap(), 3);
    let handle = caught_up(&Replaceable::new(log)).await;
    assert_eq!(epoch(&handle), Epoch(1));
}

#[tokio::test]
async fn a_folder_that_panics_is_told() {
    let (status, seen) = watch::channel(FoldStatus::default());
    let folder = tokio::spawn(async { panic!("a test does that") });
    supervise(folder, status).await;
    let reason = seen.borrow().stopped.clone().unwrap();
    assert!(reason.contains("panicked") && reason.contains("restart"), "{reason}");
}
