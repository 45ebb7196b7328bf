//! How fast a log is read again, on one core.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use event_log::{Accepted, MemoryLog, partition_of};
use events::Record;
use projections::{FoldStep, Model};

use super::report::Recorder;
use super::samples::Samples;
use super::workload;
use crate::recorded::{accept, entries};

const PARTITIONS: u16 = 32;

/// The fleet whose history is read.
const MEMBERS: usize = 50;
const PLACEMENTS: usize = 200;

/// How often each is measured; the median counts.
const RUNS: usize = 5;

pub(super) async fn measure(recorder: &Recorder) -> Result<()> {
    let log = Arc::new(MemoryLog::new());
    let node = workload::start(log.clone(), None, PARTITIONS).await?;
    workload::fleet_at_work(node.router(), MEMBERS, PLACEMENTS).await?;
    node.shutdown().await;

    let entries = entries(&*log, PARTITIONS).await?;
    let known = accept(&entries);
    ensure!(known.len() == entries.len(), "one owner's log has records that do not count");
    let events: usize = known.iter().map(|accepted| events_in(&accepted.record)).sum();
    let bytes: usize = entries.iter().map(|entry| entry.bytes.len()).sum();
    ensure!(events > 0, "the history has no events");
    let history = format!(
        "{events} events in {} records, {} bytes for each event with its command and follow-ups; \
         one thread, median of {RUNS}",
        entries.len(),
        bytes / events
    );
    let rate = |took: Duration| events as f64 / took.as_secs_f64();

    let evolve = median(|| {
        let mut model = Model::new(partition_of);
        for (entry, known) in entries.iter().zip(&known) {
            let record = Record::from_bytes(&entry.bytes).expect("it was accepted before");
            fold(&mut model, known, &record);
        }
    });
    recorder.say("evolve", rate(evolve), format!("{history}; without the hash chain"));
    let folded = median(|| {
        let mut model = Model::new(partition_of);
        accept(&entries).iter().for_each(|accepted| fold(&mut model, accepted, &accepted.record));
    });
    recorder.say("fold", rate(folded), &history);

    let since = Instant::now();
    let report = actors::replay::verify(&*log, PARTITIONS).await?;
    let verified = since.elapsed();
    ensure!(report.is_clean(), "the replay differs: {:?}", report.first_difference);
    let how = format!("{} decisions, once", report.decisions);
    recorder.say("verify", report.events as f64 / verified.as_secs_f64(), how);
    Ok(())
}

fn fold(model: &mut Model, accepted: &Accepted, record: &Record) {
    let partition = accepted.position.partition;
    let checkpoint = model.checkpoint(partition).after(accepted.offset, record, accepted.hash);
    let position = accepted.position;
    black_box(model.apply(&FoldStep { partition, position, record, checkpoint }));
}

fn events_in(record: &Record) -> usize {
    match record {
        Record::Frame(frame) => frame.events.len(),
        Record::Claim(_) | Record::Genesis(_) => 0,
    }
}

fn median(work: impl Fn()) -> Duration {
    let run = |_| {
        let since = Instant::now();
        work();
        since.elapsed()
    };
    Samples::of((0..RUNS).map(run).collect()).percentile(50)
}
