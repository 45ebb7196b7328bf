//! Replay: folds the whole log again, decides every decision again, and compares.
//!
//! A decision is a function of its aggregate's state, its command, its time, and for some the fleet
//! view at a watermark. All of these stand in the log, so a clean replay proves that what is on
//! record is what the deciders decided, and that nobody edited it.
//!
//! Partitions are read side by side. One waits while a decision in it needs a follow-up command or
//! a view that another has not come to yet; causes stand before effects, so one of them can always
//! go on.

mod decide;
mod views;

use std::collections::{BTreeMap, VecDeque};

use event_log::{Accepted, Acceptor, Log, LogError, Reader, Stream};
use events::{
    ChainHash, CommandEnvelope, CommandSource, DecisionRecord, Envelope, FollowUpRef, Frame,
    Partition, Position, Record, Sequence,
};
use serde::Serialize;

use decide::States;
use views::ViewHistory;

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
    let mut replay = Replay::default();
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
    replay.report.undecided = replay.follow_ups.len() as u64;
    Ok(replay.report)
}

#[derive(Default)]
struct Replay {
    states: States,
    views: ViewHistory,
    follow_ups: BTreeMap<FollowUpRef, CommandEnvelope>,
    report: VerifyReport,
}

impl Replay {
    /// The next record of a lane that counts; `None` at its end.
    async fn next(&mut self, lane: &mut Lane) -> Result<Option<Accepted>, ReplayError> {
        while lane.next_offset < lane.end {
            let Some(record) = lane.reader.next().await else { return Ok(None) };
            let record = record?;
            lane.next_offset = record.offset + 1;
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

    /// Whether everything that the record's decisions need was read.
    fn can_take(&self, accepted: &Accepted) -> bool {
        let Record::Frame(frame) = &accepted.record else { return true };
        frame.decisions.iter().all(|decision| {
            let has_command = match &decision.command {
                CommandSource::FollowUp(reference) => self.follow_ups.contains_key(reference),
                CommandSource::Direct(_) | CommandSource::Submitted { .. } => true,
            };
            let own = accepted.position.partition;
            let has_view = decision
                .watermark
                .as_ref()
                .is_none_or(|watermark| self.views.has_reached(watermark, own));
            has_command && has_view
        })
    }

    fn take(&mut self, accepted: &Accepted) {
        self.report.records += 1;
        let partition = accepted.position.partition;
        match &accepted.record {
            Record::Genesis(_) => {}
            Record::Claim(_) => self.views.advance(accepted.position),
            Record::Frame(frame) => self.take_frame(partition, frame),
        }
        let last = match &accepted.record {
            Record::Frame(frame) => frame.last(),
            Record::Claim(_) | Record::Genesis(_) => accepted.position.sequence,
        };
        self.report.hashes.insert(partition, (last, accepted.hash));
    }

    fn take_frame(&mut self, partition: Partition, frame: &Frame) {
        let position = Position { partition, sequence: frame.first };
        let mut events = frame.events.as_slice();
        let mut follow_ups = frame.follow_ups.as_slice();
        for (index, decision) in frame.decisions.iter().enumerate() {
            let count = (decision.events as usize).min(events.len());
            let (own, rest) = events.split_at(count);
            events = rest;
            if let Some(difference) = self.decide(position, index, decision, own, &mut follow_ups) {
                self.report.first_difference = Some(difference);
                return;
            }
        }
        for (ordinal, command) in (0_u32..).zip(&frame.follow_ups) {
            self.follow_ups.insert(FollowUpRef { frame: position, ordinal }, command.clone());
        }
        if frame.events.is_empty() {
            self.views.advance(position);
        }
    }

    /// Decides one command again. Takes its follow-ups off the front of those of the frame.
    fn decide(
        &mut self,
        position: Position,
        index: usize,
        decision: &DecisionRecord,
        recorded: &[Envelope],
        follow_ups: &mut &[CommandEnvelope],
    ) -> Option<Difference> {
        let command = match &decision.command {
            CommandSource::Direct(command) | CommandSource::Submitted { command, .. } => {
                command.clone()
            }
            CommandSource::FollowUp(reference) => self.follow_ups.remove(reference)?,
        };
        self.report.decisions += 1;
        self.report.events += recorded.len() as u64;
        let view = self.views.at(decision.watermark.as_ref());
        let decided = self.states.decide(&command, decision.time, &view);
        let differs = |what: &str, recorded: String, decided: String| Difference {
            position,
            decision: index,
            aggregate: command.aggregate.to_string(),
            what: what.to_owned(),
            recorded,
            decided,
        };

        if decided.refusal != decision.refusal {
            return Some(differs("refusal", text(&decision.refusal), text(&decided.refusal)));
        }
        let on_record: Vec<String> = recorded.iter().map(|event| data(&event.event)).collect();
        let now: Vec<String> = decided.events.iter().map(data).collect();
        if on_record != now {
            return Some(differs("events", on_record.join("\n"), now.join("\n")));
        }
        let count = decided.follow_ups.len().min(follow_ups.len());
        let (own, rest) = follow_ups.split_at(count);
        *follow_ups = rest;
        self.report.follow_ups += own.len() as u64;
        let on_record: Vec<String> = own
            .iter()
            .map(|command| format!("{} {} {}", command.aggregate, command.kind, command.data.get()))
            .collect();
        if on_record != decided.follow_ups {
            let (recorded, decided) = (on_record.join("\n"), decided.follow_ups.join("\n"));
            return Some(differs("follow-ups", recorded, decided));
        }
        for envelope in recorded {
            let position = Position { partition: position.partition, sequence: envelope.sequence };
            self.states.evolve(envelope);
            self.views.apply(position, envelope);
        }
        None
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

fn data(event: &events::Event) -> String {
    let data = event.to_data().map(|data| data.get().to_owned());
    format!("{} {}", event.event_type().name, data.unwrap_or_default())
}

fn text(refusal: &Option<String>) -> String {
    refusal.clone().unwrap_or_else(|| "none".to_owned())
}
