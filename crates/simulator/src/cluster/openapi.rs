//! OpenAPI documents: the v3 index and, for each group version, the operations and types that
//! kubectl looks at before it applies; an empty v2 document.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Cluster;
use crate::builtin;
use crate::registry::{Resource, SchemaOf, group_version};

const SCHEMAS: &str = "#/components/schemas/";

impl Cluster {
    pub(super) fn openapi_v2(&self) -> Value {
        json!({"swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1.36.4"},
               "paths": {}, "definitions": {}})
    }

    pub(super) fn openapi_index(&self) -> Value {
        let mut paths = json!({"api/v1": {"serverRelativeURL": "/openapi/v3/api/v1"}});
        for (group, versions) in self.registry.groups() {
            for version in versions {
                let path = format!("apis/{group}/{version}");
                let url = format!("/openapi/v3/{path}");
                paths[path.as_str()] = json!({"serverRelativeURL": url});
            }
        }
        json!({"paths": paths})
    }

    pub(super) fn openapi_v3(&self, group: &str, version: &str) -> Option<Value> {
        let mut paths = json!({});
        let mut schemas = json!({});
        let mut wanted = BTreeSet::new();
        for resource in self.registry.in_version(group, version) {
            let (path, item) = path_item(resource);
            paths[path.as_str()] = item;
            match &resource.schema {
                SchemaOf::Builtin(name) => {
                    wanted.insert(name.clone());
                }
                SchemaOf::Custom(_, document) => {
                    let mut schema = (**document).clone();
                    schema["x-kubernetes-group-version-kind"] = json!([gvk(resource)]);
                    let name = format!("{group}.{version}.{}", resource.kind);
                    schemas[name.as_str()] = schema;
                }
            }
        }
        if paths.as_object().is_some_and(|it| it.is_empty()) {
            return None;
        }
        add_types(wanted, &mut schemas);
        Some(json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.36.4"},
                    "paths": paths, "components": {"schemas": schemas}}))
    }
}

fn gvk(resource: &Resource) -> Value {
    json!({"group": resource.group, "version": resource.version, "kind": resource.kind})
}

/// The object path with the operations that take `fieldValidation`.
fn path_item(resource: &Resource) -> (String, Value) {
    let prefix = if resource.group.is_empty() { "/api" } else { "/apis" };
    let scope = if resource.namespaced { "namespaces/{namespace}/" } else { "" };
    let version = group_version(&resource.group, &resource.version);
    let path = format!("{prefix}/{version}/{scope}{}/{{name}}", resource.plural);
    let parameter = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string"}});
    let write = json!({
        "x-kubernetes-group-version-kind": gvk(resource),
        "parameters": [parameter("dryRun"), parameter("fieldManager"),
                       parameter("fieldValidation"), parameter("force")],
        "responses": {"200": {"description": "OK"}},
    });
    let item = json!({"put": write, "patch": write});
    (path, item)
}

/// Adds the built-in types and all that they refer to.
fn add_types(mut wanted: BTreeSet<String>, schemas: &mut Value) {
    let documents = builtin::type_documents();
    while let Some(name) = wanted.pop_first() {
        let Some(document) = documents.get(&name) else { continue };
        if schemas.get(&name).is_some() {
            continue;
        }
        let mut document = document.clone();
        point_references(&mut document, &mut wanted);
        schemas[name.as_str()] = document;
    }
}

/// The data file names types bare; documents refer to them by path.
fn point_references(schema: &mut Value, found: &mut BTreeSet<String>) {
    if let Some(object) = schema.as_object_mut() {
        object.values_mut().for_each(|child| point_references(child, found));
        if let Some(Value::String(name)) = object.remove("$ref") {
            let reference = json!([{"$ref": format!("{SCHEMAS}{name}")}]);
            object.insert("allOf".to_owned(), reference);
            found.insert(name);
        }
    } else if let Some(list) = schema.as_array_mut() {
        list.iter_mut().for_each(|child| point_references(child, found));
    }
}
