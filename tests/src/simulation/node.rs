//! A hub node: reads the log, owns partitions, performs effects, and looks at what people want.
//!
//! The cores do the deciding; what stands here is what the actors around them do: carry what one
//! says to the next. It crashes by being dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use actors::ask::{Answer, AskError, AskSource, Origin, envelope};
use actors::effects::{
    Again, EffectQueue, Finished, Performed, Performer, after_take_over, finished,
};
use actors::fold::{self, Fold, FoldCore};
use actors::node::placements_to_look_at;
use actors::shard::{Appended, ClaimIdentity, Step};
use bytes::Bytes;
use delivery::{Observation, PushLink};
use domain::cluster::{
    ClusterCommand, ObserveCluster, RemoveCluster, ReportDelivery, ReportHealth, ReportLink,
    ReportLinkProblem,
};
use domain::fleet::{FleetCommand, FoundFleet};
use domain::placement::Reschedule;
use domain::placement::{DeletePlacement, PlacementCommand, PlacementState, SubmitPlacement};
use domain::{DomainCommand, Effect, EffectKey};
use event_log::{Accepted, Log, Reader, Rejection, StoredRecord, Stream, partition_of};
use events::cluster::LinkProblem;
use events::{
    AggregateId, CommandEnvelope, Epoch, FollowUpRef, Partition, PlacementKey, Principal, Timestamp,
};
use hub::contents::Contents;
use hub::links::Links;
use hub::outcomes::{Outcomes, outcome_of};
use hub::performer::LinkPerformer;
use hub::seal::SealKey;
use projections::Model;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::Shared;
use super::oracle::{Checked, violated};
use super::shard::Shard;

/// How long an owner waits before it appends again after a failure.
const APPEND_RETRY_MS: u64 = 100;

/// How long a controller waits after something did not work.
const LOOK_RETRY_MS: u64 = 1_000;

/// How often a member is checked.
const CHECK_MS: u64 = 10_000;

/// The version that claims.
const VERSION: &str = "simulated";

/// Something that a node has to look at: level-triggered, so marks that come together are one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// Whether the fleet was founded.
    Fleet,
    /// A placement object.
    Placement(PlacementKey),
    /// A placement object of this uid that is gone.
    PlacementGone(PlacementKey, String),
    /// A MemberCluster object.
    Cluster(String),
    /// A MemberCluster object of this uid that is gone.
    ClusterGone(String, String),
    /// The health of a member.
    Check(String),
    /// All placements, because the fleet has moved.
    Reschedule,
}

/// Who waits for an answer.
#[derive(Debug, Clone)]
pub enum Asker {
    /// Nobody.
    Nobody,
    /// A controller that looked at something.
    Look(Mark),
    /// A controller that saw an object of this uid being deleted.
    Deletion(Mark, String),
    /// A health check that goes on with the health.
    Link(String),
    /// An effect that was performed.
    Effect(u64),
}

/// A node, running or not.
pub struct Node {
    /// Its name.
    pub name: String,
    /// What it should own.
    pub wanted: BTreeSet<Partition>,
    /// How far its clock is off.
    pub skew_ms: u64,
    /// Set while it runs.
    pub life: Option<Life>,
    stored: Option<Model>,
}

/// An append under way.
pub struct PendingAppend {
    /// Where.
    pub partition: Partition,
    /// The number of the shard.
    pub shard: u64,
    /// What.
    pub bytes: Bytes,
}

struct Lane {
    from: u64,
    reader: Option<Reader>,
}

struct Performing {
    key: EffectKey,
    task: Option<JoinHandle<Performed>>,
    again: Again,
}

/// A run of a node: everything that a crash loses.
pub struct Life {
    /// Which run.
    pub incarnation: Uuid,
    name: String,
    skew_ms: u64,
    core: FoldCore,
    /// What it knows.
    pub model: Model,
    lanes: BTreeMap<Partition, Lane>,
    /// The partitions at work.
    pub shards: BTreeMap<Partition, Shard>,
    owning: BTreeMap<Partition, Epoch>,
    queue: EffectQueue,
    performing: BTreeMap<u64, Performing>,
    marks: BTreeMap<Mark, u64>,
    contents: Contents,
    performer: Arc<LinkPerformer>,
    observed: mpsc::Receiver<Observation>,
    /// What it is appending.
    pub appends: Vec<PendingAppend>,
    /// Who is answered, and what: answers may lead to further questions.
    answers: Vec<(Asker, Answer)>,
}

