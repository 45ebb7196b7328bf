//! The entities of a shard, whatever their kind: started from the model when they are needed.

use std::collections::BTreeMap;

use actix::prelude::*;
use domain::Decider;
use domain::cluster::Cluster;
use domain::fleet::Fleet;
use domain::placement::Placement;
use events::AggregateId;
use projections::{Model, Versioned};

use crate::entity::{Decide, EntityActor, Settle};
use crate::fold::FoldHandle;

/// How an entity is reached. It ends when the last of these is dropped.
#[derive(Clone)]
pub(super) struct EntityHandle {
    pub(super) decide: Recipient<Decide>,
    pub(super) settle: Recipient<Settle>,
    /// Tells it from one of the same aggregate that was started earlier.
    pub(super) number: u64,
}

/// The entities that run.
#[derive(Default)]
pub(super) struct Entities {
    running: BTreeMap<AggregateId, EntityHandle>,
    started: u64,
}

impl Entities {
    /// The entity of an aggregate, if it runs.
    pub(super) fn get(&self, id: &AggregateId) -> Option<&EntityHandle> {
        self.running.get(id)
    }

    /// The entity of an aggregate, which is started if need be.
    pub(super) fn get_or_start(&mut self, id: &AggregateId, fold: &FoldHandle) -> &EntityHandle {
        if !self.running.contains_key(id) {
            self.started += 1;
            let handle = start(id, self.started, fold);
            self.running.insert(id.clone(), handle);
        }
        &self.running[id]
    }

    /// Lets an entity go.
    pub(super) fn remove(&mut self, id: &AggregateId) {
        self.running.remove(id);
    }
}

fn start(id: &AggregateId, number: u64, fold: &FoldHandle) -> EntityHandle {
    fn of<D: Decider>(
        id: &AggregateId,
        number: u64,
        known: Option<&Versioned<D::State>>,
        fold: &FoldHandle,
    ) -> EntityHandle {
        let (sequence, state) =
            known.map(|known| (known.sequence, known.state.clone())).unwrap_or_default();
        let entity = EntityActor::<D>::new(id.clone(), sequence, state, fold.clone()).start();
        EntityHandle { decide: entity.clone().recipient(), settle: entity.recipient(), number }
    }
    let model: &Model = &fold.model();
    match id {
        AggregateId::Cluster(name) => of::<Cluster>(id, number, model.clusters.get(name), fold),
        AggregateId::Placement(key) => of::<Placement>(id, number, model.placements.get(key), fold),
        AggregateId::Fleet => of::<Fleet>(id, number, Some(&model.fleet), fold),
    }
}
