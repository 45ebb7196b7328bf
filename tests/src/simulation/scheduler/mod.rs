//! What happens next: one step at a time, chosen by the seed among everything that can happen.

mod execution;
mod rest;
mod steps;

use std::collections::BTreeSet;

use actors::shard::Bounds;
use bytes::Bytes;
use event_log::{FaultyLog, Log, MemoryLog, Odds, Stream};
use events::frame::RECORD_FORMAT;
use events::{AggregateId, CommandId, Genesis, Partition, PlacementKey, Record};
use fastrand::Rng;

use super::members::{Landed, Members};
use super::node::{Mark, Node};
use super::oracle::{Checked, Oracle};
use super::trace::Trace;
use super::user::User;
use super::wire::{Return, Wire};
use super::{Figures, Shared};

/// When every history begins.
const START: &str = "2026-01-01T00:00:00Z";

/// How many steps it may take, once faults have stopped, until everything is as it should be. The
/// longest that was seen took a quarter of this.
const STEPS_TO_REST_MAX: u32 = 40_000;

/// How often people want something more once everything is at rest. What is missed then stays
/// missed: no fault comes after it that makes everybody look at everything again.
const CALM_ROUNDS: u32 = 3;

/// Something that can happen next.
#[derive(Debug, Clone)]
enum Step {
    Fold { node: usize },
    ReadCommand { node: usize, partition: Partition },
    Look { node: usize, mark: Mark },
    Decide { node: usize, partition: Partition, id: AggregateId },
    Panic { node: usize, partition: Partition, id: AggregateId },
    EndEntity { node: usize, partition: Partition, id: AggregateId },
    Flush { node: usize, partition: Partition },
    Append { node: usize, index: usize },
    Perform { node: usize },
    Report { node: usize, number: u64 },
    Observe { node: usize },
    StartShard { node: usize, partition: Partition },
    StopShard { node: usize, partition: Partition },
    Land { index: usize, fate: Fate },
    Return { index: usize },
    Submit { index: usize },
    Time { ms: u64 },
    User,
    ComeOrGo,
    SubmitLook,
    Store { node: usize },
    Crash { node: usize },
    Start { node: usize, keeps_disk: bool },
    Want { node: usize, partition: Partition },
    Unwant { node: usize, partition: Partition },
    Away { member: String },
    Back { member: String },
    Stray { index: usize },
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is carried out and answered.
    Answered,
    /// It is carried out; the answer takes longer than others.
    AnsweredLater,
    /// It is carried out; the answer is lost.
    AnswerLost,
    /// It is refused: the credential does not allow it at the moment.
    Forbidden,
    /// It does not arrive.
    Lost,
}

/// A whole world.
pub struct World {
    /// What its parts share.
    pub shared: Shared,
    nodes: Vec<Node>,
    keys: Vec<PlacementKey>,
    /// Answers on their way back.
    returns: Vec<(Return, Landed)>,
    /// Commands that somebody submits, until the log has answered.
    submissions: Vec<(Partition, Bytes, CommandId)>,
    acknowledged: BTreeSet<CommandId>,
    /// Whose entities have panicked and not decided since: again and again is for tests of the core.
    panicked: BTreeSet<AggregateId>,
    has_faults: bool,
    /// A partition whose records take their time until they are read.
    lagging: Option<Partition>,
}