/// What has to be told after a step, in order.
enum Notice {
    Folded(Box<Accepted>),
    Rejected(Partition, Bytes, Rejection),
    Inbox(Partition, Vec<(FollowUpRef, CommandEnvelope)>),
    Change { aggregates: Vec<AggregateId>, fleet_moved: bool },
}

impl Node {
    /// A node that does not run yet.
    #[must_use]
    pub fn new(name: String, skew_ms: u64) -> Self {
        Self { name, wanted: BTreeSet::new(), skew_ms, life: None, stored: None }
    }

    /// Keeps what is known now, as the projections on disk would.
    pub fn store(&mut self) {
        self.stored = self.life.as_ref().map(|life| life.model.clone());
    }

    /// Starts it from what was stored, or from nothing.
    pub fn start(&mut self, shared: &mut Shared, keeps_disk: bool) {
        if !keeps_disk {
            self.stored = None;
        }
        let model = self.stored.clone().unwrap_or_else(|| Model::new(partition_of));
        self.life = Some(Life::new(self, model, shared));
    }

    /// Everything in memory is gone. What was on its way may still arrive.
    pub fn crash(&mut self, shared: &mut Shared) {
        let Some(life) = self.life.take() else { return };
        for append in &life.appends {
            if shared.random.bool() {
                let stream = Stream::Events(append.partition);
                shared.strays.push((stream, append.bytes.clone()));
            }
        }
        for performing in life.performing.values() {
            if let Some(task) = &performing.task {
                task.abort();
            }
        }
    }
}

impl Life {
    fn new(node: &Node, model: Model, shared: &mut Shared) -> Self {
        let incarnation = uuid::Builder::from_random_bytes(shared.random.u128(..).to_le_bytes());
        let incarnation = incarnation.into_uuid();
        let core = FoldCore::resume(&model, shared.partitions);
        let lanes = core
            .acceptors()
            .map(|at| (at.partition, Lane { from: at.resume_from(), reader: None }))
            .collect();
        let log: Arc<dyn Log> = Arc::new(shared.log.clone());
        let contents = Contents::new(log, SealKey::new([7; 32]));
        let (observations, observed) = mpsc::channel(64);
        let links = Links::new(observations.clone());
        for member in &shared.members.names {
            let client = shared.wire.client(&node.name, incarnation, member);
            let link = PushLink::from_client(member, client, observations.clone());
            links.insert(member, Arc::new(link));
        }
        let performer = Arc::new(LinkPerformer::new(links, contents.clone(), Outcomes::default()));
        let mut life = Self {
            incarnation,
            name: node.name.clone(),
            skew_ms: node.skew_ms,
            core,
            model,
            lanes,
            shards: BTreeMap::new(),
            owning: BTreeMap::new(),
            queue: EffectQueue::default(),
            performing: BTreeMap::new(),
            marks: BTreeMap::new(),
            contents,
            performer,
            observed,
            appends: vec![],
            answers: vec![],
        };
        life.mark_all(shared);
        life
    }

    fn now(&self, shared: &Shared) -> Timestamp {
        let ms = shared.now_ms + self.skew_ms;
        shared.start + std::time::Duration::from_millis(ms)
    }

    /// Whether a record of the partition waits to be read.
    #[must_use]
    pub fn has_more(&self, partition: Partition, end: u64) -> bool {
        // The last record that was folded comes once more when reading starts.
        self.lanes.get(&partition).is_some_and(|lane| lane.from < end)
    }

    /// Reads and folds a few records, then tells whom they concern.
    pub async fn fold(&mut self, partitions: &[Partition], shared: &mut Shared) -> Checked {
        let mut notices = vec![];
        for partition in partitions {
            let Some(lane) = self.lanes.get_mut(partition) else { continue };
            let Some(record) = lane.next(Stream::Events(*partition), shared).await else {
                continue;
            };
            self.fold_one(*partition, &record, shared, &mut notices)?;
        }
        for notice in notices {
            self.tell(notice, shared)?;
        }
        self.settle(shared)
    }

