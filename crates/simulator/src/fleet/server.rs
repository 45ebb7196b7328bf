//! The fleet over HTTP: one listener, each cluster below `/clusters/<name>`.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::ServerHandle as ActixHandle;
use actix_web::rt::net::TcpStream;
use actix_web::web::{self, Payload};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use http::header;
use http_body_util::BodyExt as _;

use super::service::exchange;
use super::{Fleet, SimulatedBody, kubeconfig, schedule};
use crate::cluster::REQUEST_BYTES_MAX;
use crate::error::ApiError;
use crate::{Reply, Request};

/// Worker threads of the server. Requests take microseconds under a lock for each cluster;
/// more threads only help on many cores.
const WORKERS: usize = 2;

/// How long idle connections stay open; kubectl and client-go reuse them for less.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// A running server. It stops when this is dropped.
#[derive(Debug)]
pub struct ServerHandle {
    address: SocketAddr,
    server: ActixHandle,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl ServerHandle {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server URL of a cluster.
    pub fn url(&self, cluster: &str) -> String {
        format!("http://{}/clusters/{cluster}", self.address)
    }

    /// A kubeconfig for the (context, cluster) pairs.
    pub fn kubeconfig(&self, contexts: &[(&str, &str)]) -> String {
        kubeconfig(self.address, contexts)
    }

    /// Stops the server, breaking open connections, and waits until it is gone.
    pub fn stop(mut self) {
        self.halt();
    }

    fn halt(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        futures::executor::block_on(self.server.stop(false));
        if thread.join().is_err() {
            tracing::warn!(address = %self.address, "the simulator server panicked");
        }
    }
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        self.halt();
    }
}

/// Serves the fleet at the address (port 0 picks a free one) on threads of its own, with its
/// own ticker. It may be called from any thread, inside a tokio runtime or not.
///
/// # Errors
/// When the address cannot be bound or the server cannot start.
pub fn serve(fleet: &Fleet, address: SocketAddr) -> io::Result<ServerHandle> {
    let listener = TcpListener::bind(address)?;
    let address = listener.local_addr()?;
    let (started, starting) = mpsc::channel();
    let fleet = fleet.clone();
    let thread = std::thread::Builder::new()
        .name("simulator".to_owned())
        .spawn(move || run(fleet, listener, &started))?;
    match starting.recv() {
        Ok(server) => Ok(ServerHandle { address, server, thread: Some(thread) }),
        Err(_) => match thread.join() {
            Ok(result) => Err(result.err().unwrap_or_else(|| io::Error::other("it did not start"))),
            Err(_) => Err(io::Error::other("the server thread panicked")),
        },
    }
}

fn run(fleet: Fleet, listener: TcpListener, started: &mpsc::Sender<ActixHandle>) -> io::Result<()> {
    actix_rt::System::new().block_on(async move {
        let ticker = actix_rt::spawn(schedule::run(fleet.clone()));
        let app = move || {
            App::new().app_data(web::Data::new(fleet.clone())).default_service(web::to(answer))
        };
        let server = HttpServer::new(app)
            .workers(WORKERS)
            .keep_alive(KEEP_ALIVE)
            .disable_signals()
            .on_connect(|connection, data| {
                if let Some(stream) = connection.downcast_ref::<TcpStream>() {
                    data.insert(Peer::of(stream));
                }
            })
            .shutdown_timeout(0)
            .listen(listener)?
            .run();
        if started.send(server.handle()).is_err() {
            return Ok(());
        }
        let result = server.await;
        ticker.abort();
        result
    })
}

async fn answer(request: HttpRequest, payload: Payload, fleet: web::Data<Fleet>) -> HttpResponse {
    let credentials = request.headers().get("authorization").and_then(|it| it.to_str().ok());
    let Some((name, path)) = addressed(request.path(), credentials.unwrap_or_default()) else {
        return whole(Reply::no_such_path());
    };
    let Some(cluster) = fleet.cluster(&name) else {
        let message = format!("there is no cluster {name:?} in this fleet");
        return whole(ApiError::plain(404, "NotFound", message).into());
    };
    let body = match read(payload).await {
        Ok(body) => body,
        Err(refusal) => return whole(refusal.into()),
    };
    let Ok(method) = http::Method::from_bytes(request.method().as_str().as_bytes()) else {
        return whole(ApiError::method_not_allowed().into());
    };
    let peer = request.conn_data::<Peer>().cloned().unwrap_or_default();
    let text = |name: &str| {
        let values = request.headers().get_all(name).filter_map(|it| it.to_str().ok());
        values.collect::<Vec<_>>().join(",")
    };
    let request = Request {
        method,
        path,
        query: request.query_string().to_owned(),
        accept: text("accept"),
        content_type: text("content-type"),
        user_agent: text("user-agent"),
        body,
    };
    match exchange(&cluster, &request).await {
        Ok(response) => http_response(response, peer),
        Err(error) => broken_connection(error),
    }
}

