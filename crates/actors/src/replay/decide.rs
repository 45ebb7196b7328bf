//! The states of all aggregates during a replay, and deciding on them again.

use std::collections::BTreeMap;

use domain::cluster::{Cluster, ClusterState};
use domain::fleet::{Fleet, FleetState};
use domain::placement::{Placement, PlacementState};
use domain::{Decider, DomainCommand, FleetView, Inputs, Reaction};
use events::{AggregateId, CommandEnvelope, Envelope, Event, PlacementKey, Timestamp};

/// What was decided now, in a form that can be compared with the record.
#[derive(Debug, Default)]
pub(super) struct Decided {
    pub(super) refusal: Option<String>,
    pub(super) events: Vec<Event>,
    /// Aggregate, command and payload.
    pub(super) follow_ups: Vec<String>,
}

/// The states, as far as they were folded.
#[derive(Default)]
pub(super) struct States {
    clusters: BTreeMap<String, ClusterState>,
    placements: BTreeMap<PlacementKey, PlacementState>,
    fleet: FleetState,
}

impl States {
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
    let events = match D::decide(&state, &own, inputs) {
        Ok(events) => events,
        Err(refusal) => {
            decided.refusal = Some(refusal.to_string());
            return decided;
        }
    };
    for event in events {
        D::evolve(&mut state, &event, inputs.now);
        for reaction in D::react(&command.aggregate, &state, &event) {
            if let Reaction::FollowUp(follow_up) = reaction {
                let (kind, data) = follow_up.command.to_parts().expect("follow-ups are plain data");
                decided.follow_ups.push(format!("{} {kind} {}", follow_up.to, data.get()));
            }
        }
        decided.events.push(event.into());
    }
    decided
}
