//! What a deployment says about its Kafka, and the client settings that we add to it.
//!
//! The numbers below were measured against Apache Kafka 4.3 with librdkafka 2.12; the sentence
//! next to each says what it is good for. `examples/kafka_rate.rs` prints what they give.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use event_log::{LogError, NodeClock, PARTITIONS};
use rdkafka::ClientConfig;

/// How long a question to the brokers may take (metadata, ends of partitions, topic settings).
/// Brokers answer in milliseconds; at twice this, a start without a broker only fails later.
pub const QUESTION_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait before a question is asked again: a leader takes some 50 ms to be known.
pub(crate) const ASK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// How many partitions the content topic gets. They spread it over the brokers; all of them are
/// read at start, whatever their number.
pub const CONTENT_PARTITIONS: u16 = 8;

/// How many bytes of content a node keeps in memory: the manifests of some ten thousand targets.
/// At twice this, a small hub has less room for its projections than they need.
pub const CONTENT_CACHE_BYTES: usize = 64 * 1024 * 1024;

/// How long the driver tries to store an entry before it gives up (`message.timeout.ms`). A
/// partition whose leader died has a new one within this, as brokers are set up by default.
const MESSAGE_TIMEOUT_MS: u32 = 10_000;

/// How many bytes of entries may wait to be sent (`queue.buffering.max.kbytes`); beyond it an
/// append is refused, and counted in [`crate::Stats`].
const SEND_QUEUE_KBYTES: u32 = 64 * 1024;

/// How many bytes one client may have fetched that nobody has taken yet
/// (`queued.max.messages.kbytes`). The driver's default is four times this, for each client.
const FETCHED_KBYTES: u32 = 16 * 1024;

/// How strict the log is about how its topics are set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Whatever endangers the history is refused.
    Production,
    /// It is only said: for laptops and tests, with one broker.
    Development,
}

/// Where the log is, and how to talk to it.
#[derive(Clone)]
pub struct KafkaConfig {
    /// `bootstrap.servers`: `host:port`, separated by commas.
    pub bootstrap: String,
    /// What the names of the topics begin with.
    pub topic_prefix: String,
    /// The number of partitions of the events and of the commands. It is fixed at the log's birth.
    pub partitions: u16,
    /// The number of partitions of the content topic.
    pub content_partitions: u16,
    /// How many copies new topics get; `None` means three, or as many as there are brokers.
    pub replication: Option<u16>,
    /// How strict to be.
    pub mode: Mode,
    /// How many bytes of content to keep in memory.
    pub content_cache_bytes: usize,
    /// More settings of the driver (librdkafka), such as `security.protocol` or `sasl.password`.
    /// They override ours, except those that safety rests on, which are refused.
    pub properties: BTreeMap<String, String>,
    /// This node's clock.
    pub clock: NodeClock,
}

impl KafkaConfig {
    /// A production log at these brokers, with our names and numbers.
    #[must_use]
    pub fn new(bootstrap: impl Into<String>) -> Self {
        Self {
            bootstrap: bootstrap.into(),
            topic_prefix: "taffrail.".to_owned(),
            partitions: PARTITIONS,
            content_partitions: CONTENT_PARTITIONS,
            replication: None,
            mode: Mode::Production,
            content_cache_bytes: CONTENT_CACHE_BYTES,
            properties: BTreeMap::new(),
            clock: NodeClock::default(),
        }
    }
}

