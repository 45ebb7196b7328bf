//! How fast the embedded log is on this disk: `cargo run --release -p event-log --example rates`.
//!
//! Prints counts and times; judges nothing.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use event_log::conformance::{Chain, Owner, chain, observe, pipelined};
use event_log::{EmbeddedLog, Log, Stream};
use events::Partition;
use futures::FutureExt;

const PARTITION: Partition = Partition(1);
const EVENTS: Stream = Stream::Events(PARTITION);

#[tokio::main]
async fn main() {
    let directory = tempfile::TempDir::new_in(".").expect("a directory on this disk");
    let path = directory.path().join("log.redb");
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(&path).expect("a new log"));

    hop(&log).await;
    for (decisions, in_flight) in [(1, 1), (1, 128), (20, 32), (100, 16)] {
        decide(&log, decisions, in_flight).await;
    }
    replay(&log).await;
    drop(log);

    let since = Instant::now();
    let log = EmbeddedLog::open(&path).expect("the same log");
    println!("open after a clean close: {:?}", since.elapsed());
    let since = Instant::now();
    let verified = log.verify().expect("an intact log");
    println!("verify: {} entries in {:?}", verified.entries, since.elapsed());
    let size = std::fs::metadata(&path).expect("the file").len();
    println!("file: {} MiB", size / (1024 * 1024));
}

/// Append one frame, read it back.
async fn hop(log: &Arc<dyn Log>) {
    let mut owner = Owner::claimed(log, PARTITION, "a").await;
    let mut times = Vec::new();
    for n in 0..300 {
        let since = Instant::now();
        assert!(owner.commit(&format!("hop {n}"), 1).await);
        times.push(since.elapsed());
    }
    times.sort();
    let at = |percent: usize| times[times.len() * percent / 100];
    println!("hop (append, read back): p50 {:?}, p90 {:?}, p99 {:?}", at(50), at(90), at(99));
}

/// Frames of so many decisions each, so many frames in flight, read back by their owner.
async fn decide(log: &Arc<dyn Log>, decisions: u64, in_flight: usize) {
    const LASTS: Duration = Duration::from_secs(3);
    let mut owner = Owner::claimed(log, PARTITION, "a").await;
    let since = Instant::now();
    let mut decided = 0;
    while since.elapsed() < LASTS {
        let frames = (0..in_flight).map(|_| owner.chain.frame("a decision", decisions));
        let appends = frames.map(|frame| log.append(EVENTS, frame).boxed()).collect();
        let answers = pipelined(appends).await;
        let last = answers.into_iter().next_back().expect("answers").expect("an append");
        owner.read_to(last).await;
        decided += decisions * in_flight as u64;
    }
    let rate = decided as f64 / since.elapsed().as_secs_f64();
    println!("decisions, {decisions} a frame, {in_flight} frames in flight: {rate:.0}/s");
}

/// Read everything without looking at it, and with decoding and the acceptance rule.
async fn replay(log: &Arc<dyn Log>) {
    let marker = log.append(EVENTS, chain::claim(events::Epoch(0), "marker", uuid::Uuid::nil()));
    let end = marker.await.expect("a marker");
    let since = Instant::now();
    let mut reader = log.read(EVENTS, 0).await.expect("a reader");
    let (mut records, mut bytes) = (0_u64, 0);
    loop {
        let record = reader.next().await.expect("a record").expect("a readable log");
        records += 1;
        bytes += record.bytes.len();
        if record.offset == end {
            break;
        }
    }
    let mib = bytes as f64 / (1024.0 * 1024.0);
    let seconds = since.elapsed().as_secs_f64();
    println!("read: {records} frames, {mib:.0} MiB in {seconds:.2} s, {:.0} MiB/s", mib / seconds);

    let since = Instant::now();
    let (acceptor, _) = observe(&**log, PARTITION, end).await;
    let chain = Chain::on(&acceptor);
    let rate = chain.next.0 as f64 / since.elapsed().as_secs_f64();
    println!("read, decoded, accepted: {rate:.0} events/s");
}
