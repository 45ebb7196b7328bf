//! The log port on Kafka.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use event_log::port::check_size;
use event_log::{ENTRY_BYTES_MAX, Log, LogClock, LogError, Reader, Stream};
use events::ContentHash;

use crate::config::{Fetch, KafkaConfig};
use crate::content::Content;
use crate::doctor::Finding;
use crate::error::refused;
use crate::lanes::Lanes;
use crate::producer::Producer;
use crate::setup::prepare;
use crate::topics::Topics;

/// A log on Apache Kafka. See [`Log`] for what it guarantees.
///
/// Dropping it ends all its readers. It does not wait for appends that nobody waits for.
pub struct KafkaLog {
    topics: Arc<Topics>,
    producer: Arc<Producer>,
    content: Content,
    lanes: Arc<Lanes>,
    findings: Vec<Finding>,
}

/// What has happened to a log's clients since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Entries that were refused because too many were on their way already, or because a dead
    /// producer was not yet replaced.
    pub appends_refused: u64,
    /// Producers that died and were replaced; what they had in flight was unsettled.
    pub producers_replaced: u64,
    /// How often a stream was paused because its reader was slow.
    pub streams_paused: u64,
    /// What was read and waits for its readers, in bytes: at most 64 MiB, and a little for each.
    pub bytes_waiting: usize,
    /// Consumers: one, and one more for each further reader of the same stream, which is given back
    /// a minute after it was needed last.
    pub lanes: usize,
}

impl KafkaLog {
    /// Opens the log: creates the topics that are missing, examines all of them (see
    /// [`crate::doctor()`]) and starts to follow the content. Must be called within a tokio
    /// runtime, which must live as long as the log.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when no broker answers within a few seconds.
    /// [`LogError::Misconfigured`] when the properties contradict each other, or the topics
    /// endanger the history; it says how to mend that.
    pub async fn connect(config: KafkaConfig) -> Result<Self, LogError> {
        config.check()?;
        let topics = Arc::new(Topics::new(&config));
        let findings = prepare(&config, &topics).await?;
        for finding in &findings {
            tracing::warn!("{finding}");
        }

        let producer =
            Arc::new(Producer::start(config.producer(), LogClock::of_log(config.clock.clone()))?);
        let follow = config.consumer(Fetch::FOLLOW);
        let lanes = Arc::new(Lanes::start("lane", follow, Arc::clone(&topics))?);
        let picks = Lanes::start("pick", config.consumer(Fetch::PICK), Arc::clone(&topics))?;
        let content = Content::start(
            Arc::clone(&topics),
            Arc::clone(&producer),
            &lanes,
            picks,
            config.content_cache_bytes,
        );
        let log = Self { topics, producer, content, lanes, findings };
        log.on_a_thread("connect", |producer, topics| {
            producer.warm_up(topics);
            Ok(())
        })
        .await?;
        Ok(log)
    }

    /// What the doctor found when the log was opened, and let pass.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// What has happened to the clients.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            appends_refused: self.producer.refused(),
            producers_replaced: self.producer.replaced(),
            streams_paused: self.lanes.load().pauses(),
            bytes_waiting: self.lanes.load().bytes(),
            lanes: self.lanes.count(),
        }
    }

    /// Some questions to the driver block.
    async fn on_a_thread<T: Send + 'static>(
        &self,
        stage: &'static str,
        ask: impl FnOnce(&Producer, &Topics) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let (producer, topics) = (Arc::clone(&self.producer), Arc::clone(&self.topics));
        let asking = tokio::task::spawn_blocking(move || ask(&producer, &topics));
        asking.await.map_err(|gone| refused(stage, gone))?
    }
}

impl fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaLog").field("topics", &self.topics).finish_non_exhaustive()
    }
}

#[async_trait]
impl Log for KafkaLog {
    fn clock(&self) -> LogClock {
        self.producer.clock().clone()
    }

    /// What cannot be settled within some ten seconds is indeterminate.
    async fn append(&self, stream: Stream, bytes: Bytes) -> Result<u64, LogError> {
        check_size(&bytes, ENTRY_BYTES_MAX)?;
        let track = self.topics.track(stream)?;
        // Nothing is awaited before this: the order of first polls is the order in the log.
        let sent = self.producer.send(&self.topics, track, "", &bytes)?;
        drop(bytes);
        sent.stored().await
    }

    /// While no broker answers, the reader waits. It ends with [`LogError::Corrupt`] when the
    /// partition ends before the place where it reads, or has lost what is kept for ever.
    async fn read(&self, stream: Stream, from: u64) -> Result<Reader, LogError> {
        Ok(Reader::pull(self.lanes.open(self.topics.track(stream)?, from)?))
    }

    async fn end(&self, stream: Stream) -> Result<u64, LogError> {
        let track = self.topics.track(stream)?;
        self.on_a_thread("ask for the end", move |producer, topics| producer.end(topics, track))
            .await
    }

    async fn put(&self, bytes: Bytes) -> Result<ContentHash, LogError> {
        self.content.put(bytes).await
    }

    async fn mend(&self, bytes: Bytes) -> Result<ContentHash, LogError> {
        self.content.mend(bytes).await
    }

    async fn get(&self, hash: ContentHash) -> Result<Option<Bytes>, LogError> {
        self.content.get(hash).await
    }
}
