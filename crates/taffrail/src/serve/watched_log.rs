//! The log, with an eye on whether it takes what is written.

use std::sync::{Arc, Mutex, PoisonError};

use api::http::NotReady;
use async_trait::async_trait;
use bytes::Bytes;
use event_log::{Log, LogClock, LogError, Reader, Stream};
use events::ContentHash;
use hub::http::Check;

/// A log that remembers why a write failed, until one has gone through again.
pub(super) struct WatchedLog {
    inner: Arc<dyn Log>,
    failure: Arc<Mutex<Option<String>>>,
}

impl WatchedLog {
    pub(super) fn new(inner: Arc<dyn Log>) -> Self {
        Self { inner, failure: Arc::default() }
    }

    /// Says what is wrong with the log for as long as writes fail.
    pub(super) fn check(&self) -> Check {
        let failure = self.failure.clone();
        Arc::new(move || {
            let message = failure.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
            Some(NotReady { check: "log".to_owned(), message })
        })
    }

    fn is_failing(&self) -> bool {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn note<T>(&self, result: Result<T, LogError>) -> Result<T, LogError> {
        let failure = match &result {
            Ok(_) => None,
            // Says something about what was written, not about the log.
            Err(LogError::TooLarge { .. }) => return result,
            Err(error) => Some(error.to_string()),
        };
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
        result
    }
}

#[async_trait]
impl Log for WatchedLog {
    fn clock(&self) -> LogClock {
        self.inner.clock()
    }

    async fn append(&self, stream: Stream, bytes: Bytes) -> Result<u64, LogError> {
        self.note(self.inner.append(stream, bytes).await)
    }

    async fn read(&self, stream: Stream, from: u64) -> Result<Reader, LogError> {
        self.inner.read(stream, from).await
    }

    async fn end(&self, stream: Stream) -> Result<u64, LogError> {
        self.inner.end(stream).await
    }

    async fn put(&self, bytes: Bytes) -> Result<ContentHash, LogError> {
        // What is there already is not written again, and so says nothing about room.
        let hash = self.is_failing().then(|| ContentHash::of(&bytes));
        if let Some(hash) = hash
            && let Ok(Some(_)) = self.inner.get(hash).await
        {
            return Ok(hash);
        }
        self.note(self.inner.put(bytes).await)
    }

    async fn mend(&self, bytes: Bytes) -> Result<ContentHash, LogError> {
        self.inner.mend(bytes).await
    }

    async fn get(&self, hash: ContentHash) -> Result<Option<Bytes>, LogError> {
        self.inner.get(hash).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event_log::MemoryLog;

    #[tokio::test]
    async fn a_write_that_fails_is_remembered_until_one_succeeds() {
        let log = WatchedLog::new(Arc::new(MemoryLog::new()));
        let check = log.check();
        let full = || LogError::Full { source: "no space left".into() };
        let known = log.put(Bytes::from_static(b"known")).await.unwrap();

        assert!(log.note::<()>(Err(full())).is_err());
        let message = check().map(|not_ready| not_ready.message);
        let expected = "the log's disk is full; make room, and writing goes on by itself";
        assert_eq!(message.as_deref(), Some(expected));

        // regression: what is known needs no room.
        assert_eq!(log.put(Bytes::from_static(b"known")).await.unwrap(), known);
        assert_eq!(check().map(|not_ready| not_ready.message).as_deref(), Some(expected));

        log.put(Bytes::from_static(b"new")).await.unwrap();
        assert_eq!(check(), None);
        assert!(log.note::<()>(Err(full())).is_err());
        log.append(Stream::Membership, Bytes::from_static(b"x")).await.unwrap();
        assert_eq!(check(), None);
    }
}
