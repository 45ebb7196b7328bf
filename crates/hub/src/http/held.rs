//! What is held because the hub's Kubernetes API lost it.

use actix_web::{get, web};
use api::http::HeldView;
use events::placement::HoldReason;
use events::{AggregateId, Timestamp};
use projections::Model;

use super::state::HttpState;

/// Everything that is held.
#[utoipa::path(
    get, path = "/api/v1/held", tag = "fleet",
    responses((status = 200, description = "Everything that is held", body = [HeldView])),
)]
#[get("/api/v1/held")]
pub(super) async fn list_held(state: web::Data<HttpState>) -> web::Json<Vec<HeldView>> {
    web::Json(state.look(held))
}

fn held(model: &Model) -> Vec<HeldView> {
    let placements = model.placements.iter().filter_map(|(key, placement)| {
        let held = placement.state.held.as_ref()?;
        let id = AggregateId::Placement(key.clone());
        Some(view(&id, held.reason, &held.token, &held.message, held.since))
    });
    let clusters = model.clusters.iter().filter_map(|(name, cluster)| {
        let held = cluster.state.member()?.held.as_ref()?;
        let id = AggregateId::Cluster(name.clone());
        Some(view(&id, HoldReason::ObjectGone, &held.token, &held.message, held.since))
    });
    let fleet = model.fleet.state.hub_went_back.as_ref().map(|held| {
        let reason = HoldReason::ObjectWentBack;
        view(&AggregateId::Fleet, reason, &held.token, &held.message, held.since)
    });
    fleet.into_iter().chain(placements).chain(clusters).collect()
}

fn view(
    id: &AggregateId,
    reason: HoldReason,
    token: &str,
    message: &str,
    since: Timestamp,
) -> HeldView {
    HeldView {
        aggregate: id.to_string(),
        reason: format!("{reason:?}"),
        token: token.to_owned(),
        message: message.to_owned(),
        since: since.to_string(),
    }
}
