//! The sample history by which rows tell whether states are still folded in the same way.

use std::collections::BTreeSet;

use crate::support::{APPLYING, Act, MISSING, MiniHub, Step, perform};
use events::{Event, Record};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/sample.jsonl");

fn types(records: &[Record]) -> BTreeSet<&'static str> {
    let frames = records.iter().filter_map(|record| match record {
        Record::Frame(frame) => Some(frame),
        Record::Claim(_) | Record::Genesis(_) => None,
    });
    frames.flat_map(|frame| &frame.events).map(|e| e.event.event_type().name).collect()
}

#[test]
fn the_sample_has_every_type_of_event() {
    let text = std::fs::read_to_string(FILE).unwrap();
    let records: Vec<Record> =
        text.lines().map(|line| Record::from_bytes(line.as_bytes()).unwrap()).collect();
    let missing: Vec<_> = Event::types()
        .filter(|known| !types(&records).contains(known.name))
        .map(|known| known.name)
        .collect();
    assert!(
        missing.is_empty(),
        "{missing:?} are not in src/store/sample.jsonl: let support/script.rs make them, and run \
         `WRITE_SAMPLE=1 cargo test -p projections --test it sample -- --ignored`"
    );
}

/// A story in which everything happens once or twice.
fn story() -> Vec<Act> {
    let settle = || (0..4).map(|partition| Act::FollowUps { partition, count: 9 });
    let outcome = |name, outcome| Act::Outcome { name, delivery: 0, outcome };
    let tick = Act::Tick { seconds: 1 };
    let mut acts = vec![
        Act::Found,
        Act::HandOver,
        Act::Cluster { name: 0, labels: 0, taint: false },
        Act::Cluster { name: 1, labels: 1, taint: true },
        Act::LinkProblem { name: 0 },
        Act::Link { name: 0 },
        Act::Link { name: 1 },
        Act::Credential { name: 1, minutes: 0 },
        tick.clone(),
        Act::Health { name: 0, healthy: true, nodes: 3 },
        Act::Cluster { name: 1, labels: 0, taint: false },
        Act::Place { name: 0, generation: 1, region: Some(0), manifests: 1, submitted: true },
        Act::Place { name: 1, generation: 1, region: None, manifests: 2, submitted: false },
    ];
    acts.extend(settle());
    acts.extend([tick.clone(), outcome(0, APPLYING), outcome(0, 0), outcome(0, 1), outcome(1, 3)]);
    acts.push(outcome(0, MISSING));
    acts.extend(settle());
    acts.extend([
        Act::Claim { partition: 1 },
        Act::Refuse { name: 1, generation: 2 },
        Act::Place { name: 0, generation: 2, region: Some(1), manifests: 3, submitted: false },
    ]);
    acts.extend(settle());
    acts.extend([tick.clone(), outcome(0, 2), outcome(1, 2), outcome(0, 3), outcome(1, 3)]);
    acts.extend(settle());
    acts.extend([
        Act::Revision { revision: 9 },
        Act::Revision { revision: 3 },
        Act::Raise { name: 1, above: 9 },
        Act::Hold { name: 0 },
        Act::Cluster { name: 0, labels: 0, taint: false },
        Act::Place { name: 0, generation: 2, region: Some(1), manifests: 3, submitted: false },
        Act::Health { name: 1, healthy: false, nodes: 1 },
        Act::Health { name: 1, healthy: true, nodes: 2 },
        Act::Leave { name: 1 },
        Act::Delete { name: 1 },
    ]);
    acts.extend(settle());
    acts.extend([tick, outcome(0, 0), outcome(0, 2), Act::Reschedule { name: 0 }]);
    acts.extend(settle());
    acts
}

/// Not a test: writes the sample. Whoever has rows of before will build them anew.
#[test]
#[ignore = "writes src/store/sample.jsonl"]
fn write_the_sample() {
    if std::env::var_os("WRITE_SAMPLE").is_none() {
        return;
    }
    let mut hub = MiniHub::new(4);
    perform(&mut hub, &story());
    let line = |step: &Step| String::from_utf8(step.record.to_bytes().unwrap()).unwrap();
    let lines: Vec<String> = hub.steps.iter().map(line).collect();
    std::fs::write(FILE, lines.join("\n") + "\n").unwrap();
}
