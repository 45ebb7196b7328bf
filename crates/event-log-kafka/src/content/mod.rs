//! Content: bytes by their SHA-256.
//!
//! A piece of content is one record, or several chunks, in the partition that its hash names. Kafka
//! finds nothing by key, so each node follows the topic and keeps an index from hash to offsets;
//! the bytes that it reads on the way fill a bounded cache, the rest is read again when it is
//! asked for.
//!
//! Nobody may write to the topic in transactions: the markers look like a place up to which a node
//! never comes, and it would not dare to say that something is *not* there.
//!
//! **Invariant.** What is not what its hash says is not in the index: whoever may write to the
//! topic can fill it, but not change what a hash stands for.

mod chunk;
mod index;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use event_log::port::check_size;
use event_log::{CONTENT_BYTES_MAX, Failure, LogError};
use events::ContentHash;
use futures::future::join_all;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::sync::{Mutex as AsyncMutex, watch};

use self::index::{Index, Taken};
use crate::error::refused;
use crate::feed::{Entry, Feed};
use crate::lanes::Lanes;
use crate::producer::Producer;
use crate::topics::{Topic, Topics, Track};

/// How long a question about unknown content waits for the index to be up to date. It is, but for
/// the first seconds of a node with gigabytes of content; at twice this, callers give up first.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(30);

/// How long it may take to read a piece of content that is known to be there.
const PICK_TIMEOUT: Duration = Duration::from_secs(10);

/// The content store.
pub(crate) struct Content {
    topics: Arc<Topics>,
    producer: Arc<Producer>,
    known: Arc<Known>,
    /// Lanes for single records.
    picks: Lanes,
    /// One piece is read of a partition at a time: a lane has one place in it.
    turns: Vec<AsyncMutex<()>>,
}

/// What the followers of the partitions have found.
struct Known {
    parts: Vec<Part>,
    cache: Cache<ContentHash, Bytes>,
}

struct Part {
    index: Mutex<Index>,
    progress: watch::Sender<Progress>,
}

/// How far a partition is indexed.
#[derive(Debug, Clone, Default)]
struct Progress {
    next: u64,
    /// Why it goes no further.
    ended: Option<String>,
}

impl Content {
    /// Starts to follow the topic. `follow` are the lanes that streams are read on, `picks` those
    /// for single records.
    pub(crate) fn start(
        topics: Arc<Topics>,
        producer: Arc<Producer>,
        follow: &Lanes,
        picks: Lanes,
        cache_bytes: usize,
    ) -> Result<Self, LogError> {
        let partitions = topics.partitions(Topic::Content);
        let part = |_| Part { index: Mutex::default(), progress: watch::Sender::default() };
        let cache = Cache::builder()
            .weigher(|_, bytes: &Bytes| u32::try_from(bytes.len()).unwrap_or(u32::MAX))
            .max_capacity(cache_bytes as u64)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        let known = Arc::new(Known { parts: (0..partitions).map(part).collect(), cache });
        for partition in 0..partitions {
            let feed = follow.open(Track { topic: Topic::Content, partition }, 0)?;
            tokio::spawn(Arc::clone(&known).follow(partition, feed));
        }
        let turns = (0..partitions).map(|_| AsyncMutex::default()).collect();
        Ok(Self { topics, producer, known, picks, turns })
    }

    /// Stores bytes, unless they are stored already.
    pub(crate) async fn put(&self, bytes: Bytes) -> Result<ContentHash, LogError> {
        check_size(&bytes, CONTENT_BYTES_MAX)?;
        let hash = ContentHash::of(&bytes);
        let track = self.topics.content_track(hash);
        if self.known.part(track).index().offsets(hash).is_some() {
            return Ok(hash);
        }
        let sent: Vec<_> = chunk::split(hash, &bytes)
            .map(|(key, body)| self.producer.send(&self.topics, track, &key.to_string(), &body))
            .collect();
        let waiting = sent.into_iter().map(|sent| async {
            match sent {
                Ok(sent) => sent.stored().await,
                Err(error) => Err(error),
            }
        });
        let mut failures: Vec<_> =
            join_all(waiting).await.into_iter().filter_map(Result::err).collect();
        // Content of which a chunk is certainly missing is certainly not there.
        failures.sort_by_key(|error| error.failure() == Failure::Indeterminate);
        if let Some(error) = failures.into_iter().next() {
            return Err(error);
        }
        self.known.cache.insert(hash, bytes);
        Ok(hash)
    }

