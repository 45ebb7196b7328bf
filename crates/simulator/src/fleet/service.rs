//! The transport without sockets: a tower service that a Kubernetes client can be made of.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body::Body;
use http_body_util::BodyExt as _;

use super::body::SimulatedBody;
use super::fault::Fault;
use super::{ClusterHandle, Fleet};
use crate::{Reply, Request, Response};

/// The connection failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The request did not arrive.
    #[error("connection refused by cluster {cluster:?}")]
    Refused {
        /// The name of the cluster.
        cluster: String,
    },
    /// The request was carried out, its answer was lost.
    #[error("connection to cluster {cluster:?} was reset before the answer arrived")]
    Reset {
        /// The name of the cluster.
        cluster: String,
    },
    /// The body of the request could not be read.
    #[error("the request body failed: {reason}")]
    RequestBody {
        /// What its stream said.
        reason: String,
    },
}

/// Requests to one cluster of a fleet, in process. Requests that are not troubled by a slow
/// fault are answered at once: their futures are ready when the request body is.
#[derive(Debug, Clone)]
pub struct SimulatedService {
    fleet: Fleet,
    cluster: String,
}

impl SimulatedService {
    pub(super) fn new(fleet: Fleet, cluster: &str) -> Self {
        Self { fleet, cluster: cluster.to_owned() }
    }
}

type ResponseFuture =
    Pin<Box<dyn Future<Output = Result<http::Response<SimulatedBody>, TransportError>> + Send>>;

impl<B> tower::Service<http::Request<B>> for SimulatedService
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: std::fmt::Display,
{
    type Response = http::Response<SimulatedBody>;
    type Error = TransportError;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> ResponseFuture {
        let (fleet, cluster) = (self.fleet.clone(), self.cluster.clone());
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body
                .collect()
                .await
                .map_err(|error| TransportError::RequestBody { reason: error.to_string() })?;
            let request = decoded(&parts, parts.uri.path(), body.to_bytes());
            match fleet.cluster(&cluster) {
                Some(cluster) => exchange(&cluster, &request).await,
                None => Err(TransportError::Refused { cluster }),
            }
        })
    }
}

/// The request in our terms; the path is that below the server URL.
fn decoded(parts: &http::request::Parts, path: &str, body: Bytes) -> Request {
    let text = |name: header::HeaderName| header_text(&parts.headers, &name);
    Request {
        method: parts.method.clone(),
        path: path.to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        accept: text(header::ACCEPT),
        content_type: text(header::CONTENT_TYPE),
        user_agent: text(header::USER_AGENT),
        body,
    }
}

fn header_text(headers: &HeaderMap, name: &header::HeaderName) -> String {
    let values = headers.get_all(name).into_iter().filter_map(|it| it.to_str().ok());
    values.collect::<Vec<_>>().join(",")
}

/// Carries one request to a cluster and the answer back, with the troubles on the way.
pub(super) async fn exchange(
    cluster: &ClusterHandle,
    request: &Request,
) -> Result<http::Response<SimulatedBody>, TransportError> {
    let fault = cluster.fault_of(request);
    if let Some(refusal) = fault.as_ref().and_then(Fault::refusal) {
        return Ok(whole_response(refusal));
    }
    match fault {
        Some(Fault::Unreachable) => {
            return Err(TransportError::Refused { cluster: cluster.name().to_owned() });
        }
        Some(Fault::LostReply) => {
            cluster.request(request);
            return Err(TransportError::Reset { cluster: cluster.name().to_owned() });
        }
        Some(Fault::Slow(delay)) => tokio::time::sleep(delay).await,
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Unavailable | Fault::Unauthorized | Fault::Forbidden | Fault::Throttled)
        | None => {}
    }
    Ok(match cluster.handle(request) {
        Response::Reply(reply) => whole_response(reply),
        Response::Watch(id) => {
            let body = SimulatedBody::watch(cluster.clone(), id);
            let mut response = http::Response::new(body);
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            response
        }
    })
}

fn whole_response(reply: Reply) -> http::Response<SimulatedBody> {
    let mut response = http::Response::new(SimulatedBody::whole(reply.body));
    *response.status_mut() =
        http::StatusCode::from_u16(reply.status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    for warning in reply.warnings {
        let text = format!("299 - {warning:?}");
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.append(header::WARNING, value);
        }
    }
    response
}
