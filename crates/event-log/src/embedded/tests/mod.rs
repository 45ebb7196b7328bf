mod power;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use events::Partition;
use futures::FutureExt;
use redb::{BackendError, DatabaseError, ReadableDatabase, StorageBackend, TableDefinition};
use std::ops::Bound;
use tempfile::TempDir;

use super::*;
use crate::conformance::owner::next;
use crate::conformance::pipelined;

const EVENTS: Stream = Stream::Events(Partition(3));
const TABLE: TableDefinition<'static, (u16, u64), &[u8]> = TableDefinition::new("events");

/// A log in a directory of its own, on a disk that can be made to fail.
struct Bench {
    directory: TempDir,
    disk: Arc<Disk>,
    now_ms: Arc<AtomicU64>,
}

/// What the disk does.
#[derive(Debug)]
struct Disk {
    /// There is no room beyond this offset.
    room: AtomicU64,
    /// The next sync fails, and only that one.
    fails_to_sync: AtomicBool,
    syncs: AtomicU64,
}

#[derive(Debug)]
struct FileOnDisk {
    file: Box<dyn StorageBackend>,
    disk: Arc<Disk>,
}

impl Bench {
    fn new() -> Self {
        let disk = Disk {
            room: AtomicU64::new(u64::MAX),
            fails_to_sync: AtomicBool::new(false),
            syncs: AtomicU64::new(0),
        };
        Self {
            directory: TempDir::new().unwrap(),
            disk: Arc::new(disk),
            now_ms: Arc::new(AtomicU64::new(1)),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("log.redb")
    }

    fn try_open(&self) -> Result<EmbeddedLog, LogError> {
        let disk = Arc::clone(&self.disk);
        let open_file = move |path: &Path| {
            let file = file::open_file(path)?;
            let file = FileOnDisk { file, disk: Arc::clone(&disk) };
            Ok(Box::new(file) as Box<dyn StorageBackend>)
        };
        let now_ms = Arc::clone(&self.now_ms);
        let clock = move || now_ms.load(Ordering::SeqCst);
        EmbeddedLog::start(
            &self.path(),
            EmbeddedConfig::default(),
            Arc::new(open_file),
            Arc::new(clock),
        )
    }

    fn open(&self) -> EmbeddedLog {
        self.try_open().unwrap()
    }

    /// Opens the file without the log around it.
    fn tables(&self) -> redb::Database {
        redb::Database::open(self.path()).unwrap()
    }
}

impl StorageBackend for FileOnDisk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.disk.syncs.fetch_add(1, Ordering::SeqCst);
        if self.disk.fails_to_sync.swap(false, Ordering::SeqCst) {
            return Err(io::Error::other("the disk is gone"));
        }
        self.file.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if offset + data.len() as u64 > self.disk.room.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write(offset, data)
    }
    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }
    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }
}

fn entry(number: usize) -> Bytes {
    Bytes::from(format!("this is entry {number} of the log, and it has a certain length"))
}

async fn append(log: &EmbeddedLog, numbers: std::ops::Range<usize>) {
    let appends = numbers.map(|n| log.append(EVENTS, entry(n)).boxed()).collect();
    for answer in pipelined(appends).await {
        answer.unwrap();
    }
}

async fn assert_holds(log: &EmbeddedLog, count: usize) {
    let mut reader = log.read(EVENTS, 0).await.unwrap();
    for n in 0..count {
        let record = next(&mut reader).await;
        assert_eq!((record.offset, record.bytes), (n as u64, entry(n)));
    }
    assert!(reader.try_next().is_none());
}

fn what_is_corrupt(error: LogError) -> String {
    match error {
        LogError::Corrupt { what } => what,
        LogError::Unavailable { .. }
        | LogError::Full { .. }
        | LogError::TooLarge { .. }
        | LogError::Misconfigured { .. }
        | LogError::InUse { .. } => panic!("not damage, but {error:?}"),
    }
}

#[test]
fn a_log_has_one_user_at_a_time() {
    let bench = Bench::new();
    let log = bench.open();
    let error = bench.try_open().err().unwrap();
    assert!(matches!(&error, LogError::InUse { log } if log.ends_with("log.redb")), "{error}");
    drop(log);
    bench.open();
}

