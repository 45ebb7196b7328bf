//! Objects of one cluster with their recent history, kept as JSON text.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use uuid::Uuid;

use crate::object::Meta;
use crate::registry::CollectionName;

/// Namespace (empty for cluster-scoped kinds) and name. The order is that of lists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ObjectName {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// An object among all objects of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ObjectKey {
    pub(crate) collection: CollectionName,
    pub(crate) name: ObjectName,
}

/// One version of one object. What selection and ownership need is kept beside the text.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) uid: Uuid,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) body: Bytes,
}

impl Stored {
    /// The object; the text was written by this crate.
    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.body).expect("stored bodies are written from JSON values")
    }
}

/// What happened to an object at a revision.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) name: ObjectName,
    pub(crate) before: Option<Arc<Stored>>,
    /// For a deletion the last state, with the revision of the deletion.
    pub(crate) after: Arc<Stored>,
    pub(crate) deleted: bool,
}

/// A committed change, for whoever keeps the cluster beyond its process.
#[derive(Debug, Clone)]
pub(crate) enum Commit {
    /// The object is this from now on.
    Put(ObjectKey, Arc<Stored>),
    /// The object is gone.
    Removed(ObjectKey),
    /// Only the revision moved.
    Moved,
}

/// What was kept of a cluster: the last state of each object, as text.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) revision: u64,
    pub(crate) objects: BTreeMap<ObjectKey, Bytes>,
}

/// The objects of one kind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Collection {
    pub(crate) objects: BTreeMap<ObjectName, Arc<Stored>>,
    pub(crate) history: VecDeque<Change>,
    /// Changes up to this revision are no longer in the history.
    pub(crate) forgotten: u64,
}

/// The history of a kind does not reach back to the asked revision.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Forgotten {
    pub(crate) oldest: u64,
}

impl Collection {
    /// The changes after the revision, oldest first.
    pub(crate) fn since(&self, revision: u64) -> Result<impl Iterator<Item = &Change>, Forgotten> {
        if revision < self.forgotten {
            return Err(Forgotten { oldest: self.forgotten });
        }
        let first = self.history.partition_point(|change| change.revision <= revision);
        Ok(self.history.range(first..))
    }

    /// The objects as they were at the revision.
    pub(crate) fn at(
        &self,
        revision: u64,
    ) -> Result<BTreeMap<&ObjectName, &Arc<Stored>>, Forgotten> {
        let mut objects: BTreeMap<_, _> = self.objects.iter().collect();
        let later: Vec<&Change> = self.since(revision)?.collect();
        for change in later.into_iter().rev() {
            match &change.before {
                Some(before) => objects.insert(&change.name, before),
                None => objects.remove(&change.name),
            };
        }
        Ok(objects)
    }

    fn forget_until(&mut self, revision: u64) {
        let first = self.history.partition_point(|change| change.revision <= revision);
        self.history.drain(..first);
        self.forgotten = self.forgotten.max(revision);
    }

    fn remember(&mut self, change: Change, window: usize) {
        self.history.push_back(change);
        while self.history.len() > window {
            if let Some(gone) = self.history.pop_front() {
                self.forgotten = gone.revision;
            }
        }
    }
}

/// All objects of a cluster, with the indexes that garbage collection walks.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    collections: BTreeMap<CollectionName, Collection>,
    by_uid: BTreeMap<Uuid, ObjectKey>,
    dependents: BTreeMap<Uuid, Vec<ObjectKey>>,
    revision: u64,
    /// How many changes of each kind can be watched from the past.
    window: usize,
    /// What stands for a kind that has no collection yet. Its history is as forgotten as that of
    /// the others: there may have been objects before.
    nothing: Collection,
    /// Commits with their revisions since they were last taken; `None` when nobody keeps them.
    commits: Option<Vec<(u64, Commit)>>,
}

