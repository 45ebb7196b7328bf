//! The core of a shard on a log that each test writes by itself, and the shell on one that hangs.

mod order;
mod records;
mod shell;

use std::collections::BTreeMap;

use bytes::Bytes;
use domain::FleetView;
use domain::cluster::{Cluster, ClusterCommand, ObserveCluster};
use event_log::Acceptor;
use events::{
    AggregateId, CommandEnvelope, CommandSource, FollowUpRef, Frame, Partition, Position,
    Principal, Record, Sequence, Timestamp,
};
use projections::Inbox;
use uuid::Uuid;

use super::{Answered, Bounds, ClaimIdentity, Recorded, ShardCore, Step, Told};
use crate::ask::{Answer, Origin, envelope};
use crate::entity::{EntityCore, Ticket};

const HERE: Partition = Partition(0);

fn identity() -> ClaimIdentity {
    ClaimIdentity {
        node: "test".to_owned(),
        incarnation: Uuid::from_u128(7),
        version: "0".to_owned(),
    }
}

fn eu() -> AggregateId {
    AggregateId::Cluster("eu".to_owned())
}

/// Observes a cluster whose one label is as long as that, and as no other.
fn observe(number: u64, label_bytes: usize) -> CommandEnvelope {
    let label = format!("{number}{}", "x".repeat(label_bytes));
    let command = ClusterCommand::ObserveCluster(ObserveCluster {
        uid: "uid".to_owned(),
        labels: BTreeMap::from([("label".to_owned(), label)]),
        taints: vec![],
        heartbeat_period_seconds: 60,
    });
    let origin = Origin {
        id: Uuid::from_u128(number.into()),
        principal: Principal::System,
        time: Timestamp::UNIX_EPOCH,
        traceparent: None,
    };
    envelope(eu(), &command.into(), &origin).unwrap()
}

/// The follow-up of this number, from another partition.
fn follow_up(number: u64) -> (FollowUpRef, CommandEnvelope) {
    let frame = Position { partition: Partition(1), sequence: Sequence(number) };
    (FollowUpRef { frame, ordinal: 0 }, observe(number, 1))
}

/// A shard at work on one cluster.
struct Bench {
    core: ShardCore,
    acceptor: Acceptor,
    entity: EntityCore<Cluster>,
    inbox: Inbox,
    offset: u64,
    frames: Vec<Frame>,
    answers: BTreeMap<Ticket, Answer>,
}

impl Bench {
    fn owning(bounds: Bounds) -> Self {
        let acceptor = Acceptor::new(HERE);
        let mut bench = Self {
            core: ShardCore::new(identity(), &acceptor, bounds),
            acceptor,
            entity: EntityCore::new(eu(), 0, Default::default()),
            inbox: Inbox::default(),
            offset: 0,
            frames: vec![],
            answers: BTreeMap::new(),
        };
        let claim = bench.next_record().unwrap();
        bench.lands(&claim);
        assert!(bench.core.is_owning());
        bench
    }

    fn ask(&mut self, command: CommandEnvelope) -> Ticket {
        self.core.ask(command, 0).unwrap()
    }

    fn answered(&mut self, answers: Vec<Answered>) {
        self.answers.extend(answers);
    }

    /// Everything that can be decided is.
    fn decide(&mut self) {
        while let Some(id) = self.core.first_ready() {
            if let Some(requests) = self.core.hand_out(&id, Timestamp::UNIX_EPOCH) {
                let proposed =
                    self.entity.propose(&requests, Timestamp::UNIX_EPOCH, &FleetView::default());
                let answers = self.core.proposed(&id, proposed);
                self.answered(answers);
            }
        }
    }

    /// The entity panics over what it is handed.
    fn panics(&mut self) {
        let id = self.core.first_ready().unwrap();
        self.core.hand_out(&id, Timestamp::UNIX_EPOCH).unwrap();
        let answers = self.core.entity_ended(&id, None);
        self.answered(answers);
    }

    /// What is to be appended next.
    fn next_record(&mut self) -> Option<Bytes> {
        loop {
            self.decide();
            match self.core.next_step(Timestamp::UNIX_EPOCH, u64::MAX) {
                Step::Wait => return None,
                Step::Append(bytes) => return Some(bytes),
                Step::Answer(answers) => self.answered(answers),
            }
        }
    }

    /// A record stands in the log and is read back.
    fn lands(&mut self, bytes: &Bytes) -> Option<Told> {
        self.offset += 1;
        let Ok(accepted) = self.acceptor.offer(self.offset, bytes) else {
            self.core.rejected(bytes);
            return None;
        };
        if let Record::Frame(frame) = &accepted.record {
            self.frames.push((**frame).clone());
            self.inbox.apply(HERE, frame, |_| HERE);
        }
        let told = self.core.accepted(&accepted, 0);
        if let Told::Counted(recorded) = &told {
            for Recorded { aggregate, envelopes, answers } in recorded {
                self.entity.accepted(envelopes);
                self.core.settled(aggregate, self.entity.wake_up());
                self.answers.extend(answers.iter().cloned());
            }
        }
        Some(told)
    }

    /// Until nothing is to be done any more.
    fn work(&mut self) {
        while let Some(bytes) = self.next_record() {
            self.lands(&bytes);
        }
    }

    /// The follow-ups on record, in order.
    fn decided(&self) -> Vec<u64> {
        let decisions = self.frames.iter().flat_map(|frame| &frame.decisions);
        let number = |source: &CommandSource| match source {
            CommandSource::FollowUp(reference) => Some(reference.frame.sequence.0),
            CommandSource::Direct(_) | CommandSource::Submitted { .. } => None,
        };
        decisions.filter_map(|decision| number(&decision.command)).collect()
    }

    /// The refusals on record, in order.
    fn refused(&self) -> Vec<&str> {
        let decisions = self.frames.iter().flat_map(|frame| &frame.decisions);
        decisions.filter_map(|decision| decision.refusal.as_deref()).collect()
    }
}
