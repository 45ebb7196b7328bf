//! `taffrail demo`: a hub, a fleet of simulated members and a small application, in one process.

mod fleet;
mod shop;
mod tree;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actors::node::Ownership;
use actors::shard::ClaimIdentity;
use anyhow::{Context, Result, bail};
use event_log::{EmbeddedLog, PARTITIONS, partition_of};
use events::PlacementKey;
use hub::{Hub, HubConfig};
use projections::Store;
use uuid::Uuid;

use crate::output;
use fleet::SimulatedFleet;
use tree::Tree;

/// How long `--script` waits for everything to be available before it gives up.
const SCRIPT_PATIENCE: Duration = Duration::from_secs(120);

/// How often the tree is drawn on a terminal.
const REDRAW: Duration = Duration::from_millis(200);

/// What the demo should be.
#[derive(Debug, Clone, clap::Args)]
pub struct DemoOptions {
    /// How many members the fleet has.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=2000))]
    pub clusters: u16,
    /// Keep the log here, and go on from it the next time. Without it, everything is thrown away.
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Print lines instead of a live tree, and end when everything is available.
    #[arg(long)]
    pub script: bool,
}

/// Runs the demo. Must be called where an actix system runs.
///
/// # Errors
/// When something cannot be started, or `--script` waits in vain.
pub async fn run(options: DemoOptions) -> Result<()> {
    let started = Instant::now();
    let kept = options.data.clone();
    let thrown_away = tempfile::tempdir().context("no temporary directory can be made")?;
    let data = kept.unwrap_or_else(|| thrown_away.path().to_owned());
    std::fs::create_dir_all(&data)
        .with_context(|| format!("the directory {} cannot be made", data.display()))?;

    let fleet = SimulatedFleet::start(options.clusters).await?;
    output::line(&format!(
        "fleet      {} simulated members in eu, us and ap, and a hub ({})",
        options.clusters,
        elapsed(started)
    ));
    let hub = start_hub(&fleet, &data).await?;
    output::line(&format!(
        "hub        log {} ({})",
        data.join("log.redb").display(),
        elapsed(started)
    ));
    fleet.join_members().await?;
    shop::apply(&fleet.hub).await?;
    output::line("placed     namespace shop on every member in eu and us (examples/shop)");

    let kubeconfig = data.join("kubeconfig");
    std::fs::write(&kubeconfig, fleet.kubeconfig())
        .with_context(|| format!("{} cannot be written", kubeconfig.display()))?;
    let tree = Tree::new(hub.router().clone(), PlacementKey::cluster("shop"));
    let shown = match options.script {
        true => until_available(&tree, started).await,
        false => {
            output::block(&next_steps(&kubeconfig));
            until_interrupted(&tree).await
        }
    };
    hub.shutdown().await;
    fleet.stop();
    shown
}

fn elapsed(since: Instant) -> String {
    format!("{:.1} s", since.elapsed().as_secs_f64())
}

async fn start_hub(fleet: &SimulatedFleet, data: &std::path::Path) -> Result<Hub> {
    let log = EmbeddedLog::open(data.join("log.redb"))?;
    let opened = Store::open(&data.join("projections"), partition_of)?;
    let config = HubConfig {
        client: fleet.hub.clone(),
        log: Arc::new(log),
        partitions: PARTITIONS,
        model: opened.model,
        store: Some(opened.store),
        identity: ClaimIdentity {
            node: "demo".to_owned(),
            incarnation: Uuid::now_v7(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        ownership: Ownership::Alone,
        rules: Default::default(),
        system_namespace: api::names::FLEET_SYSTEM_NAMESPACE.to_owned(),
        threads: 2,
    };
    Ok(Hub::start(config).await?)
}

/// Prints a line for each step of the way, and ends when the last one is made.
async fn until_available(tree: &Tree, started: Instant) -> Result<()> {
    let mut changes = tree.changes();
    let mut shown = String::new();
    let wait = async {
        loop {
            let summary = tree.summary();
            if summary != shown {
                output::line(&format!("{:>8}   {summary}", elapsed(started)));
                shown = summary;
            }
            if tree.is_available() {
                return;
            }
            // A listener that lagged looks at the present all the same.
            drop(changes.recv().await);
        }
    };
    if tokio::time::timeout(SCRIPT_PATIENCE, wait).await.is_err() {
        output::block(&tree.draw());
        bail!("the application was not available everywhere within {SCRIPT_PATIENCE:?}");
    }
    output::block(&tree.draw());
    Ok(())
}

/// Draws the tree again whenever it changes, until Ctrl-C.
async fn until_interrupted(tree: &Tree) -> Result<()> {
    let mut shown = String::new();
    let mut redraw = tokio::time::interval(REDRAW);
    loop {
        tokio::select! {
            ended = tokio::signal::ctrl_c() => {
                ended.context("Ctrl-C cannot be waited for")?;
                output::line("\nbye");
                return Ok(());
            }
            _ = redraw.tick() => {
                let drawn = tree.draw();
                if drawn != shown {
                    output::redraw(&drawn, shown.lines().count());
                    shown = drawn;
                }
            }
        }
    }
}

fn next_steps(kubeconfig: &std::path::Path) -> String {
    let path = kubeconfig.display();
    format!(
        "\nuse it     export KUBECONFIG={path}\n\
         try        kubectl --context hub get memberclusters,clusterresourceplacements\n\
         try        kubectl --context member-eu-1 --namespace shop get deployments,services\n\
         try        kubectl --context hub --namespace shop scale deployment cart --replicas 5\n\
         end        Ctrl-C\n"
    )
}