    fn fold_one(
        &mut self,
        partition: Partition,
        record: &StoredRecord,
        shared: &Shared,
        notices: &mut Vec<Notice>,
    ) -> Checked {
        match self.core.offer(partition, record) {
            Err(error) => violated!("{} cannot read on: {error}", self.name),
            Ok(Fold::Known) => Ok(()),
            Ok(Fold::Rejected(rejection)) => {
                notices.push(Notice::Rejected(partition, record.bytes.clone(), rejection));
                Ok(())
            }
            Ok(Fold::Accepted(accepted)) => {
                let (changes, _) = fold::apply(&mut self.model, &accepted);
                let aggregates = changes.aggregates.iter().map(|change| change.aggregate.clone());
                let change = Notice::Change {
                    aggregates: aggregates.collect(),
                    fleet_moved: changes.fleet_moved(),
                };
                let inbox = fold::follow_ups(&accepted, &changes, shared.partitions);
                notices.push(Notice::Folded(accepted));
                notices.extend(inbox.into_iter().map(|(to, asks)| Notice::Inbox(to, asks)));
                notices.push(change);
                Ok(())
            }
        }
    }

    fn tell(&mut self, notice: Notice, shared: &mut Shared) -> Checked {
        match notice {
            Notice::Folded(accepted) => self.folded(&accepted, shared),
            Notice::Rejected(partition, bytes, rejection) => {
                shared.trace.note(format!("      {} ignores: {rejection}", self.name));
                if let Some(shard) = self.shards.get_mut(&partition) {
                    shard.core.rejected(&bytes);
                    shard.flush_is_due = true;
                }
                Ok(())
            }
            Notice::Inbox(partition, asks) => {
                if let Some(shard) = self.shards.get_mut(&partition)
                    && shard.is_owning()
                {
                    let asks = shard.intake.follow_ups(asks);
                    shard.dispatch_all(asks, &self.model);
                }
                Ok(())
            }
            Notice::Change { aggregates, fleet_moved } => {
                self.changed(&aggregates, fleet_moved, shared);
                Ok(())
            }
        }
    }

    fn folded(&mut self, accepted: &Accepted, shared: &mut Shared) -> Checked {
        let partition = accepted.position.partition;
        let Some(shard) = self.shards.get_mut(&partition) else { return Ok(()) };
        let appended = shard.core.accepted(accepted);
        if let Some(before) = shard.intake.decided(accepted) {
            shard.core.note_commands_before(before);
        }
        match appended {
            Appended::Owned(epoch) => self.owned(partition, epoch, shared),
            Appended::Counted(counted) => {
                for (key, envelopes) in counted {
                    let (effects, answers) = shard.counted(key, &envelopes);
                    for effect in effects {
                        self.queue.offer(effect, shared.now_ms);
                    }
                    self.answers.extend(answers);
                }
            }
            Appended::Lost(_) => {
                shared.trace.note(format!("      {} lost {partition}", self.name));
                self.end_shard(partition, shared);
                return Ok(());
            }
            Appended::Other => {}
        }
        if let Some(shard) = self.shards.get_mut(&partition) {
            shard.flush_is_due = true;
            if shard.stopping && shard.core.is_idle() {
                self.end_shard(partition, shared);
            }
        }
        Ok(())
    }

    fn owned(&mut self, partition: Partition, epoch: Epoch, shared: &mut Shared) {
        shared.trace.note(format!("      {} owns {partition} in epoch {epoch}", self.name));
        shared.figures.take_overs += 1;
        self.owning.insert(partition, epoch);
        let Some(shard) = self.shards.get_mut(&partition) else { return };
        let pending = shard.intake.owned(&self.model.inbox);
        if let Some(from) = shard.intake.start_reading(&self.model.inbox) {
            shard.commands = Some((from, None));
        }
        if !shard.stopping {
            shard.dispatch_all(pending, &self.model);
        }
        for (_, effect) in after_take_over(&self.model, partition, shared.partitions) {
            self.queue.offer(effect, shared.now_ms);
        }
        self.mark_all(shared);
    }

