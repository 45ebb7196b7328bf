//! Tests of the fleet.

use events::{AggregateId, CommandId};

use super::{Fleet, FleetCommand, FoundFleet};
use crate::testing::Scene;

fn found(deployment: &str) -> FleetCommand {
    let deployment = CommandId::of_input(deployment).0;
    FleetCommand::FoundFleet(FoundFleet { deployment, partitions: 32, version: "0.1.0".to_owned() })
}

#[test]
fn a_fleet_is_founded_once() {
    let mut fleet = Scene::<Fleet>::of(AggregateId::Fleet);
    let deployment = CommandId::of_input("ours").0;
    assert_eq!(fleet.when(found("ours")), [format!("FleetFounded {deployment}")]);
    assert_eq!(fleet.when(found("ours")), [""; 0]);
    assert_eq!(fleet.state.founded.as_ref().unwrap().partitions, 32);
}

#[test]
fn another_deployment_is_refused() {
    let mut fleet = Scene::<Fleet>::of(AggregateId::Fleet).after(found("ours"));
    let (ours, theirs) = (CommandId::of_input("ours").0, CommandId::of_input("theirs").0);
    assert_eq!(
        fleet.when(found("theirs")),
        [format!("refused: the fleet was founded as deployment {ours}, not {theirs}")]
    );
    assert_eq!(fleet.state.founded.as_ref().unwrap().deployment, ours);
}
