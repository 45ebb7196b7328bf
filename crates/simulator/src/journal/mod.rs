//! What a fleet keeps between runs: one file for all its clusters, to which every committed
//! change of an object is appended before anybody is told of it.
//!
//! The page cache holds what was appended, so a killed process loses nothing; nothing is forced
//! to the disk, so a power cut may lose the last seconds. Opening folds the file to the last
//! state of each object and rewrites it; so does growth.

mod fold;
mod line;

#[cfg(test)]
mod tests;

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fold::Clusters;
use line::{Change, Line};

use crate::store::{Commit, Kept};

/// A journal is rewritten when it is so many times as long as after the last time…
const GROWTH_MAX: u64 = 4;

/// …and this much longer: below, a rewrite saves nothing worth a pause.
const GROWTH_BYTES_MIN: u64 = 16 * 1024 * 1024;

/// A file that keeps the clusters of one fleet; cheap to clone. See
/// [`Fleet::with_journal`](crate::Fleet::with_journal).
///
/// # Guarantees
/// * A change is in the file before the request that caused it is answered.
/// * A cluster that is added again under its name goes on: its objects are the last committed
///   ones, controllers take up what they had not finished, uids are not given twice, the
///   resource version is above any that was ever seen, and watches and pages from before are
///   answered with 410.
/// * What a killed process wrote of a last line is dropped. Damage anywhere else is an error: a
///   fleet with holes is worse than none.
///
/// When the file cannot be written any more (a full disk), every request to every cluster of the
/// fleet is answered with 500 and the reason, until the process is started again.
#[derive(Debug, Clone)]
pub struct Journal {
    open: Arc<Mutex<Open>>,
}

#[derive(Debug)]
struct Open {
    path: PathBuf,
    file: File,
    /// How long it is, and how long it was when it was last rewritten.
    bytes: u64,
    bytes_rewritten: u64,
    /// Clusters that no fleet has taken yet.
    waiting: Clusters,
    /// Why nothing can be appended any more.
    failure: Option<String>,
    /// Held for as long as the journal is open.
    _lock: File,
}

/// A journal that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process has it open.
    #[error("the journal {} is in use: end the process that has it open, or use another file",
        path.display())]
    InUse {
        /// The journal.
        path: PathBuf,
    },
    /// It begins with something else.
    #[error("{} is not a journal of the simulator: it is left as it is, use another file",
        path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A line in the middle cannot be read.
    #[error("the journal {} is damaged in line {line}: move it away to start with fresh clusters",
        path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// The number of the line, from 1.
        line: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The file cannot be read.
    #[error("the journal {} cannot be read", path.display())]
    Read {
        /// The journal.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file, or the ones beside it (`.lock`, `.new`), cannot be written.
    #[error("the journal {} cannot be written", path.display())]
    Write {
        /// The journal.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Journal {
    /// Opens the journal, or begins one. The directory must be there.
    ///
    /// # Errors
    /// See [`JournalError`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, JournalError> {
        let path = path.into();
        let lock = lock(&path)?;
        let waiting = fold::fold(&path)?;
        let (file, bytes) = rewrite(&path, &waiting)?;
        let open =
            Open { path, file, bytes, bytes_rewritten: bytes, waiting, failure: None, _lock: lock };
        Ok(Self { open: Arc::new(Mutex::new(open)) })
    }

    /// The names of the clusters that it holds and that were not added to a fleet yet.
    pub fn cluster_names(&self) -> Vec<String> {
        self.locked().waiting.keys().cloned().collect()
    }

    fn locked(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is kept of the cluster, once.
    pub(crate) fn take(&self, cluster: &str) -> Option<Kept> {
        self.locked().waiting.remove(cluster)
    }

    /// Appends what a cluster committed.
    pub(crate) fn append(&self, cluster: &str, commits: &[(u64, Commit)]) {
        if commits.is_empty() {
            return;
        }
        let mut text = Vec::new();
        for (revision, commit) in commits {
            Line::of(cluster, *revision, commit).write_to(&mut text);
        }
        self.locked().append(&text);
    }

    /// Notes that a cluster left the fleet: it is not kept any longer.
    pub(crate) fn forget(&self, cluster: &str) {
        let mut text = Vec::new();
        Line { cluster: cluster.into(), revision: 0, change: Change::Left }.write_to(&mut text);
        self.locked().append(&text);
    }

    /// Why nothing is kept any more.
    pub(crate) fn failure(&self) -> Option<String> {
        self.locked().failure.clone()
    }
}

impl Open {
    fn append(&mut self, text: &[u8]) {
        if self.failure.is_some() {
            return;
        }
        let written = self.file.write_all(text);
        self.bytes += text.len() as u64;
        let grown = self.bytes.saturating_sub(self.bytes_rewritten);
        let is_long = self.bytes > GROWTH_MAX * self.bytes_rewritten && grown > GROWTH_BYTES_MIN;
        let kept = match written {
            Err(source) => Err(JournalError::Write { path: self.path.clone(), source }),
            Ok(()) if is_long => self.compact(),
            Ok(()) => Ok(()),
        };
        if let Err(error) = kept {
            let reason = match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            };
            tracing::error!(error = %reason, "the simulated clusters are not kept any more");
            self.failure = Some(reason);
        }
    }

    fn compact(&mut self) -> Result<(), JournalError> {
        let clusters = fold::fold(&self.path)?;
        (self.file, self.bytes) = rewrite(&self.path, &clusters)?;
        self.bytes_rewritten = self.bytes;
        Ok(())
    }
}

/// Keeps other processes away. The lock is a file of its own: the journal is replaced.
fn lock(path: &Path) -> Result<File, JournalError> {
    let unwritable = |source| JournalError::Write { path: path.to_owned(), source };
    let lock = File::create(beside(path, ".lock")).map_err(unwritable)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(JournalError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(unwritable(error)),
    }
}

/// Replaces the journal by a compact one, and returns it, to be appended to, with its length.
fn rewrite(path: &Path, clusters: &Clusters) -> Result<(File, u64), JournalError> {
    let replace = || {
        let new = beside(path, ".new");
        let file = fold::write(&new, clusters)?;
        fs::rename(&new, path)?;
        let bytes = file.metadata()?.len();
        Ok((file, bytes))
    };
    replace().map_err(|source| JournalError::Write { path: path.to_owned(), source })
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
