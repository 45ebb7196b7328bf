//! The kit of the tests: given events, when a command, then what is recorded, told and done.
//!
//! What a decision leads to is compared in words, one line for each event, follow-up and effect
//! (see [`words`]), so that a test reads like the rules that it checks.

mod checks;
pub(crate) mod hub;
pub(crate) mod make;
pub(crate) mod member;
pub(crate) mod words;
pub(crate) mod world;

use events::{AggregateId, CommandEnvelope, CommandId, CorrelationId, Partition};
use events::{Position, Principal, Sequence, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Decider, DomainCommand, FleetView, Inputs};

/// One aggregate on stage.
pub(crate) struct Scene<D: Decider> {
    pub(crate) id: AggregateId,
    pub(crate) state: D::State,
    pub(crate) fleet: FleetView,
    pub(crate) now: Timestamp,
    /// Where the event stands that led to the next command.
    pub(crate) origin: Option<Position>,
}

impl<D: Decider> Scene<D>
where
    D::Command: Clone + Into<DomainCommand> + PartialEq,
{
    pub(crate) fn of(id: AggregateId) -> Self {
        let now = make::moment(0);
        Self { id, state: D::State::default(), fleet: FleetView::default(), now, origin: None }
    }

    /// What happened before.
    pub(crate) fn given(mut self, events: impl IntoIterator<Item = D::Event>) -> Self {
        for event in events {
            D::evolve(&mut self.state, &event, self.now);
        }
        self
    }

    /// The next command follows from this event of some cluster.
    pub(crate) fn on_evidence(&mut self, sequence: u64) -> &mut Self {
        self.origin = Some(evidence(sequence));
        self
    }

    /// Decides a command as it comes out of an envelope, and says what that leads to.
    pub(crate) fn when(&mut self, command: impl Into<D::Command>) -> Vec<String> {
        let command = through_envelope::<D>(&self.id, command.into());
        let inputs = Inputs { now: self.now, fleet: &self.fleet, origin: self.origin };
        let events = match D::decide(&self.state, &command, &inputs) {
            Err(refusal) => return vec![format!("refused: {refusal}")],
            Ok(events) => events,
        };
        let mut lines = vec![];
        for event in events {
            D::evolve(&mut self.state, &event, self.now);
            let reactions = D::react(&self.id, &self.state, &event);
            lines.push(words::event(&event.into()));
            lines.extend(reactions.iter().map(words::reaction));
        }
        check_round_trip(&self.state);
        lines
    }

    /// What happens when nobody looks at the lines.
    pub(crate) fn after(mut self, command: impl Into<D::Command>) -> Self {
        let lines = self.when(command);
        assert!(!lines.iter().any(|line| line.starts_with("refused")), "{lines:?}");
        self
    }

    /// What is still to be done, as a restart would find it.
    pub(crate) fn outstanding(&self) -> Vec<String> {
        D::outstanding(&self.id, &self.state).iter().map(words::effect).collect()
    }
}

pub(crate) fn evidence(sequence: u64) -> Position {
    Position { partition: Partition(1), sequence: Sequence(sequence) }
}

/// The command as it arrives: written into an envelope and read back.
pub(crate) fn through_envelope<D: Decider>(id: &AggregateId, command: D::Command) -> D::Command
where
    D::Command: Clone + Into<DomainCommand> + PartialEq,
{
    let (kind, data) = command.clone().into().to_parts().expect("commands can be written");
    let envelope = CommandEnvelope {
        id: CommandId::of_input("test"),
        aggregate: id.clone(),
        kind,
        principal: Principal::System,
        time: make::moment(0),
        causation: None,
        origin: None,
        correlation: CorrelationId(CommandId::of_input("test").0),
        traceparent: None,
        data,
    };
    let text = serde_json::to_string(&envelope).unwrap();
    let read = DomainCommand::from_envelope(&serde_json::from_str(&text).unwrap());
    let read = D::own_command(read.expect("what was written can be read")).expect("it is ours");
    assert_eq!(read, command, "an envelope changes nothing");
    read
}

/// States are stored with bincode: nothing may get lost, and the same state has the same bytes.
pub(crate) fn check_round_trip<S>(state: &S)
where
    S: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let config = bincode::config::standard();
    let bytes = bincode::serde::encode_to_vec(state, config).unwrap();
    let (read, length): (S, usize) = bincode::serde::decode_from_slice(&bytes, config).unwrap();
    assert_eq!(length, bytes.len());
    assert_eq!(&read, state);
    assert_eq!(bincode::serde::encode_to_vec(&read, config).unwrap(), bytes);
}
