//! What becomes of a delivery.

use events::cluster::FAILURES_PER_DELIVERY_MAX;

use super::{assign, available, eu_1, joined, report, withdraw};
use crate::cluster::{DeliveryOutcome, DeliveryPhase};
use crate::testing::make::{failure, web};

const NOTHING: [&str; 0] = [];

fn failed(names: &[&str]) -> DeliveryOutcome {
    DeliveryOutcome::Failed(names.iter().map(|name| failure(name)).collect())
}

fn unavailable(names: &[&str]) -> DeliveryOutcome {
    DeliveryOutcome::Unavailable(names.iter().map(|name| failure(name)).collect())
}

#[test]
fn a_delivery_that_succeeds_is_applied_and_then_available() {
    let mut cluster = joined().after(assign(1, 0));
    assert_eq!(
        cluster.when(available(1)),
        [
            "DeliveryApplied cluster/web g1",
            "DeliveryAvailable cluster/web g1, 0 untracked",
            "-> placement/cluster/web: ReportTarget eu-1 g1 Available",
        ]
    );
    assert_eq!(cluster.when(available(1)), NOTHING);
    assert_eq!(cluster.outstanding(), NOTHING);
}

#[test]
fn objects_that_cannot_be_tracked_are_counted() {
    let mut cluster = joined().after(assign(1, 0));
    let untracked = DeliveryOutcome::Available { untracked: 2 };
    assert_eq!(
        cluster.when(report(1, untracked)),
        [
            "DeliveryApplied cluster/web g1",
            "DeliveryAvailable cluster/web g1, 2 untracked",
            "-> placement/cluster/web: ReportTarget eu-1 g1 AvailableUntracked",
        ]
    );
}

#[test]
fn a_delivery_is_watched_until_it_is_available() {
    let mut cluster = joined().after(assign(1, 0));
    assert_eq!(
        cluster.when(report(1, unavailable(&["a", "b"]))),
        [
            "DeliveryApplied cluster/web g1",
            "DeliveryUnavailable cluster/web g1 [a, b]",
            "-> placement/cluster/web: ReportTarget eu-1 g1 Applied [a, b]",
        ]
    );
    assert_eq!(cluster.when(report(1, unavailable(&["a", "b"]))), NOTHING);
    assert_eq!(cluster.outstanding(), ["=> deliver cluster/web on eu-1 g1 r0"]);
    assert_eq!(
        cluster.when(report(1, unavailable(&["b"]))),
        [
            "DeliveryUnavailable cluster/web g1 [b]",
            "-> placement/cluster/web: ReportTarget eu-1 g1 Applied [b]",
        ]
    );
    assert_eq!(
        cluster.when(available(1)),
        [
            "DeliveryAvailable cluster/web g1, 0 untracked",
            "-> placement/cluster/web: ReportTarget eu-1 g1 Available",
        ]
    );
}

#[test]
fn a_delivery_that_fails_is_tried_again_until_it_succeeds() {
    let mut cluster = joined().after(assign(1, 0));
    assert_eq!(
        cluster.when(report(1, failed(&["a"]))),
        [
            "DeliveryFailed cluster/web g1 [a]",
            "-> placement/cluster/web: ReportTarget eu-1 g1 ApplyFailed [a]",
        ]
    );
    assert_eq!(cluster.when(report(1, failed(&["a"]))), NOTHING, "the next try ends like it");
    assert_eq!(cluster.outstanding(), ["=> deliver cluster/web on eu-1 g1 r0"]);
    assert_eq!(
        cluster.when(report(1, failed(&["b"]))),
        [
            "DeliveryFailed cluster/web g1 [b]",
            "-> placement/cluster/web: ReportTarget eu-1 g1 ApplyFailed [b]",
        ]
    );
    assert_eq!(
        cluster.when(available(1)),
        [
            "DeliveryApplied cluster/web g1",
            "DeliveryAvailable cluster/web g1, 0 untracked",
            "-> placement/cluster/web: ReportTarget eu-1 g1 Available",
        ]
    );
}

#[test]
fn what_was_available_can_be_lost_and_come_back() {
    let mut cluster = joined().after(assign(1, 0)).after(available(1));
    assert_eq!(
        cluster.when(report(1, unavailable(&["a"]))),
        [
            "DeliveryUnavailable cluster/web g1 [a]",
            "-> placement/cluster/web: ReportTarget eu-1 g1 Applied [a]",
        ]
    );
    let failed_again = cluster.when(report(1, failed(&["a"])));
    assert_eq!(failed_again[0], "DeliveryFailed cluster/web g1 [a]");
    let back = cluster.when(available(1));
    assert_eq!(back[0], "DeliveryApplied cluster/web g1");
}

#[test]
fn a_report_on_another_generation_is_refused() {
    let mut cluster = joined().after(assign(1, 0)).after(assign(2, 1));
    assert_eq!(cluster.when(available(1)), ["refused: generation 1 is superseded by 2"]);
    assert_eq!(cluster.when(available(3)), ["refused: generation 3 is superseded by 2"]);
    assert_eq!(
        cluster.outstanding(),
        ["=> deliver cluster/web on eu-1 g2 r1 after [r0]"],
        "what it may have left behind is still known"
    );
}

#[test]
fn a_report_on_what_is_not_assigned_is_refused() {
    let refused = ["refused: nothing of this placement is assigned here"];
    assert_eq!(eu_1().when(available(1)), refused);
    assert_eq!(joined().when(available(1)), refused);
    let mut withdrawn = joined().after(assign(1, 0)).after(withdraw(2));
    assert_eq!(withdrawn.when(available(2)), refused);
    assert_eq!(withdrawn.outstanding(), ["=> withdraw cluster/web on eu-1 g2 after [r0]"]);
}

#[test]
fn more_failures_than_one_event_may_name_are_counted() {
    let failures: Vec<_> = (0..130).map(|number| failure(&format!("o{number}"))).collect();
    let mut cluster = joined().after(assign(1, 0));
    cluster.when(report(1, DeliveryOutcome::Failed(failures.clone())));
    let DeliveryPhase::Failed(kept) = cluster.state.deliveries[&web()].phase.clone() else {
        panic!("it failed");
    };
    assert_eq!(kept.len(), FAILURES_PER_DELIVERY_MAX);
    assert_eq!(kept[0].message, "no");
    assert_eq!(kept[99].message, "no (and 30 more objects)");
    let again = cluster.when(report(1, DeliveryOutcome::Failed(failures)));
    assert_eq!(again, NOTHING);
}
