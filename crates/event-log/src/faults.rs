//! A log that fails: any backend with faults on the way to it, for tests and simulations.
//!
//! What fails is decided by a seed, or by a script; the same seed and the same calls in the same
//! order give the same faults. There are no timers: what comes late lands after a number of later
//! appends, or when [`FaultyLog::land`] is called.
//!
//! The guarantees of the port hold through all of it, for they are about what an answer means:
//! `Ok` is stored, a determinate error is not, after an indeterminate one nobody knows. Only a
//! doubled entry is more than the port allows, and no more than a driver's retry has been seen to
//! do.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use events::ContentHash;
use fastrand::Rng;

use crate::clock::LogClock;
use crate::port::{Failure, Log, LogError, Pull, Reader, StoredRecord, Stream};

/// How many later appends it takes at most until a late one lands. More makes zombies that come
/// later still, and histories longer than a test wants to be.
const LATE_BY_APPENDS_MAX: u32 = 20;

/// What can happen to an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendFault {
    /// It is not stored, and says so.
    Lost,
    /// It is not stored, and nobody knows.
    UnknownLost,
    /// It is stored, and nobody knows.
    UnknownStored,
    /// Nobody knows; it is stored later. A zombie's append looks like this.
    Late,
    /// It is stored twice in a row.
    Doubled,
    /// It is stored, and once more later.
    DoubledLate,
}

/// How often each fault happens: so many times in a thousand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Odds {
    /// [`AppendFault::Lost`].
    pub lost: u16,
    /// [`AppendFault::UnknownLost`].
    pub unknown_lost: u16,
    /// [`AppendFault::UnknownStored`].
    pub unknown_stored: u16,
    /// [`AppendFault::Late`].
    pub late: u16,
    /// [`AppendFault::Doubled`].
    pub doubled: u16,
    /// [`AppendFault::DoubledLate`].
    pub doubled_late: u16,
    /// A reader ends with an error instead of giving its next record.
    pub read_breaks: u16,
    /// `put` fails, half of the times after it has stored.
    pub put_fails: u16,
    /// `get` and `end` fail.
    pub ask_fails: u16,
}

impl Odds {
    /// Everything fails now and then.
    #[must_use]
    pub fn foul() -> Self {
        Self {
            lost: 50,
            unknown_lost: 50,
            unknown_stored: 50,
            late: 50,
            doubled: 50,
            doubled_late: 50,
            read_breaks: 20,
            put_fails: 100,
            ask_fails: 50,
        }
    }

    fn draw(&self, random: &mut Rng) -> Option<AppendFault> {
        let mut drawn = random.u16(..1000);
        let odds = [
            (self.lost, AppendFault::Lost),
            (self.unknown_lost, AppendFault::UnknownLost),
            (self.unknown_stored, AppendFault::UnknownStored),
            (self.late, AppendFault::Late),
            (self.doubled, AppendFault::Doubled),
            (self.doubled_late, AppendFault::DoubledLate),
        ];
        for (odds, fault) in odds {
            match drawn.checked_sub(odds) {
                None => return Some(fault),
                Some(rest) => drawn = rest,
            }
        }
        None
    }
}

/// A backend with faults on the way to it. Clones share the faults.
pub struct FaultyLog<L> {
    log: Arc<L>,
    faults: Arc<Mutex<Faults>>,
}

struct Faults {
    odds: Odds,
    /// What happens to the next appends, before the odds decide again.
    script: VecDeque<Option<AppendFault>>,
    /// Each kind of call has its own randomness, so that reading more changes no append.
    appends: Rng,
    reads: Rng,
    asks: Rng,
    /// Appends on their way, each with the number of further appends after which it lands.
    late: Vec<(u32, Stream, Bytes)>,
    injected: u64,
}

impl<L> Clone for FaultyLog<L> {
    fn clone(&self) -> Self {
        Self { log: Arc::clone(&self.log), faults: Arc::clone(&self.faults) }
    }
}

/// What a fault says of itself.
#[derive(Debug, thiserror::Error)]
#[error("a fault was injected")]
struct Injected;

fn injected(stage: &'static str, failure: Failure) -> LogError {
    LogError::Unavailable { stage, failure, source: Box::new(Injected) }
}

impl<L: Log> FaultyLog<L> {
    /// Faults by chance.
    #[must_use]
    pub fn seeded(log: L, seed: u64, odds: Odds) -> Self {
        let mut random = Rng::with_seed(seed);
        let faults = Faults {
            odds,
            script: VecDeque::new(),
            appends: random.fork(),
            reads: random.fork(),
            asks: random.fork(),
            late: Vec::new(),
            injected: 0,
        };
        Self { log: Arc::new(log), faults: Arc::new(Mutex::new(faults)) }
    }

    /// No faults but those of a script.
    #[must_use]
    pub fn scripted(log: L, script: impl IntoIterator<Item = Option<AppendFault>>) -> Self {
        let faulty = Self::seeded(log, 0, Odds::default());
        faulty.faults().script.extend(script);
        faulty
    }

    /// Changes the odds from now on.
    pub fn set_odds(&self, odds: Odds) {
        self.faults().odds = odds;
    }

    /// How many faults there were.
    #[must_use]
    pub fn injected(&self) -> u64 {
        self.faults().injected
    }

