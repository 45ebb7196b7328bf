//! Tests of the scheduler: every filter, every verdict.

use std::collections::BTreeSet;

use events::placement::{
    LabelOperator, LabelRequirement, LabelSelector, Policy, Toleration, VerdictReason,
};
use proptest::prelude::*;

use super::{Outcome, REJECTED_VERDICTS_MAX, Request, label_selector_matches, schedule};
use crate::testing::make::{everywhere, fixed, labels, taints, tolerates, wherever};
use crate::testing::words::verdict_reason;
use crate::{ClusterView, FleetView};

/// A member that joined and is well.
fn member(with_labels: &str, with_taints: &str) -> ClusterView {
    ClusterView {
        labels: labels(with_labels),
        taints: taints(with_taints),
        identity: Some("id".to_owned()),
        ..ClusterView::default()
    }
}

fn fleet(members: impl IntoIterator<Item = (&'static str, ClusterView)>) -> FleetView {
    let clusters = members.into_iter().map(|(name, view)| (name.to_owned(), view));
    FleetView { clusters: clusters.collect(), ..FleetView::default() }
}

fn decide(policy: &Policy, fleet: &FleetView, placed: &[&str]) -> Outcome {
    decide_again(policy, fleet, placed, placed)
}

/// Under a policy that has put it on `placed`, while `held` are to hold it.
fn decide_again(policy: &Policy, fleet: &FleetView, placed: &[&str], held: &[&str]) -> Outcome {
    let [placed, held] =
        [placed, held].map(|names| names.iter().map(|&name| name.to_owned()).collect());
    schedule(&Request { policy, placed: &placed, held: &held, fleet })
}

/// `+name Reason` for what was chosen, `-name Reason` for what was not.
fn verdicts(outcome: &Outcome) -> Vec<String> {
    let line = |verdict: &events::placement::Verdict| {
        let mark = if verdict.chosen { '+' } else { '-' };
        format!("{mark}{} {}", verdict.cluster, verdict_reason(&verdict.reason))
    };
    outcome.verdicts.iter().map(line).collect()
}

fn requirement(key: &str, operator: LabelOperator, values: &[&str]) -> LabelRequirement {
    let values = values.iter().map(|&value| value.to_owned()).collect();
    LabelRequirement { key: key.to_owned(), operator, values }
}

#[test]
fn each_filter_has_its_verdict() {
    let unjoined = ClusterView { identity: None, ..member("env=prod", "") };
    let unwell = ClusterView { is_unhealthy: true, ..member("env=prod", "") };
    let fleet = fleet([
        ("a-fine", member("env=prod", "")),
        ("b-unjoined", unjoined),
        ("c-unwell", unwell),
        ("d-labels", member("env=test", "")),
        ("e-taint", member("env=prod", "gpu=yes")),
    ]);
    let outcome = decide(&wherever("env=prod"), &fleet, &[]);
    assert_eq!(
        verdicts(&outcome),
        [
            "+a-fine Matches",
            "-b-unjoined NotJoined",
            "-c-unwell Unhealthy",
            "-d-labels LabelsDoNotMatch",
            "-e-taint Taint gpu=yes",
        ]
    );
    assert!(outcome.fulfilled);
    assert_eq!(outcome.message, "1 of 5 clusters match the policy");
}

#[test]
fn the_first_filter_that_objects_gives_the_verdict() {
    let all_wrong =
        ClusterView { is_unhealthy: true, identity: None, ..member("env=test", "gpu=yes") };
    let mut cluster = all_wrong;
    let mut reason = |mend: fn(&mut ClusterView)| {
        mend(&mut cluster);
        let outcome = decide(&wherever("env=prod"), &fleet([("c", cluster.clone())]), &[]);
        outcome.verdicts[0].reason.clone()
    };
    assert_eq!(reason(|_| {}), VerdictReason::NotJoined);
    assert_eq!(reason(|c| c.identity = Some("id".to_owned())), VerdictReason::Unhealthy);
    assert_eq!(reason(|c| c.is_unhealthy = false), VerdictReason::LabelsDoNotMatch);
    let taint = VerdictReason::TaintNotTolerated { key: "gpu".to_owned(), value: "yes".to_owned() };
    assert_eq!(reason(|c| c.labels = labels("env=prod")), taint);
    assert_eq!(reason(|c| c.taints.clear()), VerdictReason::Matches);
}

#[test]
fn what_is_placed_stays_whatever_filter_objects() {
    let unwell = ClusterView { is_unhealthy: true, ..member("env=prod", "") };
    let fleet = fleet([
        ("a-fine", member("env=prod", "")),
        ("b-labels", member("env=test", "")),
        ("c-taint", member("env=prod", "gpu=yes")),
        ("d-unwell", unwell),
    ]);
    let placed = ["a-fine", "b-labels", "c-taint", "d-unwell", "e-gone"];
    let outcome = decide(&wherever("env=prod"), &fleet, &placed);
    let stays = [
        "+a-fine Matches",
        "+b-labels StaysPlaced despite LabelsDoNotMatch",
        "+c-taint StaysPlaced despite Taint gpu=yes",
        "+d-unwell StaysPlaced despite Unhealthy",
    ];
    assert_eq!(verdicts(&outcome), stays, "e-gone is no cluster any more");
}

/// A hub whose clock was an hour ahead took a grace period for over, and an edit of the tolerations
/// then removed a namespace from a member that was away for seconds.
#[test]
fn regression_another_policy_withdraws_nothing_from_a_cluster_because_it_is_unwell() {
    let unwell = |labels, taints| ClusterView { is_unhealthy: true, ..member(labels, taints) };
    let unjoined = ClusterView { identity: None, ..member("env=prod", "") };
    let fleet = fleet([
        ("a-held", unwell("env=prod", "")),
        ("b-new", unwell("env=prod", "")),
        ("c-labels", unwell("env=test", "")),
        ("d-taint", unwell("env=prod", "gpu=yes")),
        ("e-another-membership", unjoined),
    ]);
    let held = ["a-held", "c-labels", "d-taint", "e-another-membership"];
    let outcome = decide_again(&wherever("env=prod"), &fleet, &[], &held);
    assert_eq!(
        verdicts(&outcome),
        [
            "+a-held StaysPlaced despite Unhealthy",
            "-b-new Unhealthy",
            "-c-labels LabelsDoNotMatch",
            "-d-taint Taint gpu=yes",
            "-e-another-membership NotJoined",
        ],
        "what goes, goes because the policy says so"
    );
    let named = fixed(&["a-held", "b-new"]);
    let outcome = decide_again(&named, &fleet, &[], &held);
    assert_eq!(verdicts(&outcome), ["+a-held StaysPlaced despite Unhealthy", "-b-new Unhealthy"]);
}

#[test]
fn a_fixed_policy_looks_at_names_and_eligibility_only() {
    let unjoined = ClusterView { identity: None, ..member("", "") };
    let unwell = ClusterView { is_unhealthy: true, ..member("", "") };
    let fleet = fleet([
        ("a-tainted", member("", "gpu=yes")),
        ("b-unjoined", unjoined),
        ("c-unwell", unwell.clone()),
        ("d-placed", unwell),
        ("e-not-named", member("", "")),
    ]);
    let policy =
        fixed(&["d-placed", "c-unwell", "x-missing", "a-tainted", "b-unjoined", "a-tainted"]);
    let outcome = decide(&policy, &fleet, &["d-placed", "x-missing"]);
    assert_eq!(
        verdicts(&outcome),
        [
            "+a-tainted Named",
            "-b-unjoined NotJoined",
            "-c-unwell Unhealthy",
            "+d-placed StaysPlaced despite Unhealthy",
            "-x-missing NotFound",
        ]
    );
    assert!(!outcome.fulfilled);
    assert_eq!(
        outcome.message,
        "3 of the 5 clusters named by the policy cannot be chosen: see the clusters' entries"
    );
    let outcome = decide(&fixed(&["a-tainted"]), &fleet, &[]);
    assert!(outcome.fulfilled);
    assert_eq!(outcome.message, "all 1 clusters named by the policy are chosen");
}

#[test]
fn terms_are_ored_and_none_match_everything() {
    let term = |text: &str| LabelSelector { match_labels: labels(text), match_expressions: vec![] };
    let fleet = fleet([
        ("eu-prod", member("env=prod region=eu", "")),
        ("eu-test", member("env=test region=eu", "")),
        ("us-test", member("env=test region=us", "")),
    ]);
    let cases: [(Vec<LabelSelector>, &[&str]); 5] = [
        (vec![], &["eu-prod", "eu-test", "us-test"]),
        (vec![term("")], &["eu-prod", "eu-test", "us-test"]),
        (vec![term("env=prod")], &["eu-prod"]),
        (vec![term("env=prod"), term("region=us")], &["eu-prod", "us-test"]),
        (vec![term("env=test region=eu")], &["eu-test"]),
    ];
    for (terms, expected) in cases {
        let outcome = decide(&Policy::PickAll { terms, tolerations: vec![] }, &fleet, &[]);
        let chosen = outcome.verdicts.iter().filter(|verdict| verdict.chosen);
        assert_eq!(chosen.map(|verdict| verdict.cluster.as_str()).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn each_operator_of_label_selectors() {
    use LabelOperator::{DoesNotExist, Exists, In, NotIn};
    let cases = [
        (requirement("env", In, &["prod", "test"]), true),
        (requirement("env", In, &["test"]), false),
        (requirement("tier", In, &["1"]), false),
        (requirement("env", NotIn, &["test"]), true),
        (requirement("env", NotIn, &["test", "prod"]), false),
        (requirement("tier", NotIn, &["1"]), true),
        (requirement("env", Exists, &[]), true),
        (requirement("tier", Exists, &[]), false),
        (requirement("env", DoesNotExist, &[]), false),
        (requirement("tier", DoesNotExist, &[]), true),
    ];
    for (requirement, expected) in cases {
        let words = format!("{requirement:?}");
        let selector =
            LabelSelector { match_labels: [].into(), match_expressions: vec![requirement] };
        assert_eq!(label_selector_matches(&selector, &labels("env=prod")), expected, "{words}");
    }
}

#[test]
fn all_parts_of_a_selector_must_hold() {
    let selector = LabelSelector {
        match_labels: labels("env=prod region=eu"),
        match_expressions: vec![
            requirement("tier", LabelOperator::Exists, &[]),
            requirement("tier", LabelOperator::NotIn, &["9"]),
        ],
    };
    assert!(label_selector_matches(&selector, &labels("env=prod region=eu tier=1 more=yes")));
    for missing in ["region=eu tier=1", "env=prod tier=1", "env=prod region=eu"] {
        assert!(!label_selector_matches(&selector, &labels(missing)), "{missing}");
    }
    assert!(!label_selector_matches(&selector, &labels("env=prod region=eu tier=9")));
    assert!(label_selector_matches(&LabelSelector::default(), &labels("")));
}

#[test]
fn every_taint_has_to_be_tolerated() {
    type Case = (&'static str, Vec<Toleration>, Option<(&'static str, &'static str)>);
    let cases: [Case; 9] = [
        ("", vec![], None),
        ("gpu=yes", vec![], Some(("gpu", "yes"))),
        ("gpu=yes", vec![tolerates("gpu", Some("yes"))], None),
        ("gpu=yes", vec![tolerates("gpu", Some("no"))], Some(("gpu", "yes"))),
        ("gpu=yes", vec![tolerates("gpu", None)], None),
        ("gpu=yes", vec![tolerates("spot", None)], Some(("gpu", "yes"))),
        ("gpu=yes spot=", vec![tolerates("gpu", None)], Some(("spot", ""))),
        ("gpu=yes spot=", vec![tolerates("spot", Some("")), tolerates("gpu", None)], None),
        ("gpu=yes spot=", vec![tolerates("", None)], None),
    ];
    for (with, tolerations, objection) in cases {
        let policy = Policy::PickAll { terms: vec![], tolerations };
        let outcome = decide(&policy, &fleet([("c", member("", with))]), &[]);
        let expected = match objection {
            None => VerdictReason::Matches,
            Some((key, value)) => {
                VerdictReason::TaintNotTolerated { key: key.to_owned(), value: value.to_owned() }
            }
        };
        assert_eq!(outcome.verdicts[0].reason, expected, "{policy:?}");
    }
}

#[test]
fn a_record_names_every_chosen_cluster_but_only_the_first_rejected_ones() {
    let mut fleet = FleetView::default();
    for number in 0..REJECTED_VERDICTS_MAX + 10 {
        fleet.clusters.insert(format!("r{number:05}"), ClusterView::default());
        fleet.clusters.insert(format!("t{number:05}"), member("", ""));
    }
    let outcome = decide(&everywhere(), &fleet, &[]);
    let (chosen, rejected): (Vec<_>, Vec<_>) = outcome.verdicts.iter().partition(|v| v.chosen);
    assert_eq!(chosen.len(), REJECTED_VERDICTS_MAX + 10);
    assert_eq!(rejected.len(), REJECTED_VERDICTS_MAX);
    assert_eq!(rejected.last().unwrap().cluster, "r00999");
    assert_eq!(outcome.message, "1010 of 2020 clusters match the policy");
}

fn any_fleet() -> impl Strategy<Value = FleetView> {
    let env = prop_oneof![Just("env=prod"), Just("env=test"), Just("")];
    let taint = prop_oneof![3 => Just(""), 1 => Just("gpu=yes")];
    let cluster = (env, taint, any::<bool>(), any::<bool>());
    let view = cluster.prop_map(|(env, taint, joined, unwell)| ClusterView {
        identity: joined.then(|| "id".to_owned()),
        is_unhealthy: unwell,
        ..member(env, taint)
    });
    prop::collection::btree_map("[a-f]", view, 0..6)
        .prop_map(|clusters| FleetView { clusters, ..FleetView::default() })
}

fn any_policy() -> impl Strategy<Value = Policy> {
    prop_oneof![
        Just(everywhere()),
        Just(wherever("env=prod")),
        prop::collection::vec("[a-f]", 0..4).prop_map(|clusters| Policy::PickFixed { clusters }),
    ]
}

proptest! {
    /// A decision can be decided again: nothing but the request matters.
    #[test]
    fn the_same_request_has_the_same_outcome(
        fleet in any_fleet(),
        policy in any_policy(),
        placed in prop::collection::btree_set("[a-f]", 0..4),
    ) {
        let request = Request { policy: &policy, placed: &placed, held: &placed, fleet: &fleet };
        let outcome = schedule(&request);
        // A view that was stored and read back has its entries in other places of the memory.
        let read: FleetView = serde_json::from_str(&serde_json::to_string(&fleet).unwrap()).unwrap();
        let again = Request { fleet: &read, ..request };
        prop_assert_eq!(&schedule(&again), &outcome);
        let names = outcome.verdicts.iter().map(|verdict| &verdict.cluster);
        prop_assert!(names.is_sorted());
    }

    /// Looking again right after a decision changes nothing: what was chosen stays chosen.
    #[test]
    fn an_outcome_is_stable(fleet in any_fleet(), policy in any_policy()) {
        let nowhere = BTreeSet::new();
        let first = schedule(&Request {
            policy: &policy, placed: &nowhere, held: &nowhere, fleet: &fleet,
        });
        let chosen = first.verdicts.iter().filter(|verdict| verdict.chosen);
        let placed = chosen.map(|verdict| verdict.cluster.clone()).collect();
        let request = Request { policy: &policy, placed: &placed, held: &placed, fleet: &fleet };
        prop_assert_eq!(schedule(&request), first);
    }

    /// Whatever the policies before and after: no cluster goes that would stay if it were well.
    #[test]
    fn health_withdraws_nothing(
        fleet in any_fleet(), before in any_policy(), after in any_policy(), unwell in "[a-f]",
    ) {
        let chosen = |outcome: &Outcome| -> BTreeSet<String> {
            let chosen = outcome.verdicts.iter().filter(|verdict| verdict.chosen);
            chosen.map(|verdict| verdict.cluster.clone()).collect()
        };
        let nowhere = BTreeSet::new();
        let held = chosen(&schedule(&Request {
            policy: &before, placed: &nowhere, held: &nowhere, fleet: &fleet,
        }));
        let request = Request { policy: &after, placed: &nowhere, held: &held, fleet: &fleet };
        let while_well = chosen(&schedule(&request));
        let mut later = fleet.clone();
        if let Some(cluster) = later.clusters.get_mut(&unwell) {
            cluster.is_unhealthy = true;
        }
        let while_unwell = chosen(&schedule(&Request { fleet: &later, ..request }));
        let withdrawn: Vec<_> = held.difference(&while_unwell).collect();
        prop_assert_eq!(withdrawn, held.difference(&while_well).collect::<Vec<_>>());
    }

    /// No cluster that a policy places on is lost because the fleet grows.
    #[test]
    fn other_clusters_do_not_matter(fleet in any_fleet(), policy in any_policy()) {
        let alone = decide(&policy, &fleet, &[]);
        let mut larger = fleet;
        larger.clusters.insert("zz".to_owned(), member("env=prod", ""));
        let together = decide(&policy, &larger, &[]);
        let without = together.verdicts.into_iter().filter(|verdict| verdict.cluster != "zz");
        prop_assert_eq!(without.collect::<Vec<_>>(), alone.verdicts);
    }
}