    /// Ends a shard: nobody is answered any more but with *not the owner*.
    pub fn end_shard(&mut self, partition: Partition, shared: &mut Shared) {
        let Some(shard) = self.shards.remove(&partition) else { return };
        for asker in shard.forsaken() {
            self.answers.push((asker, Err(not_owner(partition))));
        }
        self.owning.remove(&partition);
        let owning = &self.owning;
        let partitions = shared.partitions;
        self.queue.retain(|key| {
            let cluster = AggregateId::Cluster(key.cluster.clone());
            owning.contains_key(&partition_of(&cluster, partitions))
        });
        self.mark_all(shared);
    }

    /// Ends a shard in order.
    pub fn stop_shard(&mut self, partition: Partition, shared: &mut Shared) -> Checked {
        let Some(shard) = self.shards.get_mut(&partition) else { return Ok(()) };
        shard.stopping = true;
        if shard.core.is_idle() {
            self.end_shard(partition, shared);
        }
        self.settle(shared)
    }

    /// Starts a shard.
    pub fn start_shard(&mut self, partition: Partition, shared: &mut Shared) {
        let identity = ClaimIdentity {
            node: self.name.clone(),
            incarnation: self.incarnation,
            version: VERSION.to_owned(),
        };
        shared.numbers += 1;
        let shard = Shard::new(shared.numbers, identity, &self.core.acceptor(partition));
        self.shards.insert(partition, shard);
    }

    fn changed(&mut self, aggregates: &[AggregateId], fleet_moved: bool, shared: &Shared) {
        if fleet_moved {
            self.mark(Mark::Reschedule, shared.now_ms + 10);
        }
        for id in aggregates {
            match id {
                AggregateId::Placement(key)
                    if shared.user.placements.get(key).is_some_and(|object| object.deleting) =>
                {
                    self.mark(Mark::Placement(key.clone()), shared.now_ms);
                }
                AggregateId::Cluster(name)
                    if fleet_moved
                        && shared.user.clusters.get(name).is_some_and(|object| object.deleting) =>
                {
                    self.mark(Mark::Cluster(name.clone()), shared.now_ms);
                }
                AggregateId::Placement(_) | AggregateId::Cluster(_) | AggregateId::Fleet => {}
            }
        }
    }

    /// Has something looked at. An earlier mark stands.
    pub fn mark(&mut self, mark: Mark, at_ms: u64) {
        let due = self.marks.entry(mark).or_insert(at_ms);
        *due = at_ms.min(*due);
    }

    fn mark_all(&mut self, shared: &Shared) {
        self.mark(Mark::Fleet, shared.now_ms);
        self.mark(Mark::Reschedule, shared.now_ms + 10);
        for key in shared.user.placements.keys() {
            self.mark(Mark::Placement(key.clone()), shared.now_ms);
        }
        for name in shared.user.clusters.keys() {
            self.mark(Mark::Cluster(name.clone()), shared.now_ms);
            self.mark(Mark::Check(name.clone()), shared.now_ms);
        }
    }

    /// What is to be looked at now.
    #[must_use]
    pub fn due_marks(&self, now_ms: u64) -> Vec<Mark> {
        let due = self.marks.iter().filter(|(_, at)| **at <= now_ms);
        due.map(|(mark, _)| mark.clone()).collect()
    }

    /// What is to be looked at later, besides health checks.
    #[must_use]
    pub fn has_marks(&self) -> bool {
        self.marks.keys().any(|mark| !matches!(mark, Mark::Check(_)))
    }

    fn owns(&self, id: &AggregateId, shared: &Shared) -> bool {
        self.owning.contains_key(&partition_of(id, shared.partitions))
    }

    fn ask(
        &mut self,
        id: AggregateId,
        command: impl Into<DomainCommand>,
        principal: Principal,
        asker: Asker,
        shared: &mut Shared,
    ) {
        let partition = partition_of(&id, shared.partitions);
        let random = shared.random.u128(..).to_le_bytes();
        let origin = Origin {
            id: uuid::Builder::from_random_bytes(random).into_uuid(),
            principal,
            time: self.now(shared),
            traceparent: None,
        };
        let envelope = envelope(id, &command.into(), &origin).expect("it is plain data");
        match self.shards.get_mut(&partition).filter(|shard| shard.is_owning()) {
            Some(shard) => shard.dispatch(envelope, AskSource::Direct, asker, &self.model),
            None => self.answers.push((asker, Err(not_owner(partition)))),
        }
    }

