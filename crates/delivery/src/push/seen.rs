//! What the watches on one member have seen, and what that means for each delivery. No I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use events::cluster::ObjectFailure;
use events::{ObjectId, PlacementKey};
use serde_json::Value;

use crate::availability::availability;
use crate::failure::{NOT_AVAILABLE_YET, failure, generation_of};
use crate::{Availability, DeliveryAvailability, Observation};

/// A kind, as watches tell them apart: group and kind.
pub(super) type Kind = (String, String);

/// An object within its kind: namespace and name.
type Name = (String, String);

/// What is known about all watched objects of one member.
#[derive(Default)]
pub(super) struct Seen {
    kinds: BTreeMap<Kind, SeenKind>,
    followed: BTreeMap<String, Followed>,
    by_object: BTreeMap<(Kind, Name), String>,
    /// Works about which something may have to be told.
    dirty: BTreeSet<String>,
}

/// Numbers what is said, over all links of the process: a member may get another link.
static ORDINALS: AtomicU64 = AtomicU64::new(0);

/// What is known about the objects of one kind.
#[derive(Default)]
struct SeenKind {
    objects: BTreeMap<Name, SeenObject>,
    /// What was known when a list began: what the list does not name is gone, unless it was seen
    /// otherwise meanwhile.
    before_list: Option<BTreeMap<Name, u64>>,
    is_listed: bool,
}

/// An object, as it was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SeenObject {
    version: u64,
    generation: Option<i64>,
    waits_for: Option<String>,
}

/// A delivery whose availability is followed.
struct Followed {
    placement: PlacementKey,
    generation: u64,
    watched: Vec<ObjectId>,
    untracked: u32,
    told: Option<Vec<ObjectFailure>>,
}

/// What to follow.
pub(super) struct Delivery {
    pub(super) placement: PlacementKey,
    pub(super) work: String,
    pub(super) generation: u64,
    /// Objects whose availability changes.
    pub(super) watched: Vec<ObjectId>,
    /// How many objects nobody can track.
    pub(super) untracked: u32,
}

impl Seen {
    /// Follows a delivery from now on, and says how it is now. A later generation of the same work
    /// replaces an earlier one, not the other way round.
    pub(super) fn follow(&mut self, delivery: Delivery) -> DeliveryAvailability {
        let Delivery { placement, work, generation, watched, untracked } = delivery;
        let newer = self.followed.get(&work).is_some_and(|known| known.generation > generation);
        let mut followed = Followed { placement, generation, watched, untracked, told: None };
        let availability = self.summary(&followed);
        if newer {
            return availability;
        }
        self.forget(&work);
        if followed.watched.is_empty() {
            return availability;
        }
        followed.told = Some(availability.waiting.clone());
        for id in &followed.watched {
            self.by_object.insert(key_of(id), work.clone());
        }
        self.followed.insert(work, followed);
        availability
    }

    /// Stops following a work.
    pub(super) fn forget(&mut self, work: &str) {
        let Some(followed) = self.followed.remove(work) else { return };
        for id in &followed.watched {
            self.by_object.remove(&key_of(id));
        }
        self.dirty.remove(work);
    }

    /// A live object was seen. What is older than what is known is ignored: a watch may lag behind
    /// the answer to a write.
    pub(super) fn note(&mut self, kind: &Kind, object: &Value) {
        let name = name_of(object);
        let seen = SeenObject {
            version: version_of(object),
            generation: generation_of(object),
            waits_for: match availability(object) {
                Availability::NotYet(what) => Some(what),
                Availability::Available | Availability::NotTrackable => None,
            },
        };
        let objects = &mut self.kinds.entry(kind.clone()).or_default().objects;
        let known = objects.get(&name);
        if known.is_some_and(|known| known.version > seen.version) {
            return;
        }
        let is_news = known.map(|known| &known.waits_for) != Some(&seen.waits_for);
        objects.insert(name.clone(), seen);
        if is_news {
            self.touch(kind, name);
        }
    }

    /// An object was seen to go.
    pub(super) fn note_gone(&mut self, kind: &Kind, object: &Value) {
        let name = name_of(object);
        let objects = &mut self.kinds.entry(kind.clone()).or_default().objects;
        if objects.get(&name).is_some_and(|known| known.version <= version_of(object)) {
            objects.remove(&name);
            self.touch(kind, name);
        }
    }

