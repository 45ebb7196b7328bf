//! Kinds with two faces over one collection: the stored form, and another version of it with other
//! fields.

mod autoscalers;
mod events;

use serde_json::{Value, json};

use crate::registry::Resource;

/// Whether the resource shows stored objects under other field names.
pub(super) fn is_second_face(resource: &Resource) -> bool {
    events::is_second_face(resource) || autoscalers::is_second_face(resource)
}

/// From the stored form to that of the resource.
pub(super) fn to_second_face(resource: &Resource, object: Value) -> Value {
    match events::is_second_face(resource) {
        true => events::to_second_face(object),
        false => autoscalers::to_second_face(object),
    }
}

/// To the stored form.
pub(super) fn to_stored(resource: &Resource, mut object: Value) -> Value {
    if events::is_second_face(resource) {
        return events::to_stored(object);
    }
    if autoscalers::is_second_face(resource) {
        object = autoscalers::to_stored(object);
    }
    object["apiVersion"] = json!(resource.stored_api_version());
    object
}
