//! Who should own which partition. A matter of liveness alone: who *does* own one is decided by
//! claims in the partition itself, whatever is believed here.
//!
//! Every node appends `NodeSeen` to the membership stream once a second and reads the stream. A
//! node counts as there for a time after a record of it was *read*, by the reader's own clock. All
//! compute the same assignment over the nodes that are there.
//!
//! | what the shell does | what the core provides |
//! |---|---|
//! | reads the membership stream, from [`LeaseCore::read_from`] | [`LeaseCore::on_record`] |
//! | after each record, and when it is time | [`LeaseCore::on_tick`] → [`LeaseActions`] |
//! | appends what it is given, without waiting for the answer | `append` |
//! | claims what it should own and does not, while it may | `desired`, `may_claim` |
//! | lets go of what it should not own | `desired` |
//! | on shutdown: stops its shards, then appends | [`LeaseCore::leave`] |
//!
//! - **A holder is sooner than a taker.** A holder claims no more when two thirds of the time have
//!   passed since it *wrote* its last renewal that it has read back; a taker waits the full time
//!   since it *read* that renewal, which is later than it was written. So two nodes do not claim in
//!   turns.
//! - **A lease that is over ends no ownership.** A node goes on deciding in what it has claimed until
//!   somebody else claims: its frames count until then, and not after. The acceptance rule sees to
//!   that; no lease could, since a clock may stand still.
//! - **An outage of the log is nobody's fault.** While a node's own renewals do not come back, it
//!   takes nobody for gone; when they come back after a pause, everybody that was there before gets
//!   the full time again, to renew too. So a broker that fails over moves no partition.
//! - **A node that says goodbye** is gone as soon as that is read.
//! - **Of two processes with one name** the one that came later stays. A run that starts appends a
//!   mark, reads up to it, and takes a generation above those of all runs that it read of. What a
//!   former run had appended may still come late, and is not mistaken for the run of today.
//!
//! One embedded log has one process, which its file lock sees to; a node that is alone gets all
//! partitions as soon as it has read its first renewal back.
//!
//! Sans-I/O: no clock, no async. Time is monotonic milliseconds of the node, from anywhere.

pub mod assignment;
mod record;

use std::collections::{BTreeMap, BTreeSet};

use events::Partition;
use uuid::Uuid;

pub use record::{LeaseRecord, NodeLeaving, NodeSeen, TimeAsked};

/// How many of the newest membership records a node reads when it starts: what 300 nodes append in
/// a TTL. Twice as many would only be more dead nodes to wait a TTL for.
pub const RECORDS_READ_AT_START: u64 = 1_000;

/// How many renewals may be under way. Those that do not come back while 16 later ones were
/// written are too old to be worth anything; at twice this, nothing is gained.
const RENEWALS_IN_FLIGHT_MAX: usize = 16;

/// For how many TTLs a goodbye is remembered, so that a renewal that was delayed does not bring the
/// node back. Longer than any backend tries to append.
const LEFT_REMEMBERED_TTLS: u64 = 10;

/// How long leases last. All nodes of a deployment should agree, but nothing breaks when not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseConfig {
    /// How long a node counts as there after it was seen.
    pub ttl_ms: u64,
    /// How often a node renews: a third of the TTL. While its last renewal has not come back, twice
    /// as often, so that one lost renewal stops nobody.
    pub renew_every_ms: u64,
    /// How far a node's clock may be off from the log's while it takes part. Clocks that are looked
    /// after agree within milliseconds; at twice the default, people who compare what two nodes say
    /// notice.
    pub clock_off_max_ms: u64,
}

impl Default for LeaseConfig {
    fn default() -> Self {
        Self { ttl_ms: 3_000, renew_every_ms: 1_000, clock_off_max_ms: 5_000 }
    }
}

impl LeaseConfig {
    /// How long a node may claim after it wrote a renewal.
    fn hold_ms(&self) -> u64 {
        self.ttl_ms * 2 / 3
    }

    /// From when on a renewal that does not come back means that the log does not answer.
    fn overdue_ms(&self) -> u64 {
        self.renew_every_ms * 3 / 2
    }
}

/// What a node should do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseActions {
    /// To be appended to the membership stream.
    pub append: Option<LeaseRecord>,
    /// What this node should own, as far as it knows. Stays as it is while it knows nothing new.
    pub desired: BTreeSet<Partition>,
    /// Whether it may claim what it should own and does not. If not, others may believe that it is
    /// gone. It keeps what it has, and goes on with it or finds that somebody has claimed.
    pub may_claim: bool,
    /// Another process runs under this node's name and has come later: this one should end.
    pub is_superseded: bool,
    /// When to ask again at the latest.
    pub next_tick_ms: u64,
}

/// One run of a node. A later one is greater; between two that know nothing of each other the name
/// decides, for everybody alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Run {
    generation: u64,
    incarnation: Uuid,
}

/// Another node, as far as this one knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Member {
    run: Run,
    ttl_ms: u64,
    /// When a record of it was read last, or when it got the full time again.
    read_ms: u64,
}

