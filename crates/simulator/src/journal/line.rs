//! The lines of a journal: what happened to one object of one cluster, as JSON.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::registry::CollectionName;
use crate::store::{Commit, ObjectKey, ObjectName};

/// The first line of every journal.
pub(super) const HEADER: &str = r#"{"format":"simulator-journal/1"}"#;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line<'a> {
    #[serde(borrow)]
    pub(super) cluster: Cow<'a, str>,
    pub(super) revision: u64,
    #[serde(borrow)]
    pub(super) change: Change<'a>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Change<'a> {
    Put {
        #[serde(borrow)]
        key: Key<'a>,
        #[serde(borrow)]
        object: &'a RawValue,
    },
    Removed {
        #[serde(borrow)]
        key: Key<'a>,
    },
    /// Only the revision moved.
    Moved,
    /// The cluster left its fleet, with all its objects.
    Left,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Key<'a> {
    #[serde(borrow)]
    collection: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
}

impl<'a> Key<'a> {
    pub(super) fn of(key: &'a ObjectKey) -> Self {
        Self {
            collection: Cow::Borrowed(&key.collection.0),
            namespace: Cow::Borrowed(&key.name.namespace),
            name: Cow::Borrowed(&key.name.name),
        }
    }

    pub(super) fn to_object_key(&self) -> ObjectKey {
        let (namespace, name) = (self.namespace.to_string(), self.name.to_string());
        let collection = CollectionName(Arc::from(&*self.collection));
        ObjectKey { collection, name: ObjectName { namespace, name } }
    }
}

impl<'a> Line<'a> {
    pub(super) fn of(cluster: &'a str, revision: u64, commit: &'a Commit) -> Self {
        let change = match commit {
            Commit::Put(key, stored) => put(key, &stored.body),
            Commit::Removed(key) => Change::Removed { key: Key::of(key) },
            Commit::Moved => Change::Moved,
        };
        Self { cluster: Cow::Borrowed(cluster), revision, change }
    }

    /// Appends the line, with its end.
    pub(super) fn write_to(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(&mut *out, self).expect("memory takes text with string keys");
        out.push(b'\n');
    }
}

/// The body as it stands: compact JSON has no line breaks.
pub(super) fn put<'a>(key: &'a ObjectKey, body: &'a [u8]) -> Change<'a> {
    let object = serde_json::from_slice(body).expect("stored bodies are JSON");
    Change::Put { key: Key::of(key), object }
}
