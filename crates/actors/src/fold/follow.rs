//! Following one partition: what is there, then what comes, for as long as somebody folds it.
//!
//! After an error the partition is read again from the last record that was read, which has to be
//! the same one: a log that was replaced, or went backwards and grew again, is noticed by that.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use event_log::{Acceptor, Failure, Log, LogError, Reader, StoredRecord, Stream};
use events::Partition;
use futures::FutureExt as _;
use tokio::sync::mpsc;

use super::core::FoldError;
use crate::supervised::words;

/// How long to wait before a partition is read again after an error.
const READ_RETRY: Duration = Duration::from_millis(200);

/// How often in a row a partition may be found damaged, or shorter than it was, before reading
/// stops: five seconds. A broker that takes over may know less than its predecessor for a moment;
/// twice as long, and a hub would only say later what is wrong.
const DAMAGED_IN_A_ROW_MAX: u32 = 25;

/// How long nothing may come of a log that answers before what stood in it counts as read: its last
/// places may be holes, and who waited for them would never own anything.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// How long nothing may fail before a partition without news counts as readable again.
const RECOVERED_AFTER: Duration = Duration::from_secs(2);

/// What is told of a partition.
#[derive(Debug)]
pub(super) enum Told {
    /// It is read from one place on, and ended at the other when reading began.
    Began { from: u64, end: u64 },
    /// Its next record.
    Record(StoredRecord),
    /// Everything that stood in it when reading began was told.
    CaughtUp,
    /// It cannot be read just now, for this reason; `None`: it can again.
    Failing(Option<String>),
    /// Reading cannot go on.
    Stopped(FoldError),
}

/// Reads one partition for the folder.
pub(super) struct Follower {
    log: Arc<dyn Log>,
    partition: Partition,
    to: mpsc::Sender<(Partition, Told)>,
    /// Where to begin.
    from: u64,
    /// What was read last.
    last: Option<StoredRecord>,
    /// Where the partition ended when reading began; `None` once that was reached.
    end: Option<u64>,
    has_begun: bool,
    is_failing: bool,
    /// How often in a row it was found damaged.
    damaged: u32,
}

/// Why a stretch of reading ended.
enum Ended {
    /// Nobody folds any more: let go of the log.
    Unheard,
    /// To be tried again.
    Failed(LogError),
    /// Not to be tried again.
    Stopped(FoldError),
}

impl Follower {
    pub(super) fn new(
        log: Arc<dyn Log>,
        acceptor: Acceptor,
        to: mpsc::Sender<(Partition, Told)>,
    ) -> Self {
        Self {
            log,
            partition: acceptor.partition,
            to,
            from: acceptor.resume_from(),
            last: None,
            end: None,
            has_begun: false,
            is_failing: false,
            damaged: 0,
        }
    }

    fn stream(&self) -> Stream {
        Stream::Events(self.partition)
    }

    /// Runs until nobody listens, or reading cannot go on. Who panics has not read all there is, and
    /// says so: without a word, the folder would wait for this partition for ever.
    pub(super) async fn run_to_its_end(self) {
        let (to, partition) = (self.to.clone(), self.partition);
        if let Err(panic) = AssertUnwindSafe(self.run()).catch_unwind().await {
            let what = format!("its reader panicked ({})", words(&*panic));
            let stopped = Told::Stopped(FoldError::Damaged { partition, what });
            // Nobody listening is fine.
            drop(to.send((partition, stopped)).await);
        }
    }

    async fn run(mut self) {
        loop {
            let Err(ended) = self.read().await;
            let ended = match ended {
                Ended::Failed(error) => self.failed(&error).await,
                Ended::Unheard | Ended::Stopped(_) => Err(ended),
            };
            match ended {
                Ok(()) => {}
                Err(Ended::Stopped(error)) => {
                    // Nobody listening is fine.
                    drop(self.tell(Told::Stopped(error)).await);
                    return;
                }
                Err(Ended::Unheard | Ended::Failed(_)) => return,
            }
            tokio::select! {
                () = tokio::time::sleep(READ_RETRY) => {}
                () = self.to.closed() => return,
            }
        }
    }

