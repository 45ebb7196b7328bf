//! Whole hubs in one thread, on one clock, from one seed.
//!
//! The log, the network to the members, the clocks and the crashes are simulated; what decides,
//! folds, appends and delivers is what a hub runs:
//!
//! | simulated here | driven as it is |
//! |---|---|
//! | [`scheduler`]: what happens next | `actors`: fold, shard, entity and effect cores |
//! | [`wire`]: every request to a member waits for its turn | `hub`: `LinkPerformer`, `Contents` |
//! | [`members`]: what lands on them, and whether it may | `delivery`: `PushLink` |
//! | [`user`]: what people want | `event_log`: acceptance, `MemoryLog` behind `FaultyLog` |
//! | [`node`], [`shard`]: what the actors carry from one core to the next | `simulator`: the members' API servers |
//! | [`oracle`], [`end`]: what must always hold, and what in the end | `projections`: model and inbox |
//!
//! One seed gives one history, byte for byte: one thread, tokio's clock stands unless the scheduler
//! moves it, identifiers come from the seed, and nothing iterates over hashes. First there are
//! faults; then they stop, and everything has to come to rest as people want it. Then people want
//! a few things more, and it has to come to rest again.
//!
//! Not simulated: leases (they have a simulation of their own), rows on disk (a node restarts from
//! a model as it was some records ago), the hub's own API server and the watches on it.

pub mod end;
pub mod members;
pub mod node;
pub mod oracle;
pub mod scheduler;
pub mod shard;
pub mod trace;
pub mod user;
pub mod wire;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use actors::shard::Bounds;
use bytes::Bytes;
use event_log::{FaultyLog, MemoryLog, Stream};
use events::{ChainHash, PlacementKey, Timestamp};
use fastrand::Rng;
use uuid::Uuid;

use members::Members;
use node::Mark;
use oracle::Oracle;
use scheduler::World;
use trace::Trace;
use user::User;
use wire::Wire;

/// What all parts of a world share.
pub struct Shared {
    /// Where all chance comes from.
    pub random: Rng,
    /// The history.
    pub trace: Trace,
    /// How much time has passed.
    pub now_ms: u64,
    /// When it began.
    pub start: Timestamp,
    /// Names the log.
    pub deployment: Uuid,
    /// What really stands in the log.
    pub memory: MemoryLog,
    /// The log as nodes reach it.
    pub log: FaultyLog<MemoryLog>,
    /// How many partitions it has.
    pub partitions: u16,
    /// How much each takes in at once.
    pub bounds: Bounds,
    /// The network.
    pub wire: Wire,
    /// The members.
    pub members: Members,
    /// What people want.
    pub user: User,
    /// What must always hold.
    pub oracle: Oracle,
    /// Appends of nodes that crashed: they may still land.
    pub strays: Vec<(Stream, Bytes)>,
    /// What every node has to be told about the hub's API server.
    pub news: Vec<Mark>,
    /// Counts what needs a number of its own.
    pub numbers: u64,
    /// What happened, in figures.
    pub figures: Figures,
}

impl Shared {
    /// A placement object loses its finalizer, and is gone.
    pub fn let_go_of_placement(&mut self, key: &PlacementKey) {
        if let Some(object) = self.user.placements.remove(key) {
            self.trace.note(format!("      the placement object {key} is gone"));
            self.news.push(Mark::PlacementGone(key.clone(), object.uid));
        }
    }

    /// A MemberCluster object loses its finalizer, and is gone.
    pub fn let_go_of_cluster(&mut self, name: &str) {
        if let Some(object) = self.user.clusters.remove(name) {
            self.trace.note(format!("      the MemberCluster object {name} is gone"));
            self.news.push(Mark::ClusterGone(name.to_owned(), object.uid));
        }
    }
}

/// What happened in one history, or in many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Histories.
    pub seeds: u64,
    /// Steps of the scheduler.
    pub steps: u64,
    /// Crashes of nodes.
    pub crashes: u64,
    /// Faults of the log and of the network, and members that went away.
    pub faults: u64,
    /// How often a node came to own a partition.
    pub take_overs: u64,
    /// Records that count.
    pub records: u64,
    /// Records that do not.
    pub rejected: u64,
    /// Decisions on record.
    pub decisions: u64,
    /// Effects that were performed.
    pub deliveries: u64,
    /// Requests that landed on members.
    pub requests: u64,
    /// Requests that did not get through because nothing is promised about them.
    pub cut: u64,
}

impl std::ops::AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.steps += other.steps;
        self.crashes += other.crashes;
        self.faults += other.faults;
        self.take_overs += other.take_overs;
        self.records += other.records;
        self.rejected += other.rejected;
        self.decisions += other.decisions;
        self.deliveries += other.deliveries;
        self.requests += other.requests;
        self.cut += other.cut;
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seeds,
            steps,
            crashes,
            faults,
            take_overs,
            records,
            rejected,
            decisions,
            deliveries,
            requests,
            cut,
        } = self;
        write!(
            f,
            "{seeds} seeds: {steps} steps, {crashes} crashes, {faults} faults, {take_overs} \
             take-overs, {records} records ({rejected} more ignored), {decisions} decisions, \
             {deliveries} deliveries, {requests} requests ({cut} cut off)"
        )
    }
}

/// What came of a seed.
#[derive(Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// In figures.
    pub figures: Figures,
    /// Names the history.
    pub hash: ChainHash,
    /// The history, when it was asked for.
    pub lines: Vec<String>,
    /// What must never happen and did.
    pub violation: Option<String>,
}

/// Runs the history of a seed. `narrate` keeps its lines.
#[must_use]
pub fn run(seed: u64, narrate: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O can always be built");
    runtime.block_on(async {
        let mut world = World::new(seed, narrate).await;
        let violation = {
            let history = futures::FutureExt::catch_unwind(AssertUnwindSafe(world.run()));
            match history.await {
                Ok(Ok(())) => None,
                Ok(Err(violation)) => Some(violation.0),
                Err(panic) => Some(format!("panicked: {}", words_of(&*panic))),
            }
        };
        let figures = world.figures();
        let shared = &mut world.shared;
        let (hash, lines) = (shared.trace.hash(), shared.trace.take_lines());
        // What is still under way ends here, and must not end this with it.
        drop(catch_unwind(AssertUnwindSafe(|| drop(world))));
        Outcome { seed, figures, hash, lines, violation }
    })
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}
