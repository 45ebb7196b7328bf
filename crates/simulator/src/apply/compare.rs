//! Which paths a value holds, and which differ between two values.

use serde_json::Value;

use super::field_set::{FieldSet, field_element, item_element};
use crate::schema::{ListKind, Schema};

/// The paths that differ.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) removed: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) added: FieldSet,
}

/// The paths that an applied configuration claims: leaves, empty maps, and list items.
pub(super) fn field_set_of(value: &Value, schema: &Schema) -> FieldSet {
    let mut set = FieldSet::default();
    claim(value, schema, &mut Vec::new(), &mut set);
    set
}

fn claim(value: &Value, schema: &Schema, path: &mut Vec<String>, set: &mut FieldSet) {
    if let Some(object) = value.as_object().filter(|_| !schema.atomic_map) {
        for (name, child) in object {
            path.push(field_element(name));
            claim(child, schema.member(name), path, set);
            let is_bare = child.is_null() || child.as_object().is_some_and(|it| it.is_empty());
            if is_bare || !schema.declares(name) {
                set.insert(path);
            }
            path.pop();
        }
    } else if let Some(list) = value.as_array().filter(|_| schema.list != ListKind::Atomic) {
        for item in list {
            let Some(element) = item_element(item, schema) else { continue };
            path.push(element);
            claim(item, schema.item(), path, set);
            set.insert(path);
            path.pop();
        }
    } else {
        set.insert(path);
    }
}

/// Compares two objects of the same type.
pub(super) fn compare(old: &Value, new: &Value, schema: &Schema) -> Comparison {
    let mut comparison = Comparison::default();
    compare_at(Some(old), Some(new), schema, &mut Vec::new(), &mut comparison);
    comparison
}

fn compare_at(
    old: Option<&Value>,
    new: Option<&Value>,
    schema: &Schema,
    path: &mut Vec<String>,
    out: &mut Comparison,
) {
    if old == new {
        return;
    }
    let old_parts = old.and_then(|value| parts(value, schema));
    let new_parts = new.and_then(|value| parts(value, schema));
    match (old, new) {
        (None, _) => out.added.insert(path),
        (_, None) => out.removed.insert(path),
        _ if old_parts.is_none() || new_parts.is_none() => out.modified.insert(path),
        _ => {}
    }
    let (old_parts, new_parts) = (old_parts.unwrap_or_default(), new_parts.unwrap_or_default());
    for part in &old_parts {
        let twin = new_parts.iter().find(|it| it.element == part.element).map(|it| it.value);
        descend(part, Some(part.value), twin, path, out);
    }
    for part in &new_parts {
        if !old_parts.iter().any(|it| it.element == part.element) {
            descend(part, None, Some(part.value), path, out);
        }
    }
}

fn descend(
    part: &Part<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
    path: &mut Vec<String>,
    out: &mut Comparison,
) {
    path.push(part.element.clone());
    compare_at(old, new, part.schema, path, out);
    path.pop();
}

struct Part<'a> {
    element: String,
    value: &'a Value,
    schema: &'a Schema,
}

/// The separately owned parts of a map or list; `None` for what is owned as a whole.
fn parts<'a>(value: &'a Value, schema: &'a Schema) -> Option<Vec<Part<'a>>> {
    if let Some(object) = value.as_object().filter(|_| !schema.atomic_map) {
        let part = |(name, value): (&String, &'a Value)| Part {
            element: field_element(name),
            value,
            schema: schema.member(name),
        };
        return Some(object.iter().map(part).collect());
    }
    let list = value.as_array().filter(|_| schema.list != ListKind::Atomic)?;
    let part = |value: &'a Value| {
        Some(Part { element: item_element(value, schema)?, value, schema: schema.item() })
    };
    list.iter().map(part).collect()
}
