//! A partition at work on a node: the core of the shard and those of its entities, without actors.

use std::collections::BTreeMap;

use actors::ask::AskError;
use actors::effects::effects_of;
use actors::entity::{EntityCore, Proposed, Request, Ticket};
use actors::shard::{Answered, Bounds, ClaimIdentity, Recorded, ShardCore, wake_up_of};
use domain::cluster::Cluster;
use domain::fleet::Fleet;
use domain::placement::Placement;
use domain::{Effect, FleetView, WakeUp};
use event_log::{Acceptor, Reader};
use events::{AggregateId, CommandEnvelope, Envelope, Timestamp};
use projections::{Model, Versioned};

use super::node::Asker;

/// An entity, whatever its kind.
enum Entity {
    Cluster(EntityCore<Cluster>),
    Placement(Box<EntityCore<Placement>>),
    Fleet(Box<EntityCore<Fleet>>),
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
    fn of(id: &AggregateId, model: &Model) -> Self {
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
            AggregateId::Fleet => Self::Fleet(Box::new(core(id, Some(&model.fleet)))),
        }
    }

    fn propose(&mut self, requests: &[Request], now: Timestamp, view: &FleetView) -> Proposed {
        with_core!(self, core => core.propose(requests, now, view))
    }

    fn accepted(&mut self, envelopes: &[Envelope]) -> (Vec<Effect>, Option<WakeUp>) {
        with_core!(self, core => {
            let caused = core.accepted(envelopes);
            (caused.into_iter().map(|(_, effect)| effect).collect(), core.wake_up())
        })
    }
}

/// A partition at work.
pub struct Shard {
    /// Tells it from others on the same partition, whose appends may still be under way.
    pub number: u64,
    /// The core.
    pub core: ShardCore,
    /// Whether the core has to be asked for its next step.
    pub flush_is_due: bool,
    /// Where the command stream is read, once it is.
    pub commands: Option<(u64, Option<Reader>)>,
    /// Whether it is to end when nothing is in the log any more.
    pub stopping: bool,
    /// The entities at work.
    entities: BTreeMap<AggregateId, Entity>,
    /// Who waits for the answer to which request.
    askers: BTreeMap<Ticket, Asker>,
}

impl Shard {
    /// A shard that will claim its partition.
    #[must_use]
    pub fn new(number: u64, identity: ClaimIdentity, at: &Acceptor, bounds: Bounds) -> Self {
        Self {
            number,
            core: ShardCore::new(identity, at, bounds),
            flush_is_due: true,
            commands: None,
            stopping: false,
            entities: BTreeMap::new(),
            askers: BTreeMap::new(),
        }
    }

    /// Asks an aggregate.
    ///
    /// # Errors
    /// Whom to answer that it is not asked, and why.
    pub fn ask(
        &mut self,
        envelope: CommandEnvelope,
        asker: Asker,
        now_ms: u64,
    ) -> Result<(), Box<(Asker, AskError)>> {
        match self.core.ask(envelope, now_ms) {
            Ok(ticket) => {
                self.askers.insert(ticket, asker);
                Ok(())
            }
            Err(error) => Err(Box::new((asker, error))),
        }
    }

    /// Has an entity decide what waits for it. Says who is answered at once.
    pub fn decide(&mut self, id: &AggregateId, now: Timestamp, model: &Model) -> Vec<Answered> {
        self.flush_is_due = true;
        let Some(requests) = self.core.hand_out(id, now) else { return vec![] };
        let entity = self.entities.entry(id.clone()).or_insert_with(|| Entity::of(id, model));
        let proposed = entity.propose(&requests, self.core.time(now), &model.view);
        self.core.proposed(id, proposed)
    }

    /// An entity panics while it decides. Says what has to be done again, and who is answered.
    pub fn panic(
        &mut self,
        id: &AggregateId,
        now: Timestamp,
        model: &Model,
    ) -> (Vec<Effect>, Vec<Answered>) {
        self.flush_is_due = true;
        if self.core.hand_out(id, now).is_none() {
            return (vec![], vec![]);
        }
        self.entities.remove(id);
        (effects_of(model, id), self.core.entity_ended(id, wake_up_of(model, id)))
    }

    /// Decisions count: their effects, and who is answered.
    pub fn counted(&mut self, recorded: Recorded, model: &Model) -> (Vec<Effect>, Vec<Answered>) {
        let Recorded { aggregate, envelopes, answers } = recorded;
        let (effects, wake_up) = match self.entities.get_mut(&aggregate) {
            Some(entity) => entity.accepted(&envelopes),
            None => (effects_of(model, &aggregate), wake_up_of(model, &aggregate)),
        };
        self.core.settled(&aggregate, wake_up);
        (effects, answers)
    }

    /// The entities that run.
    pub fn entities(&self) -> impl Iterator<Item = &AggregateId> {
        self.entities.keys()
    }

    /// An entity ends, and nobody hears of it.
    pub fn end_entity(&mut self, id: &AggregateId) {
        self.entities.remove(id);
    }

    /// Entities that nobody needs end.
    pub fn let_go_idle(&mut self, now_ms: u64) {
        for id in self.core.let_go_idle(now_ms) {
            self.entities.remove(&id);
        }
    }

    /// Who waits for an answer.
    pub fn asker(&mut self, ticket: Ticket) -> Option<Asker> {
        self.askers.remove(&ticket)
    }

    /// Whether it owns its partition, and nothing waits.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.core.is_idle() && self.core.retry_at_ms().is_none()
    }

    /// Whether the core has to be asked for its next step.
    #[must_use]
    pub fn is_due(&self, now: Timestamp, now_ms: u64) -> bool {
        self.flush_is_due
            || self.core.retry_at_ms().is_some_and(|at| at <= now_ms)
            || self.core.next_wake_up().is_some_and(|at| at <= now)
    }

    /// Everybody who still waits when it ends.
    #[must_use]
    pub fn forsaken(self) -> Vec<Asker> {
        self.askers.into_values().collect()
    }
}
