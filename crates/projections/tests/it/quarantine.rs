//! Rows that cannot be used are set aside, and nothing wrong is ever loaded.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{
    Step, behind_the_back, dirty, fold, folded, long_history, partition_of, write,
};
use events::AggregateId;
use projections::{Model, Opened, QUARANTINED_MAX, Store, StoreError};

const PARTITIONS: u16 = 4;

fn open(dir: &Path) -> Opened {
    Store::open(dir, partition_of).unwrap()
}

/// A directory with a history, and the history.
fn written(dir: &Path, acts: usize) -> Vec<Step> {
    let steps = long_history(PARTITIONS, acts).steps;
    let Opened { mut store, mut model, .. } = open(dir);
    for some in steps.chunks(50) {
        for step in some {
            model.apply(&step.fold());
        }
        write(&mut store, some);
        store.snapshot(&model, &dirty(some)).unwrap();
    }
    store.flush().unwrap();
    steps
}

/// Opens the rows behind the back of the store.
fn tamper(dir: &Path, change: impl FnOnce(&sled::Db)) {
    let db = behind_the_back(dir);
    change(&db);
    db.flush().unwrap();
}

/// Says that the directory was set aside, and that a new one works.
fn assert_rebuilt(dir: &Path, steps: &[Step]) -> String {
    let Opened { mut store, model, rebuilt } = open(dir);
    let quarantine = rebuilt.expect("the rows were of no use");
    assert!(quarantine.moved_to.join("db").exists(), "{quarantine:?}");
    assert_eq!(model, Model::new(partition_of));
    write(&mut store, steps);
    drop(store);
    let again = open(dir);
    assert_eq!(again.rebuilt, None);
    assert_eq!(again.model, fold(steps));
    quarantine.reason
}

#[test]
fn another_version_is_set_aside() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("rows");
    let steps = written(&dir, 100);
    tamper(&dir, |db| {
        db.insert(b"0", &[99]).unwrap();
    });
    let reason = assert_rebuilt(&dir, &steps);
    assert!(reason.contains("version"), "{reason}");
}

/// The first key of a kind.
fn key(db: &sled::Db, kind: u8) -> sled::IVec {
    db.scan_prefix([kind]).keys().next().unwrap().unwrap()
}

#[test]
fn rows_that_do_not_fit_are_set_aside() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("rows");
    let mut reasons = vec![];
    let last =
        |db: &sled::Db, kind: u8| db.scan_prefix([kind]).keys().next_back().unwrap().unwrap();
    type Change<'a> = &'a dyn Fn(&sled::Db);
    let changes: [(&str, Change<'_>); 12] = [
        ("a state that is no state", &|db| {
            db.insert(last(db, b's'), &[1, 1, 255, 255]).unwrap();
        }),
        ("a state of another version", &|db| {
            let key = last(db, b's');
            let mut value = db.get(&key).unwrap().unwrap().to_vec();
            value[1] += 1;
            db.insert(key, value).unwrap();
        }),
        ("a checkpoint that was not moved", &|db| {
            let older = db.get(key(db, b'c')).unwrap().unwrap();
            db.insert(last(db, b'c'), older).unwrap();
        }),
        ("a record that is missing", &|db| {
            db.remove(last(db, b'd')).unwrap();
        }),
        ("events that are missing", &|db| {
            db.remove(last(db, b'e')).unwrap();
        }),
        ("a place of an event of another aggregate", &|db| {
            db.insert(b"acluster/nobody\0\0\0\0\0\0\0\0\x01", &[1, 1, 0, 1, 3]).unwrap();
        }),
        ("places of the last events that are missing", &|db| {
            db.remove(last(db, b'a')).unwrap();
        }),
        ("an aggregate that is missing", &|db| {
            for key in db.scan_prefix(b"acluster/member-1").keys() {
                db.remove(key.unwrap()).unwrap();
            }
        }),
        ("a view that is missing", &|db| {
            db.remove(last(db, b'v')).unwrap();
        }),
        ("follow-ups that are missing", &|db| {
            db.remove(last(db, b'p')).unwrap();
        }),
        ("an id that is missing", &|db| {
            db.remove(last(db, b'r')).unwrap();
        }),
        ("a follow-up that nobody asked for", &|db| {
            let mut key = vec![b'p'];
            key.extend([0; 10]);
            db.insert(key, &[1, 1, 1, 0]).unwrap();
        }),
    ];
    for (what, change) in changes {
        let steps = written(&dir, 1_500);
        tamper(&dir, change);
        let reason = assert_rebuilt(&dir, &steps);
        reasons.push(format!("{what}: {reason}"));
        fs::remove_dir_all(&dir).unwrap();
    }
    assert!(reasons.iter().all(|reason| reason.contains("row ")), "{reasons:#?}");
}

