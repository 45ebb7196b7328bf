//! Replay: folds the whole log again, decides every decision again, and compares.
//!
//! A decision is a function of its aggregate's state, its command, its time, and for some the fleet
//! view at a watermark. All of these stand in the log, so a clean replay proves that what is on
//! record is what the deciders decided: every event and follow-up, whole with its envelope, follows
//! from a command that is on record and was decided once, and there are no others. It takes the
//! commands that people and members gave directly, and the times, as they stand there.
//!
//! Partitions are read side by side. One waits while a decision in it needs a follow-up command or
//! a view that another has not come to yet; causes stand before effects, so one of them can always
//! go on.

mod decide;
mod frame;
#[cfg(test)]
mod tests;
mod views;

use std::collections::{BTreeMap, VecDeque};

use event_log::{Accepted, Acceptor, Log, LogError, Reader, Stream};
use events::{ChainHash, Partition, Position, Record, Sequence};
use serde::Serialize;

use frame::{Counts, Folded};

/// Why a replay could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The log does not answer.
    #[error("the log cannot be read")]
    Log(#[from] LogError),
    /// A record holds something that this version does not know.
    #[error("partition {partition}, offset {offset}: {reason}")]
    Undecodable {
        /// Where.
        partition: Partition,
        /// The record.
        offset: u64,
        /// Why.
        reason: String,
    },
}

/// What a replay found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Records that count.
    pub records: u64,
    /// Records that do not.
    pub rejected: u64,
    /// Events folded.
    pub events: u64,
    /// Decisions decided again.
    pub decisions: u64,
    /// Follow-up commands compared.
    pub follow_ups: u64,
    /// Follow-up commands that no decision has consumed yet.
    pub undecided: u64,
    /// The hash of each partition that is not empty.
    pub hashes: BTreeMap<Partition, (Sequence, ChainHash)>,
    /// The first decision that comes out differently.
    pub first_difference: Option<Difference>,
}

impl VerifyReport {
    /// Whether everything came out the same.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.first_difference.is_none()
    }
}

/// A decision that comes out differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The frame.
    pub position: Position,
    /// The index of the decision in it.
    pub decision: usize,
    /// The aggregate.
    pub aggregate: String,
    /// What differs.
    pub what: String,
    /// What is on record.
    pub recorded: String,
    /// What was decided now.
    pub decided: String,
}

/// One partition on its way.
struct Lane {
    reader: Reader,
    acceptor: Acceptor,
    end: u64,
    next_offset: u64,
    head: Option<Accepted>,
}

/// Reads the log up to where it ends now, and compares.
///
/// # Errors
/// When the log cannot be read. A difference is not an error: it is in the report.
pub async fn verify(log: &dyn Log, partitions: u16) -> Result<VerifyReport, ReplayError> {
    let mut replay = Replay { folded: Folded::new(partitions), report: VerifyReport::default() };
    let mut lanes = vec![];
    for partition in (0..partitions).map(Partition) {
        let stream = Stream::Events(partition);
        lanes.push(Lane {
            end: log.end(stream).await?,
            reader: log.read(stream, 0).await?,
            acceptor: Acceptor::new(partition),
            next_offset: 0,
            head: None,
        });
    }
    let mut waiting: VecDeque<Lane> = lanes.into();
    let mut stuck = 0;
    while let Some(mut lane) = waiting.pop_front() {
        let mut moved = false;
        while replay.report.is_clean() {
            if lane.head.is_none() {
                lane.head = replay.next(&mut lane).await?;
            }
            match &lane.head {
                Some(accepted) if replay.can_take(accepted) => {
                    replay.take(accepted);
                    lane.head = None;
                    moved = true;
                }
                Some(_) | None => break,
            }
        }
        if lane.head.is_some() && replay.report.is_clean() {
            stuck = if moved { 0 } else { stuck + 1 };
            if stuck > waiting.len() {
                replay.dangling(&lane);
                break;
            }
            waiting.push_back(lane);
        } else if moved {
            stuck = 0;
        }
    }
    replay.report.undecided = replay.folded.undecided();
    Ok(replay.report)
}

struct Replay {
    folded: Folded,
    report: VerifyReport,
}

impl Replay {
    /// The next record of a lane that counts; `None` at its end.
    async fn next(&mut self, lane: &mut Lane) -> Result<Option<Accepted>, ReplayError> {
        while lane.next_offset < lane.end {
            let Some(record) = lane.reader.next().await else { return Ok(None) };
            let record = record?;
            lane.next_offset = record.offset.saturating_add(1);
            if record.offset >= lane.end {
                return Ok(None);
            }
            match lane.acceptor.offer(record.offset, &record.bytes) {
                Ok(accepted) => return Ok(Some(accepted)),
                Err(rejection) if rejection.stops_the_reader() => {
                    return Err(ReplayError::Undecodable {
                        partition: lane.acceptor.partition,
                        offset: record.offset,
                        reason: rejection.to_string(),
                    });
                }
                Err(_) => self.report.rejected += 1,
            }
        }
        Ok(None)
    }

    fn can_take(&self, accepted: &Accepted) -> bool {
        match &accepted.record {
            Record::Genesis(_) | Record::Claim(_) => true,
            Record::Frame(frame) => self.folded.can_take(accepted.position.partition, frame),
        }
    }

    fn take(&mut self, accepted: &Accepted) {
        self.report.records += 1;
        let partition = accepted.position.partition;
        let last = match &accepted.record {
            Record::Genesis(_) => accepted.position.sequence,
            Record::Claim(_) => {
                self.folded.advance(accepted.position);
                accepted.position.sequence
            }
            Record::Frame(frame) => {
                match self.folded.take(partition, frame) {
                    Ok(counts) => self.count(&counts),
                    Err(difference) => self.report.first_difference = Some(*difference),
                }
                frame.last()
            }
        };
        self.report.hashes.insert(partition, (last, accepted.hash));
    }

    fn count(&mut self, counts: &Counts) {
        self.report.decisions += counts.decisions;
        self.report.events += counts.events;
        self.report.follow_ups += counts.follow_ups;
    }

    /// A record refers to something that stands nowhere before it.
    fn dangling(&mut self, lane: &Lane) {
        let Some(head) = &lane.head else { return };
        self.report.first_difference = Some(Difference {
            position: head.position,
            decision: 0,
            aggregate: String::new(),
            what: "causes".to_owned(),
            recorded: "a decision on a follow-up or a view that stands nowhere in the log"
                .to_owned(),
            decided: String::new(),
        });
    }
}
