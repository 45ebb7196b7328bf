//! What the handlers look at.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use actix_web::web;
use actors::node::{NodeStatus, Router};
use api::http::NotReady;
use events::{Genesis, Timestamp};
use projections::{Model, Queries, StoreError};

use super::error::Problem;
use super::hosts::Hosts;
use super::limits::Limit;
use crate::fences::Fences;
use crate::index::Index;

/// Something else that may keep a hub from its work, such as a log that is full. Asked for every
/// `/readyz`, so it must not wait.
pub type Check = Arc<dyn Fn() -> Option<NotReady> + Send + Sync>;

/// What the HTTP server shows.
#[derive(Clone)]
pub struct HttpConfig {
    /// The name of this node.
    pub node: String,
    /// The log that it works on.
    pub genesis: Genesis,
    /// Where to look.
    pub router: Router,
    /// The objects that may be selected.
    pub index: Index,
    /// Members that hold newer orders than the record has.
    pub fences: Fences,
    /// What else may keep the hub from its work.
    pub checks: Vec<Check>,
    /// For which hosts it answers.
    pub hosts: Hosts,
}

impl fmt::Debug for HttpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConfig").field("node", &self.node).finish_non_exhaustive()
    }
}

/// What all handlers share.
pub(super) struct HttpState {
    pub(super) config: HttpConfig,
    pub(super) started_at: Timestamp,
    /// Whether a replay is under way: one at a time.
    pub(super) replaying: AtomicBool,
    /// The requests that are being answered.
    pub(super) requests: Limit,
    /// Those of them that follow the events.
    pub(super) followers: Limit,
}

impl HttpState {
    pub(super) fn new(config: HttpConfig) -> Self {
        Self {
            config,
            started_at: Timestamp::now(),
            replaying: AtomicBool::new(false),
            requests: Limit::requests(),
            followers: Limit::followers(),
        }
    }

    pub(super) fn node(&self) -> NodeStatus {
        self.config.router.status()
    }

    /// Looks at the present. Folding waits meanwhile.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Model) -> T) -> T {
        look(&self.config.router.fold().model())
    }

    /// How many records did not count.
    pub(super) fn records_rejected(&self) -> u64 {
        let counts = |model: &Model| -> u64 {
            let counts = model.checkpoints.values().map(|at| at.rejections.count);
            counts.fold(0, u64::saturating_add)
        };
        self.look(counts)
    }

    pub(super) fn queries(&self) -> Result<Queries, Problem> {
        let queries = self.config.router.fold().queries();
        queries.ok_or_else(|| {
            Problem::unavailable("this hub keeps no history", "give it a data directory")
        })
    }

    /// Reads rows where that stops nobody.
    pub(super) async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Queries) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        let queries = self.queries()?;
        Ok(web::block(move || query(&queries)).await??)
    }
}
