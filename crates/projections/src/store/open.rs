//! Opening a directory: under supervision, since sled may refuse or panic after a hard stop.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::directory::{self, Lock};
use super::error::StoreError;
use super::load::{self, Loaded};
use super::rows::Rows;
use super::{Opened, Quarantine, Store, keys, values};
use crate::model::{Model, PartitionOf};

/// How much of the rows sled keeps in memory. Twice as much did not make anything faster here.
const CACHE_BYTES: u64 = 64 << 20;

/// How often sled writes its buffers out. Without it, its memory grows to the size of the data.
const FLUSH_EVERY_MS: u64 = 200;

/// How long to wait for a store of this process that is being closed: sled lets go of its file
/// when its last thread ends.
const CLOSING_WAIT: Duration = Duration::from_secs(5);
const CLOSING_POLL: Duration = Duration::from_millis(10);

/// What came of an attempt to open a directory.
enum Attempt {
    Usable(Box<(Store, Model)>),
    /// For this reason.
    Unusable(String),
}

/// Opens a directory, or sets it aside and makes a new one.
pub(super) fn open(
    dir: &Path,
    lock: &Arc<Lock>,
    partition_of: PartitionOf,
) -> Result<Opened, StoreError> {
    match attempt(dir, lock, partition_of)? {
        Attempt::Usable(usable) => {
            let (store, model) = *usable;
            Ok(Opened { store, model, rebuilt: None })
        }
        Attempt::Unusable(reason) => open_anew(dir, lock, partition_of, reason),
    }
}

/// Sets a directory aside and makes a new one.
pub(super) fn open_anew(
    dir: &Path,
    lock: &Arc<Lock>,
    partition_of: PartitionOf,
    reason: String,
) -> Result<Opened, StoreError> {
    let moved_to = directory::quarantine(dir)?;
    tracing::warn!(
        dir = %dir.display(), quarantine = %moved_to.display(), %reason,
        "the projections cannot be used; they are built again from the log, which takes a while"
    );
    match attempt(dir, lock, partition_of)? {
        Attempt::Usable(usable) => {
            let (store, model) = *usable;
            let rebuilt = Some(Quarantine { moved_to, reason });
            Ok(Opened { store, model, rebuilt })
        }
        Attempt::Unusable(reason) => Err(StoreError::Fresh { dir: dir.to_owned(), reason }),
    }
}

/// Opens and loads. sled answers some kinds of damage with a panic, so that is caught.
fn attempt(dir: &Path, lock: &Arc<Lock>, partition_of: PartitionOf) -> Result<Attempt, StoreError> {
    let opened = catch_unwind(AssertUnwindSafe(|| open_and_load(dir, lock, partition_of)));
    match opened {
        Ok(Ok((rows, loaded))) => {
            let Loaded { model, known } = loaded;
            let dir = dir.to_owned();
            let store = Store { dir, rows, partition_of, known, is_broken: false };
            Ok(Attempt::Usable(Box::new((store, model))))
        }
        Ok(Err(Unopened::Unusable(reason))) => Ok(Attempt::Unusable(reason)),
        Ok(Err(Unopened::Failed(error))) => Err(error),
        Err(panic) => {
            let words = panic.downcast_ref::<String>().map(String::as_str);
            let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
            let what = words.unwrap_or("for an unknown reason");
            Ok(Attempt::Unusable(format!("sled panicked: {what}")))
        }
    }
}

/// Why a directory was not opened.
enum Unopened {
    /// Its content is of no use.
    Unusable(String),
    /// Its content may well be fine.
    Failed(StoreError),
}

fn open_and_load(
    dir: &Path,
    lock: &Arc<Lock>,
    partition_of: PartitionOf,
) -> Result<(Rows, Loaded), Unopened> {
    let db = open_sled(dir)?;
    let rows = Rows { db, lock: Arc::clone(lock) };
    check_version(&rows)?;
    match load::load(&rows, partition_of) {
        Ok(loaded) => Ok((rows, loaded)),
        Err(error @ StoreError::Write { .. }) => Err(Unopened::Failed(error)),
        Err(error) => Err(Unopened::Unusable(chain(&error))),
    }
}

/// Another version is of no use; a new directory becomes one of this version.
fn check_version(rows: &Rows) -> Result<(), Unopened> {
    let found = rows.get(keys::VERSION).map_err(|error| Unopened::Unusable(chain(&error)))?;
    let this = [values::ROWS_VERSION];
    match found {
        Some(version) if *version == this => Ok(()),
        None if rows.db.is_empty() => {
            let made = rows.db.insert(keys::VERSION, &this).and_then(|_| rows.db.flush());
            made.map(drop).map_err(|source| Unopened::Failed(StoreError::Write { source }))
        }
        other => {
            let other = other.map(hex::encode);
            let this = values::ROWS_VERSION;
            Err(Unopened::Unusable(format!("its rows have version {other:?}, not {this}")))
        }
    }
}

fn open_sled(dir: &Path) -> Result<sled::Db, Unopened> {
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(Some(FLUSH_EVERY_MS));
    let mut waited = Duration::ZERO;
    loop {
        match config.open() {
            Ok(db) => return Ok(db),
            // Nobody else has our lock, so it is a store of this process that is being closed.
            Err(sled::Error::Io(error)) if is_locked(&error) => {
                if waited >= CLOSING_WAIT {
                    let dir = dir.to_owned();
                    return Err(Unopened::Failed(StoreError::InUse { dir }));
                }
                std::thread::sleep(CLOSING_POLL);
                waited += CLOSING_POLL;
            }
            Err(sled::Error::Io(source)) if is_outside_our_power(&source) => {
                let dir = dir.to_owned();
                return Err(Unopened::Failed(StoreError::Directory { dir, source }));
            }
            Err(error) => return Err(Unopened::Unusable(error.to_string())),
        }
    }
}

/// sled has no kind of error for it.
fn is_locked(error: &std::io::Error) -> bool {
    error.to_string().starts_with("could not acquire lock")
}

/// Errors that another directory would run into as well.
fn is_outside_our_power(error: &std::io::Error) -> bool {
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

/// An error and what led to it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
