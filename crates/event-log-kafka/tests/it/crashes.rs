//! Brokers that are killed while an owner writes: nothing acknowledged is lost or doubled, and a
//! claim settles the rest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use event_log::conformance::Owner;
use event_log::{Failure, Log};
use event_log_kafka::{KafkaConfig, KafkaLog, Mode};
use events::{Partition, Record, Sequence};
use futures::stream::{FuturesOrdered, StreamExt};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::sync::oneshot;
use xtask::bed::Kafka;

use crate::bed::{fresh, open};

const PARTITION: Partition = Partition(1);
/// How many frames an owner has in flight.
const WINDOW: usize = 20;
/// How many frames are acknowledged before the broker is killed.
const BEFORE: usize = 300;
/// How many frames are acknowledged by the next leader, where the driver finds it by itself.
const AFTER: usize = 100;

/// What became of the frames of an owner, by their first sequence.
#[derive(Default)]
struct Written {
    acknowledged: BTreeMap<Sequence, u64>,
    unsettled: Vec<(Sequence, bytes::Bytes)>,
}

/// Writes frames, several in flight, until one fails or `enough` are acknowledged; then waits for
/// what is in flight. Says when it has written [`BEFORE`].
async fn write(
    owner: &mut Owner,
    log: &KafkaLog,
    enough: impl Fn(usize) -> bool,
    ready: oneshot::Sender<()>,
) -> Written {
    let (mut written, mut flying) = (Written::default(), FuturesOrdered::new());
    let (mut ready, mut number) = (Some(ready), 0);
    let stream = event_log::Stream::Events(PARTITION);
    loop {
        while flying.len() < WINDOW
            && written.unsettled.is_empty()
            && !enough(written.acknowledged.len())
        {
            let first = owner.chain.next;
            let frame = owner.chain.frame(&format!("frame {number}"), 2);
            number += 1;
            let mut append = log.append(stream, frame.clone());
            // What is polled first is stored first.
            let early = futures::poll!(&mut append);
            flying.push_back(async move {
                let answer = match early {
                    std::task::Poll::Ready(answer) => answer,
                    std::task::Poll::Pending => append.await,
                };
                (first, frame, answer)
            });
        }
        let Some((first, frame, answer)) = flying.next().await else { return written };
        match answer {
            Ok(offset) => {
                written.acknowledged.insert(first, offset);
            }
            Err(error) => {
                assert_eq!(error.failure(), Failure::Indeterminate, "{error:?}");
                written.unsettled.push((first, frame));
            }
        }
        if written.acknowledged.len() == BEFORE {
            ready.take().map(|ready| ready.send(()));
        }
    }
}

