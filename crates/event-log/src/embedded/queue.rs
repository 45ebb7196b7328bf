//! What waits to be written: in the order in which it came, bounded.
//!
//! An append takes its place when it is first polled, not when there is room for it: otherwise two
//! appends of one caller that wait for room could overtake each other. So nobody waits for room;
//! beyond the bound an append is refused.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use events::ContentHash;
use tokio::sync::oneshot;

use crate::{Failure, LogError, Stream};

/// How many bytes may wait for the disk: 64 MiB, a third of a second of what the disk takes. Twice
/// this waits twice as long behind a stalled disk, in memory that a small hub needs otherwise.
/// What comes beyond is refused, determinately.
const QUEUED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How many entries may wait for the disk, for the same reason when they are small.
const QUEUED_ENTRIES_MAX: usize = 65_536;

/// How many bytes one commit takes: 8 MiB, about as much as the disk writes in the time of two
/// syncs. With twice as much, the first entry of a commit waits visibly for the last.
const COMMIT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How many entries one commit takes. Measured: beyond 2,000 the rate no longer rises.
const COMMIT_ENTRIES_MAX: usize = 2_000;

/// Something to write, and where to answer.
pub(super) enum Request {
    /// An entry at the end of a stream.
    Append { stream: Stream, bytes: Bytes, answer: oneshot::Sender<Result<u64, LogError>> },
    /// Content under its hash.
    Put { hash: ContentHash, bytes: Bytes, answer: oneshot::Sender<Result<(), LogError>> },
}

impl Request {
    fn size(&self) -> usize {
        match self {
            Self::Append { bytes, .. } | Self::Put { bytes, .. } => bytes.len(),
        }
    }

    /// Whether the caller has given up. Then nothing needs to happen.
    fn is_given_up(&self) -> bool {
        match self {
            Self::Append { answer, .. } => answer.is_closed(),
            Self::Put { answer, .. } => answer.is_closed(),
        }
    }
}

/// What the writer is to do next.
pub(super) enum Work {
    /// Write these.
    Commit(Vec<Request>),
    /// Nothing came for a while.
    Idle,
    /// Nothing will come any more.
    Finish,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Request>,
    bytes: usize,
    closed: bool,
}

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{entries} entries with {bytes} bytes wait for the disk already")]
    TooMany { entries: usize, bytes: usize },
    #[error("the log was closed")]
    Closed,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a request to the end, or refuses it.
    pub(super) fn push(&self, request: Request) -> Result<(), LogError> {
        let mut state = self.state();
        let refused = |source| LogError::Unavailable {
            stage: "waiting for the disk",
            failure: Failure::Determinate,
            source: Box::new(source),
        };
        if state.closed {
            return Err(refused(Refused::Closed));
        }
        let (entries, bytes) = (state.waiting.len(), state.bytes);
        // What is larger than the whole bound must still go through, one at a time.
        let fits = bytes + request.size() <= QUEUED_BYTES_MAX || entries == 0;
        if entries >= QUEUED_ENTRIES_MAX || !fits {
            return Err(refused(Refused::TooMany { entries, bytes }));
        }
        state.bytes += request.size();
        state.waiting.push_back(request);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for requests and takes as many as go into one commit. `Idle` when none came within
    /// `patience`.
    pub(super) fn take(&self, patience: Option<Duration>) -> Work {
        let mut state = self.state();
        while state.waiting.is_empty() {
            if state.closed {
                return Work::Finish;
            }
            state = match patience {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(patience) => {
                    let waited = self.changed.wait_timeout(state, patience);
                    let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                    if timeout.timed_out() && state.waiting.is_empty() && !state.closed {
                        return Work::Idle;
                    }
                    state
                }
            };
        }
        Work::Commit(state.take_commit())
    }

    /// Refuses whatever comes from now on. What waits already is still written.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_one();
    }
}

impl State {
    fn take_commit(&mut self) -> Vec<Request> {
        let mut commit = Vec::new();
        let mut bytes = 0;
        while let Some(next) = self.waiting.front() {
            let fits = commit.is_empty() || bytes + next.size() <= COMMIT_BYTES_MAX;
            if !fits || commit.len() >= COMMIT_ENTRIES_MAX {
                break;
            }
            let next = self.waiting.pop_front().expect("there is a front");
            self.bytes -= next.size();
            if !next.is_given_up() {
                bytes += next.size();
                commit.push(next);
            }
        }
        commit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(size: usize) -> (Request, oneshot::Receiver<Result<u64, LogError>>) {
        let (answer, answered) = oneshot::channel();
        let bytes = Bytes::from(vec![0; size]);
        (Request::Append { stream: Stream::Membership, bytes, answer }, answered)
    }

    fn sizes(work: Work) -> Vec<usize> {
        match work {
            Work::Commit(requests) => requests.iter().map(Request::size).collect(),
            Work::Idle | Work::Finish => Vec::new(),
        }
    }

    #[test]
    fn a_commit_takes_what_fits_in_order() {
        let queue = Queue::default();
        let mut answers = Vec::new();
        for size in [COMMIT_BYTES_MAX - 1, 1, 1, 2] {
            let (request, answered) = append(size);
            queue.push(request).unwrap();
            answers.push(answered);
        }
        assert_eq!(sizes(queue.take(None)), [COMMIT_BYTES_MAX - 1, 1]);
        assert_eq!(sizes(queue.take(None)), [1, 2]);
    }

    #[test]
    fn what_its_caller_gave_up_is_not_written() {
        let queue = Queue::default();
        let (kept, _answered) = append(1);
        let (given_up, answered) = append(2);
        drop(answered);
        queue.push(given_up).unwrap();
        queue.push(kept).unwrap();
        assert_eq!(sizes(queue.take(None)), [1]);
    }

    #[test]
    fn beyond_the_bound_appends_are_refused_and_the_room_comes_back() {
        let queue = Queue::default();
        let mut answers = Vec::new();
        let mut push = |size| {
            let (request, answered) = append(size);
            answers.push(answered);
            queue.push(request)
        };
        push(QUEUED_BYTES_MAX - 10).unwrap();
        push(10).unwrap();
        let refused = push(1).unwrap_err();
        assert_eq!(refused.failure(), Failure::Determinate);
        assert_eq!(sizes(queue.take(None)), [QUEUED_BYTES_MAX - 10]);
        push(1).unwrap();
    }

    #[test]
    fn a_closed_queue_hands_out_what_waits_and_finishes() {
        let queue = Queue::default();
        let (waiting, _answered) = append(1);
        queue.push(waiting).unwrap();
        queue.close();
        assert!(queue.push(append(1).0).is_err());
        assert_eq!(sizes(queue.take(None)), [1]);
        assert!(matches!(queue.take(None), Work::Finish));
    }
}
