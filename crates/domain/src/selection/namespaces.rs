//! Which namespaces may be placed.

use std::collections::BTreeSet;

/// Prefixes of namespaces that belong to Kubernetes or to the fleet.
const RESERVED_PREFIXES: [&str; 2] = ["kube-", "fleet-"];

/// The namespace that every cluster has already.
const DEFAULT_NAMESPACE: &str = "default";

/// Which namespaces are never placed: those of Kubernetes, of the fleet, `default`, and those that
/// the configuration names (reference §2.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamespaceRules {
    /// Further namespaces, by name.
    pub skipped: BTreeSet<String>,
}

impl NamespaceRules {
    /// Reads the list of the configuration. Names are separated by semicolons or commas: the hub
    /// that users come from documents the one and reads the other.
    #[must_use]
    pub fn parse(skipped: &str) -> Self {
        let names = skipped.split([';', ',']).map(str::trim).filter(|name| !name.is_empty());
        Self { skipped: names.map(str::to_owned).collect() }
    }

    /// Whether the namespace and what is in it are never placed.
    #[must_use]
    pub fn excludes(&self, namespace: &str) -> bool {
        namespace == DEFAULT_NAMESPACE
            || RESERVED_PREFIXES.iter().any(|prefix| namespace.starts_with(prefix))
            || self.skipped.contains(namespace)
    }
}