#[test]
fn a_log_in_no_directory_is_refused_with_a_remedy() {
    let bench = Bench::new();
    let error = EmbeddedLog::open(bench.directory.path().join("no/log.redb")).err().unwrap();
    assert!(
        matches!(&error, LogError::Misconfigured { remedy, .. } if remedy.starts_with("mkdir"))
    );
}

#[test]
fn a_file_that_is_no_log_is_refused_and_left_alone() {
    let bench = Bench::new();
    fs::write(bench.path(), "not a log, but a letter".repeat(1000)).unwrap();
    let before = fs::read(bench.path()).unwrap();
    assert!(what_is_corrupt(bench.try_open().err().unwrap()).contains("log.redb"));
    assert_eq!(fs::read(bench.path()).unwrap(), before);
}

#[tokio::test]
async fn appends_that_wait_together_share_a_sync() {
    let bench = Bench::new();
    let log = bench.open();
    let before = bench.disk.syncs.load(Ordering::SeqCst);
    append(&log, 0..1000).await;
    let syncs = bench.disk.syncs.load(Ordering::SeqCst) - before;
    assert!(syncs < 20, "{syncs} syncs for 1000 appends");
}

#[tokio::test]
async fn a_reader_has_everything_before_it_ends() {
    let bench = Bench::new();
    let log = bench.open();
    append(&log, 0..600).await;
    let mut live = log.read(EVENTS, 0).await.unwrap();
    for n in 0..600 {
        assert_eq!(next(&mut live).await.bytes, entry(n));
    }
    append(&log, 600..700).await;
    drop(log);
    for n in 600..700 {
        assert_eq!(next(&mut live).await.bytes, entry(n));
    }
    assert!(live.next().await.is_none());
    assert!(live.next().await.is_none());
}

#[tokio::test]
async fn reading_needs_no_await() {
    let bench = Bench::new();
    let log = bench.open();
    append(&log, 0..600).await;
    let mut reader = log.read(EVENTS, 0).await.unwrap();
    for n in 0..600 {
        assert_eq!(reader.try_next().unwrap().unwrap().bytes, entry(n));
    }
    assert!(reader.try_next().is_none());
}

/// Changes the bytes of one entry on the disk.
fn damage(bench: &Bench, number: usize) {
    let mut bytes = fs::read(bench.path()).unwrap();
    let entry = entry(number);
    let mut found = 0;
    for at in 0..bytes.len() - entry.len() {
        if bytes[at..].starts_with(&entry) {
            bytes[at + 5] ^= 1;
            found += 1;
        }
    }
    assert!(found > 0, "the entry is on the disk");
    fs::write(bench.path(), bytes).unwrap();
}

#[tokio::test]
async fn a_damaged_entry_is_found_when_the_log_is_opened() {
    let bench = Bench::new();
    let log = bench.open();
    append(&log, 0..100).await;
    drop(log);
    damage(&bench, 97);
    let what = what_is_corrupt(bench.try_open().err().unwrap());
    assert!(what.ends_with("events of partition 3: entry 97 has changed"), "{what}");
}

#[tokio::test]
async fn a_damaged_old_entry_is_found_when_it_is_read() {
    let bench = Bench::new();
    let log = bench.open();
    append(&log, 0..10).await;
    for _ in 0..2 {
        log.append(EVENTS, vec![0; 800_000].into()).await.unwrap();
    }
    drop(log);
    damage(&bench, 7);

    let log = bench.open();
    let verified = what_is_corrupt(log.verify().unwrap_err());
    assert!(verified.ends_with("events of partition 3: entry 7 has changed"), "{verified}");
    let mut reader = log.read(EVENTS, 0).await.unwrap();
    let error = reader.next().await.unwrap().unwrap_err();
    assert_eq!(what_is_corrupt(error), verified);
    assert!(reader.next().await.is_none(), "a reader is at its end after an error");
}

#[tokio::test]
async fn a_missing_entry_is_found_when_the_log_is_opened() {
    let bench = Bench::new();
    let log = bench.open();
    append(&log, 0..100).await;
    drop(log);
    let tables = bench.tables();
    let transaction = tables.begin_write().unwrap();
    transaction.open_table(TABLE).unwrap().remove((3, 41)).unwrap();
    transaction.commit().unwrap();
    drop(tables);
    let what = what_is_corrupt(bench.try_open().err().unwrap());
    assert!(what.ends_with("events of partition 3: entry 41 is missing"), "{what}");
}

