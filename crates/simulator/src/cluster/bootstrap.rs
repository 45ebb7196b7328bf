//! The objects that a kube-apiserver makes for itself: roles, priorities, flow schemas,
//! APIServices. Taken from a kube-apiserver 1.36 that had just started.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::Cluster;
use crate::object::Meta;
use crate::registry::Resource;
use crate::store::{ObjectKey, ObjectName};
use crate::time::seconds;

/// One object a line, without what differs between servers.
const OBJECTS: &str = include_str!("../../data/bootstrap.json");

impl Cluster {
    /// Puts the objects in, as far as their kinds are served.
    pub(super) fn bootstrap(&mut self, now: Timestamp) {
        let objects: Vec<Value> = serde_json::from_str(OBJECTS)
            .expect("data/bootstrap.json is part of the crate and is JSON");
        for mut object in objects {
            let api_version = object["apiVersion"].as_str().unwrap_or_default();
            let kind = &object["kind"];
            let is_of_kind =
                |it: &&Arc<Resource>| it.api_version() == api_version && it.kind == *kind;
            let collection = self.registry.all().find(is_of_kind).map(|it| it.collection());
            let Some(collection) = collection else { continue };
            let conditions = object.pointer_mut("/status/conditions");
            let conditions = conditions.and_then(Value::as_array_mut);
            for condition in conditions.into_iter().flatten() {
                condition["lastTransitionTime"] = seconds(now).into();
            }
            let (namespace, name) = (object.namespace().to_owned(), object.name().to_owned());
            let key = ObjectKey { collection, name: ObjectName { namespace, name } };
            self.put_own(now, &key, object);
        }
    }
}
