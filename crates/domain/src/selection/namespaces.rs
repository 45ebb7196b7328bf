//! Which namespaces may be placed.

use std::collections::BTreeSet;

use super::SelectionProblem;

/// Prefixes of namespaces that belong to Kubernetes or to the fleet.
const RESERVED_PREFIXES: [&str; 2] = ["kube-", FLEET_PREFIX];

/// The prefix of namespaces that belong to the fleet: there are credentials and keys in them.
const FLEET_PREFIX: &str = "fleet-";

/// The namespace that every cluster has already.
const DEFAULT_NAMESPACE: &str = "default";

/// Which namespaces are never placed: those of Kubernetes, of the fleet, `default`, and those that
/// the configuration names (reference §2.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamespaceRules {
    /// Further namespaces, by name.
    pub skipped: BTreeSet<String>,
    /// Namespaces of which single objects may be placed all the same, by a ResourcePlacement that
    /// names them: what serves an aggregated API needs a RoleBinding in kube-system.
    pub allowed: BTreeSet<String>,
}

/// A namespace of the fleet in the list of those of which single objects may be placed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "allowed_namespaces names {namespace}, and nothing in a namespace of the fleet is ever placed: \
     remove it from the list"
)]
pub struct FleetNamespaceAllowed {
    /// The namespace.
    pub namespace: String,
}

impl NamespaceRules {
    /// Reads the list of the configuration. Names are separated by semicolons or commas: the hub
    /// that users come from documents the one and reads the other.
    #[must_use]
    pub fn parse(skipped: &str) -> Self {
        let names = skipped.split([';', ',']).map(str::trim).filter(|name| !name.is_empty());
        Self { skipped: names.map(str::to_owned).collect(), allowed: BTreeSet::new() }
    }

    /// With namespaces of which single objects may be placed.
    ///
    /// # Errors
    /// When one of them belongs to the fleet.
    pub fn allowing(
        mut self,
        names: impl IntoIterator<Item = String>,
    ) -> Result<Self, FleetNamespaceAllowed> {
        for namespace in names {
            if is_of_fleet(&namespace) {
                return Err(FleetNamespaceAllowed { namespace });
            }
            self.allowed.insert(namespace);
        }
        Ok(self)
    }

    /// Whether the namespace and what is in it are never placed.
    #[must_use]
    pub fn excludes(&self, namespace: &str) -> bool {
        namespace == DEFAULT_NAMESPACE
            || RESERVED_PREFIXES.iter().any(|prefix| namespace.starts_with(prefix))
            || self.skipped.contains(namespace)
    }

    /// Why a namespace is not placed as a whole, if it is not.
    pub(super) fn check(&self, namespace: &str) -> Result<(), SelectionProblem> {
        let name = namespace.to_owned();
        match self.excludes(namespace) {
            false => Ok(()),
            true if is_of_fleet(namespace) => {
                Err(SelectionProblem::FleetNamespace { namespace: name })
            }
            true => Err(SelectionProblem::ExcludedNamespace { namespace: name }),
        }
    }

    /// Whether single objects of an excluded namespace are placed when they are named.
    #[must_use]
    pub fn allows_named(&self, namespace: &str) -> bool {
        self.allowed.contains(namespace)
    }
}

fn is_of_fleet(namespace: &str) -> bool {
    namespace.starts_with(FLEET_PREFIX)
}