#[tokio::test]
async fn a_log_of_an_unknown_format_is_refused() {
    let bench = Bench::new();
    drop(bench.open());
    let tables = bench.tables();
    let transaction = tables.begin_write().unwrap();
    let meta: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
    transaction.open_table(meta).unwrap().insert("format", 2).unwrap();
    transaction.commit().unwrap();
    drop(tables);
    assert!(what_is_corrupt(bench.try_open().err().unwrap()).contains("format"));
}

/// Whatever happens to a file, nobody is given an entry that was not written, and nothing panics.
#[tokio::test]
async fn damage_anywhere_is_noticed_or_harmless() {
    let bench = Bench::new();
    let log = bench.open();
    append(&log, 0..2000).await;
    log.put(Bytes::from(vec![5; 20_000])).await.unwrap();
    drop(log);
    let intact = fs::read(bench.path()).unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    let mut damaged = Vec::new();
    // The header says which commit is the newest: every byte of it.
    for at in 0..320 {
        let mut bytes = intact.clone();
        bytes[at] ^= random.u8(1..);
        damaged.push(bytes);
    }
    for _ in 0..30 {
        damaged.push(intact[..random.usize(1..intact.len())].to_vec());
    }
    for _ in 0..100 {
        let mut bytes = intact.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..bytes.len());
            bytes[at] ^= random.u8(1..);
        }
        damaged.push(bytes);
    }

    let (mut refused, mut harmless) = (0, 0);
    for (n, bytes) in damaged.into_iter().enumerate() {
        fs::write(bench.path(), bytes).unwrap();
        match bench.try_open().and_then(|log| log.verify().map(|verified| (log, verified))) {
            Ok((_, verified)) if verified.entries == 2000 => harmless += 1,
            Ok((_, verified)) => panic!("case {n}: {verified:?} is taken for intact"),
            Err(LogError::Corrupt { .. } | LogError::Unavailable { .. }) => refused += 1,
            Err(other) => panic!("case {n}: {other:?}"),
        }
    }
    assert!(refused > 20 && harmless > 20, "{refused} refused, {harmless} harmless");
}

#[tokio::test]
async fn a_full_disk_refuses_appends_and_goes_on_when_there_is_room() {
    let bench = Bench::new();
    let log = bench.open();
    let mut live = log.read(EVENTS, 0).await.unwrap();
    append(&log, 0..100).await;
    let used = fs::metadata(bench.path()).unwrap().len();
    let other = Stream::Events(Partition(1));
    let (mut taken, mut contents) = (0, Vec::new());

    for round in 0..3 {
        bench.disk.room.store(used, Ordering::SeqCst);
        let mut refused = false;
        for _ in 0..100 {
            let large = Bytes::from(vec![b'x'; 500_000]);
            let (large, put) = futures::join!(log.append(other, large), log.put(random_bytes()));
            taken += u64::from(large.is_ok());
            contents.extend(put.as_ref().ok().copied());
            if let (Err(error), Err(_)) = (large, put) {
                assert!(matches!(error, LogError::Full { .. }), "{error:?}");
                assert_eq!(error.failure(), Failure::Determinate);
                refused = true;
                break;
            }
        }
        assert!(refused, "round {round}: 50 MB do not fit");

        // What was there can be read all the time, and once there is room, it goes on.
        let stored = 100 + round;
        assert_holds(&log, stored).await;
        bench.disk.room.store(u64::MAX, Ordering::SeqCst);
        let since = Instant::now();
        while let Err(error) = log.append(EVENTS, entry(stored)).await {
            assert!(matches!(error, LogError::Full { .. }), "{error:?}");
            assert!(since.elapsed() < Duration::from_secs(30), "it never goes on");
            tokio::task::yield_now().await;
        }
    }
    for n in 0..103 {
        assert_eq!(next(&mut live).await.bytes, entry(n), "a reader lives through it");
    }
    drop(log);

    // What was answered is what is there.
    let log = bench.open();
    assert_holds(&log, 103).await;
    assert_eq!(log.end(other).await.unwrap(), taken);
    for hash in contents {
        assert!(log.get(hash).await.unwrap().is_some());
    }
    log.verify().unwrap();
}

