//! From placement objects to commands.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use actors::ask::AskError;
use domain::placement::{
    DeletePlacement, PlacementCommand, PlacementState, RefusePlacement, RevisionInput,
    SubmitPlacement,
};
use domain::selection::{HubObject, Reach, Resolved, note_texts};
use events::placement::{PlacementSpec, RefusalReason, SelectionScope};
use events::{AggregateId, ManifestRef, PlacementKey, Principal};
use kube::ResourceExt;

use super::controller::{Controller, Departed, RETRY};
use super::convert::placement_spec;
use super::selected::{Selected, forgotten, is_gone_since, kinds_of, obstacle, select, unheard};
use super::writer::{
    FIELD_MANAGER, PlacementObject, add_finalizer, has_finalizer, remove_finalizer,
};
use crate::contents::ContentError;
use crate::index::{Gap, is_served};
use crate::work_queue::Next;

/// How long to wait for the newer version of an object that somebody else wrote in between.
const NEWER_VERSION: Duration = Duration::from_millis(50);

/// How long to wait for what the index does not know yet. It tells when it knows; this is for what it
/// learns in the very moment in which the waiting begins.
const EARLY: Duration = Duration::from_millis(250);

/// How long to wait for what the index cannot know at present. It tells when that changes, too.
const UNKNOWN: Duration = Duration::from_secs(10);

/// How long to wait for another hub to decide a deletion that this one has seen.
const NOT_OURS: Duration = Duration::from_secs(10);

impl<P: PlacementObject> Controller<P> {
    /// Tells the placement what its object asks for and what it selects.
    pub(super) async fn submit(&self, key: &PlacementKey) -> Next {
        if let Some(departed) = self.departed(key) {
            let next = self.depart(key, departed).await;
            if next != Next::Wait {
                return next;
            }
        }
        let Some(known) = self.known(key) else { return self.absent(key).await };
        let object = &known.object;
        let id = AggregateId::Placement(key.clone());
        if !self.config.router.owns(&id) {
            self.waits_no_more(key);
            return Next::Wait;
        }
        if object.meta().deletion_timestamp.is_some() {
            self.waits_no_more(key);
            return self.delete(key, object, id).await;
        }
        if !has_finalizer(object) {
            // Nothing is placed before its removal is certain to be noticed.
            return patched(key, add_finalizer(&self.config.client, object).await);
        }
        if let Some(next) = self.went_back(key, object).await {
            return next;
        }
        let command = match self.command(key, object).await {
            Ok(command) => command,
            Err(next) => return next,
        };
        let principal = self.principal(key, object);
        self.asked(key, self.ask(id, command, principal).await)
    }

    /// Asks for the deletion of what an object placed that is gone, until it is decided; by whom
    /// does not matter.
    async fn depart(&self, key: &PlacementKey, departed: Departed) -> Next {
        let Departed { uid, author } = departed;
        let id = AggregateId::Placement(key.clone());
        if !self.config.router.owns(&id) {
            let model = self.config.router.fold().model();
            let is_open = model.placements.get(key).is_some_and(|p| is_of(&p.state, &uid));
            if is_open {
                return Next::After(NOT_OURS);
            }
            self.departure_decided(key);
            return Next::Wait;
        }
        let command = PlacementCommand::DeletePlacement(DeletePlacement { uid });
        match self.ask(id, command, author).await {
            Ok(()) | Err(AskError::Refused(_)) => {
                self.departure_decided(key);
                Next::Wait
            }
            Err(AskError::NotOwner { .. }) => Next::After(NOT_OURS),
            other => self.asked(key, other),
        }
    }

    /// Asks for everything to be removed, and lets the object go when it is. Comes here again with
    /// each step of the removal.
    async fn delete(&self, key: &PlacementKey, object: &P, id: AggregateId) -> Next {
        let delete = DeletePlacement { uid: object.uid().unwrap_or_default() };
        let command = PlacementCommand::DeletePlacement(delete);
        let asked = self.asked(key, self.ask(id, command, author(object)).await);
        let is_gone = {
            let model = self.config.router.fold().model();
            model.placements.get(key).is_none_or(|placement| is_gone(&placement.state))
        };
        if asked != Next::Wait || !is_gone || !has_finalizer(object) {
            return asked;
        }
        patched(key, remove_finalizer(&self.config.client, object).await)
    }

