//! The ladder of the reference (§1.4), whole, for each phase; and what stays within bounds.

use std::sync::LazyLock;

use domain::placement::{Revision, Specified};
use events::ContentHash;
use events::cluster::{ApplyStrategy, RevisionRef};
use events::placement::{PlacementSpec, Policy};

use super::*;

/// Conditions as clients compare them: type, status, reason and observed generation.
fn essence(conditions: &[Condition]) -> Vec<String> {
    let line = |c: &Condition| {
        let generation = c.observed_generation.unwrap_or_default();
        format!("{} {} {} g{generation}", c.type_, c.status, c.reason)
    };
    conditions.iter().map(line).collect()
}

/// The conditions of a ladder at one generation.
fn ladder(prefix: &str, steps: &[(&str, &str, &str)], generation: i64) -> Vec<String> {
    let line = |(step, status, reason): &(&str, &str, &str)| {
        format!("{prefix}{step} {status} {reason} g{generation}")
    };
    steps.iter().map(line).collect()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn id(name: &str) -> ObjectId {
    ObjectId {
        group: String::new(),
        version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    }
}

fn target(phase: TargetPhase, revision: u32, failures: usize) -> Target {
    let failure = |number: usize| ObjectFailure {
        object: id(&format!("map-{number}")),
        reason: "ManifestApplyFailed".to_owned(),
        message: "it is refused".to_owned(),
        generation: number.checked_sub(1).and(Some(42)),
    };
    Target {
        generation: 1,
        revision: Some(revision),
        apply: ApplyStrategy::default(),
        phase,
        evidence: None,
        failures: (0..failures).map(failure).collect(),
        remark: String::new(),
        since: at(7),
    }
}

/// A placement that was scheduled at generation 1, with these targets.
fn placed(targets: Vec<(&str, Target)>) -> PlacementState {
    let verdict = |cluster: &str| Verdict {
        cluster: cluster.to_owned(),
        chosen: true,
        reason: VerdictReason::Matches,
    };
    let reference = RevisionRef { index: 0, manifests: ContentHash::of(b"list") };
    let policy = Policy::PickAll { terms: vec![], tolerations: vec![] };
    let apply = ApplyStrategy::default();
    PlacementState {
        specified: Some(Specified {
            uid: "uid".to_owned(),
            generation: 1,
            spec: PlacementSpec { selectors: vec![], policy, apply },
            policy_index: 0,
        }),
        revision: Some(Revision { reference, objects: 1 }),
        scheduled: Some(Scheduled {
            generation: 1,
            policy_index: 0,
            fulfilled: true,
            message: "1 cluster was chosen".to_owned(),
            verdicts: targets.iter().map(|(cluster, _)| verdict(cluster)).collect(),
            since: at(1),
        }),
        targets: targets.into_iter().map(|(name, target)| (name.to_owned(), target)).collect(),
        ..PlacementState::default()
    }
}

fn refused(state: PlacementState, generation: i64, reason: RefusalReason) -> PlacementState {
    let problem = Problem {
        uid: "uid".to_owned(),
        generation,
        reason,
        message: "change it".to_owned(),
        since: at(9),
    };
    PlacementState { problem: Some(problem), ..state }
}

fn show(state: &PlacementState, generation: i64) -> PlacementStatus {
    placement_status(&inputs(state, generation))
}

static NOTHING_SHOWN: LazyLock<ShownStatus> = LazyLock::new(ShownStatus::default);

fn inputs(state: &PlacementState, generation: i64) -> StatusInputs<'_> {
    StatusInputs {
        scope: Scope::Cluster,
        uid: "uid",
        generation,
        state,
        obstacle: None,
        selected: &[],
        shown: &NOTHING_SHOWN,
        now: at(100),
    }
}

