//! Kinds and objects in few words, for tests.

use std::collections::BTreeSet;

use domain::selection::{GroupVersionKind, HubObject};
use kube::discovery::ApiResource;
use serde_json::json;

use super::{Discovered, DiscoveredKind, GroupVersion, Objects};

/// The kind with this name in `v1` or `apps/v1`.
pub(crate) fn gvk(api_version: &str, kind: &str) -> GroupVersionKind {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    GroupVersionKind::new(group, version, kind)
}

/// A kind as it is served, written `v1 Namespace` or, for one that lives in namespaces,
/// `apps/v1 Deployment/`.
pub(crate) fn served(line: &str) -> DiscoveredKind {
    let (api_version, name) = line.split_once(' ').unwrap();
    let kind = gvk(api_version, name.trim_end_matches('/'));
    let resource = ApiResource {
        group: kind.group.clone(),
        version: kind.version.clone(),
        api_version: kind.api_version(),
        kind: kind.kind.clone(),
        plural: format!("{}s", kind.kind.to_lowercase()),
    };
    DiscoveredKind { kind, resource, namespaced: name.ends_with('/') }
}

/// What is served, and which versions of groups are silent.
pub(crate) fn discovered(kinds: &[&str], silent: &[&str]) -> Discovered {
    let version = |at: &&str| {
        let (group, version) = at.split_once('/').unwrap();
        GroupVersion { group: group.to_owned(), version: version.to_owned() }
    };
    // The first version of a kind is the preferred one.
    let mut discovered =
        Discovered { silent: silent.iter().map(version).collect(), ..Discovered::default() };
    for kind in kinds.iter().map(|line| served(line)) {
        let mut known = discovered.kinds.iter();
        match known.any(|known| known.kind.is(&kind.kind.group, &kind.kind.kind)) {
            false => discovered.kinds.push(kind),
            true => discovered.others.push(kind),
        }
    }
    discovered
}

/// An index that knows kinds, of which nothing is listed yet.
pub(crate) fn knowing(kinds: &[&str]) -> Objects {
    let mut objects = Objects::default();
    objects.adjust(discovered(kinds, &[]));
    objects
}

/// An object; `path` is `name` or `namespace/name`.
pub(crate) fn object(kind: &GroupVersionKind, path: &str) -> HubObject {
    let metadata = match path.split_once('/') {
        Some((namespace, name)) => json!({ "namespace": namespace, "name": name }),
        None => json!({ "name": path }),
    };
    HubObject::read(kind, json!({ "metadata": metadata })).unwrap()
}

/// Lists a kind: these objects, and no others.
pub(crate) fn list(objects: &mut Objects, kind: &GroupVersionKind, paths: &[&str]) {
    let mut seen = BTreeSet::new();
    for path in paths {
        let object = object(kind, path);
        seen.insert((object.id.namespace.clone(), object.id.name.clone()));
        objects.apply(kind, object);
    }
    objects.listed(kind, &seen);
}
