//! `taffrail join`: makes a cluster a member.
//!
//! Each step may be repeated, and may come before or after what others do by hand or by GitOps:
//! membership starts when both the MemberCluster and its link are there. To join again renews the
//! credential; it changes what the MemberCluster says only where a flag asks for it.

mod belonging;
mod member;
mod registration;
mod renewal;
mod rights;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use api::member_cluster::Taint;
use api::names::FLEET_SYSTEM_NAMESPACE;
use api::policy::TaintEffect;
use domain::selection::{LINK_SECRET_LABEL, LINK_SECRET_TYPE};
use hub::links::KUBECONFIG_ENTRY;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use serde::Serialize;

use crate::cli::Global;
use crate::kubernetes::{HubArgs, apply, ensure_namespace, identity, install_crds};
use crate::output;
use crate::usage::Usage;
use member::{Credential, MemberAccess};
use rights::Profile;

/// How many days a token is asked for when nobody says.
const TOKEN_DAYS: u16 = 30;

/// Make a cluster a member of the fleet.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The member's name in the fleet
    name: String,
    /// Kubeconfig with which you administrate the member
    #[arg(long, value_name = "FILE")]
    member_kubeconfig: PathBuf,
    /// Context of the member in that kubeconfig [default: the current one]
    #[arg(long, value_name = "NAME")]
    member_context: Option<String>,
    /// The member's address as the hub reaches it [default: that of the kubeconfig]
    #[arg(long, value_name = "URL")]
    member_server: Option<String>,
    /// A label of the cluster, for placements to choose by; may be repeated. Labels that a member
    /// has already and that are not named stay
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// A taint that keeps placements away; may be repeated. Those given replace those that a member
    /// has already; without any, they stay
    #[arg(long = "taint", value_name = "KEY[=VALUE]:NoSchedule", value_parser = taint)]
    taints: Vec<Taint>,
    /// What the hub may place on the member [default: admin; as before for one that joins again]
    #[arg(long, value_enum, conflicts_with = "cluster_role")]
    profile: Option<Profile>,
    /// A ClusterRole of the member that says what the hub may place there
    #[arg(long, value_name = "NAME")]
    cluster_role: Option<String>,
    /// How long the hub's token is to be good for; the member may give a shorter one. The hub renews
    /// it when two thirds of that are over
    #[arg(long, value_name = "DAYS", default_value_t = TOKEN_DAYS, value_parser = clap::value_parser!(u16).range(1..=365))]
    token_days: u16,
    /// Take the cluster over from another deployment, and let it take the place of the cluster that
    /// had the name until now
    #[arg(long)]
    replace: bool,
    /// The namespace of the hub that holds the member's credential
    #[arg(long, value_name = "NAME", default_value = FLEET_SYSTEM_NAMESPACE)]
    system_namespace: String,
    #[command(flatten)]
    hub: HubArgs,
}

/// What was done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Joined {
    name: String,
    secret: String,
    namespace: String,
    credential: &'static str,
    /// What the hub may do on the member.
    rights: String,
    /// The deployment that it was taken over from.
    #[serde(skip_serializing_if = "Option::is_none")]
    taken_from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential_expires: Option<String>,
    /// The command that renews the credential.
    renew_with: String,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let access = MemberAccess::read(&args.member_kubeconfig, args.member_context.as_deref())?;
    let member = access.connect().await?;
    let hub = args.hub.connect().await?;
    let (on_member, on_hub) = check_is_another_cluster(&args, &member, &hub).await?;
    let taken_from = belonging::claim(&args, &member, &on_member, &hub, &on_hub).await?;

    let crds = api::crds::member_crds();
    install_crds(&member, &crds, |_| ()).await.context("the member's CRD cannot be installed")?;
    let credential = access.credential(&member, &args).await?;
    store_link(&args, &hub, &credential).await?;
    registration::register(&args, &hub, &on_member).await?;

    let joined = Joined {
        name: args.name.clone(),
        secret: secret_name(&args.name),
        namespace: args.system_namespace.clone(),
        credential: match credential.is_bounded {
            true => "ServiceAccount",
            false => "Kubeconfig",
        },
        rights: credential.rights.told(),
        taken_from,
        credential_expires: credential.expires.clone(),
        renew_with: renewal::command(&args),
    };
    output::show(global.output, &joined, || text(&joined, &credential))?;
    Ok(())
}

