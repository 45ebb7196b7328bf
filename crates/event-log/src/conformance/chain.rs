//! Builds records of a partition, as an owner would write them.

use bytes::Bytes;
use events::cluster::{ClusterEvent, ClusterHealthLost};
use events::{
    AggregateId, ChainHash, Claim, CommandEnvelope, CommandId, CommandSource, CorrelationId,
    DecisionRecord, Envelope, Epoch, EventId, Frame, Genesis, Principal, Record, Sequence,
    Timestamp,
};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::Acceptor;

/// Where an owner writes on: it thinks that everything which it wrote so far counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// The owner's epoch.
    pub epoch: Epoch,
    /// The sequence that the next record takes.
    pub next: Sequence,
    /// The hash of everything before it.
    pub hash: ChainHash,
}

impl Chain {
    /// To write on top of what a reader has accepted.
    #[must_use]
    pub fn on(acceptor: &Acceptor) -> Self {
        Self { epoch: acceptor.epoch, next: acceptor.last.plus(1), hash: acceptor.hash }
    }

    /// The next frame, with `events` events that say `text`.
    pub fn frame(&mut self, text: &str, events: u64) -> Bytes {
        let numbered: Vec<_> = (0..events).map(|n| event(text, self.next.plus(n))).collect();
        let frame = Frame {
            epoch: self.epoch,
            first: self.next,
            previous: self.hash,
            decisions: numbered.iter().map(decision).collect(),
            events: numbered,
            follow_ups: Vec::new(),
            commands_before: None,
        };
        self.next = frame.last().plus(1);
        let bytes = encode(&Record::Frame(Box::new(frame)));
        self.hash = self.hash.then(&bytes);
        bytes
    }
}

/// A claim of `epoch` by one run of a node.
#[must_use]
pub fn claim(epoch: Epoch, node: &str, incarnation: Uuid) -> Bytes {
    encode(&Record::Claim(Claim {
        epoch,
        node: node.to_owned(),
        incarnation,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        time: Timestamp::UNIX_EPOCH,
    }))
}

/// The first record of a log.
#[must_use]
pub fn genesis(deployment: Uuid, partitions: u16) -> Bytes {
    encode(&Record::Genesis(Genesis {
        deployment,
        partitions,
        format: events::frame::RECORD_FORMAT,
        time: Timestamp::UNIX_EPOCH,
        hub: None,
    }))
}

/// A command as somebody submits it.
#[must_use]
pub fn command(name: &str) -> CommandEnvelope {
    let id = CommandId::of_input(name);
    CommandEnvelope {
        id,
        aggregate: AggregateId::Cluster("eu-1".to_owned()),
        kind: "ReportHealth".to_owned(),
        principal: Principal::System,
        time: Timestamp::UNIX_EPOCH,
        causation: None,
        origin: None,
        correlation: CorrelationId(id.0),
        traceparent: None,
        data: RawValue::from_string("{}".to_owned()).expect("an empty object is JSON"),
    }
}

fn event(text: &str, sequence: Sequence) -> Envelope {
    let command = CommandId::of_input(&format!("{text}/{sequence}"));
    Envelope {
        id: EventId::derive(Timestamp::UNIX_EPOCH, command, 0),
        aggregate: AggregateId::Cluster("eu-1".to_owned()),
        aggregate_sequence: sequence.0,
        sequence,
        time: Timestamp::UNIX_EPOCH,
        principal: Principal::System,
        command,
        index: 0,
        causation: None,
        correlation: CorrelationId(command.0),
        traceparent: None,
        event: ClusterEvent::from(ClusterHealthLost { message: text.to_owned() }).into(),
    }
}

fn decision(event: &Envelope) -> DecisionRecord {
    let command = command(&event.command.to_string());
    DecisionRecord {
        command: CommandSource::Direct(CommandEnvelope { id: event.command, ..command }),
        time: event.time,
        watermark: None,
        events: 1,
        refusal: None,
    }
}

fn encode(record: &Record) -> Bytes {
    record.to_bytes().expect("records of ours can be written as JSON").into()
}
