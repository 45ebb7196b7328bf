//! The hub's side of joining: the MemberCluster.

use anyhow::{Context, Result, bail};
use api::MemberCluster;
use api::member_cluster::{MemberClusterSpec, Subject};
use domain::cluster::CONFIRMED_CLUSTER_ANNOTATION;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Map, Value, json};

use super::Args;
use crate::kubernetes::{FIELD_MANAGER, apply};

/// Makes the MemberCluster. One that is there is changed only where a flag asks for it: whoever
/// renews a credential says nothing about labels, and placements choose by them.
///
/// With `--replace`, the cluster with this identity is confirmed to take the place of another one.
pub(super) async fn register(args: &Args, hub: &Client, identity: &str) -> Result<()> {
    let members: Api<MemberCluster> = Api::all(hub.clone());
    let found = members.get_opt(&args.name).await.context(
        "MemberClusters cannot be read; install their definition with: taffrail crds install",
    )?;
    match found {
        None => apply(&members, &member_cluster(args, identity)).await.map(drop),
        Some(member) if member.metadata.deletion_timestamp.is_some() => bail!(
            "{0} is leaving the fleet; join again when it is gone: kubectl get membercluster {0}",
            args.name
        ),
        Some(_) => match changes(args, identity) {
            Some(changes) => change(&members, args, &changes).await,
            None => Ok(()),
        },
    }
}

async fn change(members: &Api<MemberCluster>, args: &Args, changes: &Value) -> Result<()> {
    let params =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let changed = members.patch(&args.name, &params, &Patch::Merge(changes)).await;
    changed.map(drop).with_context(|| format!("the MemberCluster {} cannot be changed", args.name))
}

/// What the flags change about a member that is there.
fn changes(args: &Args, identity: &str) -> Option<Value> {
    let mut changes = Map::new();
    let mut metadata = Map::new();
    if !args.labels.is_empty() {
        let labels: Map<String, Value> =
            args.labels.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
        metadata.insert("labels".to_owned(), Value::Object(labels));
    }
    if args.replace {
        metadata
            .insert("annotations".to_owned(), json!({ CONFIRMED_CLUSTER_ANNOTATION: identity }));
    }
    if !metadata.is_empty() {
        changes.insert("metadata".to_owned(), Value::Object(metadata));
    }
    if !args.taints.is_empty() {
        changes.insert("spec".to_owned(), json!({ "taints": args.taints }));
    }
    (!changes.is_empty()).then_some(Value::Object(changes))
}

fn member_cluster(args: &Args, cluster: &str) -> MemberCluster {
    let identity = Subject {
        kind: "ServiceAccount".to_owned(),
        name: "taffrail".to_owned(),
        namespace: args.system_namespace.clone(),
        ..Subject::default()
    };
    let mut spec = MemberClusterSpec::new(identity);
    spec.taints.clone_from(&args.taints);
    let mut member = MemberCluster::new(&args.name, spec);
    member.metadata.labels = Some(args.labels.iter().cloned().collect());
    if args.replace {
        let confirmed = (CONFIRMED_CLUSTER_ANNOTATION.to_owned(), cluster.to_owned());
        member.metadata.annotations = Some([confirmed].into());
    }
    member
}
