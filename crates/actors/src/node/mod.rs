//! A hub's engine: the folder, the shards that it owns, the effects, and how to ask them.

#[cfg(test)]
mod bad_days_tests;
mod clock;
#[cfg(test)]
mod clock_tests;
mod derived;
mod genesis;
mod handover;
mod leases;
mod ownership;
mod rescheduler;
mod router;
#[cfg(test)]
mod supervision_tests;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use event_log::{Log, LogError};
use events::{AggregateId, Epoch, Genesis, Partition, Watermark};
use projections::{Model, Store, StoreError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::concerns::{Concerns, Gravity};
use crate::effects::{EffectSink, Performer, Runner, RunnerConfig};
use crate::fold::{CatchUp, FoldHandle, Folder, FolderConfig};
use crate::shard::ClaimIdentity;
use crate::supervised::Supervisor;

pub use genesis::{GenesisError, found, look};
pub use handover::{Handover, HubCluster};
pub use ownership::Ownership;
pub use rescheduler::Lookout;
pub use router::Router;

/// What a node needs.
pub struct NodeConfig {
    /// Who claims partitions.
    pub identity: ClaimIdentity,
    /// The log.
    pub log: Arc<dyn Log>,
    /// How many partitions a new log gets. An existing one says itself.
    pub partitions: u16,
    /// The hub cluster that it works for.
    pub hub: HubCluster,
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
    /// The projections come from another history and cannot be built anew.
    #[error(
        "the projections in {dir} do not fit the log and cannot be set aside; stop the hub, move \
         that directory away, and start it again"
    )]
    Projections {
        /// Where they are.
        dir: String,
        /// What happened.
        source: StoreError,
    },
}

/// A node at work.
pub struct Node {
    router: Router,
    genesis: Genesis,
    tasks: Vec<JoinHandle<()>>,
    ownership: ownership::Task,
}

impl Node {
    /// Founds the log if it is empty, and begins to read it. Partitions are taken over once
    /// everything is folded that stood in the log at the start; see [`Router::status`] until then.
    ///
    /// Projections that do not come from this log as it is now, since it went backwards or was
    /// replaced, are set aside and built again.
    ///
    /// # Errors
    /// When the log does not answer or is another deployment's, or when the projections cannot be
    /// set aside.
    pub async fn start(config: NodeConfig) -> Result<Self, NodeError> {
        let hub = config.hub;
        let (node, partitions) = (&config.identity.node, config.partitions);
        let founded = found(&*config.log, node, partitions, &hub.identity, &config.model);
        let genesis = founded.await?;
        genesis::check(&config.model, &genesis)?;
        let partitions = genesis.partitions;
        let (model, store) =
            derived::fitting(&*config.log, config.model, config.store, partitions).await?;

        let fold =
            Folder::start(FolderConfig { log: config.log.clone(), partitions, model, store });
        let (owning, owning_seen) = watch::channel(BTreeMap::new());
        let superseded = watch::Sender::new(None);
        let (runner, effects) = Runner::new(RunnerConfig {
            performer: config.performer,
            owning: owning_seen.clone(),
            partitions,
        });
        let concerns = Concerns::default();
        let router = Router::new(Parts {
            log: config.log.clone(),
            fold: fold.clone(),
            effects,
            owning: owning_seen,
            superseded: superseded.clone(),
            supervisor: Supervisor::new(concerns.clone()),
            concerns,
            partitions,
        });
        let ownership = ownership::start(ownership::Config {
            ownership: config.ownership,
            identity: config.identity.clone(),
            log: config.log,
            fold,
            router: router.clone(),
            owning,
            superseded,
            hub: hub.clone(),
            partitions,
            threads: config.threads,
        });
        let supervisor = router.supervisor();
        let performing = (Arc::new(runner), router.clone());
        let tasks = vec![
            supervisor.keep(
                "effects",
                Gravity::Warning,
                performing,
                |(runner, router)| async move {
                    runner.run(router).await;
                },
            ),
            supervisor.keep("rescheduler", Gravity::Warning, router.clone(), rescheduler::run),
            tokio::spawn(genesis::record(router.clone(), genesis.clone(), hub, config.identity)),
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
        self.router.supervisor().end();
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
    /// How far the log is read, while what stood in it at the start is not folded yet.
    pub catching_up: Option<CatchUp>,
    /// The partitions that cannot be read just now, with the reason.
    pub unread: BTreeMap<Partition, String>,
    /// What keeps the rows from being written, if something does.
    pub projections: Option<String>,
    /// Why this node wants no partition any more, if another runs under its name, or another
    /// deployment or hub cluster has taken its place.
    pub superseded: Option<String>,
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
    superseded: watch::Sender<Option<String>>,
    concerns: Concerns,
    supervisor: Supervisor,
    partitions: u16,
}

impl Parts {
    fn partition_of(&self, aggregate: &AggregateId) -> Partition {
        event_log::partition_of(aggregate, self.partitions)
    }
}
