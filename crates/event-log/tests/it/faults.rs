//! The log that fails, and owners that come through it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use event_log::conformance::{Owner, observe};
use event_log::{AppendFault, Failure, FaultyLog, Log, LogError, MemoryLog, Odds, Stream};
use events::cluster::ClusterEvent;
use events::{ContentHash, Event, Partition, Record};
use fastrand::Rng;

const PARTITION: Partition = Partition(1);
const EVENTS: Stream = Stream::Events(PARTITION);

fn texts(log: &MemoryLog) -> Vec<String> {
    let entries = log.dump(EVENTS).into_iter();
    entries.map(|record| String::from_utf8(record.bytes.into()).unwrap()).collect()
}

async fn append(log: &impl Log, text: &'static str) -> Result<u64, LogError> {
    log.append(EVENTS, Bytes::from_static(text.as_bytes())).await
}

#[tokio::test]
async fn each_fault_does_what_it_says() {
    let script = [
        None,
        Some(AppendFault::Lost),
        Some(AppendFault::UnknownLost),
        Some(AppendFault::UnknownStored),
        Some(AppendFault::Late),
        Some(AppendFault::Doubled),
        Some(AppendFault::DoubledLate),
    ];
    let memory = MemoryLog::new();
    let log = FaultyLog::scripted(memory.clone(), script);
    let mut answers = Vec::new();
    for text in ["plain", "lost", "unknown-lost", "stored", "late", "doubled", "again"] {
        answers.push(append(&log, text).await.map_err(|error| error.failure()));
    }
    let (lost, unknown) = (Err(Failure::Determinate), Err(Failure::Indeterminate));
    assert_eq!(answers, [Ok(0), lost, unknown, unknown, unknown, Ok(2), Ok(4)]);
    assert_eq!(texts(&memory)[..5], ["plain", "stored", "doubled", "doubled", "again"]);

    log.land().await.unwrap();
    let mut landed = texts(&memory)[5..].to_vec();
    landed.sort();
    assert_eq!(landed, ["again", "late"]);
    assert_eq!(append(&log, "the script is over").await.unwrap(), 7);
    assert_eq!(log.injected(), 6);
}

#[tokio::test]
async fn what_is_late_lands_by_itself() {
    let memory = MemoryLog::new();
    let log = FaultyLog::scripted(memory.clone(), [Some(AppendFault::Late)]);
    append(&log, "late").await.unwrap_err();
    for _ in 0..20 {
        append(&log, "on time").await.unwrap();
    }
    assert!(texts(&memory).contains(&"late".to_owned()));
    assert_eq!(log.land().await.unwrap(), 0);
}

#[tokio::test]
async fn content_and_reading_fail_and_go_on() {
    let odds = Odds { put_fails: 500, ask_fails: 500, read_breaks: 300, ..Odds::default() };
    let log = FaultyLog::seeded(MemoryLog::new(), 5, odds);
    let bytes = Bytes::from_static(b"content");
    let mut failures = Vec::new();
    for _ in 0..30 {
        failures.extend(log.put(bytes.clone()).await.err().map(|error| error.failure()));
    }
    assert!(failures.contains(&Failure::Determinate) && failures.contains(&Failure::Indeterminate));
    let mut found = Vec::new();
    for _ in 0..30 {
        found.extend(log.get(ContentHash::of(&bytes)).await);
    }
    assert!(!found.is_empty() && found.len() < 30);
    assert!(found.iter().all(|content| content.as_ref() == Some(&bytes)));

    for _ in 0..100 {
        append(&log, "entry").await.unwrap();
    }
    let mut read = Vec::new();
    let mut breaks = 0;
    while read.len() < 100 {
        let mut reader = log.read(EVENTS, read.len() as u64).await.unwrap();
        while let Some(Ok(record)) = reader.try_next() {
            read.push(record.offset);
        }
        assert!(reader.try_next().is_none(), "an error is the end of a reader");
        breaks += 1;
    }
    assert!(read.into_iter().eq(0..100));
    assert!(breaks > 10);
}

/// What was to be decided: each once, in the order of its node.
fn tasks(node: usize) -> impl Iterator<Item = String> {
    (0..30).map(move |n| format!("task {n} of node {node}"))
}

