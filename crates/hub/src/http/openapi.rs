//! The description of everything that is served.

use actix_web::{HttpResponse, get};
use utoipa::OpenApi;

use super::{clusters, events, fences, health, held, metrics, placements, replay, status, why};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Taffrail",
        description = "What a Taffrail hub shows of its fleet and of the record. Everything is \
                       read; what is to change is written to the hub's Kubernetes API.",
    ),
    paths(
        health::healthz,
        health::readyz,
        metrics::metrics,
        openapi_json,
        status::status,
        placements::list_placements,
        placements::get_placement,
        clusters::list_clusters,
        clusters::get_cluster,
        held::list_held,
        fences::list_fences,
        events::list_events,
        events::history,
        why::why,
        replay::replay,
    ),
    tags(
        (name = "health", description = "Whether the hub is well"),
        (name = "fleet", description = "The present"),
        (name = "record", description = "The past, and why"),
    ),
)]
struct Api;

/// The OpenAPI document.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = Api::openapi();
    env!("CARGO_PKG_VERSION").clone_into(&mut document.info.version);
    document
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "health",
    responses((status = 200, description = "This document", body = Object)),
)]
#[get("/openapi.json")]
pub(super) async fn openapi_json() -> HttpResponse {
    HttpResponse::Ok().json(document())
}
