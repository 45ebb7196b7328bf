//! The least that an owner of a partition is: it claims, writes, reads everything back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use events::Partition;
use futures::future::{BoxFuture, join_all};
use futures::{FutureExt, poll};
use uuid::Uuid;

use super::chain::{self, Chain};
use crate::{Accepted, Acceptor, Log, LogError, Reader, Rejection, StoredRecord, Stream};

/// How long a case waits for a record before it fails: far longer than any backend needs, also
/// one that elects a leader meanwhile. At twice this, a broken backend takes twice as long to say.
pub const READ_DEADLINE: Duration = Duration::from_secs(30);

/// The next record of a reader.
///
/// # Panics
/// When none comes, or the reader ends.
pub async fn next(reader: &mut Reader) -> StoredRecord {
    let record = tokio::time::timeout(READ_DEADLINE, reader.next()).await;
    record.expect("a record in time").expect("an open log").expect("a readable log")
}

/// What is wrong with the log at the place from which a reader was to read.
///
/// # Panics
/// When the reader gives a record, or nothing in time, or ends in another way.
pub async fn is_corrupt(reader: &mut Reader) -> String {
    let answer = tokio::time::timeout(READ_DEADLINE, reader.next()).await;
    match answer.expect("an answer in time").expect("an open log") {
        Err(LogError::Corrupt { what }) => what,
        other => panic!("the log is read on: {other:?}"),
    }
}

/// What a reader that comes along now makes of a partition, up to a record that it must see.
///
/// # Panics
/// When the log fails, or the record does not come.
pub async fn observe(log: &dyn Log, partition: Partition, up_to: u64) -> (Acceptor, Vec<Accepted>) {
    let mut observer = Acceptor::new(partition);
    let mut accepted = Vec::new();
    let mut reader = log.read(Stream::Events(partition), 0).await.expect("a reader");
    loop {
        let record = next(&mut reader).await;
        accepted.extend(observer.offer(record.offset, &record.bytes));
        if record.offset >= up_to {
            return (observer, accepted);
        }
    }
}

/// Starts every append in turn before it waits for any, and gives the answers in the same order.
pub async fn pipelined<'a, T>(mut appends: Vec<BoxFuture<'a, T>>) -> Vec<T> {
    let mut started = Vec::new();
    for append in &mut appends {
        started.push(poll!(append));
    }
    let waiting = appends.into_iter().zip(started).map(|(append, started)| async move {
        match started {
            std::task::Poll::Ready(answer) => answer,
            std::task::Poll::Pending => append.await,
        }
    });
    join_all(waiting).await
}

/// One run of a node that owns, or thinks that it owns, a partition.
pub struct Owner {
    log: Arc<dyn Log>,
    node: String,
    incarnation: Uuid,
    reader: Reader,
    /// It has read everything below this offset.
    read_up_to: u64,
    /// What it has accepted.
    pub acceptor: Acceptor,
    /// Where it writes on.
    pub chain: Chain,
    /// All that it accepted, in order: what it acted on.
    pub accepted: Vec<Accepted>,
    /// What it did not accept, with the offset, in order.
    pub rejected: Vec<(u64, Rejection)>,
}

impl Owner {
    /// A node that has read nothing yet.
    ///
    /// # Panics
    /// When the log cannot be read.
    pub async fn new(log: &Arc<dyn Log>, partition: Partition, node: &str) -> Self {
        let acceptor = Acceptor::new(partition);
        Self {
            log: Arc::clone(log),
            node: node.to_owned(),
            incarnation: Uuid::new_v4(),
            reader: log.read(Stream::Events(partition), 0).await.expect("a reader"),
            read_up_to: 0,
            acceptor,
            chain: Chain::on(&acceptor),
            accepted: Vec::new(),
            rejected: Vec::new(),
        }
    }

