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
mod follow;
mod index;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use event_log::port::check_size;
use event_log::{CONTENT_BYTES_MAX, Failure, LogError};
use events::ContentHash;
use futures::future::join_all;
use tokio::sync::Mutex as AsyncMutex;

use self::follow::Known;
use crate::error::refused;
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

impl Content {
    /// Starts to follow the topic. `follow` are the lanes that streams are read on, `picks` those
    /// for single records.
    pub(crate) fn start(
        topics: Arc<Topics>,
        producer: Arc<Producer>,
        follow: &Arc<Lanes>,
        picks: Lanes,
        cache_bytes: usize,
    ) -> Self {
        let partitions = topics.partitions(Topic::Content);
        let known = Arc::new(Known::new(partitions, cache_bytes));
        for partition in 0..partitions {
            let (track, lanes) =
                (Track { topic: Topic::Content, partition }, Arc::downgrade(follow));
            let open = move |from| Some(lanes.upgrade()?.open(track, from));
            tokio::spawn(Arc::clone(&known).follow(track, open));
        }
        let turns = (0..partitions).map(|_| AsyncMutex::default()).collect();
        Self { topics, producer, known, picks, turns }
    }

    /// Stores bytes, unless they are stored already.
    pub(crate) async fn put(&self, bytes: Bytes) -> Result<ContentHash, LogError> {
        check_size(&bytes, CONTENT_BYTES_MAX)?;
        let hash = ContentHash::of(&bytes);
        let track = self.topics.content_track(hash);
        if self.offsets(track, hash).is_some() {
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

    /// Stores content anew, whatever is known of it.
    pub(crate) async fn mend(&self, bytes: Bytes) -> Result<ContentHash, LogError> {
        let hash = ContentHash::of(&bytes);
        self.known.cache.invalidate(&hash);
        self.known.part(self.topics.content_track(hash)).forget(hash);
        self.put(bytes).await
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
        self.known.part(track).offsets(hash)
    }

    /// Waits until the index knows everything that is in the partition now.
    async fn catch_up(&self, track: Track) -> Result<(), LogError> {
        let (producer, topics) = (Arc::clone(&self.producer), Arc::clone(&self.topics));
        let asking = tokio::task::spawn_blocking(move || producer.end(&topics, track));
        let end = asking.await.map_err(|gone| refused("get: ask for the end", gone))??;

        let indexed = self.known.part(track).is_indexed(end);
        let indexed = tokio::time::timeout(CATCH_UP_TIMEOUT, indexed).await;
        indexed.map_err(|late| refused("get: the index is behind", late))?
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
