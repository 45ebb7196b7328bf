//! Every version of every event that was ever written stays readable, and today's events are
//! written exactly as their golden files say. Golden files are added, never edited.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use events::{Envelope, Event};
use serde_json::Value;

fn golden_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn golden(name: &str) -> String {
    let path = golden_dir().join(name);
    fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; add a golden file", path.display()))
}

#[test]
fn every_event_is_written_as_its_golden_file_says() {
    for event_type in Event::types() {
        let text = golden(&format!("{}.v{}.json", event_type.name, event_type.version));
        let envelope: Envelope = serde_json::from_str(&text).unwrap();
        assert_eq!(envelope.event.event_type(), event_type);

        let written = serde_json::to_value(&envelope).unwrap();
        let expected: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(written, expected, "{}", event_type.name);
    }
}

#[test]
fn every_golden_file_can_be_read() {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(golden_dir()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let envelope: Envelope =
            serde_json::from_str(&golden(&name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let (kind, _) = name.split_once(".v").unwrap();
        assert_eq!(envelope.event.event_type().name, kind, "{name}");
        names.insert(kind.to_owned());
    }
    assert_eq!(names.len(), Event::types().count(), "a golden file for each type: {names:?}");
}

#[test]
fn an_event_of_a_newer_version_is_refused_with_its_name() {
    let text =
        golden("ClusterLeft.v1.json").replace("\"schemaversion\": 1", "\"schemaversion\": 9");
    let error = serde_json::from_str::<Envelope>(&text).unwrap_err().to_string();
    assert!(error.contains("ClusterLeft has schema version 9"), "{error}");
}

/// Its data would fit, and might have meant something else at that version.
#[test]
fn regression_an_event_without_its_upcaster_is_refused() {
    let text =
        golden("ClusterLeft.v1.json").replace("\"schemaversion\": 1", "\"schemaversion\": 0");
    let error = serde_json::from_str::<Envelope>(&text).unwrap_err().to_string();
    assert!(error.contains("no upcaster leads event ClusterLeft from schema version 0 to 1"));
}

#[test]
fn an_unknown_event_is_refused_with_its_name() {
    let text =
        golden("ClusterLeft.v1.json").replace("dev.taffrail.ClusterLeft", "dev.taffrail.Moon");
    let error = serde_json::from_str::<Envelope>(&text).unwrap_err().to_string();
    assert!(error.contains("event type Moon is unknown"), "{error}");
}
