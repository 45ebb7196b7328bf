//! The index itself: a plain map, filled by watches, asked by the selection.
//!
//! A kind is watched in the version that the API server prefers, and besides in those that
//! placements ask for: because a selector names one, or because what they placed so far is recorded
//! in one. So a new version on the hub changes nothing for what is placed already.
//!
//! **Invariant.** A kind and its objects stay known until the API server serves the kind in another
//! version and no longer in this one, or whoever serves it was asked and said that it does not. That
//! nobody mentions them says nothing.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::scheduler::label_selector_matches;
use domain::selection::{Catalogue, GroupVersionKind, HubObject, KindInfo, Reach};
use events::ObjectId;
use events::cluster::Labels;
use events::placement::LabelSelector;

use crate::index::departed::{Departed, ObjectName};
use crate::index::discovery::{Discovered, DiscoveredKind, GroupVersion};
use crate::index::gap::{Gap, Unknown};

/// A kind's objects, by namespace (empty for none) and name.
#[derive(Debug)]
struct KindObjects {
    served: DiscoveredKind,
    /// Whether it is the version that stands for the kind where nobody names one.
    is_preferred: bool,
    listing: Listing,
    objects: BTreeMap<(String, String), Arc<HubObject>>,
}

/// Whether all objects of a kind were listed once. After that watches keep them current, and what
/// was seen last counts while a watch does not work.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Listing {
    Pending,
    Failed(String),
    Done,
}

/// All objects that may be selected.
#[derive(Debug, Default)]
pub struct Objects {
    kinds: BTreeMap<GroupVersionKind, KindObjects>,
    /// Kinds in versions that are served besides the preferred ones.
    others: BTreeMap<GroupVersionKind, DiscoveredKind>,
    /// Those that placements ask for, among all that are served.
    wanted: BTreeSet<GroupVersionKind>,
    silent: BTreeSet<GroupVersion>,
    discovered: bool,
    discovery_error: Option<String>,
    moves: u64,
    departed: Departed,
}

/// What has to be done after the kinds were asked for.
#[derive(Debug, Default, PartialEq)]
pub struct Adjustment {
    /// To be watched from now on.
    pub added: Vec<DiscoveredKind>,
    /// Not to be watched any more: another version of them is.
    pub replaced: Vec<GroupVersionKind>,
    /// Known, and not mentioned any more. Whether they are gone has to be asked.
    pub missing: Vec<GroupVersionKind>,
}

