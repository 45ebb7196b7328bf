//! The controller of one kind of placement object: what it knows, and what is to be looked at.
//!
//! | module | what it does |
//! |---|---|
//! | here | watches the objects, queues those to look at |
//! | [`listen`](super::listen) | whom a change of something else concerns |
//! | [`submit`](super::submit) | objects → commands |
//! | [`absent`](super::absent) | what is on record and not there, or older than that |
//! | [`show`](super::show) | state → status |

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use actors::ask::AskError;
use actors::concerns::Gravity;
use actors::node::Router;
use actors::trace::adopted;
use domain::DomainCommand;
use domain::placement::PlacementCommand;
use domain::selection::SelectionRules;
use events::{AggregateId, ContentHash, PlacementKey, PlacementScope, Principal};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use kube::{Client, ResourceExt};
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use super::convert::placement_spec;
use super::status::ShownStatus;
use super::submit::author;
use super::writer::PlacementObject;
use crate::contents::Contents;
use crate::held::Answers;
use crate::index::{Index, Interest};
use crate::watch::{Names, Told, Watcher, resource_name};
use crate::work_queue::WorkQueue;

/// How many placements are resolved at once.
const SUBMITS_AT_ONCE_MAX: usize = 32;

/// How many statuses are written at once. The API server serves some ten writes at once without
/// queueing.
const STATUS_WRITES_AT_ONCE_MAX: usize = 16;

/// How many deletions may wait to be decided: those of objects without our finalizer, as long as
/// the log takes nothing. Twice as many would take some megabytes, and nobody deletes so many by
/// force. What is more is not followed, and an error says so.
const DEPARTED_MAX: usize = 10_000;

/// How long to wait after something did not work.
pub(super) const RETRY: Duration = Duration::from_secs(1);

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
    /// What people said about what is held.
    pub answers: Answers,
    /// How objects are watched.
    pub watcher: Watcher,
}

/// The controller of one kind of placement. Cheap to clone.
pub struct Controller<P> {
    pub(super) config: ControllerConfig,
    pub(super) submits: WorkQueue<PlacementKey>,
    pub(super) statuses: WorkQueue<PlacementKey>,
    objects: Arc<RwLock<Objects<P>>>,
    notes: Arc<Mutex<Notes>>,
}

type Objects<P> = BTreeMap<PlacementKey, Arc<Known<P>>>;

/// An object as it was seen last.
pub(super) struct Known<P> {
    /// Without its status.
    pub(super) object: P,
    pub(super) shown: ShownStatus,
    pub(super) interest: Option<Interest>,
}

/// What is remembered between looks.
#[derive(Default)]
struct Notes {
    /// Placements of which it cannot be said what they select, and what of that is to be shown.
    waiting: BTreeMap<PlacementKey, Option<String>>,
    /// Placements on whose latest change nobody decides, in words.
    unobserved: BTreeMap<PlacementKey, String>,
    /// Why the latest change of a placement is not decided on here.
    refusals: BTreeMap<PlacementKey, String>,
    /// Objects whose deletion was seen and is not decided yet.
    departed: BTreeMap<PlacementKey, Departed>,
    /// The trace context of what the next status shows.
    traceparents: BTreeMap<PlacementKey, String>,
    /// Whether all objects were told of since the start: what is not known is not there.
    is_listed: bool,
    /// The statuses that were written last.
    written: BTreeMap<PlacementKey, ContentHash>,
}

/// An object that is gone.
#[derive(Debug, Clone)]
pub(super) struct Departed {
    pub(super) uid: String,
    pub(super) author: Principal,
}

impl<P> Clone for Controller<P> {
    fn clone(&self) -> Self {
        Self {
            config: self.config.clone(),
            submits: self.submits.clone(),
            statuses: self.statuses.clone(),
            objects: self.objects.clone(),
            notes: self.notes.clone(),
        }
    }
}

