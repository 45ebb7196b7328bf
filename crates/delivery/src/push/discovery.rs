//! Under which paths a member serves which kinds. Asked for lazily, one group version at a time.

use std::collections::BTreeMap;

use api::{PLACEMENT_GROUP, STORAGE_VERSION};
use events::ObjectId;
use events::cluster::LinkProblem;
use kube::core::{ApiResource, GroupVersionKind, Request};
use serde_json::Value;
use tokio::sync::Mutex;

use super::requests::{CallError, Requests};
use crate::failure::{is_forbidden, is_not_found};

/// How a kind is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resource {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) plural: String,
    pub(super) is_namespaced: bool,
}

impl Resource {
    /// A cluster-scoped kind.
    fn cluster_scoped(group: &str, version: &str, kind: &str, plural: &str) -> Self {
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            is_namespaced: false,
        }
    }

    /// AppliedWork, which every member serves, or is made to.
    pub(super) fn applied_work() -> Self {
        Self::cluster_scoped(PLACEMENT_GROUP, STORAGE_VERSION, "AppliedWork", "appliedworks")
    }

    /// CustomResourceDefinition.
    pub(super) fn crd() -> Self {
        Self::cluster_scoped(
            "apiextensions.k8s.io",
            "v1",
            "CustomResourceDefinition",
            "customresourcedefinitions",
        )
    }

    /// A cluster-scoped kind of the core group.
    pub(super) fn core(kind: &str, plural: &str) -> Self {
        Self::cluster_scoped("", "v1", kind, plural)
    }

    /// The `apiVersion` of its objects.
    pub(super) fn api_version(&self) -> String {
        let Self { group, version, .. } = self;
        if group.is_empty() { version.clone() } else { format!("{group}/{version}") }
    }

    /// Requests on the objects of one namespace, or on those of the whole cluster.
    pub(super) fn at(&self, namespace: &str) -> Request {
        let prefix = if self.group.is_empty() { "api" } else { "apis" };
        let root = format!("/{prefix}/{}", self.api_version());
        let plural = &self.plural;
        Request::new(match namespace {
            "" => format!("{root}/{plural}"),
            namespace => format!("{root}/namespaces/{namespace}/{plural}"),
        })
    }

    /// The same for kube's own API.
    pub(super) fn api_resource(&self) -> ApiResource {
        let gvk = GroupVersionKind::gvk(&self.group, &self.version, &self.kind);
        ApiResource::from_gvk_with_plural(&gvk, &self.plural)
    }
}

/// One version of one API group.
type GroupVersion = (String, String);

/// What is known of the kinds that one member serves.
#[derive(Default)]
pub(super) struct Discovery {
    known: Mutex<BTreeMap<GroupVersion, BTreeMap<String, Resource>>>,
}

impl Discovery {
    /// How the kind of an object is served; `None` if the member says that it does not know it.
    ///
    /// A kind that is not known here is asked for, once for each call: the lock is held meanwhile,
    /// so that many who wait for the same group version ask once.
    pub(super) async fn resource_of(
        &self,
        requests: &Requests,
        id: &ObjectId,
    ) -> Result<Option<Resource>, CallError> {
        self.resource_in(requests, id, &id.version).await
    }

    /// How the kind of an object is served in whatever version of its API; `None` if the member
    /// knows it in none. An object outlives the version that it was written in.
    pub(super) async fn resource_in_any_version(
        &self,
        requests: &Requests,
        id: &ObjectId,
    ) -> Result<Option<Resource>, CallError> {
        if let Some(resource) = self.resource_of(requests, id).await? {
            return Ok(Some(resource));
        }
        for version in versions_of(requests, &id.group).await? {
            if let Some(resource) = self.resource_in(requests, id, &version).await? {
                return Ok(Some(resource));
            }
        }
        Ok(None)
    }

    /// In which versions of its API a member serves the kind of an object, as `apiVersion`s, the one
    /// that it prefers first.
    pub(super) async fn versions_of_kind(
        &self,
        requests: &Requests,
        id: &ObjectId,
    ) -> Result<Vec<String>, CallError> {
        let mut served = Vec::new();
        for version in versions_of(requests, &id.group).await? {
            if let Some(resource) = self.resource_in(requests, id, &version).await? {
                served.push(resource.api_version());
            }
        }
        Ok(served)
    }

