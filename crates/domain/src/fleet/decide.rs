//! The fleet's decisions.

use events::event::FleetEvent;
use events::fleet::{FleetFounded, FleetHandedOver};
use events::{AggregateId, Event, Timestamp};
use serde::{Deserialize, Serialize};

use super::{FleetCommand, FleetRefusal};
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
        }
    }

    fn evolve(state: &mut FleetState, event: &FleetEvent, _time: Timestamp) {
        match event {
            FleetEvent::FleetFounded(founded) => state.founded = Some(founded.clone()),
            FleetEvent::FleetHandedOver(handed) => state.handed_over = Some(handed.clone()),
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
