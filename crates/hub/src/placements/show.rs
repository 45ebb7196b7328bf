//! When and how what was decided is shown.

use std::time::Duration;

use api::placement::PlacementStatus;
use domain::placement::PlacementState;
use events::placement::TargetPhase;
use events::{AggregateId, PlacementKey, Timestamp};
use kube::ResourceExt;

use super::controller::{Controller, Known, RETRY};
use super::status::{StatusInputs, digest, placement_status};
use super::writer::{PlacementObject, write_status};
use crate::work_queue::Next;

/// How long progress is collected before the status is written.
const COLLECT: Duration = Duration::from_millis(5);

/// How much longer for each target of the placement: a status lists all of them, so that one of a
/// hundred takes some ten milliseconds to write, and each moves several times.
const COLLECT_PER_TARGET: Duration = Duration::from_millis(5);

/// How much longer for each status that waits to be written: with a thousand placements under way
/// the hub would write statuses and do little else.
const COLLECT_PER_STATUS: Duration = Duration::from_millis(10);

/// How much longer at most because of others: what is in between may be this old on a hub that is
/// busy with thousands of clusters. Twice as long, and people would wonder whether anything moves.
const COLLECT_MAX: Duration = Duration::from_secs(10);

impl<P: PlacementObject> Controller<P> {
    /// Has all statuses looked at. Most will be right already, so that they are spread: what is new
    /// does not wait behind a thousand of them.
    pub(super) fn mark_statuses(&self) {
        for key in self.objects().keys() {
            self.statuses.mark_coalesced(key.clone(), COLLECT, COLLECT_PER_STATUS, COLLECT_MAX);
        }
    }

    /// Has the status written: at once where somebody waits for it, which is the first answer to a
    /// specification and the last of its targets; now and then for what is in between.
    pub(super) fn mark_status(&self, key: PlacementKey) {
        let Some(known) = self.known(&key) else { return };
        let progress = {
            let model = self.config.router.fold().model();
            model.placements.get(&key).map(|placement| {
                let targets = &placement.state.targets;
                (targets.len(), targets.values().all(|target| is_settled(target.phase)))
            })
        };
        let (targets, all_settled) = progress.unwrap_or((0, true));
        if all_settled || !known.shows_its_generation() {
            self.statuses.mark(key, COLLECT);
        } else {
            let targets = u32::try_from(targets).unwrap_or(u32::MAX);
            let first = COLLECT + COLLECT_PER_TARGET.saturating_mul(targets);
            self.statuses.mark_coalesced(key, first, COLLECT_PER_STATUS, COLLECT_MAX);
        }
    }

    /// Writes what was decided into the object.
    pub(super) async fn show(&self, key: &PlacementKey) -> Next {
        let Some(known) = self.known(key) else { return Next::Wait };
        let object = &known.object;
        // What nobody decides on has no owner who would say so.
        let is_ours = self.config.router.owns(&AggregateId::Placement(key.clone()));
        if !is_ours && self.unobserved(key).is_none() {
            return Next::Wait;
        }
        if object.meta().deletion_timestamp.is_some() {
            self.submits.mark(key.clone(), Duration::ZERO);
        }
        let state = {
            let model = self.config.router.fold().model();
            model.placements.get(key).map(|placement| placement.state.clone())
        };
        let obstacle = self.obstacle(key);
        if state.is_none() && obstacle.is_none() {
            return Next::Wait;
        }
        let state = state.unwrap_or_default();
        let Some(status) = self.status(&known, &state, obstacle.as_deref()).await else {
            return Next::After(RETRY);
        };
        let name = digest(&status);
        if known.shown.digest() == Some(name) {
            return Next::Wait;
        }
        match write_status(&self.config.client, object, &status).await {
            Ok(()) => {
                self.wrote(key, name);
                Next::Wait
            }
            // It is gone, or a newer version is on its way here.
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Next::Wait,
            Err(error) => {
                tracing::warn!(placement = %key, %error, "its status is written later");
                Next::After(RETRY)
            }
        }
    }

    async fn status(
        &self,
        known: &Known<P>,
        state: &PlacementState,
        obstacle: Option<&str>,
    ) -> Option<PlacementStatus> {
        let uid = known.object.uid().unwrap_or_default();
        let is_own = state.specified.as_ref().is_some_and(|specified| specified.uid == uid);
        let selected = match &state.revision {
            Some(revision) if is_own => {
                let list = self.config.contents.revision(revision.reference.manifests).await;
                let list = list
                    .inspect_err(|error| tracing::warn!(%error, "a revision cannot be read yet"));
                match list {
                    Ok(list) => list,
                    // Without the list of what is selected, everything else is still shown.
                    Err(error) if error.damage().is_some() => vec![],
                    Err(_) => return None,
                }
            }
            Some(_) | None => vec![],
        };
        Some(placement_status(&StatusInputs {
            scope: P::SCOPE,
            uid: &uid,
            generation: known.object.meta().generation.unwrap_or_default(),
            state,
            obstacle,
            selected: &selected,
            shown: &known.shown,
            now: Timestamp::now(),
        }))
    }
}

/// Whether nothing further is on its way for a target.
fn is_settled(phase: TargetPhase) -> bool {
    match phase {
        TargetPhase::Moving | TargetPhase::Assigned | TargetPhase::Applied => false,
        TargetPhase::ApplyFailed
        | TargetPhase::Removing
        | TargetPhase::Available
        | TargetPhase::AvailableUntracked
        | TargetPhase::Removed => true,
    }
}

impl<P: PlacementObject> Known<P> {
    /// Whether the status says anything about what the object asks for now.
    fn shows_its_generation(&self) -> bool {
        let generation = self.object.meta().generation;
        generation.is_some_and(|generation| self.shown.judges(generation))
    }
}
