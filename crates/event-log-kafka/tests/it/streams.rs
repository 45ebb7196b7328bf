//! Streams as only Kafka has them: partitions that are paused, offsets with holes, logs that were
//! replaced or lost their beginning.

use std::time::Duration;

use bytes::Bytes;
use event_log::conformance::owner::next;
use event_log::conformance::pipelined;
use event_log::{Log, LogError, Reader, Stream};
use event_log_kafka::{KafkaConfig, KafkaLog, Mode, doctor};
use events::Partition;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::bed::{broker, fresh, open};

const SLOW: Stream = Stream::Events(Partition(0));
const BUSY: Stream = Stream::Events(Partition(1));
/// What an answer may take on a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(60);

fn admin(config: &KafkaConfig) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &config.bootstrap).create().expect("a client")
}

fn large(number: usize) -> Bytes {
    let mut bytes = format!("{number:09}").into_bytes();
    bytes.resize(800_000, b'x');
    bytes.into()
}

async fn fill(log: &KafkaLog, count: usize) {
    for answer in pipelined((0..count).map(|n| log.append(SLOW, large(n))).collect()).await {
        answer.expect("an entry is taken");
    }
}

async fn all_are_there(reader: &mut Reader, count: usize) {
    for n in 0..count {
        assert!(next(reader).await.bytes == large(n), "entry {n} comes in its turn");
    }
}

/// How a stream ends that cannot be read on.
async fn end_of(reader: &mut Reader) -> String {
    let reading = async {
        loop {
            match reader.next().await.expect("an open log") {
                Ok(_) => {}
                Err(LogError::Corrupt { what }) => return what,
                Err(other) => panic!("{other:?}"),
            }
        }
    };
    tokio::time::timeout(DEADLINE, reading).await.expect("an end in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_pauses_its_own_partition_only() {
    let Some(bootstrap) = broker() else { return };
    let log = open(&fresh(bootstrap)).await;
    let mut slow = log.read(SLOW, 0).await.expect("a reader");
    let mut busy = log.read(BUSY, 0).await.expect("a reader");

    // 40 MB, far more than may wait for one reader.
    fill(&log, 50).await;
    while log.stats().streams_paused == 0 {
        log.append(BUSY, Bytes::from_static(b"tick")).await.expect("an entry is taken");
        assert_eq!(next(&mut busy).await.bytes, "tick", "the other partition goes on");
    }
    assert_eq!(log.stats().lanes, 1, "both are read by one consumer");

    // However long that lasts, no more of it is read.
    for _ in 0..100 {
        log.append(BUSY, Bytes::from_static(b"tick")).await.expect("an entry is taken");
        assert_eq!(next(&mut busy).await.bytes, "tick");
        assert!(log.stats().bytes_waiting < 17 * 1024 * 1024, "{:?}", log.stats());
    }

    // What was paused comes to the last entry, in order, and goes on live.
    all_are_there(&mut slow, 50).await;
    log.append(SLOW, Bytes::from_static(b"live")).await.expect("an entry is taken");
    assert_eq!(next(&mut slow).await.bytes, "live");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_whose_reader_gave_up_while_it_was_paused_can_be_read_again() {
    let Some(bootstrap) = broker() else { return };
    let log = open(&fresh(bootstrap)).await;
    fill(&log, 50).await;
    let slow = log.read(SLOW, 0).await.expect("a reader");
    let mut busy = log.read(BUSY, 0).await.expect("a reader");
    while log.stats().streams_paused == 0 {
        log.append(BUSY, Bytes::from_static(b"tick")).await.expect("an entry is taken");
        assert_eq!(next(&mut busy).await.bytes, "tick");
    }
    drop(slow);

    let mut again = log.read(SLOW, 0).await.expect("a reader");
    all_are_there(&mut again, 50).await;
    assert_eq!(log.stats().lanes, 1, "the place of the first reader was free");
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_the_log_ends_its_readers() {
    let Some(bootstrap) = broker() else { return };
    let log = open(&fresh(bootstrap)).await;
    let mut reader = log.read(BUSY, 0).await.expect("a reader");
    log.append(BUSY, Bytes::from_static(b"last")).await.expect("an entry is taken");
    assert_eq!(next(&mut reader).await.bytes, "last");
    drop(log);
    let end = tokio::time::timeout(DEADLINE, reader.next()).await.expect("an end in time");
    assert!(end.is_none(), "{end:?}");
}

/// Somebody else writes in transactions. Their markers take offsets; what they aborted is not there.
#[tokio::test(flavor = "multi_thread")]
async fn offsets_have_holes() {
    let Some(bootstrap) = broker() else { return };
    let config = fresh(bootstrap);
    let log = open(&config).await;
    let topic = format!("{}events", config.topic_prefix);
    tokio::task::spawn_blocking(move || transactions(&config, &topic)).await.expect("a guest");
    let last = log.append(BUSY, Bytes::from_static(b"ours")).await.expect("an entry is taken");

    let mut reader = log.read(BUSY, 0).await.expect("a reader");
    let mut seen = Vec::new();
    while seen.last().is_none_or(|(offset, _)| *offset < last) {
        let record = next(&mut reader).await;
        seen.push((record.offset, record.bytes));
    }
    let texts: Vec<_> = seen.iter().map(|(_, bytes)| bytes.as_ref()).collect();
    assert_eq!(texts, [&b"kept"[..], b"kept", b"kept", b"ours"]);
    let offsets: Vec<_> = seen.iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets, [0, 2, 6, last], "markers and what was aborted lie between");
    assert!(log.end(BUSY).await.expect("an end") > last);

    // An offset in a hole is as good as any.
    let mut inside = log.read(BUSY, 3).await.expect("a reader");
    assert_eq!(next(&mut inside).await.offset, 6);
}

/// Commits two entries, aborts one, commits another one.
fn transactions(config: &KafkaConfig, topic: &str) {
    let guest: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &config.bootstrap)
        .set("transactional.id", topic)
        .create()
        .expect("a client");
    guest.init_transactions(DEADLINE).expect("transactions");
    for (text, commit) in [("kept", true), ("kept", true), ("aborted", false), ("kept", true)] {
        guest.begin_transaction().expect("a transaction");
        let record: BaseRecord<'_, str, str> = BaseRecord::to(topic).partition(1).payload(text);
        guest.send(record).map_err(|(error, _)| error).expect("an entry");
        guest.flush(DEADLINE).expect("it is stored");
        if commit {
            guest.commit_transaction(DEADLINE).expect("it is committed");
        } else {
            guest.abort_transaction(DEADLINE).expect("it is aborted");
        }
    }
}

/// The topics were lost and made anew: whoever knows more than there is must hear of it, and not
/// wait until the new log is as long as the old one.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_went_backwards_ends_its_reader() {
    let Some(bootstrap) = broker() else { return };
    let config = fresh(bootstrap);
    let log = open(&config).await;
    for _ in 0..5 {
        log.append(BUSY, Bytes::from_static(b"before")).await.expect("an entry is taken");
    }
    drop(log);
    let topic = format!("{}events", config.topic_prefix);
    let options = AdminOptions::new().operation_timeout(Some(DEADLINE));
    let deleted = admin(&config).delete_topics(&[&topic], &options).await.expect("an answer");
    assert!(deleted[0].is_ok(), "{deleted:?}");
    // The broker hears of it a moment after the controller has answered.
    while doctor(&config, Mode::Development).await.is_empty() {}

    let log = open(&config).await;
    log.append(BUSY, Bytes::from_static(b"after")).await.expect("an entry is taken");
    let mut reader = log.read(BUSY, 5).await.expect("a reader");
    assert_eq!(
        end_of(&mut reader).await,
        format!(
            "{topic} [1] ends at offset 1, but is to be read on from offset 5: it went backwards"
        )
    );
    // The others are not concerned, nor is the same partition from where it is now.
    let mut reader = log.read(BUSY, 0).await.expect("a reader");
    assert_eq!(next(&mut reader).await.bytes, "after");
}

