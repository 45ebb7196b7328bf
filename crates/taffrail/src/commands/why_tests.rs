//! Reasons, in plain words.

use std::collections::BTreeMap;

use api::http::{CommandView, FailureView, ProblemView};

use super::*;

fn decision() -> DecisionView {
    DecisionView {
        position: "22:7".to_owned(),
        time: "2026-01-31T14:03:00Z".to_owned(),
        algorithm: 1,
        generation: 2,
        policy_index: 0,
        fulfilled: true,
        message: "1 of 2 clusters match the policy".to_owned(),
        watermark: BTreeMap::from([("22".to_owned(), 6), ("30".to_owned(), 4)]),
        command: CommandView {
            id: "018f0000-0000-7000-8000-000000000001".to_owned(),
            kind: Some("SubmitPlacement".to_owned()),
            principal: "user:alice".to_owned(),
            causation: None,
            correlation: "018f0000-0000-7000-8000-000000000001".to_owned(),
        },
    }
}

fn target(phase: &str) -> TargetView {
    TargetView {
        cluster: "eu-1".to_owned(),
        phase: phase.to_owned(),
        revision: Some(3),
        generation: 5,
        since: "2026-01-31T14:03:02Z".to_owned(),
        evidence: Some("30:9".to_owned()),
        failures: vec![],
        remark: String::new(),
    }
}

fn chosen(phase: &str) -> ClusterWhy {
    ClusterWhy {
        cluster: "eu-1".to_owned(),
        chosen: true,
        reason: "Matches".to_owned(),
        text: "eu-1 matches the policy".to_owned(),
        target: Some(target(phase)),
    }
}

fn rejected() -> ClusterWhy {
    ClusterWhy {
        cluster: "us-1".to_owned(),
        chosen: false,
        reason: "TaintNotTolerated".to_owned(),
        text: "us-1 has the taint gpu:NoSchedule, which is not tolerated".to_owned(),
        target: None,
    }
}

fn why(clusters: Vec<ClusterWhy>) -> Why {
    let placement = "cluster/web".to_owned();
    Why { placement, decision: Some(decision()), problem: None, clusters }
}

#[test]
fn a_cluster_that_was_chosen() {
    insta::assert_snapshot!(text(&why(vec![chosen("Available")]), true));
}

#[test]
fn a_cluster_that_was_not_chosen() {
    insta::assert_snapshot!(text(&why(vec![rejected()]), true));
}

#[test]
fn everything_that_was_considered() {
    insta::assert_snapshot!(text(&why(vec![chosen("Assigned"), rejected()]), false));
}

#[test]
fn objects_that_could_not_be_applied_are_named() {
    let mut failed = chosen("ApplyFailed");
    if let Some(target) = &mut failed.target {
        target.failures = vec![FailureView {
            object: "apps/v1 Deployment shop/cart".to_owned(),
            reason: "ManifestApplyFailed".to_owned(),
            message: "it belongs to somebody else".to_owned(),
        }];
    }
    insta::assert_snapshot!(text(&why(vec![failed]), true));
}

#[test]
fn a_specification_that_cannot_be_followed_is_told() {
    let mut why = why(vec![chosen("Available")]);
    why.problem = Some(ProblemView {
        generation: 3,
        reason: "InvalidResourceSelectors".to_owned(),
        message: "there is no kind Foo (v1)".to_owned(),
        since: "2026-01-31T15:00:00Z".to_owned(),
    });
    insta::assert_snapshot!(text(&why, true));
}