impl Store {
    pub(crate) fn new(window: usize) -> Self {
        Self {
            collections: BTreeMap::new(),
            by_uid: BTreeMap::new(),
            dependents: BTreeMap::new(),
            revision: 1,
            window,
            nothing: Collection::default(),
            commits: None,
        }
    }

    /// From now on commits are there to be taken.
    pub(crate) fn keep_commits(&mut self) {
        self.commits = Some(Vec::new());
    }

    /// What was committed since the last call, with revisions.
    pub(crate) fn take_commits(&mut self) -> Vec<(u64, Commit)> {
        self.commits.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn commit(&mut self, commit: impl FnOnce() -> Commit) {
        if let Some(commits) = &mut self.commits {
            commits.push((self.revision, commit()));
        }
    }

    /// Fills the empty store with what was kept, and returns the objects. Nothing from before
    /// can be watched.
    pub(crate) fn restore(&mut self, kept: Kept) -> Vec<(ObjectKey, Value)> {
        let mut restored = Vec::with_capacity(kept.objects.len());
        for (key, body) in kept.objects {
            let stored = Stored { uid: Uuid::nil(), labels: BTreeMap::new(), body };
            let object = stored.value();
            let (uid, labels) = (object.uid().unwrap_or_default(), object.labels());
            let stored = Arc::new(Stored { uid, labels, ..stored });
            self.index(&key, uid, &object);
            let collection = self.collections.entry(key.collection.clone()).or_default();
            collection.objects.insert(key.name.clone(), stored);
            restored.push((key, object));
        }
        self.revision = self.revision.max(kept.revision);
        self.forget_history();
        restored
    }

    /// The revision of the latest change.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn collection(&self, name: &CollectionName) -> &Collection {
        self.collections.get(name).unwrap_or(&self.nothing)
    }

    pub(crate) fn collections(&self) -> impl Iterator<Item = (&CollectionName, &Collection)> {
        self.collections.iter()
    }

    pub(crate) fn get(&self, key: &ObjectKey) -> Option<&Arc<Stored>> {
        self.collection(&key.collection).objects.get(&key.name)
    }

    pub(crate) fn by_uid(&self, uid: &Uuid) -> Option<&ObjectKey> {
        self.by_uid.get(uid)
    }

    /// Objects that name the uid as an owner.
    pub(crate) fn dependents(&self, uid: &Uuid) -> &[ObjectKey] {
        self.dependents.get(uid).map_or(&[], Vec::as_slice)
    }

    /// Writes the object with the next resource version, and returns it.
    pub(crate) fn put(&mut self, key: &ObjectKey, mut object: Value) -> Value {
        self.revision += 1;
        object.set_meta("resourceVersion", self.revision.to_string());
        let stored = Arc::new(self.stored(&object));
        let uid = stored.uid;
        self.commit(|| Commit::Put(key.clone(), stored.clone()));
        let forgotten = self.nothing.forgotten;
        let fresh = || Collection { forgotten, ..Collection::default() };
        let collection = self.collections.entry(key.collection.clone()).or_insert_with(fresh);
        let before = collection.objects.insert(key.name.clone(), stored.clone());
        let (revision, name) = (self.revision, key.name.clone());
        let change =
            Change { revision, name, before: before.clone(), after: stored, deleted: false };
        collection.remember(change, self.window);
        if let Some(before) = before.map(|it| it.value()).filter(has_owners) {
            self.unlink(key, &before);
        }
        self.index(key, uid, &object);
        object
    }

    fn index(&mut self, key: &ObjectKey, uid: Uuid, object: &Value) {
        self.by_uid.insert(uid, key.clone());
        for owner in owners_of(object) {
            self.dependents.entry(owner).or_default().push(key.clone());
        }
    }

