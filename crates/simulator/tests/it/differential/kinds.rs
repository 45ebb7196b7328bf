//! The kinds of the histories, from their data files.

use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Kind {
    path: String,
    pub(crate) api_version: String,
    pub(crate) kind: String,
    /// Another version of the same kind.
    also: Option<String>,
    pub(crate) bodies: Vec<Value>,
    pub(crate) patches: Vec<Value>,
    #[serde(default)]
    pub(crate) broken: Vec<Value>,
    #[serde(default)]
    pub(crate) strategic: Vec<Value>,
}

impl Kind {
    /// The versions that it is served in.
    pub(crate) fn versions(&self) -> Vec<&str> {
        std::iter::once(self.api_version.as_str()).chain(self.also.as_deref()).collect()
    }

    /// The path of the collection in a namespace.
    pub(crate) fn path(&self, version: &str, namespace: &str) -> String {
        self.path.replace(&self.api_version, version).replace("/NS/", &format!("/{namespace}/"))
    }

    pub(crate) fn plural(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

pub(crate) fn kinds() -> Vec<Kind> {
    serde_yaml_ng::from_str(include_str!("kinds.yaml")).expect("kinds.yaml is well formed")
}

pub(crate) fn crds() -> Vec<Value> {
    serde_yaml_ng::from_str(include_str!("crds.yaml")).expect("crds.yaml is well formed")
}

/// The document with the name in place of `NAME`.
pub(crate) fn named(document: &Value, name: &str) -> Value {
    serde_json::from_str(&document.to_string().replace("NAME", name)).expect("it was JSON before")
}
