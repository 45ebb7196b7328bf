//! What a partition holds besides events is kept for ever as well, and the hash chain runs over its
//! bytes: each kind of record is written byte for byte as its golden file says. Golden files are
//! added, never edited.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use events::{
    AggregateId, ChainHash, Claim, CommandEnvelope, CommandId, CommandSource, ContentHash,
    CorrelationId, DecisionRecord, Envelope, Epoch, EventId, FollowUpRef, Frame, Genesis,
    Partition, Position, Principal, Record, Sequence, Timestamp, Watermark,
};
use serde_json::value::RawValue;
use uuid::Uuid;

fn time() -> Timestamp {
    "2026-11-23T14:03:00.25Z".parse().unwrap()
}

fn position(partition: u16, sequence: u64) -> Position {
    Position { partition: Partition(partition), sequence: Sequence(sequence) }
}

/// A genesis of a hub cluster, or as it was written before it said which.
fn genesis(hub: Option<&str>) -> Record {
    Record::Genesis(Genesis {
        deployment: Uuid::from_u128(0x0193_2c07_2800_7abc_8def_0123_4567_89ab),
        partitions: 32,
        format: 1,
        time: time(),
        hub: hub.map(str::to_owned),
    })
}

fn claim() -> Record {
    Record::Claim(Claim {
        epoch: Epoch(7),
        node: "hub-0".to_owned(),
        incarnation: Uuid::from_u128(0x0b9f_2d6c_1111_4222_8333_4444_5555_6666),
        version: "0.1.0".to_owned(),
        time: time(),
    })
}

/// A command with everything that one can have.
fn follow_up() -> CommandEnvelope {
    CommandEnvelope {
        id: CommandId(Uuid::from_u128(0x5f2f_1f0a_9c1b_5d4e_8f00_0a1b_2c3d_4e5f)),
        aggregate: AggregateId::Cluster("eu-1".to_owned()),
        kind: "AssignDelivery".to_owned(),
        principal: Principal::User("alice".to_owned()),
        time: time(),
        causation: Some(EventId(Uuid::from_u128(0x0193_2c07_2700_7abc_8def_0123_4567_89ab))),
        origin: Some(position(22, 1042)),
        correlation: CorrelationId(Uuid::from_u128(0x0b9f_2d6c_1111_4222_8333_4444_5555_6666)),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        data: RawValue::from_string(r#"{"revision":3}"#.to_owned()).unwrap(),
    }
}

/// A command with nothing that can be absent.
fn input() -> CommandEnvelope {
    CommandEnvelope {
        principal: Principal::System,
        causation: None,
        origin: None,
        traceparent: None,
        ..follow_up()
    }
}

/// A frame with a decision on a command from each source.
fn frame() -> Record {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/ClusterLeft.v1.json");
    let event: Envelope = serde_json::from_str(&fs::read_to_string(golden).unwrap()).unwrap();
    let decision = |command, events| DecisionRecord {
        command,
        time: time(),
        watermark: None,
        events,
        refusal: None,
    };
    let seen = BTreeMap::from([(Partition(0), Sequence(12)), (Partition(7), Sequence(1041))]);
    let decisions = vec![
        DecisionRecord {
            watermark: Some(Watermark(seen)),
            ..decision(CommandSource::Direct(input()), 1)
        },
        DecisionRecord {
            refusal: Some("the cluster has left".to_owned()),
            ..decision(CommandSource::Submitted { offset: 40, command: input() }, 0)
        },
        decision(CommandSource::FollowUp(FollowUpRef { frame: position(22, 8), ordinal: 1 }), 0),
    ];
    Record::Frame(Box::new(Frame {
        epoch: Epoch(7),
        first: event.sequence,
        previous: ChainHash::default().then(b"before"),
        decisions,
        events: vec![event],
        follow_ups: vec![follow_up()],
        commands_before: Some(41),
    }))
}

/// Checks a record against its golden file, and that against its hash.
fn is_golden(name: &str, record: &Record, hash: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden-records").join(name);
    let golden = fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; add a golden file", path.display()));
    let written = record.to_bytes().unwrap();
    assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(&golden), "{name}");
    assert_eq!(&Record::from_bytes(&golden).unwrap(), record, "{name} is read as it was meant");
    assert_eq!(ContentHash::of(&golden).to_string(), hash, "{name} was edited");
}

#[test]
fn a_genesis_is_written_as_its_golden_file_says() {
    is_golden(
        "Genesis.v1.json",
        &genesis(None),
        "8ad475560cde544853c00e3882872486d0c0cb30be8acc52ebb074d015db336d",
    );
    is_golden(
        "Genesis.v2.json",
        &genesis(Some("5f2f1f0a-9c1b-4d4e-8f00-0a1b2c3d4e5f")),
        "446dcb42a57ebcf29275725396623aac83106de777732213e6be6b0de2578844",
    );
}

#[test]
fn a_claim_is_written_as_its_golden_file_says() {
    is_golden(
        "Claim.v1.json",
        &claim(),
        "e2ddbc8bec565bf8d8a7d91101415035287e08c1c5dd40e15135bdd506699502",
    );
}

#[test]
fn a_frame_is_written_as_its_golden_file_says() {
    is_golden(
        "Frame.v1.json",
        &frame(),
        "a9d4628887db77711b03bc96ab14b14c2b56a12c3c20111d282cf2ebc8dee1b9",
    );
}
