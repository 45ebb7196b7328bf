//! Schemas of the fields whose Rust type alone does not say enough.
//!
//! Kubernetes wants structural schemas: everything inline, each node with a type, opaque content
//! marked as such. The functions here are used through `schema_with` and `transform` on fields.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::rules::Rule;

/// The key under which the API server looks for CEL rules.
pub(crate) const VALIDATIONS: &str = "x-kubernetes-validations";
/// The key that keeps fields unknown to the schema.
pub(crate) const PRESERVE_UNKNOWN: &str = "x-kubernetes-preserve-unknown-fields";
/// The key of a value that is a number or a string.
pub(crate) const INT_OR_STRING: &str = "x-kubernetes-int-or-string";

/// A percentage up to 100 or a count.
pub(crate) const COUNT_OR_PERCENT: &str = "^((100|[0-9]{1,2})%|[0-9]+)$";
/// A percentage from 1 to 100; counts are checked by rule V23.
pub(crate) const POSITIVE_PERCENT: &str = "^(100|[1-9][0-9]?)%$";
/// A duration in hours, minutes and seconds, such as `1h30m`.
pub(crate) const DURATION: &str = r"^(?:(?:0|[1-9][0-9]*)(\.[0-9]+)?(?:s|m|h))+$";
/// A Kubernetes quantity, such as `500m` or `16Gi`.
const QUANTITY: &str = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";

/// Conditions as the API server merges them: one entry for each type.
pub(crate) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": condition_schema(),
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    })
}

/// Conditions that are replaced as a whole, the way Work has them.
pub(crate) fn plain_conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": condition_schema() })
}

/// One condition.
pub(crate) fn condition(_: &mut SchemaGenerator) -> Schema {
    condition_schema()
}

fn condition_schema() -> Schema {
    json_schema!({
        "description": "One aspect of the state of an object: whether it holds, since when and why.",
        "type": "object",
        "required": ["lastTransitionTime", "message", "reason", "status", "type"],
        "properties": {
            "lastTransitionTime": {
                "description": "When status last changed from one value to another.",
                "type": "string",
                "format": "date-time",
            },
            "message": {
                "description": "Details for people to read; may be empty.",
                "type": "string",
                "maxLength": 32768,
            },
            "observedGeneration": {
                "description": "The metadata.generation that this condition judged; older than the current one means out of date.",
                "type": "integer",
                "format": "int64",
                "minimum": 0,
            },
            "reason": {
                "description": "One word in CamelCase that programs may compare.",
                "type": "string",
                "minLength": 1,
                "maxLength": 1024,
                "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
            },
            "status": {
                "description": "True, False or Unknown.",
                "type": "string",
                "enum": ["True", "False", "Unknown"],
            },
            "type": {
                "description": "Which aspect this is about.",
                "type": "string",
                "maxLength": 316,
                "pattern": r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
            },
        },
    })
}

/// A Kubernetes label selector.
pub(crate) fn label_selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "matchExpressions": {
                "description": "Requirements on labels, all of which must hold.",
                "type": "array",
                "x-kubernetes-list-type": "atomic",
                "items": {
                    "description": "One requirement: a label, an operator and the values it is compared with.",
                    "type": "object",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": {
                            "description": "The label that the requirement is about.",
                            "type": "string",
                        },
                        "operator": {
                            "description": "In, NotIn, Exists or DoesNotExist.",
                            "type": "string",
                        },
                        "values": {
                            "description": "The values for In and NotIn; must be empty for the other operators.",
                            "type": "array",
                            "x-kubernetes-list-type": "atomic",
                            "items": { "type": "string" },
                        },
                    },
                },
            },
            "matchLabels": {
                "description": "Labels that must be present with exactly these values.",
                "type": "object",
                "additionalProperties": { "type": "string" },
            },
        },
    })
}

/// A count or a percentage such as `25%`.
pub(crate) fn count_or_percent(_: &mut SchemaGenerator) -> Schema {
    int_or_string(COUNT_OR_PERCENT)
}

/// A count, or a percentage of at least one.
pub(crate) fn positive_count_or_percent(_: &mut SchemaGenerator) -> Schema {
    int_or_string(POSITIVE_PERCENT)
}

/// A number or a string with rules instead of a pattern.
pub(crate) fn any_int_or_string(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [{ "type": "integer" }, { "type": "string" }], INT_OR_STRING: true })
}

fn int_or_string(pattern: &str) -> Schema {
    json_schema!({
        "anyOf": [{ "type": "integer" }, { "type": "string" }],
        "pattern": pattern,
        INT_OR_STRING: true,
    })
}

/// Bytes, written in base64.
pub(crate) fn bytes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "byte" })
}

/// Any JSON value.
pub(crate) fn any_json(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ PRESERVE_UNKNOWN: true })
}

/// Adds rules to a schema.
pub(crate) fn obey(schema: &mut Schema, rules: &[Rule]) {
    schema.insert(VALIDATIONS.to_owned(), json!(rules));
}

/// Adds rules to the items of a list.
pub(crate) fn items_obey(schema: &mut Schema, rules: &[Rule]) {
    let items = schema.get_mut("items").and_then(Value::as_object_mut);
    items
        .expect("rules for items are set on lists only")
        .insert(VALIDATIONS.to_owned(), json!(rules));
}

/// Bounds the number of entries of a field that is a map.
pub(crate) fn entries(schema: &mut Schema, field: &str, min: u32, max: u32) {
    let map = schema.pointer_mut(&format!("/properties/{field}"));
    let map = map.expect("bounds are set on fields that exist");
    map["minProperties"] = min.into();
    map["maxProperties"] = max.into();
}

/// A Kubernetes object of any kind, kept exactly as it was written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RawObject(pub Value);

impl JsonSchema for RawObject {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RawObject".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", PRESERVE_UNKNOWN: true })
    }
}

/// An amount of a resource in the notation of Kubernetes, such as `500m` or `16Gi`.
///
/// YAML may hold a bare number; it reads as the same amount and is written back as a string.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Quantity(pub String);

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Wire {
            Text(String),
            Number(serde_json::Number),
        }
        Ok(match Wire::deserialize(deserializer)? {
            Wire::Text(text) => Self(text),
            Wire::Number(number) => Self(number.to_string()),
        })
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        int_or_string(QUANTITY)
    }
}
