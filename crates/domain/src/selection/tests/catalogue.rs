//! A hub in memory, and what its placements select.

use std::sync::Arc;

use events::PlacementScope;
use events::placement::{LabelSelector, ResourceSelector, SelectionScope};
use serde_json::{Value, json};

use crate::scheduler::label_selector_matches;
use crate::selection::{
    Catalogue, GroupVersionKind, HubObject, KindInfo, SelectionProblem, SelectionRules, note_texts,
    resolve,
};

/// Kinds that this hub serves, and whether their objects live in namespaces.
const KINDS: [(&str, &str, &str, bool); 23] = [
    ("", "v1", "Namespace", false),
    ("", "v1", "ConfigMap", true),
    ("", "v1", "Endpoints", true),
    ("", "v1", "Event", true),
    ("", "v1", "PersistentVolumeClaim", true),
    ("", "v1", "Pod", true),
    ("", "v1", "Secret", true),
    ("", "v1", "Service", true),
    ("", "v1", "ServiceAccount", true),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", false),
    ("apiregistration.k8s.io", "v1", "APIService", false),
    ("apps", "v1", "Deployment", true),
    ("apps", "v1beta1", "Deployment", true),
    ("batch", "v1", "CronJob", true),
    ("batch", "v1", "Job", true),
    ("example.com", "v1", "App", true),
    ("flowcontrol.apiserver.k8s.io", "v1", "FlowSchema", false),
    ("placement.kubernetes-fleet.io", "v1beta1", "ClusterResourceEnvelope", false),
    ("placement.kubernetes-fleet.io", "v1beta1", "ResourceEnvelope", true),
    ("rbac.authorization.k8s.io", "v1", "Role", true),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", true),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", false),
    ("scheduling.k8s.io", "v1", "PriorityClass", false),
];

#[derive(Default)]
pub(super) struct Hub {
    objects: Vec<Arc<HubObject>>,
}

impl Hub {
    /// A hub with objects written `Kind name` or `Kind namespace/name`, with labels behind.
    pub(super) fn with(objects: &[&str]) -> Self {
        let mut hub = Self::default();
        for line in objects {
            hub.add(line, json!({}));
        }
        hub
    }

    /// Adds an object; `more` is merged into its metadata.
    pub(super) fn add(&mut self, line: &str, more: Value) {
        self.add_with(line, more, json!({}));
    }

    /// Adds an object with further fields besides its metadata.
    pub(super) fn add_with(&mut self, line: &str, more: Value, fields: Value) {
        let mut words = line.split_whitespace();
        let kind = kind_of(words.next().unwrap());
        let path = words.next().unwrap();
        let mut metadata = match path.split_once('/') {
            Some((namespace, name)) => json!({"namespace": namespace, "name": name}),
            None => json!({"name": path}),
        };
        for label in words {
            let (key, value) = label.split_once('=').unwrap();
            metadata["labels"][key] = value.into();
        }
        for (key, value) in more.as_object().unwrap() {
            metadata[key] = value.clone();
        }
        let mut object = fields;
        object["metadata"] = metadata;
        let object = HubObject::read(&kind, object).unwrap();
        self.objects.push(Arc::new(object));
    }

    /// What a placement selects, in words.
    pub(super) fn select(
        &self,
        scope: &PlacementScope,
        selectors: &[ResourceSelector],
    ) -> Result<Vec<String>, SelectionProblem> {
        self.select_with(scope, selectors, &SelectionRules::default())
    }

    pub(super) fn select_with(
        &self,
        scope: &PlacementScope,
        selectors: &[ResourceSelector],
        rules: &SelectionRules,
    ) -> Result<Vec<String>, SelectionProblem> {
        let resolved = resolve(scope, selectors, self, rules)?;
        Ok(resolved.objects.iter().map(|object| object.id.to_string()).collect())
    }

    /// What a placement selects, and what is said about what it leaves out.
    pub(super) fn select_and_note(
        &self,
        scope: &PlacementScope,
        selectors: &[ResourceSelector],
    ) -> (Vec<String>, Vec<String>) {
        let resolved = resolve(scope, selectors, self, &SelectionRules::default()).unwrap();
        let objects = resolved.objects.iter().map(|object| object.id.to_string());
        (objects.collect(), note_texts(&resolved.notes))
    }

