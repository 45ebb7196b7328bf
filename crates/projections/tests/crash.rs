//! Whatever happens to the process: what is loaded is the fold of a prefix of what was written.
//!
//! A program of its own: until a process that is started has begun its program, it holds the locks
//! of every store that is open in this one.

#[path = "it/support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use projections::{Opened, Store, StoreError};
use support::{Step, dirty, fold, folded, long_history, partition_of, write};

const PARTITIONS: u16 = 4;
const ACTS: usize = 4_000;
/// How often the process is killed: in an ordinary run, and in a long one.
const ROUNDS: usize = 20;
const ROUNDS_SOAK: usize = 300;
const DIR: &str = "PROJECTIONS_CRASH_DIR";

fn check(opened: &Opened, steps: &[Step]) -> usize {
    let count = folded(&opened.model, steps);
    // Batches were written in order, so what is there is a prefix of all steps.
    assert_eq!(opened.model, fold(&steps[..count]), "after {count} of {} steps", steps.len());
    count
}

/// Not a test of its own: what runs in the process that is killed. It says a line for each batch.
#[test]
#[ignore = "runs as a child of the other tests"]
fn child_writes_until_it_is_killed() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let steps = long_history(PARTITIONS, ACTS).steps;
    let Opened { mut store, mut model, .. } = Store::open(Path::new(&dir), partition_of).unwrap();
    let from = folded(&model, &steps);
    for (n, some) in steps[from..].chunks(3).enumerate() {
        for step in some {
            model.apply(&step.fold());
        }
        write(&mut store, some);
        store.snapshot(&model, &dirty(some)).unwrap();
        if n % 16 == 15 {
            store.flush().unwrap();
        }
        eprintln!("written");
    }
}

/// Runs a child until it has written so many batches, and kills it in the middle of the next.
fn run_and_kill(dir: &Path, batches: usize) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_writes_until_it_is_killed", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let written = lines.map(Result::unwrap).filter(|line| line == "written").take(batches).count();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(written > 0, "the child wrote nothing");
}

#[test]
fn a_process_that_is_killed_leaves_a_prefix() {
    let steps = long_history(PARTITIONS, ACTS).steps;
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("rows");
    let (mut reached, mut progress, mut rebuilt) = (0, 0, 0);
    for round in 0..xtask::trial::rounds(ROUNDS, ROUNDS_SOAK) {
        run_and_kill(&dir, 1 + round * 53 % 120);
        let opened = Store::open(&dir, partition_of).unwrap();
        let count = check(&opened, &steps);
        if opened.rebuilt.is_some() {
            rebuilt += 1;
        } else {
            assert!(count >= reached, "{count} steps after {reached}");
        }
        progress += usize::from(count > reached);
        reached = count;
        drop(opened);
        if reached == steps.len() {
            std::fs::remove_dir_all(&dir).unwrap();
            reached = 0;
        }
    }
    eprintln!("{ROUNDS} kills, {progress} of them left more than before, {rebuilt} rebuilds");
    assert!(progress >= ROUNDS / 2, "only {progress} kills left anything");
}

#[test]
fn a_store_that_is_dropped_unflushed_leaves_a_prefix() {
    let steps = long_history(PARTITIONS, 400).steps;
    let dir = tempfile::tempdir().unwrap();
    let mut written = 0;
    while written < steps.len() {
        let mut opened = Store::open(dir.path(), partition_of).unwrap();
        assert_eq!(opened.rebuilt, None);
        let from = check(&opened, &steps);
        assert_eq!(from, written, "an orderly drop loses nothing");
        let some = &steps[from..steps.len().min(from + 40)];
        write(&mut opened.store, some);
        written = from + some.len();
    }
}

/// Not a test of its own: writes until the system refuses, as on a full disk.
#[test]
#[ignore = "runs as a child of the other tests"]
fn child_writes_until_it_may_not() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let dir = Path::new(&dir);
    let steps = long_history(PARTITIONS, ACTS).steps;
    let mut opened = Store::open(dir, partition_of).unwrap();
    let mut try_to_write = |some: &[Step]| {
        let folds: Vec<_> = some.iter().map(Step::fold).collect();
        let written = opened.store.write(folds.iter().zip(some.iter().map(|step| &step.changes)));
        written.and_then(|()| opened.store.flush())
    };
    // A flush that fails leaves the store as it is; the write after it finds out.
    let mut errors = steps.chunks(3).filter_map(|some| try_to_write(some).err());
    let refused = errors.find(|_| !dir.exists());
    let refused = refused.expect("the file may not grow this far");
    assert!(matches!(refused, StoreError::Write { .. }), "{refused:?}");
    drop(errors);
    let again = try_to_write(&steps[..1]).unwrap_err();
    assert!(matches!(again, StoreError::Broken { .. }), "{again:?}");
    eprintln!("refused");
}

#[test]
fn rows_that_could_not_be_written_are_set_aside() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("rows");
    let script = "trap '' XFSZ; ulimit -f 1100; exec \"$@\"";
    let child = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "child_writes_until_it_may_not", "--ignored", "--nocapture"])
        .env(DIR, &dir)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(said.contains("refused"), "{said}");

    let opened = Store::open(&dir, partition_of).unwrap();
    assert_eq!(opened.rebuilt, None);
    assert_eq!(opened.model, fold(&[]), "nothing of what is incomplete is found again");
    assert!(tmp.path().join("quarantine").join("rows-1").exists());
}
