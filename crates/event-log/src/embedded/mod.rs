//! The log of one node: one file, nothing else to run.
//!
//! ```text
//!  append, put ──► queue ──► writer thread ──► redb, one sync for all that waited
//!                                │
//!                                ├──► the newest entries in memory ──► readers that keep up
//!                                └──► answers                    table ──► readers that lag
//! ```
//!
//! - An entry is durable (synced) before any reader sees it and before its append is answered.
//! - A commit that was torn by a crash is gone as a whole; redb goes back to the one before it.
//!   Damage anywhere else is refused with the place: when the log is opened, or when the damaged
//!   entry is read.
//! - Without room on the disk an append fails determinately, and goes through again once there is
//!   room. After any other failure of the disk nobody knows what is on it: what was being written
//!   is indeterminate, and this process writes no more.
//! - The file has one user at a time.
//!
//! **Invariant.** Only the writer thread changes the file.

mod file;
mod live;
mod queue;
mod seal;
mod store;
mod tables;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use events::ContentHash;
use tokio::sync::oneshot;

use self::file::OpenFile;
use self::live::{Ending, Live, LiveReader};
use self::queue::{Queue, Request};
use self::store::{Store, StoreError, Trim, Write};
use self::tables::Ends;
use self::writer::Writer;
use crate::clock::{LogClock, NodeClock};
use crate::port::{CONTENT_BYTES_MAX, ENTRY_BYTES_MAX, Log, LogError, Reader, Stream, check_size};
use crate::{Failure, StoredRecord};

/// How an embedded log is kept.
#[derive(Debug, Clone)]
pub struct EmbeddedConfig {
    /// How much memory redb may take for pages of the file.
    pub cache_bytes: usize,
    /// How long submitted commands are kept.
    pub commands_kept: Duration,
    /// How long leases are kept.
    pub membership_kept: Duration,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self { cache_bytes: 64 * 1024 * 1024, commands_kept: 7 * DAY, membership_kept: DAY }
    }
}

/// The log in one file. Dropping it writes what waits, ends the readers and closes the file, which
/// takes some milliseconds.
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

/// What was found in order, by [`EmbeddedLog::verify`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// How many entries of all streams.
    pub entries: u64,
    /// How many pieces of content.
    pub content: u64,
}

type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

struct Shared {
    path: PathBuf,
    config: EmbeddedConfig,
    open_file: OpenFile,
    /// Unix milliseconds; only retention goes by it.
    clock: Clock,
    queue: Queue,
    live: Live,
    /// `None` once it was closed.
    file: RwLock<Option<OpenedFile>>,
    /// How often the file was opened, or given up, and who waits for that.
    opened: Mutex<u64>,
    opened_again: Condvar,
}

struct OpenedFile {
    store: Store,
    /// The count of `opened` that this is.
    nth: u64,
}

impl EmbeddedLog {
    /// Opens the log in the file `path`, or creates one.
    ///
    /// # Errors
    /// [`LogError::InUse`] when another process has it open; [`LogError::Corrupt`] when it cannot
    /// be right; [`LogError::Misconfigured`] when its directory does not exist.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LogError> {
        Self::open_with(path, EmbeddedConfig::default())
    }

    /// Opens or creates a log that is kept in a certain way.
    ///
    /// # Errors
    /// See [`EmbeddedLog::open`].
    pub fn open_with(path: impl AsRef<Path>, config: EmbeddedConfig) -> Result<Self, LogError> {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let clock = move || u64::try_from(now().as_millis()).unwrap_or(u64::MAX);
        Self::start(path.as_ref(), config, Arc::new(file::open_file), Arc::new(clock))
    }

    fn start(
        path: &Path,
        config: EmbeddedConfig,
        open_file: OpenFile,
        clock: Clock,
    ) -> Result<Self, LogError> {
        let is_new = !path.exists();
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        if !directory.is_dir() {
            return Err(LogError::Misconfigured {
                problem: format!("the directory of the log {} does not exist", path.display()),
                remedy: format!("mkdir -p {}", directory.display()),
            });
        }
        let (store, ends) = Store::open(path, config.cache_bytes, &open_file)?;
        if is_new {
            // The file's name must survive a power failure as well as what is in it.
            let synced = std::fs::File::open(directory).and_then(|directory| directory.sync_all());
            synced
                .map_err(|error| unavailable("creating its file", Failure::Determinate, error))?;
        }
        let live = Live::default();
        for (stream, end) in &ends {
            live.opened(*stream, *end);
        }
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            config,
            open_file,
            clock,
            queue: Queue::default(),
            live,
            file: RwLock::new(Some(OpenedFile { store, nth: 0 })),
            opened: Mutex::new(0),
            opened_again: Condvar::new(),
        });
        let writer = Writer::new(Arc::clone(&shared), ends);
        let writer = std::thread::Builder::new()
            .name("event-log-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| unavailable("starting its writer", Failure::Determinate, error))?;
        Ok(Self { shared, writer: Some(writer) })
    }

    /// Reads everything that is in the log and checks it. Takes about a second for a million
    /// entries; appends go on meanwhile.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] with the first damage and its place.
    pub fn verify(&self) -> Result<Verified, LogError> {
        let mut verified = Verified { entries: 0, content: 0 };
        for (stream, end) in self.shared.with_store(Store::ends)? {
            let mut next = 0;
            while next < end {
                let records = self.shared.read_table(stream, next)?;
                let Some(last) = records.last() else { break };
                next = last.offset.saturating_add(1);
                verified.entries += records.len() as u64;
            }
        }
        for hash in self.shared.with_store(Store::content_hashes)? {
            self.shared.with_store(|store| store.content(hash))?;
            verified.content += 1;
        }
        Ok(verified)
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.shared.queue.close();
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has nothing left to write.
            drop(writer.join());
        }
        self.shared.close();
    }
}

