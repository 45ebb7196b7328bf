//! Writes the data files from the Kubernetes sources: what a kube-apiserver serves
//! (`resources.json`), the shape of it without the prose (`types.json`), and the field numbers of
//! its protobuf encoding (`protobuf.json`).
//!
//! ```text
//! cargo run -p simulator --example extract_builtin_types -- \
//!     <k8s.io/kubernetes>/api <k8s.io/api> <k8s.io/apimachinery> crates/simulator/data
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use serde_json::{Map, Value, json};

/// The group versions that the simulator serves.
const SERVED: &[&str] = &[
    "v1",
    "admissionregistration.k8s.io/v1",
    "apiextensions.k8s.io/v1",
    "apiregistration.k8s.io/v1",
    "apps/v1",
    "authentication.k8s.io/v1",
    "authorization.k8s.io/v1",
    "autoscaling/v1",
    "autoscaling/v2",
    "batch/v1",
    "coordination.k8s.io/v1",
    "discovery.k8s.io/v1",
    "events.k8s.io/v1",
    "flowcontrol.apiserver.k8s.io/v1",
    "networking.k8s.io/v1",
    "node.k8s.io/v1",
    "policy/v1",
    "rbac.authorization.k8s.io/v1",
    "scheduling.k8s.io/v1",
    "storage.k8s.io/v1",
];

/// Subresources that the simulator serves; the others (logs, exec, tokens…) need a kubelet.
const SUBRESOURCES: &[&str] = &["status", "scale", "finalize"];

/// Resources that stand for actions on others, or on parts that the simulator does not have.
const UNSERVED: &[&str] = &["bindings", "componentstatuses"];

/// Keywords of a schema that carry structure.
const KEPT: &[&str] = &[
    "type",
    "format",
    "default",
    "required",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-patch-merge-key",
    "x-kubernetes-patch-strategy",
    "x-kubernetes-group-version-kind",
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [source, api, machinery, target] = arguments.as_slice() else {
        return Err(
            "usage: extract_builtin_types <kubernetes>/api <api> <apimachinery> <data>".into()
        );
    };
    let (source, target) = (Path::new(source), Path::new(target));
    let mut resources = Vec::new();
    let mut types = BTreeMap::new();
    for group_version in SERVED {
        resources.push(resource_list(source, group_version)?);
        collect_types(source, group_version, &mut types)?;
    }
    write_lines(&target.join("resources.json"), resources.iter().map(Value::to_string), "[", "]")?;
    let mut messages = BTreeMap::new();
    for module in [api, machinery] {
        collect_messages(Path::new(module), &mut messages)?;
    }
    let used = reachable(types.keys(), &messages);
    let line = |(name, it): (&String, &Value)| format!("{}:{it}", json!(name));
    write_lines(&target.join("types.json"), types.iter().map(line), "{", "}")?;
    write_lines(&target.join("protobuf.json"), used.iter().map(line), "{", "}")
}

/// Reads all `generated.proto` files below the directory. A field becomes
/// `"number": "name:type"`, with `*` before the type of a list and `%` before that of a map.
fn collect_messages(
    directory: &Path,
    messages: &mut BTreeMap<String, Value>,
) -> Result<(), Box<dyn Error>> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            collect_messages(&path, messages)?;
        } else if path.file_name().is_some_and(|it| it == "generated.proto") {
            parse_messages(&std::fs::read_to_string(&path)?, messages);
        }
    }
    Ok(())
}

fn parse_messages(source: &str, messages: &mut BTreeMap<String, Value>) {
    let mut package = String::new();
    let mut message = String::new();
    for line in source.lines().map(str::trim).filter(|it| !it.starts_with("//")) {
        if let Some(name) = line.strip_prefix("package ") {
            package = openapi_name(name.trim_end_matches(';'));
        } else if let Some(name) = line.strip_prefix("message ") {
            message = format!("{package}.{}", name.trim_end_matches('{').trim());
            messages.insert(message.clone(), json!({}));
        } else if let Some((number, field)) = parse_field(line, &package)
            && let Some(fields) = messages.get_mut(&message)
        {
            fields[number] = json!(field);
        }
    }
}

/// `optional k8s.io.api.core.v1.PodSpec spec = 2;` and the like.
fn parse_field<'a>(line: &'a str, package: &str) -> Option<(&'a str, String)> {
    let (declaration, number) = line.strip_suffix(';')?.split_once(" = ")?;
    let (kind, name) = declaration.rsplit_once(' ')?;
    let typed = |mark: &str, kind: &str| {
        let is_scalar = matches!(kind, "string" | "bool" | "bytes" | "double")
            || kind.starts_with("int")
            || kind.starts_with("uint");
        let kind = match kind {
            scalar if is_scalar => scalar.to_owned(),
            absolute if absolute.contains('.') => openapi_name(absolute),
            local => format!("{package}.{local}"),
        };
        format!("{name}:{mark}{kind}")
    };
    let field = if let Some(kind) = kind.strip_prefix("optional ") {
        typed("", kind)
    } else if let Some(kind) = kind.strip_prefix("repeated ") {
        typed("*", kind)
    } else {
        let value = kind.strip_prefix("map<string, ")?.strip_suffix('>')?;
        typed("%", value)
    };
    Some((number, field))
}

