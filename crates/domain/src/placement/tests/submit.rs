//! Submitted: new, unchanged, with other objects, with another policy.

use events::cluster::ApplyStrategy;

use super::{placed, reschedule, submit, submit_noting, web_in};
use crate::placement::{PlacementCommand, SubmitPlacement};
use crate::testing::make::{content, everywhere, fixed, spec, wherever};

const NOTHING: [&str; 0] = [];

#[test]
fn a_placement_is_specified_scheduled_and_moved() {
    let mut web = web_in(&[("eu-1", "env=prod"), ("eu-2", "env=test")]);
    assert_eq!(
        web.when(submit("p1", 1, "a", wherever("env=prod"))),
        [
            "PlacementSpecified p1/1 policy 0",
            "RevisionRecorded r0 of 2 objects",
            "PlacementScheduled 1 policy 0: 1 of 2 clusters match the policy: \
             [+eu-1 Matches, -eu-2 LabelsDoNotMatch]",
            "TargetsMoved [eu-1 g1 r0]",
            "-> cluster/eu-1: AssignDelivery cluster/web g1 r0",
        ]
    );
}

#[test]
fn submitting_it_again_adds_nothing() {
    let mut web = placed();
    let before = web.state.clone();
    for _ in 0..3 {
        assert_eq!(web.when(submit("p1", 1, "a", everywhere())), NOTHING);
    }
    assert_eq!(web.state, before);
}

#[test]
fn other_objects_are_another_revision_for_every_target() {
    let mut web = placed();
    assert_eq!(
        web.when(submit("p1", 1, "b", everywhere())),
        [
            "RevisionRecorded r1 of 2 objects",
            "TargetsMoved [eu-1 g3 r1, eu-2 g4 r1]",
            "-> cluster/eu-1: AssignDelivery cluster/web g3 r1",
            "-> cluster/eu-2: AssignDelivery cluster/web g4 r1",
        ]
    );
}

#[test]
fn objects_that_change_back_are_yet_another_revision() {
    let mut web = placed().after(submit("p1", 1, "b", everywhere()));
    let lines = web.when(submit("p1", 1, "a", everywhere()));
    assert_eq!(lines[0], "RevisionRecorded r2 of 2 objects");
    assert_eq!(lines[1], "TargetsMoved [eu-1 g5 r2, eu-2 g6 r2]");
}

#[test]
fn changed_selectors_that_select_the_same_move_nothing() {
    let mut web = placed();
    assert_eq!(
        web.when(submit("p1", 2, "a", everywhere())),
        [
            "PlacementSpecified p1/2 policy 0",
            "PlacementScheduled 2 policy 0: 2 of 2 clusters match the policy: \
             [+eu-1 Matches, +eu-2 Matches]",
        ]
    );
}

#[test]
fn a_changed_policy_moves_targets_off_clusters_that_no_longer_match() {
    let mut web = placed();
    assert_eq!(
        web.when(submit("p1", 2, "a", wherever("env=test"))),
        [
            "PlacementSpecified p1/2 policy 1",
            "PlacementScheduled 2 policy 1: 1 of 2 clusters match the policy: \
             [-eu-1 LabelsDoNotMatch, +eu-2 Matches]",
            "TargetsMoved [eu-1 g3 nothing]",
            "-> cluster/eu-1: WithdrawDelivery cluster/web g3",
        ]
    );
    assert_eq!(web.when(submit("p1", 2, "a", wherever("env=test"))), NOTHING);
}

#[test]
fn objects_and_policy_can_change_at_once() {
    let mut web = placed();
    let lines = web.when(submit("p1", 2, "b", fixed(&["eu-2"])));
    assert_eq!(
        lines[3..],
        [
            "TargetsMoved [eu-1 g3 nothing, eu-2 g4 r1]",
            "-> cluster/eu-1: WithdrawDelivery cluster/web g3",
            "-> cluster/eu-2: AssignDelivery cluster/web g4 r1",
        ]
    );
}

#[test]
fn a_target_that_is_being_removed_can_be_wanted_again() {
    let mut web = placed().after(submit("p1", 2, "a", fixed(&["eu-2"])));
    let lines = web.when(submit("p1", 3, "a", everywhere()));
    assert_eq!(
        lines[2..],
        ["TargetsMoved [eu-1 g4 r0]", "-> cluster/eu-1: AssignDelivery cluster/web g4 r0",]
    );
}

#[test]
fn an_older_generation_of_the_object_is_refused() {
    let mut web = placed().after(submit("p1", 3, "b", everywhere()));
    let before = web.state.clone();
    assert_eq!(
        web.when(submit("p1", 2, "a", fixed(&[]))),
        ["refused: generation 2 of the object is older than 3"]
    );
    assert_eq!(web.state, before);
}

#[test]
fn another_object_of_the_name_takes_over_what_is_placed() {
    let mut web = placed();
    assert_eq!(
        web.when(submit("p2", 1, "a", everywhere())),
        [
            "PlacementSpecified p2/1 policy 0",
            "PlacementScheduled 1 policy 0: 2 of 2 clusters match the policy: \
             [+eu-1 Matches, +eu-2 Matches]",
        ],
        "its generations and decisions start anew"
    );
    assert_eq!(web.state.specified.as_ref().unwrap().uid, "p2");
    assert_eq!(web.when(submit("p2", 1, "b", everywhere()))[0], "RevisionRecorded r1 of 2 objects");
}

#[test]
fn what_a_selection_leaves_out_is_recorded_when_it_changes() {
    let noting = |notes: &[&str]| submit_noting("p1", 1, "a", everywhere(), notes);
    let mut web = placed();
    assert_eq!(web.when(noting(&["no b"])), ["SelectionNoted [no b]"]);
    assert_eq!(web.when(noting(&["no b"])), NOTHING);
    assert_eq!(web.when(reschedule()), NOTHING);
    assert_eq!(web.state.notes, ["no b"]);
    assert_eq!(web.when(noting(&[])), ["SelectionNoted []"]);
    assert!(web.state.notes.is_empty());
}

/// The way in which objects are written is part of what a member should do (reference §2.5, 1).
#[test]
fn regression_a_changed_apply_strategy_reaches_the_members() {
    let apply = ApplyStrategy { force: true, allow_co_ownership: false };
    let forced = || {
        PlacementCommand::SubmitPlacement(SubmitPlacement {
            uid: "p1".to_owned(),
            generation: 2,
            spec: events::placement::PlacementSpec { apply: apply.clone(), ..spec(everywhere()) },
            revision: content("a"),
            notes: vec![],
        })
    };
    let mut web = placed();
    let lines = web.when(forced());
    assert_eq!(
        lines[2..],
        [
            "TargetsMoved [eu-1 g3 r0, eu-2 g4 r0]",
            "-> cluster/eu-1: AssignDelivery cluster/web g3 r0 by force",
            "-> cluster/eu-2: AssignDelivery cluster/web g4 r0 by force",
        ]
    );
    assert_eq!(web.when(forced()), NOTHING);
}
