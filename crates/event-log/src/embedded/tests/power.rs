//! Power failures. A killed process leaves all that it wrote to the kernel; when the power fails,
//! what was written since the last sync is gone, or any part of it is.

use std::mem;
use std::sync::MutexGuard;

use super::*;

/// A disk that forgets, and a moment at which the power fails.
#[derive(Debug)]
struct Platter {
    synced: Vec<u8>,
    /// Writes since the last sync, in order.
    unsynced: Vec<(u64, Vec<u8>)>,
    /// What the file looks like to whoever reads it.
    seen: Vec<u8>,
    random: fastrand::Rng,
    /// After so many operations on the file the power fails.
    operations_left: u32,
    /// What is on the disk then.
    left_behind: Option<Vec<u8>>,
}

#[derive(Debug, Clone)]
struct ForgetfulFile(Arc<Mutex<Platter>>);

fn put_at(bytes: &mut Vec<u8>, offset: u64, data: &[u8]) {
    let at = usize::try_from(offset).unwrap();
    bytes.resize(bytes.len().max(at + data.len()), 0);
    bytes[at..at + data.len()].copy_from_slice(data);
}

impl Platter {
    /// The program goes on after the power has failed, in a world that is no more: the picture of
    /// the disk is what counts.
    fn operate(&mut self) {
        match self.operations_left.checked_sub(1) {
            Some(left) => self.operations_left = left,
            None if self.left_behind.is_none() => self.left_behind = Some(self.fail()),
            None => {}
        }
    }

    /// Everything that was synced, and any part of the rest.
    fn fail(&mut self) -> Vec<u8> {
        const SECTOR_BYTES: usize = 512;
        let mut left = self.synced.clone();
        let share = self.random.u8(0..=4);
        for (offset, data) in &self.unsynced {
            if self.random.u8(..4) < share {
                let sectors = self.random.usize(..=data.len() / SECTOR_BYTES);
                let torn = self.random.u8(..4) == 0;
                let kept = if torn { sectors * SECTOR_BYTES } else { data.len() };
                put_at(&mut left, *offset, &data[..kept]);
            }
        }
        left
    }
}

impl ForgetfulFile {
    fn new(bytes: Vec<u8>, mut random: fastrand::Rng) -> Self {
        let operations_left = random.u32(..80);
        Self(Arc::new(Mutex::new(Platter {
            synced: bytes.clone(),
            unsynced: Vec::new(),
            seen: bytes,
            random,
            operations_left,
            left_behind: None,
        })))
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap()
    }

    fn has_power(&self) -> bool {
        self.platter().left_behind.is_none()
    }

    fn open(&self) -> EmbeddedLog {
        let file = self.clone();
        let open_file = move |_: &Path| Ok(Box::new(file.clone()) as Box<dyn StorageBackend>);
        let (config, path) = (EmbeddedConfig::default(), Path::new("on-a-forgetful-disk"));
        EmbeddedLog::start(path, config, Arc::new(open_file), Arc::new(|| 1)).unwrap()
    }
}

impl StorageBackend for ForgetfulFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.platter().seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        let platter = self.platter();
        let bytes = platter.seen.get(at..at + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    /// The file system's journal keeps lengths: they are there after a power failure.
    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).unwrap();
        let mut platter = self.platter();
        platter.operate();
        platter.seen.resize(len, 0);
        platter.synced.resize(len, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut platter = self.platter();
        platter.operate();
        let unsynced: Vec<(u64, Vec<u8>)> = mem::take(&mut platter.unsynced);
        for (offset, data) in unsynced {
            put_at(&mut platter.synced, offset, &data);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut platter = self.platter();
        platter.operate();
        put_at(&mut platter.seen, offset, data);
        platter.unsynced.push((offset, data.to_vec()));
        Ok(())
    }
}

fn random_entry(random: &mut fastrand::Rng) -> Bytes {
    let mut bytes = vec![0; random.usize(1..3_000)];
    random.fill(&mut bytes);
    bytes.into()
}

/// The power fails at any write or sync: while the log is created, opened, written to. Everything
/// that was acknowledged before is there afterwards, and of the rest what was written first.
#[tokio::test]
async fn a_power_failure_loses_nothing_that_was_acknowledged() {
    let mut random = fastrand::Rng::with_seed(13);
    let mut left_behind = Vec::new();
    let mut known: Vec<Bytes> = Vec::new();
    let mut under_way: Vec<Bytes> = Vec::new();
    let (mut kept, mut lost) = (0, 0);
    for round in 0..150 {
        let file = ForgetfulFile::new(mem::take(&mut left_behind), random.fork());
        let log = file.open();
        let end = usize::try_from(log.end(EVENTS).await.unwrap()).unwrap();
        assert!(end >= known.len(), "round {round}: {} were durable, {end} are there", known.len());
        if !under_way.is_empty() {
            *(if end > known.len() { &mut kept } else { &mut lost }) += 1;
        }
        known.extend(under_way.drain(..).take(end - known.len()));
        let mut reader = log.read(EVENTS, 0).await.unwrap();
        for bytes in &known {
            assert_eq!(reader.try_next().unwrap().unwrap().bytes, bytes, "round {round}");
        }
        assert!(reader.try_next().is_none());
        drop(reader);
        log.verify().unwrap();

        while file.has_power() {
            let count = random.usize(1..20);
            let entries: Vec<Bytes> = (0..count).map(|_| random_entry(&mut random)).collect();
            let appends = entries.iter().map(|bytes| log.append(EVENTS, bytes.clone()).boxed());
            for answer in pipelined(appends.collect()).await {
                answer.unwrap();
            }
            let acknowledged = file.has_power();
            if acknowledged { &mut known } else { &mut under_way }.extend(entries);
        }
        drop(log);
        left_behind = file.platter().left_behind.take().expect("the power has failed");
    }
    assert!(kept > 10 && lost > 10, "{kept} times something more was there, {lost} times not");
}
