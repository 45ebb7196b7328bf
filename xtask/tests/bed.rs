//! The test bed itself: servers die and come back where they were, and nothing outlives the
//! process that owns them.

use std::{
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use xtask::bed::{Bed, HUB, Kafka, Started, State, wanted};

const DEADLINE: Duration = Duration::from_secs(180);

fn answers(address: &str) -> bool {
    TcpStream::connect(address).is_ok()
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A bed's owner, as a process that can be killed. The hub and one Kafka node.
fn start_owner(dir: &Path) -> (Child, Vec<Started>) {
    let owner = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["bed", "supervise", "--members", "0", "--kafka", "1", "--dir"])
        .arg(dir)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the owner starts");
    let state = wait_for("a bed", || State::read(dir).ok().filter(|state| state.ready)).processes;
    (owner, state)
}

#[test]
fn a_killed_broker_comes_back_on_its_port() {
    if !wanted() {
        return;
    }
    let kafka = Kafka::start(1).expect("Kafka starts");
    assert!(answers(kafka.bootstrap()));
    kafka.kill(1).expect("node 1 runs");
    assert!(!answers(kafka.bootstrap()), "a killed broker answers");
    kafka.kill(1).expect_err("it is dead already");
    kafka.start_node(1).expect("it starts again");
    assert!(answers(kafka.bootstrap()));
    kafka.start_node(1).expect_err("it runs already");
    kafka.stop(1).expect("it stops");
}

#[test]
fn three_brokers_go_on_without_one() {
    if !wanted() {
        return;
    }
    let kafka = Kafka::start(3).expect("three nodes start");
    assert_eq!(kafka.node_ids(), [1, 2, 3]);
    let addresses: Vec<&str> = kafka.bootstrap().split(',').collect();
    kafka.kill(2).expect("node 2 runs");
    assert!(answers(addresses[0]) && !answers(addresses[1]) && answers(addresses[2]));
    kafka.start_node(2).expect("the majority takes it back");
    assert!(answers(addresses[1]));
    kafka.kill(4).expect_err("there is no node 4");
}

#[test]
fn an_api_server_comes_back_and_members_can_join() {
    if !wanted() {
        return;
    }
    let bed = Bed::builder().members(0).start().expect("a hub alone starts");
    let address = format!("127.0.0.1:{}", bed.context(HUB).port);
    let hub = bed.apiserver(HUB);
    hub.kill().expect("it runs");
    assert!(!answers(&address), "a killed API server answers");
    hub.start().expect("it starts again");
    assert!(answers(&address));

    let member = bed.add_member().expect("a member joins");
    assert_eq!((member.name.as_str(), bed.context_names().len()), ("member-1", 2));
    let kubeconfig = std::fs::read_to_string(bed.kubeconfig_path()).expect("there is one");
    assert!(kubeconfig.contains(&member.server));

    let (dir, port) = (bed.dir().to_owned(), member.port);
    drop(bed);
    assert!(!answers(&address) && !answers(&format!("127.0.0.1:{port}")));
    hub.start().expect_err("a handle cannot outlive its bed");
    assert!(!dir.exists(), "a bed without a directory of its own leaves one");
}

#[test]
fn a_directory_serves_one_bed_after_another() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path().join("bed");
    let start = || Bed::builder().dir(&dir).start();
    let bed = start().expect("a bed starts");
    start().expect_err("the directory is in use");
    drop(bed);
    Bed::attach(&dir).expect_err("the bed has ended");
    start().expect("the next bed starts");
    std::fs::write(dir.with_file_name("photo"), "mine").expect("it can be written");
    let elsewhere = Bed::builder().dir(dir.parent().expect("it has one")).start();
    elsewhere.expect_err("a directory with something else in it is left alone");
}

#[test]
fn nothing_outlives_a_killed_owner() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let (mut owner, processes) = start_owner(&dir.path().join("bed"));
    assert_eq!(processes.len(), 5, "watchdog, etcd, two for the hub, Kafka: {processes:?}");
    assert!(processes.iter().all(|started| started.process.is_alive()));
    owner.kill().and_then(|()| owner.wait()).expect("the owner dies");
    wait_for("the end of all servers", || {
        processes.iter().all(|started| !started.process.is_alive()).then_some(())
    });
}

#[test]
fn down_ends_what_runs_and_says_how_much() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path().join("bed");
    let (mut owner, processes) = start_owner(&dir);
    let bed = Bed::attach(&dir).expect("a bed runs there");
    assert!(answers(bed.kafka().bootstrap()));
    bed.kafka().kill(1).expect_err("it belongs to another process");

    assert_eq!(xtask::bed::stop(&dir).expect("it can be ended"), processes.len());
    owner.wait().expect("the owner ends too");
    assert!(processes.iter().all(|started| !started.process.is_alive()));
    Bed::attach(&dir).expect_err("it is down");
}
