//! What the hub's API server says that it serves.
//!
//! It asks other API servers about theirs and tells what they said last, marked as stale when they
//! do not answer. Of a version that was never heard of it shows nothing at all: that is no word
//! about what there is, and is kept apart here as *silent*.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use domain::selection::{GroupVersionKind, KindRules};
use kube::Client;
use kube::core::discovery::v2::{APIGroupDiscovery, APIResourceDiscovery, APIVersionDiscovery};
use kube::discovery::{ApiResource, verbs};

/// A kind that can be watched.
#[derive(Debug, Clone, PartialEq)]
pub struct DiscoveredKind {
    /// The kind.
    pub kind: GroupVersionKind,
    /// How to ask for it.
    pub resource: ApiResource,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

impl DiscoveredKind {
    /// Its name as `kubectl get` takes it.
    #[must_use]
    pub fn resource_name(&self) -> String {
        let ApiResource { group, version, plural, .. } = &self.resource;
        match group.as_str() {
            "" => plural.clone(),
            group => format!("{plural}.{version}.{group}"),
        }
    }
}

/// A version of a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupVersion {
    /// The group.
    pub group: String,
    /// The version.
    pub version: String,
}

impl GroupVersion {
    /// The version of the group that a kind is in.
    #[must_use]
    pub fn of(kind: &GroupVersionKind) -> Self {
        Self { group: kind.group.clone(), version: kind.version.clone() }
    }
}

impl fmt::Display for GroupVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.version)
    }
}

/// The kinds that may be placed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Discovered {
    /// Each in one version: the one that its group prefers among those that have it.
    pub kinds: Vec<DiscoveredKind>,
    /// The same kinds in the other versions in which they are served.
    pub others: Vec<DiscoveredKind>,
    /// Where there may be more, because whoever serves it does not answer.
    pub silent: BTreeSet<GroupVersion>,
}

/// Asks the API server for all kinds that may be placed.
///
/// # Errors
/// What the API server said.
pub async fn discover(client: &Client, rules: &KindRules) -> Result<Discovered, kube::Error> {
    let mut groups = client.list_core_api_versions_aggregated().await?.items;
    groups.extend(client.list_api_groups_aggregated().await?.items);
    Ok(read(groups, rules))
}

