//! Where a placement goes when the fleet moves.

use events::placement::{Policy, TargetPhase};

use super::{fleet, placed, relabel, report, reschedule, submit, taint, web_in};
use crate::placement::TARGETS_PER_MOVE_MAX;
use crate::testing::make::{everywhere, fixed, moment, tolerates, wherever};
use crate::{Decider, placement::Placement};

const NOTHING: [&str; 0] = [];

#[test]
fn looking_again_at_the_same_fleet_adds_nothing() {
    let mut web = placed();
    assert_eq!(web.when(reschedule()), NOTHING);
    web.fleet.watermark.advance(super::evidence(200));
    web.now = moment(60);
    assert_eq!(web.when(reschedule()), NOTHING, "a later look that sees the same is no decision");
}

#[test]
fn a_placement_that_was_never_specified_goes_nowhere() {
    assert_eq!(web_in(&[("eu-1", "")]).when(reschedule()), NOTHING);
}

#[test]
fn a_new_member_is_placed_on() {
    let mut web = placed();
    web.fleet = fleet(&[("eu-1", "env=prod"), ("eu-2", "env=test"), ("us-1", "")]);
    assert_eq!(
        web.when(reschedule()),
        [
            "PlacementScheduled 1 policy 0: 3 of 3 clusters match the policy: \
             [+eu-1 Matches, +eu-2 Matches, +us-1 Matches]",
            "TargetsMoved [us-1 g3 r0]",
            "-> cluster/us-1: AssignDelivery cluster/web g3 r0",
        ]
    );
}

#[test]
fn a_member_that_left_is_let_go() {
    let mut web = placed();
    web.fleet = fleet(&[("eu-2", "env=test")]);
    let lines = web.when(reschedule());
    assert_eq!(
        lines[1..],
        ["TargetsMoved [eu-1 g3 nothing]", "-> cluster/eu-1: WithdrawDelivery cluster/web g3",]
    );
    assert_eq!(web.when(reschedule()), NOTHING);
}

#[test]
fn labels_taints_and_health_that_change_later_move_nothing() {
    let mut web = web_in(&[("eu-1", "env=prod"), ("eu-2", "env=prod")]);
    web.when(submit("p1", 1, "a", wherever("env=prod")));
    relabel(&mut web, "eu-1", "env=test");
    taint(&mut web, "eu-2", "gpu=yes");
    assert_eq!(
        web.when(reschedule()),
        ["PlacementScheduled 1 policy 0: 2 of 2 clusters match the policy: \
          [+eu-1 StaysPlaced despite LabelsDoNotMatch, +eu-2 StaysPlaced despite Taint gpu=yes]"]
    );
    web.fleet.clusters.get_mut("eu-1").unwrap().is_unhealthy = true;
    assert_eq!(
        web.when(reschedule()),
        ["PlacementScheduled 1 policy 0: 2 of 2 clusters match the policy: \
          [+eu-1 StaysPlaced despite Unhealthy, +eu-2 StaysPlaced despite Taint gpu=yes]"]
    );
}

/// See the scheduler's test of the same kind: here the whole decision.
#[test]
fn regression_an_edit_of_the_tolerations_leaves_an_unwell_member_alone() {
    let mut web = placed();
    web.fleet.clusters.get_mut("eu-1").unwrap().is_unhealthy = true;
    let tolerant = Policy::PickAll { terms: vec![], tolerations: vec![tolerates("gpu", None)] };
    assert_eq!(
        web.when(submit("p1", 2, "a", tolerant))[1..],
        ["PlacementScheduled 2 policy 1: 2 of 2 clusters match the policy: \
          [+eu-1 StaysPlaced despite Unhealthy, +eu-2 Matches]"]
    );
}

#[test]
fn what_was_never_placed_stays_away_for_the_same_reasons() {
    let mut web = web_in(&[("eu-1", "env=test"), ("eu-2", "env=prod"), ("eu-3", "env=prod")]);
    taint(&mut web, "eu-2", "gpu=yes");
    web.fleet.clusters.get_mut("eu-3").unwrap().identity = None;
    let lines = web.when(submit("p1", 1, "a", wherever("env=prod")));
    assert_eq!(
        lines[2..],
        ["PlacementScheduled 1 policy 0: 0 of 3 clusters match the policy: \
          [-eu-1 LabelsDoNotMatch, -eu-2 Taint gpu=yes, -eu-3 NotJoined]"]
    );
}

