//! Which kinds the hub's API server serves and may be placed.

use domain::selection::{GroupVersionKind, KindRules};
use kube::Client;
use kube::discovery::{ApiCapabilities, ApiResource, Discovery, Scope, verbs};

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

/// Asks the API server for all kinds that may be placed, each in the version that it prefers.
///
/// # Errors
/// What the API server said.
pub async fn discover(
    client: &Client,
    rules: &KindRules,
) -> Result<Vec<DiscoveredKind>, kube::Error> {
    let discovery = Discovery::new(client.clone()).run_aggregated().await?;
    let mut kinds = vec![];
    for group in discovery.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            let kind = GroupVersionKind::new(&resource.group, &resource.version, &resource.kind);
            if can_be_watched(&capabilities) && !rules.excludes(&kind) {
                let namespaced = capabilities.scope == Scope::Namespaced;
                kinds.push(DiscoveredKind { kind, resource, namespaced });
            }
        }
    }
    Ok(kinds)
}

fn can_be_watched(capabilities: &ApiCapabilities) -> bool {
    capabilities.supports_operation(verbs::LIST) && capabilities.supports_operation(verbs::WATCH)
}
