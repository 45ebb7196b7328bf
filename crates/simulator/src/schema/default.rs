//! Structural defaulting of custom resources.

use serde_json::Value;

use super::Schema;

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
