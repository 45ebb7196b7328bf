//! The file under redb, watched: which kind of trouble came first.
//!
//! redb reports an I/O error once and then refuses to go on, without saying which operation it was
//! that failed. For us it matters: a *write* that finds no room changed nothing that counts, and
//! there may be room later; a failed *sync* leaves nobody knowing what is on the disk (the kernel
//! may have dropped the pages, and a second sync would report success).

use std::fs::OpenOptions;
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use redb::backends::FileBackend;
use redb::{BackendError, DatabaseError, StorageBackend};

/// What went wrong with the file first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// There was no room to write to.
    NoRoom,
    /// Anything else: nothing can be said about what is on the disk.
    Io,
}

/// Where the first trouble with a file is noted. A new one for each time the file is opened.
#[derive(Debug, Clone, Default)]
pub(super) struct Troubles(Arc<OnceLock<Trouble>>);

impl Troubles {
    /// The first trouble, if there was any.
    pub(super) fn first(&self) -> Option<Trouble> {
        self.0.get().copied()
    }

    fn note(&self, trouble: Trouble) {
        self.0.get_or_init(|| trouble);
    }
}

/// Opens the file for redb. Tests put a file with a limit in its place.
pub(super) type OpenFile =
    Arc<dyn Fn(&Path) -> Result<Box<dyn StorageBackend>, DatabaseError> + Send + Sync>;

/// Opens the file as it is.
pub(super) fn open_file(path: &Path) -> Result<Box<dyn StorageBackend>, DatabaseError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, OWNER_ONLY);
    let file = options.open(path)?;
    keep_private(&file)?;
    Ok(Box::new(FileBackend::new(file)?))
}

/// The permissions of the file: it holds everything that was ever placed.
#[cfg(unix)]
const OWNER_ONLY: u32 = 0o600;

/// Takes away what others may do with a file that was there before.
#[cfg(unix)]
fn keep_private(file: &std::fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    if file.metadata()?.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    file.set_permissions(std::fs::Permissions::from_mode(OWNER_ONLY))
}

#[cfg(not(unix))]
fn keep_private(_file: &std::fs::File) -> io::Result<()> {
    Ok(())
}

/// Passes everything on and notes the first trouble.
#[derive(Debug)]
pub(super) struct WatchedFile {
    file: Box<dyn StorageBackend>,
    troubles: Troubles,
}

impl WatchedFile {
    pub(super) fn new(file: Box<dyn StorageBackend>, troubles: Troubles) -> Self {
        Self { file, troubles }
    }

    /// A write: without room nothing that counts has changed, since redb never overwrites what a
    /// committed state consists of, and syncs before it makes a new state the valid one.
    fn watch_write<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| {
            let no_room = matches!(
                error.kind(),
                io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::FileTooLarge
            );
            self.troubles.note(if no_room { Trouble::NoRoom } else { Trouble::Io });
        })
    }

    fn watch<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|_| self.troubles.note(Trouble::Io))
    }
}

impl StorageBackend for WatchedFile {
    fn len(&self) -> io::Result<u64> {
        self.watch(self.file.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.watch(self.file.read(offset, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.watch_write(self.file.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.watch(self.file.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.watch_write(self.file.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn regression_the_log_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.redb");
        let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        drop(open_file(&path).unwrap());
        assert_eq!(mode(), 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        drop(open_file(&path).unwrap());
        assert_eq!(mode(), 0o600, "one from before");
    }
}
