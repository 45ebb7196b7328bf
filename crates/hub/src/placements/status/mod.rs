//! The status of a placement: a plain function of what was decided.
//!
//! Conditions form a ladder (reference §1.4): scheduled, rollout started, overridden, synchronised,
//! applied, available. The first step that does not hold ends it; later ones are not shown. Each
//! step of the placement sums up the same step of its clusters.

mod fit;
mod shown;
#[cfg(test)]
mod tests;

use api::conditions::Status;
use api::conditions::placement::{Scope, Step, binding_reason, cluster_reason, reason};
use api::observed::{FailedPlacement, OBSERVED_PLACEMENTS_MAX, ResourceIdentifier};
use api::placement::{PerClusterPlacementStatus, PlacementStatus};
use domain::placement::{PlacementState, Problem, Scheduled, Target};
use events::cluster::ObjectFailure;
use events::placement::{RefusalReason, TargetPhase, Verdict, VerdictReason};
use events::{ManifestRef, ObjectId, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use fit::{FAILURE_CHARS_MAX, STATUS_BYTES_MAX, fit, shortened};
use shown::ShownLadder;
pub use shown::ShownStatus;
pub(super) use shown::digest;

/// How many clusters that were not chosen are shown.
const REJECTED_SHOWN_MAX: usize = 20;

/// What a status is made of.
#[derive(Debug)]
pub struct StatusInputs<'a> {
    /// Cluster-scoped or namespaced: the prefix of the condition types.
    pub scope: Scope,
    /// The uid of the object: what was decided for another one of its name is not shown.
    pub uid: &'a str,
    /// The generation of the object.
    pub generation: i64,
    /// What was decided.
    pub state: &'a PlacementState,
    /// Why it cannot be said what is selected, if it cannot.
    pub obstacle: Option<&'a str>,
    /// The objects of the latest revision.
    pub selected: &'a [ManifestRef],
    /// What the object shows now: transition times are kept.
    pub shown: &'a ShownStatus,
    /// The time of writing, for conditions that change.
    pub now: Timestamp,
}

/// One step of the ladder as it stands.
struct Rung {
    step: Step,
    status: Status,
    reason: &'static str,
    message: String,
}

impl Rung {
    fn new(step: Step, status: Status, reason: &'static str, message: impl Into<String>) -> Self {
        Self { step, status, reason, message: message.into() }
    }
}

/// The status to show.
#[must_use]
pub fn placement_status(inputs: &StatusInputs<'_>) -> PlacementStatus {
    let state = inputs.state;
    let is_own = state.specified.as_ref().is_some_and(|specified| specified.uid == inputs.uid);
    let scheduled = state.scheduled.as_ref().filter(|_| is_own);
    let revision = state.revision.as_ref().filter(|_| is_own);
    let decided = scheduled.filter(|s| s.generation == inputs.generation);
    let problem = state.problem.as_ref();
    let problem =
        problem.filter(|p| (p.uid.as_str(), p.generation) == (inputs.uid, inputs.generation));
    let clusters: Vec<ClusterLadder<'_>> = match scheduled {
        Some(scheduled) => scheduled
            .verdicts
            .iter()
            .filter(|verdict| verdict.chosen)
            .map(|verdict| ClusterLadder::new(verdict, state, scheduled.generation))
            .collect(),
        None => vec![],
    };

    // While there is no decision for this generation, and while what it selects cannot be said, the
    // ladder ends at its first step.
    let stays = problem.is_some() || inputs.obstacle.is_some();
    let mut ladder = vec![scheduled_rung(state, inputs.obstacle, problem, decided)];
    if !stays && decided.is_some() && !clusters.is_empty() {
        ladder.extend(summary(&clusters));
    }
    // What was decided before is shown as long as it stays.
    let mut placement_statuses = vec![];
    if stays || decided.is_some() {
        placement_statuses.extend(clusters.iter().map(|cluster| cluster.to_status(inputs)));
        let rejected = decided.filter(|scheduled| !scheduled.fulfilled);
        placement_statuses.extend(rejected.into_iter().flat_map(|s| rejected_of(s, inputs)));
    }
    let mut status = PlacementStatus {
        selected_resources: inputs.selected.iter().map(|m| identifier(&m.object)).collect(),
        observed_resource_index: index_text(revision.map(|r| r.reference.index)),
        placement_statuses,
        conditions: conditions(
            ladder,
            |step| step.condition_type(inputs.scope),
            inputs.generation,
            Some(inputs.shown.placement()),
            inputs.now,
        ),
    };
    fit(&mut status, STATUS_BYTES_MAX);
    status
}