/// Asks whoever serves a kind whether it does. What the API server has collected says what is
/// there; only this says what is not.
///
/// # Errors
/// What the API server said: nobody knows.
pub async fn is_served(client: &Client, kind: &GroupVersionKind) -> Result<bool, kube::Error> {
    let listed = match kind.group.as_str() {
        "" => client.list_core_api_resources(&kind.version).await,
        _ => client.list_api_group_resources(&kind.api_version()).await,
    };
    match listed {
        Ok(list) => Ok(list.resources.iter().any(|resource| resource.kind == kind.kind)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(error),
    }
}

fn read(groups: Vec<APIGroupDiscovery>, rules: &KindRules) -> Discovered {
    let mut discovered = Discovered::default();
    for group in groups {
        let name = group.metadata.and_then(|metadata| metadata.name).unwrap_or_default();
        // Versions come in the order in which the group prefers them.
        let mut kinds: BTreeMap<String, DiscoveredKind> = BTreeMap::new();
        for version in group.versions {
            let at = GroupVersion {
                group: name.clone(),
                version: version.version.clone().unwrap_or_default(),
            };
            if is_silent(&version) && !rules.excludes_version(&at.group, &at.version) {
                discovered.silent.insert(at.clone());
            }
            for resource in version.resources {
                let Some(kind) = read_kind(&at, resource, rules) else { continue };
                match kinds.entry(kind.kind.kind.clone()) {
                    Entry::Vacant(entry) => drop(entry.insert(kind)),
                    Entry::Occupied(_) => discovered.others.push(kind),
                }
            }
        }
        discovered.kinds.extend(kinds.into_values());
    }
    discovered
}

fn is_silent(version: &APIVersionDiscovery) -> bool {
    version.freshness.as_deref() == Some("Stale") && version.resources.is_empty()
}

/// The kind of a resource that can be watched and may be placed.
fn read_kind(
    at: &GroupVersion,
    resource: APIResourceDiscovery,
    rules: &KindRules,
) -> Option<DiscoveredKind> {
    let kind = resource.response_kind.and_then(|kind| kind.kind)?;
    let kind = GroupVersionKind::new(&at.group, &at.version, kind);
    let can = |verb: &str| resource.verbs.iter().any(|own| own == verb);
    if !can(verbs::LIST) || !can(verbs::WATCH) || rules.excludes(&kind) {
        return None;
    }
    let api_resource = ApiResource {
        group: kind.group.clone(),
        version: kind.version.clone(),
        api_version: kind.api_version(),
        kind: kind.kind.clone(),
        plural: resource.resource?,
    };
    let namespaced = resource.scope.as_deref() == Some("Namespaced");
    Some(DiscoveredKind { kind, resource: api_resource, namespaced })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn resource(name: &str, kind: &str, verbs: &[&str]) -> Value {
        json!({ "resource": name, "scope": "Namespaced", "verbs": verbs,
                "responseKind": { "group": "", "version": "", "kind": kind } })
    }

    fn watched(name: &str, kind: &str) -> Value {
        resource(name, kind, &["get", "list", "watch"])
    }

    /// What is read from the versions of one group: kinds, and what is silent.
    fn read_group(group: &str, versions: &Value) -> (Vec<String>, Vec<String>) {
        let group = json!({ "metadata": { "name": group }, "versions": versions });
        let group = serde_json::from_value(group).unwrap();
        let Discovered { kinds, others, silent } = read(vec![group], &KindRules::default());
        let kinds = kinds.iter().chain(&others);
        let kinds = kinds.map(|kind| kind.kind.to_string()).collect();
        (kinds, silent.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn each_kind_is_read_in_the_first_version_that_has_it_and_then_in_the_others() {
        let versions = json!([
            { "version": "v1", "freshness": "Current", "resources": [watched("gateways", "Gateway")] },
            { "version": "v1alpha3", "freshness": "Current", "resources": [
                watched("envoyfilters", "EnvoyFilter"), watched("gateways", "Gateway"),
            ] },
        ]);
        let (kinds, silent) = read_group("istio.io", &versions);
        assert_eq!(
            kinds,
            [
                "EnvoyFilter (istio.io/v1alpha3)",
                "Gateway (istio.io/v1)",
                "Gateway (istio.io/v1alpha3)",
            ]
        );
        assert!(silent.is_empty());
    }

    #[test]
    fn what_cannot_be_watched_or_is_never_placed_is_left_out() {
        let versions = json!([{ "version": "v1", "freshness": "Current", "resources": [
            resource("bindings", "Binding", &["create"]),
            resource("reviews", "Review", &["list"]),
            watched("pods", "Pod"),
            watched("configmaps", "ConfigMap"),
        ] }]);
        assert_eq!(read_group("", &versions).0, ["ConfigMap (v1)"]);
    }

    #[test]
    fn regression_a_stale_version_without_resources_says_nothing_about_what_there_is() {
        let stale = |resources: Value| json!([{ "version": "v1", "freshness": "Stale", "resources": resources }]);
        let nothing: Vec<String> = vec![];
        let silent = read_group("example.com", &stale(json!([])));
        assert_eq!(silent, (nothing.clone(), vec!["example.com/v1".to_owned()]));
        // What it said last is known.
        let known = read_group("example.com", &stale(json!([watched("gadgets", "Gadget")])));
        assert_eq!(known, (vec!["Gadget (example.com/v1)".to_owned()], nothing.clone()));
        // Nobody waits for what is never placed.
        assert_eq!(read_group("metrics.k8s.io", &stale(json!([]))), (nothing.clone(), nothing));
    }
}
