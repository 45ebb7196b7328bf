//! `metadata.managedFields`: the managers of an object and the fields of each.

use serde_json::{Value, json};

use super::field_set::FieldSet;
use crate::object::Meta;

/// Who writes, and how. Time is not part of the identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manager {
    pub(crate) name: String,
    pub(crate) operation: Operation,
    pub(crate) api_version: String,
    pub(crate) subresource: String,
    /// When: `metav1.Time` text.
    pub(crate) time: String,
    /// Whether metadata that is written with the status is owned as well.
    pub(crate) carries_metadata: bool,
}

/// The two kinds of ownership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Apply,
    Update,
}

impl Manager {
    pub(crate) fn as_update(&self) -> Self {
        Self { operation: Operation::Update, ..self.clone() }
    }

    /// An applier keeps its fields when it moves to another version of the API.
    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name
            && self.operation == other.operation
            && self.subresource == other.subresource
            && (self.operation == Operation::Apply || self.api_version == other.api_version)
    }

    /// The manager as conflict messages name it.
    pub(crate) fn described(&self) -> String {
        let mut text = format!("{:?}", self.name);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == Operation::Update {
            text.push_str(&format!(" using {}", self.api_version));
        }
        text
    }
}

/// The decoded list.
#[derive(Debug, Clone, Default)]
pub(crate) struct ManagedFields {
    entries: Vec<(Manager, FieldSet)>,
}

impl ManagedFields {
    pub(crate) fn of(object: &Value) -> Self {
        let list = object.meta().and_then(|meta| meta.get("managedFields"));
        let entries = list.and_then(Value::as_array).into_iter().flatten();
        Self { entries: entries.map(decode).collect() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn get(&self, manager: &Manager) -> Option<&FieldSet> {
        self.entries.iter().find(|(it, _)| it.is_same(manager)).map(|(_, set)| set)
    }

    /// When the manager last changed something.
    pub(crate) fn time_of(&self, manager: &Manager) -> Option<String> {
        let entry = self.entries.iter().find(|(it, _)| it.is_same(manager));
        entry.map(|(it, _)| it.time.clone())
    }

    pub(crate) fn set(&mut self, manager: Manager, set: FieldSet) {
        match self.entries.iter_mut().find(|(it, _)| it.is_same(&manager)) {
            Some(entry) => *entry = (manager, set),
            None => self.entries.push((manager, set)),
        }
    }

    pub(crate) fn others<'a>(
        &'a self,
        manager: &'a Manager,
    ) -> impl Iterator<Item = &'a (Manager, FieldSet)> {
        self.entries.iter().filter(|(it, _)| !it.is_same(manager))
    }

    pub(crate) fn take_from_others(&mut self, manager: &Manager, lost: &FieldSet) {
        for (other, set) in &mut self.entries {
            if !other.is_same(manager) {
                *set = set.difference(lost);
            }
        }
    }

    pub(crate) fn union_of_all(&self) -> FieldSet {
        self.entries.iter().fold(FieldSet::default(), |all, (_, set)| all.union(set))
    }

    /// Puts the list into the object. A manager whose fields did not change keeps its time, so
    /// that a write without effect leaves the object as it is.
    pub(crate) fn write_to(self, mut object: Value, live: &Value) -> Value {
        let before = Self::of(live);
        let mut entries: Vec<(Manager, FieldSet)> =
            self.entries.into_iter().filter(|(_, set)| !set.is_empty()).collect();
        for (manager, set) in &mut entries {
            let old = before.entries.iter().find(|(it, _)| it.is_same(manager));
            if let Some((old, _)) =
                old.filter(|(it, old_set)| old_set == set && it.api_version == manager.api_version)
            {
                manager.time.clone_from(&old.time);
            }
        }
        entries.sort_by(|(a, _), (b, _)| {
            let key = |it: &Manager| (it.operation, it.time.clone(), it.name.clone());
            key(a).cmp(&key(b)).then_with(|| a.subresource.cmp(&b.subresource))
        });
        if entries.is_empty() {
            object.remove_meta("managedFields");
        } else {
            let list: Vec<Value> = entries.iter().map(encode).collect();
            object.set_meta("managedFields", list);
        }
        object
    }
}

fn decode(entry: &Value) -> (Manager, FieldSet) {
    let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    let manager = Manager {
        name: text("manager"),
        operation: match entry["operation"].as_str() {
            Some("Apply") => Operation::Apply,
            _ => Operation::Update,
        },
        api_version: text("apiVersion"),
        subresource: text("subresource"),
        time: text("time"),
        carries_metadata: false,
    };
    (manager, FieldSet::from_fields_v1(&entry["fieldsV1"]))
}

fn encode((manager, set): &(Manager, FieldSet)) -> Value {
    let mut entry = json!({
        "manager": manager.name,
        "operation": format!("{:?}", manager.operation),
        "apiVersion": manager.api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": set.to_fields_v1(),
    });
    if !manager.time.is_empty() {
        entry["time"] = json!(manager.time);
    }
    if !manager.subresource.is_empty() {
        entry["subresource"] = json!(manager.subresource);
    }
    entry
}
