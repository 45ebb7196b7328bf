//! `taffrail log raise`: for a log that is an older copy of itself.

use anyhow::{Context, Result};
use api::http::FenceView;
use api::names::FLEET_SYSTEM_NAMESPACE;
use clap::Subcommand;
use hub::held::{ANSWERS, CONFIRM};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;

use crate::cli::Global;
use crate::client::HubClient;
use crate::kubernetes::{HubArgs, add_data};
use crate::output::{self, Table};

#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = false)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Number further orders above those that members hold, after the log was restored from an older
    /// copy. No other hub may deliver to these members
    Raise(Raise),
}

#[derive(Debug, clap::Args)]
struct Raise {
    /// Only show which members hold newer orders
    #[arg(long)]
    dry_run: bool,
    /// The namespace of the hub in which the answer is kept
    #[arg(long, value_name = "NAME", default_value = FLEET_SYSTEM_NAMESPACE)]
    system_namespace: String,
    #[command(flatten)]
    hub: HubArgs,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let Action::Raise(raise) = args.action;
    let client = HubClient::new(&global.server)?;
    let ahead: Vec<FenceView> = client.get("/api/v1/fences", &[]).await?;
    if !raise.dry_run && !ahead.is_empty() {
        let hub = raise.hub.connect().await?;
        let answers = ahead.iter().map(|fence| (fence.token.clone(), CONFIRM.to_owned()));
        let namespace = &raise.system_namespace;
        let api: Api<ConfigMap> = Api::namespaced(hub, namespace);
        let written = add_data(&api, ANSWERS, answers.collect()).await;
        written
            .with_context(|| format!("the answer cannot be written to {namespace}/{ANSWERS}"))?;
    }
    output::show(global.output, &ahead, || text(&ahead, raise.dry_run))?;
    Ok(())
}

fn text(ahead: &[FenceView], dry_run: bool) -> String {
    if ahead.is_empty() {
        return "no member that this hub orders holds newer orders than the record\n".to_owned();
    }
    let mut table = Table::new(["PLACEMENT", "CLUSTER", "MEMBER HOLDS", "ON RECORD"]);
    for FenceView { placement, cluster, holder, own, .. } in ahead {
        table.row([placement.clone(), cluster.clone(), holder.clone(), own.clone()]);
    }
    let next = match dry_run {
        true => "next: number further orders above that with: taffrail log raise",
        false => {
            "further orders are numbered above that; see what comes of it with: taffrail status"
        }
    };
    format!("{table}{next}\n")
}
