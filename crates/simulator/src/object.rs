//! Reading and writing the parts that every Kubernetes object has, in plain JSON.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use uuid::Uuid;

/// A JSON object.
pub(crate) type Object = Map<String, Value>;

/// Field access with the names of `metadata`; absent and ill-typed read as empty.
pub(crate) trait Meta {
    fn meta(&self) -> Option<&Object>;
    fn meta_mut(&mut self) -> &mut Object;

    fn meta_str(&self, field: &str) -> &str {
        self.meta().and_then(|meta| meta.get(field)).and_then(Value::as_str).unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.meta_str("name")
    }

    fn namespace(&self) -> &str {
        self.meta_str("namespace")
    }

    fn uid(&self) -> Option<Uuid> {
        Uuid::parse_str(self.meta_str("uid")).ok()
    }

    fn generation(&self) -> i64 {
        self.meta().and_then(|meta| meta.get("generation")).and_then(Value::as_i64).unwrap_or(0)
    }

    fn is_terminating(&self) -> bool {
        !self.meta_str("deletionTimestamp").is_empty()
    }

    fn finalizers(&self) -> Vec<&str> {
        let list = self.meta().and_then(|meta| meta.get("finalizers")).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let labels = self.meta().and_then(|meta| meta.get("labels")).and_then(Value::as_object);
        let pairs = labels.into_iter().flatten();
        pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    }

    fn owner_references(&self) -> &[Value] {
        let list =
            self.meta().and_then(|meta| meta.get("ownerReferences")).and_then(Value::as_array);
        list.map_or(&[], Vec::as_slice)
    }

    fn set_meta(&mut self, field: &str, value: impl Into<Value>) {
        self.meta_mut().insert(field.to_owned(), value.into());
    }

    fn remove_meta(&mut self, field: &str) {
        self.meta_mut().remove(field);
    }

    /// Copies a metadata field of another object, or removes it when the other has none.
    fn copy_meta(&mut self, field: &str, other: &Value) {
        match other.meta().and_then(|meta| meta.get(field)) {
            Some(value) => {
                self.meta_mut().insert(field.to_owned(), value.clone());
            }
            None => self.remove_meta(field),
        }
    }

    fn set_finalizers(&mut self, finalizers: &[String]) {
        if finalizers.is_empty() {
            self.remove_meta("finalizers");
        } else {
            self.set_meta("finalizers", finalizers.to_vec());
        }
    }
}

impl Meta for Value {
    fn meta(&self) -> Option<&Object> {
        self.get("metadata").and_then(Value::as_object)
    }

    fn meta_mut(&mut self) -> &mut Object {
        child_object(self, "metadata")
    }
}

/// The named child as an object; created when it is missing or of another type.
pub(crate) fn child_object<'a>(parent: &'a mut Value, name: &str) -> &'a mut Object {
    let child = as_object_mut(parent).entry(name).or_insert_with(|| Value::Object(Map::new()));
    as_object_mut(child)
}

/// The value as an object; replaced by an empty one when it is of another type.
pub(crate) fn as_object_mut(value: &mut Value) -> &mut Object {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("it was made an object above")
}

/// Inserts the value unless the field is there with something other than null.
pub(crate) fn default_field(object: &mut Object, field: &str, value: impl Into<Value>) {
    let slot = object.entry(field).or_insert(Value::Null);
    if slot.is_null() {
        *slot = value.into();
    }
}

/// The value at a dotted path such as `spec.template.spec`.
pub(crate) fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').filter(|step| !step.is_empty()).try_fold(value, |it, step| it.get(step))
}

/// Sets the value at a dotted path and makes the objects on the way.
pub(crate) fn set_at(value: &mut Value, path: &str, new: Value) {
    let mut place = value;
    for step in path.split('.').filter(|step| !step.is_empty()) {
        place = as_object_mut(place).entry(step).or_insert(Value::Null);
    }
    *place = new;
}

/// Removes null members everywhere: what a typed decoder of the API server would not see.
pub(crate) fn drop_nulls(value: &mut Value) {
    if let Some(object) = value.as_object_mut() {
        object.retain(|_, child| !child.is_null());
        object.values_mut().for_each(drop_nulls);
    } else if let Some(list) = value.as_array_mut() {
        list.iter_mut().for_each(drop_nulls);
    }
}
