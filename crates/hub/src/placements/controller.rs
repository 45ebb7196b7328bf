//! The loop of one kind of placement object: watch, resolve, submit; listen, write status.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use actors::ask::AskError;
use actors::node::Router;
use actors::trace::adopted;
use domain::DomainCommand;
use domain::placement::{
    DeletePlacement, PlacementCommand, PlacementState, RefusePlacement, SubmitPlacement,
};
use domain::selection::{Catalogue, GroupVersionKind, HubObject, SelectionRules, resolve};
use events::placement::{PlacementSpec, RefusalReason, TargetPhase};
use events::{AggregateId, PlacementKey, Principal, Timestamp};
use futures::TryStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_objects};
use kube::{Client, ResourceExt};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use super::convert::placement_spec;
use super::status::{StatusInputs, placement_status};
use super::writer::{
    PlacementObject, add_finalizer, has_finalizer, remove_finalizer, write_status,
};
use crate::contents::Contents;
use crate::index::{Index, Interest, ObjectsChange};
use crate::work_queue::{Next, WorkQueue};

/// How long changes of selected objects are collected before a placement is resolved again: what
/// one `kubectl apply` changes should be one revision where possible, and nobody notices 10 ms.
const COLLECT: Duration = Duration::from_millis(10);

/// How much longer changes are collected for each object that a placement selected before: a
/// revision lists all of them, so a busy placement of thousands must not write a list for each
/// change. 5,000 objects make it half a second.
const COLLECT_PER_OBJECT: Duration = Duration::from_micros(100);

/// How long progress is collected before the status is written.
const COLLECT_STATUS: Duration = Duration::from_millis(5);

/// How much longer for each target of the placement: a status lists all of them, so that one of a
/// hundred takes some ten milliseconds to write, and each moves several times.
const COLLECT_PER_TARGET: Duration = Duration::from_millis(5);

/// How much longer for each status that waits to be written: with a thousand placements under way
/// the hub would write statuses and do little else.
const COLLECT_PER_STATUS: Duration = Duration::from_millis(10);

/// How many placements are resolved at once.
const SUBMITS_AT_ONCE_MAX: usize = 32;

/// How many statuses are written at once. The API server serves some ten writes at once without
/// queueing.
const STATUS_WRITES_AT_ONCE_MAX: usize = 16;

/// How long to wait after something did not work.
const RETRY: Duration = Duration::from_secs(1);

/// How long to wait for the newer version of an object that somebody else wrote in between.
const NEWER_VERSION: Duration = Duration::from_millis(50);

/// What a controller needs.
#[derive(Clone)]
pub struct ControllerConfig {
    /// The hub's API server.
    pub client: Client,
    /// Who decides.
    pub router: Router,
    /// The objects that may be selected.
    pub index: Index,
    /// What may be selected.
    pub rules: SelectionRules,
    /// Where manifests are stored.
    pub contents: Contents,
}

/// The controller of one kind of placement. Cheap to clone.
pub struct Controller<P> {
    config: ControllerConfig,
    objects: Arc<RwLock<BTreeMap<PlacementKey, Arc<Known<P>>>>>,
    submits: WorkQueue<PlacementKey>,
    statuses: WorkQueue<PlacementKey>,
    /// The trace context of what the next status shows.
    traceparents: Arc<Mutex<BTreeMap<PlacementKey, String>>>,
}

struct Known<P> {
    object: P,
    interest: Option<Interest>,
}

impl<P> Clone for Controller<P> {
    fn clone(&self) -> Self {
        Self {
            config: self.config.clone(),
            objects: self.objects.clone(),
            submits: self.submits.clone(),
            statuses: self.statuses.clone(),
            traceparents: self.traceparents.clone(),
        }
    }
}