    /// Reads content.
    pub(crate) async fn get(&self, hash: ContentHash) -> Result<Option<Bytes>, LogError> {
        if let Some(bytes) = self.known.cache.get(&hash) {
            return Ok(Some(bytes));
        }
        let track = self.topics.content_track(hash);
        if let Some(offsets) = self.offsets(track, hash) {
            return self.pick(track, hash, &offsets).await.map(Some);
        }
        self.catch_up(track).await?;
        match self.offsets(track, hash) {
            Some(offsets) => self.pick(track, hash, &offsets).await.map(Some),
            None => Ok(None),
        }
    }

    fn offsets(&self, track: Track, hash: ContentHash) -> Option<Box<[u64]>> {
        self.known.part(track).index().offsets(hash).map(Box::from)
    }

    /// Waits until the index knows everything that is in the partition now.
    async fn catch_up(&self, track: Track) -> Result<(), LogError> {
        let (producer, topics) = (Arc::clone(&self.producer), Arc::clone(&self.topics));
        let asking = tokio::task::spawn_blocking(move || producer.end(&topics, track));
        let end = asking.await.map_err(|gone| refused("get: ask for the end", gone))??;

        let mut progress = self.known.part(track).progress.subscribe();
        let there = progress.wait_for(|now| now.next >= end || now.ended.is_some());
        let progress = tokio::time::timeout(CATCH_UP_TIMEOUT, there).await;
        let progress = progress.map_err(|late| refused("get: the index is behind", late))?;
        let progress = progress.map_err(|closed| refused("get: the log is closed", closed))?;
        match &progress.ended {
            Some(what) => Err(LogError::Corrupt { what: what.clone() }),
            None => Ok(()),
        }
    }

    /// Reads a piece of content whose place is known.
    async fn pick(
        &self,
        track: Track,
        hash: ContentHash,
        offsets: &[u64],
    ) -> Result<Bytes, LogError> {
        let _turn = self.turns[usize::from(track.partition)].lock().await;
        if let Some(bytes) = self.known.cache.get(&hash) {
            return Ok(bytes);
        }
        let reading = tokio::time::timeout(PICK_TIMEOUT, self.read(track, offsets)).await;
        let bytes = reading.map_err(|late| refused("get: read content", late))??;
        if ContentHash::of(&bytes) != hash {
            let (track, first) = (self.topics.show(track), offsets[0]);
            let what = format!("{track} holds other content at offset {first} than {hash}");
            return Err(LogError::Corrupt { what });
        }
        self.known.cache.insert(hash, bytes.clone());
        Ok(bytes)
    }

    /// Reads the records at some offsets of a partition, as one.
    async fn read(&self, track: Track, offsets: &[u64]) -> Result<Bytes, LogError> {
        let mut feed = self.picks.open(track, offsets[0])?;
        let mut bytes = BytesMut::new();
        let mut wanted = offsets.iter().copied().peekable();
        while let Some(next) = wanted.peek().copied() {
            let entry = feed.next().await;
            let entry = entry.ok_or_else(|| refused("get", "the log is closed"))??;
            if entry.offset == next {
                wanted.next();
                if offsets.len() == 1 {
                    return Ok(entry.bytes);
                }
                bytes.extend_from_slice(&entry.bytes);
            } else if entry.offset > next {
                let track = self.topics.show(track);
                let what = format!("{track} has no record at offset {next} any more");
                return Err(LogError::Corrupt { what });
            }
        }
        Ok(bytes.freeze())
    }
}

impl Known {
    fn part(&self, track: Track) -> &Part {
        &self.parts[usize::from(track.partition)]
    }

    /// Indexes a partition for as long as there is a log.
    async fn follow(self: Arc<Self>, partition: u16, mut feed: Feed) {
        let part = self.part(Track { topic: Topic::Content, partition });
        while let Some(entry) = feed.next().await {
            match entry {
                Ok(entry) => {
                    self.take(part, &entry);
                    part.progress.send_modify(|progress| progress.next = entry.offset + 1);
                }
                Err(error) => {
                    tracing::error!(partition, %error, "the index of the content is at its end");
                    part.progress.send_modify(|progress| progress.ended = Some(error.to_string()));
                    return;
                }
            }
        }
    }

    fn take(&self, part: &Part, entry: &Entry) {
        match part.index().take(entry) {
            Taken::Whole(hash) => self.cache.insert(hash, entry.bytes.clone()),
            Taken::Part | Taken::Known => {}
            Taken::Ignored(why) => {
                tracing::warn!(offset = entry.offset, "a content record is ignored: {why}");
            }
        }
    }
}

impl Part {
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