    /// Reads until that fails.
    async fn read(&mut self) -> Result<Infallible, Ended> {
        if !self.has_begun {
            self.begin().await?;
        }
        let mut reader = match self.last.clone() {
            None => self.log.read(self.stream(), self.from).await.map_err(Ended::Failed)?,
            Some(last) => self.resume(&last).await?,
        };
        loop {
            self.look_whether_caught_up().await?;
            let record = self.next(&mut reader).await?;
            self.last = Some(record.clone());
            self.recovered().await?;
            self.tell(Told::Record(record)).await?;
        }
    }

    /// Finds out how much there is to be read.
    async fn begin(&mut self) -> Result<(), Ended> {
        let end = self.log.end(self.stream()).await.map_err(Ended::Failed)?;
        (self.has_begun, self.end) = (true, Some(end));
        self.tell(Told::Began { from: self.from, end }).await
    }

    /// Reads on after an error, if the log is still the one that was read before.
    async fn resume(&mut self, last: &StoredRecord) -> Result<Reader, Ended> {
        let (partition, offset) = (self.partition, last.offset);
        let end = self.log.end(self.stream()).await.map_err(Ended::Failed)?;
        if end <= offset {
            let what = format!("it ends at offset {end}, and was read up to {offset} before");
            return Err(Ended::Failed(LogError::Corrupt { what }));
        }
        let mut reader = self.log.read(self.stream(), offset).await.map_err(Ended::Failed)?;
        if self.next(&mut reader).await? != *last {
            return Err(Ended::Stopped(FoldError::OtherLog { partition, offset }));
        }
        self.recovered().await?;
        Ok(reader)
    }

    /// The next record of a reader, however long it takes.
    async fn next(&mut self, reader: &mut Reader) -> Result<StoredRecord, Ended> {
        loop {
            let patience = match self.end {
                Some(_) => SILENCE_MAX,
                None => RECOVERED_AFTER,
            };
            let record = tokio::select! {
                biased;
                record = reader.next() => record,
                () = self.to.closed() => return Err(Ended::Unheard),
                () = tokio::time::sleep(patience), if self.end.is_some() || self.is_failing => {
                    self.silent().await?;
                    continue;
                }
            };
            return match record {
                Some(Ok(record)) => Ok(record),
                Some(Err(error)) => Err(Ended::Failed(error)),
                None => Err(Ended::Failed(LogError::Unavailable {
                    stage: "reading",
                    failure: Failure::Determinate,
                    source: "the stream has ended".into(),
                })),
            };
        }
    }

    /// Nothing has come for long, and nothing has failed. If the log answers, there is nothing.
    async fn silent(&mut self) -> Result<(), Ended> {
        self.log.end(self.stream()).await.map_err(Ended::Failed)?;
        self.readable().await?;
        if self.end.take().is_some() {
            let partition = self.partition;
            tracing::warn!(%partition, "the last entries do not come; it is taken to be at its end");
            self.tell(Told::CaughtUp).await?;
        }
        Ok(())
    }

    async fn look_whether_caught_up(&mut self) -> Result<(), Ended> {
        let next = self.last.as_ref().map_or(self.from, |last| last.offset.saturating_add(1));
        if self.end.is_some_and(|end| next >= end) {
            self.end = None;
            self.tell(Told::CaughtUp).await?;
        }
        Ok(())
    }

    /// Says once that the partition cannot be read.
    async fn failed(&mut self, error: &LogError) -> Result<(), Ended> {
        let partition = self.partition;
        if !self.is_failing {
            self.is_failing = true;
            tracing::warn!(%partition, %error, "the partition cannot be read; it is tried again");
            self.tell(Told::Failing(Some(error.to_string()))).await?;
        }
        if let LogError::Corrupt { what } = error {
            self.damaged += 1;
            if self.damaged >= DAMAGED_IN_A_ROW_MAX {
                let what = what.clone();
                return Err(Ended::Stopped(FoldError::Damaged { partition, what }));
            }
        }
        Ok(())
    }

    async fn recovered(&mut self) -> Result<(), Ended> {
        self.damaged = 0;
        self.readable().await
    }

    async fn readable(&mut self) -> Result<(), Ended> {
        if std::mem::take(&mut self.is_failing) {
            tracing::info!(partition = %self.partition, "the partition can be read again");
            self.tell(Told::Failing(None)).await?;
        }
        Ok(())
    }

    async fn tell(&self, told: Told) -> Result<(), Ended> {
        self.to.send((self.partition, told)).await.map_err(|_| Ended::Unheard)
    }
}
