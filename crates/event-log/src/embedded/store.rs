//! The open file of the embedded log: what is done with its tables, each in one transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use bytes::Bytes;
use events::ContentHash;
use redb::{
    Builder, Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, TableError,
    WriteTransaction,
};

use super::file::{OpenFile, Trouble, Troubles, WatchedFile};
use super::seal;
use super::tables::{self, CONTENT, Ends, FORMAT, Kind, META, StoreFailure};
use crate::{Failure, LogError, StoredRecord, Stream};

/// How many entries one reading of a table gives. At twice this, a reader that follows 32
/// partitions holds that much more memory and is no faster.
const READ_ENTRIES_MAX: usize = 256;

/// How many bytes one reading of a table gives, unless its first entry alone has more.
const READ_BYTES_MAX: usize = 1024 * 1024;

/// Something to store in one commit.
pub(super) enum Write {
    Entry { stream: Stream, offset: u64, bytes: Bytes },
    Content { hash: ContentHash, bytes: Bytes },
}

/// Entries older than these moments, in Unix milliseconds, are to be removed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trim {
    pub(super) commands_before_ms: u64,
    pub(super) membership_before_ms: u64,
}

/// The open file.
pub(super) struct Store {
    database: Database,
    troubles: Troubles,
    name: String,
}

/// Why something could not be done with the file.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    /// See [`Trouble::NoRoom`]. The file must be opened again.
    #[error("there is no room on the disk")]
    NoRoom,
    /// What stands in the file cannot be right.
    #[error("{0}")]
    Damaged(String),
    /// Anything else. Nothing more can be done with the file by this process.
    #[error(transparent)]
    Failed(Box<redb::Error>),
}

impl StoreError {
    /// As an error of the log, for something that did not change it.
    pub(super) fn into_log_error(self, stage: &'static str) -> LogError {
        match self {
            Self::Damaged(what) => LogError::Corrupt { what },
            Self::NoRoom => LogError::Full { source: Box::new(self) },
            Self::Failed(error) => {
                LogError::Unavailable { stage, failure: Failure::Determinate, source: error }
            }
        }
    }
}

impl Store {
    /// Opens or creates the file and looks whether it can be right.
    pub(super) fn open(
        path: &Path,
        cache_bytes: usize,
        open_file: &OpenFile,
    ) -> Result<(Self, Ends), LogError> {
        let name = path.display().to_string();
        let troubles = Troubles::default();
        let open = || {
            let file = WatchedFile::new(open_file(path)?, troubles.clone());
            Builder::new().set_cache_size(cache_bytes).create_with_backend(file)
        };
        // A file that was damaged in certain places makes redb panic. It must be refused instead.
        let database = catch_unwind(AssertUnwindSafe(open))
            .map_err(|_| LogError::Corrupt { what: format!("{name}: its tables cannot be read") })?
            .map_err(|error| cannot_open(&name, error))?;
        let store = Self { database, troubles, name };
        let ends = store.guarded(Self::initialise).and_then(|()| store.ends());
        Ok((store, ends.map_err(|error| error.into_log_error("opening its file"))?))
    }

