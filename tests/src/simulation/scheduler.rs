//! What happens next: one step at a time, chosen by the seed among everything that can happen.

use std::collections::BTreeSet;
use std::time::Duration;

use actors::ask::{Origin, envelope};
use bytes::Bytes;
use domain::placement::{PlacementCommand, Reschedule};
use event_log::{FaultyLog, Log, MemoryLog, Odds, Stream, partition_of};
use events::frame::RECORD_FORMAT;
use events::{AggregateId, CommandId, Genesis, Partition, PlacementKey, Principal, Record};
use fastrand::Rng;
use simulator::TransportError;

use super::members::{Landed, Members};
use super::node::{Mark, Node};
use super::oracle::{Checked, Oracle, violated};
use super::trace::Trace;
use super::user::{Changed, User};
use super::wire::{Return, Wire};
use super::{Figures, Shared};

/// When every history begins.
const START: &str = "2026-01-01T00:00:00Z";

/// How many steps it may take, once faults have stopped, until everything is as it should be. The
/// longest that was seen took a quarter of this.
const STEPS_TO_REST_MAX: u32 = 40_000;

/// How often tasks that are ready are run after each step. Each round runs up to 61 of them; a
/// history is the same whether or not something is left for the next step.
const ROUNDS_PER_STEP: usize = 3;

