//! What the watches on one member have seen, and what that means for each delivery. No I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use events::cluster::{ObjectFailure, Progress};
use events::{ObjectId, PlacementKey};
use serde_json::Value;

use super::discovery::served_by;
use super::waiters::Waiters;
use crate::availability::{availability, is_finished, runs_once};
use crate::failure::{NOT_AVAILABLE_YET, failure, generation_of};
use crate::{Availability, DeliveryAvailability, Observation, Observed};

/// A kind, as watches tell them apart: group and kind.
pub(super) type Kind = (String, String);

/// An object within its kind: namespace and name. Shared, because each name is kept up to three
/// times.
pub(super) type Name = (Arc<str>, Arc<str>);

/// What is known about all watched objects of one member.
#[derive(Default)]
pub(super) struct Seen {
    kinds: BTreeMap<Kind, SeenKind>,
    followed: BTreeMap<Arc<str>, Followed>,
    /// Works about which something may have to be told.
    dirty: BTreeSet<Arc<str>>,
    waiters: Waiters,
    /// How far orders are, as far as it was not told yet.
    progress: BTreeMap<Arc<str>, (PlacementKey, u64, Progress)>,
}

/// Numbers what is said, over all links of the process: a member may get another link.
static ORDINALS: AtomicU64 = AtomicU64::new(0);

/// What is known about the objects of one kind.
#[derive(Default)]
struct SeenKind {
    objects: BTreeMap<Name, SeenObject>,
    /// Which work follows an object.
    followers: BTreeMap<Name, Arc<str>>,
    /// What was known when a list began: what the list does not name is gone, unless it was seen
    /// otherwise meanwhile.
    before_list: Option<BTreeMap<Name, u64>>,
    /// Objects that run once and were seen to go before they were finished.
    cut_short: BTreeSet<Name>,
    is_listed: bool,
}

/// An object, as it was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SeenObject {
    version: u64,
    generation: Option<i64>,
    waits_for: Option<Box<str>>,
}

/// A delivery that is followed.
struct Followed {
    placement: PlacementKey,
    generation: u64,
    /// Its objects, by group, kind and version.
    objects: BTreeMap<(Kind, String), Vec<Name>>,
    untracked: u32,
    told: Option<Told>,
}

/// What was last told of a delivery.
#[derive(PartialEq, Eq)]
struct Told {
    waiting: Vec<ObjectFailure>,
    missing: Vec<ObjectId>,
}

/// What to follow.
pub(super) struct Delivery {
    pub(super) placement: PlacementKey,
    pub(super) work: String,
    pub(super) generation: u64,
    /// All its objects.
    pub(super) objects: Vec<ObjectId>,
    /// How many of them nobody can track.
    pub(super) untracked: u32,
}

impl Seen {
    /// Follows a delivery from now on, and says how it is now. A later generation of the same work
    /// replaces an earlier one, not the other way round.
    pub(super) fn follow(&mut self, delivery: Delivery) -> DeliveryAvailability {
        let Delivery { placement, work, generation, objects, untracked } = delivery;
        let work: Arc<str> = work.into();
        let newer = self.followed.get(&work).is_some_and(|known| known.generation > generation);
        let mut by_api = BTreeMap::<(Kind, String), Vec<Name>>::new();
        for id in &objects {
            let api = (kind_of(id), id.version.clone());
            by_api.entry(api).or_default().push(self.known_name(id));
        }
        let objects = by_api;
        let mut followed = Followed { placement, generation, objects, untracked, told: None };
        let availability = self.summary(&followed);
        if newer {
            return availability;
        }
        self.forget(&work);
        followed.told = Some(told(&availability));
        for ((kind, _), names) in &followed.objects {
            let followers = &mut self.kinds.entry(kind.clone()).or_default().followers;
            followers.extend(names.iter().map(|name| (name.clone(), work.clone())));
        }
        self.followed.insert(work, followed);
        availability
    }

