//! Every generated schema obeys the structural rules of Kubernetes, and some of our own.
//!
//! The API server accepts a CRD with a schema that is not structural and then merely reports it
//! in a condition, so the rules are checked here, where they fail early.

use serde_json::{Map, Value, json};

type Node = Map<String, Value>;

/// Checks one schema and collects what is wrong with it, each with its path.
#[derive(Default)]
struct Checker {
    problems: Vec<String>,
}

const FORBIDDEN: &[&str] = &[
    "$ref",
    "$defs",
    "definitions",
    "dependencies",
    "deprecated",
    "discriminator",
    "id",
    "patternProperties",
    "readOnly",
    "writeOnly",
    "xml",
    "uniqueItems",
    "title",
    "const",
    // Kubernetes allows these, but no field of this API has a use for them.
    "nullable",
    "oneOf",
    "allOf",
    "not",
];

impl Checker {
    fn problem(&mut self, path: &str, text: &str) {
        self.problems.push(format!("{path}: {text}"));
    }

    fn root(&mut self, schema: &Value) {
        let metadata = schema.pointer("/properties/metadata");
        if metadata != Some(&json!({ "type": "object" })) {
            self.problem("metadata", "may say nothing but that it is an object");
        }
        self.node("", schema);
    }

    fn node(&mut self, path: &str, schema: &Value) {
        let Some(node) = schema.as_object() else {
            return self.problem(path, "is not an object");
        };
        for keyword in FORBIDDEN {
            if node.contains_key(*keyword) {
                self.problem(path, &format!("{keyword} is not allowed"));
            }
        }
        self.kind_of_value(path, node);
        self.default_value(path, node);
        self.object(path, node);
        self.list(path, node);
        self.rules(path, node);
    }

    fn kind_of_value(&mut self, path: &str, node: &Node) {
        let either = json!([{ "type": "integer" }, { "type": "string" }]);
        match (node.get("type"), flag(node, "int-or-string"), flag(node, "preserve-unknown-fields"))
        {
            (Some(Value::String(_)), false, _) => {
                if node.contains_key("anyOf") {
                    self.problem(path, "anyOf is only for values that are numbers or strings");
                }
            }
            (None, true, false) => {
                if node.get("anyOf").is_some_and(|it| *it != either) {
                    self.problem(path, "anyOf must be integer or string, in this order");
                }
            }
            (None, false, true) => {}
            _ => self.problem(path, "needs one type, or to be int-or-string, or opaque"),
        }
        let of_object = node.get("type") == Some(&json!("object"));
        if flag(node, "embedded-resource") && !of_object {
            self.problem(path, "an embedded resource must be an object");
        }
        if of_object
            && !["properties", "additionalProperties"].iter().any(|it| node.contains_key(*it))
            && !flag(node, "preserve-unknown-fields")
            && path != ".metadata"
        {
            self.problem(path, "an object without fields would lose its content");
        }
    }

    fn default_value(&mut self, path: &str, node: &Node) {
        let Some(default) = node.get("default") else { return };
        if let Some(values) = node.get("enum").and_then(Value::as_array)
            && !values.contains(default)
        {
            self.problem(path, "the default is not one of the allowed values");
        }
        let fits = match node.get("type").and_then(Value::as_str) {
            Some("string") => default.is_string(),
            Some("integer") => default.is_i64(),
            Some("boolean") => default.is_boolean(),
            None => default.is_string() || default.is_i64(),
            Some(_) => false,
        };
        if !fits {
            self.problem(path, "the default does not fit the type");
        }
    }

    fn object(&mut self, path: &str, node: &Node) {
        let fields = node.get("properties").and_then(Value::as_object);
        if fields.is_some() && node.contains_key("additionalProperties") {
            self.problem(path, "fields and a map exclude each other");
        }
        for required in node.get("required").and_then(Value::as_array).into_iter().flatten() {
            let known =
                required.as_str().is_some_and(|it| fields.is_some_and(|all| all.contains_key(it)));
            if !known {
                self.problem(path, &format!("required {required} is not a field"));
            }
        }
        for (name, field) in fields.into_iter().flatten() {
            let path = format!("{path}.{name}");
            if field.get("description").is_none() && path != ".metadata" {
                self.problem(&path, "has no description for kubectl explain");
            }
            self.node(&path, field);
        }
        if let Some(values) = node.get("additionalProperties") {
            self.node(&format!("{path}{{}}"), values);
        }
    }