impl<P: PlacementObject> Controller<P> {
    /// Starts all its tasks; they run until they are aborted.
    #[must_use]
    pub fn start(config: ControllerConfig) -> Vec<JoinHandle<()>> {
        let controller = Self {
            config,
            objects: Arc::default(),
            submits: WorkQueue::new(),
            statuses: WorkQueue::new(),
            traceparents: Arc::default(),
        };
        let submitting = controller.clone();
        let writing = controller.clone();
        vec![
            tokio::spawn(controller.clone().watch()),
            tokio::spawn(controller.clone().listen_to_objects()),
            tokio::spawn(controller.clone().listen_to_log()),
            tokio::spawn(controller.clone().listen_to_ownership()),
            tokio::spawn(controller.submits.clone().run(SUBMITS_AT_ONCE_MAX, move |key| {
                let controller = submitting.clone();
                let span = tracing::debug_span!("submit", placement = %key);
                async move { controller.submit(&key).await }.instrument(span)
            })),
            tokio::spawn(controller.statuses.clone().run(STATUS_WRITES_AT_ONCE_MAX, move |key| {
                let controller = writing.clone();
                let span = adopted(
                    tracing::debug_span!("status", placement = %key),
                    controller.traceparents().remove(&key).as_deref(),
                );
                async move { controller.show(&key).await }.instrument(span)
            })),
        ]
    }

    fn known(&self, key: &PlacementKey) -> Option<Arc<Known<P>>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn traceparents(&self) -> MutexGuard<'_, BTreeMap<PlacementKey, String>> {
        self.traceparents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has everything looked at. Most statuses will be right already, so that they are spread: what
    /// is new does not wait behind a thousand of them.
    fn mark_all(&self) {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        for key in objects.keys() {
            self.submits.mark(key.clone(), Duration::ZERO);
            self.statuses.mark_coalesced(key.clone(), COLLECT_STATUS, COLLECT_PER_STATUS);
        }
    }

