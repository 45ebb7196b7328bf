//! Events as they come: a stream of lines that ends when the listener or the hub does.
//!
//! Each partition is followed by its records, so that nothing is missed whatever the clocks of
//! their owners say. Rows are written a moment after they were folded; until then, look again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use actix_web::{HttpResponse, web};
use actors::fold::FoldStatus;
use events::{Envelope, Partition, Position, Record, Sequence, Timestamp, Watermark};
use futures::Stream;
use projections::{EventFilter, Queries};
use tokio::sync::watch;

use super::error::Problem;
use super::events::shown;
use super::limits::Place;
use super::state::HttpState;

/// How many records of a partition, or events of before, are read at once. Nothing is read before
/// all of it was taken, so this is what a follower holds that does not read.
const RECORDS_PER_READ: usize = 32;

/// How many bytes of lines are made before they are taken. One record more may come on top.
const WAITING_BYTES_MAX: usize = 256 << 10;

/// How long to wait for rows that are folded but not written yet.
const WRITTEN_RETRY: Duration = Duration::from_millis(20);

/// How often an empty line is sent when nothing comes, so that a listener that went away is
/// noticed: less than proxies usually wait.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// Answers with what comes, and if the filter says since when, with what came since then.
pub(super) async fn response(
    state: web::Data<HttpState>,
    filter: EventFilter,
    place: Place,
) -> Result<HttpResponse, Problem> {
    let fold = state.config.router.fold().status();
    // Up to here events are found in order of time; from here on record by record.
    let from = state.query(|queries| queries.watermark_at(Timestamp::MAX)).await?;
    let backlog = filter.since.map(|_| Backlog { until: from.clone(), after: None });
    let follower = Follower {
        state,
        filter,
        backlog,
        next: from.0.iter().map(|(partition, last)| (*partition, last.plus(1))).collect(),
        fold,
        lines: VecDeque::new(),
        _place: place,
    };
    Ok(HttpResponse::Ok().content_type("application/x-ndjson").streaming(lines(follower)))
}

fn lines(follower: Follower) -> impl Stream<Item = Result<web::Bytes, Problem>> {
    futures::stream::try_unfold(follower, |mut follower| async move {
        let line = follower.line().await?;
        Ok(line.map(|line| (web::Bytes::from(line), follower)))
    })
}

/// What came before somebody listened, found in order of time.
struct Backlog {
    until: Watermark,
    after: Option<Position>,
}

struct Follower {
    /// Asked for the rows each time: they may be built anew meanwhile.
    state: web::Data<HttpState>,
    filter: EventFilter,
    backlog: Option<Backlog>,
    /// The next sequence of each partition.
    next: BTreeMap<Partition, Sequence>,
    fold: watch::Receiver<FoldStatus>,
    lines: VecDeque<String>,
    /// One of those that followers have.
    _place: Place,
}

impl Follower {
    /// The next line; `None` when reading the log has ended.
    async fn line(&mut self) -> Result<Option<String>, Problem> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Ok(Some(line));
            }
            if self.backlog.is_some() {
                self.read_backlog().await?;
                continue;
            }
            let folded = self.fold.borrow_and_update().clone();
            if self.read_new(&folded.watermark).await? {
                continue;
            }
            if folded.stopped.is_some() {
                return Ok(None);
            }
            let is_written = self.is_past(&folded.watermark);
            let patience = if is_written { SILENCE_MAX } else { WRITTEN_RETRY };
            match tokio::time::timeout(patience, self.fold.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Ok(None),
                Err(_) if is_written => return Ok(Some("\n".to_owned())),
                Err(_) => {}
            }
        }
    }

    async fn read_backlog(&mut self) -> Result<(), Problem> {
        let Some(backlog) = self.backlog.take() else { return Ok(()) };
        let filter = self.filter.clone();
        let after = backlog.after;
        let events = move |rows: &Queries| rows.events(&filter, after, RECORDS_PER_READ);
        let page = self.state.query(events).await?;
        for recorded in &page.items {
            if backlog.until.covers(recorded.position) {
                self.push(recorded.position, &recorded.envelope)?;
            }
        }
        self.backlog = page.next.map(|after| Backlog { after: Some(after), ..backlog });
        Ok(())
    }

    /// Reads what is written of what was folded. Says whether there was anything.
    async fn read_new(&mut self, folded: &Watermark) -> Result<bool, Problem> {
        let mut moved = false;
        for (&partition, &last) in &folded.0 {
            let from = self.next.get(&partition).copied().unwrap_or(Sequence(1));
            if from > last {
                continue;
            }
            let records = move |rows: &Queries| rows.records(partition, from, RECORDS_PER_READ);
            let page = self.state.query(records).await?;
            for (position, record) in page.items {
                moved = true;
                let last = self.take(position, &record, from)?;
                self.next.insert(partition, last.plus(1));
                if self.waiting_bytes() > WAITING_BYTES_MAX {
                    return Ok(true);
                }
            }
        }
        Ok(moved)
    }

    /// Takes a record in. Answers with its last sequence.
    fn take(
        &mut self,
        position: Position,
        record: &Record,
        from: Sequence,
    ) -> Result<Sequence, Problem> {
        let Record::Frame(frame) = record else { return Ok(position.sequence) };
        for envelope in frame.events.iter().filter(|envelope| envelope.sequence >= from) {
            if matches(&self.filter, envelope) {
                let position = Position { sequence: envelope.sequence, ..position };
                self.push(position, envelope)?;
            }
        }
        Ok(frame.last())
    }

    fn waiting_bytes(&self) -> usize {
        self.lines.iter().map(String::len).sum()
    }

    fn push(&mut self, position: Position, envelope: &Envelope) -> Result<(), Problem> {
        let event = shown(position, envelope)?;
        let json = serde_json::to_string(&event).map_err(|e| Problem::internal(e.to_string()))?;
        self.lines.push_back(json + "\n");
        Ok(())
    }

    fn is_past(&self, folded: &Watermark) -> bool {
        folded.0.iter().all(|(partition, last)| {
            self.next.get(partition).copied().unwrap_or(Sequence(1)) > *last
        })
    }
}

/// The same filter that pages go by, for events that come.
fn matches(filter: &EventFilter, envelope: &Envelope) -> bool {
    let EventFilter { aggregate_prefix, event_type, principal, correlation, since, until } = filter;
    let aggregate = envelope.aggregate.to_string();
    aggregate_prefix.as_ref().is_none_or(|prefix| aggregate.starts_with(prefix.as_str()))
        && event_type.as_ref().is_none_or(|wanted| wanted == envelope.event.event_type().name)
        && principal.as_ref().is_none_or(|wanted| *wanted == envelope.principal)
        && correlation.is_none_or(|wanted| wanted == envelope.correlation)
        && since.is_none_or(|since| envelope.time >= since)
        && until.is_none_or(|until| envelope.time <= until)
}
