//! A node that is killed again and again, with SIGKILL, while commands are put into the log, some of them
//! twice: every command that stands there, and every follow-up, is decided exactly once.
#![expect(clippy::print_stdout, reason = "the figures are worth reading")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use acceptance::{in_a_system, logs, wait};
use actors::ask::{Origin, envelope};
use domain::DomainCommand;
use domain::cluster::{ClusterCommand, ObserveCluster, ReportLink};
use domain::placement::{PlacementCommand, RevisionInput, SubmitPlacement};
use event_log::{Acceptor, Log, PARTITIONS, Stream};
use events::frame::CommandSource;
use events::placement::{PlacementSpec, Policy};
use events::{
    AggregateId, CommandEnvelope, CommandId, ContentHash, Epoch, FollowUpRef, Partition,
    PlacementKey, Position, Principal, Record, Timestamp,
};
use uuid::Uuid;
use xtask::bed::Bed;

/// How often the node is killed: in an ordinary run, and in a long one.
const KILLS: usize = 20;
const KILLS_SOAK: usize = 300;

/// How many lives the node has at most, for each time that it is to be killed. On a slow machine
/// more of them end before anything was decided, so that it needs more until it has decided as
/// often.
const LIVES_PER_KILL_MAX: usize = 3;

const CLUSTERS: usize = 5;
const PLACEMENTS: usize = 6;

/// How many commands come in each life of the node, besides those that come again.
const COMMANDS_PER_LIFE: usize = 6;

/// Until when a life is cut off: in most of them counted from the first command that stands in the
/// log, in every fourth from the beginning.
const LIFE_MS_MAX: u64 = 250;

/// The node, and what it says.
struct Node {
    process: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Node {
    fn start(data: &Path, log: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_decider_process"))
            .args([&data.display().to_string(), log])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the node starts");
        let output = process.stdout.take().expect("it is piped");
        let input = process.stdin.take().expect("it is piped");
        let (send, lines) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            lines.map(|line| send.send(line)).all(|sent| sent.is_ok())
        });
        let ready = lines.recv_timeout(wait::PATIENCE);
        assert_eq!(ready.as_deref(), Ok("ready"), "the node ended before it was ready");
        Self { process, input, lines }
    }

    fn submit(&mut self, command: &CommandEnvelope) {
        let line = serde_json::to_string(command).expect("it is plain data");
        writeln!(self.input, "{line}").expect("the node runs");
    }

    /// Waits until it calls a command durable.
    fn durable(&self) -> CommandId {
        let line = self.lines.recv_timeout(wait::PATIENCE);
        durable_in(&line.expect("a command becomes durable"))
    }

    /// Kills it. Says which commands it called durable.
    fn kill(mut self) -> Vec<CommandId> {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it was killed");
        self.lines.iter().map(|line| durable_in(&line)).collect()
    }
}

fn durable_in(line: &str) -> CommandId {
    let id = line.strip_prefix("durable ").expect("nothing else is said");
    CommandId(id.parse().expect("an id"))
}

/// The `n`-th command.
fn command(n: usize) -> CommandEnvelope {
    let (aggregate, command): (AggregateId, DomainCommand) = match n {
        n if n < CLUSTERS => (cluster(n), observe(n, n)),
        n if n < 2 * CLUSTERS => (cluster(n - CLUSTERS), link(n - CLUSTERS)),
        n if n % 3 == 0 => place(n),
        n => (cluster(n % CLUSTERS), observe(n % CLUSTERS, n)),
    };
    let origin = Origin {
        id: Uuid::new_v4(),
        principal: Principal::System,
        time: Timestamp::now(),
        traceparent: None,
    };
    envelope(aggregate, &command, &origin).expect("it is plain data")
}

fn cluster(index: usize) -> AggregateId {
    AggregateId::Cluster(format!("cluster-{index}"))
}

fn observe(index: usize, n: usize) -> DomainCommand {
    ClusterCommand::ObserveCluster(ObserveCluster {
        uid: format!("uid-{index}"),
        labels: [("n".to_owned(), n.to_string())].into(),
        taints: vec![],
        heartbeat_period_seconds: 60,
    })
    .into()
}

fn link(index: usize) -> DomainCommand {
    ClusterCommand::ReportLink(ReportLink {
        cluster: format!("cluster-{index}"),
        identity: format!("identity-{index}"),
        hub_identity: "hub".to_owned(),
        kubernetes_version: "v1.36.4".to_owned(),
        confirmed: None,
        taken_from: None,
    })
    .into()
}

/// Each one moves a placement on all clusters, which makes follow-ups there and back.
fn place(n: usize) -> (AggregateId, DomainCommand) {
    let index = n % PLACEMENTS;
    let submit = SubmitPlacement {
        uid: format!("uid-{index}"),
        generation: i64::try_from(n).expect("a small number"),
        spec: PlacementSpec {
            selectors: vec![],
            policy: Policy::PickAll { terms: vec![], tolerations: vec![] },
            apply: Default::default(),
        },
        revision: RevisionInput { manifests: ContentHash::of(&n.to_be_bytes()), objects: 1 },
        notes: vec![],
    };
    let key = PlacementKey::cluster(format!("placement-{index}"));
    (AggregateId::Placement(key), PlacementCommand::SubmitPlacement(submit).into())
}

/// How often each command was decided, and in which epochs anything was.
#[derive(Debug, Default)]
struct Decided {
    submitted: BTreeMap<CommandId, usize>,
    follow_ups: BTreeMap<FollowUpRef, usize>,
    caused: BTreeSet<FollowUpRef>,
    epochs: BTreeSet<(Partition, Epoch)>,
}

