//! The states of all aggregates during a replay, and deciding on them again.

use std::collections::BTreeMap;

use domain::cluster::{Cluster, ClusterState};
use domain::fleet::{Fleet, FleetState};
use domain::placement::{Placement, PlacementState};
use domain::{Decider, DomainCommand, FleetView, FollowUp, Inputs, Reaction};
use events::{AggregateId, CommandEnvelope, Envelope, Event, PlacementKey, Timestamp};

/// What was decided now.
#[derive(Debug, Default)]
pub(super) struct Decided {
    pub(super) refusal: Option<String>,
    pub(super) events: Vec<Event>,
    /// Commands to others, with the index of the event that causes each.
    pub(super) follow_ups: Vec<(usize, FollowUp)>,
    /// Whether the decider looks at the fleet for such a command.
    pub(super) uses_view: bool,
}

/// The states, as far as they were folded.
#[derive(Default)]
pub(super) struct States {
    clusters: BTreeMap<String, ClusterState>,
    placements: BTreeMap<PlacementKey, PlacementState>,
    fleet: FleetState,
    /// The number of the last event of each aggregate.
    sequences: BTreeMap<AggregateId, u64>,
}

impl States {
    /// The number of the aggregate's last event; 0 before the first.
    pub(super) fn sequence(&self, aggregate: &AggregateId) -> u64 {
        self.sequences.get(aggregate).copied().unwrap_or_default()
    }

    pub(super) fn decide(
        &self,
        command: &CommandEnvelope,
        now: Timestamp,
        fleet: &FleetView,
    ) -> Decided {
        let inputs = Inputs { now, fleet, origin: command.origin };
        match &command.aggregate {
            AggregateId::Cluster(name) => {
                let state = self.clusters.get(name).cloned().unwrap_or_default();
                decide::<Cluster>(command, state, &inputs)
            }
            AggregateId::Placement(key) => {
                let state = self.placements.get(key).cloned().unwrap_or_default();
                decide::<Placement>(command, state, &inputs)
            }
            AggregateId::Fleet => decide::<Fleet>(command, self.fleet.clone(), &inputs),
        }
    }

    pub(super) fn evolve(&mut self, envelope: &Envelope) {
        match &envelope.aggregate {
            AggregateId::Cluster(name) => {
                evolve::<Cluster>(self.clusters.entry(name.clone()).or_default(), envelope);
            }
            AggregateId::Placement(key) => {
                evolve::<Placement>(self.placements.entry(key.clone()).or_default(), envelope);
            }
            AggregateId::Fleet => evolve::<Fleet>(&mut self.fleet, envelope),
        }
        self.sequences.insert(envelope.aggregate.clone(), envelope.aggregate_sequence);
    }
}

fn evolve<D: Decider>(state: &mut D::State, envelope: &Envelope) {
    if let Some(event) = D::own_event(&envelope.event) {
        D::evolve(state, event, envelope.time);
    }
}

fn decide<D: Decider>(
    command: &CommandEnvelope,
    mut state: D::State,
    inputs: &Inputs<'_>,
) -> Decided {
    let mut decided = Decided::default();
    let own = match DomainCommand::from_envelope(command) {
        Ok(own) => D::own_command(own),
        Err(error) => {
            decided.refusal = Some(error.to_string());
            return decided;
        }
    };
    let Some(own) = own else {
        let refusal = format!("{} knows no command {}", command.aggregate, command.kind);
        decided.refusal = Some(refusal);
        return decided;
    };
    decided.uses_view = D::uses_view(&own);
    let events = match D::decide(&state, &own, inputs) {
        Ok(events) => events,
        Err(refusal) => {
            decided.refusal = Some(refusal.to_string());
            return decided;
        }
    };
    for (index, event) in events.into_iter().enumerate() {
        D::evolve(&mut state, &event, inputs.now);
        for reaction in D::react(&command.aggregate, &state, &event) {
            if let Reaction::FollowUp(follow_up) = reaction {
                decided.follow_ups.push((index, follow_up));
            }
        }
        decided.events.push(event.into());
    }
    decided
}
