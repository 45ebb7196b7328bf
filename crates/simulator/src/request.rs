//! One HTTP request and its answer, without the transport.

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use crate::error::ApiError;

/// A request to one API server. Paths are relative to the server: `/api/v1/namespaces`.
#[derive(Debug, Clone)]
pub struct Request {
    /// The HTTP method.
    pub method: Method,
    /// The path, percent-encoded as on the wire.
    pub path: String,
    /// The query string without `?`.
    pub query: String,
    /// The `Accept` header; empty when absent.
    pub accept: String,
    /// The `Content-Type` header; empty when absent.
    pub content_type: String,
    /// The `User-Agent` header: names the field manager when the query does not.
    pub user_agent: String,
    /// The body.
    pub body: Bytes,
}

impl Request {
    /// A request without body; the target may carry a query: `/api/v1/pods?limit=5`.
    pub fn new(method: Method, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            accept: "application/json".to_owned(),
            content_type: "application/json".to_owned(),
            user_agent: "simulator".to_owned(),
            body: Bytes::new(),
        }
    }

    /// GET.
    pub fn get(target: &str) -> Self {
        Self::new(Method::GET, target)
    }

    /// POST of a JSON body.
    pub fn post(target: &str, body: &Value) -> Self {
        Self::new(Method::POST, target).with_body(body)
    }

    /// PUT of a JSON body.
    pub fn put(target: &str, body: &Value) -> Self {
        Self::new(Method::PUT, target).with_body(body)
    }

    /// PATCH with the content type that says how, such as `application/merge-patch+json`.
    pub fn patch(target: &str, content_type: &str, body: &Value) -> Self {
        let mut request = Self::new(Method::PATCH, target).with_body(body);
        request.content_type = content_type.to_owned();
        request
    }

    /// Server-side apply.
    pub fn apply(target: &str, body: &Value) -> Self {
        Self::patch(target, "application/apply-patch+yaml", body)
    }

    /// DELETE.
    pub fn delete(target: &str) -> Self {
        Self::new(Method::DELETE, target)
    }

    fn with_body(mut self, body: &Value) -> Self {
        self.body = Bytes::from(body.to_string());
        self
    }
}

/// The answer to a request.
#[derive(Debug)]
pub enum Response {
    /// A complete answer.
    Reply(Reply),
    /// A watch was opened: poll it with [`Cluster::poll_watch`](crate::Cluster::poll_watch).
    Watch(WatchId),
}

/// A complete answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status code.
    pub status: u16,
    /// The `Content-Type` header.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
    /// Values of `Warning` headers.
    pub warnings: Vec<String>,
}

/// Names an open watch of one cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WatchId(pub(crate) u64);

const JSON: &str = "application/json";

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, JSON, body.to_string())
    }

    pub(crate) fn bytes(status: u16, body: Bytes) -> Self {
        Self { status, content_type: JSON, body, warnings: Vec::new() }
    }

    pub(crate) fn text(status: u16, content_type: &'static str, body: impl Into<String>) -> Self {
        let body = Bytes::from(body.into());
        Self { status, content_type, body, warnings: Vec::new() }
    }

    /// The answer of a mux that has no handler for the path.
    pub(crate) fn no_such_path() -> Self {
        Self::text(404, "text/plain; charset=utf-8", "404 page not found\n")
    }

    /// The body as JSON; null when it is something else.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

impl From<ApiError> for Reply {
    fn from(error: ApiError) -> Self {
        let mut reply = Self::json(error.code, &error.status());
        reply.warnings = error.warnings;
        reply
    }
}

/// The decoded query string.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    pub(crate) fn parse(query: &str) -> Self {
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        Self { pairs: pairs.map(|(key, value)| (key.into_owned(), value.into_owned())).collect() }
    }

    /// The first value of the parameter; empty when absent.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.pairs.iter().find(|(it, _)| it == key).map_or("", |(_, value)| value)
    }

    pub(crate) fn flag(&self, key: &str) -> bool {
        matches!(self.text(key), "true" | "1")
    }

    pub(crate) fn number(&self, key: &str) -> Result<Option<u64>, ApiError> {
        match self.text(key) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                ApiError::bad_request(format!("invalid value for {key}: {text:?} is not a number"))
            }),
        }
    }
}