    /// Looks at something, as the controllers of the hub do.
    pub async fn look(&mut self, mark: Mark, shared: &mut Shared) -> Checked {
        self.marks.remove(&mark);
        match &mark {
            Mark::Fleet => {
                if self.owns(&AggregateId::Fleet, shared) {
                    let found = FleetCommand::FoundFleet(FoundFleet {
                        deployment: shared.deployment,
                        partitions: shared.partitions,
                        version: VERSION.to_owned(),
                    });
                    let asker = Asker::Look(mark);
                    self.ask(AggregateId::Fleet, found, Principal::System, asker, shared);
                }
            }
            Mark::Placement(key) => self.look_at_placement(key.clone(), shared).await,
            Mark::PlacementGone(key, uid) => {
                let id = AggregateId::Placement(key.clone());
                if self.owns(&id, shared) {
                    let delete = DeletePlacement { uid: uid.clone() };
                    let delete = PlacementCommand::DeletePlacement(delete);
                    self.ask(id, delete, Principal::System, Asker::Nobody, shared);
                }
            }
            Mark::Cluster(name) => self.look_at_cluster(name.clone(), shared),
            Mark::ClusterGone(name, uid) => {
                let id = AggregateId::Cluster(name.clone());
                if self.owns(&id, shared) {
                    let remove = RemoveCluster { uid: uid.clone() };
                    let remove = ClusterCommand::RemoveCluster(remove);
                    self.ask(id, remove, Principal::System, Asker::Nobody, shared);
                }
            }
            Mark::Check(name) => self.check(name.clone(), shared),
            Mark::Reschedule => {
                for id in placements_to_look_at(&self.model) {
                    if self.owns(&id, shared) {
                        let look = PlacementCommand::Reschedule(Reschedule {});
                        self.ask(id, look, Principal::System, Asker::Nobody, shared);
                    }
                }
            }
        }
        self.settle(shared)
    }

    async fn look_at_placement(&mut self, key: PlacementKey, shared: &mut Shared) {
        let Some(object) = shared.user.placements.get(&key).cloned() else { return };
        let id = AggregateId::Placement(key.clone());
        if !self.owns(&id, shared) {
            return;
        }
        let principal = Principal::User("alice".to_owned());
        let asker = Asker::Look(Mark::Placement(key.clone()));
        if object.deleting {
            let asker = Asker::Deletion(Mark::Placement(key), object.uid.clone());
            let delete = DeletePlacement { uid: object.uid };
            self.ask(id, PlacementCommand::DeletePlacement(delete), principal, asker, shared);
            return;
        }
        let Ok(revision) = self.contents.put_revision(&object.objects(&key)).await else {
            self.mark(Mark::Placement(key), shared.now_ms + LOOK_RETRY_MS);
            return;
        };
        let submit = SubmitPlacement {
            uid: object.uid.clone(),
            generation: object.generation,
            spec: object.spec(),
            revision,
        };
        self.ask(id, PlacementCommand::SubmitPlacement(submit), principal, asker, shared);
    }

    fn look_at_cluster(&mut self, name: String, shared: &mut Shared) {
        let Some(object) = shared.user.clusters.get(&name).cloned() else { return };
        let id = AggregateId::Cluster(name.clone());
        if !self.owns(&id, shared) {
            return;
        }
        let mark = Mark::Cluster(name);
        if object.deleting {
            let asker = Asker::Deletion(mark, object.uid.clone());
            let remove = ClusterCommand::RemoveCluster(RemoveCluster { uid: object.uid });
            self.ask(id, remove, Principal::System, asker, shared);
            return;
        }
        let observe = ClusterCommand::ObserveCluster(ObserveCluster {
            uid: object.uid,
            labels: BTreeMap::from([("region".to_owned(), object.region.to_owned())]),
            taints: vec![],
            heartbeat_period_seconds: 10,
        });
        self.ask(id, observe, Principal::System, Asker::Look(mark), shared);
    }