    async fn resource_in(
        &self,
        requests: &Requests,
        id: &ObjectId,
        version: &str,
    ) -> Result<Option<Resource>, CallError> {
        let group_version = (id.group.clone(), version.to_owned());
        let mut known = self.known.lock().await;
        if let Some(resource) = known.get(&group_version).and_then(|kinds| kinds.get(&id.kind)) {
            return Ok(Some(resource.clone()));
        }
        let path = match id.group.as_str() {
            "" => format!("/api/{version}"),
            group => format!("/apis/{group}/{version}"),
        };
        let kinds = match document(requests, &path).await? {
            Some(list) => kinds_in(&list, &id.group, version),
            None => BTreeMap::new(),
        };
        let resource = kinds.get(&id.kind).cloned();
        // What was learned from a CRD stays: discovery on the member may lag behind it.
        known.entry(group_version).or_default().extend(kinds);
        Ok(resource)
    }

    /// Takes the kinds of a CRD that was just established, so that nobody has to wait until
    /// discovery on the member has caught up.
    pub(super) async fn learn(&self, crd: &Value) {
        let mut known = self.known.lock().await;
        for resource in served_by(crd) {
            let group_version = (resource.group.clone(), resource.version.clone());
            // A group version of which nothing else is known stays to be asked for by the others.
            known.entry(group_version).or_default().insert(resource.kind.clone(), resource);
        }
    }

    /// Forgets the kinds of a group version, of which one turned out not to be served any more.
    pub(super) async fn forget(&self, group: &str, version: &str) {
        self.known.lock().await.remove(&(group.to_owned(), version.to_owned()));
    }
}

/// The versions in which a member serves a group, the one that it prefers first.
async fn versions_of(requests: &Requests, group: &str) -> Result<Vec<String>, CallError> {
    let path = match group {
        // The core group has one version, and no document of its own.
        "" => return Ok(vec![]),
        group => format!("/apis/{group}"),
    };
    let Some(document) = document(requests, &path).await? else { return Ok(vec![]) };
    let versions = document["versions"].as_array().into_iter().flatten();
    Ok(versions.filter_map(|one| one["version"].as_str().map(str::to_owned)).collect())
}

/// A discovery document; `None` if there is none under the path.
async fn document(requests: &Requests, path: &str) -> Result<Option<Value>, CallError> {
    match requests.get_path(path).await {
        Ok(document) => Ok(Some(document)),
        Err(CallError::Refused(status)) if is_not_found(&status) => Ok(None),
        // The same whatever kind is asked for: what is recorded must not move with each of them.
        Err(CallError::Refused(status)) if is_forbidden(&status) => Err(CallError::Unusable {
            problem: LinkProblem::Forbidden,
            message: "the credential may not read which kinds the member serves: bind it to the \
                      ClusterRole system:discovery"
                .to_owned(),
        }),
        Err(error) => Err(error),
    }
}

/// The kinds of a discovery document, without subresources.
fn kinds_in(list: &Value, group: &str, version: &str) -> BTreeMap<String, Resource> {
    let resources = list["resources"].as_array().into_iter().flatten();
    resources
        .filter_map(|entry| {
            let plural = entry["name"].as_str().filter(|name| !name.contains('/'))?;
            let kind = entry["kind"].as_str()?;
            let resource = Resource {
                group: group.to_owned(),
                version: version.to_owned(),
                kind: kind.to_owned(),
                plural: plural.to_owned(),
                is_namespaced: entry["namespaced"].as_bool().unwrap_or_default(),
            };
            Some((kind.to_owned(), resource))
        })
        .collect()
}

/// The kinds that a CRD defines, one for each served version.
pub(super) fn served_by(crd: &Value) -> impl Iterator<Item = Resource> {
    let spec = &crd["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let versions = spec["versions"].as_array().into_iter().flatten();
    versions.filter(|version| version["served"] == true).map(move |version| Resource {
        group: text(&spec["group"]),
        version: text(&version["name"]),
        kind: text(&spec["names"]["kind"]),
        plural: text(&spec["names"]["plural"]),
        is_namespaced: spec["scope"] == "Namespaced",
    })
}
