//! The records of a partition: claims and frames, and what it means when one is read back.
//!
//! ```text
//!   claim ──► Claiming ──(own claim read back)──► Owning ──(another claim read back)──► Lost
//!                ▲                                  │
//!                └──────(indeterminate append)──────┘
//! ```
//!
//! One frame is in the log at a time; whatever is proposed meanwhile goes into the next one. That
//! is group commit: the busier the partition, the larger the frames. What was proposed stays as it
//! was decided until it counts: after a claim of its own nobody else has moved the partition.

use std::collections::VecDeque;

use bytes::Bytes;
use event_log::{Accepted, Acceptor, Failure};
use events::frame::{EVENTS_PER_FRAME_MAX, RECORD_BYTES_MAX};
use events::{
    AggregateId, ChainHash, Claim, CommandEnvelope, CommandId, DecisionRecord, Envelope, Epoch,
    EventId, Frame, Partition, Position, Record, Sequence, Timestamp,
};
use uuid::Uuid;

use crate::entity::{DecisionDraft, Proposal};

/// Who claims.
#[derive(Debug, Clone)]
pub struct ClaimIdentity {
    /// The node's name.
    pub node: String,
    /// This run of it.
    pub incarnation: Uuid,
    /// The version of Taffrail.
    pub version: String,
}

/// Where a shard stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShardState {
    /// It wants the partition; its claim is, or will be, in the log.
    Claiming,
    /// It owns the partition in this epoch.
    Owning(Epoch),
    /// Another node has the partition.
    Lost,
}

/// A frame that was appended and not read back yet.
#[derive(Debug)]
struct AppendedFrame {
    proposals: Vec<Proposal>,
    bytes: Bytes,
}

/// What has to be done next.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// Nothing, until something arrives.
    Wait,
    /// Append this record.
    Append(Bytes),
    /// The first decision of this aggregate that is not recorded yet takes more bytes than a record
    /// has. It and those behind it are forgotten here.
    Abandon { aggregate: AggregateId, bytes: usize },
}

/// Decisions of an aggregate that count.
#[derive(Debug, PartialEq)]
pub(super) struct Counted {
    pub(super) aggregate: AggregateId,
    /// How many.
    pub(super) decisions: usize,
    /// Their events.
    pub(super) envelopes: Vec<Envelope>,
}

/// What an accepted record means for the shard.
#[derive(Debug, PartialEq)]
pub(super) enum Appended {
    /// The partition is this shard's now.
    Owned(Epoch),
    /// Decisions count.
    Counted(Vec<Counted>),
    /// The partition is not this shard's any more, or it cannot know what happened to what it
    /// proposed.
    Lost,
    /// Nothing of ours.
    Other,
}

/// The records of a partition, as its owner writes them.
#[derive(Debug)]
pub(super) struct Frames {
    partition: Partition,
    identity: ClaimIdentity,
    state: ShardState,
    /// The partition as folded so far: what the next record has to continue.
    epoch: Epoch,
    last: Sequence,
    hash: ChainHash,
    /// The current epoch, if this shard has read its claim back.
    owned: Option<Epoch>,
    waiting: VecDeque<Proposal>,
    /// A frame of which it is not known yet whether it counts.
    frame: Option<AppendedFrame>,
    /// A claim of which that is not known yet.
    claim: Option<(Epoch, Bytes)>,
    /// Below this, all submitted commands are decided.
    commands_before: Option<u64>,
}

impl Frames {
    /// For a shard that wants a partition, which was folded up to there.
    pub(super) fn new(identity: ClaimIdentity, at: &Acceptor) -> Self {
        Self {
            partition: at.partition,
            identity,
            state: ShardState::Claiming,
            epoch: at.epoch,
            last: at.last,
            hash: at.hash,
            owned: None,
            waiting: VecDeque::new(),
            frame: None,
            claim: None,
            commands_before: None,
        }
    }

    /// Where the shard stands.
    pub(super) fn state(&self) -> ShardState {
        self.state
    }