fn random_bytes() -> Bytes {
    let mut bytes = vec![0; 10_000];
    fastrand::fill(&mut bytes);
    bytes.into()
}

#[tokio::test]
async fn after_a_failed_sync_nobody_knows_and_nothing_more_is_written() {
    let bench = Bench::new();
    let log = bench.open();
    append(&log, 0..10).await;
    let mut live = log.read(EVENTS, 0).await.unwrap();
    bench.disk.fails_to_sync.store(true, Ordering::SeqCst);
    let error = log.append(EVENTS, entry(10)).await.unwrap_err();
    assert_eq!(error.failure(), Failure::Indeterminate);
    let error = log.append(EVENTS, entry(11)).await.unwrap_err();
    assert_eq!(error.failure(), Failure::Indeterminate);

    for n in 0..10 {
        assert_eq!(next(&mut live).await.bytes, entry(n));
    }
    assert!(live.next().await.unwrap().is_err(), "the reader learns that nothing more will come");
    assert!(live.next().await.is_none());
    drop(log);

    // After a restart the file says: all before is there, and of the two at most the first.
    let log = bench.open();
    let end = log.end(EVENTS).await.unwrap();
    assert!((10..=11).contains(&end), "{end}");
    assert_holds(&log, usize::try_from(end).unwrap()).await;
}

#[tokio::test]
async fn old_commands_and_leases_are_removed_but_never_the_newest_nor_events() {
    const HOUR: u64 = 60 * 60 * 1000;
    let bench = Bench::new();
    let streams = [
        (Stream::Commands(Partition(0)), 7 * 24),
        (Stream::Commands(Partition(9)), 7 * 24),
        (Stream::Membership, 24),
        (EVENTS, u64::MAX),
    ];
    let mut written = BTreeMap::new();
    for hour in 0..200_u64 {
        bench.now_ms.store(hour * HOUR, Ordering::SeqCst);
        // The first commit after the log is opened trims.
        let log = bench.open();
        for (stream, _) in streams {
            let offset = log.append(stream, Bytes::from(hour.to_string())).await.unwrap();
            assert_eq!(offset, hour, "offsets go on rising");
            written.insert(hour, stream);
        }
        if hour < 190 {
            continue;
        }
        for (stream, kept) in streams {
            let mut reader = log.read(stream, 0).await.unwrap();
            let oldest = next(&mut reader).await;
            assert_eq!(oldest.bytes, oldest.offset.to_string());
            // Entries that become old at the moment of the commit go with the next one.
            let expected = hour.saturating_sub(kept);
            assert!(oldest.offset.abs_diff(expected) <= 1, "{stream:?}: {oldest:?}, {expected}");
        }
        log.verify().unwrap();
    }

    // A year later only the newest of each is left, and offsets go on.
    bench.now_ms.store(365 * 24 * HOUR, Ordering::SeqCst);
    let log = bench.open();
    append(&log, 200..201).await;
    let commands = Stream::Commands(Partition(9));
    let mut reader = log.read(commands, 0).await.unwrap();
    assert_eq!(next(&mut reader).await.offset, 199);
    assert!(reader.try_next().is_none());
    assert_eq!(log.append(commands, entry(0)).await.unwrap(), 200);
}

/// While nobody writes, the log sees to it that opening it after a crash is quick.
#[tokio::test]
async fn after_a_quiet_moment_a_crash_needs_no_repair() {
    let bench = Bench::new();
    let log = bench.open();
    append(&log, 0..100).await;
    let since = Instant::now();
    loop {
        // A copy of the file is what a crash leaves behind.
        let copy = bench.directory.path().join("copy.redb");
        fs::copy(bench.path(), &copy).unwrap();
        let mut builder = redb::Builder::new();
        builder.set_repair_callback(redb::RepairSession::abort);
        match builder.open(copy) {
            Ok(tables) => {
                let transaction = tables.begin_read().unwrap();
                let table = transaction.open_table(TABLE).unwrap();
                assert_eq!(redb::ReadableTableMetadata::len(&table).unwrap(), 100);
                break;
            }
            Err(DatabaseError::RepairAborted) => {}
            Err(error) => panic!("{error}"),
        }
        assert!(since.elapsed() < Duration::from_secs(30), "it never settles");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
