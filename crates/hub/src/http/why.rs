//! Why a placement is on a cluster, or is not: the decision record, and what the cluster holds now.

use actix_web::{get, web};
use api::http::{ClusterWhy, CommandView, DecisionView, Why};
use domain::placement::PlacementState;
use events::placement::{PlacementEvent, PlacementScheduled, Verdict, VerdictReason};
use events::{AggregateId, CommandSource, Event, PlacementKey};
use projections::{At, Decision, Recorded};
use serde::Deserialize;
use utoipa::IntoParams;

use super::error::Problem;
use super::placements::{is_gone, key_of, no_such_placement, problem, view};
use super::state::HttpState;
use super::status::watermark;
use crate::placements::{verdict_text, with_notes};

/// About which cluster.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WhyQuery {
    /// The cluster; all that the decision names when absent.
    cluster: Option<String>,
}

/// The latest scheduling decision of a placement.
#[utoipa::path(
    get, path = "/api/v1/why/{scope}/{name}", tag = "record",
    params(
        ("scope" = String, Path, description = "`cluster`, or `ns.` and a namespace"),
        ("name" = String, Path, description = "The name of the placement"),
        WhyQuery,
    ),
    responses(
        (status = 200, description = "The decision record", body = Why),
        (status = 404, description = "There is no such placement", body = api::http::ErrorBody),
    ),
)]
#[get("/api/v1/why/{scope}/{name}")]
pub(super) async fn why(
    state: web::Data<HttpState>,
    path: web::Path<(String, String)>,
    query: web::Query<WhyQuery>,
) -> Result<web::Json<Why>, Problem> {
    let key = key_of(&path)?;
    let (placement, cluster_is_known) = state.look(|model| {
        let placement = model.placements.get(&key).map(|known| known.state.clone());
        let is_known = query.cluster.as_ref().is_none_or(|name| model.clusters.contains_key(name));
        (placement, is_known)
    });
    let asked = key.clone();
    let latest = state.query(move |queries| queries.latest_decision(&asked, &At::Now)).await?;
    let Some(placement) = placement.filter(|state| !is_gone(state) || latest.is_some()) else {
        return Err(no_such_placement(&key));
    };
    let found = latest.as_ref().and_then(|(recorded, decision)| {
        scheduled_of(recorded).map(|scheduled| (recorded, decision, scheduled))
    });
    let verdicts = found.map(|(_, _, scheduled)| scheduled.verdicts.as_slice()).unwrap_or_default();
    let clusters = match &query.cluster {
        None => verdicts.iter().map(|verdict| cluster_why(verdict, &placement)).collect(),
        Some(cluster) => match verdicts.iter().find(|verdict| verdict.cluster == *cluster) {
            Some(verdict) => vec![cluster_why(verdict, &placement)],
            None => vec![not_considered(cluster, cluster_is_known, &placement)],
        },
    };
    let decision = found.map(|(at, decision, scheduled)| {
        let view = decision_view(&key, at, decision, scheduled);
        // What the selectors leave out may be why something that somebody looks for is nowhere.
        DecisionView { message: with_notes(&view.message, &placement.notes), ..view }
    });
    let problem = placement.problem.as_ref().map(problem);
    Ok(web::Json(Why { placement: key.to_string(), decision, problem, clusters }))
}

fn scheduled_of(recorded: &Recorded) -> Option<&PlacementScheduled> {
    match &recorded.envelope.event {
        Event::Placement(PlacementEvent::PlacementScheduled(scheduled)) => Some(scheduled),
        Event::Placement(_) | Event::Cluster(_) | Event::Fleet(_) => None,
    }
}

fn decision_view(
    key: &PlacementKey,
    recorded: &Recorded,
    decision: &Decision,
    scheduled: &PlacementScheduled,
) -> DecisionView {
    let envelope = &recorded.envelope;
    debug_assert_eq!(envelope.aggregate, AggregateId::Placement(key.clone()));
    let kind = match (&decision.record.command, &decision.command) {
        (CommandSource::Direct(command) | CommandSource::Submitted { command, .. }, _)
        | (CommandSource::FollowUp(_), Some(command)) => Some(command.kind.clone()),
        (CommandSource::FollowUp(_), None) => None,
    };
    DecisionView {
        position: recorded.position.to_string(),
        time: envelope.time.to_string(),
        algorithm: scheduled.algorithm,
        generation: scheduled.generation,
        policy_index: scheduled.policy_index,
        fulfilled: scheduled.fulfilled,
        message: scheduled.message.clone(),
        watermark: watermark(&scheduled.watermark),
        command: CommandView {
            id: envelope.command.to_string(),
            kind,
            principal: envelope.principal.to_string(),
            causation: envelope.causation.map(|id| id.to_string()),
            correlation: envelope.correlation.to_string(),
        },
    }
}

fn cluster_why(verdict: &Verdict, placement: &PlacementState) -> ClusterWhy {
    let cluster = &verdict.cluster;
    ClusterWhy {
        cluster: cluster.clone(),
        chosen: verdict.chosen,
        reason: name_of(&verdict.reason).to_owned(),
        text: verdict_text(cluster, &verdict.reason),
        target: placement.targets.get(cluster).map(|target| view(cluster, target)),
    }
}

fn not_considered(cluster: &str, is_known: bool, placement: &PlacementState) -> ClusterWhy {
    let text = if is_known {
        format!("the decision does not name {cluster}: it joined later, or the policy names others")
    } else {
        format!("there is no member cluster {cluster}")
    };
    ClusterWhy {
        cluster: cluster.to_owned(),
        chosen: false,
        reason: "NotConsidered".to_owned(),
        text,
        target: placement.targets.get(cluster).map(|target| view(cluster, target)),
    }
}

fn name_of(reason: &VerdictReason) -> &'static str {
    match reason {
        VerdictReason::Matches => "Matches",
        VerdictReason::Named => "Named",
        VerdictReason::StaysPlaced { .. } => "StaysPlaced",
        VerdictReason::NotFound => "NotFound",
        VerdictReason::NotJoined => "NotJoined",
        VerdictReason::Unhealthy => "Unhealthy",
        VerdictReason::LabelsDoNotMatch => "LabelsDoNotMatch",
        VerdictReason::TaintNotTolerated { .. } => "TaintNotTolerated",
    }
}