/// Something that can happen next.
#[derive(Debug, Clone)]
enum Step {
    Fold { node: usize },
    ReadCommand { node: usize, partition: Partition },
    Look { node: usize, mark: Mark },
    Propose { node: usize, partition: Partition, id: AggregateId },
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
    has_faults: bool,
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
        let genesis =
            Record::Genesis(Genesis { deployment, partitions, format: RECORD_FORMAT, time: start });
        let genesis = genesis.to_bytes().expect("a genesis is plain data");
        let founded = memory.append(Stream::Events(Partition(0)), genesis.into()).await;
        founded.expect("memory does not fail");
        let log = FaultyLog::seeded(memory.clone(), random.u64(..), some_odds(&mut random));
        let oracle = Oracle::new(&memory, partitions).await;
        let mut shared = Shared {
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
            has_faults: true,
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

    /// The history: faults, then none.
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
        for _ in 0..STEPS_TO_REST_MAX {
            let steps = self.steps();
            if steps.is_empty() {
                if self.is_at_rest() {
                    return self.check_end().await;
                }
                self.take(Step::Time { ms: 50 }).await?;
                continue;
            }
            let step = self.choose(steps);
            self.take(step).await?;
        }
        violated!("it does not come to rest: {}", self.what_is_left())
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

    /// Everything that can happen next, with how likely it is.
    fn steps(&mut self) -> Vec<(u32, Step)> {
        let mut steps = vec![];
        for node in 0..self.nodes.len() {
            self.steps_of_node(node, &mut steps);
        }
        self.steps_of_wire(&mut steps);
        for index in 0..self.submissions.len() {
            steps.push((10, Step::Submit { index }));
        }
        if self.has_faults {
            self.steps_of_world(&mut steps);
        }
        steps
    }

    fn steps_of_node(&self, node: usize, steps: &mut Vec<(u32, Step)>) {
        let Some(life) = &self.nodes[node].life else { return };
        let shared = &self.shared;
        let now_ms = shared.now_ms;
        if !self.readable(node).is_empty() {
            steps.push((40, Step::Fold { node }));
        }
        for partition in (0..shared.partitions).map(Partition) {
            let end = self.end_of(Stream::Commands(partition));
            if life.has_commands(partition, end) {
                steps.push((10, Step::ReadCommand { node, partition }));
            }
        }
        for mark in life.due_marks(now_ms) {
            steps.push((5, Step::Look { node, mark }));
        }
        for (partition, id) in life.to_propose() {
            steps.push((15, Step::Propose { node, partition, id }));
        }
        for partition in life.to_flush(now_ms) {
            steps.push((20, Step::Flush { node, partition }));
        }
        for index in 0..life.appends.len() {
            steps.push((25, Step::Append { node, index }));
        }
        if life.has_due_effects(now_ms) {
            steps.push((20, Step::Perform { node }));
        }
        for number in life.ended_effects() {
            steps.push((20, Step::Report { node, number }));
        }
        if life.has_observations() {
            steps.push((10, Step::Observe { node }));
        }
        let wanted = &self.nodes[node].wanted;
        for partition in wanted.iter().filter(|at| !life.shards.contains_key(at)) {
            steps.push((4, Step::StartShard { node, partition: *partition }));
        }
        let unwanted =
            life.shards.iter().filter(|(at, shard)| !wanted.contains(at) && !shard.stopping);
        for (partition, _) in unwanted {
            steps.push((4, Step::StopShard { node, partition: *partition }));
        }
    }

    fn steps_of_wire(&self, steps: &mut Vec<(u32, Step)>) {
        let away = &self.shared.members.away;
        self.shared.wire.look(|waiting| {
            for (index, request) in waiting.iter().enumerate() {
                let is_away = away.contains(&request.member);
                let fates: &[(u32, Fate)] = match (is_away, request.is_watch()) {
                    (true, true) => &[],
                    (true, false) => &[(5, Fate::Lost)],
                    (false, true) => &[(20, Fate::Answered)],
                    (false, false) if !self.has_faults => &[(20, Fate::Answered)],
                    (false, false) => &[
                        (40, Fate::Answered),
                        (4, Fate::AnsweredLater),
                        (3, Fate::AnswerLost),
                        (4, Fate::Forbidden),
                        (3, Fate::Lost),
                    ],
                };
                let land =
                    |(weight, fate): &(u32, Fate)| (*weight, Step::Land { index, fate: *fate });
                steps.extend(fates.iter().map(land));
            }
        });
        for index in 0..self.returns.len() {
            steps.push((8, Step::Return { index }));
        }
    }

    /// What only happens while there are faults.
    fn steps_of_world(&mut self, steps: &mut Vec<(u32, Step)>) {
        let shared = &mut self.shared;
        let ms = match shared.random.u8(..40) {
            0 => 16_000,
            1..=6 => shared.random.u64(100..700),
            _ => shared.random.u64(1..20),
        };
        steps.push((6, Step::Time { ms }));
        steps.push((2, Step::User));
        if shared.random.u8(..3) == 0 {
            steps.push((1, Step::SubmitLook));
        }
        for node in 0..self.nodes.len() {
            match &self.nodes[node].life {
                Some(_) => {
                    steps.push((1, Step::Store { node }));
                    if shared.random.u8(..3) == 0 {
                        steps.push((1, Step::Crash { node }));
                    }
                }
                None => {
                    steps.push((4, Step::Start { node, keeps_disk: true }));
                    steps.push((1, Step::Start { node, keeps_disk: false }));
                }
            }
        }
        let partition = Partition(shared.random.u16(..shared.partitions));
        let wanting: Vec<usize> =
            (0..self.nodes.len()).filter(|n| self.nodes[*n].wanted.contains(&partition)).collect();
        let node = shared.random.usize(..self.nodes.len());
        if wanting.len() > 1 {
            steps.push((6, Step::Unwant { node: wanting[node % wanting.len()], partition }));
        } else if !wanting.contains(&node) {
            steps.push((2, Step::Want { node, partition }));
        }
        let away = shared.random.usize(..shared.members.names.len());
        let member = shared.members.names[away].clone();
        match shared.members.away.contains(&member) {
            true => steps.push((3, Step::Back { member })),
            false if shared.random.u8(..3) == 0 => steps.push((1, Step::Away { member })),
            false => {}
        }
        for index in 0..shared.strays.len() {
            steps.push((2, Step::Stray { index }));
        }
    }

    fn end_of(&self, stream: Stream) -> u64 {
        let end = futures::FutureExt::now_or_never(self.shared.memory.end(stream));
        end.and_then(Result::ok).expect("memory answers at once")
    }

    /// The partitions of which a node has not read everything.
    fn readable(&self, node: usize) -> Vec<Partition> {
        let Some(life) = &self.nodes[node].life else { return vec![] };
        let partitions = (0..self.shared.partitions).map(Partition);
        partitions
            .filter(|partition| life.has_more(*partition, self.end_of(Stream::Events(*partition))))
            .collect()
    }

    async fn take(&mut self, step: Step) -> Checked {
        self.shared.figures.steps += 1;
        self.note(&step);
        self.do_step(step).await?;
        self.shared.oracle.read(&mut self.shared.trace).await?;
        for mark in std::mem::take(&mut self.shared.news) {
            self.tell_all(&mark);
        }
        for _ in 0..ROUNDS_PER_STEP {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn note(&mut self, step: &Step) {
        let at = self.shared.now_ms;
        let words = if let Step::Land { index, fate } = step {
            self.shared.wire.look(|waiting| {
                let request = &waiting[*index];
                let (method, uri) = (request.request.method(), request.request.uri());
                let (node, member) = (&request.node, &request.member);
                format!("{fate:?}: {node} to {member}: {method} {uri}")
            })
        } else if let Step::Return { index } = step {
            let (back, _) = &self.returns[*index];
            format!("an answer of {} reaches {}", back.member, back.node)
        } else {
            format!("{step:?}")
        };
        self.shared.trace.note(format!("{at:>6} {words}"));
    }

    fn tell_all(&mut self, mark: &Mark) {
        let now_ms = self.shared.now_ms;
        for node in &mut self.nodes {
            if let Some(life) = &mut node.life {
                life.mark(mark.clone(), now_ms);
            }
        }
    }

    async fn do_step(&mut self, step: Step) -> Checked {
        match step {
            Step::Fold { node } => self.fold(node).await,
            Step::ReadCommand { node, partition } => {
                let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
                life.read_command(partition, &mut self.shared).await
            }
            Step::Look { node, mark } => {
                let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
                life.look(mark, &mut self.shared).await
            }
            Step::Propose { node, partition, id } => {
                let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
                life.propose(partition, &id, &mut self.shared)
            }
            Step::Flush { node, partition } => {
                let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
                life.flush(partition, &mut self.shared)
            }
            Step::Append { node, index } => {
                let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
                life.append(index, &mut self.shared).await
            }
            Step::Perform { node } => {
                let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
                life.perform(&mut self.shared)
            }
            Step::Report { node, number } => {
                let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
                life.report(number, &mut self.shared).await
            }
            Step::Observe { node } => {
                let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
                life.observe(&mut self.shared)
            }
            Step::StartShard { node, partition } => {
                let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
                life.start_shard(partition, &mut self.shared);
                Ok(())
            }
            Step::StopShard { node, partition } => {
                let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
                life.stop_shard(partition, &mut self.shared)
            }
            Step::Land { index, fate } => self.land(index, fate).await,
            Step::Return { index } => {
                let (back, answer) = self.returns.remove(index);
                back.carry(answer);
                Ok(())
            }
            Step::Submit { index } => self.submit(index).await,
            Step::Time { ms } => self.pass(ms).await,
            Step::User => self.act(),
            Step::SubmitLook => self.submit_look(),
            Step::Store { node } => self.store(node).await,
            Step::Crash { node } => {
                self.shared.figures.crashes += 1;
                self.nodes[node].crash(&mut self.shared);
                Ok(())
            }
            Step::Start { node, keeps_disk } => {
                self.nodes[node].start(&mut self.shared, keeps_disk);
                Ok(())
            }
            Step::Want { node, partition } => {
                self.nodes[node].wanted.insert(partition);
                Ok(())
            }
            Step::Unwant { node, partition } => {
                self.nodes[node].wanted.remove(&partition);
                Ok(())
            }
            Step::Away { member } => {
                self.shared.figures.faults += 1;
                self.shared.members.away.insert(member.clone());
                self.tell_all(&Mark::Check(member));
                Ok(())
            }
            Step::Back { member } => {
                self.shared.members.away.remove(&member);
                self.tell_all(&Mark::Check(member));
                Ok(())
            }
            Step::Stray { index } => {
                let (stream, bytes) = self.shared.strays.remove(index);
                let landed = self.shared.memory.append(stream, bytes).await;
                landed.expect("memory does not fail");
                Ok(())
            }
        }
    }

    /// Reads up to six records at once: what is told of the first finds a model that knows of the
    /// last.
    async fn fold(&mut self, node: usize) -> Checked {
        let readable = self.readable(node);
        let random = &mut self.shared.random;
        let count = random.usize(1..=6);
        let partitions: Vec<Partition> =
            (0..count).filter_map(|_| random.choice(&readable).copied()).collect();
        let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
        life.fold(&partitions, &mut self.shared).await
    }

    async fn land(&mut self, index: usize, fate: Fate) -> Checked {
        let waiting = self.shared.wire.take(index);
        if fate != Fate::Answered {
            self.shared.figures.faults += 1;
        }
        let cluster = waiting.member.clone();
        if fate == Fate::Lost {
            let (_, back) = waiting.split();
            back.carry(Err(TransportError::Refused { cluster }));
            return Ok(());
        }
        let Shared { members, oracle, trace, now_ms, .. } = &mut self.shared;
        if fate == Fate::Forbidden {
            let (back, answer) = members.forbid(waiting).await;
            back.carry(answer);
            return Ok(());
        }
        let (back, answer) = members.land(waiting, *now_ms, oracle, trace).await?;
        match fate {
            Fate::Answered | Fate::Forbidden => back.carry(answer),
            Fate::AnsweredLater => self.returns.push((back, answer)),
            Fate::AnswerLost | Fate::Lost => back.carry(Err(TransportError::Reset { cluster })),
        }
        Ok(())
    }

    async fn pass(&mut self, ms: u64) -> Checked {
        let by = Duration::from_millis(ms);
        self.shared.now_ms += ms;
        self.shared.wire.set_now(self.shared.now_ms);
        self.shared.members.fleet.advance(by);
        tokio::time::advance(by).await;
        Ok(())
    }

    fn act(&mut self) -> Checked {
        let Shared { user, random, members, trace, .. } = &mut self.shared;
        let Some((changed, what)) = user.act(random, &members.names, &self.keys) else {
            return Ok(());
        };
        trace.note(format!("      somebody {what}"));
        match changed {
            Changed::Placement(key) => self.tell_all(&Mark::Placement(key)),
            Changed::Cluster(name) => {
                self.tell_all(&Mark::Cluster(name.clone()));
                self.tell_all(&Mark::Check(name));
            }
        }
        Ok(())
    }

    /// Somebody asks a placement to look again, through the log.
    fn submit_look(&mut self) -> Checked {
        let shared = &mut self.shared;
        let Some(key) = shared.random.choice(&self.keys) else { return Ok(()) };
        let id = uuid::Builder::from_random_bytes(shared.random.u128(..).to_le_bytes());
        let origin = Origin {
            id: id.into_uuid(),
            principal: Principal::System,
            time: shared.start + Duration::from_millis(shared.now_ms),
            traceparent: None,
        };
        let id = AggregateId::Placement(key.clone());
        let command = PlacementCommand::Reschedule(Reschedule {});
        let command = envelope(id.clone(), &command.into(), &origin).expect("it is plain data");
        let bytes = serde_json::to_vec(&command).expect("it is plain data");
        let partition = partition_of(&id, shared.partitions);
        self.submissions.push((partition, Bytes::from(bytes), command.id));
        Ok(())
    }

    /// Whoever submits does so until the log has answered: one command may stand there often.
    async fn submit(&mut self, index: usize) -> Checked {
        let (partition, bytes, id) = self.submissions[index].clone();
        let stored = self.shared.log.append(Stream::Commands(partition), bytes).await;
        if stored.is_ok() {
            self.acknowledged.insert(id);
            self.submissions.remove(index);
        }
        Ok(())
    }

    async fn store(&mut self, node: usize) -> Checked {
        if let Some(life) = &self.nodes[node].life {
            self.shared.oracle.check_model(&life.model).await?;
        }
        self.nodes[node].store();
        Ok(())
    }

    /// No more faults: everything that was away comes back, and each partition is wanted by one
    /// node.
    async fn calm_down(&mut self) -> Checked {
        self.shared.trace.note("       faults have stopped");
        self.has_faults = false;
        self.shared.log.set_odds(Odds::default());
        let landed = self.shared.log.land().await;
        landed.expect("memory does not fail");
        self.shared.strays.clear();
        self.shared.members.away.clear();
        for partition in (0..self.shared.partitions).map(Partition) {
            let wanting: Vec<usize> = (0..self.nodes.len())
                .filter(|node| self.nodes[*node].wanted.contains(&partition))
                .collect();
            let random = &mut self.shared.random;
            let keeps = random.choice(wanting).unwrap_or_default();
            for (number, node) in self.nodes.iter_mut().enumerate() {
                match number == keeps {
                    true => node.wanted.insert(partition),
                    false => node.wanted.remove(&partition),
                };
            }
        }
        for node in &mut self.nodes {
            if node.life.is_none() {
                node.start(&mut self.shared, true);
            }
        }
        for member in self.shared.members.names.clone() {
            self.tell_all(&Mark::Check(member));
        }
        self.shared.oracle.read(&mut self.shared.trace).await
    }

    /// Whether nothing is left to do but to let time pass.
    fn is_at_rest(&self) -> bool {
        let is_idle = |node: &Node| {
            node.life.as_ref().is_some_and(|life| {
                let runs = life.shards.keys().eq(&node.wanted);
                runs && life.is_idle() && !life.has_marks()
            })
        };
        let waits = |waiting: &[super::wire::Waiting]| waiting.iter().any(|one| !one.is_watch());
        self.nodes.iter().all(is_idle)
            && self.returns.is_empty()
            && !self.shared.wire.look(waits)
            && self.shared.user.clusters.keys().all(|name| self.is_well(name))
            && self.shared.user.placements.values().all(|object| !object.deleting)
            && self.shared.user.clusters.values().all(|object| !object.deleting)
    }

    /// Whether a cluster joined and is not known to be unwell; if it is, the next check says more.
    fn is_well(&self, name: &str) -> bool {
        let known = self.shared.oracle.model.clusters.get(name);
        let member = known.and_then(|known| known.state.member());
        member.is_some_and(|m| {
            m.identity.is_some() && m.unhealthy.is_none() && m.link_failure.is_none()
        })
    }

    fn what_is_left(&self) -> String {
        let lives = self.nodes.iter().filter_map(|node| Some((node, node.life.as_ref()?)));
        let nodes: Vec<String> =
            lives.map(|(node, life)| format!("{}: {}", node.name, life.what_is_left())).collect();
        let (user, wire) = (&self.shared.user, &self.shared.wire);
        let deleting = user.placements.iter().filter(|(_, object)| object.deleting);
        let deleting: Vec<String> = deleting.map(|(key, _)| key.to_string()).collect();
        format!(
            "{}; {} requests; being deleted: {}",
            nodes.join("; "),
            wire.look(<[_]>::len),
            deleting.join(", ")
        )
    }

    async fn check_end(&mut self) -> Checked {
        let models = self.nodes.iter().filter_map(|node| node.life.as_ref());
        let models: Vec<_> = models.map(|life| &life.model).collect();
        super::end::check(&self.shared, &models, &self.keys, &self.acknowledged).await
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