const CRP: &str = "ClusterResourcePlacement";
const CHOSEN: (&str, &str, &str) = ("Scheduled", "True", "SchedulingPolicyFulfilled");
const STARTED: (&str, &str, &str) = ("RolloutStarted", "True", "RolloutStarted");
const OVERRIDDEN: (&str, &str, &str) = ("Overridden", "True", "NoOverrideSpecified");
const SYNCED: (&str, &str, &str) = ("WorkSynchronized", "True", "WorkSynchronized");
const APPLIED: (&str, &str, &str) = ("Applied", "True", "ApplySucceeded");
const SCHEDULED: (&str, &str, &str) = ("Scheduled", "True", "Scheduled");
const WORK_SYNCED: (&str, &str, &str) = ("WorkSynchronized", "True", "AllWorkSynced");
const WORK_APPLIED: (&str, &str, &str) = ("Applied", "True", "AllWorkHaveBeenApplied");

#[test]
fn each_phase_has_its_ladder() {
    let unknown = "Unknown";
    let cases = [
        (
            target(TargetPhase::Moving, 0, 0),
            vec![
                CHOSEN,
                STARTED,
                OVERRIDDEN,
                ("WorkSynchronized", unknown, "WorkSynchronizedUnknown"),
            ],
            vec![
                SCHEDULED,
                STARTED,
                OVERRIDDEN,
                ("WorkSynchronized", unknown, "WorkSynchronizedUnknown"),
            ],
        ),
        (
            target(TargetPhase::Assigned, 0, 0),
            vec![CHOSEN, STARTED, OVERRIDDEN, SYNCED, ("Applied", unknown, "ApplyPending")],
            vec![SCHEDULED, STARTED, OVERRIDDEN, WORK_SYNCED, ("Applied", unknown, "ApplyPending")],
        ),
        (
            target(TargetPhase::ApplyFailed, 0, 2),
            vec![CHOSEN, STARTED, OVERRIDDEN, SYNCED, ("Applied", "False", "ApplyFailed")],
            vec![
                SCHEDULED,
                STARTED,
                OVERRIDDEN,
                WORK_SYNCED,
                ("Applied", "False", "NotAllWorkHaveBeenApplied"),
            ],
        ),
        (
            target(TargetPhase::Applied, 0, 1),
            vec![
                CHOSEN,
                STARTED,
                OVERRIDDEN,
                SYNCED,
                APPLIED,
                ("Available", "False", "ResourceNotAvailableYet"),
            ],
            vec![
                SCHEDULED,
                STARTED,
                OVERRIDDEN,
                WORK_SYNCED,
                WORK_APPLIED,
                ("Available", "False", "NotAllWorkAreAvailable"),
            ],
        ),
        (
            target(TargetPhase::Available, 0, 0),
            vec![
                CHOSEN,
                STARTED,
                OVERRIDDEN,
                SYNCED,
                APPLIED,
                ("Available", "True", "ResourceAvailable"),
            ],
            vec![
                SCHEDULED,
                STARTED,
                OVERRIDDEN,
                WORK_SYNCED,
                WORK_APPLIED,
                ("Available", "True", "AllWorkAreAvailable"),
            ],
        ),
        (
            target(TargetPhase::AvailableUntracked, 0, 0),
            vec![
                CHOSEN,
                STARTED,
                OVERRIDDEN,
                SYNCED,
                APPLIED,
                ("Available", "True", "ResourceAvailable"),
            ],
            vec![
                SCHEDULED,
                STARTED,
                OVERRIDDEN,
                WORK_SYNCED,
                WORK_APPLIED,
                ("Available", "True", "NotAllWorkAreAvailabilityTrackable"),
            ],
        ),
        (
            target(TargetPhase::Available, 9, 0),
            vec![CHOSEN, ("RolloutStarted", "False", "RolloutNotStartedYet")],
            vec![SCHEDULED, ("RolloutStarted", "False", "RolloutNotStartedYet")],
        ),
    ];
    for (target, of_placement, of_cluster) in cases {
        let (phase, failures) = (target.phase, target.failures.len());
        let status = show(&placed(vec![("eu-1", target)]), 1);
        assert_eq!(essence(&status.conditions), ladder(CRP, &of_placement, 1), "{phase:?}");
        let [cluster] = &status.placement_statuses[..] else { panic!("one cluster") };
        assert_eq!(essence(&cluster.conditions), ladder("", &of_cluster, 1), "{phase:?}");
        assert_eq!(cluster.failed_placements.len(), failures, "{phase:?}");
    }
}

