//! Objects that were seen to go.
//!
//! That an object is not there any more may have two reasons: somebody deleted it, or the hub's
//! etcd is not the one that it was. Only a deletion that was seen tells them apart.

use std::collections::{BTreeMap, VecDeque};

/// How many are remembered. A namespace that goes takes some thousand objects along; of more than
/// ten such at once the oldest count as not seen, and a person is asked. Twice as many would take
/// another ten megabytes.
const DEPARTED_MAX: usize = 50_000;

/// An object, in whatever version of its kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ObjectName {
    pub(super) group: String,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// The latest deletions that were seen.
#[derive(Debug, Default)]
pub(super) struct Departed {
    /// Each with the number of its latest deletion.
    numbers: BTreeMap<ObjectName, u64>,
    order: VecDeque<(u64, ObjectName)>,
    next: u64,
}

impl Departed {
    /// An object was seen to go.
    pub(super) fn insert(&mut self, object: ObjectName) {
        self.next += 1;
        self.numbers.insert(object.clone(), self.next);
        self.order.push_back((self.next, object));
        while self.order.len() > DEPARTED_MAX
            && let Some((number, oldest)) = self.order.pop_front()
        {
            if self.numbers.get(&oldest) == Some(&number) {
                self.numbers.remove(&oldest);
            }
        }
    }

    /// It is there again.
    pub(super) fn remove(&mut self, object: &ObjectName) {
        self.numbers.remove(object);
    }

    /// Whether it was seen to go, and not to come back.
    pub(super) fn contains(&self, object: &ObjectName) -> bool {
        self.numbers.contains_key(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(number: usize) -> ObjectName {
        ObjectName {
            group: String::new(),
            kind: "ConfigMap".to_owned(),
            namespace: "shop".to_owned(),
            name: format!("c{number}"),
        }
    }

    #[test]
    fn the_latest_departures_are_remembered_until_they_are_back() {
        let mut departed = Departed::default();
        for number in 0..=DEPARTED_MAX {
            departed.insert(map(number));
        }
        assert!(!departed.contains(&map(0)), "the oldest");
        assert!(departed.contains(&map(1)) && departed.contains(&map(DEPARTED_MAX)));
        departed.remove(&map(1));
        assert!(!departed.contains(&map(1)));
        departed.insert(map(1));
        departed.insert(map(0));
        assert!(departed.contains(&map(1)), "its latest departure counts");
    }
}
