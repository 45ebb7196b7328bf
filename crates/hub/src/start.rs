//! Starting a hub: everything that looks at Kubernetes, wired to a node that decides.

use std::sync::Arc;

use actors::concerns::Gravity;
use actors::node::{self, Node, NodeConfig, NodeError, Ownership, Router};
use actors::shard::ClaimIdentity;
use api::{ClusterResourcePlacement, ResourcePlacement};
use delivery::{AdoptedRemoval, Observation, Observed};
use domain::EffectKey;
use domain::selection::SelectionRules;
use event_log::Log;
use kube::Client;
use projections::{Model, Store};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use crate::api_server;
use crate::contents::Contents;
use crate::fences::Fences;
use crate::held::{self, Answers};
use crate::identity::{self, Belonging, IdentityError};
use crate::index::{Index, IndexConfig};
use crate::links::Links;
use crate::members::{self, Heartbeats, MembersConfig, Ourselves, Renewals};
use crate::outcomes::Outcomes;
use crate::performer::{LinkPerformer, Record};
use crate::placements::{Controller, ControllerConfig};
use crate::seal::{SealError, SealKey};
use crate::watch::Watcher;

/// How many observations of members may wait. They are merged per delivery when there are more.
const OBSERVATIONS_MAX: usize = 1_024;

/// What a hub needs.
pub struct HubConfig {
    /// The hub's API server.
    pub client: Client,
    /// The log.
    pub log: Arc<dyn Log>,
    /// How many partitions a new log gets.
    pub partitions: u16,
    /// The present as far as it was stored.
    pub model: Model,
    /// Where projections are stored.
    pub store: Option<Store>,
    /// Who this node is.
    pub identity: ClaimIdentity,
    /// Whether other hubs share the log.
    pub ownership: Ownership,
    /// What may be selected.
    pub rules: SelectionRules,
    /// What becomes of objects that were on a member before their placement, when it goes.
    pub adopted: AdoptedRemoval,
    /// The namespace of link Secrets.
    pub system_namespace: String,
    /// On how many threads the actors run.
    pub threads: usize,
}

