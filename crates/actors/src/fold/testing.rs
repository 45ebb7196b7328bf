//! A log that behaves as logs do on bad days, for tests.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use event_log::{Failure, Log, LogClock, LogError, MemoryLog, Pull, Reader, StoredRecord, Stream};
use events::ContentHash;
use tokio::sync::watch;

/// A log behind which another one can be put. Clones share it.
#[derive(Clone)]
pub(crate) struct Replaceable {
    current: Arc<Mutex<MemoryLog>>,
    /// Counts the replacements: readers of the log before it fail then.
    replaced: watch::Sender<u64>,
    held: watch::Sender<Option<Stream>>,
    hangs: watch::Sender<Hangs>,
}

/// Whether appends never answer, and whether one waits for its answer.
#[derive(Clone, Copy, PartialEq)]
enum Hangs {
    No,
    Yes,
    OneWaits,
}

impl Replaceable {
    pub(crate) fn new(log: MemoryLog) -> Self {
        Self {
            current: Arc::new(Mutex::new(log)),
            replaced: watch::Sender::new(0),
            held: watch::Sender::new(None),
            hangs: watch::Sender::new(Hangs::No),
        }
    }

    pub(crate) fn current(&self) -> MemoryLog {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn replace(&self, log: MemoryLog) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = log;
        self.replaced.send_modify(|count| *count += 1);
    }

    /// Reading this stream waits.
    pub(crate) fn hold(&self, stream: Stream) {
        self.held.send_replace(Some(stream));
    }

    pub(crate) fn release(&self) {
        self.held.send_replace(None);
    }

    /// No append to a partition answers any more.
    pub(crate) fn hang_appends(&self) {
        self.hangs.send_replace(Hangs::Yes);
    }

    /// Waits until one waits for its answer.
    pub(crate) async fn append_waits(&self) {
        let mut hangs = self.hangs.subscribe();
        hangs.wait_for(|hangs| *hangs == Hangs::OneWaits).await.unwrap();
    }
}

#[async_trait]
impl Log for Replaceable {
    fn clock(&self) -> LogClock {
        self.current().clock()
    }

    async fn append(&self, stream: Stream, bytes: Bytes) -> Result<u64, LogError> {
        if *self.hangs.borrow() != Hangs::No {
            self.hangs.send_replace(Hangs::OneWaits);
            std::future::pending().await
        }
        self.current().append(stream, bytes).await
    }

    /// From beyond the end, the stream is damaged, as with every backend on a disk.
    async fn read(&self, stream: Stream, from: u64) -> Result<Reader, LogError> {
        let replaced = self.replaced.subscribe();
        let mut held = self.held.subscribe();
        held.wait_for(|held| *held != Some(stream)).await.unwrap();
        let log = self.current();
        let end = log.end(stream).await?;
        if from > end {
            return Err(LogError::Corrupt { what: format!("{from} is beyond the end, {end}") });
        }
        let reader = log.read(stream, from).await?;
        Ok(Reader::pull(Replaced { reader, replaced }))
    }

    async fn end(&self, stream: Stream) -> Result<u64, LogError> {
        self.current().end(stream).await
    }

    async fn put(&self, bytes: Bytes) -> Result<ContentHash, LogError> {
        self.current().put(bytes).await
    }

    async fn mend(&self, bytes: Bytes) -> Result<ContentHash, LogError> {
        self.current().mend(bytes).await
    }

    async fn get(&self, hash: ContentHash) -> Result<Option<Bytes>, LogError> {
        self.current().get(hash).await
    }
}

struct Replaced {
    reader: Reader,
    replaced: watch::Receiver<u64>,
}

#[async_trait]
impl Pull for Replaced {
    async fn next(&mut self) -> Option<Result<StoredRecord, LogError>> {
        tokio::select! {
            biased;
            _ = self.replaced.changed() => Some(Err(LogError::Unavailable {
                stage: "reading",
                failure: Failure::Determinate,
                source: "the connection was lost".into(),
            })),
            record = self.reader.next() => record,
        }
    }

    fn try_next(&mut self) -> Option<Result<StoredRecord, LogError>> {
        self.reader.try_next()
    }
}