    pub(super) fn asked(&self, key: &PlacementKey, answer: Result<(), AskError>) -> Next {
        self.note_refusal(key, answer.as_ref().err().map(ToString::to_string));
        match answer {
            Ok(()) | Err(AskError::NotOwner { .. }) => Next::Wait,
            Err(AskError::Refused(reason)) => {
                tracing::debug!(reason, "a placement was refused");
                Next::Wait
            }
            Err(
                error @ (AskError::Busy { .. }
                | AskError::TooLarge { .. }
                | AskError::Unreadable(_)),
            ) => {
                tracing::warn!(%error, "a placement is submitted again later");
                Next::After(RETRY)
            }
        }
    }

    /// Whoever changed the object, if it has changed; otherwise nobody but the hub asks.
    fn principal(&self, key: &PlacementKey, object: &P) -> Principal {
        let model = self.config.router.fold().model();
        let recorded = model.placements.get(key).and_then(|p| p.state.specified.as_ref());
        match recorded {
            Some(specified) if Some(specified.generation) == object.meta().generation => {
                Principal::System
            }
            Some(_) | None => author(object),
        }
    }

    /// What to ask for, or when to look again because that cannot be said yet.
    async fn command(&self, key: &PlacementKey, object: &P) -> Result<PlacementCommand, Next> {
        let uid = object.uid().unwrap_or_default();
        let generation = object.meta().generation.unwrap_or_default();
        let refuse = |reason, message| {
            self.waits_no_more(key);
            let uid = uid.clone();
            PlacementCommand::RefusePlacement(RefusePlacement { uid, generation, reason, message })
        };
        let spec = match placement_spec(object.spec()) {
            Ok(spec) => spec,
            Err(unsupported) => return Ok(refuse(unsupported.reason, unsupported.message)),
        };
        let recorded = self.recorded(key, &uid, &spec).await;
        let (objects, notes) = match self.select(key, &spec, &recorded) {
            Selected::Objects(Resolved { objects, notes }) => (objects, note_texts(&notes)),
            Selected::Problem(problem) if is_gone_since(&problem, &recorded) => {
                (vec![], vec![problem.to_string()])
            }
            Selected::Problem(problem) => {
                let reason = RefusalReason::InvalidResourceSelectors;
                return Ok(refuse(reason, problem.to_string()));
            }
            Selected::Unknown(gaps) => return Err(self.wait_for(key, &gaps)),
        };
        let revision = self.revision(key, &objects).await?;
        self.waits_no_more(key);
        let submit = SubmitPlacement { uid, generation, spec, revision, notes };
        Ok(PlacementCommand::SubmitPlacement(submit))
    }

    /// What this object selected last, as far as it matters for what it selects now: the versions of
    /// what whole namespaces bring, and whether a namespace was there.
    async fn recorded(
        &self,
        key: &PlacementKey,
        uid: &str,
        spec: &PlacementSpec,
    ) -> Vec<ManifestRef> {
        let matters = spec.selectors.iter().any(|selector| match selector.scope {
            SelectionScope::NamespaceOnly => false,
            SelectionScope::NamespaceWithResources => {
                self.config.index.objects().has_other_versions()
            }
            SelectionScope::NamespaceWithResourceSelectors => true,
        });
        let list = {
            let model = self.config.router.fold().model();
            let state = model.placements.get(key).map(|placement| &placement.state);
            let state = state.filter(|state| {
                matters && state.specified.as_ref().is_some_and(|it| it.uid == uid)
            });
            state.and_then(|state| Some(state.revision.as_ref()?.reference.manifests))
        };
        let Some(list) = list else { return vec![] };
        let read = self.config.contents.revision(list).await;
        read.inspect_err(|error| {
            tracing::warn!(placement = %key, %error, "what it selected last cannot be read");
        })
        .unwrap_or_default()
    }

