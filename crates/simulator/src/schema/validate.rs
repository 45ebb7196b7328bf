//! Checking values against a schema: OpenAPI rules for custom resources, JSON types for
//! built-in ones.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use regex_lite::Regex;
use serde_json::Value;

use super::{Base, Rules, Schema};
use crate::error::Cause;

/// All violations of a custom resource, in document order.
pub(crate) fn validate(value: &Value, schema: &Schema) -> Vec<Cause> {
    let mut causes = Vec::new();
    validate_at(value, schema, "", &mut causes);
    causes
}

fn validate_at(value: &Value, schema: &Schema, path: &str, causes: &mut Vec<Cause>) {
    if value.is_null() && schema.nullable {
        return;
    }
    if let Some(wanted) = type_mismatch(value, schema) {
        let found = type_name(value);
        let shown = shown_path(path);
        let why = format!("{shown} in body must be of type {wanted}: \"{found}\"");
        let value = Value::String(found.to_owned());
        causes.push(Cause::type_invalid(&shown, &value, &why));
        return;
    }
    check_rules(value, &schema.rules, path, causes);
    if let Some(object) = value.as_object() {
        for field in schema.rules.required.iter().filter(|field| !object.contains_key(*field)) {
            causes.push(Cause::required(&joined(path, field), ""));
        }
        for (name, child) in object {
            // The API server checks metadata apart from the schema.
            if !(path.is_empty() && name == "metadata") {
                validate_at(child, schema.member(name), &joined(path, name), causes);
            }
        }
    } else if let Some(list) = value.as_array() {
        for (index, item) in list.iter().enumerate() {
            validate_at(item, schema.item(), &format!("{path}[{index}]"), causes);
        }
        check_unique(list, schema, path, causes);
    }
}

/// The name of the wanted type when the value is of another one.
fn type_mismatch(value: &Value, schema: &Schema) -> Option<&'static str> {
    if schema.int_or_string {
        return (!(value.is_string() || value.is_i64() || value.is_u64()))
            .then_some("integer,string");
    }
    let (fits, name) = match schema.base {
        Base::Any => (true, ""),
        Base::Object => (value.is_object(), "object"),
        Base::Array => (value.is_array(), "array"),
        Base::String => (value.is_string(), "string"),
        Base::Integer => (is_whole(value), "integer"),
        Base::Number => (value.is_number(), "number"),
        Base::Boolean => (value.is_boolean(), "boolean"),
    };
    (!fits).then_some(name)
}

fn is_whole(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|it| it.fract() == 0.0)
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn shown_path(path: &str) -> String {
    if path.is_empty() { "<nil>".to_owned() } else { path.to_owned() }
}

fn check_rules(value: &Value, rules: &Rules, path: &str, causes: &mut Vec<Cause>) {
    if !rules.allowed.is_empty() && !rules.allowed.contains(value) {
        let choices: Vec<String> = rules.allowed.iter().map(Value::to_string).collect();
        let message =
            format!("Unsupported value: {value}: supported values: {}", choices.join(", "));
        causes.push(Cause::new("FieldValueNotSupported", path, message));
    }
    if let Some(limit) = rules.max_length.filter(|limit| text_length(value) > Some(*limit)) {
        let message = format!("Too long: may not be more than {limit} bytes");
        causes.push(Cause::new("FieldValueTooLong", path, message));
        return;
    }
    if let Some(limit) = rules.max_items.filter(|limit| list_length(value) > Some(*limit)) {
        let found = list_length(value).unwrap_or(0);
        let message = format!("Too many: {found}: must have at most {limit} items");
        causes.push(Cause::new("FieldValueTooMany", path, message));
    }
    let broken = number_rule(value, rules, path)
        .or_else(|| text_rule(value, rules, path))
        .or_else(|| size_rule(value, rules, path));
    if let Some(why) = broken {
        causes.push(Cause::invalid(path, value, &why));
    }
}

fn text_length(value: &Value) -> Option<u64> {
    value.as_str().map(|text| text.chars().count() as u64)
}

fn list_length(value: &Value) -> Option<u64> {
    value.as_array().map(|list| list.len() as u64)
}

fn number_rule(value: &Value, rules: &Rules, path: &str) -> Option<String> {
    let number = value.as_f64()?;
    let below = |limit: f64| number < limit || (rules.exclusive_minimum && number == limit);
    let above = |limit: f64| number > limit || (rules.exclusive_maximum && number == limit);
    if let Some(limit) = rules.minimum.filter(|limit| below(*limit)) {
        let than =
            if rules.exclusive_minimum { "greater than" } else { "greater than or equal to" };
        return Some(format!("{path} in body should be {than} {limit}"));
    }
    let limit = rules.maximum.filter(|limit| above(*limit))?;
    let than = if rules.exclusive_maximum { "less than" } else { "less than or equal to" };
    Some(format!("{path} in body should be {than} {limit}"))
}

fn text_rule(value: &Value, rules: &Rules, path: &str) -> Option<String> {
    let text = value.as_str()?;
    if let Some(limit) = rules.min_length.filter(|limit| text_length(value) < Some(*limit)) {
        return Some(format!("{path} in body should be at least {limit} chars long"));
    }
    if let Some(pattern) = rules.pattern.as_ref().filter(|pattern| !pattern.0.is_match(text)) {
        return Some(format!("{path} in body should match '{}'", pattern.0.as_str()));
    }
    let is_time = rules.format.as_deref() == Some("date-time");
    (is_time && text.parse::<jiff::Timestamp>().is_err())
        .then(|| format!("{path} in body must be of type date-time: \"{text}\""))
}