    /// Whether nothing waits to be recorded.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.frame.is_none()
    }

    /// Takes a proposal in. An aggregate has one at a time.
    pub(super) fn propose(&mut self, proposal: Proposal) {
        self.waiting.push_back(proposal);
    }

    /// Notes that all submitted commands below this offset are decided.
    pub(super) fn note_commands_before(&mut self, offset: u64) {
        self.commands_before = Some(offset);
    }

    /// What to append next, if anything.
    pub(super) fn next(&mut self, now: Timestamp) -> Next {
        match self.state {
            ShardState::Claiming if self.claim.is_none() => self.append_claim(now),
            ShardState::Owning(epoch) if self.frame.is_none() => self.append_frame(epoch),
            ShardState::Lost | ShardState::Claiming | ShardState::Owning(_) => Next::Wait,
        }
    }

    fn append_claim(&mut self, now: Timestamp) -> Next {
        let epoch = self.epoch.next();
        let claim = to_bytes(&Record::Claim(Claim {
            epoch,
            node: self.identity.node.clone(),
            incarnation: self.identity.incarnation,
            version: self.identity.version.clone(),
            time: now,
        }));
        self.claim = Some((epoch, claim.clone()));
        Next::Append(claim)
    }

    /// As many whole proposals as fit one record, or a part of the first.
    fn append_frame(&mut self, epoch: Epoch) -> Next {
        let mut taken = self.take_waiting();
        loop {
            let decisions: usize = taken.iter().map(|proposal| proposal.decisions.len()).sum();
            if decisions == 0 {
                return Next::Wait;
            }
            let bytes = to_bytes(&Record::Frame(Box::new(self.build(epoch, &taken))));
            if bytes.len() <= RECORD_BYTES_MAX {
                self.frame = Some(AppendedFrame { proposals: taken, bytes: bytes.clone() });
                return Next::Append(bytes);
            }
            // Halve until it fits: a frame this full is rare, and each halving is cheap.
            match taken.as_mut_slice() {
                [only] if decisions == 1 => {
                    let aggregate = only.aggregate.clone();
                    self.waiting.retain(|proposal| proposal.aggregate != aggregate);
                    return Next::Abandon { aggregate, bytes: bytes.len() };
                }
                [only] => self.waiting.push_front(only.split_off(decisions.div_ceil(2))),
                many => {
                    let half = many.len().div_ceil(2);
                    self.put_back(taken.split_off(half));
                }
            }
        }
    }

    /// What waits, as far as a frame may hold its events.
    fn take_waiting(&mut self) -> Vec<Proposal> {
        let mut taken = vec![];
        let mut events = 0;
        while let Some(next) = self.waiting.front() {
            let more: usize = next.decisions.iter().map(|decision| decision.events.len()).sum();
            if !taken.is_empty() && events + more > EVENTS_PER_FRAME_MAX {
                break;
            }
            events += more;
            taken.extend(self.waiting.pop_front());
        }
        taken
    }

    fn put_back(&mut self, proposals: Vec<Proposal>) {
        for proposal in proposals.into_iter().rev() {
            self.waiting.push_front(proposal);
        }
    }

    fn put_frame_back(&mut self) {
        let proposals = self.frame.take().map(|frame| frame.proposals);
        self.put_back(proposals.unwrap_or_default());
    }

    fn build(&self, epoch: Epoch, proposals: &[Proposal]) -> Frame {
        let mut frame = Frame {
            epoch,
            first: self.last.plus(1),
            previous: self.hash,
            decisions: vec![],
            events: vec![],
            follow_ups: vec![],
            commands_before: self.commands_before,
        };
        for proposal in proposals {
            let mut aggregate_sequence = proposal.first_sequence;
            for decision in &proposal.decisions {
                self.add_decision(&mut frame, proposal, decision, &mut aggregate_sequence);
            }
        }
        frame
    }

    fn add_decision(
        &self,
        frame: &mut Frame,
        proposal: &Proposal,
        decision: &DecisionDraft,
        aggregate_sequence: &mut u64,
    ) {
        let command = &decision.command;
        let first_event = frame.events.len();
        for (index, event) in decision.events.iter().enumerate() {
            frame.events.push(Envelope {
                id: EventId::derive(decision.time, command.id, index),
                aggregate: proposal.aggregate.clone(),
                aggregate_sequence: *aggregate_sequence,
                sequence: frame.first.plus(frame.events.len() as u64),
                time: decision.time,
                principal: command.principal.clone(),
                command: command.id,
                index: u32::try_from(index).expect("a frame holds fewer events"),
                causation: command.causation,
                correlation: command.correlation,
                traceparent: command.traceparent.clone(),
                event: event.clone(),
            });
            *aggregate_sequence += 1;
        }
        for (ordinal, (index, follow_up)) in decision.follow_ups.iter().enumerate() {
            let cause = &frame.events[first_event + index];
            let (kind, data) = follow_up.command.to_parts().expect("follow-ups are plain data");
            frame.follow_ups.push(CommandEnvelope {
                id: CommandId::follow_up(cause.id, ordinal),
                aggregate: follow_up.to.clone(),
                kind,
                principal: command.principal.clone(),
                time: decision.time,
                causation: Some(cause.id),
                origin: Some(Position { partition: self.partition, sequence: cause.sequence }),
                correlation: command.correlation,
                traceparent: command.traceparent.clone(),
                data,
            });
        }
        frame.decisions.push(DecisionRecord {
            command: decision.source.clone(),
            time: decision.time,
            watermark: decision.watermark.clone(),
            events: u32::try_from(decision.events.len()).expect("a frame holds fewer events"),
            refusal: decision.refusal.clone(),
        });
    }

    /// An accepted record of this partition, ours or not. Called for every one, in order.
    pub(super) fn accepted(&mut self, accepted: &Accepted) -> Appended {
        let before = std::mem::replace(&mut self.hash, accepted.hash);
        match &accepted.record {
            Record::Genesis(_) => Appended::Other,
            Record::Claim(claim) => {
                self.epoch = claim.epoch;
                self.last = accepted.position.sequence;
                self.claimed(claim)
            }
            Record::Frame(frame) => {
                self.last = frame.last();
                self.counted(frame, before)
            }
        }
    }

    fn claimed(&mut self, claim: &Claim) -> Appended {
        self.claim = None;
        if claim.incarnation != self.identity.incarnation {
            // Whether to try again is for whoever assigns partitions to say.
            return self.lost();
        }
        // A frame that was in the log when this claim was made is settled by now: it stands before
        // the claim and was counted, or it will never count.
        self.put_frame_back();
        self.owned = Some(claim.epoch);
        self.state = ShardState::Owning(claim.epoch);
        Appended::Owned(claim.epoch)
    }

    fn counted(&mut self, frame: &Frame, before: ChainHash) -> Appended {
        let is_awaited = |ours: &mut AppendedFrame| before.then(&ours.bytes) == self.hash;
        if let Some(ours) = self.frame.take_if(is_awaited) {
            let mut events = frame.events.iter();
            let count = |proposal: Proposal| {
                let count = proposal.decisions.iter().map(|decision| decision.events.len()).sum();
                let envelopes = events.by_ref().take(count).cloned().collect();
                let (aggregate, decisions) = (proposal.aggregate, proposal.decisions.len());
                Counted { aggregate, decisions, envelopes }
            };
            return Appended::Counted(ours.proposals.into_iter().map(count).collect());
        }
        if self.owned == Some(frame.epoch) {
            // Written by this shard and given up since: its append was said not to have happened.
            // What of it was put into later frames is not worth guessing; whoever owns the
            // partition next starts from what counts.
            tracing::error!(partition = %self.partition, epoch = %frame.epoch,
                "a record counts of which the log had said that it was not stored");
            return self.lost();
        }
        Appended::Other
    }

    fn lost(&mut self) -> Appended {
        self.owned = None;
        self.frame = None;
        self.waiting.clear();
        self.state = ShardState::Lost;
        Appended::Lost
    }

    /// The append of this record failed. After a determinate failure the same is tried again; after
    /// an indeterminate one only a new claim can tell what happened. Nothing changes when it is known
    /// already what became of the record.
    pub(super) fn append_failed(&mut self, bytes: &Bytes, failure: Failure) {
        self.claim.take_if(|(_, claim)| claim == bytes);
        if self.frame.as_ref().is_some_and(|frame| frame.bytes == bytes) {
            match (failure, self.state) {
                (Failure::Determinate, ShardState::Owning(_)) => self.put_frame_back(),
                (Failure::Indeterminate, ShardState::Owning(_)) => {
                    self.state = ShardState::Claiming;
                }
                (_, ShardState::Claiming | ShardState::Lost) => {}
            }
        }
    }

    /// A record of this partition was read back and does not count.
    pub(super) fn rejected(&mut self, bytes: &[u8]) {
        if self.frame.as_ref().is_some_and(|frame| frame.bytes == bytes) {
            self.put_frame_back();
            self.state = ShardState::Claiming;
        }
        self.claim.take_if(|(_, claim)| claim == bytes);
    }
}

fn to_bytes(record: &Record) -> Bytes {
    Bytes::from(record.to_bytes().expect("events of ours can be written as JSON"))
}