    /// What the placement selects at this moment; what is known and what is not is of the same one.
    fn select(
        &self,
        key: &PlacementKey,
        spec: &PlacementSpec,
        recorded: &[ManifestRef],
    ) -> Selected {
        let index = &self.config.index;
        let reach = Reach::of(&key.scope, &spec.selectors);
        let kept = if reach.contents { kinds_of(recorded) } else { BTreeSet::new() };
        index.want(&reach.kinds.union(&kept).cloned().collect());
        select(&key.scope, &spec.selectors, &kept, &index.objects(), &self.config.rules)
    }

    fn wait_for(&self, key: &PlacementKey, gaps: &[Gap]) -> Next {
        let obstacle = obstacle(gaps);
        let next = if obstacle.is_some() { UNKNOWN } else { EARLY };
        self.waits(key, obstacle);
        Next::After(next)
    }

    /// Stores what is selected, unless that is what is on record.
    async fn revision(
        &self,
        key: &PlacementKey,
        objects: &[Arc<HubObject>],
    ) -> Result<RevisionInput, Next> {
        let later = |error: ContentError| {
            tracing::warn!(placement = %key, %error, "its objects cannot be stored yet");
            let Some(damage) = error.damage() else { return Next::After(RETRY) };
            self.waits(key, Some(format!("what it placed cannot be read: {damage}")));
            Next::After(UNKNOWN)
        };
        let recorded = {
            let model = self.config.router.fold().model();
            let placement = model.placements.get(key);
            placement.and_then(|p| p.state.revision.as_ref().map(|r| r.reference.manifests))
        };
        let draft = self.config.contents.draft(objects);
        self.config.contents.mend(&draft).await.map_err(later)?;
        if recorded == Some(draft.revision.manifests) {
            return Ok(draft.revision);
        }
        if let Some(recorded) = recorded {
            let recorded = self.config.contents.revision(recorded).await.map_err(later)?;
            if let Some(next) = self.lost_objects(key, &recorded, objects).await {
                return Err(next);
            }
            let forgotten = forgotten(&recorded, &self.config.index.objects(), &self.config.rules);
            let mut gaps = vec![];
            for kind in forgotten {
                match is_served(&self.config.client, &kind).await {
                    Ok(false) => {}
                    Ok(true) => gaps.push(unheard(kind, None)),
                    Err(error) => gaps.push(unheard(kind, Some(&error))),
                }
            }
            if !gaps.is_empty() {
                return Err(self.wait_for(key, &gaps));
            }
        }
        self.config.contents.put_revision(draft).await.map_err(later)
    }
}

/// What comes after a change of the finalizers.
fn patched(key: &PlacementKey, patched: Result<(), kube::Error>) -> Next {
    match patched {
        Ok(()) => Next::Wait,
        Err(kube::Error::Api(status)) if status.code == 404 => Next::Wait,
        Err(kube::Error::Api(status)) if status.code == 409 => Next::After(NEWER_VERSION),
        Err(error) => {
            tracing::warn!(placement = %key, %error, "its finalizers are written later");
            Next::After(RETRY)
        }
    }
}

/// Whether something of the object with this uid is on record, and not being removed.
fn is_of(state: &PlacementState, uid: &str) -> bool {
    let specified = state.specified.as_ref().is_some_and(|specified| specified.uid == uid);
    let refused = state.problem.as_ref().is_some_and(|problem| problem.uid == uid);
    (specified || refused) && state.deleting.is_none()
}

/// Whether nothing of a placement is left anywhere.
fn is_gone(state: &PlacementState) -> bool {
    state.specified.is_none() && state.deleting.is_none() && state.targets.is_empty()
}

/// Who last changed what people write in an object, by its managed fields. Whoever writes chooses
/// what they are called there, so that it is a claim and no more.
pub(super) fn author<P: PlacementObject>(object: &P) -> Principal {
    let fields = object.managed_fields().iter();
    let by_people = fields.filter(|field| {
        field.subresource.as_deref().unwrap_or_default().is_empty()
            && field.manager.as_deref() != Some(FIELD_MANAGER)
    });
    let last = by_people.max_by_key(|field| field.time.as_ref().map(|time| time.0));
    match last.and_then(|field| field.manager.clone()) {
        Some(manager) => Principal::Claimed(manager),
        None => Principal::System,
    }
}
