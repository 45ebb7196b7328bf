//! Defaulting: structural for custom resources, and what Go writes anyway for built-in kinds.

use serde_json::Value;

use super::{Base, Property, Schema};

/// Fills in the defaults of declared fields, depth first; a null that may not be null is
/// replaced by the default, or dropped when there is none, as the API server does.
pub(crate) fn apply_defaults(value: &mut Value, schema: &Schema) {
    if let Some(object) = value.as_object_mut() {
        for (name, property) in &schema.properties {
            let nullable = property.link.get().nullable;
            let missing = object.get(name).is_none_or(|it| it.is_null() && !nullable);
            match &property.default {
                Some(default) if missing => {
                    object.insert(name.clone(), default.clone());
                }
                _ => {}
            }
        }
        for (name, child) in object.iter_mut() {
            apply_defaults(child, schema.member(name));
        }
    } else if let Some(list) = value.as_array_mut() {
        list.iter_mut().for_each(|item| apply_defaults(item, schema.item()));
    }
}

/// Fills in the fields of a built-in type that Go writes even when they are empty: structs that
/// are not behind a pointer, and numbers that are not left out when they are zero.
pub(crate) fn fill_zero_fields(value: &mut Value, schema: &Schema) {
    if let Some(object) = value.as_object_mut() {
        for (name, property) in &schema.properties {
            let required = schema.rules.required.contains(name);
            // Go writes a list that it does not leave out as null when there is none.
            if required && property.link.get().base == Base::Array && !object.contains_key(name) {
                object.insert(name.clone(), Value::Null);
            } else if !object.contains_key(name)
                && let Some(zero) = zero_of(property, required)
            {
                object.insert(name.clone(), zero.clone());
            }
        }
        for (name, child) in object.iter_mut() {
            fill_zero_fields(child, schema.member(name));
        }
    } else if let Some(list) = value.as_array_mut() {
        list.iter_mut().for_each(|item| fill_zero_fields(item, schema.item()));
    }
}

/// What is there before anything was written: an object of the type with its zero fields, and
/// with the lists that Go never leaves out.
pub(crate) fn zero_value(schema: &Schema) -> Value {
    let mut zero = Value::Object(serde_json::Map::new());
    fill_zero_fields(&mut zero, schema);
    add_zero_lists(&mut zero, schema);
    zero
}

fn add_zero_lists(value: &mut Value, schema: &Schema) {
    let Some(object) = value.as_object_mut() else { return };
    for name in &schema.rules.required {
        if schema.member(name).base == Base::Array {
            object.insert(name.clone(), Value::Array(Vec::new()));
        }
    }
    for (name, child) in object.iter_mut() {
        add_zero_lists(child, schema.member(name));
    }
}

fn zero_of(property: &Property, required: bool) -> Option<&Value> {
    let default = property.default.as_ref()?;
    let is_struct = !property.link.get().properties.is_empty();
    let is_written = match default.as_str() {
        Some("") => required,
        Some(_) => true,
        None if default.is_object() => is_struct,
        None => true,
    };
    is_written.then_some(default)
}