#[test]
fn the_step_that_fails_anywhere_ends_the_ladder_of_the_placement() {
    let state = placed(vec![
        ("eu-1", target(TargetPhase::Available, 0, 0)),
        ("eu-2", target(TargetPhase::Assigned, 0, 0)),
        ("eu-3", target(TargetPhase::ApplyFailed, 0, 1)),
    ]);
    let status = show(&state, 1);
    let failed = ("Applied", "False", "ApplyFailed");
    let wanted = [CHOSEN, STARTED, OVERRIDDEN, SYNCED, failed];
    assert_eq!(essence(&status.conditions), ladder(CRP, &wanted, 1));
    assert_eq!(
        status.conditions[4].message,
        "1 of 3 clusters are done; eu-3: 1 object is not applied: ConfigMap \
         shop/map-0: it is refused"
    );
}

#[test]
fn before_a_decision_there_is_nothing_to_say_about_clusters() {
    let pending = [("Scheduled", "Unknown", "SchedulePending")];
    let state = placed(vec![("eu-1", target(TargetPhase::Available, 0, 0))]);
    for state in [PlacementState::default(), state] {
        let status = show(&state, 2);
        assert_eq!(essence(&status.conditions), ladder(CRP, &pending, 2));
        assert!(status.placement_statuses.is_empty());
    }
    let nobody = show(&placed(vec![]), 1);
    assert_eq!(essence(&nobody.conditions), ladder(CRP, &[CHOSEN], 1));
}

#[test]
fn clusters_that_were_not_chosen_are_named_when_that_is_the_reason() {
    let mut state = placed(vec![("eu-1", target(TargetPhase::Available, 0, 0))]);
    let scheduled = state.scheduled.as_mut().unwrap();
    scheduled.fulfilled = false;
    let other =
        Verdict { cluster: "eu-9".to_owned(), chosen: false, reason: VerdictReason::NotFound };
    scheduled.verdicts.push(other);
    let status = show(&state, 1);
    let first = ("Scheduled", "False", "SchedulingPolicyUnfulfilled");
    assert_eq!(essence(&status.conditions)[..1], ladder(CRP, &[first], 1));
    let [_, rejected] = &status.placement_statuses[..] else { panic!("two clusters") };
    let wanted = [("Scheduled", "False", "ScheduleFailed")];
    assert_eq!(essence(&rejected.conditions), ladder("", &wanted, 1));
    assert_eq!(rejected.conditions[0].message, "there is no member cluster eu-9");
}

#[test]
fn regression_what_stays_while_a_generation_is_refused_is_of_the_generation_before() {
    let of_cluster = [
        SCHEDULED,
        STARTED,
        OVERRIDDEN,
        WORK_SYNCED,
        WORK_APPLIED,
        ("Available", "True", "AllWorkAreAvailable"),
    ];
    for (reason, text) in [
        (RefusalReason::InvalidResourceSelectors, "InvalidResourceSelectors"),
        (RefusalReason::SchedulingPolicyUnfulfilled, "SchedulingPolicyUnfulfilled"),
    ] {
        let state = placed(vec![("eu-1", target(TargetPhase::Available, 0, 0))]);
        let status = show(&refused(state, 2, reason), 2);
        assert_eq!(essence(&status.conditions), ladder(CRP, &[("Scheduled", "False", text)], 2));
        assert_eq!(status.conditions[0].message, "change it");
        let [cluster] = &status.placement_statuses[..] else { panic!("one cluster") };
        assert_eq!(essence(&cluster.conditions), ladder("", &of_cluster, 1));
    }
}

