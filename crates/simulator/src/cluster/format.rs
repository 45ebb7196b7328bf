//! How objects are written out: in full, as metadata only, or as rows of a table.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::faces;
use crate::builtin::{Cell, Column};
use crate::jsonpath;
use crate::object::Meta;
use crate::registry::{Origin, Resource};
use crate::store::Stored;
use crate::time::age;

/// What the `Accept` header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Object,
    Metadata,
    Table(Include),
}

/// The objects that rows of a table carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Include {
    None,
    Metadata,
    Object,
}

impl Format {
    /// The first of the accepted forms that is known.
    pub(super) fn of(accept: &str, include: &str) -> Self {
        for form in accept.split(',') {
            let parameter = |name: &str| {
                let mut parts = form.split(';').map(str::trim);
                parts.find_map(|it| it.strip_prefix(name)).unwrap_or_default().to_owned()
            };
            match parameter("as=").as_str() {
                "Table" => {
                    let include = match include {
                        "None" => Include::None,
                        "Object" => Include::Object,
                        _ => Include::Metadata,
                    };
                    return Self::Table(include);
                }
                "PartialObjectMetadata" | "PartialObjectMetadataList" => return Self::Metadata,
                "" => return Self::Object,
                _ => {}
            }
        }
        Self::Object
    }

    /// An object that is not (yet) stored: the answer to a write.
    pub(super) fn of_value(self, resource: &Resource, object: Value, now: Timestamp) -> Value {
        match self {
            Self::Object => object,
            Self::Metadata => metadata_only(&object),
            Self::Table(include) => {
                let revision = json!({"resourceVersion": object.meta_str("resourceVersion")});
                table(resource, &[&object], include, revision, now, true)
            }
        }
    }

    /// The document of a list.
    pub(super) fn list(
        self,
        resource: &Resource,
        items: &[&Stored],
        metadata: Value,
        now: Timestamp,
    ) -> Bytes {
        match self {
            Self::Object => object_list(resource, items, &metadata),
            Self::Metadata => {
                let items: Vec<Value> =
                    items.iter().map(|it| metadata_only(&face(resource, it))).collect();
                let list = json!({"kind": "PartialObjectMetadataList",
                    "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items});
                Bytes::from(list.to_string())
            }
            Self::Table(include) => {
                let objects: Vec<Value> = items.iter().map(|it| face(resource, it)).collect();
                let objects: Vec<&Value> = objects.iter().collect();
                let list = table(resource, &objects, include, metadata, now, true);
                Bytes::from(list.to_string())
            }
        }
    }

    /// One object: the answer to a read, or the `object` of a watch event. Only the first table
    /// of a watch has headers.
    pub(super) fn one(
        self,
        resource: &Resource,
        stored: &Stored,
        now: Timestamp,
        with_headers: bool,
    ) -> Bytes {
        match self {
            Self::Object => face_bytes(resource, stored),
            Self::Metadata => Bytes::from(metadata_only(&face(resource, stored)).to_string()),
            Self::Table(include) => {
                let object = face(resource, stored);
                let revision = json!({"resourceVersion": object.meta_str("resourceVersion")});
                let row = table(resource, &[&object], include, revision, now, with_headers);
                Bytes::from(row.to_string())
            }
        }
    }
}

/// Whether the stored text is already what this version of the resource shows.
fn is_stored_form(resource: &Resource) -> bool {
    resource.version == resource.storage_version && !faces::is_second_face(resource)
}

fn face_bytes(resource: &Resource, stored: &Stored) -> Bytes {
    if is_stored_form(resource) {
        return stored.body.clone();
    }
    Bytes::from(face(resource, stored).to_string())
}

/// The object as an item of a list: the list says of which kind all are, so that only custom ones
/// say it themselves.
fn item_bytes(resource: &Resource, stored: &Stored) -> Bytes {
    let object = face_bytes(resource, stored);
    if resource.origin == Origin::Custom {
        return object;
    }
    let mut fields: BTreeMap<&str, &RawValue> =
        serde_json::from_slice(&object).expect("objects are written from JSON values");
    fields.retain(|field, _| !matches!(*field, "apiVersion" | "kind"));
    Bytes::from(serde_json::to_vec(&fields).expect("what was JSON is JSON"))
}

/// The object in the requested version.
pub(super) fn face(resource: &Resource, stored: &Stored) -> Value {
    let object = stored.value();
    if is_stored_form(resource) { object } else { in_version(resource, object) }
}

/// Converts a stored object to the version of the resource.
pub(super) fn in_version(resource: &Resource, mut object: Value) -> Value {
    if faces::is_second_face(resource) {
        object = faces::to_second_face(resource, object);
    }
    object["apiVersion"] = json!(resource.api_version());
    object
}

fn metadata_only(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
           "metadata": object["metadata"]})
}