/// An object that came, changed or went.
#[derive(Debug, Clone, PartialEq)]
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
    /// Takes what the API server says that it serves, in one step: there is no moment in which a
    /// kind that moves from one version to another is not there at all.
    pub fn adjust(&mut self, discovered: Discovered) -> Adjustment {
        let Discovered { kinds, others, silent } = discovered;
        let mentioned: BTreeSet<GroupVersionKind> =
            kinds.iter().chain(&others).map(|kind| kind.kind.clone()).collect();
        self.others = others.into_iter().map(|kind| (kind.kind.clone(), kind)).collect();
        let is_silent = |kind: &GroupVersionKind| silent.contains(&GroupVersion::of(kind));
        let mut adjustment = Adjustment::default();
        for kind in kinds {
            let others = self.other_versions(&kind.kind);
            if others.iter().any(is_silent) {
                continue; // Whether the version that is known is still there, nobody can say now.
            }
            for other in others {
                if self.others.contains_key(&other) && self.wanted.contains(&other) {
                    self.stands_for_its_kind(&other, false);
                } else {
                    self.kinds.remove(&other);
                    self.wanted.remove(&other);
                    adjustment.replaced.push(other);
                }
            }
            if self.add_kind(&kind) {
                adjustment.added.push(kind.clone());
            }
            self.stands_for_its_kind(&kind.kind, true);
        }
        let moved = !adjustment.added.is_empty() || !adjustment.replaced.is_empty();
        let asked_for = self.others.values().filter(|kind| self.wanted.contains(&kind.kind));
        for kind in asked_for.cloned().collect::<Vec<_>>() {
            if self.add_kind(&kind) {
                adjustment.added.push(kind);
            }
        }
        let missing =
            self.kinds.iter().filter(|(kind, _)| !mentioned.contains(kind) && !is_silent(kind));
        adjustment.missing = missing.map(|(kind, _)| kind.clone()).collect();
        if moved {
            self.moves += 1;
        }
        self.silent = silent;
        self.discovered = true;
        self.discovery_error = None;
        adjustment
    }

    /// The same kind in other versions.
    fn other_versions(&self, kind: &GroupVersionKind) -> Vec<GroupVersionKind> {
        let others = self.kinds.keys();
        let others = others.filter(|other| other.is(&kind.group, &kind.kind) && *other != kind);
        others.cloned().collect()
    }

    /// Says whether it was not known. A kind whose scope or path changed is another one: its objects
    /// are listed anew.
    fn add_kind(&mut self, served: &DiscoveredKind) -> bool {
        if self.kinds.get(&served.kind).is_some_and(|known| known.served == *served) {
            return false;
        }
        let entry = KindObjects {
            served: served.clone(),
            is_preferred: false,
            listing: Listing::Pending,
            objects: BTreeMap::new(),
        };
        self.kinds.insert(served.kind.clone(), entry);
        true
    }

    fn stands_for_its_kind(&mut self, kind: &GroupVersionKind, is_preferred: bool) {
        if let Some(entry) = self.kinds.get_mut(kind) {
            entry.is_preferred = is_preferred;
        }
    }

    /// Has kinds kept, in these very versions, as long as they are served. Says whether one of them
    /// is not watched yet and was not asked for before: the next look at the kinds adds it.
    pub fn want(&mut self, kinds: &BTreeSet<GroupVersionKind>) -> bool {
        let served: Vec<_> = kinds.iter().filter(|kind| self.serves(kind)).cloned().collect();
        let mut is_news = false;
        for kind in served {
            let is_watched = self.kinds.contains_key(&kind);
            is_news |= self.wanted.insert(kind) && !is_watched;
        }
        is_news
    }

    /// Whether [`want`](Self::want) would change nothing.
    #[must_use]
    pub fn wants(&self, kinds: &BTreeSet<GroupVersionKind>) -> bool {
        kinds.iter().all(|kind| self.wanted.contains(kind) || !self.serves(kind))
    }

    fn serves(&self, kind: &GroupVersionKind) -> bool {
        self.kinds.contains_key(kind) || self.others.contains_key(kind)
    }

    /// Whether a kind is served in several versions.
    #[must_use]
    pub fn has_other_versions(&self) -> bool {
        !self.others.is_empty()
    }

    /// Every kind whose objects live in namespaces, each in one version: the one that is to be kept,
    /// or the preferred one.
    #[must_use]
    pub fn contents(&self, kept: &BTreeSet<GroupVersionKind>) -> Vec<GroupVersionKind> {
        let preferred =
            self.kinds.values().filter(|entry| entry.is_preferred && entry.served.namespaced);
        let version = |entry: &KindObjects| {
            let kind = &entry.served.kind;
            let is_same = |other: &&GroupVersionKind| other.is(&kind.group, &kind.kind);
            let kept = kept.iter().find(|other| is_same(other) && self.serves(other));
            kept.unwrap_or(kind).clone()
        };
        preferred.map(version).collect()
    }

    /// Whether a kind is known, in whatever version.
    #[must_use]
    pub fn knows(&self, group: &str, kind: &str) -> bool {
        self.kinds.keys().any(|known| known.is(group, kind))
    }

    /// Whoever serves it was asked, and said that there is no such kind.
    pub fn remove_kind(&mut self, kind: &GroupVersionKind) {
        let Some(removed) = self.kinds.remove(kind) else { return };
        self.moves += 1;
        // Another version may be all that is known of the kind now.
        if removed.is_preferred
            && let Some(other) = self.other_versions(kind).first()
        {
            self.stands_for_its_kind(other, true);
        }
    }

    /// The kinds could not be asked for. Says whether that is news.
    pub fn not_discovered(&mut self, error: String) -> bool {
        let is_news = !self.discovered && self.discovery_error.as_ref() != Some(&error);
        self.discovery_error = Some(error);
        is_news
    }

    /// The objects of a kind could not be listed or watched. Says whether that is news.
    pub fn not_listed(&mut self, kind: &GroupVersionKind, error: String) -> bool {
        let Some(entry) = self.kinds.get_mut(kind) else { return false };
        let failed = Listing::Failed(error);
        if entry.listing == Listing::Done || entry.listing == failed {
            return false;
        }
        entry.listing = failed;
        true
    }

    /// A kind was listed completely; `seen` is what was there. What is not is gone.
    pub fn listed(
        &mut self,
        kind: &GroupVersionKind,
        seen: &BTreeSet<(String, String)>,
    ) -> Vec<ObjectsChange> {
        let Some(entry) = self.kinds.get_mut(kind) else { return vec![] };
        entry.listing = Listing::Done;
        let gone: Vec<(String, String)> =
            entry.objects.keys().filter(|key| !seen.contains(*key)).cloned().collect();
        gone.iter().filter_map(|(namespace, name)| self.delete(kind, namespace, name)).collect()
    }

    /// Whether an object is there, or was seen to go.
    #[must_use]
    pub fn accounts_for(&self, object: &ObjectId) -> bool {
        let ObjectId { group, kind, namespace, name, .. } = object;
        let key = (namespace.clone(), name.clone());
        let mut versions = self.kinds.iter().filter(|(known, _)| known.is(group, kind));
        let is_there = versions.any(|(_, entry)| entry.objects.contains_key(&key));
        is_there || self.departed.contains(&name_of(group, kind, &key))
    }

    /// An object was seen to go.
    pub fn departed(
        &mut self,
        kind: &GroupVersionKind,
        namespace: &str,
        name: &str,
    ) -> Option<ObjectsChange> {
        let key = (namespace.to_owned(), name.to_owned());
        self.departed.insert(name_of(&kind.group, &kind.kind, &key));
        self.delete(kind, namespace, name)
    }

    /// An object is there, or has changed. `None` when nothing that matters is different.
    pub fn apply(&mut self, kind: &GroupVersionKind, object: HubObject) -> Option<ObjectsChange> {
        let entry = self.kinds.get_mut(kind)?;
        let key = (object.id.namespace.clone(), object.id.name.clone());
        self.departed.remove(&name_of(&kind.group, &kind.kind, &key));
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
    fn delete(
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

    /// How many kinds are known.
    #[must_use]
    pub fn kinds(&self) -> usize {
        self.kinds.len()
    }

    /// How often kinds came or went.
    #[must_use]
    pub fn moves(&self) -> u64 {
        self.moves
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

    /// Everything that is not known.
    #[must_use]
    pub fn gaps(&self) -> Vec<Gap> {
        self.gaps_where(|_| true, |_| true)
    }

    /// What is not known of what selectors reach, with contents of namespaces in the versions that
    /// are to be kept. Without any, what is absent is really not there.
    #[must_use]
    pub fn gaps_within(&self, reach: &Reach, kept: &BTreeSet<GroupVersionKind>) -> Vec<Gap> {
        let mut kinds = reach.kinds.clone();
        if reach.contents {
            kinds.extend(self.contents(kept));
        }
        let names_one_of =
            |at: &GroupVersion| reach.kinds.iter().any(|kind| GroupVersion::of(kind) == *at);
        let mut gaps = self.gaps_where(
            |at| reach.contents || names_one_of(at),
            |known| kinds.contains(&known.served.kind),
        );
        let unwatched = kinds
            .iter()
            .filter(|kind| self.others.contains_key(*kind) && !self.kinds.contains_key(*kind));
        let unlisted =
            |kind: &GroupVersionKind| Gap { about: Unknown::Objects(kind.clone()), error: None };
        gaps.extend(unwatched.map(unlisted));
        gaps
    }

    fn gaps_where(
        &self,
        matters_group: impl Fn(&GroupVersion) -> bool,
        matters_kind: impl Fn(&KindObjects) -> bool,
    ) -> Vec<Gap> {
        if !self.discovered {
            return vec![Gap { about: Unknown::Kinds, error: self.discovery_error.clone() }];
        }
        // Who was heard before has said what there is.
        let was_heard = |at: &GroupVersion| self.kinds.keys().any(|k| GroupVersion::of(k) == *at);
        let silent = self.silent.iter().filter(|at| matters_group(at) && !was_heard(at));
        let silent = silent.map(|at| {
            let error = Some("it does not answer".to_owned());
            Gap { about: Unknown::Group(at.clone()), error }
        });
        let unlisted =
            self.kinds.values().filter(|known| matters_kind(known)).filter_map(|known| {
                let about = Unknown::Objects(known.served.kind.clone());
                match &known.listing {
                    Listing::Done => None,
                    Listing::Pending => Some(Gap { about, error: None }),
                    Listing::Failed(error) => Some(Gap { about, error: Some(error.clone()) }),
                }
            });
        silent.chain(unlisted).collect()
    }
}

fn name_of(group: &str, kind: &str, (namespace, name): &(String, String)) -> ObjectName {
    ObjectName {
        group: group.to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.clone(),
        name: name.clone(),
    }
}

impl Catalogue for Objects {
    fn kind(&self, kind: &GroupVersionKind) -> Option<KindInfo> {
        self.kinds.get(kind).map(|kind| KindInfo { namespaced: kind.served.namespaced })
    }

    fn versions(&self, group: &str, kind: &str) -> Vec<String> {
        let known = self.kinds.keys().chain(self.others.keys());
        let versions: BTreeSet<String> = known
            .filter(|known| known.is(group, kind))
            .map(GroupVersionKind::api_version)
            .collect();
        versions.into_iter().collect()
    }

    fn namespaced_kinds(&self) -> Vec<GroupVersionKind> {
        self.contents(&BTreeSet::new())
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
