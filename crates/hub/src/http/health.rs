//! Whether the hub runs, and whether it can do its work.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, get, web};
use actors::concerns::{Concern, Gravity};
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
        (status = 200, description = "Nothing is in the way; there may be warnings", body = Readiness),
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
    let concerns = state.config.router.concerns().all();
    not_ready.extend(told(&concerns, Gravity::Blocking));
    let warnings = told(&concerns, Gravity::Warning);
    Readiness { ready: not_ready.is_empty(), not_ready, warnings }
}

/// The concerns of a gravity, one line for each check: the first speaks for the others.
fn told(concerns: &[Concern], gravity: Gravity) -> Vec<NotReady> {
    let mut by_check: BTreeMap<&str, Vec<&Concern>> = BTreeMap::new();
    for concern in concerns.iter().filter(|concern| concern.gravity == gravity) {
        by_check.entry(concern.check).or_default().push(concern);
    }
    let line = |(check, concerns): (&str, Vec<&Concern>)| {
        let first = &concerns[0];
        let about = if first.about.is_empty() { "" } else { &format!("{}: ", first.about) };
        let others = match concerns.len() - 1 {
            0 => String::new(),
            others => format!(" (and {others} more)"),
        };
        NotReady { check: check.to_owned(), message: format!("{about}{}{others}", first.message) }
    };
    by_check.into_iter().map(line).collect()
}
