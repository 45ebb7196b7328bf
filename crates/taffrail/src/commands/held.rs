//! `taffrail held list|confirm`: what the hub's Kubernetes API lost, and whether that counts.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use api::http::HeldView;
use api::names::FLEET_SYSTEM_NAMESPACE;
use clap::Subcommand;
use hub::held::{ANSWERS, CONFIRM};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde::Serialize;

use crate::cli::Global;
use crate::client::HubClient;
use crate::kubernetes::{HubArgs, add_data};
use crate::names;
use crate::output::{self, Table, age};

#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = false)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show what is held
    List,
    /// Have it count that something is gone: what it placed is removed, or it leaves the fleet
    Confirm(Confirm),
}

#[derive(Debug, clap::Args)]
struct Confirm {
    /// What: placement/NAME, placement/NAMESPACE/NAME, cluster/NAME
    #[arg(value_name = "NAME", required_unless_present = "all")]
    names: Vec<String>,
    /// Everything that is held now
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// The namespace of the hub in which the answer is kept
    #[arg(long, value_name = "NAME", default_value = FLEET_SYSTEM_NAMESPACE)]
    system_namespace: String,
    #[command(flatten)]
    hub: HubArgs,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let client = HubClient::new(&global.server)?;
    let held: Vec<HeldView> = client.get("/api/v1/held", &[]).await?;
    match args.action {
        Action::List => output::show(global.output, &held, || listed(&held, Timestamp::now()))?,
        Action::Confirm(confirm) => {
            let confirmed = chosen(held, &confirm)?;
            answer(&confirm, &confirmed).await?;
            let confirmed = Confirmed { confirmed };
            output::show(global.output, &confirmed, || confirmed.text())?;
        }
    }
    Ok(())
}

fn listed(held: &[HeldView], now: Timestamp) -> String {
    if held.is_empty() {
        return "nothing is held\n".to_owned();
    }
    let mut table = Table::new(["HELD", "REASON", "SINCE", "MESSAGE"]);
    for HeldView { aggregate, reason, since, message, .. } in held {
        table.row([aggregate.clone(), reason.clone(), age(since, now), message.clone()]);
    }
    table.to_string()
}

/// What of the held is confirmed.
fn chosen(held: Vec<HeldView>, confirm: &Confirm) -> Result<Vec<HeldView>> {
    if confirm.all {
        return Ok(held);
    }
    let mut by_name: BTreeMap<String, HeldView> =
        held.into_iter().map(|held| (held.aggregate.clone(), held)).collect();
    let mut chosen = vec![];
    for name in &confirm.names {
        let aggregate = names::aggregate(name)?.to_string();
        match by_name.remove(&aggregate) {
            Some(held) => chosen.push(held),
            None => bail!("{aggregate} is not held; see what is with: taffrail held list"),
        }
    }
    Ok(chosen)
}

/// Leaves the answers where hubs look for them; a hub that decides for it acts on each.
async fn answer(confirm: &Confirm, confirmed: &[HeldView]) -> Result<()> {
    let hub = confirm.hub.connect().await?;
    let answers = confirmed.iter().map(|held| (held.token.clone(), CONFIRM.to_owned()));
    let namespace = &confirm.system_namespace;
    let api: Api<ConfigMap> = Api::namespaced(hub, namespace);
    let written = add_data(&api, ANSWERS, answers.collect()).await;
    written.with_context(|| format!("the answer cannot be written to {namespace}/{ANSWERS}"))
}

#[derive(Debug, Serialize)]
struct Confirmed {
    confirmed: Vec<HeldView>,
}

impl Confirmed {
    fn text(&self) -> String {
        if self.confirmed.is_empty() {
            return "nothing is held\n".to_owned();
        }
        let lines = self.confirmed.iter();
        let lines: String =
            lines.map(|held| format!("{} is confirmed\n", held.aggregate)).collect();
        format!(
            "{lines}next: see what comes of it with: taffrail history {}\n",
            self.confirmed[0].aggregate
        )
    }
}
