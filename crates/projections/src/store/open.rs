//! Opening a directory: under supervision, since sled may refuse or panic after a hard stop.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use super::database::{Database, NotOpened};
use super::directory::{self, Lock};
use super::error::StoreError;
use super::load::{self, Loaded};
use super::rows::Rows;
use super::version::VERSION;
use super::{Opened, Quarantine, Store, keys};
use crate::model::{Model, PartitionOf};

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
            let store =
                Store { dir, rows, partition_of, known, is_broken: false, is_set_aside: false };
            Ok(Attempt::Usable(Box::new((store, model))))
        }
        Ok(Err(Unopened::Unusable(reason))) => Ok(Attempt::Unusable(reason)),
        Ok(Err(Unopened::Failed(error))) => Err(error),
        Err(panic) => {
            let what = words_of(&*panic).unwrap_or("for an unknown reason");
            Ok(Attempt::Unusable(format!("sled panicked: {what}")))
        }
    }
}

/// What a panic says.
fn words_of(panic: &(dyn Any + Send)) -> Option<&str> {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied())
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
    let database = Database::open(dir, lock).map_err(|error| match error {
        NotOpened::Busy => Unopened::Failed(StoreError::InUse { dir: dir.to_owned() }),
        NotOpened::System(source) => {
            Unopened::Failed(StoreError::Directory { dir: dir.to_owned(), source })
        }
        NotOpened::Unusable(error) => Unopened::Unusable(error.to_string()),
    })?;
    let rows = Rows { db: Arc::new(database) };
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
    match found {
        Some(version) if *version == **VERSION => Ok(()),
        None if rows.db.is_empty() => {
            let made = rows.db.insert(keys::VERSION, &**VERSION).and_then(|_| rows.db.flush());
            made.map(drop).map_err(|source| Unopened::Failed(StoreError::Write { source }))
        }
        other => {
            let other = other.map_or("none".to_owned(), hex::encode);
            let this = hex::encode(&*VERSION);
            Err(Unopened::Unusable(format!("its version is {other}, not {this}")))
        }
    }
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
