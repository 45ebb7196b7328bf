//! The log in memory: all guarantees of the port, for tests and simulations.
//!
//! It has no thread, no timer and no background task. An append happens when it is first polled
//! and every reader sees it at once, so a seeded scheduler that polls in one order gets one
//! history. Readers pull from the shared entries: a reader that nobody polls holds nothing up.
//! It is not durable, and nothing is ever trimmed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use events::{ContentHash, Timestamp};
use tokio::sync::watch;

use crate::clock::{LogClock, NodeClock};
use crate::port::{
    CONTENT_BYTES_MAX, ENTRY_BYTES_MAX, Log, LogError, Pull, Reader, StoredRecord, Stream,
    check_size, went_backwards,
};

/// A handle to a log in memory. Clones share the log; it is gone with the last of them and of its
/// readers. To open the same log again, as after a restart, clone a handle.
#[derive(Debug, Clone)]
pub struct MemoryLog {
    shared: Arc<Shared>,
    clock: LogClock,
}

#[derive(Debug)]
struct Shared {
    /// Entry `n` of a stream stands at offset `n × stride`.
    stride: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    streams: BTreeMap<Stream, Entries>,
    content: BTreeMap<ContentHash, Bytes>,
}

#[derive(Debug)]
struct Entries {
    entries: Vec<Bytes>,
    /// Counts the entries; readers wait for it to change.
    count: watch::Sender<usize>,
}

impl Default for Entries {
    fn default() -> Self {
        Self { entries: Vec::new(), count: watch::Sender::new(0) }
    }
}

impl MemoryLog {
    /// An empty log with offsets 0, 1, 2, …
    #[must_use]
    pub fn new() -> Self {
        Self::with_holes(1)
    }

    /// An empty log with offsets 0, `stride`, 2 × `stride`, …: for tests of code that must not
    /// count on offsets without holes. Brokers leave such holes.
    ///
    /// # Panics
    /// When `stride` is 0.
    #[must_use]
    pub fn with_holes(stride: u64) -> Self {
        assert!(stride > 0, "offsets rise");
        let shared = Arc::new(Shared { stride, state: Mutex::default() });
        Self { shared, clock: LogClock::of_node(NodeClock::default()) }
    }

    /// The same log as the node of this clock sees it. What it stamps it stamps with the time of the
    /// machine.
    #[must_use]
    pub fn with_clock(&self, clock: LogClock) -> Self {
        Self { shared: Arc::clone(&self.shared), clock }
    }

    /// Everything that stands in a stream.
    #[must_use]
    pub fn dump(&self, stream: Stream) -> Vec<StoredRecord> {
        let state = self.shared.state();
        let entries = state.streams.get(&stream).map_or(&[][..], |stream| &stream.entries);
        (0..)
            .zip(entries)
            .map(|(index, bytes): (u64, _)| StoredRecord {
                offset: index * self.shared.stride,
                bytes: bytes.clone(),
            })
            .collect()
    }
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

impl Shared {
    /// The state. No code panics half-way through a change of it, so poison means nothing here.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn offset(&self, index: usize) -> u64 {
        index as u64 * self.stride
    }
}

#[async_trait]
impl Log for MemoryLog {
    fn clock(&self) -> LogClock {
        self.clock.clone()
    }

    async fn append(&self, stream: Stream, bytes: Bytes) -> Result<u64, LogError> {
        check_size(&bytes, ENTRY_BYTES_MAX)?;
        if stream == Stream::Membership {
            self.clock.stamped(Instant::now(), Timestamp::now());
        }
        let mut state = self.shared.state();
        let stream = state.streams.entry(stream).or_default();
        stream.entries.push(bytes);
        stream.count.send_replace(stream.entries.len());
        Ok(self.shared.offset(stream.entries.len() - 1))
    }

    async fn read(&self, stream: Stream, from: u64) -> Result<Reader, LogError> {
        let count = self.shared.state().streams.entry(stream).or_default().count.subscribe();
        let index = from.div_ceil(self.shared.stride);
        let next = usize::try_from(index).unwrap_or(usize::MAX);
        let shared = Arc::clone(&self.shared);
        Ok(Reader::pull(MemoryReader { shared, stream, from, next, count, is_over: false }))
    }

    async fn end(&self, stream: Stream) -> Result<u64, LogError> {
        let state = self.shared.state();
        let count = state.streams.get(&stream).map_or(0, |stream| stream.entries.len());
        Ok(self.shared.offset(count))
    }

    async fn put(&self, bytes: Bytes) -> Result<ContentHash, LogError> {
        check_size(&bytes, CONTENT_BYTES_MAX)?;
        let hash = ContentHash::of(&bytes);
        self.shared.state().content.entry(hash).or_insert(bytes);
        Ok(hash)
    }

    async fn mend(&self, bytes: Bytes) -> Result<ContentHash, LogError> {
        check_size(&bytes, CONTENT_BYTES_MAX)?;
        let hash = ContentHash::of(&bytes);
        self.shared.state().content.insert(hash, bytes);
        Ok(hash)
    }

    async fn get(&self, hash: ContentHash) -> Result<Option<Bytes>, LogError> {
        Ok(self.shared.state().content.get(&hash).cloned())
    }
}

struct MemoryReader {
    shared: Arc<Shared>,
    stream: Stream,
    /// Where it was to begin.
    from: u64,
    /// The index of the next entry to deliver.
    next: usize,
    count: watch::Receiver<usize>,
    is_over: bool,
}

#[async_trait]
impl Pull for MemoryReader {
    async fn next(&mut self) -> Option<Result<StoredRecord, LogError>> {
        loop {
            // Marked as seen before looking, so that an entry that comes in between wakes us.
            self.count.borrow_and_update();
            if let Some(record) = self.try_next() {
                return Some(record);
            }
            if self.is_over {
                return None;
            }
            self.count.changed().await.ok()?;
        }
    }

    fn try_next(&mut self) -> Option<Result<StoredRecord, LogError>> {
        if self.is_over {
            return None;
        }
        let state = self.shared.state();
        let entries = &state.streams.get(&self.stream)?.entries;
        if self.next > entries.len() {
            self.is_over = true;
            let end = self.shared.offset(entries.len());
            return Some(Err(went_backwards(self.stream, end, self.from)));
        }
        let bytes = entries.get(self.next)?.clone();
        let offset = self.shared.offset(self.next);
        self.next += 1;
        Some(Ok(StoredRecord { offset, bytes }))
    }
}
