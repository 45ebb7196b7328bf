//! From OpenAPI documents to `Schema`.

use serde_json::Value;

use super::{Base, Link, ListKind, PatchRules, Pattern, Property, Rules, Schema};

/// The type whose schema the API server puts in place of `metadata`.
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// Built-in types that are written as a number or a string.
const INT_OR_STRING: &[&str] = &["IntOrString", "Quantity"];

/// Fields that Go writes although they are not required and empty.
const WRITTEN_WHEN_EMPTY: &[(&str, &str)] =
    &[("EndpointSlice", "endpoints"), ("StatefulSetSpec", "serviceName")];

/// Lists that are written as null from the first, and belong to nobody.
const NULL_WHEN_EMPTY: &[(&str, &str)] = &[
    ("ClusterRole", "rules"),
    ("EndpointSlice", "ports"),
    ("HorizontalPodAutoscalerStatus", "currentMetrics"),
    ("Role", "rules"),
];

/// A built-in type of `data/types.json`.
pub(crate) fn parse_builtin(name: &str, schema: &Value) -> Schema {
    let mut parsed = structure(schema, Source::Builtin);
    let short = name.rsplit('.').next().unwrap_or(name);
    if let Some((_, field)) = WRITTEN_WHEN_EMPTY.iter().find(|(owner, _)| *owner == short) {
        parsed.rules.required.push((*field).to_owned());
    }
    if let Some((_, field)) = NULL_WHEN_EMPTY.iter().find(|(owner, _)| *owner == short)
        && let Some(property) = parsed.properties.get_mut(*field)
    {
        property.default = Some(Value::Null);
    }
    if short == "ReplicationControllerSpec"
        && let Some(property) = parsed.properties.get_mut("minReadySeconds")
    {
        // Its default is zero, which Go leaves out.
        property.default = None;
    }
    parsed.int_or_string = INT_OR_STRING.contains(&short);
    parsed.atomic_map |= short == "RawExtension";
    parsed.is_quantity = short == "Quantity";
    if short == "JSONSchemaProps" || short == "JSON" || short.starts_with("JSONSchemaPropsOr") {
        parsed = Schema { preserve_unknown: true, ..Schema::default() };
    }
    parsed
}

/// The schema of one version of a CRD, with the fields that every object has.
pub(crate) fn parse_crd(schema: &Value) -> Schema {
    let mut root = structure(schema, Source::Crd);
    root.base = Base::Object;
    for field in ["apiVersion", "kind"] {
        let link = Link::Inline(Box::new(Schema { base: Base::String, ..Schema::default() }));
        root.properties.insert(field.to_owned(), Property { link, default: None });
    }
    let link = Link::Named(OBJECT_META.to_owned());
    root.properties.insert("metadata".to_owned(), Property { link, default: None });
    root.rules.required.retain(|field| field != "metadata");
    root
}

#[derive(Clone, Copy, PartialEq)]
enum Source {
    Builtin,
    Crd,
}

fn link(schema: &Value, source: Source) -> Link {
    match text(schema, "$ref") {
        Some(name) => Link::Named(name),
        None => Link::Inline(Box::new(structure(schema, source))),
    }
}

fn structure(schema: &Value, source: Source) -> Schema {
    let base = base(schema);
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let properties = properties.map(|(name, it)| {
        let property = Property { link: link(it, source), default: it.get("default").cloned() };
        (name.clone(), property)
    });
    let mut parsed = Schema {
        base,
        properties: properties.collect(),
        additional: schema
            .get("additionalProperties")
            .filter(|it| it.is_object() || **it == Value::Bool(true))
            .map(|it| link(it, source)),
        items: schema.get("items").map(|it| link(it, source)),
        list: list_kind(schema),
        atomic_map: text(schema, "x-kubernetes-map-type").as_deref() == Some("atomic"),
        preserve_unknown: flag(schema, "x-kubernetes-preserve-unknown-fields"),
        embedded_resource: flag(schema, "x-kubernetes-embedded-resource"),
        int_or_string: flag(schema, "x-kubernetes-int-or-string"),
        is_quantity: false,
        nullable: flag(schema, "nullable"),
        rules: match source {
            Source::Builtin => Rules {
                required: texts(schema, "required"),
                format: text(schema, "format"),
                ..Rules::default()
            },
            Source::Crd => rules(schema),
        },
        patch: patch_rules(schema),
    };
    let opaque = parsed.properties.is_empty() && parsed.additional.is_none();
    if source == Source::Builtin && opaque && matches!(base, Base::Any | Base::Object) {
        parsed.preserve_unknown = true;
    }
    if parsed.embedded_resource && !parsed.declares("metadata") {
        let link = Link::Named(OBJECT_META.to_owned());
        parsed.properties.insert("metadata".to_owned(), Property { link, default: None });
    }
    parsed
}

fn base(schema: &Value) -> Base {
    match text(schema, "type").as_deref() {
        Some("object") => Base::Object,
        Some("array") => Base::Array,
        Some("string") => Base::String,
        Some("integer") => Base::Integer,
        Some("number") => Base::Number,
        Some("boolean") => Base::Boolean,
        _ if schema.get("properties").is_some() => Base::Object,
        _ => Base::Any,
    }
}

fn list_kind(schema: &Value) -> ListKind {
    match text(schema, "x-kubernetes-list-type").as_deref() {
        Some("set") => ListKind::Set,
        Some("map") => ListKind::Map(texts(schema, "x-kubernetes-list-map-keys")),
        _ => ListKind::Atomic,
    }
}

fn patch_rules(schema: &Value) -> PatchRules {
    let strategy = text(schema, "x-kubernetes-patch-strategy").unwrap_or_default();
    PatchRules {
        merge: strategy.split(',').any(|it| it == "merge"),
        merge_key: text(schema, "x-kubernetes-patch-merge-key"),
    }
}

fn rules(schema: &Value) -> Rules {
    let pattern = text(schema, "pattern").and_then(|it| regex_lite::Regex::new(&it).ok());
    Rules {
        required: texts(schema, "required"),
        allowed: schema.get("enum").and_then(Value::as_array).cloned().unwrap_or_default(),
        minimum: schema.get("minimum").and_then(Value::as_f64),
        maximum: schema.get("maximum").and_then(Value::as_f64),
        exclusive_minimum: flag(schema, "exclusiveMinimum"),
        exclusive_maximum: flag(schema, "exclusiveMaximum"),
        min_length: schema.get("minLength").and_then(Value::as_u64),
        max_length: schema.get("maxLength").and_then(Value::as_u64),
        min_items: schema.get("minItems").and_then(Value::as_u64),
        max_items: schema.get("maxItems").and_then(Value::as_u64),
        min_properties: schema.get("minProperties").and_then(Value::as_u64),
        max_properties: schema.get("maxProperties").and_then(Value::as_u64),
        pattern: pattern.map(Pattern),
        format: text(schema, "format"),
    }
}

fn text(schema: &Value, key: &str) -> Option<String> {
    schema.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn texts(schema: &Value, key: &str) -> Vec<String> {
    let list = schema.get(key).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn flag(schema: &Value, key: &str) -> bool {
    schema.get(key).and_then(Value::as_bool).unwrap_or(false)
}