#[async_trait]
impl Log for EmbeddedLog {
    fn clock(&self) -> LogClock {
        LogClock::of_node(NodeClock::default())
    }

    async fn append(&self, stream: Stream, bytes: Bytes) -> Result<u64, LogError> {
        check_size(&bytes, ENTRY_BYTES_MAX)?;
        let (answer, answered) = oneshot::channel();
        self.shared.queue.push(Request::Append { stream, bytes, answer })?;
        answered.await.map_err(|gone| unavailable("writing", Failure::Indeterminate, gone))?
    }

    async fn read(&self, stream: Stream, from: u64) -> Result<Reader, LogError> {
        Ok(Reader::pull(LiveReader::new(Arc::clone(&self.shared), stream, from)))
    }

    async fn end(&self, stream: Stream) -> Result<u64, LogError> {
        Ok(self.shared.live.end(stream))
    }

    async fn put(&self, bytes: Bytes) -> Result<ContentHash, LogError> {
        check_size(&bytes, CONTENT_BYTES_MAX)?;
        let hash = ContentHash::of(&bytes);
        let shared = Arc::clone(&self.shared);
        let known = blocking(move || shared.with_store(|store| store.has_content(hash)));
        if answer_of(known.await)? {
            return Ok(hash);
        }
        self.write_content(hash, bytes).await
    }

    async fn mend(&self, bytes: Bytes) -> Result<ContentHash, LogError> {
        check_size(&bytes, CONTENT_BYTES_MAX)?;
        self.write_content(ContentHash::of(&bytes), bytes).await
    }

    async fn get(&self, hash: ContentHash) -> Result<Option<Bytes>, LogError> {
        let shared = Arc::clone(&self.shared);
        answer_of(blocking(move || shared.with_store(|store| store.content(hash))).await)
    }
}

impl EmbeddedLog {
    async fn write_content(
        &self,
        hash: ContentHash,
        bytes: Bytes,
    ) -> Result<ContentHash, LogError> {
        let (answer, answered) = oneshot::channel();
        self.shared.queue.push(Request::Put { hash, bytes, answer })?;
        let stored = answered.await;
        stored.map_err(|gone| unavailable("writing", Failure::Indeterminate, gone))??;
        Ok(hash)
    }
}

impl Shared {
    /// Reads the file. While it is being opened again, this waits.
    fn with_store<T>(&self, read: impl Fn(&Store) -> Result<T, StoreError>) -> Result<T, LogError> {
        loop {
            let file = self.file.read().unwrap_or_else(PoisonError::into_inner);
            let Some(opened) = &*file else {
                return Err(unavailable("reading", Failure::Determinate, Closed));
            };
            match read(&opened.store) {
                // The writer has met this too, and opens the file again.
                Err(StoreError::NoRoom) => {
                    let nth = opened.nth;
                    drop(file);
                    let now = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
                    let later = self.opened_again.wait_while(now, |now| *now <= nth);
                    drop(later.unwrap_or_else(PoisonError::into_inner));
                }
                result => return result.map_err(|error| error.into_log_error("reading")),
            }
        }
    }

    fn read_table(&self, stream: Stream, from: u64) -> Result<Vec<StoredRecord>, LogError> {
        self.with_store(|store| store.read(stream, from))
    }

    /// Changes the file. For the writer thread alone.
    fn commit(
        &self,
        writes: &[Write],
        trim: Option<Trim>,
        quick_repair: bool,
    ) -> Result<(), StoreError> {
        let file = self.file.read().unwrap_or_else(PoisonError::into_inner);
        let opened = file.as_ref().expect("the file is closed after the writer thread has ended");
        opened.store.commit(writes, (self.clock)(), trim, quick_repair)
    }

    /// Closes the file and opens it again, whatever is in it now. For the writer thread alone.
    fn reopen(&self) -> Result<Ends, LogError> {
        let mut file = self.file.write().unwrap_or_else(PoisonError::into_inner);
        let nth = file.as_ref().map_or(0, |opened| opened.nth) + 1;
        *file = None;
        let reopened = Store::open(&self.path, self.config.cache_bytes, &self.open_file);
        let ends = reopened.map(|(store, ends)| {
            *file = Some(OpenedFile { store, nth });
            ends
        });
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = nth;
        self.opened_again.notify_all();
        ends
    }

    fn close(&self) {
        *self.file.write().unwrap_or_else(PoisonError::into_inner) = None;
        self.live.finish(Ending::Closed);
    }

    /// What is too old to be kept.
    fn trim(&self) -> Trim {
        let now_ms = (self.clock)();
        let before = |kept: Duration| {
            now_ms.saturating_sub(u64::try_from(kept.as_millis()).unwrap_or(u64::MAX))
        };
        Trim {
            commands_before_ms: before(self.config.commands_kept),
            membership_before_ms: before(self.config.membership_kept),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the log was closed")]
struct Closed;

fn unavailable(
    stage: &'static str,
    failure: Failure,
    source: impl std::error::Error + Send + Sync + 'static,
) -> LogError {
    LogError::Unavailable { stage, failure, source: Box::new(source) }
}

/// The answer of something that reads. It has none when the runtime shuts down meanwhile.
fn answer_of<T>(
    answer: Result<Result<T, LogError>, oneshot::error::RecvError>,
) -> Result<T, LogError> {
    answer.map_err(|gone| unavailable("reading", Failure::Determinate, gone))?
}

/// Runs something that reads the file where it may block: beside the runtime, if there is one.
fn blocking<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
    let (answer, answered) = oneshot::channel();
    let run = move || drop(answer.send(run()));
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(run)),
        Err(_) => run(),
    }
    answered
}
