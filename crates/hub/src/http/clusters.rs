//! The clusters, as they are now.

use actix_web::{get, web};
use api::http::{ClusterDetail, ClusterPhase, ClusterSummary, ClusterTaint, DeliveryView};
use domain::cluster::{ClusterState, Delivery, DeliveryPhase, Member, Membership};
use events::PlacementKey;

use super::error::Problem;
use super::placements::failures;
use super::state::HttpState;

/// All clusters, in order of names, those that left included.
#[utoipa::path(
    get, path = "/api/v1/clusters", tag = "fleet",
    responses((status = 200, description = "All clusters", body = [ClusterSummary])),
)]
#[get("/api/v1/clusters")]
pub(super) async fn list_clusters(state: web::Data<HttpState>) -> web::Json<Vec<ClusterSummary>> {
    web::Json(state.look(|model| {
        let clusters = model.clusters.iter();
        clusters.map(|(name, cluster)| summary(name, &cluster.state)).collect()
    }))
}

/// One cluster and what it holds.
#[utoipa::path(
    get, path = "/api/v1/clusters/{name}", tag = "fleet",
    params(("name" = String, Path, description = "The name of the MemberCluster")),
    responses(
        (status = 200, description = "The cluster", body = ClusterDetail),
        (status = 404, description = "There is none", body = api::http::ErrorBody),
    ),
)]
#[get("/api/v1/clusters/{name}")]
pub(super) async fn get_cluster(
    state: web::Data<HttpState>,
    name: web::Path<String>,
) -> Result<web::Json<ClusterDetail>, Problem> {
    let detail =
        state.look(|model| model.clusters.get(&*name).map(|known| detail(&name, &known.state)));
    detail.map(web::Json).ok_or_else(|| {
        let hint = "see what there is with: taffrail status";
        Problem::not_found(format!("there is no cluster {name}"), hint)
    })
}

pub(super) fn phase_of(state: &ClusterState) -> ClusterPhase {
    match &state.membership {
        Membership::Unknown => ClusterPhase::Joining,
        Membership::Left => ClusterPhase::Left,
        Membership::Member(member) if member.identity.is_none() => ClusterPhase::Joining,
        Membership::Member(member) if is_unwell(member) => ClusterPhase::Unhealthy,
        Membership::Member(_) => ClusterPhase::Healthy,
    }
}

fn is_unwell(member: &Member) -> bool {
    member.held.is_some() || member.unhealthy.is_some() || member.link_failure.is_some()
}

fn summary(name: &str, state: &ClusterState) -> ClusterSummary {
    let member = state.member();
    let taints = member.map(|member| member.taints.as_slice()).unwrap_or_default();
    let taint = |taint: &events::cluster::Taint| ClusterTaint {
        key: taint.key.clone(),
        value: taint.value.clone(),
    };
    ClusterSummary {
        name: name.to_owned(),
        phase: phase_of(state),
        labels: member.map(|member| member.labels.clone()).unwrap_or_default(),
        taints: taints.iter().map(taint).collect(),
        kubernetes_version: member
            .map(|member| member.kubernetes_version.clone())
            .unwrap_or_default(),
        joined_at: member.and_then(|member| member.joined_at).map(|at| at.to_string()),
        deliveries: state.deliveries.len(),
        message: member.and_then(trouble_of).unwrap_or_default(),
    }
}

fn trouble_of(member: &Member) -> Option<String> {
    if let Some(held) = &member.held {
        return Some(held.message.clone());
    }
    let link = member.link_failure.as_ref().map(|failure| failure.message.clone());
    link.or_else(|| member.unhealthy.as_ref().map(|unhealthy| unhealthy.message.clone()))
}

fn detail(name: &str, state: &ClusterState) -> ClusterDetail {
    let member = state.member();
    ClusterDetail {
        summary: summary(name, state),
        identity: member.and_then(|member| member.identity.clone()),
        properties: member.map(|member| member.properties.clone()).unwrap_or_default(),
        deliveries: state.deliveries.iter().map(|(key, delivery)| view(key, delivery)).collect(),
    }
}

fn view(key: &PlacementKey, delivery: &Delivery) -> DeliveryView {
    let (phase, trouble) = match &delivery.phase {
        DeliveryPhase::Assigned => ("Assigned", &[][..]),
        DeliveryPhase::Failed(objects) => ("Failed", objects.as_slice()),
        DeliveryPhase::Applied(objects) => ("Applied", objects.as_slice()),
        DeliveryPhase::Available { .. } => ("Available", &[][..]),
        DeliveryPhase::Withdrawn(objects) => ("Withdrawn", objects.as_slice()),
    };
    DeliveryView {
        placement: key.to_string(),
        phase: phase.to_owned(),
        generation: delivery.generation,
        revision: delivery.revision.as_ref().map(|revision| revision.index),
        failures: failures(trouble),
    }
}