    /// Runs something on the file. A panic in redb is damage, and an error is told apart by what
    /// the file itself reported first.
    fn guarded<T>(
        &self,
        run: impl FnOnce(&Self) -> Result<T, StoreFailure>,
    ) -> Result<T, StoreError> {
        match catch_unwind(AssertUnwindSafe(|| run(self))) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(StoreFailure::Damaged(what))) => Err(self.damaged(&what)),
            Ok(Err(StoreFailure::Redb(error))) => Err(match (self.troubles.first(), error) {
                (Some(Trouble::NoRoom), _) => StoreError::NoRoom,
                (_, redb::Error::Corrupted(what)) => self.damaged(&what),
                (_, error) => StoreError::Failed(Box::new(error)),
            }),
            Err(_) => Err(self.damaged("its tables cannot be read")),
        }
    }

    /// The end of every stream; on the way, a quick check.
    pub(super) fn ends(&self) -> Result<Ends, StoreError> {
        self.guarded(|store| {
            let transaction = store.database.begin_read()?;
            let mut ends = Ends::new();
            for kind in Kind::ALL {
                ends.extend(tables::check(kind, &transaction.open_table(kind.table())?)?);
            }
            Ok(ends)
        })
    }

    fn damaged(&self, what: &str) -> StoreError {
        StoreError::Damaged(format!("{}: {what}", self.name))
    }

    fn initialise(&self) -> Result<(), StoreFailure> {
        match self.database.begin_read()?.open_table(META) {
            Ok(meta) => match meta.get("format")?.map(|format| format.value()) {
                Some(FORMAT) => return Ok(()),
                found => return Err(StoreFailure::Damaged(format!("format {found:?} is unknown"))),
            },
            Err(TableError::TableDoesNotExist(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let transaction = self.begin(true)?;
        for kind in Kind::ALL {
            transaction.open_table(kind.table())?;
        }
        transaction.open_table(CONTENT)?;
        transaction.open_table(META)?.insert("format", FORMAT)?;
        Ok(transaction.commit()?)
    }

    fn begin(&self, quick_repair: bool) -> Result<WriteTransaction, StoreFailure> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        transaction.set_quick_repair(quick_repair);
        Ok(transaction)
    }

    /// Stores everything, durably, or nothing.
    pub(super) fn commit(
        &self,
        writes: &[Write],
        now_ms: u64,
        trim: Option<Trim>,
        quick_repair: bool,
    ) -> Result<(), StoreError> {
        self.guarded(|store| {
            let transaction = store.begin(quick_repair)?;
            for kind in Kind::ALL {
                let mut table = None;
                for write in writes {
                    let Write::Entry { stream, offset, bytes } = write else { continue };
                    let (of_kind, partition) = Kind::of(*stream);
                    if of_kind != kind {
                        continue;
                    }
                    let table = match &mut table {
                        Some(table) => table,
                        none => none.insert(transaction.open_table(kind.table())?),
                    };
                    let sealed = seal::close((partition, *offset), now_ms, bytes);
                    table.insert((partition, *offset), &sealed[..])?;
                }
            }
            let mut table = None;
            for write in writes {
                let Write::Content { hash, bytes } = write else { continue };
                let table = match &mut table {
                    Some(table) => table,
                    none => none.insert(transaction.open_table(CONTENT)?),
                };
                if table.get(hash.0)?.is_none() {
                    table.insert(hash.0, &bytes[..])?;
                }
            }
            drop(table);
            if let Some(trim) = trim {
                tables::trim(&transaction, Kind::Commands, trim.commands_before_ms)?;
                tables::trim(&transaction, Kind::Membership, trim.membership_before_ms)?;
            }
            Ok(transaction.commit()?)
        })
    }

    /// The next entries of a stream from an offset on, as many as one reading gives.
    pub(super) fn read(&self, stream: Stream, from: u64) -> Result<Vec<StoredRecord>, StoreError> {
        self.guarded(|store| {
            let (kind, partition) = Kind::of(stream);
            let table = store.database.begin_read()?.open_table(kind.table())?;
            let mut records: Vec<StoredRecord> = Vec::new();
            let mut bytes_read = 0;
            for entry in table.range((partition, from)..=(partition, u64::MAX))? {
                let (key, value) = entry?;
                let (_, offset) = key.value();
                let (_, bytes) = kind.open(key.value(), value.value())?;
                // Old entries of the other streams are trimmed away; events never.
                let first = (kind == Kind::Events).then_some(from);
                match records.last().map(|last| last.offset.saturating_add(1)).or(first) {
                    Some(expected) if expected != offset => {
                        return Err(kind.missing(partition, expected));
                    }
                    Some(_) | None => {}
                }
                bytes_read += bytes.len();
                if bytes_read > READ_BYTES_MAX && !records.is_empty() {
                    break;
                }
                records.push(StoredRecord { offset, bytes: Bytes::copy_from_slice(bytes) });
                if records.len() == READ_ENTRIES_MAX {
                    break;
                }
            }
            Ok(records)
        })
    }

    pub(super) fn has_content(&self, hash: ContentHash) -> Result<bool, StoreError> {
        self.guarded(|store| {
            Ok(store.database.begin_read()?.open_table(CONTENT)?.get(hash.0)?.is_some())
        })
    }

    pub(super) fn content(&self, hash: ContentHash) -> Result<Option<Bytes>, StoreError> {
        self.guarded(|store| {
            let table = store.database.begin_read()?.open_table(CONTENT)?;
            let Some(value) = table.get(hash.0)? else { return Ok(None) };
            let bytes = Bytes::copy_from_slice(value.value());
            if ContentHash::of(&bytes) != hash {
                let what = format!("the content {hash} is not what was stored");
                return Err(StoreFailure::Damaged(what));
            }
            Ok(Some(bytes))
        })
    }

    /// All hashes of content, for a full check.
    pub(super) fn content_hashes(&self) -> Result<Vec<ContentHash>, StoreError> {
        self.guarded(|store| {
            let table = store.database.begin_read()?.open_table(CONTENT)?;
            let hashes = table.iter()?.map(|entry| Ok(ContentHash(entry?.0.value())));
            hashes.collect()
        })
    }
}

fn cannot_open(name: &str, error: DatabaseError) -> LogError {
    if matches!(error, DatabaseError::DatabaseAlreadyOpen) {
        return LogError::InUse { log: name.to_owned() };
    }
    let error = redb::Error::from(error);
    let is_no_log = |error: &std::io::Error| error.kind() == std::io::ErrorKind::InvalidData;
    if matches!(&error, redb::Error::Corrupted(_))
        || matches!(&error, redb::Error::Io(error) if is_no_log(error))
    {
        return LogError::Corrupt { what: format!("{name}: {error}") };
    }
    LogError::Unavailable {
        stage: "opening its file",
        failure: Failure::Determinate,
        source: Box::new(error),
    }
}
