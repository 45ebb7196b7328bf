//! The one producer of a log, for all topics and partitions.
//!
//! It is idempotent: what it retries is stored once and in order. That holds for one run of one
//! producer; when it dies (the driver calls that a fatal error), another one takes its place, and
//! whatever the dead one had in flight is unsettled.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, Weak};
use std::thread;
use std::time::{Duration, Instant};

use event_log::{LogClock, LogError};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _};
use rdkafka::{ClientConfig, Timestamp};

use crate::aside::Aside;
use crate::config::{ASK_AGAIN_AFTER, QUESTION_TIMEOUT};
use crate::context::Context;
use crate::error::{no_client, not_delivered, not_queued, refused, unsettled};
use crate::topics::{Topic, Topics, Track};

type Client = FutureProducer<Context>;

/// How long an append waits for the driver's word. The driver gives up after 10 s by its own
/// clock; this is the net below it.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(15);

/// The least time between two producers: a cluster that lets no producer live is not to be asked
/// for the next one all the time.
const REPLACED_AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct Producer {
    shared: Arc<Shared>,
}

struct Shared {
    config: ClientConfig,
    current: RwLock<Current>,
    /// Wakes the thread that replaces a dead producer.
    deaths: SyncSender<()>,
    replaced: AtomicU64,
    refused: AtomicU64,
    clock: LogClock,
}

struct Current {
    client: Aside<Client>,
    since: Instant,
}

impl Current {
    fn new(client: Client) -> Self {
        Self { client: Aside::new(client), since: Instant::now() }
    }
}

/// An entry on its way.
pub(crate) struct Sent {
    delivery: DeliveryFuture,
    /// When it was sent, and the clock that learns from when it was stored.
    timed: Option<(Instant, LogClock)>,
}

impl Producer {
    /// `clock` learns the brokers' time from what is sent.
    pub(crate) fn start(config: ClientConfig, clock: LogClock) -> Result<Self, LogError> {
        // Room for one: who is told of a death looks for himself, so more would say no more.
        let (deaths, told) = sync_channel(1);
        let current = Current::new(create(&config, deaths.clone())?);
        let shared = Arc::new(Shared {
            config,
            current: RwLock::new(current),
            deaths,
            replaced: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            clock,
        });
        let watched = Arc::downgrade(&shared);
        thread::Builder::new()
            .name("kafka-producer".to_owned())
            .spawn(move || replace_the_dead(&watched, &told))
            .map_err(|error| refused("start a thread that watches the producer", error))?;
        Ok(Self { shared })
    }

    /// Hands an entry to the driver. Does not wait; entries of one partition are stored in the
    /// order of these calls.
    pub(crate) fn send(
        &self,
        topics: &Topics,
        track: Track,
        key: &str,
        bytes: &[u8],
    ) -> Result<Sent, LogError> {
        let record = FutureRecord::to(topics.name(track.topic))
            .partition(i32::from(track.partition))
            .payload(bytes);
        let record = if key.is_empty() { record } else { record.key(key) };
        // One topic with one partition: brokers may differ, and this one's leader is asked.
        let tells_the_time = track.topic == Topic::Membership;
        let timed = tells_the_time.then(|| (Instant::now(), self.shared.clock.clone()));
        let queued = self.shared.current().client.send_result(record);
        queued.map(|delivery| Sent { delivery, timed }).map_err(|(error, _)| {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
            if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
                tell(&self.shared.deaths);
            }
            not_queued(error, bytes.len())
        })
    }

    /// The end of a partition. Blocks. While its leadership moves, the driver gives up at the first
    /// no; who asks again is answered.
    pub(crate) fn end(&self, topics: &Topics, track: Track) -> Result<u64, LogError> {
        let (name, partition) = (topics.name(track.topic), i32::from(track.partition));
        let client = self.client();
        let deadline = Instant::now() + QUESTION_TIMEOUT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match client.client().fetch_watermarks(name, partition, left) {
                Ok((_, end)) => {
                    return u64::try_from(end).map_err(|error| refused("ask for the end", error));
                }
                Err(error) if left < ASK_AGAIN_AFTER => {
                    return Err(refused("ask for the end", error));
                }
                Err(_) => thread::sleep(ASK_AGAIN_AFTER),
            }
        }
    }

    /// Lets the driver learn who leads which partition, so that the first append need not. Blocks.
    pub(crate) fn warm_up(&self, topics: &Topics) {
        for topic in crate::topics::Topic::ALL {
            let name = topics.name(topic);
            let known = self.client().client().fetch_metadata(Some(name), QUESTION_TIMEOUT);
            if let Err(error) = known {
                tracing::debug!(topic = name, %error, "no metadata yet");
            }
        }
    }

    /// How often a producer died and was replaced.
    pub(crate) fn replaced(&self) -> u64 {
        self.shared.replaced.load(Ordering::Relaxed)
    }

    /// How many entries the driver did not take.
    pub(crate) fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// The brokers' clock.
    pub(crate) fn clock(&self) -> &LogClock {
        &self.shared.clock
    }

    /// For what blocks: nobody who appends waits for it, not even while a producer is replaced.
    fn client(&self) -> Client {
        Client::clone(&self.shared.current().client)
    }
}

