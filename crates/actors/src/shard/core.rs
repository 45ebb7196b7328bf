//! The shard without its mailbox.
//!
//! ```text
//!   claim ──► Claiming ──(own claim read back)──► Owning ──(another claim read back)──► Lost
//!                ▲                                  │
//!                └──────(indeterminate append)──────┘
//! ```
//!
//! One frame is in the log at a time; whatever is proposed meanwhile goes into the next one. That
//! is group commit: the busier the partition, the larger the frames.

use std::collections::VecDeque;

use bytes::Bytes;
use event_log::{Accepted, Failure};
use events::frame::{EVENTS_PER_FRAME_MAX, RECORD_BYTES_MAX};
use events::{
    ChainHash, Claim, CommandEnvelope, CommandId, DecisionRecord, Envelope, Epoch, EventId, Frame,
    Partition, Position, Record, Sequence, Timestamp,
};
use uuid::Uuid;

use crate::entity::Proposal;

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
pub enum ShardState {
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
    epoch: Epoch,
    proposals: Vec<(u64, Proposal)>,
    bytes: Bytes,
}

/// What the shell has to do next.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Nothing, until something arrives.
    Wait,
    /// Append this record.
    Append(Bytes),
    /// This proposal can never be recorded.
    Abandon {
        /// The key under which it was proposed.
        key: u64,
        /// How many bytes it would take.
        bytes: usize,
    },
}

/// What an accepted record means for the shard.
#[derive(Debug, PartialEq)]
pub enum Appended {
    /// The partition is this shard's now.
    Owned(Epoch),
    /// These proposals count, each with its events.
    Counted(Vec<(u64, Vec<Envelope>)>),
    /// Another node has the partition now. These proposals did not happen.
    Lost(Vec<u64>),
    /// Nothing of ours.
    Other,
}

/// A partition at work.
#[derive(Debug)]
pub struct ShardCore {
    partition: Partition,
    identity: ClaimIdentity,
    state: ShardState,
    /// The partition as folded so far: what the next record has to continue.
    epoch: Epoch,
    last: Sequence,
    hash: ChainHash,
    waiting: VecDeque<(u64, Proposal)>,
    /// A frame of which it is not known yet whether it counts.
    frame: Option<AppendedFrame>,
    /// The epoch of a claim of which that is not known yet.
    claim: Option<Epoch>,
    /// Below this, all submitted commands are decided.
    commands_before: Option<u64>,
}

