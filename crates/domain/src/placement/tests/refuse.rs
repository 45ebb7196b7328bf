//! Specifications that cannot be followed.

use events::placement::TargetPhase;

use super::{delete, placed, refuse, report, reschedule, submit, web_in};
use crate::testing::make::everywhere;

const NOTHING: [&str; 0] = [];

#[test]
fn a_specification_that_cannot_be_followed_is_shown_once() {
    let mut web = web_in(&[("eu-1", "")]);
    assert_eq!(
        web.when(refuse("p1", 1, "no such kind")),
        ["PlacementRefused p1/1 InvalidResourceSelectors: no such kind"]
    );
    assert_eq!(web.when(refuse("p1", 1, "no such kind")), NOTHING);
    assert_eq!(
        web.when(refuse("p1", 1, "selected twice")),
        ["PlacementRefused p1/1 InvalidResourceSelectors: selected twice"]
    );
    assert!(web.state.specified.is_none());
}

#[test]
fn what_was_decided_before_stays() {
    let mut web = placed().after(refuse("p1", 2, "selected twice"));
    let placed = placed();
    assert_eq!(web.state.specified, placed.state.specified);
    assert_eq!(web.state.targets, placed.state.targets);
    web.on_evidence(1);
    let lines = web.when(report("eu-1", 1, TargetPhase::Available));
    assert_eq!(lines, ["TargetProgressed eu-1 g1 Available (1:1)"]);
}

#[test]
fn it_is_mended_by_another_generation() {
    let mut web = placed().after(refuse("p1", 2, "selected twice"));
    let lines = web.when(submit("p1", 3, "b", everywhere()));
    assert_eq!(
        lines[..2],
        ["PlacementSpecified p1/3 policy 0", "RevisionRecorded r1 of 2 objects"]
    );
    assert_eq!(web.state.problem, None);
}

/// The placement stayed the same, but the object that two selectors selected is gone.
#[test]
fn it_is_mended_by_a_change_of_what_is_selected() {
    let mut web = placed().after(refuse("p1", 1, "selected twice"));
    assert_eq!(web.when(submit("p1", 1, "a", everywhere())), ["PlacementSpecified p1/1 policy 0"]);
    assert_eq!(web.state.problem, None);
    assert_eq!(web.when(submit("p1", 1, "a", everywhere())), NOTHING);
}

#[test]
fn an_older_generation_is_not_refused_any_more() {
    let mut web = placed().after(submit("p1", 3, "a", everywhere()));
    assert_eq!(
        web.when(refuse("p1", 2, "late")),
        ["refused: generation 2 of the object is older than 3"]
    );
    assert_eq!(web.state.problem, None);
}

#[test]
fn regression_an_older_generation_does_not_mend_a_newer_one() {
    let mut web = placed().after(refuse("p1", 3, "selected twice"));
    let stale = ["refused: generation 2 of the object is older than 3"];
    assert_eq!(web.when(submit("p1", 2, "b", everywhere())), stale);
    assert_eq!(web.when(refuse("p1", 2, "no such kind")), stale);
    assert_eq!(web.state.problem.as_ref().unwrap().message, "selected twice");
}

/// The fleet moves while a specification is refused: the one before is still followed, and the
/// person still has to be told.
#[test]
fn regression_a_move_of_the_fleet_does_not_hide_the_problem() {
    let mut web = placed().after(refuse("p1", 2, "selected twice"));
    web.fleet = super::fleet(&[("eu-1", ""), ("eu-2", ""), ("eu-3", "")]);
    let lines = web.when(reschedule());
    assert_eq!(lines[1], "TargetsMoved [eu-3 g3 r0]");
    assert!(web.state.problem.is_some());
    assert_eq!(web.when(refuse("p1", 2, "selected twice")), NOTHING);
}

/// The deletion of an object was missed, and the next object of its name cannot be followed.
#[test]
fn regression_an_object_that_was_only_ever_refused_can_be_deleted() {
    let mut web = placed().after(refuse("p2", 1, "no such kind"));
    let lines = web.when(delete("p2"));
    assert_eq!(
        lines[..2],
        ["PlacementDeletionRequested p2", "TargetsMoved [eu-1 g3 nothing, eu-2 g4 nothing]"]
    );
}
