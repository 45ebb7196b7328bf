//! What every kube-apiserver serves without a CRD: resources and types, read from the data
//! files once for the process and shared by all clusters.

mod columns;
mod defaults;
mod rules;
mod service;
mod validate;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::Value;

use crate::registry::{Origin, Resource, ScalePaths, SchemaOf};
use crate::schema::{Schema, parse_builtin};
pub(crate) use columns::{Cell, Column, column_from_crd, columns_of, name_and_age};
pub(crate) use defaults::{prepare_create, prepare_update, prepare_write};
pub(crate) use service::{Allocated, allocate};
pub(crate) use validate::{validate_create, validate_metadata, validate_update};

struct Types {
    by_name: BTreeMap<String, Schema>,
    /// Type names by `group/version/Kind`.
    by_kind: BTreeMap<String, String>,
}

const TYPES_JSON: &str = include_str!("../../data/types.json");

static TYPES: LazyLock<Types> = LazyLock::new(|| {
    let types = type_documents();
    let by_kind = types.iter().flat_map(|(name, it)| kind_keys(it).map(|key| (key, name.clone())));
    Types {
        by_kind: by_kind.collect(),
        by_name: types.iter().map(|(name, it)| (name.clone(), parse_builtin(name, it))).collect(),
    }
});

static RESOURCES: LazyLock<Vec<Arc<Resource>>> = LazyLock::new(|| {
    let lists: Vec<Value> = serde_json::from_str(include_str!("../../data/resources.json"))
        .expect("data/resources.json is part of the crate and is JSON");
    lists.iter().flat_map(resources_of).map(Arc::new).collect()
});

/// The built-in resources in the order of discovery.
pub(crate) fn resources() -> &'static [Arc<Resource>] {
    &RESOURCES
}

/// The types as OpenAPI documents by name. Parsed anew: only documentation is made of them.
pub(crate) fn type_documents() -> BTreeMap<String, Value> {
    serde_json::from_str(TYPES_JSON).expect("data/types.json is part of the crate and is JSON")
}

/// A built-in type by its OpenAPI name; the deduced type when there is none.
pub(crate) fn type_named(name: &str) -> &'static Schema {
    TYPES.by_name.get(name).unwrap_or_else(|| Schema::deduced())
}

/// The name of the built-in type of a kind.
pub(crate) fn type_of_kind(api_version: &str, kind: &str) -> Option<&'static str> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    TYPES.by_kind.get(&kind_key(group, version, kind)).map(String::as_str)
}

fn kind_keys(schema: &Value) -> impl Iterator<Item = String> {
    let kinds = schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten();
    kinds.map(|it| kind_key(&text(it, "group"), &text(it, "version"), &text(it, "kind")))
}

fn kind_key(group: &str, version: &str, kind: &str) -> String {
    format!("{group}/{version}/{kind}")
}

fn resources_of(list: &Value) -> Vec<Resource> {
    let group_version = list["groupVersion"].as_str().unwrap_or_default();
    let (group, version) = group_version.split_once('/').unwrap_or(("", group_version));
    let entries = list["resources"].as_array().map_or(&[][..], Vec::as_slice);
    let serves = |name: &str| entries.iter().any(|it| it["name"] == name);
    let owners = entries.iter().filter(|it| !text(it, "name").contains('/'));
    let resource = |entry: &Value| {
        let plural = text(entry, "name");
        let kind = text(entry, "kind");
        let type_name =
            TYPES.by_kind.get(&kind_key(group, version, &kind)).cloned().unwrap_or_default();
        Resource {
            group: group.to_owned(),
            version: version.to_owned(),
            storage_version: storage_version(group, version).to_owned(),
            singular: text(entry, "singularName"),
            list_kind: format!("{kind}List"),
            short_names: texts(entry, "shortNames"),
            categories: texts(entry, "categories"),
            namespaced: entry["namespaced"].as_bool().unwrap_or(false),
            verbs: texts(entry, "verbs"),
            has_status: serves(&format!("{plural}/status")),
            scale: serves(&format!("{plural}/scale")).then(ScalePaths::builtin),
            has_finalize: serves(&format!("{plural}/finalize")),
            schema: SchemaOf::Builtin(type_name),
            columns: columns_of(group, &plural),
            selectable_fields: selectable_fields(group, &plural),
            origin: Origin::Builtin,
            plural,
            kind,
        }
    };
    owners.map(resource).collect()
}

/// Fields that list and watch can select by, besides metadata.name and metadata.namespace.
fn selectable_fields(group: &str, plural: &str) -> Vec<String> {
    let fields: &[&str] = match (group, plural) {
        ("", "pods") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        ("", "events") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        ("events.k8s.io", "events") => &["reason", "type", "reportingController"],
        ("", "secrets") => &["type"],
        ("", "namespaces") => &["status.phase"],
        ("", "nodes") => &["spec.unschedulable"],
        ("", "services") => &["spec.clusterIP", "spec.type"],
        ("", "replicationcontrollers") | ("apps", "replicasets") => &["status.replicas"],
        ("batch", "jobs") => &["status.successful"],
        _ => &[],
    };
    fields.iter().map(|&field| field.to_owned()).collect()
}

/// The version that objects are kept in.
fn storage_version<'a>(group: &str, version: &'a str) -> &'a str {
    if group == "autoscaling" { "v2" } else { version }
}

fn text(entry: &Value, key: &str) -> String {
    entry[key].as_str().unwrap_or_default().to_owned()
}

fn texts(entry: &Value, key: &str) -> Vec<String> {
    let list = entry[key].as_array().into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::ListKind;

    #[test]
    fn every_resource_that_can_be_written_has_a_type() {
        for resource in resources() {
            let SchemaOf::Builtin(name) = &resource.schema else { panic!("built in") };
            assert!(TYPES.by_name.contains_key(name), "{} has no type", resource.group_resource());
        }
        assert!(resources().iter().any(|it| it.kind == "Deployment" && it.scale.is_some()));
    }

    #[test]
    fn types_carry_list_keys() {
        let pod = type_named("io.k8s.api.core.v1.PodSpec");
        let containers = pod.member("containers");
        assert_eq!(containers.list, ListKind::Map(vec!["name".to_owned()]));
        let ports = containers.item().member("ports");
        let keys = vec!["containerPort".to_owned(), "protocol".to_owned()];
        assert_eq!(ports.list, ListKind::Map(keys));
    }
}