impl Sent {
    /// Waits until the entry is stored; gives its offset.
    pub(crate) async fn stored(self) -> Result<u64, LogError> {
        let answer = tokio::time::timeout(DELIVERY_TIMEOUT, self.delivery).await;
        let answer =
            answer.map_err(|late| unsettled("append: the driver does not answer", late))?;
        let answer = answer.map_err(|gone| unsettled("append: the producer is gone", gone))?;
        let delivery = answer.map_err(|(error, _)| not_delivered(error))?;
        if let Some((sent, clock)) = self.timed {
            learn(&clock, sent, delivery.timestamp);
        }
        // The driver reports success without an offset when it only concludes that an entry is
        // stored: a later one of the same partition is. On a partition that knows nothing of this
        // producer yet, and whose leader is not ready for the first entry but for the second, that
        // is wrong: the first one is lost (seen on new topics). So this is no success.
        u64::try_from(delivery.offset)
            .map_err(|unknown| unsettled("append: nobody knows at which offset", unknown))
    }
}

/// Tells the clock when an entry was stored, if the broker says so.
fn learn(clock: &LogClock, sent: Instant, timestamp: Timestamp) {
    match timestamp {
        Timestamp::LogAppendTime(ms) => match events::Timestamp::from_millisecond(ms) {
            Ok(stored) => clock.stamped(sent, stored),
            Err(error) => tracing::warn!(ms, %error, "a Kafka broker tells an impossible time"),
        },
        // The topic is not set up as it should be, which the doctor tells and a laptop may ignore.
        Timestamp::CreateTime(_) | Timestamp::NotAvailable => clock.not_stamped(),
    }
}

fn create(config: &ClientConfig, deaths: SyncSender<()>) -> Result<Client, LogError> {
    let on_fatal = Box::new(move || tell(&deaths));
    config.create_with_context(Context::watched("writer", on_fatal)).map_err(no_client)
}

fn tell(deaths: &SyncSender<()>) {
    match deaths.try_send(()) {
        // Nobody left to replace it: the log is being closed.
        Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
    }
}

/// Puts another producer in the place of each that dies, for as long as there is a log.
fn replace_the_dead(log: &Weak<Shared>, told: &Receiver<()>) {
    while let Ok(()) = told.recv() {
        let Some(shared) = log.upgrade() else { return };
        if shared.current().client.client().fatal_error().is_none() {
            // Told twice of the same death.
            continue;
        }
        thread::sleep(REPLACED_AT_MOST_EVERY.saturating_sub(shared.current().since.elapsed()));
        match create(&shared.config, shared.deaths.clone()) {
            Ok(client) => shared.put(client),
            // The next append that is refused brings us here again.
            Err(error) => tracing::error!(%error, "cannot replace a Kafka producer that died"),
        }
    }
}

impl Shared {
    fn current(&self) -> RwLockReadGuard<'_, Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends go to this client from now on. What the dead one had in flight is answered as
    /// unsettled when it is dropped.
    fn put(&self, client: Client) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Current::new(client);
        self.replaced.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use event_log::{Failure, NodeClock};
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::*;
    use crate::config::KafkaConfig;

    const TRACK: Track = Track { topic: Topic::Events, partition: 0 };

    /// A broker in this process: good enough to hand out errors, no proof of anything else.
    fn brokers()
    -> (MockCluster<'static, rdkafka::producer::DefaultProducerContext>, Topics, Producer) {
        let brokers = MockCluster::new(1).unwrap();
        let config = KafkaConfig::new(brokers.bootstrap_servers());
        let topics = Topics::new(&config);
        brokers.create_topic(topics.name(Topic::Events), 1, 1).unwrap();
        let producer = Producer::start(config.producer(), LogClock::of_log(config.clock)).unwrap();
        (brokers, topics, producer)
    }

