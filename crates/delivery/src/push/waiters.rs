//! Orders that did not get on, and what on the member may let them: an object that waits for a
//! finalizer, a namespace that is not there, a kind that is not served. No I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use events::{ObjectId, PlacementKey};

use super::seen::{Kind, Name, kind_of, name_in};
use crate::{Observation, Observed};

/// How many objects of one order are waited for. An order waits for the first of them anyway, and
/// is repeated by itself should all these stay as they are.
const OBJECTS_WAITED_FOR_MAX: usize = 200;

/// Who waits for what.
#[derive(Default)]
pub(super) struct Waiters {
    orders: BTreeMap<Arc<str>, Waiting>,
    by_object: BTreeMap<(Kind, Name), BTreeSet<Arc<str>>>,
    by_kind: BTreeMap<Kind, BTreeSet<Arc<str>>>,
    /// Orders that may get on now.
    moved: BTreeSet<Arc<str>>,
}

struct Waiting {
    placement: PlacementKey,
    generation: u64,
    objects: BTreeSet<(Kind, Name)>,
    kinds: BTreeSet<Kind>,
}

impl Waiters {
    /// The order of a work waits for these objects, and for what they need.
    pub(super) fn wait(
        &mut self,
        placement: &PlacementKey,
        work: &str,
        generation: u64,
        objects: &[ObjectId],
    ) {
        self.forget(work);
        let work: Arc<str> = work.into();
        let objects = &objects[..objects.len().min(OBJECTS_WAITED_FOR_MAX)];
        let waiting = Waiting {
            placement: placement.clone(),
            generation,
            objects: objects.iter().flat_map(awaited).collect(),
            kinds: objects.iter().map(kind_of).collect(),
        };
        for object in &waiting.objects {
            self.by_object.entry(object.clone()).or_default().insert(work.clone());
        }
        for kind in &waiting.kinds {
            self.by_kind.entry(kind.clone()).or_default().insert(work.clone());
        }
        self.orders.insert(work, waiting);
    }

    /// The order of a work waits for nothing any more.
    pub(super) fn forget(&mut self, work: &str) {
        self.moved.remove(work);
        let Some(waiting) = self.orders.remove(work) else { return };
        for object in &waiting.objects {
            leave(&mut self.by_object, object, work);
        }
        for kind in &waiting.kinds {
            leave(&mut self.by_kind, kind, work);
        }
    }

    /// An object came or went.
    pub(super) fn moved(&mut self, kind: &Kind, name: &Name) {
        if self.by_object.is_empty() {
            return;
        }
        let waiting = self.by_object.get(&(kind.clone(), name.clone()));
        self.moved.extend(waiting.into_iter().flatten().cloned());
    }

    /// All objects of a kind were listed: what is not there may have gone before anybody watched.
    pub(super) fn listed(&mut self, kind: &Kind, is_there: impl Fn(&Name) -> bool) {
        let first = (kind.clone(), ("".into(), "".into()));
        let of_kind = self.by_object.range(first..).take_while(|((of, _), _)| of == kind);
        let absent = of_kind.filter(|((_, name), _)| !is_there(name));
        self.moved.extend(absent.flat_map(|(_, works)| works.iter().cloned()));
    }

    /// A kind is served from now on.
    pub(super) fn served(&mut self, kind: &Kind) {
        self.moved.extend(self.by_kind.get(kind).into_iter().flatten().cloned());
    }

    /// The next order that may get on.
    pub(super) fn next_moved(&mut self, cluster: &str) -> Option<Observation> {
        while let Some(work) = self.moved.pop_first() {
            let Some(waiting) = self.orders.get(&work) else { continue };
            return Some(Observation {
                cluster: cluster.to_owned(),
                placement: waiting.placement.clone(),
                work: work.to_string(),
                generation: waiting.generation,
                what: Observed::MayGetOn,
            });
        }
        None
    }
}

/// An object, and the namespace that it needs.
fn awaited(id: &ObjectId) -> impl Iterator<Item = (Kind, Name)> + use<> {
    let namespace = (!id.namespace.is_empty()).then(|| {
        let kind = (String::new(), "Namespace".to_owned());
        (kind, ("".into(), id.namespace.as_str().into()))
    });
    namespace.into_iter().chain([(kind_of(id), name_in(id))])
}

fn leave<K: Ord>(waiting: &mut BTreeMap<K, BTreeSet<Arc<str>>>, key: &K, work: &str) {
    if let Some(works) = waiting.get_mut(key) {
        works.remove(work);
        if works.is_empty() {
            waiting.remove(key);
        }
    }
}
