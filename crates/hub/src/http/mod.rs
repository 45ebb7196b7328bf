//! What a hub serves over HTTP: whether it is well, metrics, and the reads of the command line.
//!
//! | path | what |
//! |---|---|
//! | `/healthz`, `/readyz` | the process runs; it can do its work, or what is in the way |
//! | `/metrics` | for Prometheus |
//! | `/api/v1/status`, `placements`, `clusters`, `held`, `fences` | the present, from the model in memory |
//! | `/api/v1/events`, `history`, `why` | the record, from the rows of the projections |
//! | `/api/v1/replay` | decides everything on record again |
//! | `/openapi.json` | all of the above, described |
//!
//! **Invariants.** Nothing here writes: every answer is a look at what was folded. The model is held
//! only while it is copied from; rows are read where waiting for a disk stops nobody else.
//!
//! There is no authentication yet: bind it to an address that only those reach who may read
//! everything. Pages in browsers reach nothing (see `hosts`), and no peer gets more than its share
//! (see [`limits`]).

mod clusters;
mod error;
mod events;
mod fences;
mod follow;
mod guard;
mod health;
mod held;
mod hosts;
pub mod limits;
mod metrics;
mod openapi;
mod placements;
mod replay;
mod state;
mod status;
#[cfg(test)]
mod tests;
mod why;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpServer as ActixServer};

pub use hosts::Hosts;
pub use openapi::document;
pub use state::{Check, HttpConfig};

use error::Problem;
use state::HttpState;

/// How many threads answer. They mostly wait for rows to be read elsewhere; more would take time
/// from the actors.
const WORKERS: usize = 1;

/// How long an idle connection stays open.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// The HTTP server at work, on threads of its own. Dropping it ends it.
#[derive(Debug)]
pub struct HttpServer {
    address: SocketAddr,
    server: ServerHandle,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl HttpServer {
    /// Serves where a listener is bound: before anything else is done, so that a hub whose address
    /// is taken has done nothing. May be called from any thread.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(listener: TcpListener, config: HttpConfig) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (started, starting) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("http".to_owned())
            .spawn(move || run(listener, config, &started))?;
        match starting.recv() {
            Ok(server) => Ok(Self { address, server, thread: Some(thread) }),
            Err(_) => match thread.join() {
                Ok(result) => Err(result.err().unwrap_or_else(|| io::Error::other("not started"))),
                Err(_) => Err(io::Error::other("the HTTP server panicked")),
            },
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it, with whatever streams are open, and waits until it is gone.
    pub fn stop(mut self) {
        self.halt();
    }

    fn halt(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        futures::executor::block_on(self.server.stop(false));
        if thread.join().is_err() {
            tracing::warn!(address = %self.address, "the HTTP server panicked");
        }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.halt();
    }
}

fn run(
    listener: TcpListener,
    config: HttpConfig,
    started: &mpsc::Sender<ServerHandle>,
) -> io::Result<()> {
    let state = web::Data::new(HttpState::new(config));
    actix_rt::System::new().block_on(async move {
        let app = move || {
            let guard = from_fn(guard::guard);
            App::new().app_data(state.clone()).configure(routes).wrap(guard)
        };
        let server = ActixServer::new(app)
            .workers(WORKERS)
            .max_connections(limits::CONNECTIONS_MAX)
            .keep_alive(KEEP_ALIVE)
            .disable_signals()
            .shutdown_timeout(0)
            .listen(listener)?
            .run();
        if started.send(server.handle()).is_err() {
            return Ok(());
        }
        server.await
    })
}

/// Every route. The OpenAPI document lists the same.
fn routes(app: &mut ServiceConfig) {
    app.app_data(error::query_config())
        .service(health::healthz)
        .service(health::readyz)
        .service(metrics::metrics)
        .service(openapi::openapi_json)
        .service(status::status)
        .service(placements::list_placements)
        .service(placements::get_placement)
        .service(clusters::list_clusters)
        .service(clusters::get_cluster)
        .service(held::list_held)
        .service(fences::list_fences)
        .service(events::list_events)
        .service(events::history)
        .service(why::why)
        .service(replay::replay)
        .default_service(web::to(|| async { Problem::no_such_path() }));
}