    /// Stops following a work.
    pub(super) fn forget(&mut self, work: &str) {
        self.waiters.forget(work);
        let Some(followed) = self.followed.remove(work) else { return };
        for ((kind, _), names) in &followed.objects {
            let Some(seen) = self.kinds.get_mut(kind) else { continue };
            for name in names {
                // Another work may follow it by now.
                if seen.followers.get(name).is_some_and(|follower| &**follower == work) {
                    seen.followers.remove(name);
                }
            }
        }
        self.dirty.remove(work);
    }

    /// Stops following a work whose order did not get on, and tells when one of the objects in
    /// question comes or goes.
    pub(super) fn wait_for(&mut self, delivery: &Delivery) {
        self.forget(&delivery.work);
        let Delivery { placement, work, generation, objects, .. } = delivery;
        self.waiters.wait(placement, work, *generation, objects);
    }

    /// Takes in how far an order is; of several statements only the latest is told.
    pub(super) fn progressed(&mut self, order: &Delivery, progress: Progress) {
        let statement = (order.placement.clone(), order.generation, progress);
        self.progress.insert(order.work.as_str().into(), statement);
    }

    /// Whether an object that runs once was seen to go before it was finished.
    pub(super) fn was_cut_short(&self, id: &ObjectId) -> bool {
        self.kinds.get(&kind_of(id)).is_some_and(|seen| seen.cut_short.contains(&name_in(id)))
    }

    /// A live object was seen. What is older than what is known is ignored: a watch may lag behind
    /// the answer to a write.
    pub(super) fn note(&mut self, kind: &Kind, object: &Value) {
        let name = name_of(object);
        let seen = SeenObject {
            version: version_of(object),
            generation: generation_of(object),
            waits_for: match availability(object) {
                Availability::NotYet(what) => Some(what.into()),
                Availability::Available | Availability::NotTrackable => None,
            },
        };
        let of_kind = self.kinds.entry(kind.clone()).or_default();
        let known = of_kind.objects.get(&name);
        if known.is_some_and(|known| known.version > seen.version) {
            return;
        }
        let is_new = known.is_none();
        let is_news = known.map(|known| &known.waits_for) != Some(&seen.waits_for);
        let is_ready = is_news && seen.waits_for.is_none();
        of_kind.objects.insert(name.clone(), seen);
        of_kind.cut_short.remove(&name);
        if is_new {
            self.waiters.moved(kind, &name);
        }
        if is_ready {
            for served in served_by(object) {
                self.waiters.served(&(served.group, served.kind));
            }
        }
        if is_news {
            self.touch(kind, &name);
        }
    }

    /// An object was seen to go, in this last state.
    pub(super) fn note_gone(&mut self, kind: &Kind, object: &Value) {
        let name = name_of(object);
        let seen = self.kinds.entry(kind.clone()).or_default();
        if seen.objects.get(&name).is_some_and(|known| known.version <= version_of(object)) {
            if runs_once(object) && !is_finished(object) {
                seen.cut_short.insert(name.clone());
            }
            self.remove(kind, &name);
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
            self.remove(kind, &name);
        }
        let objects = &self.kinds.entry(kind.clone()).or_default().objects;
        self.waiters.listed(kind, |name| objects.contains_key(name));
    }

    /// Whether all objects of a kind have been listed.
    pub(super) fn is_listed(&self, kind: &Kind) -> bool {
        self.kinds.get(kind).is_some_and(|seen| seen.is_listed)
    }

