//! A member cluster: what is really on it. It does what it is told, or not.

use std::collections::{BTreeMap, BTreeSet};

use events::{ContentHash, PlacementKey};

use super::make::failure;
use crate::Effect;
use crate::cluster::{ClusterCommand, DeliveryOutcome, Notes, ReportDelivery, ReportRemoval};

/// How a member answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It does what it is told.
    Willing,
    /// It writes everything, but nothing gets available.
    Slow,
    /// It writes some and then fails.
    Broken,
    /// It does not answer.
    Away,
}

#[derive(Debug)]
pub(crate) struct Member {
    /// Which cluster it is.
    pub(crate) identity: String,
    pub(crate) mood: Mood,
    holds: BTreeMap<PlacementKey, Holding>,
}

#[derive(Debug, Default)]
struct Holding {
    /// The newest generation that it was told about.
    fence: u64,
    /// Revisions of which objects are on it.
    revisions: BTreeSet<ContentHash>,
}

/// What a member did.
pub(crate) struct Done {
    pub(crate) report: ClusterCommand,
    /// In words, when something moved on it.
    pub(crate) moved: Option<String>,
    /// Whether objects were removed.
    pub(crate) removed: bool,
}

impl Member {
    pub(crate) fn new(identity: String) -> Self {
        Self { identity, mood: Mood::Willing, holds: BTreeMap::new() }
    }

    /// What is on it of a placement.
    pub(crate) fn held(&self, placement: &PlacementKey) -> BTreeSet<ContentHash> {
        self.holds.get(placement).map(|held| held.revisions.clone()).unwrap_or_default()
    }

    /// Nobody looks after what is on it any more: from here on it does not count.
    pub(crate) fn orphan_everything(&mut self) {
        self.holds.values_mut().for_each(|held| held.revisions.clear());
    }

    /// Carries out an effect. `None`: it was not reached, or knows better.
    pub(crate) fn perform(&mut self, effect: &Effect) -> Option<Done> {
        let mood = self.mood;
        if mood == Mood::Away {
            return None;
        }
        let placement = effect.key().placement.clone();
        let held = self.holds.entry(placement.clone()).or_default();
        let before = held.revisions.clone();
        let (report, did) = match effect {
            Effect::Deliver(order) => {
                let generation = order.generation;
                if !held.takes(generation) {
                    return None;
                }
                held.revisions.insert(order.revision.manifests);
                let outcome = match mood {
                    Mood::Broken => DeliveryOutcome::Failed(vec![failure("settings")]),
                    Mood::Slow => DeliveryOutcome::Unavailable(vec![failure("settings")]),
                    Mood::Willing | Mood::Away => DeliveryOutcome::Available { untracked: 0 },
                };
                if mood != Mood::Broken {
                    let old = order.held.iter().map(|revision| revision.manifests);
                    let old = old.filter(|content| *content != order.revision.manifests);
                    old.for_each(|content| {
                        held.revisions.remove(&content);
                    });
                }
                let did = format!("holds r{} of {placement} (g{generation})", order.revision.index);
                let report =
                    ReportDelivery { placement, generation, outcome, notes: Notes::default() };
                (ClusterCommand::ReportDelivery(report), did)
            }
            Effect::Withdraw(order) => {
                let generation = order.generation;
                if !held.takes(generation) || mood == Mood::Broken {
                    return None;
                }
                for revision in &order.held {
                    held.revisions.remove(&revision.manifests);
                }
                let did = format!("holds nothing of {placement} (g{generation})");
                let report = ReportRemoval { placement, generation, notes: Notes::default() };
                (ClusterCommand::ReportRemoval(report), did)
            }
            Effect::Observe(_) | Effect::Cancel(_) => return None,
        };
        let removed = !before.is_subset(&held.revisions);
        let moved = (before != held.revisions).then_some(did);
        Some(Done { report, moved, removed })
    }
}

impl Holding {
    /// A member never moves backwards.
    fn takes(&mut self, generation: u64) -> bool {
        let is_new = generation >= self.fence;
        self.fence = self.fence.max(generation);
        is_new
    }
}