    /// Lets everything land that is on its way; says how many entries that were.
    ///
    /// # Errors
    /// Those of the backend.
    pub async fn land(&self) -> Result<usize, LogError> {
        let late = std::mem::take(&mut self.faults().late);
        for (_, stream, bytes) in &late {
            self.log.append(*stream, bytes.clone()).await?;
        }
        Ok(late.len())
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a call that only asks is to fail.
    fn asking(&self, stage: &'static str) -> Result<(), LogError> {
        let mut faults = self.faults();
        let odds = faults.odds.ask_fails;
        if faults.asks.u16(..1000) >= odds {
            return Ok(());
        }
        faults.injected += 1;
        Err(injected(stage, Failure::Determinate))
    }
}

impl Faults {
    /// What happens to an append now, and what lands before it.
    fn next_append(&mut self) -> (Option<AppendFault>, Vec<(Stream, Bytes)>) {
        for (wait, ..) in &mut self.late {
            *wait -= 1;
        }
        let landing = self.late.extract_if(.., |(wait, ..)| *wait == 0);
        let landing = landing.map(|(_, stream, bytes)| (stream, bytes)).collect();
        let fault = match self.script.pop_front() {
            Some(scripted) => scripted,
            None => self.odds.draw(&mut self.appends),
        };
        self.injected += u64::from(fault.is_some());
        (fault, landing)
    }

    fn comes_late(&mut self, stream: Stream, bytes: Bytes) {
        let wait = self.appends.u32(1..=LATE_BY_APPENDS_MAX);
        self.late.push((wait, stream, bytes));
    }
}

#[async_trait]
impl<L: Log> Log for FaultyLog<L> {
    fn clock(&self) -> LogClock {
        self.log.clock()
    }

    async fn append(&self, stream: Stream, bytes: Bytes) -> Result<u64, LogError> {
        let (fault, landing) = self.faults().next_append();
        for (stream, bytes) in landing {
            self.log.append(stream, bytes).await?;
        }
        let unknown = || injected("appending", Failure::Indeterminate);
        match fault {
            None => self.log.append(stream, bytes).await,
            Some(AppendFault::Lost) => Err(injected("appending", Failure::Determinate)),
            Some(AppendFault::UnknownLost) => Err(unknown()),
            Some(AppendFault::UnknownStored) => {
                self.log.append(stream, bytes).await?;
                Err(unknown())
            }
            Some(AppendFault::Late) => {
                self.faults().comes_late(stream, bytes);
                Err(unknown())
            }
            Some(AppendFault::Doubled) => {
                let offset = self.log.append(stream, bytes.clone()).await?;
                // The second one is nobody's: whether it fails makes no difference to the first.
                drop(self.log.append(stream, bytes).await);
                Ok(offset)
            }
            Some(AppendFault::DoubledLate) => {
                let offset = self.log.append(stream, bytes.clone()).await?;
                self.faults().comes_late(stream, bytes);
                Ok(offset)
            }
        }
    }

    async fn read(&self, stream: Stream, from: u64) -> Result<Reader, LogError> {
        let reader = self.log.read(stream, from).await?;
        let faults = Arc::clone(&self.faults);
        Ok(Reader::pull(FaultyReader { reader, faults, is_over: false }))
    }

    async fn end(&self, stream: Stream) -> Result<u64, LogError> {
        self.asking("asking for its end")?;
        self.log.end(stream).await
    }

    async fn put(&self, bytes: Bytes) -> Result<ContentHash, LogError> {
        let fails = {
            let mut faults = self.faults();
            let odds = faults.odds.put_fails;
            let fails = faults.asks.u16(..1000) < odds;
            faults.injected += u64::from(fails);
            fails.then(|| faults.asks.bool())
        };
        match fails {
            None => self.log.put(bytes).await,
            Some(false) => Err(injected("storing content", Failure::Determinate)),
            Some(true) => {
                self.log.put(bytes).await?;
                Err(injected("storing content", Failure::Indeterminate))
            }
        }
    }

    async fn mend(&self, bytes: Bytes) -> Result<ContentHash, LogError> {
        self.asking("storing content")?;
        self.log.mend(bytes).await
    }

    async fn get(&self, hash: ContentHash) -> Result<Option<Bytes>, LogError> {
        self.asking("reading content")?;
        self.log.get(hash).await
    }
}

struct FaultyReader {
    reader: Reader,
    faults: Arc<Mutex<Faults>>,
    is_over: bool,
}

impl FaultyReader {
    /// Passes a record on, or breaks in its place.
    fn pass(
        &mut self,
        record: Result<StoredRecord, LogError>,
    ) -> Option<Result<StoredRecord, LogError>> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let odds = faults.odds.read_breaks;
        if faults.reads.u16(..1000) >= odds {
            return Some(record);
        }
        faults.injected += 1;
        self.is_over = true;
        Some(Err(injected("reading", Failure::Determinate)))
    }
}

#[async_trait]
impl Pull for FaultyReader {
    async fn next(&mut self) -> Option<Result<StoredRecord, LogError>> {
        if self.is_over {
            return None;
        }
        let record = self.reader.next().await?;
        self.pass(record)
    }

    fn try_next(&mut self) -> Option<Result<StoredRecord, LogError>> {
        if self.is_over {
            return None;
        }
        let record = self.reader.try_next()?;
        self.pass(record)
    }
}