    fn list(&mut self, path: &str, node: &Node) {
        let is_list = node.get("type") == Some(&json!("array"));
        match node.get("items") {
            Some(items) if is_list => self.node(&format!("{path}[]"), items),
            None if !is_list => {}
            Some(_) | None => self.problem(path, "a list needs items, and only a list has them"),
        }
        if node.get("x-kubernetes-list-type") != Some(&json!("map")) {
            return;
        }
        let keys = node.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
        for key in keys.into_iter().flatten().filter_map(Value::as_str) {
            let item = &node["items"];
            let required = item["required"].as_array().is_some_and(|it| it.contains(&json!(key)));
            if !required || item["properties"][key]["type"] != json!("string") {
                self.problem(path, &format!("list key {key} must be a required string"));
            }
        }
        if keys.is_none_or(Vec::is_empty) {
            self.problem(path, "a list that is a map needs keys");
        }
    }

    fn rules(&mut self, path: &str, node: &Node) {
        let rules = node.get("x-kubernetes-validations").and_then(Value::as_array);
        for rule in rules.into_iter().flatten() {
            for part in ["rule", "message"] {
                let text = rule[part].as_str().unwrap_or_default();
                if text.is_empty() || text.contains('\n') || text.contains("  ") {
                    self.problem(path, &format!("a validation needs a {part} on one line"));
                }
            }
        }
    }
}

fn flag(node: &Node, name: &str) -> bool {
    node.get(&format!("x-kubernetes-{name}")) == Some(&json!(true))
}

fn problems_of(schema: &Value) -> Vec<String> {
    let mut checker = Checker::default();
    checker.root(schema);
    checker.problems
}

#[test]
fn every_served_version_is_structural() {
    let mut checked = 0;
    for crd in api::crds::crds() {
        for version in &crd.spec.versions {
            let schema = version.schema.as_ref().and_then(|it| it.open_api_v3_schema.as_ref());
            let schema = serde_json::to_value(schema.expect("a version has a schema")).unwrap();
            let problems = problems_of(&schema);
            let name = format!("{} {}", crd.spec.names.kind, version.name);
            assert!(problems.is_empty(), "{name}:\n{}", problems.join("\n"));
            checked += 1;
        }
    }
    assert!(checked > 40, "only {checked} versions were checked");
}

/// A good schema, to be broken in one place by each test.
fn with_field(field: Value) -> Value {
    let mut field = field;
    if let Some(node) = field.as_object_mut() {
        node.entry("description").or_insert_with(|| json!("A field."));
    }
    json!({
        "type": "object",
        "properties": { "metadata": { "type": "object" }, "field": field },
    })
}

#[test]
fn the_checker_accepts_what_is_structural() {
    for field in [
        json!({ "type": "string", "enum": ["A"], "default": "A" }),
        json!({ "x-kubernetes-int-or-string": true, "anyOf": [{ "type": "integer" }, { "type": "string" }] }),
        json!({ "x-kubernetes-preserve-unknown-fields": true }),
        json!({ "type": "array", "items": { "type": "string" } }),
        json!({ "type": "object", "additionalProperties": { "type": "string" } }),
    ] {
        assert_eq!(problems_of(&with_field(field.clone())), Vec::<String>::new(), "{field}");
    }
}

#[test]
fn the_checker_finds_each_kind_of_mistake() {
    let cases = [
        (json!({}), "needs one type"),
        (json!({ "type": ["string", "null"] }), "needs one type"),
        (json!({ "type": "string", "nullable": true }), "nullable is not allowed"),
        (json!({ "type": "object", "$ref": "#/x" }), "$ref is not allowed"),
        (json!({ "type": "object" }), "would lose its content"),
        (json!({ "type": "string", "enum": ["A"], "default": "B" }), "not one of the allowed"),
        (json!({ "type": "integer", "default": "1" }), "does not fit the type"),
        (json!({ "type": "array" }), "a list needs items"),
        (json!({ "type": "string", "items": { "type": "string" } }), "a list needs items"),
        (json!({ "type": "string", "anyOf": [{ "type": "integer" }] }), "anyOf is only"),
        (
            json!({ "x-kubernetes-int-or-string": true, "anyOf": [{ "type": "string" }] }),
            "anyOf must",
        ),
        (
            json!({ "type": "object", "properties": { "a": { "type": "string" } } }),
            "has no description",
        ),
        (
            json!({
                "type": "object",
                "properties": { "a": { "type": "string", "description": "x" } },
                "required": ["b"],
            }),
            "is not a field",
        ),
        (
            json!({
                "type": "object",
                "properties": { "a": { "type": "string", "description": "x" } },
                "additionalProperties": { "type": "string" },
            }),
            "exclude each other",
        ),
        (
            json!({
                "type": "array",
                "items": { "type": "object", "additionalProperties": { "type": "string" } },
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            }),
            "must be a required string",
        ),
        (json!({ "type": "string", "x-kubernetes-embedded-resource": true }), "must be an object"),
        (
            json!({ "type": "string", "x-kubernetes-validations": [{ "rule": "true" }] }),
            "needs a message",
        ),
    ];
    for (field, expected) in cases {
        let problems = problems_of(&with_field(field.clone()));
        assert!(problems.iter().any(|it| it.contains(expected)), "{field}: {problems:?}");
    }
}
