//! Which resources a cluster serves: the built-in ones, shared, and its CRDs.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::builtin::{self, Column};
use crate::crd::Versions;
use crate::documents::Documents;
use crate::schema::Schema;

/// One served resource in one version.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) storage_version: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    pub(crate) verbs: Vec<String>,
    pub(crate) has_status: bool,
    pub(crate) scale: Option<ScalePaths>,
    pub(crate) has_finalize: bool,
    pub(crate) schema: SchemaOf,
    pub(crate) columns: Vec<Column>,
    pub(crate) selectable_fields: Vec<String>,
    pub(crate) origin: Origin,
}

/// Whether the API server knows the kind by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Builtin,
    Custom,
}

/// The type of a resource.
#[derive(Debug, Clone)]
pub(crate) enum SchemaOf {
    /// A type of the data file by name.
    Builtin(String),
    /// The schema of a CRD version, and the document that it was read from.
    Custom(Arc<Schema>, Arc<Value>),
}

/// Where the scale subresource reads and writes.
#[derive(Debug, Clone)]
pub(crate) struct ScalePaths {
    pub(crate) spec: String,
    pub(crate) status: String,
    pub(crate) selector: Option<String>,
}

impl ScalePaths {
    pub(crate) fn builtin() -> Self {
        Self {
            spec: "spec.replicas".to_owned(),
            status: "status.replicas".to_owned(),
            selector: None,
        }
    }
}

/// The name of a collection of objects: `deployments.apps`, `configmaps`. The versions of a
/// resource share one collection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CollectionName(pub(crate) Arc<str>);

impl Resource {
    pub(crate) fn is_custom(&self) -> bool {
        self.origin == Origin::Custom
    }

    pub(crate) fn is(&self, group: &str, plural: &str) -> bool {
        self.group == group && self.plural == plural
    }

    pub(crate) fn schema(&self) -> &Schema {
        match &self.schema {
            SchemaOf::Builtin(name) => builtin::type_named(name),
            SchemaOf::Custom(schema, _) => schema,
        }
    }

    pub(crate) fn api_version(&self) -> String {
        group_version(&self.group, &self.version)
    }

    pub(crate) fn stored_api_version(&self) -> String {
        group_version(&self.group, &self.storage_version)
    }

    /// `deployments.apps`, `configmaps`: how messages name the resource.
    pub(crate) fn group_resource(&self) -> String {
        dotted(&self.plural, &self.group)
    }

    /// `Deployment.apps`, `ConfigMap`.
    pub(crate) fn group_kind(&self) -> String {
        dotted(&self.kind, &self.group)
    }

    /// Where the objects are kept. Events are one collection with two faces.
    pub(crate) fn collection(&self) -> CollectionName {
        if self.is("events.k8s.io", "events") {
            return CollectionName("events".into());
        }
        CollectionName(self.group_resource().into())
    }

    pub(crate) fn allows(&self, verb: &str) -> bool {
        self.verbs.iter().any(|it| it == verb)
    }
}

/// `apps/v1`, or `v1` for the core group.
pub(crate) fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

fn dotted(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

/// The resources of one cluster. Everything in it is shared with clusters that serve the same.
#[derive(Debug, Clone)]
pub(crate) struct Registry {
    /// Served versions by the name of their CRD, most preferred first.
    custom: BTreeMap<String, Versions>,
    documents: Arc<Documents>,
}

impl Default for Registry {
    fn default() -> Self {
        Self { custom: BTreeMap::new(), documents: Documents::of(std::iter::empty()) }
    }
}

impl Registry {
    /// What is told of these resources.
    pub(crate) fn documents(&self) -> &Documents {
        &self.documents
    }

    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.all().find(|it| it.is(group, plural) && it.version == version)
    }

    /// The resource whose objects are kept in the collection, in any version.
    pub(crate) fn of_collection(&self, name: &CollectionName) -> Option<&Arc<Resource>> {
        self.all().find(|it| it.collection() == *name)
    }

    /// Returns whether the CRD was not served until now.
    pub(crate) fn serve(&mut self, crd: &str, versions: Versions) -> bool {
        let before = self.custom.insert(crd.to_owned(), versions);
        self.documents = Documents::of(self.custom.values());
        before.is_none()
    }

    pub(crate) fn withdraw(&mut self, crd: &str) {
        self.custom.remove(crd);
        self.documents = Documents::of(self.custom.values());
    }

    /// Built-in resources first, then custom ones by the name of their CRD.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Resource>> {
        builtin::resources().iter().chain(self.custom.values().flat_map(|it| it.iter()))
    }

    /// Groups with their versions, in the order of discovery; the core group is not one.
    pub(crate) fn groups(&self) -> Vec<(String, Vec<String>)> {
        let mut groups: Vec<(String, Vec<String>)> = Vec::new();
        for resource in self.all().filter(|it| !it.group.is_empty()) {
            let at = groups.iter().position(|(name, _)| *name == resource.group);
            let at = at.unwrap_or_else(|| {
                groups.push((resource.group.clone(), Vec::new()));
                groups.len() - 1
            });
            if !groups[at].1.contains(&resource.version) {
                groups[at].1.push(resource.version.clone());
            }
        }
        for (_, versions) in &mut groups {
            versions.sort_by_key(|version| std::cmp::Reverse(version_rank(version)));
        }
        groups
    }

    pub(crate) fn in_version<'a>(
        &'a self,
        group: &'a str,
        version: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Resource>> {
        self.all().filter(move |it| it.group == group && it.version == version)
    }
}

/// Kubernetes version priority: v2 > v1 > v1beta2 > v1beta1 > v1alpha1 > anything else.
pub(crate) fn version_rank(version: &str) -> (u8, u32, u32) {
    let number = |text: &str| text.parse::<u32>().ok();
    let Some(rest) = version.strip_prefix('v') else { return (0, 0, 0) };
    for (stability, word) in [(2, "beta"), (1, "alpha")] {
        if let Some((major, minor)) = rest.split_once(word) {
            let rank = number(major).zip(number(minor));
            return rank.map_or((0, 0, 0), |(major, minor)| (stability, major, minor));
        }
    }
    number(rest).map_or((0, 0, 0), |major| (3, major, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_rank_by_stability() {
        let mut versions = ["v1alpha1", "v1", "foo", "v1beta2", "v2", "v1beta1"];
        versions.sort_by_key(|version| std::cmp::Reverse(version_rank(version)));
        assert_eq!(versions, ["v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "foo"]);
    }
}
