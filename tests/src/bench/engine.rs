//! The engine of a hub on a log: how many decisions a second, and how long one takes.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use event_log::{EmbeddedLog, Log, partition_of};
use event_log_kafka::{KafkaConfig, KafkaLog, Mode};
use events::Record;
use projections::Store;
use uuid::Uuid;
use xtask::bed::Bed;

use super::report::Recorder;
use super::workload;
use crate::recorded::{accept, entries};

/// How many commands are asked one after the other.
const HOPS: usize = 500;

/// The fleet whose placements move.
const MEMBERS: usize = 50;
const PLACEMENTS: usize = 100;

pub(super) async fn on_embedded(recorder: &Recorder) -> Result<()> {
    // Not in a temporary directory, which may be in memory: the disk is what is measured.
    let beside = std::env::current_exe()?;
    let disk = tempfile::tempdir_in(beside.parent().context("this program is in a directory")?)?;
    let open = |name: &str| EmbeddedLog::open(disk.path().join(name));
    for partitions in [1, 32] {
        let log = Arc::new(open(&format!("{partitions}.redb"))?);
        let rows = disk.path().join(format!("{partitions}.rows"));
        measure(recorder, log, &rows, partitions).await?;
    }
    moves(recorder, Arc::new(open("moves.redb")?), &disk.path().join("moves.rows")).await
}

pub(super) async fn on_kafka(recorder: &Recorder) -> Result<()> {
    let bed = Bed::shared().context("there is no test bed")?;
    let run = Uuid::new_v4().simple();
    let connect = async |name: &str| {
        let config = KafkaConfig {
            topic_prefix: format!("bench-{run}-{name}."),
            mode: Mode::Development,
            ..KafkaConfig::new(bed.kafka().bootstrap())
        };
        KafkaLog::connect(config).await.map(Arc::new)
    };
    let disk = tempfile::tempdir()?;
    for partitions in [1, 32] {
        let log = connect(&partitions.to_string()).await?;
        let rows = disk.path().join(format!("{partitions}.rows"));
        measure(recorder, log, &rows, partitions).await?;
    }
    moves(recorder, connect("moves").await?, &disk.path().join("moves.rows")).await
}

async fn measure(
    recorder: &Recorder,
    log: Arc<dyn Log>,
    rows: &Path,
    partitions: u16,
) -> Result<()> {
    let store = Store::open(rows, partition_of)?.store;
    let node = workload::start(log, Some(store), partitions).await?;
    let hops = workload::hops(node.router(), HOPS).await?;
    let how = format!("{} commands one after the other, each accepted and read back", hops.count());
    recorder.say(&format!("{partitions}.hop.p50"), hops.p50_ms(), &how);
    recorder.say(&format!("{partitions}.hop.p99"), hops.p99_ms(), &how);
    let (rate, how) = workload::decisions_per_second(node.router()).await?;
    recorder.say(&format!("{partitions}.decisions"), rate, how);
    node.shutdown().await;
    Ok(())
}

/// Whole moves of placements: scheduled, assigned, reported, reported back.
async fn moves(recorder: &Recorder, log: Arc<dyn Log>, rows: &Path) -> Result<()> {
    const PARTITIONS: u16 = 32;
    let store = Store::open(rows, partition_of)?.store;
    let node = workload::start(log.clone(), Some(store), PARTITIONS).await?;
    let took = workload::fleet_at_work(node.router(), MEMBERS, PLACEMENTS).await?;
    node.shutdown().await;
    let decisions = count_decisions(&*log, PARTITIONS).await?;
    let how = format!(
        "{PLACEMENTS} placements move twice on {MEMBERS} members that answer at once: {decisions} \
         decisions (assign, report, report back) in {:.1} s",
        took.as_secs_f64()
    );
    recorder.say("32.moves", decisions as f64 / took.as_secs_f64(), how);
    Ok(())
}

/// The decisions in all frames that count.
async fn count_decisions(log: &dyn Log, partitions: u16) -> Result<usize> {
    let accepted = accept(&entries(log, partitions).await?);
    let decisions = accepted.iter().map(|accepted| match &accepted.record {
        Record::Frame(frame) => frame.decisions.len(),
        Record::Claim(_) | Record::Genesis(_) => 0,
    });
    Ok(decisions.sum())
}