    /// Removes the object and returns its last state, with the revision of the deletion.
    pub(crate) fn remove(&mut self, key: &ObjectKey) -> Option<Value> {
        let before = self.collections.get_mut(&key.collection)?.objects.remove(&key.name)?;
        self.revision += 1;
        self.commit(|| Commit::Removed(key.clone()));
        let mut object = before.value();
        object.set_meta("resourceVersion", self.revision.to_string());
        let after = Arc::new(self.stored(&object));
        let (revision, name) = (self.revision, key.name.clone());
        let change = Change { revision, name, before: Some(before), after, deleted: true };
        let window = self.window;
        if let Some(collection) = self.collections.get_mut(&key.collection) {
            collection.remember(change, window);
        }
        self.unlink(key, &object);
        if let Some(uid) = object.uid() {
            self.by_uid.remove(&uid);
        }
        Some(object)
    }

    /// Forgets all changes, so that watches from an older revision are too old.
    pub(crate) fn forget_history(&mut self) {
        self.revision += 1;
        self.commit(|| Commit::Moved);
        self.forget_until(self.revision);
    }

    /// Forgets what objects were like before the revision.
    pub(crate) fn forget_until(&mut self, revision: u64) {
        let revision = revision.min(self.revision);
        for collection in self.collections.values_mut() {
            collection.forget_until(revision);
        }
        self.nothing.forget_until(revision);
    }

    /// A kind is served from now on: nothing of it can be watched from before.
    pub(crate) fn begin(&mut self, name: &CollectionName) {
        self.collections.entry(name.clone()).or_default().forget_until(self.revision);
    }

    fn stored(&self, object: &Value) -> Stored {
        Stored {
            uid: object.uid().unwrap_or_default(),
            labels: object.labels(),
            // Boxed, because bodies are kept: a string may have grown to twice its length.
            body: Bytes::from(object.to_string().into_boxed_str().into_boxed_bytes()),
        }
    }

    fn unlink(&mut self, key: &ObjectKey, object: &Value) {
        for owner in owners_of(object) {
            if let Some(keys) = self.dependents.get_mut(&owner) {
                keys.retain(|it| it != key);
                if keys.is_empty() {
                    self.dependents.remove(&owner);
                }
            }
        }
    }
}

fn has_owners(object: &Value) -> bool {
    !object.owner_references().is_empty()
}

/// The uids of the owners.
pub(crate) fn owners_of(object: &Value) -> impl Iterator<Item = Uuid> {
    let uids = object.owner_references().iter().filter_map(|it| it["uid"].as_str());
    uids.filter_map(|uid| Uuid::parse_str(uid).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(name: &str) -> ObjectKey {
        let name = ObjectName { namespace: "ns".to_owned(), name: name.to_owned() };
        ObjectKey { collection: CollectionName("things".into()), name }
    }

    #[test]
    fn the_past_can_be_listed_until_it_is_forgotten() {
        let mut store = Store::new(3);
        store.put(&key("a"), json!({"metadata": {"name": "a"}, "n": 1}));
        let then = store.revision();
        store.put(&key("a"), json!({"metadata": {"name": "a"}, "n": 2}));
        store.put(&key("b"), json!({"metadata": {"name": "b"}}));
        store.remove(&key("a"));
        let collection = store.collection(&key("a").collection);
        let past = collection.at(then).unwrap();
        assert_eq!(past.len(), 1);
        assert_eq!(past.values().next().unwrap().value()["n"], 1);
        assert_eq!(collection.at(1).err(), Some(Forgotten { oldest: then }));
        store.forget_history();
        assert!(store.collection(&key("a").collection).since(then).is_err());
    }

    #[test]
    fn owners_are_indexed() {
        let mut store = Store::new(10);
        let owner = Uuid::from_u128(7);
        let child = json!({"metadata": {"ownerReferences": [{"uid": owner.to_string()}]}});
        store.put(&key("a"), child);
        assert_eq!(store.dependents(&owner), [key("a")]);
        store.put(&key("a"), json!({"metadata": {}}));
        assert!(store.dependents(&owner).is_empty());
    }
}