impl ShardCore {
    /// A shard that wants the partition, which was folded up to the given place.
    #[must_use]
    pub fn new(
        partition: Partition,
        identity: ClaimIdentity,
        epoch: Epoch,
        last: Sequence,
        hash: ChainHash,
    ) -> Self {
        Self {
            partition,
            identity,
            state: ShardState::Claiming,
            epoch,
            last,
            hash,
            waiting: VecDeque::new(),
            frame: None,
            claim: None,
            commands_before: None,
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> ShardState {
        self.state
    }

    /// Whether nothing waits to be recorded.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.frame.is_none()
    }

    /// Takes a proposal in. The key names it in what comes back.
    pub fn propose(&mut self, key: u64, proposal: Proposal) {
        self.waiting.push_back((key, proposal));
    }

    /// Notes that all submitted commands below this offset are decided.
    pub fn note_commands_before(&mut self, offset: u64) {
        self.commands_before = Some(offset);
    }

    /// What to append next, if anything.
    pub fn next_step(&mut self, now: Timestamp) -> Step {
        match self.state {
            ShardState::Claiming if self.claim.is_none() => self.append_claim(now),
            ShardState::Owning(epoch) if self.frame.is_none() => self.append_frame(epoch),
            ShardState::Lost | ShardState::Claiming | ShardState::Owning(_) => Step::Wait,
        }
    }

    fn append_claim(&mut self, now: Timestamp) -> Step {
        let epoch = self.epoch.next();
        let claim = Record::Claim(Claim {
            epoch,
            node: self.identity.node.clone(),
            incarnation: self.identity.incarnation,
            version: self.identity.version.clone(),
            time: now,
        });
        self.claim = Some(epoch);
        Step::Append(to_bytes(&claim))
    }

    /// As many whole proposals as fit one record.
    fn append_frame(&mut self, epoch: Epoch) -> Step {
        if self.waiting.is_empty() {
            return Step::Wait;
        }
        let mut taken: Vec<(u64, Proposal)> = vec![];
        let mut events = 0;
        while let Some((_, next)) = self.waiting.front() {
            let more: usize = next.decisions.iter().map(|decision| decision.events.len()).sum();
            if !taken.is_empty() && events + more > EVENTS_PER_FRAME_MAX {
                break;
            }
            events += more;
            taken.extend(self.waiting.pop_front());
        }
        loop {
            let bytes = to_bytes(&Record::Frame(Box::new(self.build(epoch, &taken))));
            if bytes.len() <= RECORD_BYTES_MAX {
                let appended = AppendedFrame { epoch, proposals: taken, bytes: bytes.clone() };
                self.frame = Some(appended);
                return Step::Append(bytes);
            }
            if taken.len() == 1
                && let Some((key, _)) = taken.pop()
            {
                return Step::Abandon { key, bytes: bytes.len() };
            }
            // Halve until it fits: a frame this full is rare, and each halving is cheap.
            for proposal in taken.split_off(taken.len().div_ceil(2)).into_iter().rev() {
                self.waiting.push_front(proposal);
            }
        }
    }

    fn build(&self, epoch: Epoch, proposals: &[(u64, Proposal)]) -> Frame {
        let mut frame = Frame {
            epoch,
            first: self.last.plus(1),
            previous: self.hash,
            decisions: vec![],
            events: vec![],
            follow_ups: vec![],
            commands_before: self.commands_before,
        };
        for (_, proposal) in proposals {
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
        decision: &crate::entity::DecisionDraft,
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
    pub fn accepted(&mut self, accepted: &Accepted) -> Appended {
        self.hash = accepted.hash;
        match &accepted.record {
            Record::Genesis(_) => Appended::Other,
            Record::Claim(claim) => {
                self.epoch = claim.epoch;
                self.last = accepted.position.sequence;
                self.claimed(claim)
            }
            Record::Frame(frame) => {
                self.last = frame.last();
                self.counted(frame)
            }
        }
    }

    fn claimed(&mut self, claim: &Claim) -> Appended {
        self.claim = None;
        if claim.incarnation != self.identity.incarnation {
            // Whether to try again is for whoever assigns partitions to say.
            self.state = ShardState::Lost;
            return Appended::Lost(self.give_up());
        }
        // A frame that was in the log when this claim was made is settled by now: it stands before
        // the claim and was counted, or it will never count.
        self.put_back();
        self.state = ShardState::Owning(claim.epoch);
        Appended::Owned(claim.epoch)
    }

    fn counted(&mut self, frame: &Frame) -> Appended {
        let Some(ours) = self.frame.take_if(|ours| ours.epoch == frame.epoch) else {
            return Appended::Other;
        };
        let mut events = frame.events.iter();
        let take = |(key, proposal): (u64, Proposal)| {
            let count = proposal.decisions.iter().map(|decision| decision.events.len()).sum();
            (key, events.by_ref().take(count).cloned().collect())
        };
        Appended::Counted(ours.proposals.into_iter().map(take).collect())
    }

    /// Everything that was proposed and will not be recorded here.
    fn give_up(&mut self) -> Vec<u64> {
        self.put_back();
        self.waiting.drain(..).map(|(key, _)| key).collect()
    }

    /// The append of the last step failed. After a determinate failure the same is tried again;
    /// after an indeterminate one only a new claim can tell what happened.
    pub fn append_failed(&mut self, failure: Failure) {
        match (failure, self.state) {
            (_, ShardState::Lost) => {}
            (_, ShardState::Claiming) => self.claim = None,
            (Failure::Determinate, ShardState::Owning(_)) => self.put_back(),
            (Failure::Indeterminate, ShardState::Owning(_)) => self.state = ShardState::Claiming,
        }
    }

    fn put_back(&mut self) {
        let proposals = self.frame.take().map(|frame| frame.proposals).unwrap_or_default();
        for proposal in proposals.into_iter().rev() {
            self.waiting.push_front(proposal);
        }
    }

    /// A record of this partition was read back and does not count.
    pub fn rejected(&mut self, bytes: &[u8]) {
        if self.frame.as_ref().is_some_and(|frame| frame.bytes == bytes) {
            self.put_back();
            if self.state != ShardState::Lost {
                self.state = ShardState::Claiming;
            }
        }
        if let Ok(Record::Claim(claim)) = Record::from_bytes(bytes)
            && claim.incarnation == self.identity.incarnation
            && self.claim == Some(claim.epoch)
        {
            self.claim = None;
        }
    }
}

fn to_bytes(record: &Record) -> Bytes {
    Bytes::from(record.to_bytes().expect("events of ours can be written as JSON"))
}