    /// A health check. What the member would say is asked of the world: probes are requests like
    /// others, and there are enough of those.
    fn check(&mut self, name: String, shared: &mut Shared) {
        let id = AggregateId::Cluster(name.clone());
        let is_known = shared.user.clusters.contains_key(&name)
            && self.model.clusters.get(&name).is_some_and(|known| known.state.member().is_some());
        if !is_known || !self.owns(&id, shared) {
            return;
        }
        self.mark(Mark::Check(name.clone()), shared.now_ms + CHECK_MS);
        let principal = Principal::Member(name.clone());
        if shared.members.away.contains(&name) {
            let report = ReportLinkProblem {
                problem: LinkProblem::Unreachable,
                message: "it does not answer".to_owned(),
            };
            let report = ClusterCommand::ReportLinkProblem(report);
            self.ask(id, report, principal, Asker::Nobody, shared);
            return;
        }
        let report = ClusterCommand::ReportLink(ReportLink {
            cluster: name.clone(),
            identity: format!("identity-{name}"),
            hub_identity: "hub".to_owned(),
            kubernetes_version: "v1.36.4".to_owned(),
        });
        self.ask(id, report, principal, Asker::Link(name), shared);
    }

    /// Hands out answers until nobody asks anything more because of them.
    fn settle(&mut self, shared: &mut Shared) -> Checked {
        while !self.answers.is_empty() {
            let (asker, answer) = self.answers.remove(0);
            if let Ok(envelopes) = &answer {
                shared.oracle.check_answer(envelopes)?;
            }
            self.answered(asker, answer.map(drop), shared);
        }
        Ok(())
    }

    fn answered(&mut self, asker: Asker, answer: Result<(), AskError>, shared: &mut Shared) {
        match asker {
            Asker::Nobody => {}
            Asker::Effect(number) => {
                let Some(performing) = self.performing.remove(&number) else { return };
                let finished = finished(&answer, performing.again);
                self.finished(&performing.key, finished, shared);
            }
            Asker::Link(name) => {
                if answer.is_ok() {
                    let health = ClusterCommand::ReportHealth(ReportHealth {
                        healthy: true,
                        message: String::new(),
                        properties: Some(BTreeMap::new()),
                    });
                    let principal = Principal::Member(name.clone());
                    let id = AggregateId::Cluster(name);
                    self.ask(id, health, principal, Asker::Nobody, shared);
                }
            }
            Asker::Look(mark) => self.looked(mark, &answer, shared),
            Asker::Deletion(mark, uid) => match answer {
                Ok(()) => self.let_go(&mark, &uid, shared),
                Err(_) => self.looked(mark, &answer, shared),
            },
        }
    }

    fn looked(&mut self, mark: Mark, answer: &Result<(), AskError>, shared: &mut Shared) {
        match (&mark, answer) {
            (Mark::Cluster(name), Ok(())) => self.mark(Mark::Check(name.clone()), shared.now_ms),
            (_, Ok(()) | Err(AskError::NotOwner { .. })) => {}
            (Mark::Placement(_) | Mark::Fleet, Err(AskError::Refused(_))) => {}
            (_, Err(_)) => self.mark(mark, shared.now_ms + LOOK_RETRY_MS),
        }
    }

    /// What is being deleted is done with here: its object may go, if it is still that one.
    fn let_go(&mut self, mark: &Mark, uid: &str, shared: &mut Shared) {
        match mark {
            Mark::Placement(key) => {
                let is_gone = self.model.placements.get(key).is_none_or(|p| is_gone(&p.state));
                if is_gone && shared.user.placements.get(key).is_some_and(|o| o.uid == uid) {
                    shared.let_go_of_placement(key);
                }
            }
            Mark::Cluster(name) => {
                if shared.user.clusters.get(name).is_some_and(|object| object.uid == uid) {
                    shared.let_go_of_cluster(name);
                }
            }
            Mark::PlacementGone(..)
            | Mark::ClusterGone(..)
            | Mark::Check(_)
            | Mark::Reschedule
            | Mark::Fleet => {}
        }
    }

    fn finished(&mut self, key: &EffectKey, finished: Finished, shared: &mut Shared) {
        let jitter = shared.random.f64();
        self.queue.finished(key, finished, jitter, shared.now_ms);
    }

    /// Those that have something to decide.
    #[must_use]
    pub fn to_propose(&self) -> Vec<(Partition, AggregateId)> {
        let mut all = vec![];
        for (partition, shard) in &self.shards {
            let free = shard.to_propose.iter().filter(|id| !shard.is_in_flight(id));
            all.extend(free.map(|id| (*partition, id.clone())));
        }
        all
    }

