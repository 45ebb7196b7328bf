//! What a node knows about the content: a follower for each partition of the topic reads it for as
//! long as there is a log, and keeps the partition's index.

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use event_log::LogError;
use events::ContentHash;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::sync::watch;

use super::index::{Index, Taken};
use crate::error::refused;
use crate::feed::{Entry, Feed};
use crate::topics::Track;

/// How long to wait before a partition is read on that could not be read. At a tenth of this, a
/// cluster that denies us the topic would be asked all day.
const READ_ON_AFTER: Duration = Duration::from_millis(500);

/// What the followers of the partitions have found.
pub(super) struct Known {
    parts: Vec<Part>,
    /// The newest content, and what was asked for last.
    pub(super) cache: Cache<ContentHash, Bytes>,
}

/// A partition of the topic.
#[derive(Default)]
pub(super) struct Part {
    index: Mutex<Index>,
    progress: watch::Sender<Progress>,
}

/// How far a partition is indexed.
#[derive(Debug, Clone, Default)]
struct Progress {
    next: u64,
    trouble: Option<Trouble>,
}

/// Why it goes no further.
#[derive(Debug, Clone)]
enum Trouble {
    /// The partition cannot be right. It is not read any more.
    Corrupt(String),
    /// It could not be read. That is tried again.
    Unread(String),
}

impl Known {
    pub(super) fn new(partitions: u16, cache_bytes: usize) -> Self {
        let cache = Cache::builder()
            .weigher(|_, bytes: &Bytes| u32::try_from(bytes.len()).unwrap_or(u32::MAX))
            .max_capacity(cache_bytes as u64)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { parts: (0..partitions).map(|_| Part::default()).collect(), cache }
    }

    pub(super) fn part(&self, track: Track) -> &Part {
        &self.parts[usize::from(track.partition)]
    }

    /// Indexes a partition. `open` opens it from an offset on, or says that the log was closed.
    pub(super) async fn follow(
        self: Arc<Self>,
        track: Track,
        open: impl Fn(u64) -> Option<Result<Feed, LogError>>,
    ) {
        let (part, partition) = (self.part(track), track.partition);
        loop {
            let Some(opened) = open(part.next()) else { return };
            let error = match opened {
                Ok(feed) => self.index(part, feed).await,
                Err(error) => Some(error),
            };
            match error {
                None => return,
                Some(LogError::Corrupt { what }) => {
                    tracing::error!(partition, %what, "the index of the content is at its end");
                    return part.is_in(Trouble::Corrupt(what));
                }
                Some(error) => {
                    let why = with_causes(&error);
                    tracing::warn!(partition, %why, "the content is read on in a moment");
                    part.is_in(Trouble::Unread(why));
                }
            }
            tokio::time::sleep(READ_ON_AFTER).await;
        }
    }

    /// Indexes what comes until the stream ends; `None` when the log was closed.
    async fn index(&self, part: &Part, mut feed: Feed) -> Option<LogError> {
        while let Some(entry) = feed.next().await {
            match entry {
                Ok(entry) => {
                    self.take(part, &entry);
                    part.has_come_to(entry.offset.saturating_add(1));
                }
                Err(error) => return Some(error),
            }
        }
        None
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

    /// Where content stands, as far as the partition is indexed.
    pub(super) fn offsets(&self, hash: ContentHash) -> Option<Box<[u64]>> {
        self.index().offsets(hash).map(Box::from)
    }

    /// What was known of a piece of content is wrong: whoever stores it next is followed.
    pub(super) fn forget(&self, hash: ContentHash) {
        self.index().forget(hash);
    }

    fn next(&self) -> u64 {
        self.progress.borrow().next
    }

    fn has_come_to(&self, next: u64) {
        self.progress.send_replace(Progress { next, trouble: None });
    }

    fn is_in(&self, trouble: Trouble) {
        self.progress.send_modify(|progress| progress.trouble = Some(trouble));
    }

    /// Waits until everything before `end` is indexed, or something is in the way of that.
    pub(super) async fn is_indexed(&self, end: u64) -> Result<(), LogError> {
        let mut progress = self.progress.subscribe();
        let there = progress.wait_for(|now| now.next >= end || now.trouble.is_some()).await;
        let now = there.map_err(|closed| refused("get: the log is closed", closed))?;
        match &now.trouble {
            Some(Trouble::Corrupt(what)) => Err(LogError::Corrupt { what: what.clone() }),
            Some(Trouble::Unread(why)) if now.next < end => {
                Err(refused("get: the content cannot be read now", why.clone()))
            }
            Some(Trouble::Unread(_)) | None => Ok(()),
        }
    }
}

/// An error as one line.
fn with_causes(error: &LogError) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line += &format!(": {error}");
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use event_log::Failure;
    use tokio::sync::mpsc;

