//! kill −9: a process that appends to an embedded log is killed at random moments, again and again
//! on one file. Whatever it said was acknowledged, or had read back, is there afterwards, the
//! chain is intact, and the next process goes on.
//!
//! A killed process leaves what it wrote to the kernel. What a power failure leaves is the business
//! of `a_power_failure_loses_nothing_that_was_acknowledged` in the crate.
//!
//! A program of its own: until a process that is started has begun its program, it holds the locks
//! of every log that is open in this one.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use event_log::conformance::{Owner, pipelined};
use event_log::{Acceptor, EmbeddedLog, Log, Stream};
use events::{ChainHash, Partition};
use fastrand::Rng;
use futures::FutureExt;
use tempfile::TempDir;

const PARTITION: Partition = Partition(1);
/// How often the process is killed: in an ordinary run, and in a long one.
const ROUNDS: usize = 20;
const ROUNDS_SOAK: usize = 1_000;
const EVENTS: Stream = Stream::Events(PARTITION);
const PATH: &str = "KILL_LOG";
const SEED: &str = "KILL_SEED";

/// The process that is killed. It says `acknowledged OFFSET` and `accepted OFFSET HASH`.
#[test]
#[ignore = "it runs until it is killed: the other test starts it"]
fn appends_until_it_is_killed() {
    let (Ok(path), Ok(seed)) = (std::env::var(PATH), std::env::var(SEED)) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(append_for_ever(Path::new(&path), seed.parse().unwrap()));
}

async fn append_for_ever(path: &Path, seed: u64) {
    let mut random = Rng::with_seed(seed);
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(path).unwrap());
    let mut owner = Owner::claimed(&log, PARTITION, "killed").await;
    let mut said = owner.accepted.len();
    // Straight to the pipe: the harness keeps what is printed.
    let mut out = std::io::stderr().lock();
    loop {
        let in_flight = random.usize(1..20);
        let text = "x".repeat(random.usize(..3_000));
        let frames = (0..in_flight).map(|_| owner.chain.frame(&text, random.u64(0..4)));
        let frames: Vec<_> = frames.collect();
        let appends = frames.into_iter().map(|frame| log.append(EVENTS, frame).boxed());
        for offset in pipelined(appends.collect()).await {
            writeln!(out, "acknowledged {}", offset.unwrap()).unwrap();
        }
        owner.read_to(log.end(EVENTS).await.unwrap() - 1).await;
        for accepted in &owner.accepted[said..] {
            writeln!(out, "accepted {} {}", accepted.offset, accepted.hash).unwrap();
        }
        said = owner.accepted.len();
    }
}

/// What a process said before it was killed.
#[derive(Default)]
struct Said {
    acknowledged: Vec<u64>,
    accepted: BTreeMap<u64, ChainHash>,
}

fn run_and_kill(path: &Path, seed: u64, random: &mut Rng) -> Said {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "appends_until_it_is_killed", "--ignored", "--nocapture"])
        .env(PATH, path)
        .env(SEED, seed.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap());
    let (writes, is_writing) = mpsc::channel();
    let reading = std::thread::spawn(move || {
        let mut said = Vec::new();
        for line in lines.lines() {
            said.push(line);
            // Only the first is waited for.
            writes.send(()).ok();
        }
        said
    });
    // Most are killed while they write; every fourth at any moment, such as while it opens the log.
    if random.u8(..4) > 0 {
        is_writing.recv_timeout(Duration::from_secs(30)).unwrap();
    }
    // This is the random moment, not a wait for something.
    std::thread::sleep(Duration::from_micros(random.u64(..100_000)));
    child.kill().unwrap();
    child.wait().unwrap();

    let mut said = Said::default();
    for line in reading.join().unwrap() {
        let line = line.unwrap();
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["acknowledged", offset] => said.acknowledged.extend(offset.parse::<u64>()),
            // The last line may have been cut.
            ["accepted", offset, hash] if hash.len() == 64 => {
                said.accepted.insert(offset.parse().unwrap(), hash.parse().unwrap());
            }
            ["accepted" | "acknowledged", ..] => {}
            _ => panic!("the process failed: {line}"),
        }
    }
    // A number that was cut is smaller than it was: it says less, and nothing wrong.
    said
}

#[test]
fn a_killed_process_loses_nothing() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("log.redb");
    let mut random = Rng::with_seed(xtask::seed!());
    let rounds = xtask::trial::rounds(ROUNDS, ROUNDS_SOAK) as u64;
    let mut acceptor = Acceptor::new(PARTITION);
    let mut hashes = BTreeMap::new();
    let (mut busy_rounds, mut slowest_open) = (0, Duration::ZERO);
    for round in 0..rounds {
        let said = run_and_kill(&path, round, &mut random);
        busy_rounds += u64::from(!said.acknowledged.is_empty());

        let since = Instant::now();
        let log = EmbeddedLog::open(&path).unwrap();
        slowest_open = slowest_open.max(since.elapsed());
        let end = log.end(EVENTS).now_or_never().unwrap().unwrap();
        let mut reader = log.read(EVENTS, acceptor.resume_from()).now_or_never().unwrap().unwrap();
        let mut is_first = true;
        while let Some(record) = reader.try_next() {
            let record = record.unwrap();
            if std::mem::take(&mut is_first) && acceptor.last_record.is_some() {
                assert!(acceptor.recognises(record.offset, &record.bytes), "round {round}");
                continue;
            }
            // One owner at a time, which claims first: everything it wrote counts, except that a
            // claim is written before its node knows which epoch is next.
            if acceptor.offer(record.offset, &record.bytes).is_ok() {
                hashes.insert(record.offset, acceptor.hash);
            }
        }
        for offset in said.acknowledged {
            assert!(offset < end, "round {round}: {offset} was acknowledged, the end is {end}");
            assert!(hashes.contains_key(&offset), "round {round}: {offset} counts");
        }
        for (offset, hash) in said.accepted {
            assert_eq!(hashes.get(&offset), Some(&hash), "round {round}: {offset} was read back");
        }
    }
    let log = EmbeddedLog::open(&path).unwrap();
    let verified = log.verify().unwrap();
    assert!(hashes.len() as u64 <= verified.entries && !hashes.is_empty());
    assert!(busy_rounds * 2 > rounds, "only in {busy_rounds} of {rounds} rounds it got to write");
    eprintln!(
        "{rounds} kills, {busy_rounds} of a busy process; {} frames kept; slowest open {slowest_open:?}",
        hashes.len()
    );
}
