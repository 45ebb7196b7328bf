//! Which changes concern a placement: a quick look that may say yes too often, but never no when it
//! matters.

use domain::scheduler::label_selector_matches;
use domain::selection::GroupVersionKind;
use events::PlacementScope;
use events::placement::{ResourceSelector, SelectionScope};

use super::ObjectsChange;

/// What a placement looks at.
#[derive(Debug, Clone)]
pub struct Interest {
    scope: PlacementScope,
    selectors: Vec<ResourceSelector>,
}

impl Interest {
    /// The interest of a placement.
    #[must_use]
    pub fn new(scope: PlacementScope, selectors: Vec<ResourceSelector>) -> Self {
        Self { scope, selectors }
    }

    /// Whether a change may change what the placement selects. `namespace_labels` gives the labels
    /// of a namespace.
    #[must_use]
    pub fn is_concerned(
        &self,
        change: &ObjectsChange,
        namespace_labels: impl Fn(&str) -> Option<events::cluster::Labels>,
    ) -> bool {
        if let PlacementScope::Namespace(home) = &self.scope {
            return change.namespace == *home && self.selects(change);
        }
        if change.namespace.is_empty() {
            return self.selects(change);
        }
        let labels = namespace_labels(&change.namespace);
        self.selectors.iter().any(|selector| {
            let takes_contents = match selector.scope {
                SelectionScope::NamespaceOnly => false,
                SelectionScope::NamespaceWithResources
                | SelectionScope::NamespaceWithResourceSelectors => true,
            };
            let matches = match (&selector.labels, &labels) {
                (None, _) => selector.name.is_empty() || selector.name == change.namespace,
                (Some(wanted), Some(labels)) => label_selector_matches(wanted, labels),
                (Some(_), None) => true,
            };
            is_namespace(selector) && takes_contents && (matches || may_be_missing(change))
        })
    }

    /// Whether a selector names or matches the object itself, before or after the change.
    fn selects(&self, change: &ObjectsChange) -> bool {
        self.selectors.iter().any(|selector| {
            let ResourceSelector { group, version, kind, .. } = selector;
            let same_kind = GroupVersionKind::new(group, version, kind) == change.kind;
            let matches = match &selector.labels {
                None => selector.name.is_empty() || selector.name == change.name,
                Some(wanted) => [&change.before, &change.after]
                    .into_iter()
                    .flatten()
                    .any(|labels| label_selector_matches(wanted, labels)),
            };
            same_kind && matches
        })
    }
}

/// Whether it is about a RoleBinding of those that belong to a namespace and are not in it. Of the
/// namespaces that are never placed it is this one that they have to be in.
fn may_be_missing(change: &ObjectsChange) -> bool {
    change.namespace == "kube-system" && change.kind.is("rbac.authorization.k8s.io", "RoleBinding")
}

fn is_namespace(selector: &ResourceSelector) -> bool {
    selector.group.is_empty() && selector.kind == "Namespace"
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use events::cluster::Labels;
    use events::placement::LabelSelector;

    use super::*;
    use crate::index::testing::gvk;

    fn labels(app: &str) -> Labels {
        BTreeMap::from([("app".to_owned(), app.to_owned())])
    }

    fn selector(api_version: &str, kind: &str) -> ResourceSelector {
        let GroupVersionKind { group, version, kind } = gvk(api_version, kind);
        let scope = SelectionScope::NamespaceWithResources;
        ResourceSelector { group, version, kind, name: String::new(), labels: None, scope }
    }

    fn named(name: &str, selector: ResourceSelector) -> ResourceSelector {
        ResourceSelector { name: name.to_owned(), ..selector }
    }

    fn labelled(app: &str, selector: ResourceSelector) -> ResourceSelector {
        let labels = LabelSelector { match_labels: labels(app), match_expressions: vec![] };
        ResourceSelector { labels: Some(labels), ..selector }
    }

    fn scoped(scope: SelectionScope, selector: ResourceSelector) -> ResourceSelector {
        ResourceSelector { scope, ..selector }
    }

    /// A change of the labels of an object.
    fn change(kind: (&str, &str), path: &str, before: &str, after: &str) -> ObjectsChange {
        let (namespace, name) = path.split_once('/').unwrap_or(("", path));
        let labels = |app: &str| (!app.is_empty()).then(|| labels(app));
        ObjectsChange {
            kind: gvk(kind.0, kind.1),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            before: labels(before),
            after: labels(after),
        }
    }

    #[test]
    fn a_change_concerns_whoever_may_select_the_object_before_or_after_it() {
        let cluster = PlacementScope::Cluster;
        let shop = PlacementScope::Namespace("shop".to_owned());
        let (namespace, role, map) = (
            selector("v1", "Namespace"),
            selector("rbac.authorization.k8s.io/v1", "ClusterRole"),
            selector("v1", "ConfigMap"),
        );
        let a_role = ("rbac.authorization.k8s.io/v1", "ClusterRole");
        let a_map = ("v1", "ConfigMap");
        let only = SelectionScope::NamespaceOnly;
        let cases = [
            // Objects outside of namespaces, by kind, name and labels.
            (&cluster, &role, change(a_role, "reader", "", "x"), true),
            (&cluster, &role, change(("v1", "Namespace"), "shop", "", "x"), false),
            (&cluster, &named("reader", role.clone()), change(a_role, "reader", "x", ""), true),
            (&cluster, &named("reader", role.clone()), change(a_role, "writer", "x", ""), false),
            (&cluster, &labelled("a", role.clone()), change(a_role, "reader", "a", "b"), true),
            (&cluster, &labelled("b", role.clone()), change(a_role, "reader", "a", "b"), true),
            (&cluster, &labelled("c", role.clone()), change(a_role, "reader", "a", "b"), false),
            // What is in namespaces, by the namespace.
            (&cluster, &namespace, change(a_map, "shop/settings", "", "x"), true),
            (&cluster, &named("shop", namespace.clone()), change(a_map, "shop/a", "", "x"), true),
            (&cluster, &named("shop", namespace.clone()), change(a_map, "bank/a", "", "x"), false),
            (
                &cluster,
                &labelled("shop", namespace.clone()),
                change(a_map, "shop/a", "", "x"),
                true,
            ),
            (
                &cluster,
                &labelled("bank", namespace.clone()),
                change(a_map, "shop/a", "", "x"),
                false,
            ),
            // Of a namespace that is not known anything may be true.
            (&cluster, &labelled("bank", namespace.clone()), change(a_map, "new/a", "", "x"), true),
            (&cluster, &scoped(only, namespace.clone()), change(a_map, "shop/a", "", "x"), false),
            // What belongs to a namespace and is in that of the system is told.
            (
                &cluster,
                &named("shop", namespace.clone()),
                change(("rbac.authorization.k8s.io/v1", "RoleBinding"), "kube-system/a", "", "x"),
                true,
            ),
            // A placement in a namespace looks at that one alone.
            (&shop, &map, change(a_map, "shop/settings", "", "x"), true),
            (&shop, &map, change(a_map, "bank/settings", "", "x"), false),
            (&shop, &map, change(("v1", "Secret"), "shop/settings", "", "x"), false),
        ];
        let namespace_labels = |name: &str| ["shop", "bank"].contains(&name).then(|| labels(name));
        for (scope, selector, change, concerned) in cases {
            let interest = Interest::new(scope.clone(), vec![selector.clone()]);
            let case = format!("{scope:?} {selector:?} {change:?}");
            assert_eq!(interest.is_concerned(&change, namespace_labels), concerned, "{case}");
        }
    }
}