    async fn watch(self) {
        let api = P::all(self.config.client.clone());
        let mut stream = Box::pin(watch_objects(api, watcher::Config::default()).default_backoff());
        loop {
            match stream.try_next().await {
                Ok(Some(Event::Init | Event::InitDone)) => {}
                Ok(Some(Event::InitApply(object) | Event::Apply(object))) => self.apply(object),
                Ok(Some(Event::Delete(object))) => self.deleted(&object).await,
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(kind = %P::kind(&()), %error, "a watch is tried again");
                }
            }
        }
    }

    fn apply(&self, object: P) {
        let key = object.key();
        let scope = key.scope.clone();
        let interest =
            placement_spec(object.spec()).ok().map(|spec| Interest::new(scope, spec.selectors));
        let before = self.known(&key);
        // What we wrote ourselves comes back, and is no reason to look at the selection again.
        let is_news = before.is_none_or(|before| {
            before.object.uid() != object.uid()
                || before.object.meta().generation != object.meta().generation
                || before.object.meta().deletion_timestamp != object.meta().deletion_timestamp
                || before.object.finalizers() != object.finalizers()
        });
        let known = Arc::new(Known { object, interest });
        self.objects.write().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), known);
        if is_news {
            self.submits.mark(key.clone(), Duration::ZERO);
        }
        self.mark_status(key);
    }

    /// Has the status written: at once where somebody waits for it, which is the first answer to a
    /// specification and the last of its targets; now and then for what is in between.
    fn mark_status(&self, key: PlacementKey) {
        let Some(known) = self.known(&key) else { return };
        let progress = {
            let model = self.config.router.fold().model();
            model.placements.get(&key).map(|placement| {
                let targets = &placement.state.targets;
                (targets.len(), targets.values().all(|target| is_settled(target.phase)))
            })
        };
        let Some((targets, all_settled)) = progress else { return };
        if all_settled || !shows_its_generation(&known.object) {
            self.statuses.mark(key, COLLECT_STATUS);
        } else {
            let targets = u32::try_from(targets).unwrap_or(u32::MAX);
            let first = COLLECT_STATUS + COLLECT_PER_TARGET.saturating_mul(targets);
            self.statuses.mark_coalesced(key, first, COLLECT_PER_STATUS);
        }
    }

    /// Somebody removed our finalizer, or it was never added: the deletion that was seen counts.
    async fn deleted(&self, object: &P) {
        let key = object.key();
        self.objects.write().unwrap_or_else(PoisonError::into_inner).remove(&key);
        let id = AggregateId::Placement(key);
        if self.config.router.owns(&id) {
            let delete = DeletePlacement { uid: object.uid().unwrap_or_default() };
            let command = PlacementCommand::DeletePlacement(delete);
            if let Err(error) = self.ask(id, command, author(object)).await {
                tracing::debug!(%error, "a deletion that was decided before");
            }
        }
    }

    async fn listen_to_objects(self) {
        let mut changes = self.config.index.changes();
        let mut status = self.config.index.status();
        loop {
            tokio::select! {
                change = changes.recv() => match change {
                    Ok(change) => self.mark_concerned(&change),
                    Err(RecvError::Lagged(_)) => self.mark_all(),
                    Err(RecvError::Closed) => return,
                },
                moved = status.changed() => match moved {
                    Ok(()) if status.borrow().is_synced() => self.mark_all(),
                    Ok(()) => {}
                    Err(_) => return,
                },
            }
        }
    }

    fn mark_concerned(&self, change: &ObjectsChange) {
        let namespace_labels = |name: &str| {
            let kind = GroupVersionKind::new("", "v1", "Namespace");
            let namespace = self.config.index.objects().object(&kind, None, name);
            namespace.map(|namespace| namespace.labels.clone())
        };
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        let concerned = objects.iter().filter(|(_, known)| {
            let interest = known.interest.as_ref();
            interest.is_some_and(|interest| interest.is_concerned(change, namespace_labels))
        });
        for (key, _) in concerned {
            let selected = {
                let model = self.config.router.fold().model();
                let placement = model.placements.get(key);
                placement.and_then(|known| known.state.revision.as_ref().map(|r| r.objects))
            };
            let collect = COLLECT + COLLECT_PER_OBJECT * selected.unwrap_or_default();
            self.submits.mark(key.clone(), collect);
        }
    }

    async fn listen_to_log(self) {
        let mut changes = self.config.router.fold().changes();
        loop {
            match changes.recv().await {
                Ok(change) => {
                    for aggregate in &change.aggregates {
                        if let AggregateId::Placement(key) = aggregate {
                            if let Some(traceparent) = change.traceparents.get(aggregate) {
                                self.traceparents().insert(key.clone(), traceparent.clone());
                            }
                            self.mark_status(key.clone());
                        }
                    }
                }
                Err(RecvError::Lagged(_)) => self.mark_all(),
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn listen_to_ownership(self) {
        let mut owning = self.config.router.owning();
        while owning.changed().await.is_ok() {
            self.mark_all();
        }
    }

    async fn ask(
        &self,
        id: AggregateId,
        command: PlacementCommand,
        principal: Principal,
    ) -> Result<(), AskError> {
        let command = DomainCommand::from(command);
        self.config.router.ask(id, command, principal).await.map(drop)
    }

    /// Tells the placement what its object asks for and what it selects.
    async fn submit(&self, key: &PlacementKey) -> Next {
        let Some(known) = self.known(key) else { return Next::Wait };
        let object = &known.object;
        let id = AggregateId::Placement(key.clone());
        if !self.config.router.owns(&id) {
            return Next::Wait;
        }
        if object.meta().deletion_timestamp.is_some() {
            return self.delete(key, object, id).await;
        }
        if !has_finalizer(object) {
            // Nothing is placed before its removal is certain to be noticed.
            return patched(key, add_finalizer(&self.config.client, object).await);
        }
        let Some(command) = self.command(key, object).await else { return Next::After(RETRY) };
        let principal = self.principal(key, object);
        self.asked(self.ask(id, command, principal).await)
    }

    /// Asks for everything to be removed, and lets the object go when it is. Comes here again with
    /// each step of the removal.
    async fn delete(&self, key: &PlacementKey, object: &P, id: AggregateId) -> Next {
        let delete = DeletePlacement { uid: object.uid().unwrap_or_default() };
        let command = PlacementCommand::DeletePlacement(delete);
        let asked = self.asked(self.ask(id, command, author(object)).await);
        let is_gone = {
            let model = self.config.router.fold().model();
            model.placements.get(key).is_none_or(|placement| is_gone(&placement.state))
        };
        if asked != Next::Wait || !is_gone || !has_finalizer(object) {
            return asked;
        }
        patched(key, remove_finalizer(&self.config.client, object).await)
    }

    fn asked(&self, answer: Result<(), AskError>) -> Next {
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

    /// `None` when it cannot be said yet what the placement selects.
    async fn command(&self, key: &PlacementKey, object: &P) -> Option<PlacementCommand> {
        let uid = object.uid().unwrap_or_default();
        let generation = object.meta().generation.unwrap_or_default();
        let refuse = |reason, message| {
            let uid = uid.clone();
            PlacementCommand::RefusePlacement(RefusePlacement { uid, generation, reason, message })
        };
        let spec = match placement_spec(object.spec()) {
            Ok(spec) => spec,
            Err(unsupported) => return Some(refuse(unsupported.reason, unsupported.message)),
        };
        let selected = match self.select(key, &spec)? {
            Ok(selected) => selected,
            Err(message) => return Some(refuse(RefusalReason::InvalidResourceSelectors, message)),
        };
        match self.config.contents.put_revision(&selected).await {
            Ok(revision) => {
                let uid = uid.clone();
                Some(PlacementCommand::SubmitPlacement(SubmitPlacement {
                    uid,
                    generation,
                    spec,
                    revision,
                }))
            }
            Err(error) => {
                tracing::warn!(placement = %key, %error, "its objects cannot be stored yet");
                None
            }
        }
    }

    /// What the placement selects, or why that cannot be followed. `None` while not everything
    /// was listed: what is not known must not look as if it were not there.
    fn select(
        &self,
        key: &PlacementKey,
        spec: &PlacementSpec,
    ) -> Option<Result<Vec<Arc<HubObject>>, String>> {
        if !self.config.index.status().borrow().is_synced() {
            return None;
        }
        let objects = self.config.index.objects();
        let selected = resolve(&key.scope, &spec.selectors, &*objects, &self.config.rules);
        Some(selected.map_err(|problem| problem.to_string()))
    }

    /// Writes what was decided into the object.
    async fn show(&self, key: &PlacementKey) -> Next {
        let Some(known) = self.known(key) else { return Next::Wait };
        let object = &known.object;
        if !self.config.router.owns(&AggregateId::Placement(key.clone())) {
            return Next::Wait;
        }
        if object.meta().deletion_timestamp.is_some() {
            self.submits.mark(key.clone(), Duration::ZERO);
        }
        let state = {
            let model = self.config.router.fold().model();
            model.placements.get(key).map(|placement| placement.state.clone())
        };
        let Some(state) = state else { return Next::Wait };
        let Some(status) = self.status(object, &state).await else { return Next::After(RETRY) };
        let shown = write_status(&self.config.client, object, &status).await;
        match shown {
            Ok(()) => Next::Wait,
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
        object: &P,
        state: &PlacementState,
    ) -> Option<api::placement::PlacementStatus> {
        let selected = match &state.revision {
            None => vec![],
            Some(revision) => {
                let list = self.config.contents.revision(revision.reference.manifests).await;
                list.inspect_err(|error| tracing::warn!(%error, "a revision cannot be read yet"))
                    .ok()?
            }
        };
        Some(placement_status(&StatusInputs {
            scope: P::SCOPE,
            generation: object.meta().generation.unwrap_or_default(),
            state,
            selected: &selected,
            shown: object.status(),
            now: Timestamp::now(),
        }))
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

/// Whether nothing further is on its way for a target.
fn is_settled(phase: TargetPhase) -> bool {
    match phase {
        TargetPhase::Moving | TargetPhase::Assigned | TargetPhase::Applied => false,
        TargetPhase::ApplyFailed
        | TargetPhase::Available
        | TargetPhase::AvailableUntracked
        | TargetPhase::Removed => true,
    }
}

/// Whether the status of an object says anything about what it asks for now.
fn shows_its_generation(object: &impl PlacementObject) -> bool {
    let conditions = object.status().into_iter().flat_map(|status| &status.conditions);
    let generation = object.meta().generation;
    conditions.into_iter().any(|condition| condition.observed_generation == generation)
}

/// Whether nothing of a placement is left anywhere.
fn is_gone(state: &PlacementState) -> bool {
    state.specified.is_none() && state.deleting.is_none() && state.targets.is_empty()
}

/// Who last changed what people write in an object, by its managed fields.
fn author<P: PlacementObject>(object: &P) -> Principal {
    let fields = object.managed_fields().iter();
    let by_people = fields.filter(|field| {
        field.subresource.as_deref().unwrap_or_default().is_empty()
            && field.manager.as_deref() != Some(super::writer::FIELD_MANAGER)
    });
    let last = by_people.max_by_key(|field| field.time.as_ref().map(|time| time.0));
    match last.and_then(|field| field.manager.clone()) {
        Some(manager) => Principal::User(manager),
        None => Principal::System,
    }
}
