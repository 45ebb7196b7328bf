//! Server-side apply: who owns which field, and what an apply or an update does to that.
//!
//! The algorithms follow sigs.k8s.io/structured-merge-diff (`merge/update.go`) and the field
//! manager of k8s.io/apimachinery. Left out: capping the number of update managers, and
//! conversion of field sets between versions (versions of a CRD share their field names here).

mod compare;
mod field_set;
mod managed_fields;
mod merge;

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::error::{ApiError, Cause};
use crate::object::{Meta, Object};
use crate::schema::{Schema, zero_value};
use compare::{compare, field_set_of};
pub(crate) use field_set::{FieldSet, repeated_item};
pub(crate) use managed_fields::{ManagedFields, Manager, Operation};
use merge::{merge, remove_items};

/// The manager that owns everything that was written before the first apply of an object that
/// has no managed fields.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Applies a configuration to the live object: the new object with its managed fields.
pub(crate) fn apply(
    live: &Value,
    config: &Value,
    schema: &Schema,
    manager: &Manager,
    force: bool,
) -> Result<Value, ApiError> {
    let mut managed = ManagedFields::of(live);
    if managed.is_empty() && live.uid().is_some() {
        let manager = Manager { name: BEFORE_FIRST_APPLY.to_owned(), ..manager.as_update() };
        managed.set(manager, owned(field_set_of(live, schema)));
    }
    let mut config = config.clone();
    config.remove_meta("managedFields");
    // Names and the like belong to nobody, but while they are configured they keep `metadata`.
    let configured = field_set_of(&config, schema);
    let last = managed.get(manager).cloned();
    managed.set(manager.clone(), configured.clone());
    let merged = merge(Some(live), &config, schema);
    let new = match last {
        Some(last) if !last.is_empty() => prune(merged, &managed, &last, schema),
        _ => merged,
    };
    let conflicts = settle(&mut managed, live, &new, schema, manager, force);
    if !conflicts.is_empty() {
        return Err(conflict_error(&conflicts));
    }
    // Who applies what is there already changes nothing, and gets no time for it.
    let without_managers = |object: &Value| {
        let mut object = object.clone();
        object.remove_meta("managedFields");
        object
    };
    let mut manager = manager.clone();
    if live.uid().is_some() && without_managers(live) == without_managers(&new) {
        manager.time = ManagedFields::of(live).time_of(&manager).unwrap_or_default();
    }
    let set = within_subresource(owned(configured), &manager);
    managed.set(manager, set);
    Ok(managed.write_to(new, live))
}

/// Records what a plain write changed: the writer takes what it added or modified.
pub(crate) fn record_update(
    live: Option<&Value>,
    new: Value,
    schema: &Schema,
    manager: &Manager,
) -> Value {
    let created = live.is_none();
    let skeleton = zero_value(schema);
    let live = live.unwrap_or(&skeleton);
    let mut managed = match asked_managers(&new, live) {
        Asked::Reset => {
            let mut new = new;
            new.remove_meta("managedFields");
            return new;
        }
        Asked::Keep(managed) => managed,
    };
    if managed.is_empty() && !created {
        // An object whose managers were wiped is not tracked until somebody applies.
        let mut new = new;
        new.remove_meta("managedFields");
        return new;
    }
    settle(&mut managed, live, &new, schema, manager, true);
    let changes = compare(live, &new, schema);
    let before = managed.get(manager).cloned().unwrap_or_default();
    let now_owned =
        before.difference(&changes.removed).union(&changes.modified).union(&changes.added);
    let now_owned = within_subresource(owned(now_owned), manager);
    managed.set(manager.clone(), now_owned);
    managed.write_to(new, live)
}

enum Asked {
    Reset,
    Keep(ManagedFields),
}

/// A writer may edit the managers: an empty list, or a list of one empty entry, clears them.
fn asked_managers(new: &Value, live: &Value) -> Asked {
    let written = new.meta().and_then(|meta| meta.get("managedFields")).and_then(Value::as_array);
    let is_empty_entry = |it: &Value| it.as_object().is_some_and(Object::is_empty);
    match written.map(Vec::as_slice) {
        Some([]) => Asked::Reset,
        Some([entry]) if is_empty_entry(entry) => Asked::Reset,
        Some(_) => Asked::Keep(ManagedFields::of(new)),
        None => Asked::Keep(ManagedFields::of(live)),
    }
}

/// Fields that belong to nobody.
fn owned(mut set: FieldSet) -> FieldSet {
    const SYSTEM: &[&str] = &[
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ];
    set.remove_child("f:apiVersion");
    set.remove_child("f:kind");
    if let Some(metadata) = set.child_mut("f:metadata") {
        metadata.member = false;
        for field in SYSTEM {
            metadata.remove_child(&format!("f:{field}"));
        }
    }
    set.without_empty_nodes()
}

/// A write to `status` can own little else.
fn within_subresource(mut set: FieldSet, manager: &Manager) -> FieldSet {
    if manager.subresource == "status" {
        set.retain_children(|element| {
            element == "f:status" || (manager.carries_metadata && element == "f:metadata")
        });
    }
    set
}

/// Drops what the manager applied before and does not any more, unless others own it too.
fn prune(merged: Value, managed: &ManagedFields, last: &FieldSet, schema: &Schema) -> Value {
    let last = last.with_named_fields(schema);
    let everything = field_set_of(&merged, schema).with_named_fields(schema);
    let named_of = |value: &Value| field_set_of(value, schema).with_named_fields(schema);

    let pruned = remove_items(merged.clone(), &last, schema);
    let gone = everything.difference(&named_of(&pruned));
    let nobodys = gone.difference(&managed.union_of_all().with_named_fields(schema));
    let pruned = remove_items(merged.clone(), &nobodys, schema);

    let gone = everything.difference(&named_of(&pruned));
    remove_items(merged, &gone.intersection(&last), schema)
}

/// Takes changed fields away from the other managers. Without force nothing is taken, and the
/// fields that would have been are returned.
fn settle(
    managed: &mut ManagedFields,
    live: &Value,
    new: &Value,
    schema: &Schema,
    manager: &Manager,
    force: bool,
) -> Vec<(Manager, FieldSet)> {
    let changes = compare(live, new, schema);
    let touched = changes.modified.union(&changes.added);
    let conflicts: Vec<(Manager, FieldSet)> = managed
        .others(manager)
        .map(|(other, set)| (other.clone(), set.intersection(&touched)))
        .filter(|(_, set)| !set.is_empty())
        .collect();
    if !force && !conflicts.is_empty() {
        return conflicts;
    }
    let lost = touched.union(&changes.removed);
    managed.take_from_others(manager, &lost);
    Vec::new()
}

fn conflict_error(conflicts: &[(Manager, FieldSet)]) -> ApiError {
    let mut conflicts: Vec<_> = conflicts.iter().collect();
    conflicts.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
    let mut causes = Vec::new();
    let mut lines = Vec::new();
    for (manager, set) in conflicts {
        let manager = manager.described();
        lines.push(format!("conflicts with {manager}:"));
        for path in set.paths() {
            lines.push(format!("- {path}"));
            let message = format!("conflict with {manager}");
            causes.push(Cause::new("FieldManagerConflict", &path, message));
        }
    }
    let message = match causes.as_slice() {
        [one] => format!("Apply failed with 1 conflict: {}: {}", one.message, one.field),
        many => format!("Apply failed with {} conflicts: {}", many.len(), lines.join("\n")),
    };
    ApiError::plain(409, "Conflict", message).with_causes(&causes)
}