fn scheduled_rung(
    state: &PlacementState,
    obstacle: Option<&str>,
    problem: Option<&Problem>,
    decided: Option<&Scheduled>,
) -> Rung {
    let rung = |status, reason, message: &str| Rung::new(Step::Scheduled, status, reason, message);
    if state.deleting.is_some() {
        let waits = removal_waits(state).unwrap_or_else(|| {
            let left = state.targets.len();
            format!("{left} clusters may still hold something of it")
        });
        let message = format!("the placement is being deleted; {waits}");
        return rung(Status::Unknown, reason::SCHEDULE_PENDING, &message);
    }
    match (obstacle, problem, decided) {
        (Some(obstacle), _, _) => rung(Status::Unknown, reason::SCHEDULE_PENDING, obstacle),
        (None, Some(problem), _) => {
            let reason = match problem.reason {
                RefusalReason::InvalidResourceSelectors => reason::INVALID_RESOURCE_SELECTORS,
                RefusalReason::SchedulingPolicyUnfulfilled => reason::SCHEDULING_POLICY_UNFULFILLED,
            };
            rung(Status::False, reason, &problem.message)
        }
        (None, None, None) => rung(
            Status::Unknown,
            reason::SCHEDULE_PENDING,
            "the placement has not been scheduled yet",
        ),
        (None, None, Some(scheduled)) if scheduled.fulfilled => {
            let message = with_notes(&scheduled.message, &state.notes);
            rung(Status::True, reason::SCHEDULING_POLICY_FULFILLED, &message)
        }
        (None, None, Some(scheduled)) => {
            let message = with_notes(&scheduled.message, &state.notes);
            rung(Status::False, reason::SCHEDULING_POLICY_UNFULFILLED, &message)
        }
    }
}

/// What a decision says, and what is left out of what it is about.
pub(crate) fn with_notes(message: &str, notes: &[String]) -> String {
    let parts = std::iter::once(message).chain(notes.iter().map(String::as_str));
    parts.collect::<Vec<_>>().join("; ")
}

/// The conditions of a ladder that judges a generation. Transition times move only where the status
/// does.
fn conditions(
    ladder: Vec<Rung>,
    condition_type: impl Fn(Step) -> String,
    generation: i64,
    shown: Option<&ShownLadder>,
    now: Timestamp,
) -> Vec<Condition> {
    let condition = |Rung { step, status, reason, message }: Rung| {
        let since = shown.and_then(|shown| shown.since(step, status));
        Condition {
            type_: condition_type(step),
            status: status.as_str().to_owned(),
            reason: reason.to_owned(),
            message,
            observed_generation: Some(generation),
            last_transition_time: since.cloned().unwrap_or_else(|| time(now)),
        }
    };
    ladder.into_iter().map(condition).collect()
}

/// How far one chosen cluster is.
struct ClusterLadder<'a> {
    cluster: &'a str,
    target: Option<&'a Target>,
    /// The generation that it was chosen for: an older one while a newer is refused.
    generation: i64,
    chosen_because: String,
    rungs: Vec<Rung>,
}

impl<'a> ClusterLadder<'a> {
    fn new(verdict: &'a Verdict, state: &'a PlacementState, generation: i64) -> Self {
        let cluster = verdict.cluster.as_str();
        let target = state.targets.get(cluster);
        let latest = state.revision.as_ref().map(|revision| revision.reference.index);
        let chosen_because = verdict_text(cluster, &verdict.reason);
        let rungs = match target {
            Some(target) if target.revision.is_some() && target.revision == latest => climb(target),
            Some(_) | None => vec![Rung::new(
                Step::RolloutStarted,
                Status::False,
                reason::ROLLOUT_NOT_STARTED_YET,
                "the latest resources are not rolled out to this cluster yet",
            )],
        };
        Self { cluster, target, generation, chosen_because, rungs }
    }

