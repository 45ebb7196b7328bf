//! A hub in this process: log, projections, hub, HTTP, in that order, and back in the other. The
//! HTTP address is bound before all of them: a hub that cannot have it has done nothing.

mod checks;
mod topics;
mod watched_log;

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use actors::node::Ownership;
use actors::shard::ClaimIdentity;
use anyhow::{Context, Result};
use delivery::AdoptedRemoval;
use domain::selection::SelectionRules;
use event_log::lease::LeaseConfig;
use event_log::{EmbeddedLog, Log, PARTITIONS, partition_of};
use event_log_kafka::{KafkaConfig, KafkaLog};
use hub::http::{Hosts, HttpConfig, HttpServer};
use hub::{Hub, HubConfig};
use kube::Client;
use projections::Store;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::kubernetes;
use crate::private;
use watched_log::WatchedLog;

/// How long the parts of a hub that has ended may take to let go of the log.
const LET_GO_TIMEOUT: Duration = Duration::from_secs(5);

/// How often to look whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What a hub is told.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// Names this node among those that share the log.
    pub node: String,
    /// Where projections are kept.
    pub data_dir: PathBuf,
    /// Where the log is.
    pub log: LogChoice,
    /// How to reach the hub's API server.
    pub hub: HubAccess,
    /// Where the HTTP API listens; port 0 picks a free one.
    pub http: SocketAddr,
    /// By which names it may be asked, besides its address and those of loopback.
    pub hosts: Vec<String>,
    /// The namespace of link Secrets.
    pub system_namespace: String,
    /// What may be placed.
    pub rules: SelectionRules,
    /// What becomes of objects that were on a member before their placement, when it goes.
    pub adopted: AdoptedRemoval,
    /// On how many threads it works.
    pub threads: usize,
    /// How far this node's clock may be off from that of a shared log while it owns partitions.
    pub clock_off_max: Duration,
}

/// See [`ServeConfig::clock_off_max`].
pub const CLOCK_OFF_MAX: Duration = Duration::from_secs(5);

/// Where the log is.
#[derive(Debug, Clone)]
pub enum LogChoice {
    /// In one file of this machine.
    Embedded {
        /// Which.
        path: PathBuf,
    },
    /// On Kafka, shared with other hubs.
    Kafka(Box<KafkaConfig>),
}

/// How to reach the hub's API server.
#[derive(Clone)]
pub enum HubAccess {
    /// By a kubeconfig; the usual one, or what is mounted into a pod, without a path.
    Kubeconfig {
        /// The file.
        path: Option<PathBuf>,
        /// The context; the current one if absent.
        context: Option<String>,
    },
    /// With the service account of the pod that this runs in.
    InCluster,
    /// Through this client.
    Client(Client),
}

impl fmt::Debug for HubAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kubeconfig { path, context } => {
                let mut shown = f.debug_struct("Kubeconfig");
                shown.field("path", path).field("context", context).finish()
            }
            Self::InCluster => f.write_str("InCluster"),
            Self::Client(_) => f.write_str("Client"),
        }
    }
}

/// A hub at work.
pub struct Running {
    hub: Hub,
    http: HttpServer,
    log: Weak<WatchedLog>,
    /// What looks at the topics of a log on Kafka.
    topics: Option<JoinHandle<()>>,
}

