//! What becomes of a delivery.

use events::cluster::{FAILURES_PER_DELIVERY_MAX, Progress};

use super::{assign, available, eu_1, joined, report, withdraw};
use crate::cluster::{ClusterCommand, DeliveryOutcome, DeliveryPhase, ReportRemovalWaits};
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

fn missing(names: &[&str]) -> DeliveryOutcome {
    DeliveryOutcome::Missing(names.iter().map(|name| failure(name)).collect())
}

#[test]
fn regression_what_is_missing_is_told_and_put_back() {
    let mut cluster = joined().after(assign(1, 0)).after(available(1));
    assert_eq!(cluster.outstanding(), NOTHING);
    assert_eq!(
        cluster.when(report(1, missing(&["a", "b"]))),
        [
            "DeliveryDisturbed cluster/web g1 [a, b]",
            "-> placement/cluster/web: ReportTarget eu-1 g1 ApplyFailed [a, b]",
            "=> deliver cluster/web on eu-1 g1 r0",
        ]
    );
    assert_eq!(
        cluster.outstanding(),
        ["=> deliver cluster/web on eu-1 g1 r0"],
        "after a crash too"
    );
    assert_eq!(cluster.when(report(1, missing(&["c"]))), NOTHING, "all of it is delivered anyway");
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
fn nothing_is_missing_of_what_was_not_applied_yet() {
    let mut cluster = joined().after(assign(1, 0));
    assert_eq!(cluster.when(report(1, missing(&["a"]))), NOTHING);
    let mut cluster = cluster.after(withdraw(2));
    assert_eq!(
        cluster.when(report(2, missing(&["a"]))),
        ["refused: nothing of this placement is assigned here"]
    );
}

#[test]
fn progress_is_told_with_what_failed() {
    let applying = |applied| DeliveryOutcome::Applying(Progress { applied, of: 494 });
    let mut cluster = joined().after(assign(1, 0));
    assert_eq!(
        cluster.when(report(1, applying(412))),
        [
            "DeliveryProgressed cluster/web g1, 412 of 494 objects are applied",
            "-> placement/cluster/web: ReportTarget eu-1 g1 Assigned (412 of 494 objects are applied)",
        ]
    );
    assert_eq!(cluster.when(report(1, applying(412))), NOTHING);
    let mut cluster = cluster.after(report(1, failed(&["a"])));
    assert_eq!(
        cluster.when(report(1, applying(493))),
        [
            "DeliveryProgressed cluster/web g1, 493 of 494 objects are applied",
            "-> placement/cluster/web: ReportTarget eu-1 g1 ApplyFailed [a] (493 of 494 objects are \
             applied)",
        ]
    );
    let mut cluster = cluster.after(available(1));
    assert_eq!(cluster.when(report(1, applying(493))), NOTHING, "it is done");
}

#[test]
fn regression_what_a_removal_waits_for_is_told_whenever_it_is_something_else() {
    let waits = |name: &str| {
        ClusterCommand::ReportRemovalWaits(ReportRemovalWaits {
            placement: web(),
            generation: 2,
            remaining: vec![failure(name)],
        })
    };
    let mut cluster = joined().after(assign(1, 0)).after(available(1)).after(withdraw(2));
    assert_eq!(
        cluster.when(waits("held")),
        [
            "DeliveryRemovalWaits cluster/web g2 [held]",
            "-> placement/cluster/web: ReportTarget eu-1 g2 Removing [held]",
        ]
    );
    assert_eq!(cluster.when(waits("held")), NOTHING);
    assert_eq!(cluster.when(waits("other")).len(), 2);
    assert_eq!(cluster.outstanding(), ["=> withdraw cluster/web on eu-1 g2 after [r0]"]);
    let mut cluster = cluster.after(assign(3, 0));
    assert_eq!(cluster.when(waits("held")), ["refused: generation 2 is superseded by 3"]);
}