#[test]
fn what_is_in_the_way_of_a_selection_is_told_and_what_was_decided_stays() {
    let placed = placed(vec![("eu-1", target(TargetPhase::Available, 0, 0))]);
    let cases = [
        ("new", PlacementState::default(), 1, 0),
        ("decided", placed.clone(), 1, 1),
        ("changed", placed.clone(), 2, 1),
        ("refused before", refused(placed, 2, RefusalReason::InvalidResourceSelectors), 2, 1),
    ];
    for (case, state, generation, clusters) in cases {
        let obstacle = "the objects of Gadget cannot be listed";
        let inputs = StatusInputs { obstacle: Some(obstacle), ..inputs(&state, generation) };
        let status = placement_status(&inputs);
        let wanted = [("Scheduled", "Unknown", "SchedulePending")];
        assert_eq!(essence(&status.conditions), ladder(CRP, &wanted, generation), "{case}");
        assert_eq!(status.conditions[0].message, obstacle, "{case}");
        assert_eq!(status.placement_statuses.len(), clusters, "{case}");
    }
}

#[test]
fn regression_what_was_decided_for_a_namesake_is_not_shown() {
    let before = placed(vec![("eu-1", target(TargetPhase::Available, 0, 0))]);
    let selected = [ManifestRef { object: id("a"), content: ContentHash::of(b""), sealed: false }];
    fn as_another(state: &PlacementState) -> PlacementStatus {
        placement_status(&StatusInputs { uid: "b", ..inputs(state, 1) })
    }
    let own = placement_status(&StatusInputs { selected: &selected, ..inputs(&before, 1) });
    assert_eq!((own.observed_resource_index.as_str(), own.selected_resources.len()), ("0", 1));

    let status = as_another(&before);
    let wanted = [("Scheduled", "Unknown", "SchedulePending")];
    assert_eq!(essence(&status.conditions), ladder(CRP, &wanted, 1));
    assert_eq!((status.observed_resource_index.as_str(), status.placement_statuses), ("", vec![]));

    // One that was refused shows why, and nothing else; its namesake's refusal is not its own.
    let mut refused = refused(before, 1, RefusalReason::InvalidResourceSelectors);
    assert_eq!(essence(&as_another(&refused).conditions), ladder(CRP, &wanted, 1));
    refused.problem.as_mut().unwrap().uid = "b".to_owned();
    let status = as_another(&refused);
    let wanted = [("Scheduled", "False", "InvalidResourceSelectors")];
    assert_eq!(essence(&status.conditions), ladder(CRP, &wanted, 1));
    assert_eq!((status.observed_resource_index.as_str(), status.placement_statuses), ("", vec![]));
}

#[test]
fn regression_what_failed_carries_the_generation_of_the_object_that_it_is_about() {
    let state = placed(vec![("eu-1", target(TargetPhase::ApplyFailed, 0, 2))]);
    let failed = &show(&state, 1).placement_statuses[0].failed_placements;
    let generations: Vec<_> = failed.iter().map(|it| it.condition.observed_generation).collect();
    assert_eq!(generations, [None, Some(42)]);
}

#[test]
fn what_a_selection_leaves_out_is_told_and_the_ladder_stays() {
    let mut state = placed(vec![("eu-1", target(TargetPhase::Available, 0, 0))]);
    let without = show(&state, 1);
    state.notes = vec!["there is no a".to_owned(), "there is no b".to_owned()];
    let status = show(&state, 1);
    assert_eq!(essence(&status.conditions), essence(&without.conditions));
    let said = &status.conditions[0].message;
    assert_eq!(said, "1 cluster was chosen; there is no a; there is no b");
    assert_eq!(status.conditions[1..], without.conditions[1..]);
}

#[test]
fn transition_times_move_with_the_status_alone() {
    let before = placed(vec![("eu-1", target(TargetPhase::Applied, 0, 1))]);
    let shown = placement_status(&StatusInputs { now: at(50), ..inputs(&before, 1) });
    let after = placed(vec![("eu-1", target(TargetPhase::Available, 0, 0))]);
    let shown = ShownStatus::of(Some(&shown), Scope::Cluster);
    let status = placement_status(&StatusInputs { shown: &shown, ..inputs(&after, 1) });
    for conditions in [&status.conditions, &status.placement_statuses[0].conditions] {
        let times: Vec<i64> =
            conditions.iter().map(|c| c.last_transition_time.0.as_second()).collect();
        assert_eq!(times, [50, 50, 50, 50, 50, 100]);
    }
}