/// Values of properties may be passwords: only their names are shown.
impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConfig")
            .field("bootstrap", &self.bootstrap)
            .field("topic_prefix", &self.topic_prefix)
            .field("partitions", &self.partitions)
            .field("content_partitions", &self.content_partitions)
            .field("replication", &self.replication)
            .field("mode", &self.mode)
            .field("properties", &self.properties.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Settings that the guarantees of the port rest on.
const OURS: &[&str] = &[
    "acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "bootstrap.servers",
    "check.crcs",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.instance.id",
    "isolation.level",
    "log.queue",
    "max.in.flight.requests.per.connection",
    "message.max.bytes",
    "partitioner",
    "transactional.id",
];

/// The longest name that Kafka gives a topic, less the longest of ours.
const PREFIX_LENGTH_MAX: usize = 200;

impl KafkaConfig {
    /// Refuses what cannot work, before any broker is asked.
    pub(crate) fn check(&self) -> Result<(), LogError> {
        if let Some(name) = self.properties.keys().find(|name| OURS.contains(&name.as_str())) {
            return Err(misconfigured(
                format!("the Kafka property {name} is not yours to set: the log's safety needs it"),
                format!("remove {name} from the properties"),
            ));
        }
        if self.partitions == 0 || self.content_partitions == 0 {
            return Err(misconfigured(
                "a log needs at least one partition",
                format!("set partitions = {PARTITIONS}"),
            ));
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let prefix = &self.topic_prefix;
        if prefix.len() > PREFIX_LENGTH_MAX || !prefix.chars().all(legal) {
            return Err(misconfigured(
                format!("{prefix:?} cannot begin the name of a Kafka topic"),
                format!("use at most {PREFIX_LENGTH_MAX} letters, digits, '.', '_' and '-'"),
            ));
        }
        Ok(())
    }

    /// What all clients have in common.
    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("client.id", "taffrail")
            // A topic that a broker makes up by itself would keep seven days. The driver's default
            // for a producer is to ask for that.
            .set("allow.auto.create.topics", "false")
            // After a broker's return, or another one's election, every tenth of a second counts.
            .set("reconnect.backoff.ms", "20")
            .set("reconnect.backoff.max.ms", "200")
            .set("retry.backoff.ms", "20")
            .set("retry.backoff.max.ms", "200")
            .set("topic.metadata.refresh.fast.interval.ms", "50");
        config
    }

    fn with_properties(&self, mut config: ClientConfig) -> ClientConfig {
        config.extend(self.properties.clone());
        config
    }

    /// The producer: in order and once, whatever is retried.
    pub(crate) fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // What is ready goes out at once; what comes meanwhile goes out together.
            .set("linger.ms", "0")
            .set("compression.type", "zstd")
            .set("message.timeout.ms", MESSAGE_TIMEOUT_MS.to_string())
            .set("queue.buffering.max.kbytes", SEND_QUEUE_KBYTES.to_string());
        self.with_properties(config)
    }

    /// A consumer that is told what to read.
    pub(crate) fn consumer(&self, fetch: Fetch) -> ClientConfig {
        let mut config = self.client();
        config
            // Assignments need a group's name; nothing is ever committed for it.
            .set("group.id", format!("{}readers", self.topic_prefix))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", "read_committed")
            // A log that ends before the place where we were is news, not a reason to start over.
            .set("auto.offset.reset", "error")
            .set("check.crcs", "true")
            .set("fetch.min.bytes", "1")
            // The driver's default of a second stalls a replay.
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.wait.max.ms", fetch.wait.as_millis().to_string())
            .set("fetch.message.max.bytes", fetch.bytes.to_string())
            .set("queued.max.messages.kbytes", FETCHED_KBYTES.to_string());
        self.with_properties(config)
    }

    /// A client for questions about topics.
    pub(crate) fn admin(&self) -> ClientConfig {
        self.with_properties(self.client())
    }
}

/// How a consumer fetches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fetch {
    /// How long a broker keeps a question open when there is nothing new. A client asks a broker
    /// one question at a time, so a stream that is opened or resumed on an idle client waits for
    /// this long at worst.
    pub(crate) wait: Duration,
    /// How many bytes of one partition to ask for at a time. A single larger record comes anyway.
    pub(crate) bytes: u32,
}

impl Fetch {
    /// For streams that are followed for ever. A quiet node with all its streams costs a broker
    /// 1.7 % of a core more than with the driver's 500 ms; with 20 ms it would be 8 %.
    pub(crate) const FOLLOW: Self = Self { wait: Duration::from_millis(100), bytes: 1024 * 1024 };
    /// For single records here and there, which exist.
    pub(crate) const PICK: Self = Self { wait: Duration::from_millis(1), bytes: 64 * 1024 };
}

pub(crate) fn misconfigured(problem: impl Into<String>, remedy: impl Into<String>) -> LogError {
    LogError::Misconfigured { problem: problem.into(), remedy: remedy.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        let mut config = KafkaConfig::new("broker:9092");
        config.properties.insert("sasl.password".to_owned(), "hunter2".to_owned());
        let shown = format!("{config:?}");
        assert!(shown.contains("sasl.password") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn what_safety_needs_cannot_be_set() {
        let mut config = KafkaConfig::new("broker:9092");
        assert!(config.check().is_ok());
        config.properties.insert("acks".to_owned(), "1".to_owned());
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains("acks"), "{error}");
    }

    #[test]
    fn other_settings_override_ours() {
        let mut config = KafkaConfig::new("broker:9092");
        config.properties.insert("linger.ms".to_owned(), "5".to_owned());
        assert_eq!(config.producer().get("linger.ms"), Some("5"));
        assert_eq!(config.producer().get("acks"), Some("all"));
    }

    /// A topic that was deleted under a running hub must not come back with a broker's defaults.
    #[test]
    fn regression_no_client_lets_a_broker_make_up_topics() {
        let config = KafkaConfig::new("broker:9092");
        for client in [config.producer(), config.consumer(Fetch::FOLLOW), config.admin()] {
            assert_eq!(client.get("allow.auto.create.topics"), Some("false"));
        }
    }

    #[test]
    fn a_prefix_that_is_no_topic_name_is_refused() {
        for prefix in ["a b", "ä", &"x".repeat(201)] {
            let config = KafkaConfig { topic_prefix: prefix.to_owned(), ..KafkaConfig::new("b:1") };
            assert!(matches!(config.check(), Err(LogError::Misconfigured { .. })), "{prefix}");
        }
    }
}