/// Which clusters these are, unless they are one.
async fn check_is_another_cluster(
    args: &Args,
    member: &Client,
    hub: &Client,
) -> Result<(String, String)> {
    let on_member = identity(member).await.with_context(|| {
        let file = args.member_kubeconfig.display();
        format!("the member does not answer; check: kubectl --kubeconfig {file} get namespaces")
    })?;
    let on_hub = identity(hub)
        .await
        .context("the hub does not answer; check: kubectl get namespaces, or --hub-kubeconfig")?;
    if on_member == on_hub {
        let what = "the member's kubeconfig leads to the hub itself";
        let how = "choose another with --member-kubeconfig or --member-context";
        return Err(Usage::new(what, how).into());
    }
    Ok((on_member, on_hub))
}

fn secret_name(member: &str) -> String {
    format!("link-{member}")
}

async fn store_link(args: &Args, hub: &Client, credential: &Credential) -> Result<()> {
    ensure_namespace(hub, &args.system_namespace).await?;
    let secrets: Api<Secret> = Api::namespaced(hub.clone(), &args.system_namespace);
    let name = secret_name(&args.name);
    let known = secrets.get_opt(&name).await.with_context(|| format!("{name} cannot be read"))?;
    let data = ByteString(credential.kubeconfig.clone().into_bytes());
    let mut secret = Secret {
        // The type of a Secret that somebody else made stays: it cannot be changed.
        type_: known.and_then(|known| known.type_).or(Some(LINK_SECRET_TYPE.to_owned())),
        data: Some(BTreeMap::from([(KUBECONFIG_ENTRY.to_owned(), data)])),
        ..Secret::default()
    };
    secret.metadata.name = Some(name);
    secret.metadata.labels =
        Some(BTreeMap::from([(LINK_SECRET_LABEL.to_owned(), args.name.clone())]));
    apply(&secrets, &secret).await.map(drop)
}

fn text(joined: &Joined, credential: &Credential) -> String {
    let Joined { name, secret, namespace, rights, renew_with, .. } = joined;
    let lifetime = match (&credential.expires, credential.is_bounded) {
        (Some(expires), _) => {
            format!(
                "its credential expires on {expires}; the hub renews it before, and tells when it \
                 cannot; by hand: {renew_with}"
            )
        }
        (None, true) => "its credential has no known end".to_owned(),
        (None, false) => "notice: the member gives out no tokens, so the hub uses the credential \
                          of the given kubeconfig"
            .to_owned(),
    };
    let taken = match &joined.taken_from {
        Some(from) => format!("it was taken over from deployment {from}\n"),
        None => String::new(),
    };
    format!(
        "{name} is registered; its link is the Secret {secret} in {namespace}\n\
         {taken}the hub's rights on it: {rights}\n\
         {lifetime}\n\
         next: taffrail status\n"
    )
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or_else(|| format!("{text:?} is no label; write KEY=VALUE, such as region=eu"))?;
    Ok((key.to_owned(), value.to_owned()))
}

fn taint(text: &str) -> Result<Taint, String> {
    let parsed = text.strip_suffix(":NoSchedule").filter(|rest| !rest.is_empty()).map(|rest| {
        let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
        Taint { key: key.to_owned(), value: value.to_owned(), effect: TaintEffect::NoSchedule }
    });
    parsed.filter(|taint| !taint.key.is_empty()).ok_or_else(|| {
        format!("{text:?} is no taint; write KEY=VALUE:NoSchedule, the only effect there is")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_taints_are_read() {
        assert_eq!(label("region=eu"), Ok(("region".to_owned(), "eu".to_owned())));
        assert!(label("region").unwrap_err().contains("KEY=VALUE"));
        let read = |text| taint(text).map(|taint| (taint.key, taint.value));
        assert_eq!(read("gpu=a100:NoSchedule"), Ok(("gpu".to_owned(), "a100".to_owned())));
        assert_eq!(read("gpu:NoSchedule"), Ok(("gpu".to_owned(), String::new())));
        for wrong in ["gpu=a100", "gpu:NoExecute", ":NoSchedule", "=x:NoSchedule"] {
            assert!(taint(wrong).is_err(), "{wrong}");
        }
    }
}
