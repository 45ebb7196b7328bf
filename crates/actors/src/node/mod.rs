//! A hub's engine: the folder, the shards that it owns, the effects, and how to ask them.

mod genesis;
mod leases;
mod ownership;
mod rescheduler;
mod router;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use event_log::{Log, LogError};
use events::{AggregateId, Epoch, Genesis, Partition, Watermark};
use projections::{Model, Store};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::effects::{EffectSink, Performer, Runner, RunnerConfig};
use crate::fold::{FoldHandle, Folder, FolderConfig};
use crate::shard::ClaimIdentity;

pub use genesis::GenesisError;
pub use ownership::Ownership;
pub use rescheduler::placements_to_look_at;
pub use router::Router;

/// What a node needs.
pub struct NodeConfig {
    /// Who claims partitions.
    pub identity: ClaimIdentity,
    /// The log.
    pub log: Arc<dyn Log>,
    /// How many partitions a new log gets. An existing one says itself.
    pub partitions: u16,
    /// The model, as loaded from the store, or an empty one.
    pub model: Model,
    /// Where rows are written.
    pub store: Option<Store>,
    /// Who performs effects.
    pub performer: Arc<dyn Performer>,
    /// Whether other nodes share the log.
    pub ownership: Ownership,
    /// On how many threads the actors run.
    pub threads: usize,
}

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The log does not answer.
    #[error("the log cannot be read")]
    Log(#[source] LogError),
    /// The log is another one.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// Reading stopped.
    #[error("reading the log stopped: {0}")]
    Stopped(String),
}

/// A node at work.
pub struct Node {
    router: Router,
    genesis: Genesis,
    tasks: Vec<JoinHandle<()>>,
    ownership: ownership::Task,
}

impl Node {
    /// Reads the log, founds it if it is empty, and takes over what this node should own. Returns
    /// when everything that stood in the log at the start is folded.
    ///
    /// # Errors
    /// When the log does not answer, is another deployment's, or cannot be read.
    pub async fn start(config: NodeConfig) -> Result<Self, NodeError> {
        let genesis = genesis::found(&*config.log, config.partitions).await?;
        genesis::check(&config.model, &genesis)?;
        let partitions = genesis.partitions;

        let fold = Folder::start(FolderConfig {
            log: config.log.clone(),
            partitions,
            model: config.model,
            store: config.store,
        });
        let (owning, owning_seen) = watch::channel(BTreeMap::new());
        let (runner, effects) = Runner::new(RunnerConfig {
            performer: config.performer,
            owning: owning_seen.clone(),
            partitions,
        });
        let router =
            Router::new(config.log.clone(), fold.clone(), effects, owning_seen, partitions);
        let ownership = ownership::start(ownership::Config {
            ownership: config.ownership,
            identity: config.identity.clone(),
            log: config.log,
            fold,
            router: router.clone(),
            owning,
            partitions,
            threads: config.threads,
        });
        let tasks = vec![
            tokio::spawn(runner.run(router.clone())),
            tokio::spawn(rescheduler::run(router.clone())),
            tokio::spawn(genesis::record(router.clone(), genesis.clone(), config.identity)),
        ];
        Ok(Self { router, genesis, tasks, ownership })
    }

    /// How to ask, and where to look.
    #[must_use]
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// What the log is.
    #[must_use]
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// Ends in order: takes nothing in any more, waits for what is in the log, hands the partitions
    /// over.
    pub async fn shutdown(self) {
        self.ownership.stop().await;
        for task in self.tasks {
            task.abort();
        }
    }
}

/// What a node shows of itself.
#[derive(Debug, Clone)]
pub struct NodeStatus {
    /// How far the log is folded.
    pub watermark: Watermark,
    /// Which partitions it owns.
    pub owning: BTreeMap<Partition, Epoch>,
    /// How many effects are not done.
    pub effects: usize,
    /// Why reading stopped, if it did.
    pub stopped: Option<String>,
}

/// Where the parts of a node meet: used by the router.
#[derive(Clone)]
struct Parts {
    log: Arc<dyn Log>,
    fold: FoldHandle,
    effects: EffectSink,
    owning: watch::Receiver<BTreeMap<Partition, Epoch>>,
    partitions: u16,
}

impl Parts {
    fn partition_of(&self, aggregate: &AggregateId) -> Partition {
        event_log::partition_of(aggregate, self.partitions)
    }
}
