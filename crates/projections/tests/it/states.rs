//! State rows: written when they pay, never ahead of the events, and written later when missing.

use std::path::Path;

use crate::support::{Step, dirty, fold, long_history, partition_of, write};
use domain::cluster::Cluster;
use events::AggregateId;
use projections::{At, Model, Store};

const PARTITIONS: u16 = 4;

/// The rows of a closed store whose keys start with `prefix`: how many, and how many bytes.
fn rows(dir: &Path, prefix: &[u8]) -> (usize, usize) {
    let db = crate::support::behind_the_back(dir);
    let rows: Vec<_> = db.scan_prefix(prefix).map(Result::unwrap).collect();
    (rows.len(), rows.iter().map(|(_, value)| value.len()).sum())
}

/// Writes all steps; the states as well if told so.
fn record(dir: &Path, steps: &[Step], with_states: bool) {
    let mut store = Store::open(dir, partition_of).unwrap().store;
    let mut model = Model::new(partition_of);
    for some in steps.chunks(20) {
        for step in some {
            model.apply(&step.fold());
        }
        write(&mut store, some);
        if with_states {
            store.snapshot(&model, &dirty(some)).unwrap();
        }
    }
}

#[test]
fn states_are_written_now_and_then() {
    let steps = long_history(PARTITIONS, 4_000).steps;
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), &steps, true);
    let cluster = steps.iter().flat_map(Step::events);
    let events = cluster.filter(|(_, e)| e.aggregate.to_string() == "cluster/member-1").count();
    let (states, _) = rows(dir.path(), b"scluster/member-1\0");
    assert!(states >= 2, "{states} states of {events} events");
    assert!(states <= events / 64, "{states} states of {events} events");
    let (_, state_bytes) = rows(dir.path(), b"s");
    let (_, event_bytes) = rows(dir.path(), b"e");
    assert!(
        2 * state_bytes <= event_bytes,
        "{state_bytes} bytes of states, {event_bytes} of events"
    );
}

/// Aggregates that changed in the batch but have only few events since their last row cost nothing.
#[test]
fn few_events_make_no_state() {
    let steps = long_history(PARTITIONS, 100).steps;
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), &steps, true);
    assert_eq!(rows(dir.path(), b"s").0, 0);
}

/// The model may have folded more than is written: its states must not get into rows then.
#[test]
fn states_are_never_ahead_of_events() {
    let steps = long_history(PARTITIONS, 4_000).steps;
    let ahead = fold(&steps);
    let dir = tempfile::tempdir().unwrap();
    let mut written = 0;
    for some in steps.chunks(steps.len() / 3) {
        let mut store = Store::open(dir.path(), partition_of).unwrap().store;
        write(&mut store, some);
        let dirty = dirty(&steps);
        let due = store.due(&dirty);
        store.snapshot(&ahead.part(&due), due).unwrap();
        drop(store);
        written += some.len();
        assert!(rows(dir.path(), b"s").0 > 0);
        let loaded = Store::open(dir.path(), partition_of).unwrap();
        assert_eq!(loaded.rebuilt, None);
        assert_eq!(loaded.model, fold(&steps[..written]));
    }
}

/// Whoever restores a state over many events leaves rows for the next one.
#[test]
fn states_that_are_missing_are_written_when_they_are_missed() {
    let steps = long_history(PARTITIONS, 4_000).steps;
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), &steps, false);
    assert_eq!(rows(dir.path(), b"s").0, 0);

    let opened = Store::open(dir.path(), partition_of).unwrap();
    assert_eq!(opened.model, fold(&steps));
    drop(opened);
    let (after_load, _) = rows(dir.path(), b"scluster/member-1\0");
    assert!(after_load >= 2, "{after_load}");

    // The same rows that would have been written at once, and no more when asked again.
    let opened = Store::open(dir.path(), partition_of).unwrap();
    let id = AggregateId::Cluster("member-1".to_owned());
    let state = opened.store.queries().state_at::<Cluster>(&id, &At::Now).unwrap();
    assert_eq!(&state, &opened.model.clusters["member-1"]);
    drop(opened);
    assert_eq!(rows(dir.path(), b"scluster/member-1\0").0, after_load);
}
