//! Commands as they travel. That every command survives its envelope is checked wherever the kit
//! decides one; here is what does not.

use events::{AggregateId, CommandEnvelope, CommandId, CorrelationId, Principal};
use serde_json::value::RawValue;

use crate::DomainCommand;
use crate::fleet::{FleetCommand, FoundFleet};
use crate::placement::{DeletePlacement, PlacementCommand};
use crate::testing::make::{moment, web};

fn envelope(aggregate: AggregateId, kind: &str, data: &str) -> CommandEnvelope {
    let id = CommandId::of_input("test");
    CommandEnvelope {
        id,
        aggregate,
        kind: kind.to_owned(),
        principal: Principal::System,
        time: moment(0),
        causation: None,
        origin: None,
        correlation: CorrelationId(id.0),
        traceparent: None,
        data: RawValue::from_string(data.to_owned()).unwrap(),
    }
}

#[test]
fn a_command_is_named_by_its_variant() {
    let delete = DeletePlacement { uid: "p1".to_owned() };
    let command = DomainCommand::from(PlacementCommand::DeletePlacement(delete));
    let (kind, data) = command.to_parts().unwrap();
    assert_eq!((kind.as_str(), data.get()), ("DeletePlacement", r#"{"uid":"p1"}"#));
    let placement = AggregateId::Placement(web());
    let read = DomainCommand::from_envelope(&envelope(placement, &kind, data.get())).unwrap();
    assert_eq!(read, command);
}

#[test]
fn the_fleet_has_commands_too() {
    let deployment = CommandId::of_input("deployment").0;
    let found = FoundFleet { deployment, partitions: 32, version: "0.1.0".to_owned() };
    let command = DomainCommand::from(FleetCommand::FoundFleet(found));
    let (kind, data) = command.to_parts().unwrap();
    let read = DomainCommand::from_envelope(&envelope(AggregateId::Fleet, &kind, data.get()));
    assert_eq!(read.unwrap(), command);
}

#[test]
fn what_an_aggregate_does_not_know_is_an_error_that_names_the_command() {
    let placement = || AggregateId::Placement(web());
    let cases = [
        (placement(), "RemoveCluster", r#"{"uid":"c1"}"#),
        (placement(), "DeletePlacement", r#"{"name":"web"}"#),
        (placement(), "DeletePlacement", "7"),
        (AggregateId::Cluster("eu-1".to_owned()), "DeletePlacement", r#"{"uid":"p1"}"#),
        (AggregateId::Fleet, "FoundFleets", "{}"),
    ];
    for (aggregate, kind, data) in cases {
        let error = DomainCommand::from_envelope(&envelope(aggregate, kind, data)).unwrap_err();
        assert_eq!(error.kind, kind);
        assert!(error.to_string().starts_with(&format!("command {kind} cannot")), "{error}");
    }
}