    /// The next thing to tell, if there is one. Of several changes of one delivery only the outcome
    /// is told, and nothing if it is what was told before.
    pub(super) fn next_observation(&mut self, cluster: &str) -> Option<Observation> {
        if let Some(moved) = self.waiters.next_moved(cluster) {
            return Some(moved);
        }
        if let Some((work, (placement, generation, progress))) = self.progress.pop_first() {
            return Some(Observation {
                cluster: cluster.to_owned(),
                placement,
                work: work.to_string(),
                generation,
                what: Observed::Progress(progress),
            });
        }
        while let Some(work) = self.dirty.pop_first() {
            let Some(mut followed) = self.followed.remove(&work) else { continue };
            let availability = self.summary(&followed);
            let now = Some(told(&availability));
            let is_news = followed.told != now;
            followed.told = now;
            let observation = Observation {
                cluster: cluster.to_owned(),
                placement: followed.placement.clone(),
                work: work.to_string(),
                generation: followed.generation,
                what: Observed::Availability(availability),
            };
            self.followed.insert(work, followed);
            if is_news {
                return Some(observation);
            }
        }
        None
    }

    fn remove(&mut self, kind: &Kind, name: &Name) {
        self.kinds.entry(kind.clone()).or_default().objects.remove(name);
        self.waiters.moved(kind, name);
        self.touch(kind, name);
    }

    fn touch(&mut self, kind: &Kind, name: &Name) {
        let follower = self.kinds.get(kind).and_then(|seen| seen.followers.get(name));
        self.dirty.extend(follower.cloned());
    }

    fn summary(&self, followed: &Followed) -> DeliveryAvailability {
        let ordinal = ORDINALS.fetch_add(1, Ordering::Relaxed) + 1;
        let (mut waiting, mut missing) = (vec![], vec![]);
        for ((kind, version), names) in &followed.objects {
            let of_kind = self.kinds.get(kind);
            for name in names {
                let seen = of_kind.and_then(|of_kind| of_kind.objects.get(name));
                match seen.map(|seen| (seen.waits_for.as_deref(), seen.generation)) {
                    Some((None, _)) => {}
                    Some((Some(message), generation)) => {
                        let id = id_of(kind, version, name);
                        let failed = failure(&id, NOT_AVAILABLE_YET, message);
                        waiting.push(ObjectFailure { generation, ..failed });
                    }
                    None if self.may_be_finished(kind, name) => {}
                    None => missing.push(id_of(kind, version, name)),
                }
            }
        }
        DeliveryAvailability { waiting, missing, untracked: followed.untracked, ordinal }
    }

    /// Whether an object that is not there may have done what it was there for.
    fn may_be_finished(&self, (group, kind): &Kind, name: &Name) -> bool {
        let was_cut_short = || {
            let seen = self.kinds.get(&(group.clone(), kind.clone()));
            seen.is_some_and(|seen| seen.cut_short.contains(name))
        };
        crate::availability::kind_runs_once(group, kind) && !was_cut_short()
    }

    /// The name of an object, shared with what is known of it.
    fn known_name(&self, id: &ObjectId) -> Name {
        let name = name_in(id);
        let known = self.kinds.get(&kind_of(id)).and_then(|seen| {
            let known = seen.objects.get_key_value(&name).map(|(known, _)| known);
            known.or_else(|| seen.followers.get_key_value(&name).map(|(known, _)| known))
        });
        known.cloned().unwrap_or(name)
    }
}

fn told(availability: &DeliveryAvailability) -> Told {
    let DeliveryAvailability { waiting, missing, .. } = availability;
    Told { waiting: waiting.clone(), missing: missing.clone() }
}

/// The kind of an object, as watches tell them apart.
pub(super) fn kind_of(id: &ObjectId) -> Kind {
    (id.group.clone(), id.kind.clone())
}

pub(super) fn name_in(id: &ObjectId) -> Name {
    (id.namespace.as_str().into(), id.name.as_str().into())
}

fn id_of((group, kind): &Kind, version: &str, (namespace, name): &Name) -> ObjectId {
    ObjectId {
        group: group.clone(),
        version: version.to_owned(),
        kind: kind.clone(),
        namespace: namespace.to_string(),
        name: name.to_string(),
    }
}

fn name_of(object: &Value) -> Name {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().into();
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