    use super::*;
    use crate::feed::FeedSender;
    use crate::slots::Slots;
    use crate::topics::Topic;

    const TRACK: Track = Track { topic: Topic::Content, partition: 0 };

    /// A follower, and the streams that it opens, each with the offset from which on.
    struct Followed {
        known: Arc<Known>,
        opened: mpsc::UnboundedReceiver<(u64, FeedSender)>,
    }

    impl Followed {
        fn start() -> Self {
            let known = Arc::new(Known::new(1, 0));
            let (opening, opened) = mpsc::unbounded_channel();
            let open = move |next| {
                let seat = Slots::default().take(TRACK, next).unwrap();
                let (lane, _) = std::sync::mpsc::channel();
                let (to, feed) = Feed::new(lane, seat, Arc::default());
                opening.send((next, to)).unwrap();
                Some(Ok(feed))
            };
            tokio::spawn(Arc::clone(&known).follow(TRACK, open));
            Self { known, opened }
        }

        async fn next_stream(&mut self, from: u64) -> FeedSender {
            let (offset, to) = self.opened.recv().await.unwrap();
            assert_eq!(offset, from, "it is read on where it was");
            to
        }

        async fn state(&self, end: u64) -> Result<(), LogError> {
            self.known.part(TRACK).is_indexed(end).await
        }
    }

    fn store(to: &FeedSender, offset: u64, content: &'static str) -> ContentHash {
        let (bytes, hash) =
            (Bytes::from_static(content.as_bytes()), ContentHash::of(content.as_bytes()));
        let entry = Entry { offset, key: format!("{hash} 0/1").into(), bytes };
        to.backlog.fill(&entry);
        to.entries.send(Ok(entry)).unwrap();
        hash
    }

    #[tokio::test]
    async fn regression_the_index_goes_on_after_an_error_that_passes() {
        let mut followed = Followed::start();
        let to = followed.next_stream(0).await;
        let first = store(&to, 6, "first");
        to.entries.send(Err(refused("read", "the brokers do not allow it"))).unwrap();

        // What is indexed is found, and of the rest it is said why it is not.
        followed.state(7).await.unwrap();
        let error = followed.state(8).await.unwrap_err();
        assert!(matches!(error, LogError::Unavailable { .. }), "{error:?}");
        assert_eq!(error.failure(), Failure::Determinate);
        assert!(with_causes(&error).contains("the brokers do not allow it"), "{error:?}");

        let to = followed.next_stream(7).await;
        let second = store(&to, 7, "second");
        followed
            .known
            .part(TRACK)
            .progress
            .subscribe()
            .wait_for(|now| now.next == 8)
            .await
            .unwrap();
        followed.state(8).await.unwrap();
        for hash in [first, second] {
            assert!(followed.known.part(TRACK).offsets(hash).is_some());
        }
    }

    #[tokio::test]
    async fn damage_ends_the_index() {
        let mut followed = Followed::start();
        let to = followed.next_stream(0).await;
        store(&to, 0, "content");
        to.entries.send(Err(LogError::Corrupt { what: "it is gone".to_owned() })).unwrap();
        assert!(followed.opened.recv().await.is_none(), "it is not read any more");
        let error = followed.state(0).await.unwrap_err();
        assert_eq!(error.to_string(), "the log is damaged: it is gone");
    }
}
