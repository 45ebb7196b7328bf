//! Merging a configuration into an object, and cutting paths out of one.

use serde_json::Value;

use super::field_set::{FieldSet, field_element, item_element};
use crate::schema::{ListKind, Schema};

/// The live value with the configuration laid over it.
pub(super) fn merge(live: Option<&Value>, config: &Value, schema: &Schema) -> Value {
    let Some(live) = live else { return config.clone() };
    if let (Some(ours), Some(theirs)) = (live.as_object(), config.as_object())
        && !schema.atomic_map
    {
        let mut merged = ours.clone();
        for (name, value) in theirs {
            let value = merge(ours.get(name), value, schema.member(name));
            merged.insert(name.clone(), value);
        }
        return Value::Object(merged);
    }
    match (live.as_array(), config.as_array()) {
        (Some(ours), Some(theirs)) if schema.list != ListKind::Atomic => {
            Value::Array(merge_lists(ours, theirs, schema))
        }
        _ => config.clone(),
    }
}

/// Items of the configuration keep its order; items that only live has keep their places
/// between them.
fn merge_lists(ours: &[Value], theirs: &[Value], schema: &Schema) -> Vec<Value> {
    let element = |item: &Value| item_element(item, schema);
    let our_elements: Vec<_> = ours.iter().map(element).collect();
    let their_elements: Vec<_> = theirs.iter().map(element).collect();
    let mut merged = Vec::with_capacity(ours.len() + theirs.len());
    let mut next = 0;
    let mut take_theirs = |merged: &mut Vec<Value>, up_to_shared: bool| {
        while let (Some(item), Some(element)) = (theirs.get(next), their_elements.get(next)) {
            next += 1;
            let live = our_elements.iter().position(|it| it == element);
            merged.push(merge(live.map(|at| &ours[at]), item, schema.item()));
            if up_to_shared && live.is_some() {
                return;
            }
        }
    };
    for (item, element) in ours.iter().zip(&our_elements) {
        if their_elements.contains(element) {
            take_theirs(&mut merged, true);
        } else {
            merged.push(item.clone());
        }
    }
    take_theirs(&mut merged, false);
    merged
}

/// The value without the members of the set.
pub(super) fn remove_items(mut value: Value, set: &FieldSet, schema: &Schema) -> Value {
    if let Some(object) = value.as_object_mut().filter(|_| !schema.atomic_map) {
        let members = std::mem::take(object).into_iter();
        *object = members
            .filter_map(|(name, child)| {
                let below = set.child(&field_element(&name));
                let child = remaining(child, below, schema.member(&name))?;
                Some((name, child))
            })
            .collect();
    } else if let Some(list) = value.as_array_mut().filter(|_| schema.list != ListKind::Atomic) {
        let items = std::mem::take(list).into_iter();
        *list = items
            .filter_map(|item| {
                let element = item_element(&item, schema);
                let below = element.and_then(|element| set.child(&element));
                remaining(item, below, schema.item())
            })
            .collect();
    }
    value
}

/// What is left of a part, given the set below it; `None` when the part itself is in the set.
fn remaining(part: Value, below: Option<&FieldSet>, schema: &Schema) -> Option<Value> {
    match below {
        None => Some(part),
        Some(below) if below.member => None,
        Some(below) => Some(remove_items(part, below, schema)),
    }
}
