//! What readers see: how far each stream is durable, and its newest entries.
//!
//! A reader that keeps up is served from memory. One that lags behind, or starts from the
//! beginning, reads the table in pieces until it has caught up. Nothing is pushed to a reader, so
//! one that does not read holds nothing up and costs nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::{oneshot, watch};

use super::{Shared, blocking};
use crate::port::{Pull, went_backwards};
use crate::{Failure, LogError, StoredRecord, Stream};

/// How many bytes of the newest entries of a stream stay in memory: 256 KiB, a hundred frames. At
/// twice this, 65 busy streams hold 32 MiB, and a reader that lags by so much reads the table just
/// as fast.
const RECENT_BYTES_MAX: usize = 256 * 1024;

/// How many of the newest entries of a stream stay in memory, and how many a reader takes at once.
const RECENT_ENTRIES_MAX: usize = 256;

/// Why there is nothing more to read.
#[derive(Debug, Clone)]
pub(super) enum Ending {
    /// The log was closed.
    Closed,
    /// The file cannot be used any more.
    Failed(Arc<str>),
}

#[derive(Default)]
struct Tail {
    /// The offset after the last durable entry; readers wait for it to change.
    end: watch::Sender<u64>,
    recent: VecDeque<StoredRecord>,
    recent_bytes: usize,
}

#[derive(Default)]
struct State {
    tails: BTreeMap<Stream, Tail>,
    ending: Option<Ending>,
}

/// All streams of the log as readers see them.
#[derive(Default)]
pub(super) struct Live {
    state: Mutex<State>,
}

/// What there is for a reader that wants to go on at some offset.
enum Next {
    /// These.
    Records(Vec<StoredRecord>),
    /// Something in the table.
    InTable,
    /// Nothing yet.
    Wait,
    /// The log ends before that place.
    Beyond { end: u64 },
    /// Nothing any more.
    End(Ending),
}

impl Live {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The offset after the last durable entry.
    pub(super) fn end(&self, stream: Stream) -> u64 {
        self.state().tails.get(&stream).map_or(0, |tail| *tail.end.borrow())
    }

    /// Makes known what stands in the table of a stream that was opened.
    pub(super) fn opened(&self, stream: Stream, end: u64) {
        self.state().tails.entry(stream).or_default().end.send_replace(end);
    }

    /// Shows entries that became durable. Those of one stream must follow one another.
    pub(super) fn publish(&self, entries: impl IntoIterator<Item = (Stream, StoredRecord)>) {
        let mut state = self.state();
        let mut grown = BTreeMap::new();
        for (stream, record) in entries {
            let tail = state.tails.entry(stream).or_default();
            grown.insert(stream, record.offset.saturating_add(1));
            tail.recent_bytes += record.bytes.len();
            tail.recent.push_back(record);
            while tail.recent.len() > RECENT_ENTRIES_MAX || tail.recent_bytes > RECENT_BYTES_MAX {
                let Some(oldest) = tail.recent.pop_front() else { break };
                tail.recent_bytes -= oldest.bytes.len();
            }
        }
        for (stream, end) in grown {
            state.tails.entry(stream).or_default().end.send_replace(end);
        }
    }

    /// Ends all readers once they have read what is there.
    pub(super) fn finish(&self, ending: Ending) {
        let mut state = self.state();
        state.ending.get_or_insert(ending);
        for tail in state.tails.values() {
            tail.end.send_modify(|_| {});
        }
    }

    fn subscribe(&self, stream: Stream) -> watch::Receiver<u64> {
        self.state().tails.entry(stream).or_default().end.subscribe()
    }

    fn next(&self, stream: Stream, offset: u64) -> Next {
        let state = self.state();
        let Some(tail) = state.tails.get(&stream) else { return Next::Wait };
        let end = *tail.end.borrow();
        if offset > end {
            return Next::Beyond { end };
        }
        if offset == end {
            return state.ending.clone().map_or(Next::Wait, Next::End);
        }
        match tail.recent.front() {
            Some(oldest) if oldest.offset <= offset => {
                let from = tail.recent.partition_point(|record| record.offset < offset);
                Next::Records(tail.recent.range(from..).cloned().collect())
            }
            Some(_) | None => Next::InTable,
        }
    }
}

