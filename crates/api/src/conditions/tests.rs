//! Conditions move only when they should, and the strings are those of the contract.

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn applied(status: Status, reason: &str, generation: i64) -> Judgement {
    Judgement {
        condition_type: "Applied".to_owned(),
        status,
        reason: reason.to_owned(),
        message: String::new(),
        observed_generation: Some(generation),
    }
}

#[test]
fn the_transition_time_moves_only_with_the_status() {
    let mut conditions = Vec::new();
    assert!(upsert(&mut conditions, applied(Status::False, "ApplyFailed", 1), at(10)));
    assert!(upsert(&mut conditions, applied(Status::False, "ApplyFailed", 2), at(20)));
    assert_eq!(conditions[0].last_transition_time, Time(at(10)));
    assert_eq!(conditions[0].observed_generation, Some(2));

    assert!(upsert(&mut conditions, applied(Status::True, "ApplySucceeded", 2), at(30)));
    assert_eq!(conditions[0].last_transition_time, Time(at(30)));
    assert_eq!(conditions.len(), 1);
}

#[test]
fn the_same_verdict_again_changes_nothing() {
    let mut conditions = Vec::new();
    upsert(&mut conditions, applied(Status::True, "ApplySucceeded", 1), at(10));
    let before = conditions.clone();
    assert!(!upsert(&mut conditions, applied(Status::True, "ApplySucceeded", 1), at(20)));
    assert_eq!(conditions, before);
}

#[test]
fn a_verdict_about_an_older_generation_does_not_count() {
    let mut conditions = Vec::new();
    upsert(&mut conditions, applied(Status::True, "ApplySucceeded", 1), at(10));
    assert!(is_true(&conditions, "Applied", 1));
    assert!(!is_true(&conditions, "Applied", 2));
    assert!(!is_true(&conditions, "Available", 1));
}

#[test]
fn removing_takes_only_the_named_type() {
    let mut conditions = Vec::new();
    upsert(&mut conditions, applied(Status::True, "ApplySucceeded", 1), at(10));
    assert!(!remove(&mut conditions, "Available"));
    assert!(remove(&mut conditions, "Applied"));
    assert!(conditions.is_empty());
}

#[test]
fn the_ladder_of_a_placement_reads_as_users_know_it() {
    use placement::{Scope, Step};
    let cluster: Vec<_> = Step::LADDER.map(|step| step.condition_type(Scope::Cluster)).to_vec();
    assert_eq!(
        cluster,
        [
            "ClusterResourcePlacementScheduled",
            "ClusterResourcePlacementRolloutStarted",
            "ClusterResourcePlacementOverridden",
            "ClusterResourcePlacementWorkSynchronized",
            "ClusterResourcePlacementApplied",
            "ClusterResourcePlacementAvailable",
            "ClusterResourcePlacementDiffReported",
        ]
    );
    assert_eq!(Step::Available.condition_type(Scope::Namespaced), "ResourcePlacementAvailable");
    assert_eq!(Step::Available.name(), "Available");
}
