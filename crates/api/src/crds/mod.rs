//! The CustomResourceDefinitions, made from the Rust types.
//!
//! [`catalogue`] lists the kinds with everything that the types do not say: served versions,
//! short names, printer columns. [`structural`] makes the schema of `v1beta1`, and [`edit`] turns
//! it into those of the other versions. The example `crds` of this crate writes them to
//! `deploy/crds`.

mod catalogue;
mod columns;
mod edit;
mod structural;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};

use catalogue::{Entry, Version};

use crate::root::STORAGE_VERSION;

/// The kind that lives on member clusters.
const MEMBER_KIND: &str = "AppliedWork";

/// All CRDs, in the order of the catalogue.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    catalogue::entries().iter().map(definition).collect()
}

/// The CRDs of the hub.
#[must_use]
pub fn hub_crds() -> Vec<CustomResourceDefinition> {
    crds().into_iter().filter(|crd| crd.spec.names.kind != MEMBER_KIND).collect()
}

/// The CRDs of member clusters.
#[must_use]
pub fn member_crds() -> Vec<CustomResourceDefinition> {
    crds().into_iter().filter(|crd| crd.spec.names.kind == MEMBER_KIND).collect()
}

/// All CRDs as YAML documents, by file name.
#[must_use]
pub fn files() -> BTreeMap<String, String> {
    crds().iter().map(|crd| (file_name(crd), yaml(crd))).collect()
}

/// A file of generated CRDs that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// A file is missing or has other content.
    Stale {
        /// The name of the file.
        file: String,
        /// What it should hold.
        content: String,
    },
    /// No CRD belongs to a YAML file.
    Unknown {
        /// The name of the file.
        file: String,
    },
}

impl Difference {
    /// The name of the file.
    #[must_use]
    pub fn file(&self) -> &str {
        match self {
            Self::Stale { file, .. } | Self::Unknown { file } => file,
        }
    }
}

/// A folder of generated CRDs could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the folder of generated CRDs {}", folder.display())]
pub struct UnreadableFolder {
    /// The folder.
    pub folder: PathBuf,
    /// Why not.
    pub source: std::io::Error,
}

/// How a folder of generated CRDs differs from what the types say. Files that are not YAML are
/// left alone.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn differences(folder: &Path) -> Result<Vec<Difference>, UnreadableFolder> {
    let wanted = files();
    let unreadable = |source| UnreadableFolder { folder: folder.to_owned(), source };
    let mut differences = Vec::new();
    let mut present: Vec<String> = std::fs::read_dir(folder)
        .map_err(unreadable)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    present.sort();
    for file in present {
        if file.ends_with(".yaml") && !wanted.contains_key(&file) {
            differences.push(Difference::Unknown { file });
        }
    }
    for (file, content) in wanted {
        if std::fs::read_to_string(folder.join(&file)).is_ok_and(|there| there == content) {
            continue;
        }
        differences.push(Difference::Stale { file, content });
    }
    Ok(differences)
}

fn file_name(crd: &CustomResourceDefinition) -> String {
    format!("{}_{}.yaml", crd.spec.group, crd.spec.names.plural)
}

fn yaml(crd: &CustomResourceDefinition) -> String {
    const PLAIN: &str = "a CRD is plain data, which JSON and YAML can hold";
    let mut crd = serde_json::to_value(crd).expect(PLAIN);
    whole_numbers(&mut crd);
    let body = serde_yaml_ng::to_string(&crd).expect(PLAIN);
    format!("# Generated from crates/api by `cargo xtask crds`; do not edit.\n{body}")
}

/// Writes bounds as `100`, not as the `100.0` that the Kubernetes types make of them.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let whole = number.as_f64().filter(|_| number.is_f64()).map(|it| it.to_string());
            if let Some(whole) = whole.and_then(|it| it.parse::<i64>().ok()) {
                *number = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn definition(entry: &Entry) -> CustomResourceDefinition {
    let versions: Vec<Value> = entry.versions.iter().map(|it| version(entry, it)).collect();
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{}.{}", entry.plural, entry.group) },
        "spec": {
            "group": entry.group,
            "scope": entry.scope,
            "names": {
                "kind": entry.kind,
                "listKind": format!("{}List", entry.kind),
                "plural": entry.plural,
                "singular": entry.kind.to_lowercase(),
                "shortNames": entry.short_names,
                "categories": ["fleet", entry.category()],
            },
            "conversion": { "strategy": "None" },
            "versions": versions,
        },
    });
    serde_json::from_value(crd).expect("the generator writes valid CRDs; its tests cover each kind")
}

fn version(entry: &Entry, version: &Version) -> Value {
    let mut schema = structural::root_schema(entry.schema.clone());
    for edit in entry.edits.iter().chain(version.edits) {
        edit.apply(&mut schema);
    }
    let mut result = json!({
        "name": version.name,
        "served": true,
        "storage": version.name == STORAGE_VERSION,
        "schema": { "openAPIV3Schema": schema },
    });
    let columns = version.columns.unwrap_or(entry.columns);
    if !columns.is_empty() {
        result["additionalPrinterColumns"] = json!(columns);
    }
    if entry.status_subresource {
        result["subresources"] = json!({ "status": {} });
    }
    result
}

#[cfg(test)]
mod tests;