    async fn append(producer: &Producer, topics: &Topics) -> Result<u64, LogError> {
        producer.send(topics, TRACK, "", b"entry")?.stored().await
    }

    /// The broker says that entries are missing which the driver has no memory of: it cannot go on
    /// without breaking its promises, and dies. What was in flight is unsettled; the next producer
    /// goes on.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_producer_that_dies_is_replaced() {
        let (brokers, topics, producer) = brokers();
        append(&producer, &topics).await.unwrap();

        let desync = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
        brokers.request_errors(RDKafkaApiKey::Produce, &[desync]);
        let error = append(&producer, &topics).await.unwrap_err();
        assert_eq!(error.failure(), Failure::Indeterminate, "{error:?}");

        // Refused, and certainly not stored, until there is another one.
        let refused_before = producer.refused();
        let stored = loop {
            match append(&producer, &topics).await {
                Ok(offset) => break offset,
                Err(error) => assert_eq!(error.failure(), Failure::Determinate, "{error:?}"),
            }
        };
        assert_eq!(stored, 1, "nothing was stored in between");
        assert_eq!(producer.replaced(), 1);
        assert!(producer.refused() > refused_before);
    }

    /// Only the driver knows whether the broker has been asked before, and it does not tell.
    #[tokio::test(flavor = "multi_thread")]
    async fn regression_what_the_broker_says_last_settles_nothing() {
        let (brokers, topics, producer) = brokers();
        let (unanswered, denied) = (
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        );
        brokers.request_errors(RDKafkaApiKey::Produce, &[unanswered, denied]);
        let error = append(&producer, &topics).await.unwrap_err();
        assert_eq!(error.failure(), Failure::Indeterminate, "{error:?}");
    }

    /// The leader is not ready for the first entry, but for the second: the driver concludes that
    /// the first is stored, and reports success. It is not.
    #[tokio::test(flavor = "multi_thread")]
    async fn regression_success_without_an_offset_is_not_believed() {
        let (brokers, topics, producer) = brokers();
        brokers.broker_round_trip_time(1, Duration::from_millis(300)).unwrap();
        let not_ready = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION;
        brokers.request_errors(RDKafkaApiKey::Produce, &[not_ready]);
        // Too large for one request together; both are on their way before there is an answer.
        let entry = vec![0; 600_000];
        let send = || producer.send(&topics, TRACK, "", &entry).unwrap().stored();
        let (first, second) = futures::join!(send(), send());
        assert_eq!(second.unwrap(), 0, "it is the only one in the log");
        assert_eq!(first.unwrap_err().failure(), Failure::Indeterminate);
        assert_eq!(producer.end(&topics, TRACK).unwrap(), 1);
    }

    /// Where the brokers do not take what comes, it piles up to a bound. What is beyond it certainly
    /// did not happen.
    #[tokio::test(flavor = "multi_thread")]
    async fn entries_beyond_what_may_wait_are_refused() {
        let brokers = MockCluster::new(1).unwrap();
        let mut config = KafkaConfig::new(brokers.bootstrap_servers());
        config.properties.insert("queue.buffering.max.messages".to_owned(), "2".to_owned());
        let clock = LogClock::of_log(NodeClock::default());
        let (topics, producer) =
            (Topics::new(&config), Producer::start(config.producer(), clock).unwrap());
        brokers.create_topic(topics.name(Topic::Events), 1, 1).unwrap();
        brokers.broker_down(1).unwrap();

        let waiting = [(); 2].map(|()| producer.send(&topics, TRACK, "", b"entry").unwrap());
        let refused = producer.send(&topics, TRACK, "", b"entry").map(drop).unwrap_err();
        assert_eq!(refused.failure(), Failure::Determinate);
        assert_eq!(producer.refused(), 1);
        brokers.broker_up(1).unwrap();
        for sent in waiting {
            sent.stored().await.unwrap();
        }
        // The driver counts an entry a moment longer than it takes to tell of it.
        let there_is_room = async {
            while let Err(error) = append(&producer, &topics).await {
                assert_eq!(error.failure(), Failure::Determinate, "{error:?}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), there_is_room).await.unwrap();
    }
}
