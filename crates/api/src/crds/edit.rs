//! How the schema of another version differs from that of `v1beta1`.

use serde_json::{Map, Value, json};

use crate::rules::Rule;
use crate::schema::VALIDATIONS;

/// One difference. Paths are property names with dots between them, and `[]` for the items of a
/// list, as in `spec.stages[].name`; the empty path is the object itself.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edit {
    /// The version has no such field.
    Drop(&'static str),
    /// The version has these rules at this place, and no others.
    Rules(&'static str, &'static [Rule]),
    /// The version knows no config map envelopes, and no default for the type of an envelope.
    WithoutConfigMapEnvelopes,
}

impl Edit {
    /// Changes a schema.
    ///
    /// # Panics
    ///
    /// When the path leads nowhere: the tables of this crate would contradict its types.
    pub(super) fn apply(&self, schema: &mut Value) {
        match *self {
            Self::Drop(path) => drop_field(schema, path),
            Self::Rules(path, rules) => set_rules(node(schema, path), rules),
            Self::WithoutConfigMapEnvelopes => {
                let found = narrow_envelopes(schema);
                assert!(found > 0, "no envelope in the schema");
            }
        }
    }
}

fn node<'a>(schema: &'a mut Value, path: &str) -> &'a mut Value {
    let steps = path.split('.').filter(|step| !step.is_empty());
    steps.fold(schema, |at, step| {
        let name = step.trim_end_matches("[]");
        let field = at.pointer_mut(&format!("/properties/{name}"));
        let field = field.unwrap_or_else(|| panic!("no field {name} on the path {path}"));
        match step.strip_suffix("[]") {
            Some(_) => field.get_mut("items").unwrap_or_else(|| panic!("{name} is not a list")),
            None => field,
        }
    })
}

fn drop_field(schema: &mut Value, path: &str) {
    let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
    let parent = node(schema, parent);
    let removed = parent["properties"].as_object_mut().and_then(|fields| fields.remove(name));
    assert!(removed.is_some(), "no field to drop at {path}");
    if let Some(required) = parent.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|field| field != name);
    }
}

fn set_rules(node: &mut Value, rules: &[Rule]) {
    let node = node.as_object_mut().expect("a schema is an object");
    if rules.is_empty() {
        node.remove(VALIDATIONS);
    } else {
        node.insert(VALIDATIONS.to_owned(), json!(rules));
    }
}

/// Narrows every `envelope.type` below a node and tells how many there were.
fn narrow_envelopes(schema: &mut Value) -> usize {
    let Some(node) = schema.as_object_mut() else { return 0 };
    let mut found = 0;
    if let Some(kind) = envelope_type(node) {
        kind.remove("default");
        let values = kind.get_mut("enum").and_then(Value::as_array_mut);
        values.expect("the type is an enum").retain(|value| value != "ConfigMap");
        found += 1;
    }
    if let Some(items) = node.get_mut("items") {
        found += narrow_envelopes(items);
    }
    if let Some(properties) = node.get_mut("properties").and_then(Value::as_object_mut) {
        found += properties.values_mut().map(narrow_envelopes).sum::<usize>();
    }
    found
}

fn envelope_type(node: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    let envelope = node.get_mut("properties")?.get_mut("envelope")?;
    envelope.pointer_mut("/properties/type")?.as_object_mut()
}
