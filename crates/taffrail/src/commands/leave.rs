//! `taffrail leave`: ends a cluster's membership.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use api::MemberCluster;
use api::names::FLEET_SYSTEM_NAMESPACE;
use domain::selection::LINK_SECRET_LABEL;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use serde::Serialize;
use tokio::time::Instant;

use crate::cli::Global;
use crate::kubernetes::HubArgs;
use crate::output;

/// How long the hub may take to let a member go.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(30);

const LOOK_EVERY: Duration = Duration::from_millis(200);

/// End a cluster's membership. What was placed on it stays there.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The member's name in the fleet
    name: String,
    /// The namespace of the hub that holds the member's credential
    #[arg(long, value_name = "NAME", default_value = FLEET_SYSTEM_NAMESPACE)]
    system_namespace: String,
    #[command(flatten)]
    hub: HubArgs,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Left {
    name: String,
    was_member: bool,
    secrets_deleted: Vec<String>,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let hub = args.hub.connect().await?;
    let members: Api<MemberCluster> = Api::all(hub.clone());
    let was_member = delete(&members, &args.name).await?;
    wait_until_gone(&members, &args.name).await?;

    // The link comes last: with it, the hub may still put things in order on the member.
    let secrets: Api<Secret> = Api::namespaced(hub, &args.system_namespace);
    let links = ListParams::default().labels(&format!("{LINK_SECRET_LABEL}={}", args.name));
    let mut secrets_deleted = vec![];
    for secret in secrets.list(&links).await?.items {
        let name = secret.name_any();
        if delete(&secrets, &name).await? {
            secrets_deleted.push(name);
        }
    }
    let left = Left { name: args.name, was_member, secrets_deleted };
    output::show(global.output, &left, || text(&left))?;
    Ok(())
}

async fn delete<K>(api: &Api<K>, name: &str) -> Result<bool>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    match api.delete(name, &DeleteParams::default()).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(error).with_context(|| format!("{name} cannot be deleted")),
    }
}

async fn wait_until_gone(members: &Api<MemberCluster>, name: &str) -> Result<()> {
    let deadline = Instant::now() + LEAVE_TIMEOUT;
    while members.get_opt(name).await?.is_some() {
        if Instant::now() > deadline {
            bail!(
                "{name} is not let go within {} s: is a hub running? look with: taffrail status",
                LEAVE_TIMEOUT.as_secs()
            );
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

fn text(left: &Left) -> String {
    let name = &left.name;
    if !left.was_member && left.secrets_deleted.is_empty() {
        return format!("{name} was no member\n");
    }
    format!(
        "{name} has left; what was placed on it stays there\n\
         next: take the hub's rights on it away with: kubectl delete \
         clusterrolebinding/taffrail-hub clusterrolebinding/taffrail-hub-places \
         clusterrole/taffrail-hub --ignore-not-found (there)\n"
    )
}
