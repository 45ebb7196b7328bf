//! `taffrail demo`: a hub, a fleet of simulated members and a small application, in one process.

mod fleet;
mod shop;
mod tree;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use events::PlacementKey;

use crate::config::DEFAULT_LISTEN;
use crate::output;
use crate::serve::{self, HubAccess, LogChoice, Running, ServeConfig};
use fleet::SimulatedFleet;
use tree::Tree;

/// How long `--script` waits for everything to be available before it gives up.
const SCRIPT_PATIENCE: Duration = Duration::from_secs(120);

/// How often the tree is drawn on a terminal.
const REDRAW: Duration = Duration::from_millis(200);

/// How often `--script` prints how far it is, at most.
const PROGRESS: Duration = Duration::from_millis(100);

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
    let clusters = options.clusters;
    output::line(&format!(
        "fleet      {clusters} simulated members in eu, us and ap, and a hub ({})",
        elapsed(started)
    ));
    let running = start_hub(&fleet, &data).await?;
    output::line(&format!("answers    http://{}", running.http_address()));
    fleet.join_members().await?;
    shop::apply(&fleet.hub).await?;
    output::line("placed     namespace shop on every member in eu and us (examples/shop)");

    let kubeconfig = data.join("kubeconfig");
    std::fs::write(&kubeconfig, fleet.kubeconfig())
        .with_context(|| format!("{} cannot be written", kubeconfig.display()))?;
    let placement = PlacementKey::cluster("shop");
    let tree = Tree::new(running.hub().router().clone(), placement, clusters);
    let shown = match options.script {
        true => until_available(&tree, started).await,
        false => {
            output::block(&next_steps(&kubeconfig, running.http_address()));
            until_interrupted(&tree).await
        }
    };
    drop(tree);
    running.shutdown().await?;
    fleet.stop();
    shown
}

fn elapsed(since: Instant) -> String {
    format!("{:.1} s", since.elapsed().as_secs_f64())
}

async fn start_hub(fleet: &SimulatedFleet, data: &Path) -> Result<Running> {
    let config = ServeConfig {
        node: "demo".to_owned(),
        data_dir: data.to_owned(),
        log: LogChoice::Embedded { path: data.join("log.redb") },
        hub: HubAccess::Client(fleet.hub.clone()),
        http: free_address(),
        system_namespace: api::names::FLEET_SYSTEM_NAMESPACE.to_owned(),
        rules: Default::default(),
        threads: 2,
    };
    serve::start(config, |step| output::line(&format!("           {step}"))).await
}

/// The address where the commands look for a hub, if nobody has it; else any.
fn free_address() -> SocketAddr {
    match TcpListener::bind(DEFAULT_LISTEN) {
        Ok(_) => DEFAULT_LISTEN,
        Err(_) => SocketAddr::new(DEFAULT_LISTEN.ip(), 0),
    }
}

/// Prints how far it is while it moves, and ends when everything is available.
async fn until_available(tree: &Tree, started: Instant) -> Result<()> {
    let mut changes = tree.changes();
    let mut shown = String::new();
    let wait = async {
        loop {
            let summary = tree.summary();
            if summary != shown {
                output::line(&format!("{:<10} {summary}", elapsed(started)));
                shown = summary;
            }
            if tree.is_available() {
                return;
            }
            // A listener that lagged looks at the present all the same.
            drop(changes.recv().await);
            tokio::time::sleep(PROGRESS).await;
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

fn next_steps(kubeconfig: &Path, server: SocketAddr) -> String {
    let path = kubeconfig.display();
    let mut taffrail = own_command();
    if server != DEFAULT_LISTEN {
        taffrail = format!("{taffrail} --server http://{server}");
    }
    format!(
        "\nuse it     export KUBECONFIG={path}\n\
         try        kubectl --context hub get memberclusters,clusterresourceplacements\n\
         try        kubectl --context hub --namespace shop scale deployment cart --replicas 5\n\
         try        {taffrail} why crp/shop --cluster member-eu-1\n\
         end        Ctrl-C\n"
    )
}

/// How this program is called from the current directory.
fn own_command() -> String {
    let Ok(program) = std::env::current_exe() else { return "taffrail".to_owned() };
    let here = std::env::current_dir().unwrap_or_default();
    program.strip_prefix(&here).unwrap_or(&program).display().to_string()
}
