//! A hub node: reads the log, owns partitions, performs effects, and looks at what people want.
//!
//! The cores do the deciding; what stands here is what the actors around them do: carry what one
//! says to the next. It crashes by being dropped.
//!
//! | module | what |
//! |---|---|
//! | [`reading`] | the log is read and folded, and told on |
//! | [`partitions`] | what a shard does with its core and its entities |
//! | [`controllers`] | what looks at objects and at the health of members |
//! | [`effects`] | what is done on members |

mod controllers;
mod deliveries;
mod effects;
mod partitions;
mod reading;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use actors::ask::{Answer, AskError, Origin, envelope};
use actors::effects::{EffectQueue, finished};
use actors::fold::FoldCore;
use actors::node::Lookout;
use bytes::Bytes;
use delivery::{Observation, PushLink};
use domain::DomainCommand;
use event_log::{Log, Stream, partition_of};
use events::{AggregateId, Epoch, Partition, Principal, Timestamp};
use hub::contents::Contents;
use hub::links::Links;
use hub::outcomes::Outcomes;
use hub::performer::{LinkPerformer, Record};
use hub::seal::SealKey;
use projections::Model;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::Shared;
use super::oracle::Checked;
use super::shard::Shard;
use deliveries::Deliveries;
use effects::Performing;
use reading::Lane;

pub use controllers::Mark;

/// The version that claims.
const VERSION: &str = "simulated";

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
    lookout: Lookout,
    contents: Contents,
    performer: Arc<LinkPerformer>,
    /// What those who perform see of the record.
    deliveries: Deliveries,
    observed: mpsc::Receiver<Observation>,
    /// What it is appending.
    pub appends: Vec<PendingAppend>,
    /// Who is answered, and what: answers may lead to further questions.
    answers: Vec<(Asker, Answer)>,
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
        let deliveries = Deliveries::default();
        let record = Record::default();
        record.show(deliveries.look());
        let outcomes = Outcomes::default();
        let performer = Arc::new(LinkPerformer::new(links, contents.clone(), outcomes, record));
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
            lookout: Lookout::default(),
            contents,
            performer,
            deliveries,
            observed,
            appends: vec![],
            answers: vec![],
        };
        for name in life.model.clusters.keys().cloned().collect::<Vec<_>>() {
            life.deliveries.update(&life.model, &name);
        }
        life.mark_all(shared);
        life
    }

    fn now(&self, shared: &Shared) -> Timestamp {
        let ms = shared.now_ms + self.skew_ms;
        shared.start + std::time::Duration::from_millis(ms)
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
        let asked = match self.shards.get_mut(&partition) {
            Some(shard) => shard.ask(envelope, asker, shared.now_ms),
            None => Err(Box::new((asker, not_owner(partition)))),
        };
        if let Err(refused) = asked {
            let (asker, error) = *refused;
            self.answers.push((asker, Err(error)));
        }
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
                    self.linked(&name, shared);
                }
            }
            Asker::Look(mark) => self.looked(mark, &answer, shared),
            Asker::Deletion(mark, uid) => match answer {
                Ok(()) => self.let_go(&mark, &uid, shared),
                Err(_) => self.looked(mark, &answer, shared),
            },
        }
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

fn not_owner(partition: Partition) -> AskError {
    AskError::NotOwner { aggregate: format!("partition {partition}") }
}
