//! The index itself: a plain map, filled by watches, asked by the selection.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::scheduler::label_selector_matches;
use domain::selection::{Catalogue, GroupVersionKind, HubObject, KindInfo};
use events::cluster::Labels;
use events::placement::LabelSelector;

/// A kind's objects, by namespace (empty for none) and name.
#[derive(Debug, Default)]
struct KindObjects {
    namespaced: bool,
    synced: bool,
    objects: BTreeMap<(String, String), Arc<HubObject>>,
}

/// All objects that may be selected.
#[derive(Debug, Default)]
pub struct Objects {
    kinds: BTreeMap<GroupVersionKind, KindObjects>,
}

/// An object that came, changed or went.
#[derive(Debug, Clone)]
pub struct ObjectsChange {
    /// The kind.
    pub kind: GroupVersionKind,
    /// Its namespace, empty for none.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its labels before, if it was there.
    pub before: Option<Labels>,
    /// Its labels now, if it is there.
    pub after: Option<Labels>,
}

impl Objects {
    /// Makes a kind known. Its objects are not known before [`Objects::synced`].
    pub fn add_kind(&mut self, kind: GroupVersionKind, namespaced: bool) {
        self.kinds.entry(kind).or_default().namespaced = namespaced;
    }

    /// Forgets a kind that the API server no longer serves, with its objects.
    pub fn remove_kind(&mut self, kind: &GroupVersionKind) -> Vec<ObjectsChange> {
        let Some(gone) = self.kinds.remove(kind) else { return vec![] };
        let changes = gone.objects.into_iter().map(|((namespace, name), object)| ObjectsChange {
            kind: kind.clone(),
            namespace,
            name,
            before: Some(object.labels.clone()),
            after: None,
        });
        changes.collect()
    }

    /// The kinds that are known.
    pub fn kinds(&self) -> impl Iterator<Item = &GroupVersionKind> {
        self.kinds.keys()
    }

    /// Kinds that are known but were not listed yet.
    pub fn unsynced(&self) -> impl Iterator<Item = &GroupVersionKind> {
        self.kinds.iter().filter(|(_, objects)| !objects.synced).map(|(kind, _)| kind)
    }

    /// How many objects are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kinds.values().map(|kind| kind.objects.len()).sum()
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An object is there, or has changed. `None` when nothing that matters is different.
    pub fn apply(&mut self, kind: &GroupVersionKind, object: HubObject) -> Option<ObjectsChange> {
        let entry = self.kinds.get_mut(kind)?;
        let key = (object.id.namespace.clone(), object.id.name.clone());
        let before = entry.objects.get(&key);
        if before.is_some_and(|before| **before == object) {
            return None;
        }
        let change = ObjectsChange {
            kind: kind.clone(),
            namespace: key.0.clone(),
            name: key.1.clone(),
            before: before.map(|before| before.labels.clone()),
            after: Some(object.labels.clone()),
        };
        entry.objects.insert(key, Arc::new(object));
        Some(change)
    }

    /// An object is gone.
    pub fn delete(
        &mut self,
        kind: &GroupVersionKind,
        namespace: &str,
        name: &str,
    ) -> Option<ObjectsChange> {
        let entry = self.kinds.get_mut(kind)?;
        let gone = entry.objects.remove(&(namespace.to_owned(), name.to_owned()))?;
        Some(ObjectsChange {
            kind: kind.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            before: Some(gone.labels.clone()),
            after: None,
        })
    }

    /// A kind was listed completely; `seen` is what was there. What is not is gone.
    pub fn synced(
        &mut self,
        kind: &GroupVersionKind,
        seen: &BTreeSet<(String, String)>,
    ) -> Vec<ObjectsChange> {
        let Some(entry) = self.kinds.get_mut(kind) else { return vec![] };
        entry.synced = true;
        let gone: Vec<(String, String)> =
            entry.objects.keys().filter(|key| !seen.contains(*key)).cloned().collect();
        gone.iter().filter_map(|(namespace, name)| self.delete(kind, namespace, name)).collect()
    }
}

impl Catalogue for Objects {
    fn kind(&self, kind: &GroupVersionKind) -> Option<KindInfo> {
        self.kinds.get(kind).map(|kind| KindInfo { namespaced: kind.namespaced })
    }

    fn namespaced_kinds(&self) -> Vec<GroupVersionKind> {
        let kinds = self.kinds.iter().filter(|(_, objects)| objects.namespaced);
        kinds.map(|(kind, _)| kind.clone()).collect()
    }

    fn object(
        &self,
        kind: &GroupVersionKind,
        namespace: Option<&str>,
        name: &str,
    ) -> Option<Arc<HubObject>> {
        let key = (namespace.unwrap_or_default().to_owned(), name.to_owned());
        self.kinds.get(kind)?.objects.get(&key).cloned()
    }

    fn objects(
        &self,
        kind: &GroupVersionKind,
        namespace: Option<&str>,
        labels: Option<&LabelSelector>,
    ) -> Vec<Arc<HubObject>> {
        let Some(entry) = self.kinds.get(kind) else { return vec![] };
        let namespace = namespace.unwrap_or_default();
        let from = (namespace.to_owned(), String::new());
        entry
            .objects
            .range(from..)
            .take_while(|((of, _), _)| of == namespace)
            .map(|(_, object)| object)
            .filter(|object| {
                labels.is_none_or(|labels| label_selector_matches(labels, &object.labels))
            })
            .cloned()
            .collect()
    }
}
