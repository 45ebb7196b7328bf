//! Members that hold newer orders than the record has.

use actix_web::{get, web};
use api::http::FenceView;
use events::AggregateId;

use super::state::HttpState;
use crate::fences::{message, token_of};

/// Members that hold newer orders than the record has, as this node has met them.
#[utoipa::path(
    get, path = "/api/v1/fences", tag = "fleet",
    responses((status = 200, description = "Those members", body = [FenceView])),
)]
#[get("/api/v1/fences")]
pub(super) async fn list_fences(state: web::Data<HttpState>) -> web::Json<Vec<FenceView>> {
    let all = state.config.fences.all().into_iter();
    let view = all.map(|(key, ahead)| FenceView {
        placement: AggregateId::Placement(key.placement.clone()).to_string(),
        cluster: key.cluster.clone(),
        holder: ahead.holder.to_string(),
        own: ahead.own.to_string(),
        token: token_of(&key, ahead),
        message: message(ahead),
    });
    web::Json(view.collect())
}
