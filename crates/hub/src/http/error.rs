//! Answers that say what is wrong and what to do, in JSON.

use std::fmt;

use actix_web::error::{BlockingError, InternalError};
use actix_web::http::StatusCode;
use actix_web::web::QueryConfig;
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError};
use api::http::ErrorBody;
use projections::StoreError;

/// Why a question has no answer.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    body: ErrorBody,
}

impl Problem {
    fn new(status: StatusCode, error: impl Into<String>, hint: Option<&str>) -> Self {
        let body = ErrorBody { error: error.into(), hint: hint.map(str::to_owned) };
        Self { status, body }
    }

    /// The question makes no sense.
    pub(super) fn bad_request(error: impl Into<String>, hint: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, Some(hint))
    }

    /// There is no such thing.
    pub(super) fn not_found(error: impl Into<String>, hint: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, error, Some(hint))
    }

    /// It cannot be answered now.
    pub(super) fn unavailable(error: impl Into<String>, hint: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error, Some(hint))
    }

    /// Somebody else asked first.
    pub(super) fn busy(error: impl Into<String>, hint: &str) -> Self {
        Self::new(StatusCode::CONFLICT, error, Some(hint))
    }

    /// It is for somebody else.
    pub(super) fn misdirected(host: &str) -> Self {
        let error = format!("this hub does not answer for the host {host:?}");
        let hint = "name it with hosts under [http] in the hub's configuration, or ask by the \
                    address that it listens on";
        Self::new(StatusCode::MISDIRECTED_REQUEST, error, Some(hint))
    }

    /// A page of another site asks.
    pub(super) fn other_site() -> Self {
        let hint = "ask with a program, or type the address into the browser";
        Self::new(
            StatusCode::FORBIDDEN,
            "this hub does not answer to pages of other sites",
            Some(hint),
        )
    }

    /// There are enough.
    pub(super) fn too_many(error: impl Into<String>) -> Self {
        let hint = "end some of them, or ask again in a moment";
        Self::new(StatusCode::TOO_MANY_REQUESTS, error, Some(hint))
    }

    /// It should have worked.
    pub(super) fn internal(error: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error, None)
    }

    /// Nothing is served there.
    pub(super) fn no_such_path() -> Self {
        Self::not_found("nothing is served at this path", "see /openapi.json for what is")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.body.error)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status).json(&self.body)
    }
}

impl Responder for Problem {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _request: &HttpRequest) -> HttpResponse {
        self.error_response()
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "a query failed");
        Self::internal(error.to_string())
    }
}

impl From<BlockingError> for Problem {
    fn from(_: BlockingError) -> Self {
        Self::unavailable("the hub is shutting down", "ask another one, or again in a moment")
    }
}

/// Query parameters that cannot be read are answered like everything else.
pub(super) fn query_config() -> QueryConfig {
    QueryConfig::default().error_handler(|error, _request| {
        let hint = "see /openapi.json for the parameters";
        let problem = Problem::bad_request(error.to_string(), hint);
        let response = problem.error_response();
        InternalError::from_response(error, response).into()
    })
}
