//! A partition at work on a node: the cores of the shard and its entities, without actors.

use std::collections::{BTreeMap, BTreeSet};

use actors::ask::{Answer, Ask, AskError, AskSource};
use actors::entity::{EntityCore, Immediate, Proposed, Request, Ticket};
use actors::shard::{ClaimIdentity, Intake, ShardCore, ShardState};
use domain::cluster::Cluster;
use domain::fleet::Fleet;
use domain::placement::Placement;
use domain::{Effect, FleetView};
use event_log::{Acceptor, Reader};
use events::{AggregateId, CommandEnvelope, Envelope, Partition, Timestamp};
use projections::{Model, Versioned};

use super::node::Asker;

/// An entity, whatever its kind.
pub enum Entity {
    /// A cluster.
    Cluster(EntityCore<Cluster>),
    /// A placement.
    Placement(Box<EntityCore<Placement>>),
    /// The fleet.
    Fleet(EntityCore<Fleet>),
}

/// Does the same with an entity of any kind.
macro_rules! with_core {
    ($entity:expr, $core:ident => $does:expr) => {
        match $entity {
            Entity::Cluster($core) => $does,
            Entity::Placement($core) => $does,
            Entity::Fleet($core) => $does,
        }
    };
}

impl Entity {
    /// The entity as the model knows it.
    #[must_use]
    pub fn of(id: &AggregateId, model: &Model) -> Self {
        fn core<D: domain::Decider>(
            id: &AggregateId,
            known: Option<&Versioned<D::State>>,
        ) -> EntityCore<D> {
            let (sequence, state) =
                known.map(|known| (known.sequence, known.state.clone())).unwrap_or_default();
            EntityCore::new(id.clone(), sequence, state)
        }
        match id {
            AggregateId::Cluster(name) => Self::Cluster(core(id, model.clusters.get(name))),
            AggregateId::Placement(key) => {
                Self::Placement(Box::new(core(id, model.placements.get(key))))
            }
            AggregateId::Fleet => Self::Fleet(core(id, Some(&model.fleet))),
        }
    }

    /// Takes a command in.
    pub fn enqueue(&mut self, request: Request) {
        with_core!(self, core => core.enqueue(request));
    }

    /// Decides what waits.
    pub fn propose(&mut self, now: Timestamp, view: &FleetView) -> Proposed {
        with_core!(self, core => core.propose(now, view))
    }

    /// Its proposal counts.
    pub fn accepted(&mut self, envelopes: &[Envelope]) -> Vec<Effect> {
        let caused = with_core!(self, core => core.accepted(envelopes));
        caused.into_iter().map(|(_, effect)| effect).collect()
    }

    /// Its proposal is given up.
    pub fn abandoned(&mut self) {
        with_core!(self, core => core.abandoned());
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        with_core!(self, core => core.is_idle())
    }
}

/// What an entity proposed, by the key that the shard knows it under.
pub struct Pending {
    /// Whose it is.
    pub aggregate: AggregateId,
    /// Of each decision: whom to answer, why it was refused, how many events it has.
    pub tickets: Vec<(Ticket, Option<String>, usize)>,
    /// Answers that hold when it counts.
    pub dependent: Vec<Immediate>,
}

/// A partition at work.
pub struct Shard {
    /// Tells it from others on the same partition, whose appends may still be under way.
    pub number: u64,
    /// The core.
    pub core: ShardCore,
    /// Its durable commands.
    pub intake: Intake,
    /// The entities at work.
    pub entities: BTreeMap<AggregateId, Entity>,
    /// Those that have something to decide.
    pub to_propose: BTreeSet<AggregateId>,
    /// What is proposed and not settled.
    pub pending: BTreeMap<u64, Pending>,
    /// Who waits for the answer to which request.
    pub askers: BTreeMap<Ticket, Asker>,
    /// Whether the core has to be asked for its next step.
    pub flush_is_due: bool,
    /// When that has to happen in any case.
    pub retry_at_ms: Option<u64>,
    /// Where the command stream is read, once it is.
    pub commands: Option<(u64, Option<Reader>)>,
    /// Whether it is to end when nothing is in the log any more.
    pub stopping: bool,
    next: u64,
}

