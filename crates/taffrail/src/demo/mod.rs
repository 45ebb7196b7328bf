//! `taffrail demo`: a hub, a fleet of simulated members and a small application, in one process.

mod data;
mod evidence;
mod fleet;
mod shop;
mod tree;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use events::PlacementKey;

use crate::config::DEFAULT_LISTEN;
use crate::output;
use crate::serve::{self, HubAccess, LogChoice, Running, ServeConfig};
use crate::signals::Signals;
use data::Data;
use evidence::Evidence;
use fleet::SimulatedFleet;
use tree::Tree;

/// How long `--script` waits for everything to be available before it gives up.
const SCRIPT_PATIENCE: Duration = Duration::from_secs(120);

/// How often the tree is drawn on a terminal.
const REDRAW: Duration = Duration::from_millis(200);

/// How often `--script` looks how far it is.
const PROGRESS: Duration = Duration::from_millis(100);

/// What the demo should be.
#[derive(Debug, Clone, clap::Args)]
pub struct DemoOptions {
    /// How many members the fleet has [default: as many as in --data, or 12]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=2000))]
    pub clusters: Option<u16>,
    /// Keep the log and the clusters in this directory, and go on from there the next time. Without
    /// it, everything is thrown away
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Print lines instead of a live tree, and end when everything is available
    #[arg(long)]
    pub script: bool,
}

/// Runs the demo. Must be called where an actix system runs.
///
/// # Errors
/// When something cannot be started, or `--script` waits in vain.
pub async fn run(options: DemoOptions) -> Result<()> {
    let started = Instant::now();
    let mut signals = Signals::listen()?;
    let data = Data::open(&options)?;
    let demo = tokio::select! {
        demo = Demo::start(&data, started) => demo?,
        name = signals.next() => bail!("{name} before the demo had started"),
    };
    let shown = match options.script {
        true => tokio::select! {
            shown = demo.until_available(started) => shown,
            name = signals.next() => Err(anyhow::anyhow!("{name} before everything was available")),
        },
        false => {
            output::block(&next_steps(&demo.kubeconfig, demo.running.http_address()));
            demo.until_told(&mut signals).await;
            Ok(())
        }
    };
    tokio::select! {
        ended = demo.end() => ended?,
        name = signals.next() => bail!("{name} again: ended at once"),
    }
    shown
}

/// A hub, its members and the application.
struct Demo {
    fleet: SimulatedFleet,
    running: Running,
    tree: Tree,
    kubeconfig: PathBuf,
}

impl Demo {
    async fn start(data: &Data, started: Instant) -> Result<Self> {
        let fleet = SimulatedFleet::start(data).await?;
        let before = fleet.joined_before().await?;
        let members = data.members;
        let fresh = match before {
            None => String::new(),
            Some(_) => format!(", as they were left in {}", data.dir.display()),
        };
        output::line(&format!(
            "fleet      {members} simulated members in eu, us and ap, and a hub{fresh} ({})",
            elapsed(started)
        ));
        let running = start_hub(&fleet, &data.dir).await?;
        output::line(&format!("answers    http://{}", running.http_address()));
        fleet.join_members(before.unwrap_or(0)).await?;
        // What was placed before is the user's by now, to change or to take away.
        if before.is_none() {
            shop::apply(&fleet.hub).await?;
            output::line("placed     namespace shop on every member in eu and us (examples/shop)");
        }
        fleet.note_progress().await?;

        let kubeconfig = data.dir.join("kubeconfig");
        std::fs::write(&kubeconfig, fleet.kubeconfig())
            .with_context(|| format!("{} cannot be written", kubeconfig.display()))?;
        let placement = PlacementKey::cluster(shop::NAME);
        let registered = fleet.registered().await?;
        let tree = Tree::new(running.hub().router().clone(), placement, registered);
        Ok(Self { fleet, running, tree, kubeconfig })
    }

    /// Prints how far it is while it moves, and ends when everything is available.
    async fn until_available(&self, started: Instant) -> Result<()> {
        if !shop::is_placed(&self.fleet.hub).await? {
            bail!(
                "the placement {0} was taken away in an earlier run; place it again with: kubectl \
                 apply -f examples/{0}",
                shop::NAME
            );
        }
        let waited = tokio::time::timeout(SCRIPT_PATIENCE, self.wait_until_available(started));
        let waited = waited.await;
        output::block(&self.tree.draw());
        match waited {
            Ok(available) => available,
            Err(_) => {
                bail!("the application was not available everywhere within {SCRIPT_PATIENCE:?}")
            }
        }
    }

    async fn wait_until_available(&self, started: Instant) -> Result<()> {
        let evidence = Evidence { fleet: &self.fleet, http: self.running.http_address() };
        let mut shown = String::new();
        loop {
            let summary = self.tree.summary();
            if summary != shown {
                output::line(&format!("{:<10} {summary}", elapsed(started)));
                shown = summary;
            }
            if self.tree.is_available() && evidence.is_complete(&self.tree.clusters()).await? {
                return Ok(());
            }
            tokio::time::sleep(PROGRESS).await;
        }
    }

    /// Draws the tree again whenever it changes, until a signal comes.
    async fn until_told(&self, signals: &mut Signals) {
        let mut shown = String::new();
        let mut redraw = tokio::time::interval(REDRAW);
        loop {
            tokio::select! {
                name = signals.next() => {
                    output::line(&format!("\n{name}: ending in order; once more ends at once"));
                    return;
                }
                _ = redraw.tick() => {
                    let drawn = self.tree.draw();
                    if drawn != shown {
                        output::redraw(&drawn, shown.lines().count());
                        shown = drawn;
                    }
                }
            }
        }
    }

    async fn end(self) -> Result<()> {
        let Self { fleet, running, tree, .. } = self;
        drop(tree);
        running.shutdown().await?;
        fleet.stop();
        Ok(())
    }
}

fn elapsed(since: Instant) -> String {
    format!("{:.1} s", since.elapsed().as_secs_f64())
}

async fn start_hub(fleet: &SimulatedFleet, data: &Path) -> Result<Running> {
    let start = |http| {
        let config = ServeConfig {
            node: "demo".to_owned(),
            data_dir: data.to_owned(),
            log: LogChoice::Embedded { path: data.join("log.redb") },
            hub: HubAccess::Client(fleet.hub.clone()),
            http,
            hosts: vec![],
            system_namespace: api::names::FLEET_SYSTEM_NAMESPACE.to_owned(),
            rules: Default::default(),
            adopted: Default::default(),
            threads: 2,
            clock_off_max: serve::CLOCK_OFF_MAX,
        };
        serve::start(config, |step| output::line(&format!("           {step}")))
    };
    let any = SocketAddr::new(DEFAULT_LISTEN.ip(), 0);
    // Where the commands look for a hub, if nobody is there.
    if TcpListener::bind(DEFAULT_LISTEN).is_err() {
        return start(any).await;
    }
    match start(DEFAULT_LISTEN).await {
        // Somebody has come meanwhile.
        Err(error) if is_address_taken(&error) => start(any).await,
        started => started,
    }
}

fn is_address_taken(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let error = cause.downcast_ref::<io::Error>();
        error.is_some_and(|error| error.kind() == io::ErrorKind::AddrInUse)
    })
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
    match program.strip_prefix(&here) {
        Ok(below) => Path::new(".").join(below).display().to_string(),
        Err(_) => program.display().to_string(),
    }
}
