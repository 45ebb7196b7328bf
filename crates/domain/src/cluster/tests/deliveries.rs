//! What a member should hold: assigned, replaced, withdrawn.

use events::cluster::ApplyStrategy;

use super::{
    assign, assign_as, available, eu_1, joined, observe, registered, removal, remove, report,
    withdraw,
};
use crate::cluster::{Cluster, DeliveryOutcome};
use crate::testing::Scene;
use crate::testing::make::failure;

const NOTHING: [&str; 0] = [];

#[test]
fn a_member_is_told_what_to_hold() {
    let mut cluster = joined();
    assert_eq!(
        cluster.when(assign(1, 0)),
        [
            "DeliveryAssigned cluster/web g1 r0",
            "-> placement/cluster/web: ReportTarget eu-1 g1 Assigned",
            "=> deliver cluster/web on eu-1 g1 r0",
        ]
    );
    assert_eq!(cluster.outstanding(), ["=> deliver cluster/web on eu-1 g1 r0"]);
    assert_eq!(cluster.when(assign(1, 0)), ["refused: generation 1 is superseded by 1"]);
}

#[test]
fn the_apply_strategy_travels_along() {
    let forced = ApplyStrategy { force: true, allow_co_ownership: true };
    assert_eq!(
        joined().when(assign_as(1, 0, forced)),
        [
            "DeliveryAssigned cluster/web g1 r0 by force, shared",
            "-> placement/cluster/web: ReportTarget eu-1 g1 Assigned",
            "=> deliver cluster/web on eu-1 g1 r0 by force, shared",
        ]
    );
}

#[test]
fn a_newer_assignment_replaces_an_older_one_whatever_came_of_it() {
    let outcomes = [
        None,
        Some(DeliveryOutcome::Failed(vec![failure("a")])),
        Some(DeliveryOutcome::Available { untracked: 0 }),
    ];
    for outcome in outcomes {
        let mut cluster = joined().after(assign(1, 0));
        if let Some(outcome) = outcome {
            cluster = cluster.after(report(1, outcome));
        }
        assert_eq!(
            cluster.when(assign(3, 1)),
            [
                "DeliveryAssigned cluster/web g3 r1",
                "-> placement/cluster/web: ReportTarget eu-1 g3 Assigned",
                "=> deliver cluster/web on eu-1 g3 r1 after [r0]",
            ]
        );
    }
}

#[test]
fn an_older_assignment_or_withdrawal_is_refused() {
    let mut cluster = joined().after(assign(5, 1));
    let refused = ["refused: generation 4 is superseded by 5"];
    assert_eq!(cluster.when(assign(4, 0)), refused);
    assert_eq!(cluster.when(withdraw(4)), refused);
    assert_eq!(cluster.outstanding(), ["=> deliver cluster/web on eu-1 g5 r1"]);
}

#[test]
fn every_revision_that_may_be_on_the_member_is_named_until_one_is_applied() {
    let mut cluster = joined().after(assign(1, 0)).after(assign(2, 1)).after(assign(3, 2));
    assert_eq!(cluster.outstanding(), ["=> deliver cluster/web on eu-1 g3 r2 after [r0, r1]"]);

    cluster = cluster.after(report(3, DeliveryOutcome::Failed(vec![failure("a")])));
    assert_eq!(cluster.outstanding(), ["=> deliver cluster/web on eu-1 g3 r2 after [r0, r1]"]);

    cluster = cluster.after(report(3, DeliveryOutcome::Unavailable(vec![failure("a")])));
    assert_eq!(cluster.outstanding(), ["=> deliver cluster/web on eu-1 g3 r2"]);

    cluster = cluster.after(assign(4, 3));
    assert_eq!(cluster.outstanding(), ["=> deliver cluster/web on eu-1 g4 r3 after [r2]"]);
}

#[test]
fn a_withdrawal_removes_every_revision_that_may_be_there() {
    let mut cluster = joined().after(assign(1, 0)).after(assign(2, 1));
    assert_eq!(
        cluster.when(withdraw(3)),
        ["DeliveryWithdrawn cluster/web g3", "=> withdraw cluster/web on eu-1 g3 after [r0, r1]",]
    );
    assert_eq!(cluster.when(withdraw(3)), ["refused: generation 3 is superseded by 3"]);
    assert_eq!(cluster.outstanding(), ["=> withdraw cluster/web on eu-1 g3 after [r0, r1]"]);
    assert_eq!(
        cluster.when(removal(3)),
        [
            "DeliveryRemoved cluster/web g3",
            "-> placement/cluster/web: ReportTarget eu-1 g3 Removed",
            "=> forget cluster/web on eu-1",
        ]
    );
    assert_eq!(cluster.outstanding(), NOTHING);
    assert_eq!(cluster.when(removal(3)), ["refused: nothing of this placement is assigned here"]);
}

