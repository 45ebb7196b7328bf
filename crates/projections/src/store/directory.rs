//! The directory: one owner at a time, and a place for what cannot be used.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::error::StoreError;

/// How many directories are kept in quarantine, to find out what happened to them. They hold
/// nothing that the log does not have, so the oldest goes first.
pub const QUARANTINED_MAX: usize = 3;

/// Says that the directory is ours as long as it lives. The file lies next to the directory, since
/// that may be moved, and stays.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    pub(crate) fn acquire(dir: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Directory { dir: dir.to_owned(), source };
        fs::create_dir_all(dir).map_err(failed)?;
        let path = beside(dir, ".lock");
        let file = File::create(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse { dir: dir.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

/// Moves a directory to `quarantine/` next to it, under its name and a number that rises.
pub(crate) fn quarantine(dir: &Path) -> Result<PathBuf, StoreError> {
    let moved = || {
        let place = dir.parent().unwrap_or(Path::new("")).join("quarantine");
        fs::create_dir_all(&place)?;
        let mut present = quarantined(&place, &name(dir))?;
        let next = present.last().map_or(1, |(number, _)| number + 1);
        let target = place.join(format!("{}-{next}", name(dir)));
        fs::rename(dir, &target)?;
        present.push((next, target.clone()));
        let surplus = present.len().saturating_sub(QUARANTINED_MAX);
        for (_, oldest) in present.drain(..surplus) {
            fs::remove_dir_all(oldest)?;
        }
        Ok(target)
    };
    moved().map_err(|source| StoreError::Directory { dir: dir.to_owned(), source })
}

/// What is in quarantine under a name, the oldest first.
fn quarantined(place: &Path, name: &str) -> std::io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(place)? {
        let entry = entry?;
        let file_name = entry.file_name().to_string_lossy().into_owned();
        let number = file_name.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            found.push((number, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

fn beside(dir: &Path, suffix: &str) -> PathBuf {
    dir.with_file_name(format!("{}{suffix}", name(dir)))
}

fn name(dir: &Path) -> String {
    dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
