//! `taffrail status`: the hub, its clusters and its placements.

use std::fmt::Write as _;

use anyhow::Result;
use api::http::{
    ClusterPhase, ClusterSummary, HubStatus, NotReady, PartitionRejections, PlacementSummary,
    RejectedRecord,
};
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::Global;
use crate::client::HubClient;
use crate::names;
use crate::output::{self, Table, age};

/// Show the hub, its clusters and its placements.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show clusters that left the fleet, too
    #[arg(long)]
    all: bool,
}

/// How many partitions with rejected records are shown.
const REJECTIONS_SHOWN_MAX: usize = 3;

#[derive(Debug, Serialize)]
struct Status {
    hub: HubStatus,
    clusters: Vec<ClusterSummary>,
    placements: Vec<PlacementSummary>,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let client = HubClient::new(&global.server)?;
    let mut clusters: Vec<ClusterSummary> = client.get("/api/v1/clusters", &[]).await?;
    if !args.all {
        clusters.retain(|cluster| cluster.phase != ClusterPhase::Left);
    }
    let status = Status {
        hub: client.get("/api/v1/status", &[]).await?,
        placements: client.get("/api/v1/placements", &[]).await?,
        clusters,
    };
    output::show(global.output, &status, || text(&status, Timestamp::now()))?;
    Ok(())
}

fn text(status: &Status, now: Timestamp) -> String {
    let mut text = hub_text(&status.hub, now);
    text.push('\n');
    if status.clusters.is_empty() {
        text.push_str("No clusters yet: taffrail join NAME --member-kubeconfig FILE\n");
    } else {
        write!(text, "{}", clusters_table(&status.clusters, now)).expect("a String takes it");
    }
    text.push('\n');
    if status.placements.is_empty() {
        text.push_str("No placements yet: kubectl apply -f examples/shop\n");
    } else {
        write!(text, "{}", placements_table(&status.placements, now)).expect("a String takes it");
    }
    text
}

fn hub_text(hub: &HubStatus, now: Timestamp) -> String {
    let (clusters, placements) = (&hub.clusters, &hub.placements);
    let state = if hub.readiness.ready { "ready" } else { "not ready" };
    let mut text = format!(
        "Hub          {}, {state}, taffrail {}, up {}\n",
        hub.node,
        hub.version,
        age(&hub.started_at, now)
    );
    for obstacle in &hub.readiness.not_ready {
        writeln!(text, "             {}: {}", obstacle.check, obstacle.message).expect("a String");
    }
    for warning in &hub.readiness.warnings {
        let NotReady { check, message } = warning;
        writeln!(text, "             warning: {check}: {message}").expect("a String");
    }
    let folded: u64 = hub.watermark.values().sum();
    let lines = [
        format!("Deployment   {}", hub.deployment),
        format!(
            "Log          {folded} positions, {} of {} partitions owned here, {} records rejected{}",
            hub.owned.len(),
            hub.partitions,
            hub.records_rejected,
            rejections(hub)
        ),
        format!(
            "Clusters     {} joined of {}, {} unhealthy",
            clusters.joined, clusters.members, clusters.unhealthy
        ),
        format!(
            "Placements   {}, {} of {} targets available, {} failed",
            placements.placements, placements.available, placements.targets, placements.failed
        ),
        format!("Waiting      {} orders to members", hub.effects_waiting),
        format!("Selectable   {} objects of {} kinds", hub.index.objects, hub.index.kinds),
    ];
    text + &lines.join("\n") + "\n"
}

/// The newest records that did not count, each on a line of its own: one for each partition.
fn rejections(hub: &HubStatus) -> String {
    let newest = hub.rejections.iter().filter_map(|it| Some((it, it.newest.last()?)));
    let line = |(rejections, record): (&PartitionRejections, &RejectedRecord)| {
        let PartitionRejections { partition, count, .. } = rejections;
        let RejectedRecord { offset, reason } = record;
        format!("partition {partition}: {count} rejected, the last at offset {offset}: {reason}")
    };
    let mut lines: Vec<String> = newest.clone().take(REJECTIONS_SHOWN_MAX).map(line).collect();
    let others = newest.count().saturating_sub(REJECTIONS_SHOWN_MAX);
    if others > 0 {
        lines.push(format!("{others} more partitions: taffrail status -o yaml"));
    }
    lines.iter().map(|line| format!("\n             {line}")).collect()
}

fn clusters_table(clusters: &[ClusterSummary], now: Timestamp) -> Table {
    let mut table =
        Table::new(["CLUSTER", "STATE", "PLACEMENTS", "VERSION", "JOINED", "LABELS", "MESSAGE"]);
    for cluster in clusters {
        let labels = cluster.labels.iter().map(|(key, value)| format!("{key}={value}"));
        let joined = cluster.joined_at.as_deref().map(|at| age(at, now));
        table.row([
            cluster.name.clone(),
            format!("{:?}", cluster.phase),
            cluster.deliveries.to_string(),
            cluster.kubernetes_version.clone(),
            joined.unwrap_or_default(),
            labels.collect::<Vec<_>>().join(","),
            cluster.message.clone(),
        ]);
    }
    table
}

fn placements_table(placements: &[PlacementSummary], now: Timestamp) -> Table {
    let mut table =
        Table::new(["PLACEMENT", "STATE", "CLUSTERS", "OBJECTS", "REVISION", "CHANGED", "MESSAGE"]);
    for placement in placements {
        table.row([
            names::short(&format!("{}/{}", placement.scope, placement.name)).to_owned(),
            format!("{:?}", placement.phase),
            format!("{}/{}", placement.available, placement.chosen),
            placement.objects.to_string(),
            placement.revision.map(|revision| revision.to_string()).unwrap_or_default(),
            age(&placement.changed_at, now),
            placement.message.clone(),
        ]);
    }
    table
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