/// Go packages are named backwards in OpenAPI.
fn openapi_name(proto: &str) -> String {
    proto.trim_start_matches('.').replacen("k8s.io.", "io.k8s.", 1)
}

/// The messages of the served types and all that they are made of.
fn reachable<'a>(
    types: impl Iterator<Item = &'a String>,
    messages: &BTreeMap<String, Value>,
) -> BTreeMap<String, Value> {
    let mut wanted: Vec<String> = types.cloned().collect();
    let mut used = BTreeMap::new();
    while let Some(name) = wanted.pop() {
        let Some(fields) = messages.get(&name).filter(|_| !used.contains_key(&name)) else {
            continue;
        };
        let kinds = fields.as_object().into_iter().flatten().filter_map(|(_, it)| it.as_str());
        let kinds = kinds.filter_map(|field| field.split_once(':'));
        wanted.extend(kinds.map(|(_, kind)| kind.trim_start_matches(['*', '%']).to_owned()));
        used.insert(name, fields.clone());
    }
    used
}

/// One entry for each line, so that a diff between two Kubernetes versions can be read.
fn write_lines(
    path: &Path,
    lines: impl Iterator<Item = String>,
    open: &str,
    close: &str,
) -> Result<(), Box<dyn Error>> {
    let body = lines.collect::<Vec<_>>().join(",\n");
    Ok(std::fs::write(path, format!("{open}\n{body}\n{close}\n"))?)
}

fn read(path: &Path) -> Result<Value, Box<dyn Error>> {
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

/// The file stem that the sources use for a group version.
fn stem(group_version: &str) -> String {
    match group_version {
        "v1" => "api__v1".to_owned(),
        grouped => format!("apis__{}", grouped.replace('/', "__")),
    }
}

fn resource_list(source: &Path, group_version: &str) -> Result<Value, Box<dyn Error>> {
    let file = source.join("discovery").join(format!("{}.json", stem(group_version)));
    let mut list = read(&file)?;
    let served = list["resources"].as_array_mut().ok_or("no resources")?;
    served.retain(|resource| {
        let name = resource["name"].as_str().unwrap_or_default();
        match name.split_once('/') {
            None => !UNSERVED.contains(&name),
            Some((owner, subresource)) => {
                SUBRESOURCES.contains(&subresource)
                    && !(owner == "namespaces" && subresource == "scale")
            }
        }
    });
    for resource in served.iter_mut() {
        if let Some(resource) = resource.as_object_mut() {
            resource.remove("storageVersionHash");
        }
    }
    Ok(json!({"groupVersion": group_version, "resources": list["resources"]}))
}

fn collect_types(
    source: &Path,
    group_version: &str,
    types: &mut BTreeMap<String, Value>,
) -> Result<(), Box<dyn Error>> {
    let file = source.join("openapi-spec/v3").join(format!("{}_openapi.json", stem(group_version)));
    let document = read(&file)?;
    let schemas = document["components"]["schemas"].as_object().ok_or("no schemas")?;
    for (name, schema) in schemas {
        types.entry(name.clone()).or_insert_with(|| structure_of(schema));
    }
    Ok(())
}

/// The schema without descriptions, with `allOf: [$ref]` written as a plain `$ref`.
fn structure_of(schema: &Value) -> Value {
    let Some(schema) = schema.as_object() else { return schema.clone() };
    let mut kept = Map::new();
    for (key, value) in schema {
        match key.as_str() {
            "properties" => {
                let properties = value.as_object().into_iter().flatten();
                let properties = properties.map(|(name, it)| (name.clone(), structure_of(it)));
                kept.insert(key.clone(), Value::Object(properties.collect()));
            }
            "items" | "additionalProperties" => {
                kept.insert(key.clone(), structure_of(value));
            }
            "$ref" => {
                let name = value.as_str().unwrap_or_default();
                let name = name.trim_start_matches("#/components/schemas/");
                kept.insert(key.clone(), json!(name));
            }
            "allOf" => {
                if let Some(Value::Object(referred)) = value.get(0).map(structure_of) {
                    kept.extend(referred);
                }
            }
            name if KEPT.contains(&name) => {
                kept.insert(key.clone(), value.clone());
            }
            _ => {}
        }
    }
    Value::Object(kept)
}
