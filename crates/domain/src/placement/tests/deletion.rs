//! Deleted, and created again under the same name.

use events::placement::TargetPhase;

use super::{delete, placed, refuse, report, reschedule, submit, web_in};
use crate::placement::PlacementState;
use crate::testing::Scene;
use crate::testing::make::everywhere;

const NOTHING: [&str; 0] = [];

/// The placement after its deletion was asked for and both members removed everything.
fn deleted() -> Scene<crate::placement::Placement> {
    let mut web = placed().after(delete("p1"));
    web.on_evidence(11);
    web.when(report("eu-1", 3, TargetPhase::Removed));
    web.on_evidence(12);
    web.when(report("eu-2", 4, TargetPhase::Removed));
    web
}

#[test]
fn a_placement_is_deleted_when_nothing_is_left_anywhere() {
    let mut web = placed();
    assert_eq!(
        web.when(delete("p1")),
        [
            "PlacementDeletionRequested p1",
            "TargetsMoved [eu-1 g3 nothing, eu-2 g4 nothing]",
            "-> cluster/eu-1: WithdrawDelivery cluster/web g3",
            "-> cluster/eu-2: WithdrawDelivery cluster/web g4",
        ]
    );
    assert_eq!(web.when(delete("p1")), NOTHING);
    assert_eq!(web.when(reschedule()), NOTHING);
    web.on_evidence(11);
    assert_eq!(
        web.when(report("eu-1", 3, TargetPhase::Removed)),
        ["TargetProgressed eu-1 g3 Removed (1:11)"]
    );
    web.on_evidence(12);
    assert_eq!(
        web.when(report("eu-2", 4, TargetPhase::Removed)),
        ["TargetProgressed eu-2 g4 Removed (1:12)", "PlacementDeleted p1"]
    );
    assert_eq!(web.when(delete("p1")), NOTHING);
    assert_eq!(web.when(reschedule()), NOTHING);
}

#[test]
fn a_placement_that_is_nowhere_is_deleted_at_once() {
    let deleted = ["PlacementDeletionRequested p1", "PlacementDeleted p1"];
    let mut nowhere = web_in(&[]).after(submit("p1", 1, "a", everywhere()));
    assert_eq!(nowhere.when(delete("p1")), deleted);
    let mut refused = web_in(&[("eu-1", "")]).after(refuse("p1", 1, "no such kind"));
    assert_eq!(refused.when(delete("p1")), deleted);
    assert_eq!(web_in(&[]).when(delete("p1")), NOTHING);
}

#[test]
fn the_deletion_of_an_earlier_object_does_not_delete_the_placement() {
    let mut web = placed();
    assert_eq!(web.when(delete("p0")), ["refused: it is about another object of this name"]);
    assert!(web.state.deleting.is_none());
}

#[test]
fn what_is_being_deleted_takes_nothing_new() {
    let mut web = placed().after(delete("p1"));
    let refused = ["refused: the placement is being deleted"];
    assert_eq!(web.when(submit("p1", 2, "b", everywhere())), refused);
    assert_eq!(web.when(refuse("p1", 2, "no such kind")), refused);
    web.fleet = super::fleet(&[("eu-1", ""), ("eu-2", ""), ("eu-3", "")]);
    assert_eq!(web.when(reschedule()), NOTHING);
}

#[test]
fn late_reports_do_not_bring_a_deleted_placement_back() {
    let mut web = deleted();
    let before = web.state.clone();
    web.on_evidence(13);
    for (generation, phase) in [(1, TargetPhase::Available), (3, TargetPhase::Removed)] {
        assert_eq!(
            web.when(report("eu-1", generation, phase)),
            ["refused: it is not about the latest move of eu-1"]
        );
    }
    assert_eq!(web.state, before);
}

#[test]
fn regression_a_placement_of_the_same_name_is_new_and_only_its_moves_go_on_counting() {
    let mut web = deleted();
    assert_eq!(web.state, PlacementState { moves: 4, ..PlacementState::default() });
    let lines = web.when(submit("p2", 1, "b", everywhere()));
    assert_eq!(
        lines,
        [
            "PlacementSpecified p2/1 policy 0",
            "RevisionRecorded r0 of 2 objects",
            "PlacementScheduled 1 policy 0: 2 of 2 clusters match the policy: \
             [+eu-1 Matches, +eu-2 Matches]",
            "TargetsMoved [eu-1 g5 r0, eu-2 g6 r0]",
            "-> cluster/eu-1: AssignDelivery cluster/web g5 r0",
            "-> cluster/eu-2: AssignDelivery cluster/web g6 r0",
        ]
    );
}

/// The same YAML applied again.
#[test]
fn regression_a_placement_that_selects_the_same_after_its_deletion_is_delivered() {
    let mut web = deleted();
    let lines = web.when(submit("p2", 1, "a", everywhere()));
    assert_eq!(
        lines[3..],
        [
            "TargetsMoved [eu-1 g5 r0, eu-2 g6 r0]",
            "-> cluster/eu-1: AssignDelivery cluster/web g5 r0",
            "-> cluster/eu-2: AssignDelivery cluster/web g6 r0",
        ]
    );
}

/// Its finalizer was removed by hand, and the next object came before everything was gone.
#[test]
fn an_object_that_comes_during_the_deletion_takes_over() {
    let mut web = placed().after(delete("p1"));
    let lines = web.when(submit("p2", 1, "a", everywhere()));
    assert_eq!(
        lines,
        [
            "PlacementSpecified p2/1 policy 0",
            "RevisionRecorded r0 of 2 objects",
            "PlacementScheduled 1 policy 0: 2 of 2 clusters match the policy: \
             [+eu-1 Matches, +eu-2 Matches]",
            "TargetsMoved [eu-1 g5 r0, eu-2 g6 r0]",
            "-> cluster/eu-1: AssignDelivery cluster/web g5 r0",
            "-> cluster/eu-2: AssignDelivery cluster/web g6 r0",
        ]
    );
    web.on_evidence(11);
    assert_eq!(
        web.when(report("eu-1", 3, TargetPhase::Removed)),
        ["refused: it is not about the latest move of eu-1"]
    );
    assert_eq!(web.when(delete("p1")), ["refused: it is about another object of this name"]);
}