impl Shard {
    /// A shard that will claim its partition.
    #[must_use]
    pub fn new(number: u64, identity: ClaimIdentity, at: &Acceptor) -> Self {
        let partition: Partition = at.partition;
        Self {
            number,
            core: ShardCore::new(partition, identity, at.epoch, at.last, at.hash),
            intake: Intake::new(partition),
            entities: BTreeMap::new(),
            to_propose: BTreeSet::new(),
            pending: BTreeMap::new(),
            askers: BTreeMap::new(),
            flush_is_due: true,
            retry_at_ms: None,
            commands: None,
            stopping: false,
            next: 0,
        }
    }

    /// Whether it decides.
    #[must_use]
    pub fn is_owning(&self) -> bool {
        matches!(self.core.state(), ShardState::Owning(_)) && !self.stopping
    }

    /// Hands a command to its entity.
    pub fn dispatch(
        &mut self,
        envelope: CommandEnvelope,
        source: AskSource,
        asker: Asker,
        model: &Model,
    ) {
        let id = envelope.aggregate.clone();
        let entity = self.entities.entry(id.clone()).or_insert_with(|| Entity::of(&id, model));
        self.next += 1;
        let ticket = Ticket(self.next);
        self.askers.insert(ticket, asker);
        entity.enqueue(Request { ticket, envelope, source });
        self.to_propose.insert(id);
    }

    /// Hands durable commands to their entities.
    pub fn dispatch_all(&mut self, asks: impl IntoIterator<Item = Ask>, model: &Model) {
        for ask in asks {
            self.dispatch(ask.envelope, ask.source, Asker::Nobody, model);
        }
    }

    /// Whether an entity waits for its proposal.
    #[must_use]
    pub fn is_in_flight(&self, id: &AggregateId) -> bool {
        self.pending.values().any(|pending| pending.aggregate == *id)
    }

    /// Lets an entity decide. Says which answers can be given at once.
    pub fn propose(
        &mut self,
        id: &AggregateId,
        now: Timestamp,
        model: &Model,
    ) -> Vec<(Asker, Answer)> {
        self.to_propose.remove(id);
        let Some(entity) = self.entities.get_mut(id) else { return vec![] };
        let proposed = entity.propose(now, &model.view);
        if let Some(proposal) = proposed.proposal {
            self.next += 1;
            let key = self.next;
            let tickets = proposal.decisions.iter();
            let tickets = tickets
                .map(|decided| (decided.ticket, decided.refusal.clone(), decided.events.len()))
                .collect();
            self.pending.insert(
                key,
                Pending { aggregate: id.clone(), tickets, dependent: proposed.dependent },
            );
            self.core.propose(key, proposal);
            self.flush_is_due = true;
        }
        let immediate = proposed.immediate.into_iter();
        immediate
            .filter_map(|immediate| {
                let asker = self.askers.remove(&immediate.ticket)?;
                Some((asker, immediate.answer.map(|()| vec![])))
            })
            .collect()
    }

    /// A proposal counts: its effects, and the answers.
    pub fn counted(
        &mut self,
        key: u64,
        envelopes: &[Envelope],
    ) -> (Vec<Effect>, Vec<(Asker, Answer)>) {
        let Some(pending) = self.pending.remove(&key) else { return (vec![], vec![]) };
        let mut answers = vec![];
        let mut rest = envelopes;
        for (ticket, refusal, count) in pending.tickets {
            let (own, others) = rest.split_at(count);
            rest = others;
            let Some(asker) = self.askers.remove(&ticket) else { continue };
            let answer = match refusal {
                Some(reason) => Err(AskError::Refused(reason)),
                None => Ok(own.to_vec()),
            };
            answers.push((asker, answer));
        }
        for Immediate { ticket, answer } in pending.dependent {
            if let Some(asker) = self.askers.remove(&ticket) {
                answers.push((asker, answer.map(|()| vec![])));
            }
        }
        let entity = self.entities.get_mut(&pending.aggregate).expect("it has proposed");
        let effects = entity.accepted(envelopes);
        if !entity.is_idle() {
            self.to_propose.insert(pending.aggregate);
        }
        (effects, answers)
    }

    /// Whether it owns its partition, and nothing waits.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.is_owning() && self.core.is_idle() && self.retry_at_ms.is_none()
    }

    /// Everybody who still waits when it ends.
    #[must_use]
    pub fn forsaken(self) -> Vec<Asker> {
        self.askers.into_values().collect()
    }
}
