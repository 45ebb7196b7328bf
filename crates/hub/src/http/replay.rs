//! Decides everything on record again. One at a time: it reads the whole log.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use actix_web::{get, web};
use actors::replay::{Difference, VerifyReport, verify};
use api::http::{ReplayDifference, ReplayReport};

use super::error::Problem;
use super::state::HttpState;

/// Folds the whole log, decides every decision again, and compares. Takes a second for some
/// hundred thousand events.
#[utoipa::path(
    get, path = "/api/v1/replay", tag = "record",
    responses(
        (status = 200, description = "What came of it", body = ReplayReport),
        (status = 409, description = "A replay is under way", body = api::http::ErrorBody),
        (status = 503, description = "The log cannot be read", body = api::http::ErrorBody),
    ),
)]
#[get("/api/v1/replay")]
pub(super) async fn replay(
    state: web::Data<HttpState>,
) -> Result<web::Json<ReplayReport>, Problem> {
    let Some(_turn) = Turn::take(&state.replaying) else {
        return Err(Problem::busy("a replay is under way", "ask again when it is done"));
    };
    let log = state.config.router.log().clone();
    let partitions = state.config.genesis.partitions;
    let started = Instant::now();
    let verified = verify(&*log, partitions).await.map_err(|error| {
        let source = std::error::Error::source(&error);
        let why = source.map(|source| format!(": {source}")).unwrap_or_default();
        Problem::unavailable(format!("{error}{why}"), "look at /readyz")
    })?;
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(web::Json(report(verified, took_ms)))
}

/// The turn of one replay; given back when it ends, however it does.
struct Turn<'a>(&'a AtomicBool);

impl<'a> Turn<'a> {
    fn take(taken: &'a AtomicBool) -> Option<Self> {
        (!taken.swap(true, Ordering::AcqRel)).then_some(Self(taken))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

fn report(verified: VerifyReport, took_ms: u64) -> ReplayReport {
    ReplayReport {
        clean: verified.is_clean(),
        records: verified.records,
        rejected: verified.rejected,
        events: verified.events,
        decisions: verified.decisions,
        follow_ups: verified.follow_ups,
        undecided: verified.undecided,
        took_ms,
        first_difference: verified.first_difference.map(difference),
    }
}

fn difference(difference: Difference) -> ReplayDifference {
    ReplayDifference {
        position: difference.position.to_string(),
        decision: difference.decision,
        aggregate: difference.aggregate,
        what: difference.what,
        recorded: difference.recorded,
        decided: difference.decided,
    }
}
