//! The way of a stream's entries from the poll thread to whoever reads them.
//!
//! The poll thread never waits for a reader. It puts what it got into the reader's backlog, and
//! when that is full it pauses the partition: the others go on. The reader that works the backlog
//! off has the partition resumed.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use event_log::{LogError, Pull, StoredRecord};
use tokio::sync::mpsc;

use crate::lane::Command;
use crate::slots::Seat;

/// How many bytes may wait for one reader before its partition is paused; a single entry may go
/// beyond it. It is this much so that a paused stream can be resumed long before its reader runs
/// dry. At twice this, a reader that hangs costs as much as the content cache.
const BACKLOG_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How many bytes may wait for all readers of a log together. Beyond it every stream with more
/// than [`BACKLOG_BYTES_FAIR`] is paused. At twice this, a replay of all partitions is no faster:
/// its readers are what it waits for.
const BACKLOGS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How many bytes may wait for one reader whatever the others do: a few hundred frames.
const BACKLOG_BYTES_FAIR: usize = 1024 * 1024;

/// What an entry costs beyond its bytes, so that empty entries are bounded too.
const ENTRY_OVERHEAD_BYTES: usize = 128;

/// An entry of a topic's partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) offset: u64,
    /// Empty when it has none.
    pub(crate) key: Bytes,
    pub(crate) bytes: Bytes,
}

impl Entry {
    fn cost(&self) -> usize {
        self.key.len() + self.bytes.len() + ENTRY_OVERHEAD_BYTES
    }
}

/// How much waits for all readers of a log.
#[derive(Debug, Default)]
pub(crate) struct Load {
    bytes: AtomicUsize,
    /// How often a partition was paused.
    pauses: AtomicU64,
}

impl Load {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn pauses(&self) -> u64 {
        self.pauses.load(Ordering::Relaxed)
    }
}

/// How much waits for a reader.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    state: Mutex<BacklogState>,
    load: Arc<Load>,
}

#[derive(Debug, Default)]
struct BacklogState {
    bytes: usize,
    /// At how many bytes the partition was paused, if it is. It is resumed at half of that: what
    /// the driver had fetched of it is fetched again, so not after every entry, and the first
    /// entries take a while, so not after the last one.
    paused_at: Option<usize>,
}

impl Backlog {
    fn state(&self) -> MutexGuard<'_, BacklogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an entry that comes in; says whether the partition must be paused now.
    pub(crate) fn fill(&self, entry: &Entry) -> bool {
        let mut state = self.state();
        state.bytes += entry.cost();
        let all = self.load.bytes.fetch_add(entry.cost(), Ordering::Relaxed) + entry.cost();
        let full = state.bytes > BACKLOG_BYTES_MAX
            || (state.bytes > BACKLOG_BYTES_FAIR && all > BACKLOGS_BYTES_MAX);
        let pause = full && state.paused_at.is_none();
        if pause {
            state.paused_at = Some(state.bytes);
            self.load.pauses.fetch_add(1, Ordering::Relaxed);
        }
        pause
    }

    /// Counts an entry that goes out; says whether the partition must be resumed now.
    fn drain(&self, entry: &Entry) -> bool {
        let mut state = self.state();
        state.bytes -= entry.cost();
        self.load.bytes.fetch_sub(entry.cost(), Ordering::Relaxed);
        let resume = state.paused_at.is_some_and(|at| state.bytes <= at / 2);
        if resume {
            state.paused_at = None;
        }
        resume
    }
}

impl Drop for Backlog {
    /// What is left goes out unread.
    fn drop(&mut self) {
        self.load.bytes.fetch_sub(self.state().bytes, Ordering::Relaxed);
    }
}

/// The poll thread's end of a stream.
#[derive(Debug)]
pub(crate) struct FeedSender {
    pub(crate) entries: mpsc::UnboundedSender<Result<Entry, LogError>>,
    pub(crate) backlog: Arc<Backlog>,
}

/// The reader's end of a stream. Dropping it ends the stream at once.
pub(crate) struct Feed {
    entries: mpsc::UnboundedReceiver<Result<Entry, LogError>>,
    backlog: Arc<Backlog>,
    commands: Sender<Command>,
    seat: Seat,
}

