//! Manifests in YAML, as people apply them with kubectl.

use kube::Client;
use serde::Deserialize;
use serde_json::Value;

use crate::inventory::{Kinds, ObjectKey};
use crate::raw;

/// The objects of a text with several documents.
///
/// # Panics
/// It is not YAML.
#[must_use]
pub fn read(text: &str) -> Vec<Value> {
    let documents = serde_yaml_ng::Deserializer::from_str(text);
    let objects = documents.map(|one| Value::deserialize(one).expect("a manifest is YAML"));
    objects.filter(|object| !object.is_null()).collect()
}

/// Applies objects one after the other, in the order in which a person would: what others need
/// first, what intercepts requests last.
///
/// # Panics
/// The cluster refuses one of them.
pub async fn apply(client: &Client, objects: &[Value]) {
    let kinds = Kinds::of(client).await.expect("the cluster answers");
    let mut in_order: Vec<&Value> = objects.iter().collect();
    in_order.sort_by_key(|object| match object["kind"].as_str() {
        Some("Namespace") => 0,
        Some("APIService" | "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration") => 2,
        _ => 1,
    });
    for object in in_order {
        let key = ObjectKey::of(object);
        let path = kinds.path_of(&key).unwrap_or_else(|| panic!("{key}: the kind is not served"));
        raw::apply(client, &path, object).await;
    }
}
