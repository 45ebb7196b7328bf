//! Events have two faces, core/v1 and events.k8s.io/v1, over one collection. They are kept in
//! the core form.

use serde_json::Value;

use crate::object::as_object_mut;
use crate::registry::Resource;

/// Field names: core/v1, events.k8s.io/v1.
const RENAMED: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// Whether the resource shows stored events under other field names.
pub(super) fn is_second_face(resource: &Resource) -> bool {
    resource.is("events.k8s.io", "events")
}

/// From the core form to events.k8s.io.
pub(super) fn to_second_face(event: Value) -> Value {
    renamed(event, RENAMED.iter().copied())
}

/// From events.k8s.io to the core form.
pub(super) fn to_stored(mut event: Value) -> Value {
    event = renamed(event, RENAMED.iter().map(|&(core, other)| (other, core)));
    event["apiVersion"] = Value::String("v1".to_owned());
    event
}

fn renamed<'a>(mut event: Value, names: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    let fields = as_object_mut(&mut event);
    for (from, to) in names {
        if let Some(value) = fields.remove(from) {
            fields.insert(to.to_owned(), value);
        }
    }
    event
}