    fn to_status(&self, inputs: &StatusInputs<'_>) -> PerClusterPlacementStatus {
        let scheduled = Rung::new(
            Step::Scheduled,
            Status::True,
            cluster_reason::SCHEDULED,
            &self.chosen_because,
        );
        let rungs = self.rungs.iter().map(Rung::copy);
        let ladder = std::iter::once(scheduled).chain(rungs).collect();
        let failed = self.target.into_iter().flat_map(|target| {
            let failures = target.failures.iter().take(OBSERVED_PLACEMENTS_MAX);
            failures.map(|failure| failed(target, failure))
        });
        PerClusterPlacementStatus {
            cluster_name: self.cluster.to_owned(),
            observed_resource_index: index_text(self.target.and_then(|target| target.revision)),
            failed_placements: failed.collect(),
            conditions: conditions(
                ladder,
                |step| step.name().to_owned(),
                self.generation,
                inputs.shown.cluster(self.cluster),
                inputs.now,
            ),
            ..PerClusterPlacementStatus::default()
        }
    }
}

/// What failed on a member. Its generation is that of the object there.
fn failed(target: &Target, failure: &ObjectFailure) -> FailedPlacement {
    let step = match target.phase {
        TargetPhase::Applied => Step::Available,
        TargetPhase::Moving
        | TargetPhase::Assigned
        | TargetPhase::ApplyFailed
        | TargetPhase::Available
        | TargetPhase::AvailableUntracked
        | TargetPhase::Removing
        | TargetPhase::Removed => Step::Applied,
    };
    FailedPlacement {
        resource: identifier(&failure.object),
        condition: Condition {
            type_: step.name().to_owned(),
            status: Status::False.as_str().to_owned(),
            reason: failure.reason.clone(),
            message: shortened(&failure.message, FAILURE_CHARS_MAX),
            observed_generation: failure.generation,
            last_transition_time: time(target.since),
        },
    }
}

impl Rung {
    fn copy(&self) -> Self {
        Self::new(self.step, self.status, self.reason, self.message.clone())
    }
}

/// The steps of a target that was told to hold the latest revision.
fn climb(target: &Target) -> Vec<Rung> {
    let started = Rung::new(
        Step::RolloutStarted,
        Status::True,
        reason::ROLLOUT_STARTED,
        "the latest resources are being rolled out to this cluster",
    );
    let overridden = Rung::new(
        Step::Overridden,
        Status::True,
        reason::NO_OVERRIDE_SPECIFIED,
        "no override applies to this cluster",
    );
    let synchronised =
        |status, reason, message: &str| Rung::new(Step::WorkSynchronized, status, reason, message);
    let synced =
        || synchronised(Status::True, binding_reason::ALL_WORK_SYNCED, "the delivery is on record");
    let applied = || {
        let message = match target.remark.as_str() {
            "" => "all objects are applied".to_owned(),
            remark => format!("all objects are applied; {remark}"),
        };
        Rung::new(Step::Applied, Status::True, binding_reason::ALL_WORK_APPLIED, message)
    };
    let available =
        |status, reason, message: String| Rung::new(Step::Available, status, reason, message);
    let mut rungs = vec![started, overridden];
    match target.phase {
        TargetPhase::Moving | TargetPhase::Removing | TargetPhase::Removed => {
            rungs.push(synchronised(
                Status::Unknown,
                reason::WORK_SYNCHRONIZED_UNKNOWN,
                "the delivery is not on record yet",
            ))
        }
        TargetPhase::Assigned => rungs.extend([
            synced(),
            Rung::new(
                Step::Applied,
                Status::Unknown,
                reason::APPLY_PENDING,
                match target.remark.as_str() {
                    "" => "the objects are being applied".to_owned(),
                    remark => remark.to_owned(),
                },
            ),
        ]),
        TargetPhase::ApplyFailed => rungs.extend([
            synced(),
            Rung::new(
                Step::Applied,
                Status::False,
                binding_reason::NOT_ALL_WORK_APPLIED,
                not_applied(target),
            ),
        ]),
        TargetPhase::Applied => rungs.extend([
            synced(),
            applied(),
            available(
                Status::False,
                binding_reason::NOT_ALL_WORK_AVAILABLE,
                first_of(["is not available yet", "are not available yet"], &target.failures),
            ),
        ]),
        TargetPhase::Available => rungs.extend([
            synced(),
            applied(),
            available(
                Status::True,
                binding_reason::ALL_WORK_AVAILABLE,
                "all objects are available".to_owned(),
            ),
        ]),
        TargetPhase::AvailableUntracked => rungs.extend([
            synced(),
            applied(),
            available(
                Status::True,
                binding_reason::NOT_ALL_WORK_TRACKABLE,
                "all objects whose availability can be tracked are available".to_owned(),
            ),
        ]),
    }
    rungs
}