fn size_rule(value: &Value, rules: &Rules, path: &str) -> Option<String> {
    let (size, what, least, most) = if let Some(length) = list_length(value) {
        (length, "items", rules.min_items, None)
    } else {
        let object = value.as_object()?;
        (object.len() as u64, "properties", rules.min_properties, rules.max_properties)
    };
    if let Some(limit) = least.filter(|limit| size < *limit) {
        return Some(format!("{path} in body should have at least {limit} {what}"));
    }
    let limit = most.filter(|limit| size > *limit)?;
    Some(format!("must have at most {limit} {what}"))
}

/// Items of sets and keys of list maps appear once.
fn check_unique(list: &[Value], schema: &Schema, path: &str, causes: &mut Vec<Cause>) {
    let identity = |item: &Value| match &schema.list {
        super::ListKind::Atomic => None,
        super::ListKind::Set => Some(item.clone()),
        super::ListKind::Map(keys) => {
            let key = keys.iter().filter_map(|key| Some((key.clone(), item.get(key)?.clone())));
            Some(Value::Object(key.collect()))
        }
    };
    let mut seen: Vec<Value> = Vec::new();
    for (index, item) in list.iter().enumerate() {
        let Some(identity) = identity(item) else { return };
        if seen.contains(&identity) {
            let message = format!("Duplicate value: {identity}");
            let field = format!("{path}[{index}]");
            causes.push(Cause::new("FieldValueDuplicate", &field, message));
        } else {
            seen.push(identity);
        }
    }
}

/// The first JSON type error of a built-in object: the path and what was wanted there.
pub(crate) fn builtin_type_errors(value: &Value, schema: &Schema) -> Option<(String, String)> {
    type_error_at(value, schema, "")
}

fn type_error_at(value: &Value, schema: &Schema, path: &str) -> Option<(String, String)> {
    if value.is_null() {
        return None;
    }
    if schema.is_quantity && !is_quantity(value) {
        return Some((path.to_owned(), "quantity".to_owned()));
    }
    // Quantities and int-or-strings are checked loosely: a number or a string.
    let loose = schema.int_or_string && (value.is_string() || value.is_number());
    if !loose && let Some(wanted) = type_mismatch(value, schema) {
        return Some((path.to_owned(), wanted.to_owned()));
    }
    let is_bytes = schema.rules.format.as_deref() == Some("byte");
    if is_bytes && value.as_str().is_some_and(|it| BASE64.decode(it).is_err()) {
        return Some((path.to_owned(), "base64".to_owned()));
    }
    if let Some(object) = value.as_object() {
        let mut members = object.iter();
        return members
            .find_map(|(name, it)| type_error_at(it, schema.member(name), &joined(path, name)));
    }
    let mut items = value.as_array()?.iter();
    items.find_map(|item| type_error_at(item, schema.item(), path))
}

/// `^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$`
fn is_quantity(value: &Value) -> bool {
    static FORM: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new("^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$").expect("a constant expression")
    });
    value.is_number() || value.as_str().is_some_and(|it| FORM.is_match(it))
}

#[cfg(test)]
mod tests {
    use super::super::{apply_defaults, parse_crd, prune};
    use super::*;
    use serde_json::json;

    fn widget() -> Schema {
        parse_crd(&json!({
            "type": "object",
            "required": ["spec"],
            "properties": {"spec": {
                "type": "object",
                "required": ["size"],
                "properties": {
                    "size": {"type": "integer", "minimum": 1, "maximum": 5},
                    "mode": {"type": "string", "enum": ["a", "b"], "default": "a"},
                    "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 4},
                    "port": {"x-kubernetes-int-or-string": true},
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                    "list": {"type": "array", "maxItems": 2, "items": {"type": "string"}},
                    "nested": {"type": "object", "default": {},
                        "properties": {"deep": {"type": "boolean", "default": true}}},
                },
            }},
        }))
    }

    #[test]
    fn violations_name_their_field_and_reason() {
        let broken = json!({"spec": {"size": 9, "mode": "c", "name": "Long!", "port": true,
            "list": ["x", 1, "z"]}});
        let causes = validate(&broken, &widget());
        let found: Vec<_> = causes.iter().map(|it| (it.field.as_str(), it.reason)).collect();
        let expected = [
            ("spec.list", "FieldValueTooMany"),
            ("spec.list[1]", "FieldValueTypeInvalid"),
            ("spec.mode", "FieldValueNotSupported"),
            ("spec.name", "FieldValueTooLong"),
            ("spec.port", "FieldValueTypeInvalid"),
            ("spec.size", "FieldValueInvalid"),
        ];
        assert_eq!(found, expected);
        let missing = validate(&json!({}), &widget());
        assert_eq!((missing[0].field.as_str(), missing[0].reason), ("spec", "FieldValueRequired"));
    }

    #[test]
    fn defaults_reach_into_defaults() {
        let mut object = json!({"spec": {"size": 1, "mode": null}});
        apply_defaults(&mut object, &widget());
        assert_eq!(object, json!({"spec": {"size": 1, "mode": "a", "nested": {"deep": true}}}));
    }

    #[test]
    fn pruning_spares_what_is_preserved() {
        let mut object = json!({"kind": "W", "metadata": {"name": "x", "bogus": 1},
            "spec": {"size": 1, "typo": 1, "free": {"any": {"thing": 1}}}});
        let dropped = prune(&mut object, &widget());
        assert_eq!(dropped, ["metadata.bogus", "spec.typo"]);
        assert_eq!(object["spec"], json!({"size": 1, "free": {"any": {"thing": 1}}}));
    }
}
