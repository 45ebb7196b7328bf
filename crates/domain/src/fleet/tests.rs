//! Tests of the fleet.

use events::{AggregateId, CommandId};

use super::{AcceptHub, Fleet, FleetCommand, FoundFleet, HandOverFleet, ReportHubRevision};
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

fn hand_over(number: u8, hub: &str) -> FleetCommand {
    FleetCommand::HandOverFleet(HandOverFleet {
        handover: format!("00000000-0000-0000-0000-{number:012}").parse().unwrap(),
        hub: hub.to_owned(),
        from_hub: Some("before".to_owned()),
        from_deployment: None,
    })
}

#[test]
fn the_latest_handover_holds_whenever_it_is_recorded() {
    let mut fleet = Scene::<Fleet>::of(AggregateId::Fleet).after(found("ours"));
    assert_eq!(fleet.when(hand_over(2, "b")), ["FleetHandedOver to b"]);
    assert_eq!(fleet.when(hand_over(2, "b")), [""; 0]);
    assert_eq!(
        fleet.when(hand_over(1, "a")),
        ["refused: the fleet was handed over to the hub cluster b later"]
    );
    assert_eq!(fleet.when(hand_over(3, "a")), ["FleetHandedOver to a"]);
    assert_eq!(fleet.state.handed_over.as_ref().unwrap().hub, "a");
}

fn revision(revision: u64) -> FleetCommand {
    FleetCommand::ReportHubRevision(ReportHubRevision { revision })
}

fn accept(token: &str) -> FleetCommand {
    FleetCommand::AcceptHub(AcceptHub { token: token.to_owned() })
}

#[test]
fn a_hub_that_went_back_is_on_record_until_somebody_accepts_it() {
    let mut fleet = Scene::<Fleet>::of(AggregateId::Fleet).after(found("ours"));
    assert_eq!(fleet.when(revision(10)), ["HubRevisionSeen 10"]);
    assert_eq!(fleet.when(revision(10)), [""; 0]);
    assert_eq!(fleet.when(revision(12)), ["HubRevisionSeen 12"]);
    assert_eq!(fleet.when(revision(7)), ["HubWentBack from 12 to 7"]);
    assert_eq!(fleet.when(revision(9)), ["HubRevisionSeen 9"]);
    assert_eq!(
        fleet.when(accept("went-back-20-7")),
        ["refused: the hub is not held for went-back-20-7"]
    );
    assert_eq!(fleet.when(accept("went-back-12-7")), ["HubAccepted"]);
    assert_eq!(fleet.state.hub_went_back, None);
}