    /// Lets an entity decide.
    pub fn propose(
        &mut self,
        partition: Partition,
        id: &AggregateId,
        shared: &mut Shared,
    ) -> Checked {
        let now = self.now(shared);
        if let Some(shard) = self.shards.get_mut(&partition) {
            let answers = shard.propose(id, now, &self.model);
            self.answers.extend(answers);
        }
        self.settle(shared)
    }

    /// The shards whose cores have to be asked for their next step.
    #[must_use]
    pub fn to_flush(&self, now_ms: u64) -> Vec<Partition> {
        let is_due =
            |shard: &Shard| shard.flush_is_due || shard.retry_at_ms.is_some_and(|at| at <= now_ms);
        self.shards.iter().filter(|(_, shard)| is_due(shard)).map(|(at, _)| *at).collect()
    }

    /// Asks a shard for its next step.
    pub fn flush(&mut self, partition: Partition, shared: &mut Shared) -> Checked {
        let now = self.now(shared);
        let Some(shard) = self.shards.get_mut(&partition) else { return Ok(()) };
        shard.flush_is_due = false;
        shard.retry_at_ms = None;
        match shard.core.next_step(now) {
            Step::Wait => Ok(()),
            Step::Abandon { bytes, .. } => violated!("a decision takes {bytes} bytes"),
            Step::Append(bytes) => {
                self.appends.push(PendingAppend { partition, shard: shard.number, bytes });
                Ok(())
            }
        }
    }

    /// Carries an append out.
    pub async fn append(&mut self, index: usize, shared: &mut Shared) -> Checked {
        let append = self.appends.remove(index);
        let stream = Stream::Events(append.partition);
        let result = shared.log.append(stream, append.bytes).await;
        let shard = self.shards.get_mut(&append.partition);
        // Of a shard that ended meanwhile, nobody hears the answer.
        let shard = shard.filter(|shard| shard.number == append.shard);
        if let (Err(error), Some(shard)) = (result, shard) {
            shared.trace.note(format!("      the append fails: {:?}", error.failure()));
            shard.core.append_failed(error.failure());
            shard.retry_at_ms = Some(shared.now_ms + APPEND_RETRY_MS);
        }
        Ok(())
    }

    /// Whether submitted commands of the partition wait to be read.
    #[must_use]
    pub fn has_commands(&self, partition: Partition, end: u64) -> bool {
        let shard = self.shards.get(&partition);
        shard.and_then(|shard| shard.commands.as_ref()).is_some_and(|(from, _)| *from < end)
    }

    /// Reads the next submitted command of a partition.
    pub async fn read_command(&mut self, partition: Partition, shared: &mut Shared) -> Checked {
        let Some(shard) = self.shards.get_mut(&partition) else { return Ok(()) };
        let Some((from, reader)) = shard.commands.take() else { return Ok(()) };
        let mut lane = Lane { from, reader };
        let record = lane.next(Stream::Commands(partition), shared).await;
        shard.commands = Some((lane.from, lane.reader));
        if let Some(record) = record {
            match shard.intake.submitted(record.offset, &record.bytes, &self.model.inbox) {
                Ok(ask) => shard.dispatch_all(ask, &self.model),
                Err(error) => return violated!("a submitted command is unreadable: {error}"),
            }
        }
        self.settle(shared)
    }

    /// Whether effects are due.
    #[must_use]
    pub fn has_due_effects(&self, now_ms: u64) -> bool {
        self.queue.next_due_ms().is_some_and(|at| at <= now_ms)
    }

    /// Starts to perform what is due.
    pub fn perform(&mut self, shared: &mut Shared) -> Checked {
        for due in self.queue.take_due(shared.now_ms) {
            let key = due.effect.key().clone();
            let cluster = AggregateId::Cluster(key.cluster.clone());
            let partition = partition_of(&cluster, shared.partitions);
            let Some(epoch) = self.owning.get(&partition).copied() else {
                self.finished(&key, Finished::Done, shared);
                continue;
            };
            shared.oracle.check_effect(&due.effect, epoch, self.incarnation)?;
            shared.trace.note(format!("      {} performs {}", self.name, words(&due.effect)));
            shared.figures.deliveries += 1;
            let performer = self.performer.clone();
            let task =
                tokio::spawn(
                    async move { performer.perform(&due.effect, epoch, due.attempt).await },
                );
            shared.numbers += 1;
            let performing = Performing { key, task: Some(task), again: Again::No };
            self.performing.insert(shared.numbers, performing);
        }
        Ok(())
    }

