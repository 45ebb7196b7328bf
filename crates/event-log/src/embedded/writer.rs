//! The one thread that writes: takes what waits, commits it with one sync, shows it to the readers
//! and answers, in this order. While it syncs, the next commit gathers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Shared;
use super::live::Ending;
use super::queue::{Request, Work};
use super::store::{StoreError, Trim, Write};
use super::tables::Ends;
use crate::{Failure, LogError, StoredRecord, Stream};

/// How long nothing must come before the state of the file's allocator is saved: a quarter of a
/// second. With it in the file, opening after a crash takes milliseconds, without it a second for
/// each half gigabyte; saving it costs two more syncs, which under load would halve the rate.
const SETTLE_AFTER: Duration = Duration::from_millis(250);

/// How often old commands and leases are removed: far more often than any of them expires, and
/// rarely enough to cost nothing.
const TRIM_EVERY: Duration = Duration::from_secs(600);

/// Opening the file again after it found no room may take seconds. Appends are refused for ten
/// times as long as that took, so that it stays a tenth of what the disk does.
const RECOVERY_SHARE: u32 = 10;

pub(super) struct Writer {
    shared: Arc<Shared>,
    ends: Ends,
    /// Whether something was committed since the allocator's state was saved.
    is_unsettled: bool,
    trimmed_at: Option<Instant>,
    /// Until when appends are refused without trying, because there is no room.
    full_until: Option<Instant>,
    /// Why nothing can be written any more.
    failed: Option<Arc<str>>,
}

/// Whom to tell that something is durable, or not.
enum Answer {
    Append { offset: u64, to: oneshot::Sender<Result<u64, LogError>> },
    Put { to: oneshot::Sender<Result<(), LogError>> },
}

impl Answer {
    /// A caller that does not listen any more is no concern of ours.
    fn send(self, result: Result<(), LogError>) {
        match self {
            Self::Append { offset, to } => drop(to.send(result.map(|()| offset))),
            Self::Put { to } => drop(to.send(result)),
        }
    }
}

/// What a commit came to.
enum Outcome {
    Stored,
    Full,
    Unknown(Arc<str>),
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, ends: Ends) -> Self {
        Self { shared, ends, is_unsettled: false, trimmed_at: None, full_until: None, failed: None }
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self) {
        loop {
            match self.shared.queue.take(self.is_unsettled.then_some(SETTLE_AFTER)) {
                Work::Commit(requests) => self.serve(requests),
                Work::Idle => self.settle(),
                // redb does the same when it closes the file.
                Work::Finish => return,
            }
        }
    }

    fn serve(&mut self, requests: Vec<Request>) {
        let (writes, answers) = self.place(requests);
        let outcome = self.commit(&writes);
        if let Outcome::Stored = outcome {
            let entries = writes.into_iter().filter_map(|write| match write {
                Write::Entry { stream, offset, bytes } => {
                    Some((stream, StoredRecord { offset, bytes }))
                }
                Write::Content { .. } => None,
            });
            let entries: Vec<_> = entries.collect();
            self.ends.extend(
                entries.iter().map(|(stream, record)| (*stream, record.offset.saturating_add(1))),
            );
            self.shared.live.publish(entries);
        }
        for answer in answers {
            answer.send(match &outcome {
                Outcome::Stored => Ok(()),
                Outcome::Full => Err(StoreError::NoRoom.into_log_error("writing")),
                Outcome::Unknown(reason) => Err(LogError::Unavailable {
                    stage: "writing",
                    failure: Failure::Indeterminate,
                    source: reason.as_ref().into(),
                }),
            });
        }
    }

    /// Gives every entry its offset.
    fn place(&self, requests: Vec<Request>) -> (Vec<Write>, Vec<Answer>) {
        let mut next = BTreeMap::<Stream, u64>::new();
        let place = |request| match request {
            Request::Append { stream, bytes, answer } => {
                let end = self.ends.get(&stream).copied().unwrap_or_default();
                let next = next.entry(stream).or_insert(end);
                let offset = *next;
                *next += 1;
                (Write::Entry { stream, offset, bytes }, Answer::Append { offset, to: answer })
            }
            Request::Put { hash, bytes, answer } => {
                (Write::Content { hash, bytes }, Answer::Put { to: answer })
            }
        };
        requests.into_iter().map(place).unzip()
    }

    fn commit(&mut self, writes: &[Write]) -> Outcome {
        if let Some(reason) = &self.failed {
            return Outcome::Unknown(Arc::clone(reason));
        }
        if self.full_until.is_some_and(|until| Instant::now() < until) {
            return Outcome::Full;
        }
        let trim = self.due_trim();
        // Leases come once a second and are in no hurry: they need no commit more to settle.
        let settles = writes.iter().all(|write| match write {
            Write::Entry { stream, .. } => *stream == Stream::Membership,
            Write::Content { .. } => false,
        });
        match self.shared.commit(writes, trim, settles) {
            Ok(()) => {
                self.is_unsettled = !settles;
                self.full_until = None;
                if trim.is_some() {
                    self.trimmed_at = Some(Instant::now());
                }
                Outcome::Stored
            }
            Err(error) => self.recover(error, writes),
        }
    }

    /// Saves the allocator's state while nobody waits. It is a commit of its own, so the one before
    /// it, to which redb goes back when the newest cannot be read, has every entry too.
    fn settle(&mut self) {
        if self.failed.is_none()
            && std::mem::take(&mut self.is_unsettled)
            && let Err(error) = self.shared.commit(&[], None, true)
        {
            // Nothing was to be stored, so nothing is in doubt.
            let _: Outcome = self.recover(error, &[]);
        }
    }

    /// After a failed commit: without room the file is opened again, and says whether the commit
    /// happened. After anything else nobody can say, and this process is done with the file.
    fn recover(&mut self, error: StoreError, writes: &[Write]) -> Outcome {
        match error {
            StoreError::NoRoom => {
                let since = Instant::now();
                match self.shared.reopen() {
                    Ok(ends) => {
                        let retry = since.elapsed() * RECOVERY_SHARE;
                        self.full_until = Some(Instant::now() + retry);
                        tracing::error!(
                            "the log's disk is full: nothing is recorded until there is room"
                        );
                        if is_stored(writes, &ends) { Outcome::Stored } else { Outcome::Full }
                    }
                    Err(error) => self.fail(&error),
                }
            }
            StoreError::Damaged(_) | StoreError::Failed(_) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &dyn std::error::Error) -> Outcome {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            reason = format!("{reason}: {cause}");
            source = cause.source();
        }
        tracing::error!(%reason, "the log's file cannot be written any more; restart once mended");
        let reason: Arc<str> = reason.into();
        self.failed = Some(Arc::clone(&reason));
        self.shared.live.finish(Ending::Failed(Arc::clone(&reason)));
        Outcome::Unknown(reason)
    }

    fn due_trim(&self) -> Option<Trim> {
        let is_due = self.trimmed_at.is_none_or(|at| at.elapsed() >= TRIM_EVERY);
        is_due.then(|| self.shared.trim())
    }
}

/// Whether a commit of these writes is in a file with these ends. All of a commit is, or nothing.
fn is_stored(writes: &[Write], ends: &Ends) -> bool {
    writes.iter().any(|write| match write {
        Write::Entry { stream, offset, .. } => ends.get(stream).is_some_and(|end| offset < end),
        // Content alone in a commit: to say that it is not there is safe, for it can be put again.
        Write::Content { .. } => false,
    })
}