fn object_list(resource: &Resource, items: &[&Stored], metadata: &Value) -> Bytes {
    let head = json!({"kind": resource.list_kind, "apiVersion": resource.api_version(),
                      "metadata": metadata});
    let head = head.to_string();
    let open = head.strip_suffix('}').unwrap_or(&head);
    let mut list =
        Vec::with_capacity(items.iter().map(|it| it.body.len() + 1).sum::<usize>() + 256);
    list.extend_from_slice(open.as_bytes());
    list.extend_from_slice(b",\"items\":[");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            list.push(b',');
        }
        list.extend_from_slice(&item_bytes(resource, item));
    }
    list.extend_from_slice(b"]}\n");
    Bytes::from(list)
}

fn table(
    resource: &Resource,
    objects: &[&Value],
    include: Include,
    metadata: Value,
    now: Timestamp,
    with_headers: bool,
) -> Value {
    let headers: Vec<Value> =
        resource.columns.iter().filter(|_| with_headers).map(header).collect();
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let cells: Vec<Value> =
                resource.columns.iter().map(|column| cell(resource, column, object, now)).collect();
            let mut row = json!({"cells": cells});
            match include {
                Include::None => {}
                Include::Metadata => row["object"] = metadata_only(object),
                Include::Object => row["object"] = (*object).clone(),
            }
            row
        })
        .collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
           "columnDefinitions": headers, "rows": rows})
}

fn header(column: &Column) -> Value {
    let format = if matches!(column.cell, Cell::Name) { "name" } else { "" };
    json!({"name": column.name, "type": column.kind, "format": format,
           "description": column.description, "priority": column.priority})
}

fn cell(resource: &Resource, column: &Column, object: &Value, now: Timestamp) -> Value {
    let first = |path: &str| jsonpath::find(object, path).first().copied().cloned();
    let count = |path: &str| first(path).and_then(|it| it.as_i64()).unwrap_or(0);
    match &column.cell {
        Cell::Name => json!(object.name()),
        Cell::Age => json!(age(object.meta_str("creationTimestamp"), now)),
        Cell::Path(path) => match jsonpath::find(object, path).as_slice() {
            // A counter of a built-in kind that is absent is zero; anything else is left out.
            [] if column.kind == "integer" && !resource.is_custom() => json!(0),
            [] => Value::Null,
            found => path_cell(&column.kind, found, now),
        },
        Cell::Ratio(ready, wanted) => json!(format!("{}/{}", count(ready), count(wanted))),
        Cell::Count(fields) => {
            let size = |field: &&str| object[*field].as_object().map_or(0, |it| it.len());
            json!(fields.iter().map(size).sum::<usize>())
        }
        Cell::ServicePorts => json!(service_ports(object)),
        Cell::ExternalIp => json!(external_ip(object)),
        Cell::NodeStatus => {
            let ready = first(".status.conditions[?(@.type==\"Ready\")].status");
            json!(if ready == Some(json!("True")) { "Ready" } else { "NotReady" })
        }
    }
}

fn path_cell(kind: &str, found: &[&Value], now: Timestamp) -> Value {
    let Some(first) = found.first() else { return Value::Null };
    match kind {
        "date" => first.as_str().map_or(Value::Null, |since| json!(age(since, now))),
        "integer" | "number" | "boolean" => (*first).clone(),
        _ => {
            let texts = found.iter().map(|it| it.as_str().map_or(it.to_string(), str::to_owned));
            json!(texts.collect::<Vec<_>>().join(","))
        }
    }
}

fn service_ports(object: &Value) -> String {
    let ports = object["spec"]["ports"].as_array().into_iter().flatten();
    let shown: Vec<String> = ports
        .map(|port| {
            let protocol = port["protocol"].as_str().unwrap_or("TCP");
            match port["nodePort"].as_i64().filter(|it| *it > 0) {
                Some(node_port) => format!("{}:{node_port}/{protocol}", port["port"]),
                None => format!("{}/{protocol}", port["port"]),
            }
        })
        .collect();
    if shown.is_empty() { "<none>".to_owned() } else { shown.join(",") }
}

fn external_ip(object: &Value) -> String {
    let ingress = object["status"]["loadBalancer"]["ingress"].as_array().into_iter().flatten();
    let addresses: Vec<&str> = ingress.filter_map(|it| it["ip"].as_str()).collect();
    match (object["spec"]["type"].as_str(), addresses.as_slice()) {
        (Some("LoadBalancer"), []) => "<pending>".to_owned(),
        (Some("ExternalName"), _) => {
            object["spec"]["externalName"].as_str().unwrap_or_default().to_owned()
        }
        (_, []) => "<none>".to_owned(),
        (_, some) => some.join(","),
    }
}
