//! The fields of every kind in a form that fits on a screen, so that a change of the public API
//! is seen in review and never happens by the way.

use std::fmt::Write as _;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinitionVersion;
use serde_json::Value;

/// One line for each field: its name, type, `*` if required, and what the schema says about it.
fn table(path: &str, schema: &Value, lines: &mut Vec<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        if path.is_empty() && ["apiVersion", "kind", "metadata"].contains(&name.as_str()) {
            continue;
        }
        let path = format!("{path}{name}");
        let required =
            schema["required"].as_array().is_some_and(|it| it.contains(&name.as_str().into()));
        let star = if required { " *" } else { "" };
        lines.push(format!("{path}: {}{star}{}", type_of(field), facts(field)));
        match type_of(field).as_str() {
            "[]object" => table(&format!("{path}[]."), &field["items"], lines),
            "map of object" => {
                table(&format!("{path}{{}}."), &field["additionalProperties"], lines)
            }
            "object" => table(&format!("{path}."), field, lines),
            _ => {}
        }
    }
}

fn type_of(field: &Value) -> String {
    if field["x-kubernetes-int-or-string"] == true {
        return "number or string".to_owned();
    }
    let name = field["type"].as_str().unwrap_or("any");
    match name {
        "array" => format!("[]{}", type_of(&field["items"])),
        "object" if field.get("additionalProperties").is_some() => {
            format!("map of {}", type_of(&field["additionalProperties"]))
        }
        "object" if field["properties"].get("lastTransitionTime").is_some() => {
            "condition".to_owned()
        }
        "object" if field["properties"].get("matchLabels").is_some() => "label selector".to_owned(),
        "object" if field["x-kubernetes-preserve-unknown-fields"] == true => "raw".to_owned(),
        _ => match field["format"].as_str() {
            Some(format) => format!("{name} {format}"),
            None => name.to_owned(),
        },
    }
}

const FACTS: &[(&str, &str)] = &[
    ("default", "default"),
    ("enum", "one of"),
    ("minimum", "min"),
    ("maximum", "max"),
    ("minItems", "min items"),
    ("maxItems", "max items"),
    ("minProperties", "min entries"),
    ("maxProperties", "max entries"),
    ("maxLength", "max length"),
    ("pattern", "like"),
    ("x-kubernetes-list-map-keys", "merged by"),
    ("x-kubernetes-embedded-resource", "embedded"),
];

fn facts(field: &Value) -> String {
    let known = FACTS.iter().filter_map(|(key, word)| Some((word, field.get(*key)?)));
    let mut facts: Vec<_> = known.map(|(word, value)| format!("{word} {}", plain(value))).collect();
    let numbers = [numbers(field), numbers(&field["items"])].concat();
    if !numbers.is_empty() {
        facts.push(format!("obeys {}", numbers.join(" ")));
    }
    if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join("|"),
        Value::Number(number) => number.as_f64().map_or(String::new(), |it| it.to_string()),
        Value::Null | Value::Bool(_) | Value::Object(_) => value.to_string(),
    }
}

/// The numbers of the rules at a node, as the compatibility reference counts them.
fn numbers(node: &Value) -> Vec<String> {
    let rules = node["x-kubernetes-validations"].as_array();
    let mut numbers: Vec<_> = rules
        .into_iter()
        .flatten()
        .map(|rule| {
            let known = api::rules::ALL
                .iter()
                .find(|it| rule["rule"] == it.expression && rule["message"] == it.message);
            known.map_or("?", |it| it.id).to_owned()
        })
        .collect();
    numbers.dedup();
    numbers
}

/// The table of one version of a kind.
fn lines_of(version: &CustomResourceDefinitionVersion) -> Vec<String> {
    let schema = version.schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
    let schema = serde_json::to_value(schema).unwrap();
    let mut lines = Vec::new();
    if !numbers(&schema).is_empty() {
        lines.push(format!("obeys {}", numbers(&schema).join(" ")));
    }
    table("", &schema, &mut lines);
    lines
}

#[test]
fn the_fields_of_every_kind() {
    let mut text = String::new();
    let mut seen: Vec<(String, Vec<String>)> = Vec::new();
    for crd in api::crds::crds() {
        let kind = crd.spec.names.kind.clone();
        let (stored, others): (Vec<_>, Vec<_>) =
            crd.spec.versions.iter().partition(|it| it.storage);
        let lines = lines_of(stored[0]);
        writeln!(text, "# {kind}").unwrap();
        match seen.iter().find(|(_, other)| *other == lines) {
            Some((other, _)) => writeln!(text, "as {other}").unwrap(),
            None => writeln!(text, "{}", lines.join("\n")).unwrap(),
        }
        for version in others {
            writeln!(text, "## {}", version.name).unwrap();
            let here = lines_of(version);
            for line in lines.iter().filter(|it| !here.contains(it)) {
                writeln!(text, "- {line}").unwrap();
            }
            for line in here.iter().filter(|it| !lines.contains(it)) {
                writeln!(text, "+ {line}").unwrap();
            }
        }
        writeln!(text).unwrap();
        seen.push((kind, lines));
    }
    insta::assert_snapshot!("contract", text);
}
