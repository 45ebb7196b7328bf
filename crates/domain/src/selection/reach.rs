//! How far the selectors of a placement reach: of which kinds one has to know what there is, before
//! one can say what the placement selects.

use std::collections::BTreeSet;

use events::PlacementScope;
use events::placement::{ResourceSelector, SelectionScope};

use super::GroupVersionKind;

/// The kinds that selectors can touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Kinds that selectors name, and those that decide which of their objects are skipped.
    pub kinds: BTreeSet<GroupVersionKind>,
    /// Whether whole namespaces are taken along, and with them every kind that lives in namespaces.
    pub contents: bool,
}

impl Reach {
    /// The reach of the selectors of a placement.
    #[must_use]
    pub fn of(scope: &PlacementScope, selectors: &[ResourceSelector]) -> Self {
        let named = |selector: &ResourceSelector| {
            let ResourceSelector { group, version, kind, .. } = selector;
            GroupVersionKind::new(group, version, kind)
        };
        let mut kinds: BTreeSet<GroupVersionKind> = selectors.iter().map(named).collect();
        // Endpoints are skipped when there is a Service of their name.
        if kinds.iter().any(|kind| kind.is("", "Endpoints")) {
            kinds.insert(GroupVersionKind::new("", "v1", "Service"));
        }
        let takes_contents = |selector: &ResourceSelector| {
            named(selector).is("", "Namespace")
                && selector.scope == SelectionScope::NamespaceWithResources
        };
        let contents = *scope == PlacementScope::Cluster && selectors.iter().any(takes_contents);
        Self { kinds, contents }
    }
}