/// What is not applied, and how much is.
fn not_applied(target: &Target) -> String {
    let first = first_of(["is not applied", "are not applied"], &target.failures);
    match target.remark.as_str() {
        "" => first,
        remark => format!("{remark}; {first}"),
    }
}

/// What is still on clusters that something is being removed from, if anybody has said so.
#[must_use]
pub fn removal_waits(state: &PlacementState) -> Option<String> {
    let waiting = || {
        let targets = state.targets.iter();
        targets.filter(|(_, target)| target.phase == TargetPhase::Removing)
    };
    let (cluster, target) = waiting().next()?;
    let others = match waiting().count() - 1 {
        0 => String::new(),
        others => format!(" (and {others} more clusters like this)"),
    };
    let first = first_of(["is still there", "are still there"], &target.failures);
    Some(format!("it is being removed from {cluster}: {first}{others}"))
}

/// What is true of the objects, and the first of them. `what` says it of one and of several.
fn first_of(what: [&str; 2], failures: &[ObjectFailure]) -> String {
    let [of_one, of_several] = what;
    let said = |failure: &ObjectFailure| {
        format!("{}: {}", failure.object, shortened(&failure.message, FAILURE_CHARS_MAX))
    };
    match failures {
        [] => format!("something {of_one}"),
        [only] => format!("1 object {of_one}: {}", said(only)),
        [first, ..] => {
            format!("{} objects {of_several}, the first: {}", failures.len(), said(first))
        }
    }
}

