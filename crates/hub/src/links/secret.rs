//! What a Secret says about a link.

use domain::selection::{LINK_SECRET_LABEL, LINK_SECRET_TYPE};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

/// The key of the Secret's data that holds the kubeconfig.
pub const KUBECONFIG_ENTRY: &str = "kubeconfig";

/// Where a Secret stands among those that are links of one member: the one that was made last is
/// used, on every node and after every restart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    created: Option<k8s_openapi::jiff::Timestamp>,
    pub(super) secret: String,
}

impl Rank {
    pub(super) fn of(secret: &Secret) -> Self {
        let created = secret.creation_timestamp().map(|time| time.0);
        Self { created, secret: secret.name_any() }
    }

    /// That of a link without a Secret.
    pub(super) fn lowest() -> Self {
        Self { created: None, secret: String::new() }
    }
}

/// The member that a Secret is the link of: its label says it; a Secret of the type without the
/// label is named like the member.
pub(super) fn member_of(secret: &Secret) -> Option<String> {
    let label = secret.labels().get(LINK_SECRET_LABEL).filter(|name| !name.is_empty());
    match (label, secret.type_.as_deref()) {
        (Some(name), _) => Some(name.clone()),
        (None, Some(LINK_SECRET_TYPE)) => Some(secret.name_any()),
        (None, _) => None,
    }
}

pub(super) fn kubeconfig_of(secret: &Secret) -> Vec<u8> {
    let entry = secret.data.as_ref().and_then(|data| data.get(KUBECONFIG_ENTRY));
    entry.map(|bytes| bytes.0.clone()).unwrap_or_default()
}
