//! Turns the schemas that schemars derives into the structural ones that Kubernetes wants.
//!
//! schemars writes JSON Schema 2020-12: optional fields allow null, enums with documented
//! variants are a `oneOf`. A structural schema has neither, and no titles or references. kube's
//! own rewriter keeps `nullable`; this API has no nullable fields, so it is not used.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use crate::schema::VALIDATIONS;

type Node = Map<String, Value>;

/// The schema of a type, without the metadata that every Kubernetes object has.
pub(super) fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = Schema::to_value(settings.into_generator().into_root_schema_for::<T>());
    tidy(&mut schema);
    schema
}

/// Adds `apiVersion`, `kind` and `metadata` to the schema of a kind.
pub(super) fn root_schema(mut schema: Value) -> Value {
    schema["properties"]["apiVersion"] = json!({
        "description": "The group and version of this representation of the object.",
        "type": "string",
    });
    schema["properties"]["kind"] = json!({
        "description": "The kind of the object.",
        "type": "string",
    });
    schema["properties"]["metadata"] = json!({ "type": "object" });
    schema
}

fn tidy(schema: &mut Value) {
    let Some(node) = schema.as_object_mut() else { return };
    node.remove("title");
    merge_optional(node);
    drop_null(node);
    collapse_enum(node);
    for keyword in ["items", "additionalProperties"] {
        if let Some(child) = node.get_mut(keyword) {
            tidy(child);
        }
    }
    if let Some(properties) = node.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(tidy);
    }
    // Types that carry a description give it to fields that have none; fold line breaks there and
    // everywhere, as the doc comments are wrapped for the source file only.
    if let Some(Value::String(description)) = node.get_mut("description") {
        *description = unwrap_lines(description);
    }
}

/// `anyOf: [T, null]` becomes `T`. What the field says wins over what the type says; rules add up.
fn merge_optional(node: &mut Node) {
    let Some(Value::Array(branches)) = node.get("anyOf") else { return };
    let [Value::Object(inner), null] = branches.as_slice() else { return };
    if *null != json!({ "type": "null" }) {
        return;
    }
    let inner = inner.clone();
    node.remove("anyOf");
    for (key, value) in inner {
        if key == VALIDATIONS {
            add_rules(node, value);
        } else {
            node.entry(key).or_insert(value);
        }
    }
}

fn add_rules(node: &mut Node, rules: Value) {
    let existing = node.entry(VALIDATIONS).or_insert_with(|| json!([]));
    if let (Value::Array(existing), Value::Array(mut rules)) = (existing, rules) {
        rules.append(existing);
        *existing = rules;
    }
}

fn drop_null(node: &mut Node) {
    if let Some(Value::Array(types)) = node.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            node.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(values)) = node.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if node.get("default").is_some_and(Value::is_null) {
        node.remove("default");
    }
}

/// `oneOf: [{const: A}, {const: B}]` becomes `enum: [A, B]`. What the variants say goes to the end
/// of the description, where `kubectl explain` shows it.
fn collapse_enum(node: &mut Node) {
    let Some(Value::Array(variants)) = node.get("oneOf") else { return };
    let mut values = Vec::new();
    let mut described = Vec::new();
    for variant in variants {
        let Some(value @ Value::String(name)) = variant.get("const") else { return };
        values.push(value.clone());
        if let Some(Value::String(meaning)) = variant.get("description") {
            described.push(format!("{name}: {}", sentence(meaning)));
        }
    }
    node.remove("oneOf");
    node.insert("type".to_owned(), json!("string"));
    node.insert("enum".to_owned(), Value::Array(values));
    if let Some(Value::String(description)) = node.get_mut("description") {
        *description = format!("{} {}", sentence(description), described.join(" "));
    }
}

fn sentence(text: &str) -> String {
    let text = unwrap_lines(text);
    if text.ends_with('.') { text } else { format!("{text}.") }
}

/// Joins the lines of a paragraph and keeps paragraphs apart.
fn unwrap_lines(text: &str) -> String {
    let paragraphs =
        text.split("\n\n").map(|it| it.split_whitespace().collect::<Vec<_>>().join(" "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}
