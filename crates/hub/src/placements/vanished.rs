//! Objects that a placement placed and that are not on the hub any more, although nobody was seen
//! deleting them.
//!
//! They carry no finalizer of the hub, so that most of them may well have been deleted while nobody
//! watched. But many at once, or any while the hub's etcd is an older copy, are rather lost than
//! deleted: then the placement keeps its revision and is held.

use std::sync::Arc;
use std::time::Duration;

use domain::placement::HoldPlacement;
use domain::selection::HubObject;
use events::placement::HoldReason;
use events::{AggregateId, ManifestRef, ObjectId, PlacementKey, Timestamp};

use super::controller::{Controller, ControllerConfig};
use super::writer::PlacementObject;
use crate::held::{token, went_back};
use crate::index::Objects;
use crate::work_queue::Next;

/// How many objects of a placement may be gone at once without being suspicious. A handful goes with
/// any change of an app; twice as many would let small apps go unnoticed.
const VANISHED_COUNT_MAX: usize = 5;

/// Which part of a placement's objects may be gone at once without being suspicious, in percent:
/// what loses most of itself is rather lost than changed.
const VANISHED_PERCENT_MAX: usize = 50;

/// How long a hold stands before it is worded anew: objects that come back do so one after the other,
/// and not each of them is worth an event.
const REWORDED_AFTER: Duration = Duration::from_secs(5);

/// What a placement has lost.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Vanished {
    /// In order.
    objects: Vec<ObjectId>,
    /// How many it had.
    of: usize,
}

impl Vanished {
    /// What of a recorded revision is neither selected nor on the hub, and was not seen to go.
    pub(super) fn of(
        recorded: &[ManifestRef],
        selected: &[Arc<HubObject>],
        index: &Objects,
    ) -> Self {
        let is_selected =
            |object: &ObjectId| selected.iter().any(|it| it.id.is_same_object(object));
        let recorded_objects = recorded.iter().map(|manifest| &manifest.object);
        let vanished =
            recorded_objects.filter(|object| !index.accounts_for(object) && !is_selected(object));
        Self { objects: vanished.cloned().collect(), of: recorded.len() }
    }

    /// Whether a person has to say that this counts.
    pub(super) fn is_suspicious(&self, hub_went_back: bool) -> bool {
        let count = self.objects.len();
        let is_much = count > VANISHED_COUNT_MAX && count * 100 > self.of * VANISHED_PERCENT_MAX;
        is_much || (hub_went_back && count > 0)
    }

    fn token(&self, key: &PlacementKey) -> String {
        let key = key.to_string();
        let objects: Vec<String> = self.objects.iter().map(ToString::to_string).collect();
        token(["objects gone", &key].into_iter().chain(objects.iter().map(String::as_str)))
    }

    fn message(&self, id: &AggregateId) -> String {
        let (count, of) = (self.objects.len(), self.of);
        let first = self.objects.first().map(ToString::to_string).unwrap_or_default();
        format!(
            "{count} of the {of} objects that it placed are not on the hub, and nobody was seen \
             deleting them (the first: {first}), as after a restore of the hub's etcd: what it \
             placed stays as it is; write them again, or have them removed with: taffrail held \
             confirm {id}"
        )
    }
}

impl<P: PlacementObject> Controller<P> {
    /// Holds the placement if it lost objects in a way that a person has to confirm. `None` if it
    /// did not.
    pub(super) async fn lost_objects(
        &self,
        key: &PlacementKey,
        recorded: &[ManifestRef],
        selected: &[Arc<HubObject>],
    ) -> Option<Next> {
        let vanished = Vanished::of(recorded, selected, &self.config.index.objects());
        if vanished.objects.is_empty() {
            return None;
        }
        let ControllerConfig { watcher, client, router, .. } = &self.config;
        if !vanished.is_suspicious(went_back(router, client, watcher.revision()).await) {
            return None;
        }
        let token = vanished.token(key);
        if self.config.answers.is_confirmed(&token) {
            return None;
        }
        let (uid, held) = self.on_record(key)?;
        let message = vanished.message(&AggregateId::Placement(key.clone()));
        self.waits(key, Some(message.clone()));
        let reason = HoldReason::SelectionGone;
        if let Some(held) = held.filter(|held| held.reason == reason && held.token != token) {
            let age = Timestamp::now().duration_since(held.since).unsigned_abs();
            if age < REWORDED_AFTER {
                return Some(Next::After(REWORDED_AFTER - age));
            }
        }
        Some(self.hold(key, HoldPlacement { uid, reason, token, message }).await)
    }
}

#[cfg(test)]
mod tests {
    use events::ContentHash;

    use super::*;
    use crate::index::testing::{gvk, knowing, list, object};

    fn recorded(names: &[&str]) -> Vec<ManifestRef> {
        let manifest = |name: &&str| ManifestRef {
            object: object(&gvk("v1", "ConfigMap"), name).id,
            content: ContentHash::of(b""),
            sealed: false,
        };
        names.iter().map(manifest).collect()
    }

    fn lost(count: usize, of: usize) -> Vanished {
        let one = object(&gvk("v1", "ConfigMap"), "shop/a").id;
        Vanished { objects: vec![one; count], of }
    }

    #[test]
    fn what_is_there_selected_or_was_seen_to_go_has_not_vanished() {
        let kind = gvk("v1", "ConfigMap");
        let mut index = knowing(&["v1 ConfigMap/"]);
        list(&mut index, &kind, &["shop/a", "shop/deleted"]);
        index.departed(&kind, "shop", "deleted");
        let recorded = recorded(&["shop/a", "shop/deleted", "shop/lost", "shop/selected"]);
        let selected = [Arc::new(object(&kind, "shop/selected"))];
        let vanished = Vanished::of(&recorded, &selected, &index);
        let names: Vec<&str> = vanished.objects.iter().map(|it| it.name.as_str()).collect();
        assert_eq!((names, vanished.of), (vec!["lost"], 4));

        // It was there again, and went unseen.
        list(&mut index, &kind, &["shop/deleted"]);
        list(&mut index, &kind, &[]);
        assert_eq!(Vanished::of(&recorded, &selected, &index).objects.len(), 3);
    }

    #[test]
    fn many_and_most_are_suspicious_and_any_after_the_hub_went_back() {
        for (count, of, suspicious) in
            [(5, 5, false), (6, 12, false), (6, 11, true), (400, 1000, false), (501, 1000, true)]
        {
            assert_eq!(lost(count, of).is_suspicious(false), suspicious, "{count} of {of}");
        }
        assert!(lost(1, 1000).is_suspicious(true));
        assert!(!lost(0, 1000).is_suspicious(true));
    }

    #[test]
    fn a_token_stands_for_exactly_these_objects() {
        let key = PlacementKey::cluster("web");
        assert_eq!(lost(6, 11).token(&key), lost(6, 12).token(&key));
        assert_ne!(lost(6, 11).token(&key), lost(7, 11).token(&key));
        assert_ne!(lost(6, 11).token(&key), lost(6, 11).token(&PlacementKey::cluster("api")));
    }
}