/// Decides a task the way an owner must: after a determinate failure try again; after an
/// indeterminate one claim, and look whether it was decided.
async fn decide(owner: &mut Owner, task: &str) {
    while !said(owner).contains_key(task) {
        let mut chain = owner.chain;
        let frame = chain.frame(task, 2);
        match owner.append(frame).await {
            Ok(offset) => {
                owner.read_to(offset).await;
                if said(owner).contains_key(task) {
                    owner.chain = chain;
                    return;
                }
                // Somebody else has claimed.
                take_over(owner).await;
            }
            Err(error) if error.failure() == Failure::Determinate => {}
            Err(_) => take_over(owner).await,
        }
    }
}

async fn take_over(owner: &mut Owner) {
    while !matches!(owner.try_claim().await, Ok(true)) {}
}

/// How often each task was decided, by all nodes, as this one has accepted it.
fn said(owner: &Owner) -> BTreeMap<&str, usize> {
    let mut said = BTreeMap::new();
    for accepted in &owner.accepted {
        let Record::Frame(frame) = &accepted.record else { continue };
        for envelope in &frame.events {
            if let Event::Cluster(ClusterEvent::ClusterHealthLost(lost)) = &envelope.event {
                *said.entry(lost.message.as_str()).or_default() += 1;
            }
        }
    }
    said
}

/// Three nodes fight over one partition on a log where everything fails. In the end every task of
/// every node was decided exactly once, and whoever reads the log agrees.
#[tokio::test]
async fn owners_come_through_everything() {
    let mut faults = 0;
    for seed in xtask::seeds!(40, 2_000) {
        let memory = MemoryLog::new();
        let faulty = FaultyLog::seeded(memory.clone(), seed, Odds::foul());
        let log: Arc<dyn Log> = Arc::new(faulty.clone());
        let mut random = Rng::with_seed(seed);
        let mut nodes = Vec::new();
        for node in 0..3 {
            let mut owner = Owner::new(&log, PARTITION, &format!("node-{node}")).await;
            take_over(&mut owner).await;
            nodes.push((owner, tasks(node).collect::<Vec<_>>().into_iter()));
        }
        let mut busy = vec![0, 1, 2];
        while !busy.is_empty() {
            let turn = random.usize(..busy.len());
            let (owner, tasks) = &mut nodes[busy[turn]];
            match tasks.next() {
                Some(task) => decide(owner, &task).await,
                None => drop(busy.remove(turn)),
            }
        }
        faulty.land().await.unwrap();

        // A claim that works is the proof of having read all.
        faulty.set_odds(Odds::default());
        for (owner, _) in &mut nodes {
            take_over(owner).await;
        }
        let (last, _) = &nodes[2];
        let mut end = last.acceptor.resume_from();
        let expected: Vec<String> = (0..3).flat_map(tasks).collect();
        for task in &expected {
            assert_eq!(said(last).get(task.as_str()), Some(&2), "seed {seed}: {task}, 2 events");
        }
        for node in 0..3 {
            let of_node: Vec<_> = last.accepted.iter().filter_map(first_message).collect();
            let of_node: Vec<_> =
                of_node.into_iter().filter(|task| task.ends_with(&format!("{node}"))).collect();
            assert_eq!(of_node, tasks(node).collect::<Vec<_>>(), "seed {seed}: in their order");
        }

        end = end.max(memory.dump(EVENTS).last().unwrap().offset);
        let (observer, accepted) = observe(&memory, PARTITION, end).await;
        assert_eq!((observer, &accepted), (last.acceptor, &last.accepted), "seed {seed}");
        faults += faulty.injected();
    }
    assert!(faults > 1_000, "{faults} faults");
}

fn first_message(accepted: &event_log::Accepted) -> Option<String> {
    let Record::Frame(frame) = &accepted.record else { return None };
    match &frame.events.first()?.event {
        Event::Cluster(ClusterEvent::ClusterHealthLost(lost)) => Some(lost.message.clone()),
        Event::Cluster(_) | Event::Placement(_) | Event::Fleet(_) => None,
    }
}

#[tokio::test]
async fn one_seed_gives_one_log() {
    let run = |seed| async move {
        let memory = MemoryLog::new();
        let log = FaultyLog::seeded(memory.clone(), seed, Odds::foul());
        let mut answers = Vec::new();
        for _ in 0..200 {
            answers.push(append(&log, "entry").await.map_err(|error| error.failure()));
        }
        (answers, memory.dump(EVENTS))
    };
    assert_eq!(run(3).await, run(3).await);
    assert_ne!(run(3).await, run(4).await);
}
