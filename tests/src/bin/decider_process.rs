//! A node without a hub as a process of its own, to be killed: `decider_process DATA LOG`, where LOG
//! is as for `hub_process`. Each line of its input is a command, which it puts into the log;
//! `durable ID` on its output says that it stands there. Members take whatever they are told.

#![expect(clippy::print_stdout, reason = "the test waits for the lines")]

use std::path::PathBuf;
use std::sync::Arc;

use acceptance::obedient::Obedient;
use acceptance::{in_a_system, logs};
use actors::node::{HubCluster, Node, NodeConfig, Ownership};
use actors::shard::ClaimIdentity;
use anyhow::{Context, Result};
use event_log::{PARTITIONS, partition_of};
use events::CommandEnvelope;
use projections::Store;
use uuid::Uuid;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, log] = <[String; 2]>::try_from(arguments).ok().context("DATA LOG")?;
    let data = PathBuf::from(data);
    std::fs::create_dir_all(&data)?;
    in_a_system(async move { run(data, log).await.expect("the node runs") });
    Ok(())
}

async fn run(data: PathBuf, log: String) -> Result<()> {
    let opened = Store::open(&data.join("projections"), partition_of)?;
    let identity = ClaimIdentity {
        node: "decider".to_owned(),
        incarnation: Uuid::new_v4(),
        version: "test".to_owned(),
    };
    let node = Node::start(NodeConfig {
        identity,
        log: logs::open(&log, &data).await?,
        partitions: PARTITIONS,
        hub: HubCluster::of("hub"),
        model: opened.model,
        store: Some(opened.store),
        performer: Arc::new(Obedient),
        ownership: Ownership::Alone,
        threads: 2,
    })
    .await?;
    println!("ready");
    let (send, mut lines) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        std::io::stdin().lines().map_while(Result::ok).all(|line| send.send(line).is_ok())
    });
    while let Some(line) = lines.recv().await {
        let command: CommandEnvelope = serde_json::from_str(&line)?;
        let router = node.router().clone();
        tokio::spawn(async move {
            if router.submit(&command).await.is_ok() {
                println!("durable {}", command.id.0);
            }
        });
    }
    node.shutdown().await;
    Ok(())
}