/// Starts a hub, and tells `report` of each step. Must be called where an actix system runs.
///
/// # Errors
/// When a part does not start; what started before it is stopped again.
pub async fn start(config: ServeConfig, report: impl Fn(&str)) -> Result<Running> {
    let listener = TcpListener::bind(config.http).with_context(|| {
        format!(
            "cannot listen on {}; if a hub runs there, end it, or choose another address with listen \
             under [http] in the configuration",
            config.http
        )
    })?;
    let client = kubernetes::connect(&config.hub).await?;
    make_folder(&config.data_dir)?;

    let (log, ownership) = open_log(&config, &report).await?;
    let log = Arc::new(WatchedLog::new(log));
    let (check, log_at_end) = (log.check(), Arc::downgrade(&log));

    let rows = config.data_dir.join("projections");
    let opened = tokio::task::spawn_blocking({
        let rows = rows.clone();
        move || Store::open(&rows, partition_of)
    });
    let opened = opened.await?.context("the projections cannot be opened")?;
    for ours in [rows.clone(), rows.with_extension("lock"), config.data_dir.join("quarantine")] {
        let shown = ours.display().to_string();
        let tightened = tokio::task::spawn_blocking(move || private::tighten(&ours)).await?;
        tightened.with_context(|| format!("others may read {shown}, and that cannot be ended"))?;
    }
    match &opened.rebuilt {
        None => report(&format!("projections: {}", rows.display())),
        Some(quarantine) => report(&format!(
            "projections: {} could not be used ({}); they are built again from the log",
            rows.display(),
            quarantine.reason
        )),
    }

    let hub = Hub::start(HubConfig {
        client,
        log,
        partitions: PARTITIONS,
        model: opened.model,
        store: Some(opened.store),
        identity: ClaimIdentity {
            node: config.node.clone(),
            incarnation: Uuid::new_v4(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        ownership,
        rules: config.rules,
        adopted: config.adopted,
        system_namespace: config.system_namespace,
        threads: config.threads,
    })
    .await?;
    let genesis = hub.node().genesis().clone();
    report(&format!("hub: node {}, deployment {}", config.node, genesis.deployment));

    let hosts = Hosts::new(listener.local_addr()?, &config.hosts);
    let http = HttpServer::start(
        listener,
        HttpConfig {
            node: config.node,
            genesis,
            router: hub.router().clone(),
            index: hub.index().clone(),
            fences: hub.fences().clone(),
            checks: checks::of(hub.router()).into_iter().chain([check]).collect(),
            hosts,
        },
    );
    let http = match http {
        Ok(http) => http,
        Err(error) => {
            hub.shutdown().await;
            return Err(error).context("the HTTP API cannot be served");
        }
    };
    report(&format!("http: http://{}", http.address()));
    let topics = match config.log {
        LogChoice::Embedded { .. } => None,
        LogChoice::Kafka(kafka) => Some(topics::watch(&hub, *kafka)),
    };
    Ok(Running { hub, http, log: log_at_end, topics })
}

/// Makes a folder for the log or the projections.
fn make_folder(folder: &Path) -> Result<()> {
    let shown = folder.display();
    let is_open = private::make_folder(folder)
        .with_context(|| format!("cannot make the directory {shown}"))?;
    if is_open {
        tracing::warn!("others may look into {shown}; keep them out with: chmod 700 {shown}");
    }
    Ok(())
}

async fn open_log(
    config: &ServeConfig,
    report: impl Fn(&str),
) -> Result<(Arc<dyn Log>, Ownership)> {
    match &config.log {
        LogChoice::Embedded { path } => {
            if let Some(directory) = path.parent() {
                make_folder(directory)?;
            }
            let opened = tokio::task::spawn_blocking({
                let path = path.clone();
                move || EmbeddedLog::open(path)
            });
            let log = opened.await?.context("the log cannot be opened")?;
            report(&format!("log: embedded, {}", path.display()));
            Ok((Arc::new(log), Ownership::Alone))
        }
        LogChoice::Kafka(kafka) => {
            let log = KafkaLog::connect(KafkaConfig::clone(kafka));
            let log = log.await.context("the log cannot be opened")?;
            let (brokers, prefix) = (&kafka.bootstrap, &kafka.topic_prefix);
            report(&format!("log: Kafka at {brokers}, topics {prefix}*"));
            let clock_off_max_ms = u64::try_from(config.clock_off_max.as_millis())?;
            let leases = LeaseConfig { clock_off_max_ms, ..LeaseConfig::default() };
            Ok((Arc::new(log), Ownership::Leased(leases)))
        }
    }
}

impl Running {
    /// Where the HTTP API listens.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        self.http.address()
    }

    /// The hub.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Ends in order: no more questions and inputs, what is in the log is waited for, partitions
    /// are handed over. Then the log is closed, and another hub can open it.
    ///
    /// # Errors
    /// When the HTTP server's end cannot be waited for.
    pub async fn shutdown(self) -> Result<()> {
        let Self { hub, http, log, topics } = self;
        if let Some(topics) = topics {
            topics.abort();
        }
        tokio::task::spawn_blocking(move || http.stop()).await?;
        hub.shutdown().await;
        let let_go = async {
            while log.strong_count() > 0 {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        if tokio::time::timeout(LET_GO_TIMEOUT, let_go).await.is_err() {
            tracing::warn!("something holds on to the log; it is closed with the process");
        }
        Ok(())
    }
}