/// The steps of the placement: each sums up that step of all chosen clusters, and the first that
/// does not hold everywhere ends the ladder.
fn summary(clusters: &[ClusterLadder<'_>]) -> Vec<Rung> {
    let steps = [
        Step::RolloutStarted,
        Step::Overridden,
        Step::WorkSynchronized,
        Step::Applied,
        Step::Available,
    ];
    let mut ladder = vec![];
    for step in steps {
        let rungs: Vec<(&str, &Rung)> = clusters
            .iter()
            .filter_map(|cluster| {
                let rung = cluster.rungs.iter().find(|rung| rung.step == step)?;
                Some((cluster.cluster, rung))
            })
            .collect();
        let rung = sum_up(step, clusters.len(), &rungs);
        let holds = rung.status == Status::True;
        ladder.push(rung);
        if !holds {
            break;
        }
    }
    ladder
}

fn sum_up(step: Step, clusters: usize, rungs: &[(&str, &Rung)]) -> Rung {
    let failing = rungs.iter().find(|(_, rung)| rung.status == Status::False);
    let unknown = rungs.iter().find(|(_, rung)| rung.status == Status::Unknown);
    let holding = rungs.iter().filter(|(_, rung)| rung.status == Status::True).count();
    let progress = |(cluster, rung): &(&str, &Rung)| {
        format!("{holding} of {clusters} clusters are done; {cluster}: {}", rung.message)
    };
    let (unknown_reason, false_reason, true_reason) = reasons(step);
    match (unknown, failing) {
        (None, None) if holding == clusters => {
            let message = format!("{holding} of {clusters} clusters are done");
            Rung::new(step, Status::True, true_reason, message)
        }
        (_, Some(failing)) => Rung::new(step, Status::False, false_reason, progress(failing)),
        (Some(unknown), None) => {
            Rung::new(step, Status::Unknown, unknown_reason, progress(unknown))
        }
        (None, None) => {
            let message = format!("{holding} of {clusters} clusters are done");
            Rung::new(step, Status::Unknown, unknown_reason, message)
        }
    }
}

/// The reasons of a step of the placement: unknown, false, true.
fn reasons(step: Step) -> (&'static str, &'static str, &'static str) {
    match step {
        Step::Scheduled => (
            reason::SCHEDULE_PENDING,
            reason::SCHEDULING_POLICY_UNFULFILLED,
            reason::SCHEDULING_POLICY_FULFILLED,
        ),
        Step::RolloutStarted => (
            reason::ROLLOUT_STARTED_UNKNOWN,
            reason::ROLLOUT_NOT_STARTED_YET,
            reason::ROLLOUT_STARTED,
        ),
        Step::Overridden => {
            (reason::OVERRIDDEN_PENDING, reason::OVERRIDDEN_FAILED, reason::NO_OVERRIDE_SPECIFIED)
        }
        Step::WorkSynchronized => (
            reason::WORK_SYNCHRONIZED_UNKNOWN,
            reason::WORK_NOT_SYNCHRONIZED_YET,
            reason::WORK_SYNCHRONIZED,
        ),
        Step::Applied => (reason::APPLY_PENDING, reason::APPLY_FAILED, reason::APPLY_SUCCEEDED),
        Step::Available => (
            reason::RESOURCE_AVAILABLE_UNKNOWN,
            reason::RESOURCE_NOT_AVAILABLE_YET,
            reason::RESOURCE_AVAILABLE,
        ),
        Step::DiffReported => (
            reason::DIFF_REPORTING_PENDING,
            reason::DIFF_REPORTING_INCOMPLETE_OR_FAILED,
            reason::DIFF_REPORTING_COMPLETED,
        ),
    }
}

fn rejected_of(scheduled: &Scheduled, inputs: &StatusInputs<'_>) -> Vec<PerClusterPlacementStatus> {
    let rejected = scheduled.verdicts.iter().filter(|verdict| !verdict.chosen);
    let entry = |verdict: &Verdict| {
        let message = verdict_text(&verdict.cluster, &verdict.reason);
        let rung =
            Rung::new(Step::Scheduled, Status::False, cluster_reason::SCHEDULE_FAILED, message);
        PerClusterPlacementStatus {
            cluster_name: verdict.cluster.clone(),
            conditions: conditions(
                vec![rung],
                |step| step.name().to_owned(),
                scheduled.generation,
                inputs.shown.cluster(&verdict.cluster),
                inputs.now,
            ),
            ..PerClusterPlacementStatus::default()
        }
    };
    rejected.take(REJECTED_SHOWN_MAX).map(entry).collect()
}

/// What a verdict means, in words.
#[must_use]
pub fn verdict_text(cluster: &str, reason: &VerdictReason) -> String {
    match reason {
        VerdictReason::Matches => format!("{cluster} matches the policy"),
        VerdictReason::Named => format!("{cluster} is named by the policy"),
        VerdictReason::StaysPlaced { despite } => {
            let despite = despite.as_ref().map(|reason| verdict_text(cluster, reason));
            let despite = despite.unwrap_or_else(|| "the cluster has changed since".to_owned());
            format!("{cluster} holds the placement and keeps it, although {despite}")
        }
        VerdictReason::NotFound => format!("there is no member cluster {cluster}"),
        VerdictReason::NotJoined => format!("{cluster} has not joined the fleet yet"),
        VerdictReason::Unhealthy => {
            format!(
                "{cluster} has been unhealthy for longer than the grace period: it gets nothing new"
            )
        }
        VerdictReason::LabelsDoNotMatch => {
            format!("the labels of {cluster} match no term of the cluster affinity")
        }
        VerdictReason::TaintNotTolerated { key, value } if value.is_empty() => {
            format!("{cluster} has the taint {key}:NoSchedule, which is not tolerated")
        }
        VerdictReason::TaintNotTolerated { key, value } => {
            format!("{cluster} has the taint {key}={value}:NoSchedule, which is not tolerated")
        }
    }
}

fn identifier(object: &ObjectId) -> ResourceIdentifier {
    ResourceIdentifier {
        group: object.group.clone(),
        version: object.version.clone(),
        kind: object.kind.clone(),
        name: object.name.clone(),
        namespace: object.namespace.clone(),
        envelope: None,
    }
}

fn index_text(index: Option<u32>) -> String {
    index.map(|index| index.to_string()).unwrap_or_default()
}

/// The same moment in the Kubernetes client's own type, to the second as the API shows it.
pub(crate) fn time(at: Timestamp) -> Time {
    let second = k8s_openapi::jiff::Timestamp::from_second(at.as_second());
    Time(second.expect("both count the same seconds"))
}