/// Why a hub could not start.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The hub's API server does not answer.
    #[error(
        "the hub's API server cannot be read; check the kubeconfig with: kubectl get namespaces"
    )]
    Kubernetes(#[source] kube::Error),
    /// The hub cluster and the log do not belong together.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The key for Secrets cannot be had.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The node did not start.
    #[error(transparent)]
    Node(#[from] NodeError),
}

/// A hub at work.
pub struct Hub {
    node: Node,
    index: Index,
    heartbeats: Heartbeats,
    contents: Contents,
    fences: Fences,
    tasks: Vec<JoinHandle<()>>,
}

impl Hub {
    /// Starts a hub. Must be called where an actix system runs. Before anything is founded or made
    /// it looks whether the hub cluster and the log belong together.
    ///
    /// # Errors
    /// When the API server or the log do not answer, or do not belong together.
    pub async fn start(config: HubConfig) -> Result<Self, HubError> {
        let client = &config.client;
        let cluster = identity::cluster_identity(client).await.map_err(HubError::Kubernetes)?;
        let mark = identity::read_mark(client, &cluster).await?;
        let begins = node::look(&*config.log).await?;
        let hub_cluster = identity::check(&cluster, mark.as_ref(), begins.as_ref())?;
        let (log, node) = (&*config.log, &config.identity.node);
        let founded = node::found(log, node, config.partitions, &cluster, &config.model);
        let deployment = founded.await?.deployment;
        identity::claim(client, &hub_cluster, deployment).await?;
        let key = SealKey::load_or_create(&config.client, &config.system_namespace).await?;

        let contents = Contents::new(config.log.clone(), key);
        let (observations, observed) = mpsc::channel(OBSERVATIONS_MAX);
        let links = Links::new(observations);
        let outcomes = Outcomes::default();
        let fences = Fences::default();
        let record = Record::default();
        let performer =
            LinkPerformer::new(links.clone(), contents.clone(), outcomes.clone(), record.clone())
                .with_adopted(config.adopted)
                .with_fences(fences.clone());
        let node = Node::start(NodeConfig {
            identity: config.identity,
            log: config.log,
            partitions: config.partitions,
            hub: hub_cluster.clone(),
            model: config.model,
            store: config.store,
            performer: Arc::new(performer),
            ownership: config.ownership,
            threads: config.threads,
        })
        .await?;
        let router = node.router().clone();
        let fold = router.fold().clone();
        record.show(Box::new(move |cluster, visit| {
            let model = fold.model();
            let known = model.clusters.get(cluster);
            for (placement, delivery) in known.into_iter().flat_map(|it| &it.state.deliveries) {
                visit(placement, delivery);
            }
        }));

        let watcher = Watcher::new(router.concerns().clone());
        let index_config = IndexConfig {
            client: config.client.clone(),
            rules: config.rules.kinds.clone(),
            watcher: watcher.clone(),
        };
        let (index, index_task) = Index::start(index_config, router.supervisor());
        let ourselves = Ourselves { deployment: deployment.to_string(), hub: cluster };
        let renewals = Renewals::new(config.client.clone(), config.system_namespace.clone());
        let heartbeats =
            Heartbeats::new(router.clone(), links.clone(), ourselves.clone(), renewals);
        let answers = Answers::default();
        let controller = ControllerConfig {
            client: config.client.clone(),
            router: router.clone(),
            index: index.clone(),
            rules: config.rules,
            contents: contents.clone(),
            answers: answers.clone(),
            watcher: watcher.clone(),
        };
        let supervisor = router.supervisor();
        let observing = (Arc::new(Mutex::new(observed)), outcomes.clone(), router.clone());
        let telling = (outcomes.clone(), router.clone());
        let belonging = Belonging {
            client: config.client.clone(),
            router: router.clone(),
            hub: hub_cluster,
            deployment,
        };
        let mut tasks = vec![
            index_task,
            api_server::watch(config.client.clone(), supervisor, router.concerns().clone()),
            supervisor.keep("observations", Gravity::Warning, observing, take_observations),
            supervisor.keep("outcomes", Gravity::Warning, telling, |(outcomes, router)| {
                outcomes.run(router)
            }),
            supervisor.keep("hub-cluster", Gravity::Warning, belonging, Belonging::watch),
        ];
        let concerns = router.concerns().clone();
        let damaged = (contents.clone(), concerns);
        let ahead = (fences.clone(), router.clone(), answers.clone());
        let (client, namespace) = (config.client.clone(), config.system_namespace.clone());
        let answering = (answers.clone(), client.clone(), namespace.clone(), watcher.clone());
        let revision =
            (router.clone(), client.clone(), watcher.revision().clone(), answers.clone());
        let sweeping = (router.clone(), client, namespace, answers.clone());
        tasks.extend([
            supervisor.keep("held", Gravity::Warning, router.clone(), held::note),
            supervisor.keep(
                "damaged content",
                Gravity::Warning,
                damaged,
                |(contents, concerns)| contents.note(concerns),
            ),
            supervisor.keep("fences", Gravity::Warning, ahead, |(fences, router, answers)| {
                fences.follow(router, answers)
            }),
            supervisor.keep(
                "answers",
                Gravity::Warning,
                answering,
                |(answers, client, namespace, watcher)| answers.watch(client, namespace, watcher),
            ),
            supervisor.keep(
                "revision of the hub",
                Gravity::Warning,
                revision,
                |(router, client, revision, answers)| {
                    held::follow(router, client, revision, answers)
                },
            ),
            supervisor.keep(
                "answers acted on",
                Gravity::Warning,
                sweeping,
                |(router, client, namespace, answers)| {
                    held::sweep(router, client, namespace, answers)
                },
            ),
        ]);
        tasks.extend(Controller::<ClusterResourcePlacement>::start(controller.clone()));
        tasks.extend(Controller::<ResourcePlacement>::start(controller));
        tasks.extend(members::start(MembersConfig {
            client: config.client,
            router,
            links,
            heartbeats: heartbeats.clone(),
            outcomes,
            system_namespace: config.system_namespace,
            ourselves,
            answers,
            watcher,
        }));
        Ok(Self { node, index, heartbeats, contents, fences, tasks })
    }

    /// How to ask, and where to look.
    #[must_use]
    pub fn router(&self) -> &Router {
        self.node.router()
    }

    /// The node that decides.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The objects that may be selected.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The health checks.
    #[must_use]
    pub fn heartbeats(&self) -> &Heartbeats {
        &self.heartbeats
    }

    /// The manifests.
    #[must_use]
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Members that hold newer orders than the record has.
    #[must_use]
    pub fn fences(&self) -> &Fences {
        &self.fences
    }

    /// Ends in order: no new input, then the node.
    pub async fn shutdown(self) {
        self.router().supervisor().end();
        for task in &self.tasks {
            task.abort();
        }
        self.node.shutdown().await;
    }
}

/// What links observe of deliveries is told to their clusters, and what may get on is tried.
async fn take_observations(
    (observed, outcomes, router): (Arc<Mutex<mpsc::Receiver<Observation>>>, Outcomes, Router),
) {
    let mut observed = observed.lock().await;
    while let Some(observation) = observed.recv().await {
        let Observation { cluster, placement, generation, what, .. } = observation;
        let key = EffectKey { cluster, placement };
        match what {
            Observed::Availability(availability) => {
                outcomes.observed(key, generation, availability);
            }
            Observed::Progress(progress) => outcomes.progressed(key, generation, progress),
            Observed::MayGetOn => router.effects().hurry_one(&key),
        }
    }
}
