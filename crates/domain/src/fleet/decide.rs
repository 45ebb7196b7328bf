//! The fleet's decisions.

use events::event::FleetEvent;
use events::fleet::{FleetFounded, FleetHandedOver, HubAccepted, HubRevisionSeen, HubWentBack};
use events::{AggregateId, Event, Timestamp};
use serde::{Deserialize, Serialize};

use super::{AcceptHub, FleetCommand, FleetRefusal, ReportHubRevision};
use crate::{Decider, DomainCommand, Effect, Inputs, Reaction, WakeUp};

/// The decider of the fleet.
#[derive(Debug)]
pub struct Fleet;

/// What is known of the fleet as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FleetState {
    /// Set once.
    pub founded: Option<FleetFounded>,
    /// The last time that it took a hub cluster over, if it ever did.
    pub handed_over: Option<FleetHandedOver>,
    /// The latest resource version of the hub's etcd on record; 0 before there is one.
    pub hub_revision: u64,
    /// That it went back, until somebody confirmed that it counts as it is.
    pub hub_went_back: Option<WentBack>,
}

/// The hub's etcd is an older copy of itself, or another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WentBack {
    /// Stands for exactly this.
    pub token: String,
    /// In words, with what to do.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}

impl Decider for Fleet {
    type State = FleetState;
    type Command = FleetCommand;
    type Event = FleetEvent;
    type Refusal = FleetRefusal;

    fn decide(
        state: &FleetState,
        command: &FleetCommand,
        _inputs: &Inputs<'_>,
    ) -> Result<Vec<FleetEvent>, FleetRefusal> {
        match command {
            FleetCommand::FoundFleet(asked) => found(state, asked),
            FleetCommand::HandOverFleet(asked) => hand_over(state, asked),
            FleetCommand::ReportHubRevision(seen) => Ok(report_hub_revision(state, seen)),
            FleetCommand::AcceptHub(accepted) => accept_hub(state, accepted),
        }
    }

    fn evolve(state: &mut FleetState, event: &FleetEvent, time: Timestamp) {
        match event {
            FleetEvent::FleetFounded(founded) => state.founded = Some(founded.clone()),
            FleetEvent::FleetHandedOver(handed) => state.handed_over = Some(handed.clone()),
            FleetEvent::HubRevisionSeen(seen) => state.hub_revision = seen.revision,
            FleetEvent::HubWentBack(fell) => {
                state.hub_revision = fell.to;
                let (token, message) = (fell.token.clone(), fell.message.clone());
                state.hub_went_back = Some(WentBack { token, message, since: time });
            }
            FleetEvent::HubAccepted(_) => state.hub_went_back = None,
        }
    }

    fn react(_id: &AggregateId, _state: &FleetState, _event: &FleetEvent) -> Vec<Reaction> {
        vec![]
    }

    fn outstanding(_id: &AggregateId, _state: &FleetState) -> Vec<Effect> {
        vec![]
    }

    fn settled(_id: &AggregateId, _state: &FleetState) -> Vec<Effect> {
        vec![]
    }

    fn wake_up(_state: &FleetState) -> Option<WakeUp> {
        None
    }

    fn uses_view(_command: &FleetCommand) -> bool {
        false
    }

    fn own_event(event: &Event) -> Option<&FleetEvent> {
        match event {
            Event::Fleet(event) => Some(event),
            Event::Cluster(_) | Event::Placement(_) => None,
        }
    }

    fn own_command(command: DomainCommand) -> Option<FleetCommand> {
        match command {
            DomainCommand::Fleet(command) => Some(command),
            DomainCommand::Cluster(_) | DomainCommand::Placement(_) => None,
        }
    }
}

fn found(state: &FleetState, asked: &FleetFounded) -> Result<Vec<FleetEvent>, FleetRefusal> {
    match &state.founded {
        None => Ok(vec![asked.clone().into()]),
        Some(recorded) if recorded.deployment == asked.deployment => Ok(vec![]),
        Some(recorded) => Err(FleetRefusal::ReasonOtherDeployment {
            recorded: recorded.deployment.to_string(),
            asked: asked.deployment.to_string(),
        }),
    }
}

/// Hubs of both clusters may ask at the same time: the later handover holds, in whatever order
/// they are recorded.
fn hand_over(state: &FleetState, asked: &FleetHandedOver) -> Result<Vec<FleetEvent>, FleetRefusal> {
    match &state.handed_over {
        Some(last) if last.handover == asked.handover => Ok(vec![]),
        Some(last) if last.handover > asked.handover => {
            Err(FleetRefusal::ReasonHandedOverLater { hub: last.hub.clone() })
        }
        Some(_) | None => Ok(vec![asked.clone().into()]),
    }
}

/// Resource versions of one etcd only rise.
fn report_hub_revision(state: &FleetState, seen: &ReportHubRevision) -> Vec<FleetEvent> {
    let (from, to) = (state.hub_revision, seen.revision);
    if to == from {
        return vec![];
    }
    if to > from {
        return vec![HubRevisionSeen { revision: to }.into()];
    }
    let message = format!(
        "the resource versions of the hub's etcd went back from {from} to {to}, as after a restore \
         from an older copy: whatever is missing there stays on the members until it is back or \
         confirmed; have the hub count as it is with: taffrail held confirm fleet"
    );
    vec![HubWentBack { from, to, token: format!("went-back-{from}-{to}"), message }.into()]
}

fn accept_hub(state: &FleetState, accepted: &AcceptHub) -> Result<Vec<FleetEvent>, FleetRefusal> {
    match &state.hub_went_back {
        Some(held) if held.token == accepted.token => Ok(vec![HubAccepted {}.into()]),
        Some(_) | None => Err(FleetRefusal::ReasonNotHeld { asked: accepted.token.clone() }),
    }
}
