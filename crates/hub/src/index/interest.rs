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
            is_namespace(selector) && takes_contents && matches
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

fn is_namespace(selector: &ResourceSelector) -> bool {
    selector.group.is_empty() && selector.kind == "Namespace"
}