/// The longest that a node counts as being there after a sign of life, whatever it asks for: an
/// hour, a thousand times the default. With no bound, a record that was not written by a hub would
/// keep partitions for a node that never was.
const TTL_MS_MAX: u64 = 60 * 60 * 1_000;

impl Member {
    fn ends_ms(&self) -> u64 {
        self.read_ms.saturating_add(self.ttl_ms)
    }
}

/// The leases as one node sees them. See the module's documentation.
#[derive(Debug, Clone)]
pub struct LeaseCore {
    node: String,
    /// Its generation is 0 until everything before its mark was read.
    run: Run,
    /// The highest generation of this node that was read of by then.
    known_generation: u64,
    partitions: u16,
    config: LeaseConfig,
    others: BTreeMap<String, Member>,
    /// The last run of each node that has said goodbye, with when that was read.
    left: BTreeMap<String, (Run, u64)>,
    /// When each renewal under way was written.
    in_flight: BTreeMap<u64, u64>,
    renewals: u64,
    /// When the last renewal was written, whether or not it has come back.
    wrote_ms: Option<u64>,
    /// When the newest renewal that came back was written.
    held_since_ms: Option<u64>,
    /// When a renewal came back last.
    answered_ms: Option<u64>,
    is_leaving: bool,
    is_superseded: bool,
}

impl LeaseCore {
    /// A node that starts. `incarnation` names this run; `partitions` is how many the log has.
    #[must_use]
    pub fn new(node: String, incarnation: Uuid, partitions: u16, config: LeaseConfig) -> Self {
        Self {
            node,
            run: Run { generation: 0, incarnation },
            known_generation: 0,
            partitions,
            config,
            others: BTreeMap::new(),
            left: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            renewals: 0,
            wrote_ms: None,
            held_since_ms: None,
            answered_ms: None,
            is_leaving: false,
            is_superseded: false,
        }
    }

    /// Where a node that starts begins to read the membership stream, given its end.
    #[must_use]
    pub fn read_from(end: u64) -> u64 {
        end.saturating_sub(RECORDS_READ_AT_START)
    }

    /// Takes note of a record of the membership stream. All must be given, in their order.
    pub fn on_record(&mut self, record: &LeaseRecord, now_ms: u64) {
        match record {
            LeaseRecord::NodeSeen(seen) if seen.node == self.node => self.on_own_name(seen, now_ms),
            LeaseRecord::NodeSeen(seen) => self.on_other(seen, now_ms),
            LeaseRecord::NodeLeaving(leaving) => self.on_leaving(leaving, now_ms),
            LeaseRecord::TimeAsked(_) => {}
        }
    }

    fn on_own_name(&mut self, seen: &NodeSeen, now_ms: u64) {
        let run = Run { generation: seen.generation, incarnation: seen.incarnation };
        if run.incarnation != self.run.incarnation {
            // With the same generation neither knew of the other. With a later one it knew of us.
            let is_known = self.run.generation > 0;
            if is_known && run.generation > self.run.generation {
                self.is_superseded = true;
            } else {
                self.outrank(run);
            }
            return;
        }
        let Some(wrote_ms) = self.in_flight.remove(&seen.renewal) else { return };
        if self.run.generation == 0 {
            self.start_over(self.known_generation.saturating_add(1));
            return;
        }
        self.in_flight.retain(|renewal, _| *renewal > seen.renewal);
        let was_answering = self.is_log_answering(now_ms);
        self.held_since_ms = self.held_since_ms.max(Some(wrote_ms));
        self.answered_ms = Some(now_ms);
        if !was_answering {
            // Nobody could renew. Whoever was there before is there until proven otherwise.
            for other in self.others.values_mut() {
                other.read_ms = now_ms;
            }
        }
    }

    /// Another run of this node that is over, or began at the same time: to others this one must be
    /// the later, or they would take it for gone.
    fn outrank(&mut self, other: Run) {
        self.known_generation = self.known_generation.max(other.generation);
        if self.run.generation > 0 && other > self.run {
            self.start_over(other.generation.saturating_add(1));
        }
    }

    /// What was written so far counts for nobody. Once more, at once.
    fn start_over(&mut self, generation: u64) {
        self.run.generation = generation;
        self.held_since_ms = None;
        self.wrote_ms = None;
        self.in_flight.clear();
    }

    fn on_other(&mut self, seen: &NodeSeen, now_ms: u64) {
        let NodeSeen { generation, incarnation, ttl_ms, .. } = *seen;
        let run = Run { generation, incarnation };
        let has_left = self.left.get(&seen.node).is_some_and(|(left, _)| run <= *left);
        let is_former = self.others.get(&seen.node).is_some_and(|known| run < known.run);
        let is_mark = generation == 0;
        if !is_mark && !has_left && !is_former {
            let ttl_ms = ttl_ms.min(TTL_MS_MAX);
            self.others.insert(seen.node.clone(), Member { run, ttl_ms, read_ms: now_ms });
        }
    }

