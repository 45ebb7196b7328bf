//! Nodes, clocks, a membership stream and their faults, on simulated time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;

use event_log::{LeaseActions, LeaseConfig, LeaseCore, LeaseRecord, PARTITIONS};
use fastrand::Rng;
use uuid::Uuid;

pub(crate) type NodeId = usize;

/// How much later than another a process may read an entry of the stream.
const READ_DELAY_MS_MAX: u64 = 40;

/// How the membership stream behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    /// Everything is appended and read within some milliseconds.
    Fair,
    /// Some appends are lost, doubled, or land seconds later.
    Foul,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// A node dies.
    Kill(NodeId),
    /// A dead node starts, or a new one.
    Start(NodeId),
    /// A node does nothing for a while.
    Pause(NodeId, u64),
    /// A node says goodbye.
    Leave(NodeId),
    /// Another process starts under the name of a node.
    Double(NodeId),
    /// Nothing can be appended for a while.
    Outage { ms: u64 },
    /// A renewal that was read already stands in the stream once more, as after a retry.
    Again(NodeId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A renewal arrives in the stream: its index in `sent`.
    Land(usize),
    /// A process reads what it can.
    Wake(usize),
    /// A process looks at the time, unless it has decided meanwhile to do so at another moment.
    Tick(usize),
}

struct Process {
    name: String,
    core: LeaseCore,
    actions: Option<LeaseActions>,
    is_alive: bool,
    paused_until_ms: u64,
    /// The next entry of the stream to read.
    read: usize,
    /// How much later than it lands it reads an entry.
    read_delay_ms: u64,
    /// When it looks at the time next.
    tick_ms: u64,
    /// Its clock differs from all others.
    clock_ms: u64,
}

pub(crate) struct Simulation {
    random: Rng,
    weather: Weather,
    now_ms: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    scheduled: u64,
    processes: Vec<Process>,
    /// The process that runs under the name of each node now.
    nodes: BTreeMap<NodeId, usize>,
    sent: Vec<LeaseRecord>,
    stream: Vec<(u64, LeaseRecord)>,
    outage_until_ms: u64,
    /// Whether the driver gives up on what it cannot append, or tries until it can.
    gives_up: bool,
    last_owner: BTreeMap<u16, NodeId>,
    /// Since when a partition has had two that may claim it.
    disputed_since_ms: BTreeMap<u16, u64>,
    changes: usize,
    history: Vec<String>,
}

