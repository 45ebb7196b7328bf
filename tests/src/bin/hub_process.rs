//! A hub as a process of its own, to be killed: `hub_process NAME KUBECONFIG DATA LOG`, where LOG is
//! `embedded` (a file in DATA) or `kafka:BOOTSTRAP,PREFIX`. Prints `ready` when it decides. SIGTERM
//! ends it in order.

#![expect(clippy::print_stdout, reason = "the test waits for the line")]

use std::path::{Path, PathBuf};

use acceptance::ground::client;
use acceptance::{hubs, in_a_system, logs};
use actors::node::Ownership;
use anyhow::{Context, Result};
use event_log::lease::LeaseConfig;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, kubeconfig, data, log] =
        <[String; 4]>::try_from(arguments).ok().context("NAME KUBECONFIG DATA LOG")?;
    let kubeconfig = std::fs::read_to_string(kubeconfig)?;
    let data = PathBuf::from(data);
    std::fs::create_dir_all(&data)?;
    in_a_system(async move {
        let run = run(&name, &kubeconfig, &data, &log).await;
        run.expect("the hub runs");
    });
    Ok(())
}

async fn run(name: &str, kubeconfig: &str, data: &Path, log: &str) -> Result<()> {
    let mut ended = signal(SignalKind::terminate())?;
    let ownership = match log {
        "embedded" => Ownership::Alone,
        _ => Ownership::Leased(LeaseConfig::default()),
    };
    let log = logs::open(log, data).await?;
    let client = client(kubeconfig).await;
    let hub = hubs::start_with(name, client, log, &data.join("projections"), ownership).await;
    let mut owning = hub.router().owning();
    owning.wait_for(|owning| !owning.is_empty()).await?;
    println!("ready");
    ended.recv().await;
    hub.shutdown().await;
    Ok(())
}
