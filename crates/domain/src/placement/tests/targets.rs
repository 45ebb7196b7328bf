//! What members report of their targets.

use events::placement::TargetPhase;

use super::{fleet, placed, report, reschedule, submit};
use crate::testing::make::everywhere;

const NOTHING: [&str; 0] = [];

#[test]
fn a_target_progresses_with_the_evidence_of_its_member() {
    let mut web = placed();
    let steps = [
        (TargetPhase::Assigned, "TargetProgressed eu-1 g1 Assigned (1:1)"),
        (TargetPhase::ApplyFailed, "TargetProgressed eu-1 g1 ApplyFailed [settings] (1:2)"),
        (TargetPhase::Applied, "TargetProgressed eu-1 g1 Applied (1:3)"),
        (TargetPhase::Available, "TargetProgressed eu-1 g1 Available (1:4)"),
        (TargetPhase::Applied, "TargetProgressed eu-1 g1 Applied (1:5)"),
        (TargetPhase::AvailableUntracked, "TargetProgressed eu-1 g1 AvailableUntracked (1:6)"),
    ];
    for (sequence, (phase, expected)) in (1..).zip(steps) {
        web.on_evidence(sequence);
        assert_eq!(web.when(report("eu-1", 1, phase)), [expected]);
        assert_eq!(web.when(report("eu-1", 1, phase)), NOTHING);
    }
    assert_eq!(web.state.targets["eu-2"].phase, TargetPhase::Moving);
}

#[test]
fn a_report_on_another_move_is_refused() {
    let mut web = placed().after(submit("p1", 1, "b", everywhere()));
    web.on_evidence(1);
    for (cluster, generation) in [("eu-1", 1), ("eu-1", 4), ("eu-1", 5), ("us-1", 3)] {
        let refused = format!("refused: it is not about the latest move of {cluster}");
        assert_eq!(web.when(report(cluster, generation, TargetPhase::Available)), [refused]);
    }
    assert_eq!(web.state.targets["eu-1"].phase, TargetPhase::Moving);
}

#[test]
fn a_report_without_evidence_is_refused() {
    let mut web = placed();
    assert_eq!(
        web.when(report("eu-1", 1, TargetPhase::Available)),
        ["refused: a report on eu-1 came without evidence"]
    );
}

#[test]
fn regression_reports_that_arrive_out_of_order_do_not_turn_a_target_back() {
    let mut web = placed();
    web.on_evidence(7);
    web.when(report("eu-1", 1, TargetPhase::Available));
    web.on_evidence(6);
    assert_eq!(
        web.when(report("eu-1", 1, TargetPhase::Assigned)),
        ["refused: a newer report on eu-1 is on record"]
    );
    assert_eq!(web.state.targets["eu-1"].phase, TargetPhase::Available);
    web.on_evidence(8);
    assert_eq!(
        web.when(report("eu-1", 1, TargetPhase::Applied)),
        ["TargetProgressed eu-1 g1 Applied (1:8)"]
    );
}

#[test]
fn a_target_is_forgotten_when_nothing_is_left_on_its_member() {
    let mut web = placed();
    web.fleet = fleet(&[("eu-2", "")]);
    web.when(reschedule());
    web.on_evidence(5);
    assert_eq!(
        web.when(report("eu-1", 3, TargetPhase::Removed)),
        ["TargetProgressed eu-1 g3 Removed (1:5)"]
    );
    assert_eq!(web.state.targets.keys().collect::<Vec<_>>(), ["eu-2"]);
    assert_eq!(
        web.when(report("eu-1", 3, TargetPhase::Removed)),
        ["refused: it is not about the latest move of eu-1"]
    );
}

/// A member that had left when it was told to hold something; the view still shows it.
#[test]
fn a_member_that_let_go_by_itself_is_looked_at_again_once_the_view_knows_why() {
    let mut web = placed();
    web.on_evidence(101);
    assert_eq!(
        web.when(report("eu-1", 1, TargetPhase::Removed)),
        ["TargetProgressed eu-1 g1 Removed (1:101)"],
        "the view was folded up to 1:100"
    );
    web.on_evidence(99);
    assert_eq!(
        web.when(report("eu-2", 2, TargetPhase::Removed)),
        [
            "TargetProgressed eu-2 g2 Removed (1:99)",
            "TargetsMoved [eu-1 g3 r0, eu-2 g4 r0]",
            "-> cluster/eu-1: AssignDelivery cluster/web g3 r0",
            "-> cluster/eu-2: AssignDelivery cluster/web g4 r0",
        ]
    );
}

/// A member left and was registered again, and has not joined yet. To stay placed there would mean
/// to be turned away for ever: move, removed, move, removed.
#[test]
fn regression_what_a_cluster_lost_with_its_membership_does_not_stay_placed() {
    let mut web = placed();
    web.fleet.clusters.get_mut("eu-1").unwrap().identity = None;
    web.on_evidence(99);
    assert_eq!(
        web.when(report("eu-1", 1, TargetPhase::Removed)),
        [
            "TargetProgressed eu-1 g1 Removed (1:99)",
            "PlacementScheduled 1 policy 0: 1 of 2 clusters match the policy: \
             [-eu-1 NotJoined, +eu-2 Matches]",
        ]
    );
}

/// It was registered again with a taint: the new membership is like any other.
#[test]
fn regression_a_new_membership_has_to_match_by_itself() {
    let mut web = placed();
    super::taint(&mut web, "eu-1", "gpu=yes");
    web.on_evidence(99);
    let lines = web.when(report("eu-1", 1, TargetPhase::Removed));
    assert!(lines[1].contains("[-eu-1 Taint gpu=yes, +eu-2 Matches]"), "{lines:?}");
    assert_eq!(lines.len(), 2);
}

#[test]
fn revisions_are_known_as_long_as_a_target_should_hold_them() {
    let mut web = placed();
    let known = |web: &crate::testing::Scene<crate::placement::Placement>| {
        web.state.revisions.keys().copied().collect::<Vec<_>>()
    };
    web.when(submit("p1", 1, "b", everywhere()));
    assert_eq!(known(&web), [1]);
    web.fleet = fleet(&[]);
    web.when(reschedule());
    assert_eq!(known(&web), [1], "the latest one stays");
}