/// Bytes that rot anywhere in the file: what is loaded, if anything, is what was folded.
#[test]
fn nothing_wrong_is_loaded_from_damaged_files() {
    let tmp = tempfile::tempdir().unwrap();
    let good = tmp.path().join("good");
    let steps = written(&good, 4_000);
    let (mut rebuilt, mut whole, mut shorter) = (0, 0, 0);
    for round in 0..40_usize {
        // Not the same one: sled may not let go of what is damaged.
        let dir = tmp.path().join(round.to_string());
        copy(&good, &dir);
        let file = dir.join("db");
        let mut bytes = fs::read(&file).unwrap();
        let length = bytes.len();
        if round % 4 == 3 {
            bytes.truncate(length * (round + 1) / 41);
        } else {
            let start = length * round / 40;
            let end = length.min(start + 1 + round * 37);
            bytes[start..end].iter_mut().for_each(|byte| *byte ^= 0x5a);
        }
        fs::write(&file, bytes).unwrap();

        let opened = open(&dir);
        match &opened.rebuilt {
            Some(_) => {
                assert_eq!(opened.model, Model::new(partition_of));
                rebuilt += 1;
            }
            None => {
                let count = folded(&opened.model, &steps);
                assert_eq!(opened.model, fold(&steps[..count]), "round {round}, {count} steps");
                whole += usize::from(count == steps.len());
                shorter += usize::from(count < steps.len());
            }
        }
    }
    eprintln!("40 damaged files: {rebuilt} set aside, {shorter} shorter, {whole} unharmed");
    assert!(rebuilt + shorter > 10, "hardly any damage was done");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_directory_has_one_owner() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("rows");
    let steps = written(&dir, 50);
    let first = open(&dir);
    let queries = first.store.queries();
    let refused = Store::open(&dir, partition_of).unwrap_err();
    assert!(matches!(refused, StoreError::InUse { .. }), "{refused}");

    drop(first);
    let refused = Store::open(&dir, partition_of).unwrap_err();
    assert!(matches!(refused, StoreError::InUse { .. }), "queries still read: {refused}");

    drop(queries);
    let last = open(&dir);
    assert_eq!(last.rebuilt, None);
    assert_eq!(last.model, fold(&steps));
}

#[test]
fn starting_over_sets_aside_what_was_there() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("rows");
    let steps = written(&dir, 100);
    let mut opened = open(&dir);
    let old = opened.store.queries();
    let anew = opened.store.start_over("another log").unwrap();
    assert_eq!(anew.rebuilt.as_ref().unwrap().reason, "another log");
    assert_eq!(anew.model, Model::new(partition_of));

    let (at, event) = steps.iter().flat_map(Step::events).next().unwrap();
    assert_eq!(old.event(at).unwrap().unwrap().envelope, *event, "old answers go on");
    assert_eq!(anew.store.queries().event(at).unwrap(), None);
}

/// As on a disk that is full: nothing can be moved until there is room.
#[test]
fn regression_starting_over_may_be_tried_again() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("rows");
    written(&dir, 50);
    let mut opened = open(&dir);
    let in_the_way = tmp.path().join("quarantine");
    fs::write(&in_the_way, "").unwrap();
    let refused = opened.store.start_over("another log").unwrap_err();
    assert!(matches!(refused, StoreError::Directory { .. }), "{refused}");

    fs::remove_file(&in_the_way).unwrap();
    let anew = opened.store.start_over("another log").unwrap();
    assert_eq!(anew.model, Model::new(partition_of));
}

#[test]
fn quarantine_keeps_the_latest_few() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("rows");
    let mut moved: Vec<PathBuf> = vec![];
    let mut opened = open(&dir);
    for _ in 0..QUARANTINED_MAX + 2 {
        opened = opened.store.start_over("again").unwrap();
        moved.push(opened.rebuilt.as_ref().unwrap().moved_to.clone());
    }
    let kept: Vec<bool> = moved.iter().map(|dir| dir.exists()).collect();
    assert_eq!(kept, [false, false, true, true, true]);
    assert_eq!(opened.store.queries().history(&AggregateId::Fleet, 1, 1).unwrap().items, vec![]);
}