/// Deletes the entries before offset 3 of a topic's partition 1, as retention does.
async fn trim(config: &KafkaConfig, topic: &str) {
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(topic, 1, Offset::Offset(3)).expect("an offset");
    let options = AdminOptions::new().operation_timeout(Some(DEADLINE));
    admin(config).delete_records(&before, &options).await.expect("they are deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_whose_beginning_is_gone_are_not_read() {
    let Some(bootstrap) = broker() else { return };
    let config = fresh(bootstrap);
    let log = open(&config).await;
    for _ in 0..5 {
        log.append(BUSY, Bytes::from_static(b"entry")).await.expect("an entry is taken");
    }
    let topic = format!("{}events", config.topic_prefix);
    trim(&config, &topic).await;
    let mut reader = log.read(BUSY, 0).await.expect("a reader");
    let what = end_of(&mut reader).await;
    assert!(what.starts_with(&format!("{topic} [1] begins at offset 3")), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_read_from_the_first_that_is_kept() {
    let Some(bootstrap) = broker() else { return };
    let config = fresh(bootstrap);
    let log = open(&config).await;
    let stream = Stream::Commands(Partition(1));
    for n in 0..5 {
        log.append(stream, Bytes::from(n.to_string())).await.expect("an entry is taken");
    }
    trim(&config, &format!("{}commands", config.topic_prefix)).await;
    let mut reader = log.read(stream, 0).await.expect("a reader");
    assert_eq!(next(&mut reader).await.bytes, "3");
    assert_eq!(next(&mut reader).await.bytes, "4");
}