    /// The objects of a kind, as the version that was asked for shows them.
    fn of_kind(
        &self,
        kind: &GroupVersionKind,
        namespace: Option<&str>,
    ) -> impl Iterator<Item = Arc<HubObject>> {
        let objects = self.objects.iter().filter(move |object| {
            kind.is(&object.id.group, &object.id.kind)
                && object.id.namespace == namespace.unwrap_or_default()
        });
        objects.map(|object| {
            let mut shown = HubObject::clone(object);
            shown.id.version.clone_from(&kind.version);
            Arc::new(shown)
        })
    }
}

impl Catalogue for Hub {
    fn kind(&self, kind: &GroupVersionKind) -> Option<KindInfo> {
        let is_served = |(group, version, name, _): &&(&str, &str, &str, bool)| {
            kind.is(group, name) && kind.version == *version
        };
        let (_, _, _, namespaced) = KINDS.iter().find(is_served)?;
        Some(KindInfo { namespaced: *namespaced })
    }

    fn versions(&self, group: &str, kind: &str) -> Vec<String> {
        let served = KINDS.iter().filter(|(of, _, name, _)| (*of, *name) == (group, kind));
        served.map(|(of, version, _, _)| format!("{of}/{version}")).collect()
    }

    fn namespaced_kinds(&self) -> Vec<GroupVersionKind> {
        let kinds = KINDS.iter().filter(|(group, version, _, namespaced)| {
            *namespaced && (*group, *version) != ("apps", "v1beta1")
        });
        kinds
            .map(|(group, version, kind, _)| GroupVersionKind::new(*group, *version, *kind))
            .collect()
    }

    fn object(
        &self,
        kind: &GroupVersionKind,
        namespace: Option<&str>,
        name: &str,
    ) -> Option<Arc<HubObject>> {
        self.of_kind(kind, namespace).find(|object| object.id.name == name)
    }

    fn objects(
        &self,
        kind: &GroupVersionKind,
        namespace: Option<&str>,
        labels: Option<&LabelSelector>,
    ) -> Vec<Arc<HubObject>> {
        let matches = |object: &Arc<HubObject>| {
            labels.is_none_or(|labels| label_selector_matches(labels, &object.labels))
        };
        self.of_kind(kind, namespace).filter(matches).collect()
    }
}

fn kind_of(name: &str) -> GroupVersionKind {
    let (group, version, kind, _) = KINDS
        .iter()
        .find(|(_, _, kind, _)| *kind == name)
        .unwrap_or(&("example.com", "v1", "Widget", true));
    GroupVersionKind::new(*group, *version, *kind)
}

/// Every object of a kind.
pub(super) fn all(kind: &str) -> ResourceSelector {
    let GroupVersionKind { group, version, kind } = kind_of(kind);
    let scope = SelectionScope::NamespaceWithResources;
    ResourceSelector { group, version, kind, name: String::new(), labels: None, scope }
}

/// One object.
pub(super) fn named(kind: &str, name: &str) -> ResourceSelector {
    ResourceSelector { name: name.to_owned(), ..all(kind) }
}

/// Objects with a label.
pub(super) fn labelled(kind: &str, key: &str, value: &str) -> ResourceSelector {
    let match_labels = [(key.to_owned(), value.to_owned())].into();
    let labels = LabelSelector { match_labels, match_expressions: vec![] };
    ResourceSelector { labels: Some(labels), ..all(kind) }
}

/// A namespace alone.
pub(super) fn only(selector: ResourceSelector) -> ResourceSelector {
    ResourceSelector { scope: SelectionScope::NamespaceOnly, ..selector }
}

/// A namespace with what further selectors pick in it.
pub(super) fn picking(selector: ResourceSelector) -> ResourceSelector {
    ResourceSelector { scope: SelectionScope::NamespaceWithResourceSelectors, ..selector }
}

/// A ResourcePlacement in a namespace.
pub(super) fn inside(namespace: &str) -> PlacementScope {
    PlacementScope::Namespace(namespace.to_owned())
}