    fn on_leaving(&mut self, leaving: &NodeLeaving, now_ms: u64) {
        let NodeLeaving { generation, incarnation, .. } = *leaving;
        let run = Run { generation, incarnation };
        if leaving.node == self.node {
            self.outrank(run);
            return;
        }
        if self.others.get(&leaving.node).is_some_and(|member| member.run <= run) {
            self.others.remove(&leaving.node);
        }
        let left = self.left.entry(leaving.node.clone()).or_insert((run, now_ms));
        *left = (left.0.max(run), now_ms);
    }

    /// What to do now. To be asked after every record and at `next_tick_ms`; asking more often
    /// changes nothing.
    pub fn on_tick(&mut self, now_ms: u64) -> LeaseActions {
        self.forget(now_ms);
        let append = self.renew(now_ms);
        LeaseActions {
            append,
            desired: self.desired(),
            may_claim: self.is_held(now_ms),
            is_superseded: self.is_superseded,
            next_tick_ms: self.next_tick_ms(now_ms),
        }
    }

    /// Ends this run: it renews no more and wants nothing. What this returns is to be appended
    /// once the node's shards have stopped; without it, the others wait for the lease to run out.
    pub fn leave(&mut self) -> LeaseRecord {
        let partitions = self.desired();
        self.is_leaving = true;
        let (node, Run { generation, incarnation }) = (self.node.clone(), self.run);
        LeaseRecord::NodeLeaving(NodeLeaving { node, generation, incarnation, partitions })
    }

    /// The nodes that count as there, this one included once it is.
    #[must_use]
    pub fn nodes(&self) -> BTreeSet<&str> {
        let own = self.takes_part().then_some(self.node.as_str());
        self.others.keys().map(String::as_str).chain(own).collect()
    }

    /// Whether a renewal came back lately, so that the silence of others means something.
    fn is_log_answering(&self, now_ms: u64) -> bool {
        let answered = self.answered_ms;
        answered.is_some_and(|at| now_ms.saturating_sub(at) <= self.config.overdue_ms())
    }

    /// Whether others count this node as there for certain.
    fn is_held(&self, now_ms: u64) -> bool {
        let since = self.held_since_ms.filter(|_| self.takes_part());
        since.is_some_and(|since| now_ms < since + self.config.hold_ms())
    }

    /// Whether this node has ever been seen and wants to go on.
    fn takes_part(&self) -> bool {
        self.held_since_ms.is_some() && self.renews()
    }

    /// Whether this run goes on. If not, nothing of it is renewed any more.
    fn renews(&self) -> bool {
        !self.is_leaving && !self.is_superseded
    }

    fn desired(&self) -> BTreeSet<Partition> {
        if !self.takes_part() {
            return BTreeSet::new();
        }
        let nodes = self.nodes();
        let is_own = |partition: &Partition| {
            assignment::owner(*partition, nodes.iter().copied()) == Some(self.node.as_str())
        };
        (0..self.partitions).map(Partition).filter(is_own).collect()
    }

    /// Forgets nodes whose time is over, if their silence means something.
    fn forget(&mut self, now_ms: u64) {
        if self.is_log_answering(now_ms) {
            self.others.retain(|_, other| now_ms < other.ends_ms());
        }
        let remembered_ms = self.config.ttl_ms * LEFT_REMEMBERED_TTLS;
        self.left.retain(|_, (_, read_ms)| now_ms < *read_ms + remembered_ms);
    }

    fn renewal_due_ms(&self, now_ms: u64) -> u64 {
        let every_ms = self.config.renew_every_ms;
        // The newest renewal is in flight as long as neither it nor a later one has come back.
        let wait_ms = if self.in_flight.is_empty() { every_ms } else { every_ms / 2 };
        self.wrote_ms.map_or(now_ms, |at| at + wait_ms)
    }

    fn renew(&mut self, now_ms: u64) -> Option<LeaseRecord> {
        if !self.renews() || now_ms < self.renewal_due_ms(now_ms) {
            return None;
        }
        self.renewals += 1;
        self.wrote_ms = Some(now_ms);
        self.in_flight.insert(self.renewals, now_ms);
        while self.in_flight.len() > RENEWALS_IN_FLIGHT_MAX {
            self.in_flight.pop_first();
        }
        Some(LeaseRecord::NodeSeen(NodeSeen {
            node: self.node.clone(),
            generation: self.run.generation,
            incarnation: self.run.incarnation,
            renewal: self.renewals,
            ttl_ms: self.config.ttl_ms,
        }))
    }

    /// The next moment at which something changes without a record; when there is none, a while.
    fn next_tick_ms(&self, now_ms: u64) -> u64 {
        let renewal = self.renews().then(|| self.renewal_due_ms(now_ms));
        let own_end = self.held_since_ms.map(|since| since + self.config.hold_ms());
        let other_ends = self.others.values().map(Member::ends_ms);
        let ends = other_ends.chain(own_end).filter(|at| *at > now_ms);
        ends.chain(renewal).min().unwrap_or(now_ms + self.config.ttl_ms).max(now_ms + 1)
    }
}