/// Checks what a new owner has found against what the old one was told.
fn check(written: &Written, new: &Owner) {
    let claimed_at = new.accepted.last().expect("the claim").offset;
    let found: BTreeMap<_, _> = new
        .accepted
        .iter()
        .filter(|one| matches!(one.record, Record::Frame(_)))
        .map(|one| (one.position.sequence, one.offset))
        .collect();
    let (settled, lost): (Vec<_>, Vec<_>) =
        written.unsettled.iter().map(|(first, _)| *first).partition(|one| found.contains_key(one));
    // Who goes on after a frame that got lost has it stored, and nobody acts on it.
    let is_stored_in_vain = |first: &Sequence, offset: &u64| {
        lost.iter().any(|lost| lost < first) && new.rejected.iter().any(|(at, _)| at == offset)
    };
    let mut counted = 0;
    for (first, offset) in &written.acknowledged {
        match found.get(first) {
            Some(place) => assert_eq!(place, offset, "an acknowledged frame is where it was put"),
            None => assert!(is_stored_in_vain(first, offset), "{first} was lost"),
        }
        counted += usize::from(found.contains_key(first));
    }
    assert_eq!(found.len(), counted + settled.len(), "nothing is doubled");
    assert!(found.values().all(|offset| *offset < claimed_at));
    eprintln!(
        "{} acknowledged, {} unsettled of which {} had happened, {} rejected",
        written.acknowledged.len(),
        written.unsettled.len(),
        settled.len(),
        new.rejected.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_is_killed_and_comes_back() {
    if !xtask::bed::wanted() {
        return;
    }
    let kafka = Arc::new(Kafka::start(1).expect("a broker"));
    // The driver is to give up before the broker is back.
    let mut config = fresh(kafka.bootstrap());
    config.properties.insert("message.timeout.ms".to_owned(), "2000".to_owned());
    let impatient = Arc::new(open(&config).await);
    config.properties.clear();
    let patient: Arc<dyn Log> = Arc::new(open(&config).await);

    let log: Arc<dyn Log> = Arc::clone(&impatient) as Arc<dyn Log>;
    let mut old = Owner::claimed(&log, PARTITION, "old").await;
    let (ready, written_enough) = oneshot::channel();
    let killing = tokio::spawn({
        let kafka = Arc::clone(&kafka);
        async move {
            written_enough.await.expect("frames are written");
            tokio::task::spawn_blocking(move || kafka.kill(1)).await
        }
    });
    let written = write(&mut old, &impatient, |_| false, ready).await;
    killing.await.expect("a task").expect("a thread").expect("it was running");
    assert!(written.acknowledged.len() >= BEFORE && !written.unsettled.is_empty());
    let again = Arc::clone(&kafka);
    tokio::task::spawn_blocking(move || again.start_node(1)).await.expect("a thread").expect("up");

    let mut new = Owner::claimed(&patient, PARTITION, "new").await;
    check(&written, &new);

    // What was unsettled and comes late after all does not count, for either of them.
    for (_, frame) in &written.unsettled {
        new.append(frame.clone()).await.expect("the log takes anything");
    }
    assert!(new.commit("the new owner goes on", 1).await);
    let rejected = new.rejected.len();
    assert!(rejected >= written.unsettled.len());
    // The old one's reader has lived through it all, and comes to the same history.
    old.read_to(new.acceptor.resume_from()).await;
    assert_eq!(old.acceptor, new.acceptor);
    assert_eq!(old.accepted, new.accepted);
}

/// The broker that leads a partition.
fn leader(config: &KafkaConfig) -> u32 {
    let client: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", &config.bootstrap).create().expect("a client");
    let topic = format!("{}events", config.topic_prefix);
    let metadata = client.fetch_metadata(Some(&topic), Duration::from_secs(60)).expect("metadata");
    let partitions = metadata.topics()[0].partitions();
    let led = partitions.iter().find(|one| one.id() == i32::from(PARTITION.0));
    u32::try_from(led.expect("the partition").leader()).expect("a leader")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_of_three_is_killed() {
    if !xtask::bed::wanted() {
        return;
    }
    let settings = ["broker.session.timeout.ms=3000", "broker.heartbeat.interval.ms=500"];
    let kafka = Arc::new(Kafka::start_with(3, &settings).expect("brokers"));
    let config = KafkaConfig { mode: Mode::Production, ..fresh(kafka.bootstrap()) };
    let log = Arc::new(open(&config).await);
    assert_eq!(log.findings(), [], "three brokers are production");
    let port: Arc<dyn Log> = Arc::clone(&log) as Arc<dyn Log>;
    let mut old = Owner::claimed(&port, PARTITION, "old").await;

    let asked = config.clone();
    let node = tokio::task::spawn_blocking(move || leader(&asked)).await.expect("a thread");
    let (ready, written_enough) = oneshot::channel();
    let killing = tokio::spawn({
        let kafka = Arc::clone(&kafka);
        async move {
            written_enough.await.expect("frames are written");
            tokio::task::spawn_blocking(move || kafka.kill(node)).await
        }
    });
    // The driver may come through the election by itself, or give up on what is in flight.
    let killed = AtomicUsize::new(usize::MAX);
    let enough = |acknowledged: usize| {
        if killing.is_finished() && killed.load(Ordering::Relaxed) == usize::MAX {
            killed.store(acknowledged, Ordering::Relaxed);
        }
        acknowledged >= killed.load(Ordering::Relaxed).saturating_add(AFTER)
    };
    let begin = Instant::now();
    let written = write(&mut old, &log, enough, ready).await;
    eprintln!("the leader was killed; {:?} in all", begin.elapsed());
    killing.await.expect("a task").expect("a thread").expect("it was running");

    // What was in flight when the leader died is settled by a claim.
    let mut owner = Owner::claimed(&port, PARTITION, "new").await;
    check(&written, &owner);
    assert!(owner.commit("and on", 1).await);
    old.read_to(owner.acceptor.resume_from()).await;
    assert_eq!((old.acceptor, &old.accepted), (owner.acceptor, &owner.accepted));

    let end = owner.acceptor.resume_from();
    // A node that starts now comes up, and says that a broker is down.
    let other = open(&config).await;
    let said: Vec<_> = other.findings().iter().map(|one| one.problem.as_str()).collect();
    assert_eq!(said, [format!("Kafka brokers that hold copies of the log are down: {node}")]);
    let (acceptor, accepted) = event_log::conformance::observe(&other, PARTITION, end).await;
    assert_eq!((acceptor, accepted), (owner.acceptor, owner.accepted.clone()));
}
