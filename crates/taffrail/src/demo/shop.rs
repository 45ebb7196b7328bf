//! The demo's application: the manifests of `examples/shop`, compiled in.

use anyhow::{Context, Result};
use api::ClusterResourcePlacement;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Api, Client, ResourceExt};
use serde::Deserialize;

/// The name of the application: of its namespace and of its placement.
pub(super) const NAME: &str = "shop";

const MANIFESTS: [&str; 2] = [
    include_str!("../../../../examples/shop/shop.yaml"),
    include_str!("../../../../examples/shop/placement.yaml"),
];

/// Applies the application and its placement to the hub.
pub(super) async fn apply(hub: &Client) -> Result<()> {
    for manifests in MANIFESTS {
        for document in serde_yaml_ng::Deserializer::from_str(manifests) {
            let object = DynamicObject::deserialize(document)
                .context("an example manifest cannot be read")?;
            apply_one(hub, &object).await?;
        }
    }
    Ok(())
}

/// Whether its placement is there.
pub(super) async fn is_placed(hub: &Client) -> Result<bool> {
    let placements: Api<ClusterResourcePlacement> = Api::all(hub.clone());
    Ok(placements.get_opt(NAME).await?.is_some())
}

async fn apply_one(hub: &Client, object: &DynamicObject) -> Result<()> {
    let types = object.types.as_ref().context("an example manifest has no kind")?;
    let kind = GroupVersionKind::try_from(types)?;
    let (resource, capabilities) = pinned_kind(hub, &kind).await?;
    let api: Api<DynamicObject> = match (capabilities.scope, object.namespace()) {
        (Scope::Namespaced, Some(namespace)) => {
            Api::namespaced_with(hub.clone(), &namespace, &resource)
        }
        (Scope::Namespaced, None) => Api::default_namespaced_with(hub.clone(), &resource),
        (Scope::Cluster, _) => Api::all_with(hub.clone(), &resource),
    };
    let params = PatchParams::apply("you").force();
    let name = object.name_any();
    api.patch(&name, &params, &Patch::Apply(object))
        .await
        .with_context(|| format!("{} {name} cannot be applied", kind.kind))?;
    Ok(())
}
