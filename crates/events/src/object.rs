//! How events name Kubernetes objects: never by their content, only by identity and hash.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ContentHash;

/// The identity of a Kubernetes object. `group` is empty for the core group, `namespace` for
/// cluster-scoped objects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectId {
    /// API group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ObjectId {
    /// `v1` or `apps/v1`, as in a manifest.
    #[must_use]
    pub fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// Whether both name the same object, possibly through different versions of its API.
    #[must_use]
    pub fn is_same_object(&self, other: &Self) -> bool {
        (&self.group, &self.kind, &self.namespace, &self.name)
            == (&other.group, &other.kind, &other.namespace, &other.name)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "{} {}", self.kind, self.name),
            namespace => write!(f, "{} {namespace}/{}", self.kind, self.name),
        }
    }
}

/// One manifest of a revision: which object, and where its canonical bytes are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ManifestRef {
    /// The object.
    pub object: ObjectId,
    /// Its manifest in the content store. Manifests that hold secrets are sealed before they are
    /// stored, and the hash is that of the sealed bytes, so it tells nothing about the secret.
    pub content: ContentHash,
    /// Whether the content is sealed.
    pub sealed: bool,
}
