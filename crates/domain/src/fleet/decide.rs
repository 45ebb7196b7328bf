//! The fleet's decisions.

use events::{AggregateId, Event, Timestamp, event::FleetEvent, fleet::FleetFounded};
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
        let FleetCommand::FoundFleet(asked) = command;
        match &state.founded {
            None => Ok(vec![asked.clone().into()]),
            Some(recorded) if recorded.deployment == asked.deployment => Ok(vec![]),
            Some(recorded) => Err(FleetRefusal::ReasonOtherDeployment {
                recorded: recorded.deployment.to_string(),
                asked: asked.deployment.to_string(),
            }),
        }
    }

    fn evolve(state: &mut FleetState, event: &FleetEvent, _time: Timestamp) {
        let FleetEvent::FleetFounded(founded) = event;
        state.founded = Some(founded.clone());
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