impl<P: PlacementObject> Controller<P> {
    /// Starts all its tasks; they run until they are aborted.
    #[must_use]
    pub fn start(config: ControllerConfig) -> Vec<JoinHandle<()>> {
        let controller = Self {
            config,
            submits: WorkQueue::new(),
            statuses: WorkQueue::new(),
            objects: Arc::default(),
            notes: Arc::default(),
        };
        let supervisor = controller.config.router.supervisor().clone();
        let keep = |what: &str, start: fn(Self) -> BoxFuture<'static, ()>| {
            let name = format!("{what} of {}s", P::kind(&()));
            supervisor.keep(name, Gravity::Warning, controller.clone(), start)
        };
        vec![
            keep("watch", |it| it.watch().boxed()),
            keep("objects", |it| it.listen_to_objects().boxed()),
            keep("log", |it| it.listen_to_log().boxed()),
            keep("ownership", |it| it.listen_to_ownership().boxed()),
            keep("answers", |it| it.listen_to_answers().boxed()),
            keep("content", |it| it.listen_to_contents().boxed()),
            keep("submissions", |it| it.submit_all().boxed()),
            keep("statuses", |it| it.write_statuses().boxed()),
            keep("unobserved changes", |it| it.look_for_unobserved().boxed()),
        ]
    }

    async fn submit_all(self) {
        let queue = self.submits.clone();
        let submit = move |key: PlacementKey| {
            let controller = self.clone();
            let span = tracing::debug_span!("submit", placement = %key);
            async move { controller.submit(&key).await }.instrument(span)
        };
        queue.run(SUBMITS_AT_ONCE_MAX, submit).await;
    }

    async fn write_statuses(self) {
        let queue = self.statuses.clone();
        let show = move |key: PlacementKey| {
            let controller = self.clone();
            let span = adopted(
                tracing::debug_span!("status", placement = %key),
                controller.notes().traceparents.remove(&key).as_deref(),
            );
            async move { controller.show(&key).await }.instrument(span)
        };
        queue.run(STATUS_WRITES_AT_ONCE_MAX, show).await;
    }

    async fn watch(self) {
        let api = P::all(self.config.client.clone());
        let mut watching = self.config.watcher.watch_own(api, resource_name::<P>());
        loop {
            match watching.next().await {
                Told::There(object) => self.applied(object),
                Told::Deleted(object) => self.deleted(&object),
                Told::Complete(names) => self.listed(&names),
                Told::Failing(_) => {}
            }
        }
    }

    fn applied(&self, mut object: P) {
        let key = object.key();
        let shown = ShownStatus::of(object.take_status().as_ref(), P::SCOPE);
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
        let is_ours =
            shown.digest().is_some() && self.notes().written.get(&key) == shown.digest().as_ref();
        let known = Arc::new(Known { object, shown, interest });
        self.objects.write().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), known);
        if is_news {
            self.submits.mark(key.clone(), Duration::ZERO);
        }
        if is_news || !is_ours {
            self.mark_status(key);
        }
    }

    /// Somebody removed our finalizer, or it was never added: the deletion that was seen counts,
    /// and is asked for until it is decided.
    fn deleted(&self, object: &P) {
        let key = object.key();
        self.forget(&key);
        let mut notes = self.notes();
        if notes.departed.len() >= DEPARTED_MAX && !notes.departed.contains_key(&key) {
            tracing::error!(
                placement = %key,
                "too many deletions wait to be decided, what this one placed stays; to remove it, \
                 create and delete the placement once more when /readyz is well"
            );
            return;
        }
        let departed = Departed { uid: object.uid().unwrap_or_default(), author: author(object) };
        notes.departed.insert(key.clone(), departed);
        drop(notes);
        self.submits.mark(key, Duration::ZERO);
    }

    /// All objects that there are were told of. One that was known, was being deleted and is not among
    /// them was let go; of others nobody knows how they went.
    fn listed(&self, names: &Names) {
        let is_there = |key: &PlacementKey| {
            let namespace = match &key.scope {
                PlacementScope::Cluster => String::new(),
                PlacementScope::Namespace(namespace) => namespace.clone(),
            };
            names.contains(&(namespace, key.name.clone()))
        };
        let gone: Vec<Arc<Known<P>>> = {
            let objects = self.objects();
            let gone = objects.iter().filter(|(key, _)| !is_there(key));
            gone.map(|(_, known)| known.clone()).collect()
        };
        for known in gone {
            let object = &known.object;
            match object.meta().deletion_timestamp {
                Some(_) => self.deleted(object),
                None => self.forget(&object.key()),
            }
        }
        self.notes().is_listed = true;
        self.mark_absent();
    }

    /// Whether what is not known is not there.
    pub(super) fn is_listed(&self) -> bool {
        self.notes().is_listed
    }

    fn forget(&self, key: &PlacementKey) {
        self.objects.write().unwrap_or_else(PoisonError::into_inner).remove(key);
        self.waits_no_more(key);
        self.notes().written.remove(key);
    }

    /// Has everything looked at again: selections and deletions.
    pub(super) fn mark_submits(&self) {
        let departed: Vec<PlacementKey> = self.notes().departed.keys().cloned().collect();
        for key in self.objects().keys().chain(&departed) {
            self.submits.mark(key.clone(), Duration::ZERO);
        }
        self.mark_absent();
    }

    /// Has those looked at again that waited for the index.
    pub(super) fn mark_waiting(&self) {
        let waiting: Vec<PlacementKey> = self.notes().waiting.keys().cloned().collect();
        for key in waiting {
            self.submits.mark(key, Duration::ZERO);
        }
    }

    /// It cannot be said what a placement selects; `obstacle` is what to show of that.
    pub(super) fn waits(&self, key: &PlacementKey, obstacle: Option<String>) {
        let before = self.notes().waiting.insert(key.clone(), obstacle.clone());
        if before.flatten() != obstacle {
            self.mark_status(key.clone());
        }
    }

    /// It can be said what a placement selects, or nobody wants to know any more.
    pub(super) fn waits_no_more(&self, key: &PlacementKey) {
        if self.notes().waiting.remove(key).flatten().is_some() {
            self.mark_status(key.clone());
        }
    }

    /// What is in the way of a decision, for people.
    pub(super) fn obstacle(&self, key: &PlacementKey) -> Option<String> {
        self.obstacle_to_selection(key).or_else(|| self.unobserved(key))
    }

    pub(super) fn obstacle_to_selection(&self, key: &PlacementKey) -> Option<String> {
        self.notes().waiting.get(key).cloned().flatten()
    }

    /// That nobody decides on the latest change of a placement, if that is so.
    pub(super) fn unobserved(&self, key: &PlacementKey) -> Option<String> {
        self.notes().unobserved.get(key).cloned()
    }

    /// These are all of which that is so. Answers with those before.
    pub(super) fn replace_unobserved(
        &self,
        unobserved: BTreeMap<PlacementKey, String>,
    ) -> BTreeMap<PlacementKey, String> {
        std::mem::replace(&mut self.notes().unobserved, unobserved)
    }

    /// What was answered when a decision was asked for last, unless that was a yes.
    pub(super) fn refusal(&self, key: &PlacementKey) -> Option<String> {
        self.notes().refusals.get(key).cloned()
    }

    pub(super) fn note_refusal(&self, key: &PlacementKey, refusal: Option<String>) {
        let refusals = &mut self.notes().refusals;
        match refusal {
            Some(refusal) => drop(refusals.insert(key.clone(), refusal)),
            None => drop(refusals.remove(key)),
        }
    }

    pub(super) fn departed(&self, key: &PlacementKey) -> Option<Departed> {
        self.notes().departed.get(key).cloned()
    }

    pub(super) fn departure_decided(&self, key: &PlacementKey) {
        self.notes().departed.remove(key);
    }

    pub(super) fn next_traceparent(&self, key: PlacementKey, traceparent: String) {
        self.notes().traceparents.insert(key, traceparent);
    }

    /// This status was written.
    pub(super) fn wrote(&self, key: &PlacementKey, status: ContentHash) {
        self.notes().written.insert(key.clone(), status);
    }

    pub(super) fn known(&self, key: &PlacementKey) -> Option<Arc<Known<P>>> {
        self.objects().get(key).cloned()
    }

    pub(super) fn objects(&self) -> RwLockReadGuard<'_, Objects<P>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn ask(
        &self,
        id: AggregateId,
        command: PlacementCommand,
        principal: Principal,
    ) -> Result<(), AskError> {
        let command = DomainCommand::from(command);
        self.config.router.ask(id, command, principal).await.map(drop)
    }
}