    /// A node that has taken over.
    ///
    /// # Panics
    /// When the log fails, or somebody else claims at the same time.
    pub async fn claimed(log: &Arc<dyn Log>, partition: Partition, node: &str) -> Self {
        let mut owner = Self::new(log, partition, node).await;
        // The first claim may come too late: the node has not read yet who claimed before.
        assert!(owner.claim().await || owner.claim().await, "nobody else claims");
        owner
    }

    /// A node that takes over from this one, which does not notice: a zombie from now on.
    ///
    /// # Panics
    /// When the log fails, or somebody else claims at the same time.
    pub async fn successor(&self, log: &Arc<dyn Log>, node: &str) -> Self {
        let mut successor = Self::new(log, self.acceptor.partition, node).await;
        successor.read_to(self.acceptor.resume_from()).await;
        assert!(successor.claim().await, "nobody else claims");
        successor
    }

    fn stream(&self) -> Stream {
        Stream::Events(self.acceptor.partition)
    }

    /// Claims the epoch after the last one that it knows, and reads until it sees the claim; says
    /// whether it counts. Afterwards everything that was in flight before is settled, and what
    /// others did is known, so that to claim once more is no guess.
    ///
    /// # Panics
    /// When the log fails.
    pub async fn claim(&mut self) -> bool {
        self.try_claim().await.expect("a claim is taken")
    }

    /// As [`Owner::claim`], on a log that may fail.
    ///
    /// # Errors
    /// Those of [`Log::append`].
    ///
    /// # Panics
    /// When the log cannot be read.
    pub async fn try_claim(&mut self) -> Result<bool, LogError> {
        let claim = chain::claim(self.acceptor.epoch.next(), &self.node, self.incarnation);
        let offset = self.append(claim).await?;
        self.read_to(offset).await;
        let counts = self.accepted.last().is_some_and(|accepted| accepted.offset == offset);
        if counts {
            self.chain = Chain::on(&self.acceptor);
        }
        Ok(counts)
    }

    /// Appends bytes to the partition.
    ///
    /// # Errors
    /// Those of [`Log::append`].
    pub async fn append(&self, bytes: Bytes) -> Result<u64, LogError> {
        self.log.append(self.stream(), bytes).await
    }

    /// Appends all before it waits for any.
    pub async fn append_in_flight(&self, entries: Vec<Bytes>) -> Vec<Result<u64, LogError>> {
        pipelined(entries.into_iter().map(|bytes| self.append(bytes).boxed()).collect()).await
    }

    /// Writes the next frame and waits until it is stored; gives its offset.
    ///
    /// # Panics
    /// When the log fails.
    pub async fn write(&mut self, text: &str, events: u64) -> u64 {
        let frame = self.chain.frame(text, events);
        self.append(frame).await.expect("a frame is taken")
    }

    /// Writes the next frame and reads it back; says whether it counts.
    ///
    /// # Panics
    /// When the log fails.
    pub async fn commit(&mut self, text: &str, events: u64) -> bool {
        let offset = self.write(text, events).await;
        self.read_to(offset).await;
        self.accepted.last().is_some_and(|accepted| accepted.offset == offset)
    }

    /// Reads up to and including an offset. When its reader breaks, it goes on with another.
    ///
    /// # Panics
    /// When the record does not come.
    pub async fn read_to(&mut self, offset: u64) {
        while self.read_up_to <= offset {
            let read = tokio::time::timeout(READ_DEADLINE, self.reader.next()).await;
            let Ok(record) = read.expect("a record in time").expect("an open log") else {
                let reader = self.log.read(self.stream(), self.read_up_to).await;
                self.reader = reader.expect("a reader");
                continue;
            };
            self.read_up_to = record.offset + 1;
            match self.acceptor.offer(record.offset, &record.bytes) {
                Ok(accepted) => self.accepted.push(accepted),
                Err(rejection) => self.rejected.push((record.offset, rejection)),
            }
        }
    }
}
