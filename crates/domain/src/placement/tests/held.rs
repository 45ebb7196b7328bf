//! What the hub's Kubernetes API lost of a placement moves nothing until it is explained.

use events::placement::{HoldReason, TargetPhase};

use super::{delete, placed, refuse, report, reschedule, submit, web_in};
use crate::placement::{AcceptOlder, HoldPlacement, Placement, PlacementCommand};
use crate::testing::Scene;
use crate::testing::make::{everywhere, wherever};

const NOTHING: [&str; 0] = [];

fn hold(uid: &str, reason: HoldReason, token: &str) -> PlacementCommand {
    let (uid, token, message) = (uid.to_owned(), token.to_owned(), "it is gone".to_owned());
    PlacementCommand::HoldPlacement(HoldPlacement { uid, reason, token, message })
}

fn accept_older(token: &str) -> PlacementCommand {
    PlacementCommand::AcceptOlder(AcceptOlder { token: token.to_owned() })
}

/// The placement on eu-1 and eu-2, whose object is gone.
fn held() -> Scene<Placement> {
    placed().after(hold("p1", HoldReason::ObjectGone, "t1"))
}

#[test]
fn nothing_moves_while_a_placement_is_held() {
    let mut web = placed();
    let gone = || hold("p1", HoldReason::ObjectGone, "t1");
    assert_eq!(web.when(gone()), ["PlacementHeld p1 ObjectGone"]);
    assert_eq!(web.when(gone()), NOTHING);
    web.fleet.clusters.remove("eu-2");
    assert_eq!(web.when(reschedule()), NOTHING);
    web.on_evidence(11);
    assert_eq!(
        web.when(report("eu-1", 1, TargetPhase::Available)),
        ["TargetProgressed eu-1 g1 Available (1:11)"],
        "what members say is heard"
    );
}

#[test]
fn an_object_that_is_there_again_ends_the_hold() {
    let mut web = held();
    assert_eq!(web.when(submit("p1", 1, "a", everywhere())), ["PlacementHoldEnded p1"]);
    let mut web = held();
    assert_eq!(
        web.when(refuse("p1", 2, "no such kind")),
        ["PlacementHoldEnded p1", "PlacementRefused p1/2 InvalidResourceSelectors: no such kind"]
    );
}

#[test]
fn a_deletion_that_was_confirmed_removes_everything() {
    let mut web = held();
    assert_eq!(web.when(delete("p1"))[0], "PlacementDeletionRequested p1");
    assert_eq!(web.state.held, None);
    assert_eq!(
        web.when(hold("p1", HoldReason::ObjectGone, "t1")),
        ["refused: the placement is being deleted"]
    );
}

#[test]
fn what_is_not_on_record_is_not_held() {
    let other = ["refused: it is about another object of this name"];
    assert_eq!(placed().when(hold("p2", HoldReason::ObjectGone, "t1")), other);
    assert_eq!(web_in(&[]).when(hold("p1", HoldReason::ObjectGone, "t1")), other);
}

#[test]
fn an_object_that_went_back_counts_only_when_somebody_says_so() {
    let mut web = placed().after(submit("p1", 5, "b", everywhere()));
    let older = || submit("p1", 3, "a", wherever("env=prod"));
    assert_eq!(web.when(older()), ["refused: generation 3 of the object is older than 5"]);
    web.when(hold("p1", HoldReason::ObjectWentBack, "t3"));
    assert_eq!(web.when(accept_older("t1")), ["refused: it is not held for t1"]);
    assert_eq!(web.when(accept_older("t3")), ["PlacementHoldEnded p1, older counts"]);
    assert_eq!(web.when(older())[0], "PlacementSpecified p1/3 policy 1");
    assert_eq!(held().when(accept_older("t1")), ["refused: it is not held for t1"]);
}