/// The cluster and the path below its server URL. `kubectl get --raw` drops the path of the server
/// URL: then the token, which is the name of the cluster, says which one is meant.
fn addressed(path: &str, credentials: &str) -> Option<(String, String)> {
    let Some(rest) = path.strip_prefix("/clusters/") else {
        let token = credentials.strip_prefix("Bearer ")?;
        return Some((token.to_owned(), path.to_owned()));
    };
    let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
    Some((name.to_owned(), format!("/{path}")))
}

/// Reads a body up to the bound of the API server.
async fn read(mut payload: Payload) -> Result<Bytes, ApiError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| {
            ApiError::bad_request(format!("the body of the request could not be read: {error}"))
        })?;
        if body.len() + chunk.len() > REQUEST_BYTES_MAX {
            let message = format!("Request entity too large: limit is {REQUEST_BYTES_MAX}");
            return Err(ApiError::plain(413, "RequestEntityTooLarge", message));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn whole(reply: Reply) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(reply.status)
        .unwrap_or(actix_web::http::StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::build(status).content_type(reply.content_type).body(reply.body)
}

fn http_response(response: http::Response<SimulatedBody>, peer: Peer) -> HttpResponse {
    let (parts, body) = response.into_parts();
    let status = actix_web::http::StatusCode::from_u16(parts.status.as_u16())
        .unwrap_or(actix_web::http::StatusCode::INTERNAL_SERVER_ERROR);
    let mut builder = HttpResponse::build(status);
    for name in [header::CONTENT_TYPE, header::WARNING] {
        for value in parts.headers.get_all(&name) {
            builder.append_header((name.as_str(), value.as_bytes()));
        }
    }
    match body.into_whole() {
        Ok(bytes) => builder.body(bytes),
        Err(lines) => {
            let lines = lines.into_data_stream().map(|it| match it {
                Ok(bytes) => Ok::<Bytes, io::Error>(bytes),
                Err(never) => match never {},
            });
            builder.streaming(lines.take_until(Box::pin(peer.gone())))
        }
    }
}

/// A second handle to a connection. actix notices that a client went away only when it writes,
/// and a quiet watch has nothing to write.
#[derive(Debug, Clone, Default)]
struct Peer(Option<Arc<OwnedFd>>);

impl Peer {
    fn of(stream: &TcpStream) -> Self {
        Self(stream.as_fd().try_clone_to_owned().ok().map(Arc::new))
    }

    /// Returns when the client has closed the connection; never when that cannot be seen.
    async fn gone(self) {
        if self.closed().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    async fn closed(self) -> Option<()> {
        let descriptor = self.0?.try_clone().ok()?;
        let stream = TcpStream::from_std(descriptor.into()).ok()?;
        // A client that says more while it watches is there; it is not looked at again.
        match stream.peek(&mut [0]).await {
            Ok(0) | Err(_) => Some(()),
            Ok(_) => None,
        }
    }
}

/// HTTP has no word for a connection that breaks: the answer begins and its body fails.
fn broken_connection(error: super::TransportError) -> HttpResponse {
    let failure = futures::stream::once(async move { Err::<Bytes, _>(io::Error::other(error)) });
    HttpResponse::ServiceUnavailable().streaming(failure)
}

#[cfg(test)]
mod tests {
    use super::addressed;

    #[test]
    fn a_path_without_a_cluster_is_that_of_the_token() {
        let found = |path, credentials| addressed(path, credentials);
        let expected = Some(("eu-1".to_owned(), "/readyz".to_owned()));
        assert_eq!(found("/clusters/eu-1/readyz", ""), expected);
        assert_eq!(found("/clusters/eu-1/readyz", "Bearer other"), expected);
        assert_eq!(found("/readyz", "Bearer eu-1"), expected);
        assert_eq!(found("/readyz", ""), None);
    }
}
