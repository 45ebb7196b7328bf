//! Writing to placement objects: status and finalizer, as merge patches of what differs.

use api::conditions::placement::Scope;
use api::names::finalizer;
use api::observed::ResourceIdentifier;
use api::placement::{PerClusterPlacementStatus, PlacementSpec, PlacementStatus};
use api::{ClusterResourcePlacement, ResourcePlacement};
use events::PlacementKey;
use http::header::{ACCEPT, HeaderValue};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{PartialObjectMeta, Patch, PatchParams, Request};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// The name under which the hub writes to its own API server.
pub(crate) const FIELD_MANAGER: &str = "taffrail-hub";

/// What to accept when of an object only its metadata is of interest.
const METADATA_ALONE: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

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

    /// Takes off it what it shows.
    fn take_status(&mut self) -> Option<PlacementStatus>;

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

    fn take_status(&mut self) -> Option<PlacementStatus> {
        self.status.take()
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

    fn take_status(&mut self) -> Option<PlacementStatus> {
        self.status.take()
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

/// How the hub writes to objects of its own API server.
pub(crate) fn patch_params() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
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
    api.patch_metadata(&object.name_any(), &patch_params(), &Patch::Merge(patch)).await.map(drop)
}

/// A status as it is merged into an object. Lists are replaced whole by a merge patch; what is empty
/// is written as null, so that what is no longer true goes away.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WholeStatus<'a> {
    selected_resources: Option<&'a [ResourceIdentifier]>,
    observed_resource_index: Option<&'a str>,
    placement_statuses: Option<&'a [PerClusterPlacementStatus]>,
    conditions: Option<&'a [Condition]>,
}

impl<'a> WholeStatus<'a> {
    fn of(status: &'a PlacementStatus) -> Self {
        let PlacementStatus {
            selected_resources,
            observed_resource_index,
            placement_statuses,
            conditions,
        } = status;
        Self {
            selected_resources: Some(&**selected_resources).filter(|it| !it.is_empty()),
            observed_resource_index: Some(&**observed_resource_index).filter(|it| !it.is_empty()),
            placement_statuses: Some(&**placement_statuses).filter(|it| !it.is_empty()),
            conditions: Some(&**conditions).filter(|it| !it.is_empty()),
        }
    }
}

#[derive(Serialize)]
struct StatusPatch<'a> {
    status: WholeStatus<'a>,
}

/// Writes the status. Asks for the metadata of the object alone in return: the status may have a
/// megabyte.
///
/// # Errors
/// What the API server said.
pub(super) async fn write_status<P: PlacementObject>(
    client: &Client,
    object: &P,
    status: &PlacementStatus,
) -> Result<(), kube::Error> {
    let patch = Patch::Merge(StatusPatch { status: WholeStatus::of(status) });
    let request = Request::new(P::url_path(&(), object.namespace().as_deref()));
    let mut request = request
        .patch_subresource("status", &object.name_any(), &patch_params(), &patch)
        .map_err(kube::Error::BuildRequest)?;
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static(METADATA_ALONE));
    client.request::<PartialObjectMeta<P>>(request).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_empty_is_written_as_null() {
        let status = PlacementStatus {
            observed_resource_index: "3".to_owned(),
            ..PlacementStatus::default()
        };
        let patch = serde_json::to_value(StatusPatch { status: WholeStatus::of(&status) }).unwrap();
        let wanted = json!({ "status": {
            "selectedResources": null,
            "observedResourceIndex": "3",
            "placementStatuses": null,
            "conditions": null,
        }});
        assert_eq!(patch, wanted);
    }
}