impl Simulation {
    pub(crate) fn new(seed: u64, nodes: usize, weather: Weather) -> Self {
        let mut simulation = Self {
            random: Rng::with_seed(seed),
            weather,
            now_ms: 1_000,
            events: BinaryHeap::new(),
            scheduled: 0,
            processes: Vec::new(),
            nodes: BTreeMap::new(),
            sent: Vec::new(),
            stream: Vec::new(),
            outage_until_ms: 0,
            gives_up: seed.is_multiple_of(2),
            last_owner: BTreeMap::new(),
            disputed_since_ms: BTreeMap::new(),
            changes: 0,
            history: Vec::new(),
        };
        for node in 0..nodes {
            simulation.inject(Fault::Start(node));
        }
        simulation
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Which nodes would claim a partition that is not theirs: those that run, should own it and may
    /// claim. A hub claims at once, so when there is one, it is the owner. When there is none, the
    /// last one still is: it decides on until another claims.
    pub(crate) fn claimants(&self) -> BTreeMap<u16, Vec<NodeId>> {
        let mut claimants = BTreeMap::<u16, Vec<NodeId>>::new();
        for (id, process) in self.processes.iter().enumerate() {
            let Some(actions) = &process.actions else { continue };
            let runs = process.is_alive && process.paused_until_ms <= self.now_ms;
            if runs && actions.may_claim {
                assert!(!actions.is_superseded);
                for partition in &actions.desired {
                    claimants.entry(partition.0).or_default().push(self.node_of(id));
                }
            }
        }
        claimants
    }

    /// How often a partition got an owner, or another one.
    pub(crate) fn changes(&self) -> usize {
        self.changes
    }

    /// The process that was started last, as a node of its own.
    pub(crate) fn newest(&self) -> NodeId {
        self.node_of(self.processes.len() - 1)
    }

    /// A process that was pushed aside by its double counts as a node of its own.
    fn node_of(&self, process: usize) -> NodeId {
        let current = self.nodes.iter().find(|(_, current)| **current == process);
        current.map_or(1_000 + process, |(node, _)| *node)
    }

    pub(crate) fn run_for(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        while let Some(Reverse((at, _, _))) = self.events.peek()
            && *at <= until
        {
            let Reverse((at, _, event)) = self.events.pop().expect("it was there");
            self.now_ms = at;
            match event {
                Event::Land(index) => self.land(index),
                Event::Wake(process) => self.wake(process),
                Event::Tick(process) if self.processes[process].tick_ms == at => self.wake(process),
                Event::Tick(_) => {}
            }
        }
        self.now_ms = until;
        self.note_owners();
    }

    pub(crate) fn calm_down(&mut self) {
        self.weather = Weather::Fair;
        self.outage_until_ms = self.now_ms;
        self.history.push(format!("{}: calm", self.now_ms));
        for node in 0..4 {
            self.inject(Fault::Start(node));
        }
    }

    pub(crate) fn inject_any(&mut self) {
        let node = self.random.usize(0..4);
        let ms = self.random.u64(100..9_000);
        let fault = match self.random.u8(0..8) {
            0 | 1 => Fault::Kill(node),
            2 | 3 => Fault::Start(node),
            4 | 5 => Fault::Pause(node, ms),
            6 => Fault::Leave(node),
            _ => Fault::Outage { ms },
        };
        self.inject(fault);
    }

    pub(crate) fn inject(&mut self, fault: Fault) {
        self.history.push(format!("{}: {fault:?}", self.now_ms));
        let running = |simulation: &Self, node| {
            let process = simulation.nodes.get(&node).copied();
            process.filter(|process| simulation.processes[*process].is_alive)
        };
        match fault {
            Fault::Kill(node) => {
                if let Some(process) = running(self, node) {
                    self.processes[process].is_alive = false;
                }
            }
            Fault::Start(node) => {
                if running(self, node).is_none() {
                    self.start(node);
                }
            }
            Fault::Pause(node, ms) => {
                if let Some(process) = running(self, node) {
                    self.processes[process].paused_until_ms = self.now_ms + ms;
                    self.schedule(self.now_ms + ms, Event::Wake(process));
                }
            }
            Fault::Leave(node) => {
                if let Some(process) = running(self, node) {
                    let goodbye = self.processes[process].core.leave();
                    self.processes[process].is_alive = false;
                    self.send(goodbye);
                }
            }
            Fault::Double(node) => {
                let name = self.processes[self.nodes[&node]].name.clone();
                self.nodes.insert(100 + node, self.processes.len());
                self.start_process(name);
            }
            Fault::Outage { ms } => self.outage_until_ms = self.now_ms + ms,
            Fault::Again(node) => {
                let name = &self.processes[self.nodes[&node]].name;
                let seen = self.stream.iter().rev().map(|(_, record)| record).find(
                    |record| matches!(record, LeaseRecord::NodeSeen(seen) if seen.node == *name),
                );
                self.send(seen.expect("it was seen").clone());
            }
        }
        self.note_owners();
    }

    fn start(&mut self, node: NodeId) {
        self.nodes.insert(node, self.processes.len());
        self.start_process(format!("hub-{node}"));
    }

    fn start_process(&mut self, name: String) {
        let incarnation = Uuid::from_u128(self.random.u128(..));
        let core = LeaseCore::new(name.clone(), incarnation, PARTITIONS, LeaseConfig::default());
        let from = LeaseCore::read_from(self.stream.len() as u64);
        self.processes.push(Process {
            name,
            core,
            actions: None,
            is_alive: true,
            paused_until_ms: 0,
            read: usize::try_from(from).expect("a short stream"),
            read_delay_ms: self.random.u64(0..READ_DELAY_MS_MAX),
            tick_ms: 0,
            clock_ms: self.random.u64(0..1_000_000),
        });
        self.schedule(self.now_ms, Event::Wake(self.processes.len() - 1));
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.scheduled += 1;
        self.events.push(Reverse((at, self.scheduled, event)));
    }

    fn send(&mut self, record: LeaseRecord) {
        let is_foul = self.weather == Weather::Foul;
        let copies = match self.random.u8(0..100) {
            0..5 if is_foul => 0,
            5..10 if is_foul => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let late = if is_foul && self.random.u8(0..100) < 10 { 6_000 } else { 30 };
            let delay = self.random.u64(1..late);
            if self.gives_up && self.now_ms < self.outage_until_ms {
                continue;
            }
            let at = (self.now_ms + delay).max(self.outage_until_ms + self.random.u64(1..100));
            self.sent.push(record.clone());
            self.schedule(at, Event::Land(self.sent.len() - 1));
        }
    }

    fn land(&mut self, index: usize) {
        if self.now_ms < self.outage_until_ms {
            if self.gives_up {
                return;
            }
            let at = self.outage_until_ms + self.random.u64(1..100);
            return self.schedule(at, Event::Land(index));
        }
        self.stream.push((self.now_ms, self.sent[index].clone()));
        for process in 0..self.processes.len() {
            if !self.processes[process].is_alive {
                continue;
            }
            let at = self.now_ms + self.processes[process].read_delay_ms;
            self.schedule(at, Event::Wake(process));
        }
    }

    fn wake(&mut self, id: usize) {
        let process = &mut self.processes[id];
        if !process.is_alive || process.paused_until_ms > self.now_ms {
            return;
        }
        let now_ms = self.now_ms + process.clock_ms;
        let mut appends = Vec::new();
        let mut act = |core: &mut LeaseCore| {
            let actions = core.on_tick(now_ms);
            assert!(actions.next_tick_ms > now_ms, "no busy loop");
            appends.extend(actions.append.clone());
            actions
        };
        let mut actions = act(&mut process.core);
        while let Some((landed, record)) = self.stream.get(process.read)
            && landed + process.read_delay_ms <= self.now_ms
        {
            process.read += 1;
            process.core.on_record(record, now_ms);
            actions = act(&mut process.core);
        }
        if actions.is_superseded {
            process.is_alive = false;
        }
        // A timer is never early, and a busy machine makes it late.
        let tick_ms = actions.next_tick_ms - process.clock_ms + self.random.u64(0..20);
        process.tick_ms = tick_ms;
        let was_paused = process.paused_until_ms == self.now_ms;
        let acts_on = |actions: &LeaseActions| (actions.may_claim, actions.desired.clone());
        let has_changed = process.actions.as_ref().map(acts_on) != Some(acts_on(&actions));
        process.actions = Some(actions);
        self.schedule(tick_ms, Event::Tick(id));
        if has_changed || was_paused {
            self.note_owners();
        }
        for record in appends {
            self.send(record);
        }
    }

    /// Counts changes of owners. Two that may claim one partition are a matter of reading the news:
    /// one has read it, the other will in a moment.
    fn note_owners(&mut self) {
        let claimants = self.claimants();
        for (partition, claimants) in &claimants {
            if let [owner] = claimants[..]
                && self.last_owner.insert(*partition, owner) != Some(owner)
            {
                self.changes += 1;
            }
            if claimants.len() > 1 {
                self.disputed_since_ms.entry(*partition).or_insert(self.now_ms);
            }
        }
        for (partition, since_ms) in std::mem::take(&mut self.disputed_since_ms) {
            let took_ms = self.now_ms - since_ms;
            assert!(took_ms <= READ_DELAY_MS_MAX, "{partition} disputed for {took_ms} ms\n{self}");
            if claimants.get(&partition).is_some_and(|claimants| claimants.len() > 1) {
                self.disputed_since_ms.insert(partition, since_ms);
            }
        }
    }
}

impl fmt::Display for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.history {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "{}: {:?}", self.now_ms, self.claimants())?;
        for (_, record) in self.stream.iter().rev().take(8) {
            writeln!(f, "{record:?}")?;
        }
        Ok(())
    }
}