impl World {
    /// The world of a seed.
    pub async fn new(seed: u64, narrate: bool) -> Self {
        let mut random = Rng::with_seed(seed);
        let start = START.parse().expect("it is a time");
        let partitions = random.u16(1..=4);
        let nodes = random.usize(1..=3);
        let keys: Vec<PlacementKey> =
            ["web", "job"].iter().map(|name| PlacementKey::cluster(*name)).collect();
        let members = Members::new(random.usize(1..=4), seed, start, &keys);
        let memory = MemoryLog::new();
        let deployment = uuid::Builder::from_random_bytes(random.u128(..).to_le_bytes());
        let deployment = deployment.into_uuid();
        let genesis = Record::Genesis(Genesis {
            deployment,
            partitions,
            format: RECORD_FORMAT,
            time: start,
            hub: Some("hub".to_owned()),
        });
        let genesis = genesis.to_bytes().expect("a genesis is plain data");
        let founded = memory.append(Stream::Events(Partition(0)), genesis.into()).await;
        founded.expect("memory does not fail");
        let log = FaultyLog::seeded(memory.clone(), random.u64(..), some_odds(&mut random));
        let oracle = Oracle::new(&memory, partitions).await;
        let bounds = some_bounds(&mut random);
        let mut shared = Shared {
            bounds,
            trace: Trace::new(narrate),
            now_ms: 0,
            start,
            deployment,
            memory,
            log,
            partitions,
            wire: Wire::default(),
            members,
            user: User::default(),
            oracle,
            strays: vec![],
            news: vec![],
            numbers: 0,
            figures: Figures { seeds: 1, ..Figures::default() },
            random,
        };
        for name in shared.members.names.clone() {
            shared.user.join(&mut shared.random, &name);
        }
        let mut nodes: Vec<Node> = (0..nodes)
            .map(|number| Node::new(format!("hub-{number}"), shared.random.u64(..50)))
            .collect();
        for partition in (0..partitions).map(Partition) {
            let owner = shared.random.usize(..nodes.len());
            nodes[owner].wanted.insert(partition);
        }
        shared.trace.note(format!(
            "seed {seed}: {} nodes, {partitions} partitions, {} members",
            nodes.len(),
            shared.members.names.len()
        ));
        for node in &mut nodes {
            node.start(&mut shared, true);
        }
        Self {
            shared,
            nodes,
            keys,
            returns: vec![],
            submissions: vec![],
            acknowledged: BTreeSet::new(),
            panicked: BTreeSet::new(),
            has_faults: true,
            lagging: None,
        }
    }

    /// What has happened so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let Shared { oracle, members, log, figures, .. } = &self.shared;
        Figures {
            faults: figures.faults + log.injected(),
            records: oracle.records,
            rejected: oracle.rejected,
            decisions: oracle.decisions,
            requests: members.landed,
            cut: members.cut,
            ..*figures
        }
    }

    /// The history: faults, then none; then people want a few things more.
    ///
    /// # Errors
    /// What must never happen.
    pub async fn run(&mut self) -> Checked {
        self.shared.oracle.read(&mut self.shared.trace).await?;
        for _ in 0..self.shared.random.u32(200..1_000) {
            let steps = self.steps();
            let step = self.choose(steps);
            self.take(step).await?;
        }
        self.calm_down().await?;
        self.rest().await?;
        for _ in 0..CALM_ROUNDS {
            self.go_on_calmly().await?;
            self.rest().await?;
        }
        Ok(())
    }

    fn choose(&mut self, steps: Vec<(u32, Step)>) -> Step {
        let total: u32 = steps.iter().map(|(weight, _)| weight).sum();
        let mut drawn = self.shared.random.u32(..total);
        for (weight, step) in steps {
            match drawn.checked_sub(weight) {
                None => return step,
                Some(rest) => drawn = rest,
            }
        }
        unreachable!("less than the total was drawn")
    }
}

/// Half of the histories get to the bounds.
fn some_bounds(random: &mut Rng) -> Bounds {
    match random.bool() {
        true => Bounds::default(),
        false => Bounds {
            follow_ups: random.usize(1..=6),
            submitted: random.usize(1..=3),
            ..Bounds::default()
        },
    }
}

fn some_odds(random: &mut Rng) -> Odds {
    match random.u8(..4) {
        0 => Odds::default(),
        1 => Odds::foul(),
        _ => Odds {
            lost: 20,
            unknown_lost: 20,
            unknown_stored: 30,
            late: 30,
            doubled: 20,
            doubled_late: 20,
            read_breaks: 10,
            put_fails: 30,
            ask_fails: 20,
        },
    }
}
