//! The garbage collector: what becomes of objects when their owners go.

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::Cluster;
use super::delete::{FOREGROUND, ORPHAN};
use crate::object::Meta;
use crate::store::ObjectKey;

/// How an owner reference stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// Lives.
    Solid,
    /// Is not there.
    Absent,
    /// Goes, and waits for its dependents.
    Waiting,
}

impl Cluster {
    /// Deletes the object when none of its owners lives; drops references to dead owners when
    /// one does.
    pub(super) fn check_owners(&mut self, now: Timestamp, key: &ObjectKey) {
        let Some(mut object) = self.store.get(key).map(|it| it.value()) else { return };
        let states: Vec<Owner> =
            object.owner_references().iter().map(|it| self.owner_state(it, key)).collect();
        if states.is_empty() || states.iter().all(|it| *it == Owner::Solid) {
            return;
        }
        if !states.contains(&Owner::Solid) {
            self.delete_by_controller(now, key);
            return;
        }
        let kept = object.owner_references().iter().zip(&states);
        let kept: Vec<Value> =
            kept.filter(|(_, it)| **it == Owner::Solid).map(|(it, _)| it.clone()).collect();
        object.set_meta("ownerReferences", kept);
        self.put(now, key, object);
    }

    fn owner_state(&self, reference: &Value, dependent: &ObjectKey) -> Owner {
        let uid = reference["uid"].as_str().and_then(|it| Uuid::parse_str(it).ok());
        let Some(key) = uid.and_then(|uid| self.store.by_uid(&uid)) else { return Owner::Absent };
        // An owner lies in the same namespace or in none; elsewhere it does not count.
        let reachable =
            key.name.namespace.is_empty() || key.name.namespace == dependent.name.namespace;
        if !reachable {
            return Owner::Absent;
        }
        let Some(owner) = self.store.get(key).map(|it| it.value()) else { return Owner::Absent };
        if owner.is_terminating() && owner.finalizers().contains(&FOREGROUND) {
            Owner::Waiting
        } else {
            Owner::Solid
        }
    }

    /// Deals with the dependents of an owner that is gone, or is going and waits for them.
    pub(super) fn collect_dependents(&mut self, now: Timestamp, owner: Uuid) {
        let dependents = self.store.dependents(&owner).to_vec();
        let live = self.store.by_uid(&owner).cloned();
        let live = live.and_then(|key| Some((self.store.get(&key)?.value(), key)));
        let Some((object, key)) = live else {
            for dependent in dependents {
                self.check_owners(now, &dependent);
            }
            return;
        };
        if !object.is_terminating() {
            return;
        }
        if object.finalizers().contains(&ORPHAN) {
            for dependent in dependents {
                self.disown(now, &dependent, owner);
            }
            self.drop_finalizer(now, &key, object, ORPHAN);
        } else if object.finalizers().contains(&FOREGROUND) {
            for dependent in &dependents {
                self.check_owners(now, dependent);
            }
            if !self.has_blocking_dependents(owner) {
                self.drop_finalizer(now, &key, object, FOREGROUND);
            }
        }
    }

    fn disown(&mut self, now: Timestamp, dependent: &ObjectKey, owner: Uuid) {
        let Some(mut object) = self.store.get(dependent).map(|it| it.value()) else { return };
        let owner = owner.to_string();
        let kept = object.owner_references().iter().filter(|it| it["uid"] != owner.as_str());
        let kept: Vec<Value> = kept.cloned().collect();
        if kept.is_empty() {
            object.remove_meta("ownerReferences");
        } else {
            object.set_meta("ownerReferences", kept);
        }
        self.put(now, dependent, object);
    }

    /// Only dependents that say `blockOwnerDeletion` hold their owner.
    fn has_blocking_dependents(&self, owner: Uuid) -> bool {
        let owner_text = owner.to_string();
        let blocks = |key: &ObjectKey| {
            let Some(object) = self.store.get(key).map(|it| it.value()) else { return false };
            object
                .owner_references()
                .iter()
                .any(|it| it["uid"] == owner_text.as_str() && it["blockOwnerDeletion"] == true)
        };
        self.store.dependents(&owner).iter().any(blocks)
    }
}