#[test]
fn a_delivery_that_is_wanted_again_before_it_was_removed_forgets_nothing() {
    let mut cluster = joined().after(assign(1, 0)).after(available(1)).after(withdraw(2));
    assert_eq!(
        cluster.when(assign(3, 1)),
        [
            "DeliveryAssigned cluster/web g3 r1",
            "-> placement/cluster/web: ReportTarget eu-1 g3 Assigned",
            "=> deliver cluster/web on eu-1 g3 r1 after [r0]",
        ]
    );
    assert_eq!(
        cluster.when(removal(2)),
        ["refused: generation 2 is superseded by 3"],
        "the removal was overtaken"
    );
}

#[test]
fn the_same_revision_is_named_once_however_often_it_was_withdrawn() {
    let mut cluster = joined();
    for generation in [1, 3, 5] {
        cluster = cluster.after(assign(generation, 0)).after(withdraw(generation + 1));
    }
    assert_eq!(cluster.outstanding(), ["=> withdraw cluster/web on eu-1 g6 after [r0]"]);
}

#[test]
fn only_a_withdrawn_delivery_can_be_removed() {
    let mut cluster = joined().after(assign(1, 0));
    assert_eq!(cluster.when(removal(1)), ["refused: nothing of this placement is assigned here"]);
    assert_eq!(cluster.outstanding(), ["=> deliver cluster/web on eu-1 g1 r0"]);
}

#[test]
fn withdrawing_what_is_not_there_is_answered_at_once() {
    assert_eq!(
        joined().when(withdraw(2)),
        [
            "DeliveryRemoved cluster/web g2",
            "-> placement/cluster/web: ReportTarget eu-1 g2 Removed",
            "=> forget cluster/web on eu-1",
        ]
    );
}

#[test]
fn what_is_no_member_takes_nothing_on_and_says_so() {
    let strangers = [eu_1(), registered(), joined().after(remove("u1"))];
    for mut stranger in strangers {
        for command in [assign(7, 0), withdraw(7)] {
            assert_eq!(
                stranger.when(command),
                [
                    "DeliveryRemoved cluster/web g7",
                    "-> placement/cluster/web: ReportTarget eu-1 g7 Removed",
                    "=> forget cluster/web on eu-1",
                ]
            );
            assert!(stranger.state.deliveries.is_empty());
        }
    }
}

#[test]
fn deliveries_do_not_outlive_a_membership() {
    let mut cluster = joined().after(assign(1, 0)).after(remove("u1"));
    cluster = cluster.after(observe("u2", "", "")).after(super::link("id-eu-1"));
    assert_eq!(cluster.outstanding(), NOTHING);
    assert_eq!(cluster.when(available(1)), ["refused: nothing of this placement is assigned here"]);
}

#[test]
fn a_withdrawal_that_nobody_can_report_any_more_ends_when_the_cluster_leaves() {
    let mut cluster = joined().after(assign(1, 0)).after(withdraw(2));
    assert_eq!(
        cluster.when(remove("u1")),
        [
            "ClusterLeft, orphaned [cluster/web g2]",
            "-> placement/cluster/web: ReportTarget eu-1 g2 Removed",
            "=> forget cluster/web on eu-1",
        ]
    );
}

#[test]
fn an_order_waits_until_what_it_is_about_is_available_or_gone() {
    let waiting = |cluster: &Scene<Cluster>| {
        assert_eq!(cluster.state.orders_waiting(), cluster.outstanding().len());
        cluster.state.orders_waiting()
    };
    let cluster = joined();
    assert_eq!(waiting(&cluster), 0);
    let cluster = cluster.after(assign(1, 0));
    assert_eq!(waiting(&cluster), 1);
    let cluster = cluster.after(available(1));
    assert_eq!(waiting(&cluster), 0);
    let cluster = cluster.after(withdraw(2));
    assert_eq!(waiting(&cluster), 1);
}