impl Feed {
    pub(crate) fn new(
        commands: Sender<Command>,
        seat: Seat,
        load: Arc<Load>,
    ) -> (FeedSender, Self) {
        // Bounded by the backlog's bytes, which is what pauses the partition.
        let (sender, entries) = mpsc::unbounded_channel();
        let backlog = Arc::new(Backlog { state: Mutex::default(), load });
        let sender = FeedSender { entries: sender, backlog: Arc::clone(&backlog) };
        (sender, Self { entries, backlog, commands, seat })
    }

    /// The next entry. `None` when the log was closed; after an error there is nothing more.
    ///
    /// Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Result<Entry, LogError>> {
        let entry = self.entries.recv().await?;
        self.took(&entry);
        Some(entry)
    }

    fn took(&self, entry: &Result<Entry, LogError>) {
        if let Ok(entry) = entry
            && self.backlog.drain(entry)
        {
            self.tell(Command::Resume { track: self.seat.track(), id: self.seat.id() });
        }
    }

    /// A lane that is gone has nothing to resume or to close.
    fn tell(&self, command: Command) {
        drop(self.commands.send(command));
    }
}

impl Drop for Feed {
    /// The lane hears of it before the seat is free, so a stream that is opened in its place comes
    /// after this one.
    fn drop(&mut self) {
        self.tell(Command::Close { track: self.seat.track(), id: self.seat.id() });
        self.seat.leave();
    }
}

impl From<Entry> for StoredRecord {
    fn from(entry: Entry) -> Self {
        Self { offset: entry.offset, bytes: entry.bytes }
    }
}

#[async_trait]
impl Pull for Feed {
    async fn next(&mut self) -> Option<Result<StoredRecord, LogError>> {
        Some(Self::next(self).await?.map(StoredRecord::from))
    }

    fn try_next(&mut self) -> Option<Result<StoredRecord, LogError>> {
        let entry = self.entries.try_recv().ok()?;
        self.took(&entry);
        Some(entry.map(StoredRecord::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(bytes: usize) -> Entry {
        Entry { offset: 0, key: Bytes::new(), bytes: vec![0; bytes].into() }
    }

    fn backlog(load: &Arc<Load>) -> Backlog {
        Backlog { state: Mutex::default(), load: Arc::clone(load) }
    }

    /// Fills until it is told to pause.
    fn fill_up(backlog: &Backlog, entry: &Entry) -> usize {
        1 + (0..).take_while(|_| !backlog.fill(entry)).count()
    }

    #[test]
    fn a_full_backlog_pauses_once_and_resumes_when_half_of_it_is_read() {
        let backlog = backlog(&Arc::default());
        let entry = entry(1024 * 1024);
        assert_eq!(fill_up(&backlog, &entry), 16);
        assert!(!backlog.fill(&entry), "it is paused already");

        let drained: Vec<bool> = (0..17).map(|_| backlog.drain(&entry)).collect();
        assert_eq!(drained.iter().position(|resume| *resume), Some(8));
        assert_eq!(drained.iter().filter(|resume| **resume).count(), 1);
        assert_eq!(backlog.state().bytes, 0);
        assert_eq!(backlog.load.pauses(), 1);
    }

    #[test]
    fn many_readers_share_what_there_is() {
        let load = Arc::default();
        let entry = entry(100 * 1024);
        let backlogs: Vec<_> = (0..73).map(|_| backlog(&load)).collect();
        let filled: usize = backlogs.iter().map(|backlog| fill_up(backlog, &entry)).sum();
        let fair = 73 * (BACKLOG_BYTES_FAIR + entry.cost());
        assert!(filled * entry.cost() < BACKLOGS_BYTES_MAX + fair);
        assert!(fill_up(&backlog(&load), &entry) > 10, "each has a little, whatever the others do");

        drop(backlogs);
        assert_eq!(load.bytes.load(Ordering::Relaxed), 0);
        assert!(fill_up(&backlog(&load), &entry) > 100);
    }

    #[test]
    fn empty_entries_fill_a_backlog_too() {
        let backlog = backlog(&Arc::default());
        assert!(fill_up(&backlog, &entry(0)) < 1_000_000);
    }
}