    /// The effects that have ended and were not reported yet.
    #[must_use]
    pub fn ended_effects(&self) -> Vec<u64> {
        let ended = self.performing.iter().filter(|(_, performing)| {
            performing.task.as_ref().is_some_and(JoinHandle::is_finished)
        });
        ended.map(|(number, _)| *number).collect()
    }

    /// Reports on an effect that has ended.
    pub async fn report(&mut self, number: u64, shared: &mut Shared) -> Checked {
        let Some(performing) = self.performing.get_mut(&number) else { return Ok(()) };
        let Some(task) = performing.task.take() else { return Ok(()) };
        let performed = match task.await {
            Ok(performed) => performed,
            Err(error) => return violated!("an effect panicked: {error}"),
        };
        performing.again = performed.again;
        let cluster = performing.key.cluster.clone();
        let asker = Asker::Effect(number);
        match performed.report {
            None => self.answers.push((asker, Ok(vec![]))),
            Some(report) => {
                let id = AggregateId::Cluster(cluster.clone());
                self.ask(id, report, Principal::Member(cluster), asker, shared);
            }
        }
        self.settle(shared)
    }

    /// Takes what links have observed.
    pub fn observe(&mut self, shared: &mut Shared) -> Checked {
        let Ok(observation) = self.observed.try_recv() else { return Ok(()) };
        let id = AggregateId::Cluster(observation.cluster.clone());
        if self.owns(&id, shared) {
            let report = ClusterCommand::ReportDelivery(ReportDelivery {
                placement: observation.placement,
                generation: observation.generation,
                outcome: outcome_of(observation.availability),
            });
            let principal = Principal::Member(observation.cluster);
            self.ask(id, report, principal, Asker::Nobody, shared);
        }
        self.settle(shared)
    }

    /// Whether links have observed something.
    #[must_use]
    pub fn has_observations(&self) -> bool {
        !self.observed.is_empty()
    }

    /// In words.
    #[must_use]
    pub fn what_is_left(&self) -> String {
        let marks: Vec<&Mark> =
            self.marks.keys().filter(|mark| !matches!(mark, Mark::Check(_))).collect();
        let performing: Vec<String> =
            self.performing.values().map(|one| format!("{:?}", one.key)).collect();
        format!(
            "{marks:?}, {} effects, performing {performing:?}, {} appends, owns {:?}, runs {:?}",
            self.queue.len(),
            self.appends.len(),
            self.owning,
            self.shards.keys().collect::<Vec<_>>()
        )
    }

    /// Whether nothing is left to do for it.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let shards = self.shards.values();
        self.queue.is_empty()
            && self.performing.is_empty()
            && self.appends.is_empty()
            && shards.into_iter().all(Shard::is_idle)
    }
}

impl Lane {
    async fn next(&mut self, stream: Stream, shared: &Shared) -> Option<StoredRecord> {
        if self.reader.is_none() {
            self.reader = shared.log.read(stream, self.from).await.ok();
        }
        match self.reader.as_mut()?.try_next()? {
            Ok(record) => {
                self.from = record.offset + 1;
                Some(record)
            }
            Err(_) => {
                self.reader = None;
                None
            }
        }
    }
}

fn not_owner(partition: Partition) -> AskError {
    AskError::NotOwner { aggregate: format!("partition {partition}") }
}

/// Whether nothing of a placement is left anywhere.
fn is_gone(state: &PlacementState) -> bool {
    state.specified.is_none() && state.deleting.is_none() && state.targets.is_empty()
}

fn words(effect: &Effect) -> String {
    let EffectKey { cluster, placement } = effect.key();
    match effect {
        Effect::Deliver(effect) => {
            let (generation, index) = (effect.generation, effect.revision.index);
            format!("deliver r{index} of {placement} to {cluster} (generation {generation})")
        }
        Effect::Observe(effect) => {
            format!("observe {placement} on {cluster} (generation {})", effect.generation)
        }
        Effect::Withdraw(effect) => {
            format!("withdraw {placement} from {cluster} (generation {})", effect.generation)
        }
        Effect::Cancel(_) => format!("forget {placement} on {cluster}"),
    }
}