type Piece = Result<Vec<StoredRecord>, LogError>;

/// Reads one stream.
pub(super) struct LiveReader {
    shared: Arc<Shared>,
    stream: Stream,
    /// The offset to go on from, when the buffer is empty.
    next: u64,
    buffer: VecDeque<StoredRecord>,
    /// A reading of the table that is under way.
    reading: Option<oneshot::Receiver<Piece>>,
    end: watch::Receiver<u64>,
    is_over: bool,
}

impl LiveReader {
    pub(super) fn new(shared: Arc<Shared>, stream: Stream, from: u64) -> Self {
        let end = shared.live.subscribe(stream);
        let buffer = VecDeque::new();
        Self { shared, stream, next: from, buffer, reading: None, end, is_over: false }
    }

    fn fill(&mut self, records: Vec<StoredRecord>) {
        self.next = records.last().map_or(self.next, |last| last.offset.saturating_add(1));
        self.buffer.extend(records);
    }

    fn fill_from_table(&mut self, piece: Piece) -> Result<(), LogError> {
        let records = piece?;
        if records.is_empty() {
            let (stream, next) = (self.stream, self.next);
            return Err(LogError::Corrupt { what: format!("{stream:?}: entry {next} is missing") });
        }
        self.fill(records);
        Ok(())
    }

    fn fail(&mut self, error: LogError) -> Option<Result<StoredRecord, LogError>> {
        self.is_over = true;
        Some(Err(error))
    }

    fn finish(&mut self, ending: Ending) -> Option<Result<StoredRecord, LogError>> {
        self.is_over = true;
        match ending {
            Ending::Closed => None,
            Ending::Failed(reason) => Some(Err(LogError::Unavailable {
                stage: "reading",
                failure: Failure::Determinate,
                source: reason.as_ref().into(),
            })),
        }
    }
}

#[async_trait]
impl Pull for LiveReader {
    async fn next(&mut self) -> Option<Result<StoredRecord, LogError>> {
        loop {
            if let Some(record) = self.buffer.pop_front() {
                return Some(Ok(record));
            }
            if self.is_over {
                return None;
            }
            // A reading under way is kept when this future is dropped.
            if let Some(reading) = &mut self.reading {
                let piece = reading.await;
                self.reading = None;
                match piece.map(|piece| self.fill_from_table(piece)) {
                    Ok(Ok(())) => continue,
                    Ok(Err(error)) => return self.fail(error),
                    // The runtime shuts down; so do we.
                    Err(_) => return self.finish(Ending::Closed),
                }
            }
            // Marked as seen before looking, so that an entry that comes in between wakes us.
            self.end.borrow_and_update();
            match self.shared.live.next(self.stream, self.next) {
                Next::Records(records) => self.fill(records),
                Next::InTable => {
                    let (shared, stream, next) = (Arc::clone(&self.shared), self.stream, self.next);
                    self.reading = Some(blocking(move || shared.read_table(stream, next)));
                }
                Next::Wait => {
                    if self.end.changed().await.is_err() {
                        return self.finish(Ending::Closed);
                    }
                }
                Next::Beyond { end } => {
                    return self.fail(went_backwards(self.stream, end, self.next));
                }
                Next::End(ending) => return self.finish(ending),
            }
        }
    }

    fn try_next(&mut self) -> Option<Result<StoredRecord, LogError>> {
        loop {
            if let Some(record) = self.buffer.pop_front() {
                return Some(Ok(record));
            }
            if self.is_over {
                return None;
            }
            let piece = match &mut self.reading {
                Some(reading) => reading.try_recv().ok()?,
                None => match self.shared.live.next(self.stream, self.next) {
                    Next::Records(records) => Ok(records),
                    Next::InTable => self.shared.read_table(self.stream, self.next),
                    Next::Wait => return None,
                    Next::Beyond { end } => Err(went_backwards(self.stream, end, self.next)),
                    Next::End(ending) => return self.finish(ending),
                },
            };
            self.reading = None;
            if let Err(error) = self.fill_from_table(piece) {
                return self.fail(error);
            }
        }
    }
}