    /// A list of all objects of a kind begins.
    pub(super) fn list_begins(&mut self, kind: &Kind) {
        let seen = self.kinds.entry(kind.clone()).or_default();
        let known = seen.objects.iter().map(|(name, object)| (name.clone(), object.version));
        seen.before_list = Some(known.collect());
    }

    /// The list goes on with this object.
    pub(super) fn listed(&mut self, kind: &Kind, object: &Value) {
        if let Some(before) = self.kinds.get_mut(kind).and_then(|seen| seen.before_list.as_mut()) {
            before.remove(&name_of(object));
        }
        self.note(kind, object);
    }

    /// The list is complete.
    pub(super) fn list_ends(&mut self, kind: &Kind) {
        let seen = self.kinds.entry(kind.clone()).or_default();
        seen.is_listed = true;
        let missing = seen.before_list.take().unwrap_or_default();
        let gone: Vec<Name> = missing
            .into_iter()
            .filter(|(name, version)| {
                seen.objects.get(name).is_some_and(|known| known.version == *version)
            })
            .map(|(name, _)| name)
            .collect();
        for name in gone {
            self.kinds.entry(kind.clone()).or_default().objects.remove(&name);
            self.touch(kind, name);
        }
    }

    /// Whether all objects of a kind have been listed.
    pub(super) fn is_listed(&self, kind: &Kind) -> bool {
        self.kinds.get(kind).is_some_and(|seen| seen.is_listed)
    }

    /// The next thing to tell, if there is one. Of several changes of one delivery only the outcome
    /// is told, and nothing if it is what was told before.
    pub(super) fn next_observation(&mut self, cluster: &str) -> Option<Observation> {
        while let Some(work) = self.dirty.pop_first() {
            let Some(mut followed) = self.followed.remove(&work) else { continue };
            let availability = self.summary(&followed);
            let is_news = followed.told.as_ref() != Some(&availability.waiting);
            followed.told = Some(availability.waiting.clone());
            let observation = Observation {
                cluster: cluster.to_owned(),
                placement: followed.placement.clone(),
                work: work.clone(),
                generation: followed.generation,
                availability,
            };
            self.followed.insert(work, followed);
            if is_news {
                return Some(observation);
            }
        }
        None
    }

    fn touch(&mut self, kind: &Kind, name: Name) {
        if let Some(work) = self.by_object.get(&(kind.clone(), name)) {
            self.dirty.insert(work.clone());
        }
    }

    fn summary(&self, followed: &Followed) -> DeliveryAvailability {
        let ordinal = ORDINALS.fetch_add(1, Ordering::Relaxed) + 1;
        let (mut waiting, mut missing) = (vec![], 0);
        for id in &followed.watched {
            let (message, generation) = match self.object(id) {
                None => {
                    missing += 1;
                    (Some("it is not on the member".to_owned()), None)
                }
                Some(seen) => (seen.waits_for.clone(), seen.generation),
            };
            let failed =
                |message| ObjectFailure { generation, ..failure(id, NOT_AVAILABLE_YET, message) };
            waiting.extend(message.map(failed));
        }
        DeliveryAvailability { waiting, missing, untracked: followed.untracked, ordinal }
    }

    fn object(&self, id: &ObjectId) -> Option<&SeenObject> {
        let (kind, name) = key_of(id);
        self.kinds.get(&kind)?.objects.get(&name)
    }
}

/// The kind of an object, as watches tell them apart.
pub(super) fn kind_of(id: &ObjectId) -> Kind {
    (id.group.clone(), id.kind.clone())
}

fn key_of(id: &ObjectId) -> (Kind, Name) {
    (kind_of(id), (id.namespace.clone(), id.name.clone()))
}

fn name_of(object: &Value) -> Name {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

/// Resource versions of Kubernetes are numbers that rise. Should a server use something else, all
/// are equal, and what is seen last counts.
fn version_of(object: &Value) -> u64 {
    let version = object["metadata"]["resourceVersion"].as_str();
    version.and_then(|version| version.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
#[path = "seen_tests.rs"]
mod tests;