#[test]
fn a_fixed_policy_waits_for_clusters_that_are_missing() {
    let mut web = web_in(&[("eu-1", "")]);
    let lines = web.when(submit("p1", 1, "a", fixed(&["eu-2", "eu-1"])));
    assert_eq!(
        lines[2..],
        [
            "PlacementScheduled 1 policy 0: 1 of the 2 clusters named by the policy cannot be \
             chosen: see the clusters' entries: [+eu-1 Named, -eu-2 NotFound]",
            "TargetsMoved [eu-1 g1 r0]",
            "-> cluster/eu-1: AssignDelivery cluster/web g1 r0",
        ]
    );
    assert!(!web.state.scheduled.as_ref().unwrap().fulfilled);

    web.fleet = fleet(&[("eu-1", ""), ("eu-2", "")]);
    let lines = web.when(reschedule());
    assert_eq!(lines[1], "TargetsMoved [eu-2 g2 r0]");
    assert!(web.state.scheduled.as_ref().unwrap().fulfilled);
}

#[test]
fn a_fixed_policy_without_clusters_takes_everything_back() {
    let mut web = placed();
    let lines = web.when(submit("p1", 2, "a", fixed(&[])));
    assert_eq!(
        lines[1..3],
        [
            "PlacementScheduled 2 policy 1: all 0 clusters named by the policy are chosen: []",
            "TargetsMoved [eu-1 g3 nothing, eu-2 g4 nothing]",
        ]
    );
}

#[test]
fn a_record_says_what_of_the_log_the_scheduler_had_seen() {
    let web = placed();
    let submit = submit("p1", 1, "a", everywhere());
    assert!(Placement::uses_view(&submit));
    assert!(Placement::uses_view(&reschedule()));
    assert!(Placement::uses_view(&report("eu-1", 1, TargetPhase::Removed)));
    assert!(!Placement::uses_view(&report("eu-1", 1, TargetPhase::Available)));
    let inputs =
        crate::Inputs { now: moment(0), fleet: &web.fleet, origin: Some(super::evidence(3)) };
    let events = Placement::decide(&Default::default(), &submit, &inputs).unwrap();
    let seen = events.iter().find_map(|event| match event {
        events::event::PlacementEvent::PlacementScheduled(scheduled) => Some(&scheduled.watermark),
        events::event::PlacementEvent::PlacementSpecified(_)
        | events::event::PlacementEvent::PlacementRefused(_)
        | events::event::PlacementEvent::RevisionRecorded(_)
        | events::event::PlacementEvent::SelectionNoted(_)
        | events::event::PlacementEvent::TargetsMoved(_)
        | events::event::PlacementEvent::TargetProgressed(_)
        | events::event::PlacementEvent::PlacementDeletionRequested(_)
        | events::event::PlacementEvent::PlacementDeleted(_)
        | events::event::PlacementEvent::PlacementHeld(_)
        | events::event::PlacementEvent::PlacementHoldEnded(_)
        | events::event::PlacementEvent::MovesRaised(_) => None,
    });
    assert_eq!(seen, Some(&web.fleet.watermark));
}

#[test]
fn a_large_fleet_is_moved_in_steps_that_fit_a_frame() {
    let names: Vec<String> =
        (0..2 * TARGETS_PER_MOVE_MAX + 1).map(|n| format!("c{n:04}")).collect();
    let members: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let mut web = web_in(&members);
    let asks_itself = |lines: &[String]| {
        lines.iter().filter(|line| *line == "-> placement/cluster/web: Reschedule").count()
    };

    let first = web.when(submit("p1", 1, "a", everywhere()));
    assert_eq!(web.state.targets.len(), TARGETS_PER_MOVE_MAX);
    assert_eq!(asks_itself(&first), 1);
    let second = web.when(reschedule());
    assert_eq!(web.state.targets.len(), 2 * TARGETS_PER_MOVE_MAX);
    assert_eq!(asks_itself(&second), 1);
    let last = web.when(reschedule());
    assert_eq!(
        last,
        ["TargetsMoved [c1000 g1001 r0]", "-> cluster/c1000: AssignDelivery cluster/web g1001 r0"]
    );
    assert_eq!(web.when(reschedule()), NOTHING);

    web.when(super::delete("p1"));
    web.when(reschedule());
    assert_eq!(
        web.when(reschedule()),
        [
            "TargetsMoved [c1000 g2002 nothing]",
            "-> cluster/c1000: WithdrawDelivery cluster/web g2002"
        ]
    );
    assert_eq!(web.when(reschedule()), NOTHING);
}
