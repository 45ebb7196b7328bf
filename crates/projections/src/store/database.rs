//! sled itself: opened with our settings, and closed within a bound.
//!
//! sled works in the background, and what it panics at there cannot be caught: a page that rotted
//! stops its flusher, and then closing waits for a thread that is no more. So closing is left to a
//! thread of its own, which is given up on after a while.

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use sled::Db;

use super::directory::Lock;

/// How much of the rows sled keeps in memory. Twice as much did not make anything faster here.
const CACHE_BYTES: u64 = 64 << 20;

/// How often sled writes its buffers out. Without it, its memory grows to the size of the data.
const FLUSH_EVERY_MS: u64 = 200;

/// How long closing may take. It writes out what was not flushed: a second or so at most.
const CLOSING_MAX: Duration = Duration::from_secs(5);

/// How long to wait for a database of this process that is being closed: sled lets go of its file
/// when its last thread ends, which may be a moment after it was dropped.
const LOCKED_MAX: Duration = Duration::from_secs(5);
const LOCKED_POLL: Duration = Duration::from_millis(10);

/// An open database. Its directory is locked as long as sled may write to it.
#[derive(Debug)]
pub(crate) struct Database {
    /// Taken when it is dropped.
    open: Option<(Db, Arc<Lock>)>,
}

/// Why a database was not opened.
#[derive(Debug)]
pub(crate) enum NotOpened {
    /// It is being closed and does not come to an end.
    Busy,
    /// The system does not let us; the files may be fine.
    System(std::io::Error),
    /// sled cannot make sense of the files.
    Unusable(sled::Error),
}

impl Database {
    /// Opens the database in a directory that is locked.
    pub(crate) fn open(dir: &Path, lock: &Arc<Lock>) -> Result<Self, NotOpened> {
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(Some(FLUSH_EVERY_MS));
        let mut waited = Duration::ZERO;
        loop {
            match config.open() {
                Ok(db) => return Ok(Self { open: Some((db, Arc::clone(lock))) }),
                Err(sled::Error::Io(error)) if is_locked(&error) && waited < LOCKED_MAX => {
                    thread::sleep(LOCKED_POLL);
                    waited += LOCKED_POLL;
                }
                Err(sled::Error::Io(error)) if is_locked(&error) => return Err(NotOpened::Busy),
                Err(sled::Error::Io(error)) if is_of_the_system(&error) => {
                    return Err(NotOpened::System(error));
                }
                Err(error) => return Err(NotOpened::Unusable(error)),
            }
        }
    }

    /// The lock of its directory.
    pub(crate) fn lock(&self) -> Arc<Lock> {
        let (_, lock) = self.open.as_ref().expect("taken only when it is dropped");
        Arc::clone(lock)
    }
}

impl Deref for Database {
    type Target = Db;

    fn deref(&self) -> &Db {
        let (db, _) = self.open.as_ref().expect("taken only when it is dropped");
        db
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let Some((db, lock)) = self.open.take() else { return };
        let (closed, wait) = mpsc::channel();
        let close = move || {
            drop(db);
            drop(lock);
            // Nobody waits any more when it took too long.
            closed.send(()).ok();
        };
        match thread::Builder::new().name("projections-close".to_owned()).spawn(close) {
            Ok(_) if wait.recv_timeout(CLOSING_MAX).is_ok() => {}
            Ok(_) => {
                tracing::warn!("sled does not close; its last rows are read from the log again")
            }
            Err(error) => tracing::warn!(%error, "no thread to close sled on; it was closed here"),
        }
    }
}

/// Nobody else has our lock, so it is a database of this process that is being closed. sled has no
/// kind of error for it.
fn is_locked(error: &std::io::Error) -> bool {
    error.to_string().starts_with("could not acquire lock")
}

/// Errors that another directory would run into as well.
fn is_of_the_system(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied
            | ErrorKind::StorageFull
            | ErrorKind::QuotaExceeded
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::OutOfMemory
    )
}
