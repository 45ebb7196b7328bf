//! Writing to placement objects: status and finalizer, as merge patches of what differs.

use api::conditions::placement::Scope;
use api::names::finalizer;
use api::placement::{PlacementSpec, PlacementStatus};
use api::{ClusterResourcePlacement, ResourcePlacement};
use events::PlacementKey;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// The name under which the hub writes to its own API server.
pub(crate) const FIELD_MANAGER: &str = "taffrail-hub";

/// ClusterResourcePlacement and ResourcePlacement, which differ only in scope.
pub trait PlacementObject:
    Resource<DynamicType = ()>
    + Clone
    + std::fmt::Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// The prefix of the condition types.
    const SCOPE: Scope;

    /// What it asks for.
    fn spec(&self) -> &PlacementSpec;

    /// What it shows.
    fn status(&self) -> Option<&PlacementStatus>;

    /// Its key.
    fn key(&self) -> PlacementKey;

    /// The API for one of them.
    fn api(client: Client, key: &PlacementKey) -> Api<Self>;

    /// The API for all of them.
    fn all(client: Client) -> Api<Self> {
        Api::all(client)
    }
}

impl PlacementObject for ClusterResourcePlacement {
    const SCOPE: Scope = Scope::Cluster;

    fn spec(&self) -> &PlacementSpec {
        &self.spec
    }

    fn status(&self) -> Option<&PlacementStatus> {
        self.status.as_ref()
    }

    fn key(&self) -> PlacementKey {
        PlacementKey::cluster(self.name_any())
    }

    fn api(client: Client, _key: &PlacementKey) -> Api<Self> {
        Api::all(client)
    }
}

impl PlacementObject for ResourcePlacement {
    const SCOPE: Scope = Scope::Namespaced;

    fn spec(&self) -> &PlacementSpec {
        &self.spec
    }

    fn status(&self) -> Option<&PlacementStatus> {
        self.status.as_ref()
    }

    fn key(&self) -> PlacementKey {
        PlacementKey::namespaced(self.namespace().unwrap_or_default(), self.name_any())
    }

    fn api(client: Client, key: &PlacementKey) -> Api<Self> {
        match &key.scope {
            events::PlacementScope::Cluster => Api::default_namespaced(client),
            events::PlacementScope::Namespace(namespace) => Api::namespaced(client, namespace),
        }
    }
}

/// Whether the object keeps its name until what it placed is removed.
#[must_use]
pub(super) fn has_finalizer(object: &impl PlacementObject) -> bool {
    object.finalizers().iter().any(|own| own == finalizer::PLACEMENT)
}

/// Adds the finalizer. Conditional on the version that was seen, so that no one else's is lost.
///
/// # Errors
/// What the API server said; a conflict means that a newer version is on its way here.
pub(super) async fn add_finalizer<P: PlacementObject>(
    client: &Client,
    object: &P,
) -> Result<(), kube::Error> {
    let mut kept = object.finalizers().to_vec();
    kept.push(finalizer::PLACEMENT.to_owned());
    patch_finalizers(client, object, &kept).await
}

/// Lets the object go.
///
/// # Errors
/// What the API server said.
pub(super) async fn remove_finalizer<P: PlacementObject>(
    client: &Client,
    object: &P,
) -> Result<(), kube::Error> {
    let mut kept = object.finalizers().to_vec();
    kept.retain(|own| own != finalizer::PLACEMENT);
    patch_finalizers(client, object, &kept).await
}

async fn patch_finalizers<P: PlacementObject>(
    client: &Client,
    object: &P,
    finalizers: &[String],
) -> Result<(), kube::Error> {
    let patch = json!({ "metadata": {
        "finalizers": finalizers,
        "resourceVersion": object.resource_version(),
    }});
    let api = P::api(client.clone(), &object.key());
    let params =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    api.patch_metadata(&object.name_any(), &params, &Patch::Merge(patch)).await.map(drop)
}

/// Writes the status, unless it is what the object shows already.
///
/// # Errors
/// What the API server said.
pub(super) async fn write_status<P: PlacementObject>(
    client: &Client,
    object: &P,
    status: &PlacementStatus,
) -> Result<(), kube::Error> {
    if object.status() == Some(status) {
        return Ok(());
    }
    // Lists are replaced whole by a merge patch; absent optional fields are written as null, so
    // that what is no longer true goes away.
    let mut written = serde_json::to_value(status).map_err(kube::Error::SerdeError)?;
    for field in ["selectedResources", "observedResourceIndex", "placementStatuses", "conditions"] {
        if written.get(field).is_none() {
            written[field] = serde_json::Value::Null;
        }
    }
    let api = P::api(client.clone(), &object.key());
    let params =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({ "status": written }));
    api.patch_status(&object.name_any(), &params, &patch).await.map(drop)
}