#[test]
fn the_prefix_is_that_of_the_kind() {
    let state = PlacementState::default();
    let inputs = StatusInputs { scope: Scope::Namespaced, ..inputs(&state, 1) };
    let wanted = [("Scheduled", "Unknown", "SchedulePending")];
    assert_eq!(
        essence(&placement_status(&inputs).conditions),
        ladder("ResourcePlacement", &wanted, 1)
    );
}

/// How a status of so many clusters with so many failures each, and so many selected objects is
/// shown: failures, clusters and objects that are left, and what the first condition says.
fn shown(clusters: usize, failures: usize, objects: usize) -> ([usize; 3], String) {
    let names: Vec<String> = (0..clusters).map(|number| format!("cluster-{number:05}")).collect();
    let phase = match failures {
        0 => TargetPhase::Available,
        _ => TargetPhase::ApplyFailed,
    };
    let targets = names.iter().map(|name| (name.as_str(), target(phase, 0, failures)));
    let mut state = placed(targets.collect());
    // One of them is in trouble in any case.
    if let Some(last) = state.targets.values_mut().last() {
        last.phase = TargetPhase::ApplyFailed;
    }
    let selected = |number: usize| ManifestRef {
        object: id(&format!("{number:05}{}", "x".repeat(100))),
        content: ContentHash::of(b""),
        sealed: false,
    };
    let selected: Vec<ManifestRef> = (0..objects).map(selected).collect();
    let status = placement_status(&StatusInputs { selected: &selected, ..inputs(&state, 1) });
    let size = fit::bytes_of(&status);
    assert!(size <= STATUS_BYTES_MAX, "{size} bytes");
    let failed = status.placement_statuses.iter().map(|it| it.failed_placements.len()).sum();
    let left = [failed, status.placement_statuses.len(), status.selected_resources.len()];
    if clusters > 0 {
        let last = status.placement_statuses.last().unwrap();
        assert_eq!(last.cluster_name, *names.last().unwrap(), "who is in trouble is shown");
    }
    (left, status.conditions[0].message.clone())
}

#[test]
fn regression_a_status_fits_into_its_object_whatever_there_is_to_tell() {
    let (left, said) = shown(3, 100, 100);
    assert_eq!((left, said.as_str()), ([300, 3, 100], "1 cluster was chosen"));

    // First failures.
    let (left, said) = shown(100, 100, 1_000);
    assert_eq!(left, [2_000, 100, 1_000]);
    assert!(
        said.ends_with(
            "shortened to fit into the object: 2000 of 10000 failed placements are shown"
        ),
        "{said}"
    );

    // Then what clusters say.
    let (left, said) = shown(1_100, 10, 100);
    assert_eq!(left, [0, 1_100, 100], "{said}");
    assert!(said.contains("0 of 11000 failed placements are shown, clusters tell"), "{said}");

    // Then objects.
    let ([_, clusters, objects], said) = shown(300, 0, 5_000);
    assert_eq!(clusters, 300);
    assert!((2_000..5_000).contains(&objects), "{said}");
    assert!(said.contains(&format!("{objects} of 5000 selected resources are shown")), "{said}");

    // Last clusters, and then both get their part.
    let ([_, clusters, objects], said) = shown(5_000, 0, 5_000);
    assert!((400..5_000).contains(&clusters) && objects > 500, "{said}");
    assert!(said.ends_with(&format!("{clusters} of 5000 clusters are shown")), "{said}");
}

#[test]
fn a_message_has_its_bound_and_says_that_it_goes_on() {
    assert_eq!(shortened("abc", 3), "abc");
    assert_eq!(shortened("äbcd", 2), "äb…");
    let mut state = placed(vec![("eu-1", target(TargetPhase::ApplyFailed, 0, 1))]);
    let target = state.targets.get_mut("eu-1").unwrap();
    target.failures[0].message = "x".repeat(50_000);
    let status = show(&state, 1);
    let failed = &status.placement_statuses[0].failed_placements[0];
    assert_eq!(failed.condition.message.chars().count(), FAILURE_CHARS_MAX + 1);
    for condition in &status.conditions {
        assert!(condition.message.len() < 2_000, "{}", condition.type_);
    }
}
