//! The placements, as they are now.

use actix_web::{get, web};
use api::http::{
    FailureView, PlacementDetail, PlacementPhase, PlacementSummary, ProblemView, TargetView,
};
use domain::placement::{PlacementState, Problem as Refused, Target};
use events::PlacementKey;
use events::cluster::ObjectFailure;
use events::placement::TargetPhase;
use projections::Versioned;

use super::error::Problem;
use super::state::HttpState;
use crate::placements::{removal_waits, with_notes};

/// All placements, in order of scope and name.
#[utoipa::path(
    get, path = "/api/v1/placements", tag = "fleet",
    responses((status = 200, description = "All placements", body = [PlacementSummary])),
)]
#[get("/api/v1/placements")]
pub(super) async fn list_placements(
    state: web::Data<HttpState>,
) -> web::Json<Vec<PlacementSummary>> {
    web::Json(state.look(|model| {
        let placements = model.placements.iter();
        let known = placements.filter(|(_, placement)| !is_gone(&placement.state));
        known.map(|(key, placement)| summary(key, placement)).collect()
    }))
}

/// One placement and the clusters that it is on.
#[utoipa::path(
    get, path = "/api/v1/placements/{scope}/{name}", tag = "fleet",
    params(
        ("scope" = String, Path, description = "`cluster`, or `ns.` and a namespace"),
        ("name" = String, Path, description = "The name of the placement"),
    ),
    responses(
        (status = 200, description = "The placement", body = PlacementDetail),
        (status = 404, description = "There is none", body = api::http::ErrorBody),
    ),
)]
#[get("/api/v1/placements/{scope}/{name}")]
pub(super) async fn get_placement(
    state: web::Data<HttpState>,
    path: web::Path<(String, String)>,
) -> Result<web::Json<PlacementDetail>, Problem> {
    let key = key_of(&path)?;
    let detail = state.look(|model| {
        let placement = model.placements.get(&key).filter(|known| !is_gone(&known.state))?;
        Some(detail(&key, placement))
    });
    detail.map(web::Json).ok_or_else(|| no_such_placement(&key))
}

pub(super) fn key_of((scope, name): &(String, String)) -> Result<PlacementKey, Problem> {
    let text = format!("{scope}/{name}");
    text.parse().map_err(|_| {
        let hint = "a scope is cluster, or ns. and a namespace: cluster/web, ns.team-a/web";
        Problem::bad_request(format!("{text:?} names no placement"), hint)
    })
}

pub(super) fn no_such_placement(key: &PlacementKey) -> Problem {
    let hint = "see what there is with: taffrail status";
    Problem::not_found(format!("there is no placement {key}"), hint)
}

/// Whether nothing of it is left but what later generations need.
pub(super) fn is_gone(state: &PlacementState) -> bool {
    state.specified.is_none() && state.problem.is_none() && state.deleting.is_none()
}

pub(super) fn is_available(target: &Target) -> bool {
    target.revision.is_some()
        && matches!(target.phase, TargetPhase::Available | TargetPhase::AvailableUntracked)
}

pub(super) fn is_failed(target: &Target) -> bool {
    target.phase == TargetPhase::ApplyFailed
}

fn detail(key: &PlacementKey, placement: &Versioned<PlacementState>) -> PlacementDetail {
    let state = &placement.state;
    PlacementDetail {
        summary: summary(key, placement),
        problem: state.problem.as_ref().map(problem),
        targets: state.targets.iter().map(|(cluster, target)| view(cluster, target)).collect(),
    }
}

fn summary(key: &PlacementKey, placement: &Versioned<PlacementState>) -> PlacementSummary {
    let state = &placement.state;
    let (scope, name) = scope_and_name(key);
    PlacementSummary {
        scope,
        name,
        phase: phase_of(state),
        generation: state.specified.as_ref().map(|specified| specified.generation),
        revision: state.revision.as_ref().map(|revision| revision.reference.index),
        objects: state.revision.as_ref().map_or(0, |revision| revision.objects),
        chosen: state.scheduled.as_ref().map_or(0, |scheduled| scheduled.chosen().count()),
        available: available_at_latest(state),
        failed: state.targets.values().filter(|target| is_failed(target)).count(),
        message: message(state),
        changed_at: placement.changed_at.to_string(),
    }
}

fn scope_and_name(key: &PlacementKey) -> (String, String) {
    let text = key.to_string();
    let (scope, name) = text.split_once('/').expect("a key is written scope/name");
    (scope.to_owned(), name.to_owned())
}

/// On how many chosen clusters the latest revision is available.
fn available_at_latest(state: &PlacementState) -> usize {
    let latest = state.revision.as_ref().map(|revision| revision.reference.index);
    let chosen = state.scheduled.iter().flat_map(|scheduled| scheduled.chosen());
    let targets = chosen.filter_map(|cluster| state.targets.get(cluster));
    targets.filter(|target| target.revision == latest && is_available(target)).count()
}

fn phase_of(state: &PlacementState) -> PlacementPhase {
    if state.deleting.is_some() {
        return PlacementPhase::Deleting;
    }
    if state.held.is_some() {
        return PlacementPhase::Held;
    }
    if state.problem.is_some() {
        return PlacementPhase::Refused;
    }
    let Some(scheduled) = &state.scheduled else { return PlacementPhase::Pending };
    if state.targets.values().any(is_failed) {
        PlacementPhase::Failed
    } else if !scheduled.fulfilled {
        PlacementPhase::Unfulfilled
    } else if available_at_latest(state) == scheduled.chosen().count()
        && state.targets.values().all(|target| target.revision.is_some())
    {
        PlacementPhase::Available
    } else {
        PlacementPhase::Progressing
    }
}

fn message(state: &PlacementState) -> String {
    if let Some(waits) = removal_waits(state).filter(|_| state.held.is_none()) {
        return waits;
    }
    match (&state.held, &state.problem, &state.scheduled) {
        (Some(held), _, _) => held.message.clone(),
        (None, Some(problem), _) => problem.message.clone(),
        (None, None, Some(scheduled)) => with_notes(&scheduled.message, &state.notes),
        (None, None, None) => String::new(),
    }
}

pub(super) fn problem(problem: &Refused) -> ProblemView {
    ProblemView {
        generation: problem.generation,
        reason: format!("{:?}", problem.reason),
        message: problem.message.clone(),
        since: problem.since.to_string(),
    }
}

pub(super) fn view(cluster: &str, target: &Target) -> TargetView {
    TargetView {
        cluster: cluster.to_owned(),
        phase: format!("{:?}", target.phase),
        revision: target.revision,
        generation: target.generation,
        since: target.since.to_string(),
        evidence: target.evidence.map(|position| position.to_string()),
        failures: failures(&target.failures),
        remark: target.remark.clone(),
    }
}

pub(super) fn failures(failures: &[ObjectFailure]) -> Vec<FailureView> {
    let view = |failure: &ObjectFailure| FailureView {
        object: failure.object.to_string(),
        reason: failure.reason.clone(),
        message: failure.message.clone(),
    };
    failures.iter().map(view).collect()
}
