//! What an object shows already, in little: a hub knows thousands of placements, each of which lists
//! its clusters, and needs no more of that than what follows here.

use std::collections::BTreeMap;

use api::conditions::Status;
use api::conditions::placement::{Scope, Step};
use api::placement::PlacementStatus;
use events::ContentHash;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde::Serialize;

/// A status that was read from an object.
#[derive(Debug, Clone, Default)]
pub struct ShownStatus {
    digest: Option<ContentHash>,
    /// The generations that the conditions of the placement judge.
    generations: Vec<i64>,
    placement: ShownLadder,
    clusters: BTreeMap<Box<str>, ShownLadder>,
}

/// Where the steps of a ladder stand, and since when.
#[derive(Debug, Clone, Default)]
pub(super) struct ShownLadder(Box<[(Step, Status, Time)]>);

impl ShownStatus {
    /// What an object of this scope shows.
    #[must_use]
    pub fn of(status: Option<&PlacementStatus>, scope: Scope) -> Self {
        let Some(status) = status else { return Self::default() };
        let conditions = &status.conditions;
        let clusters = status.placement_statuses.iter().map(|entry| {
            let ladder = ShownLadder::of(&entry.conditions, |step| step.name().to_owned());
            (entry.cluster_name.as_str().into(), ladder)
        });
        Self {
            digest: Some(digest(status)),
            generations: conditions.iter().filter_map(|c| c.observed_generation).collect(),
            placement: ShownLadder::of(conditions, |step| step.condition_type(scope)),
            clusters: clusters.collect(),
        }
    }

    /// Names what is shown: [`digest`] of the status. `None` when there is no status.
    #[must_use]
    pub fn digest(&self) -> Option<ContentHash> {
        self.digest
    }

    /// Whether it says anything about this generation.
    #[must_use]
    pub fn judges(&self, generation: i64) -> bool {
        self.generations.contains(&generation)
    }

    pub(super) fn placement(&self) -> &ShownLadder {
        &self.placement
    }

    pub(super) fn cluster(&self, name: &str) -> Option<&ShownLadder> {
        self.clusters.get(name)
    }
}

impl ShownLadder {
    fn of(conditions: &[Condition], condition_type: impl Fn(Step) -> String) -> Self {
        let steps = Step::LADDER.into_iter().filter_map(|step| {
            let shown = api::conditions::find(conditions, &condition_type(step))?;
            let statuses = [Status::True, Status::False, Status::Unknown];
            let status = statuses.into_iter().find(|status| status.as_str() == shown.status)?;
            Some((step, status, shown.last_transition_time.clone()))
        });
        Self(steps.collect())
    }

    /// Since when a step has this status, if it has.
    pub(super) fn since(&self, step: Step, status: Status) -> Option<&Time> {
        let found = self.0.iter().find(|shown| (shown.0, shown.1) == (step, status));
        found.map(|(_, _, since)| since)
    }
}

/// Names a status by what it says.
pub(in crate::placements) fn digest(status: &impl Serialize) -> ContentHash {
    ContentHash::of(&serde_json::to_vec(status).expect("a status is plain data"))
}