impl Decided {
    async fn read(log: &dyn Log) -> Self {
        let mut decided = Self::default();
        for partition in (0..PARTITIONS).map(Partition) {
            let stream = Stream::Events(partition);
            let end = log.end(stream).await.expect("the log answers");
            let mut reader = log.read(stream, 0).await.expect("the log answers");
            let mut acceptor = Acceptor::new(partition);
            let mut next = 0;
            while next < end {
                let record = reader.next().await.expect("it does not end").expect("it is readable");
                next = record.offset + 1;
                if let Ok(accepted) = acceptor.offer(record.offset, &record.bytes) {
                    decided.count(partition, &accepted.record);
                }
            }
        }
        decided
    }

    fn count(&mut self, partition: Partition, record: &Record) {
        let Record::Frame(frame) = record else { return };
        self.epochs.insert((partition, frame.epoch));
        let position = Position { partition, sequence: frame.first };
        let ordinals = 0..u32::try_from(frame.follow_ups.len()).expect("a small number");
        self.caused.extend(ordinals.map(|ordinal| FollowUpRef { frame: position, ordinal }));
        for decision in &frame.decisions {
            match &decision.command {
                CommandSource::Submitted { command, .. } => {
                    *self.submitted.entry(command.id).or_default() += 1;
                }
                CommandSource::FollowUp(reference) => {
                    *self.follow_ups.entry(*reference).or_default() += 1;
                }
                CommandSource::Direct(_) => {}
            }
        }
    }

    fn is_complete(&self, durable: &BTreeSet<CommandId>) -> bool {
        durable.iter().all(|id| self.submitted.contains_key(id))
            && self.caused.iter().all(|reference| self.follow_ups.contains_key(reference))
    }
}

async fn survives(data: &Path, log: &str) {
    let mut random = fastrand::Rng::with_seed(xtask::seed!());
    let kills = xtask::trial::rounds(KILLS, KILLS_SOAK);
    let mut commands: Vec<CommandEnvelope> = vec![];
    let mut durable: BTreeSet<CommandId> = BTreeSet::new();
    let mut lives = 0;
    while lives < kills
        || lives < kills * LIVES_PER_KILL_MAX && so_far(data, log).await.epochs.len() <= kills
    {
        lives += 1;
        let mut node = Node::start(data, log);
        // What was not called durable comes again, and so does some of what was.
        let again = commands.iter().filter(|it| !durable.contains(&it.id) || random.u8(..) < 8);
        again.for_each(|command| node.submit(command));
        for _ in 0..COMMANDS_PER_LIFE {
            commands.push(command(commands.len()));
            node.submit(commands.last().expect("it was just put there"));
        }
        if random.u8(..4) > 0 {
            durable.insert(node.durable());
        }
        tokio::time::sleep(Duration::from_millis(random.u64(0..LIFE_MS_MAX))).await;
        durable.extend(node.kill());
    }
    let mut node = Node::start(data, log);
    let left = commands.iter().filter(|it| !durable.contains(&it.id));
    left.for_each(|command| node.submit(command));
    while durable.len() < commands.len() {
        durable.insert(node.durable());
    }
    node.kill();

    let decided = completed(data, log, &durable).await;
    let twice = |count: &usize| *count != 1;
    let submitted: Vec<_> = decided.submitted.iter().filter(|(_, count)| twice(count)).collect();
    assert_eq!(submitted, [], "submitted commands that were not decided exactly once");
    let follow_ups: Vec<_> = decided.follow_ups.iter().filter(|(_, count)| twice(count)).collect();
    assert_eq!(follow_ups, [], "follow-ups that were not decided exactly once");
    assert!(decided.is_complete(&durable), "something was never decided");
    assert_eq!(decided.submitted.len(), lives * COMMANDS_PER_LIFE, "and nothing else was");
    println!(
        "{} commands and {} follow-ups, decided in {} ownerships over {lives} lives",
        decided.submitted.len(),
        decided.follow_ups.len(),
        decided.epochs.len()
    );
    assert!(decided.epochs.len() > kills, "the node decided in most of its lives");

    let log = logs::open(log, data).await.expect("the log can be opened");
    let report = actors::replay::verify(&*log, PARTITIONS).await.expect("the log can be read");
    assert_eq!(report.first_difference, None);
}

/// What was decided until now. The node must not run: it has the embedded log to itself.
async fn so_far(data: &Path, log: &str) -> Decided {
    let log = logs::open(log, data).await.expect("the log can be opened");
    Decided::read(&*log).await
}

/// Lets the node live until everything is decided.
async fn completed(data: &Path, log: &str, durable: &BTreeSet<CommandId>) -> Decided {
    let begin = Instant::now();
    loop {
        let node = Node::start(data, log);
        tokio::time::sleep(Duration::from_millis(500)).await;
        node.kill();
        let decided = so_far(data, log).await;
        if decided.is_complete(durable) || begin.elapsed() > wait::PATIENCE {
            return decided;
        }
    }
}

#[test]
fn every_command_is_decided_once_on_the_embedded_log() {
    in_a_system(async {
        let data = tempfile::tempdir().unwrap();
        survives(data.path(), "embedded").await;
    });
}

#[test]
fn every_command_is_decided_once_on_kafka() {
    in_a_system(async {
        let Some(bed) = Bed::shared() else { return };
        let data = tempfile::tempdir().unwrap();
        let prefix = format!("submitted-{}.", Uuid::new_v4().simple());
        survives(data.path(), &format!("kafka:{},{prefix}", bed.kafka().bootstrap())).await;
    });
}
