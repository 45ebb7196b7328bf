//! Who gets an answer: stands before every handler.

use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use actix_web::{Error, HttpRequest, ResponseError as _};

use super::limits::Place;
use super::state::HttpState;

/// Answers only for hosts of this hub, and a bounded number of requests at once. Whether the hub
/// runs and is ready is always told.
pub(super) async fn guard(
    state: Data<HttpState>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if let Err(problem) = state.config.hosts.check(request.headers()) {
        return Ok(request.into_response(problem.error_response()));
    }
    if matches!(request.path(), "/healthz" | "/readyz") {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    match state.requests.take(peer_of(request.request())) {
        Err(problem) => Ok(request.into_response(problem.error_response())),
        Ok(place) => {
            let response = next.call(request).await?.map_into_boxed_body();
            Ok(response.map_body(|_, body| Held { body, _place: place }.boxed()))
        }
    }
}

/// Who asks, as far as the connection tells: behind a proxy, all are one.
pub(super) fn peer_of(request: &HttpRequest) -> Option<IpAddr> {
    request.peer_addr().map(|address| address.ip())
}

/// A body that holds a place until it was sent, or nobody reads it any more.
struct Held {
    body: BoxBody,
    _place: Place,
}

impl MessageBody for Held {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
