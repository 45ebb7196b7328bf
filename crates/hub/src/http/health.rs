//! Whether the hub runs, and whether it can do its work.

use actix_web::{HttpResponse, get, web};
use api::http::{NotReady, Readiness};

use super::state::HttpState;
use crate::index::{Gap, Unknown};

/// The process runs.
#[utoipa::path(
    get, path = "/healthz", tag = "health",
    responses((status = 200, description = "The process runs", body = String)),
)]
#[get("/healthz")]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the hub can do its work, and what is in the way.
#[utoipa::path(
    get, path = "/readyz", tag = "health",
    responses(
        (status = 200, description = "Nothing is in the way", body = Readiness),
        (status = 503, description = "Something is in the way", body = Readiness),
    ),
)]
#[get("/readyz")]
pub(super) async fn readyz(state: web::Data<HttpState>) -> HttpResponse {
    let readiness = readiness(&state);
    if readiness.ready {
        HttpResponse::Ok().json(readiness)
    } else {
        HttpResponse::ServiceUnavailable().json(readiness)
    }
}

/// What is in the way, the gravest first.
pub(super) fn readiness(state: &HttpState) -> Readiness {
    let node = state.node();
    let mut not_ready = Vec::new();
    let mut tell = |check: &str, message: String| {
        not_ready.push(NotReady { check: check.to_owned(), message });
    };
    if let Some(reason) = node.stopped {
        tell("fold", format!("reading the log has stopped: {reason}"));
    }
    if node.owning.is_empty() {
        tell("partitions", "this hub owns no partition of the log: it decides nothing".to_owned());
    }
    // What was tried in vain concerns the placements that reach it, and they say so.
    let index = state.config.index.status();
    let index = index.borrow();
    let in_the_way = |gap: &&Gap| gap.error.is_none() || gap.about == Unknown::Kinds;
    let mut gaps = index.gaps.iter().filter(in_the_way);
    if let Some(first) = gaps.next() {
        let others = match gaps.count() {
            0 => String::new(),
            others => format!(" (and {others} more)"),
        };
        tell("index", format!("{first}{others}"));
    }
    not_ready.extend(state.config.checks.iter().filter_map(|check| check()));
    Readiness { ready: not_ready.is_empty(), not_ready }
}
