//! Whose the member is: nobody's, this fleet's, or another deployment's.

use anyhow::{Context, Result, bail};
use delivery::mark::{MARK_NAMESPACE, MEMBER_MARK};
use delivery::{MarkSeen, MemberMark};
use hub::identity;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};

use super::Args;

/// Refuses a member that another deployment manages; hands it over if that was asked for. Says from
/// which deployment.
pub(super) async fn claim(
    args: &Args,
    member: &Client,
    on_member: &str,
    hub: &Client,
    on_hub: &str,
) -> Result<Option<String>> {
    let marks: Api<ConfigMap> = Api::namespaced(member.clone(), MARK_NAMESPACE);
    let found = marks.get_opt(MEMBER_MARK).await.with_context(|| {
        format!(
            "whose the member is cannot be read from its ConfigMap {MARK_NAMESPACE}/{MEMBER_MARK}"
        )
    })?;
    let Some(mut found) = found else { return Ok(None) };
    let data = found.data.clone().unwrap_or_default();
    let theirs = match MemberMark::of_data(&data, on_member) {
        MarkSeen::Absent | MarkSeen::Forbidden => return Ok(None),
        MarkSeen::Found(mark) => Some(mark),
        MarkSeen::Unclear(_) => None,
    };
    let ours = identity::read_mark(hub, on_hub).await?.and_then(|mark| mark.deployment);
    let ours = ours.map(|ours| ours.to_string());
    if theirs.as_ref().is_some_and(|theirs| Some(&theirs.deployment) == ours.as_ref()) {
        return Ok(None);
    }
    let name = &args.name;
    let theirs_told = match &theirs {
        Some(MemberMark { deployment, hub, name, .. }) => {
            format!("deployment {deployment}, as the member {name} of the hub cluster {hub}")
        }
        None => "a deployment that its ConfigMap does not name".to_owned(),
    };
    if !args.replace {
        bail!(
            "the cluster belongs to {theirs_told}; let it leave there first, or hand it over with: \
             taffrail join {name} --replace, and the same flags"
        );
    }
    let Some(ours) = ours else {
        bail!(
            "the cluster belongs to {theirs_told}, and no hub has run on this hub cluster yet that it \
             could be handed over to; start one with: taffrail hub --config taffrail.toml"
        );
    };
    let from = theirs.map_or_else(|| "unknown".to_owned(), |theirs| theirs.deployment);
    let mark = MemberMark {
        deployment: ours,
        hub: on_hub.to_owned(),
        name: name.clone(),
        from_deployment: Some(from.clone()),
    };
    found.data = Some(mark.to_data(on_member));
    let name = found.name_any();
    // It names the version that was read: whoever marks it at the same time is not overwritten.
    marks.replace(&name, &PostParams::default(), &found).await.with_context(|| {
        format!("the ConfigMap {MARK_NAMESPACE}/{MEMBER_MARK} cannot be written")
    })?;
    Ok(Some(from))
}
