//! The watches that keep the index current: one task for each kind, and one that looks for kinds
//! that came or went.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use actors::concerns::Gravity;
use actors::supervised::Supervisor;
use domain::selection::{GroupVersionKind, HubObject, KindRules};
use futures::StreamExt;
use kube::api::DynamicObject;
use kube::{Api, Client, ResourceExt};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::discovery::{Discovered, DiscoveredKind, discover, is_served};
use super::gap::Gap;
use super::looks::Looks;
use super::objects::{Adjustment, Objects, ObjectsChange};
use crate::watch::{Told, Watcher, said};

/// How many changes a listener may lag behind before it has to look at everything again.
const CHANGES_BUFFERED_MAX: usize = 16_384;

/// How many kinds are asked for at once that are not mentioned any more.
const MISSING_AT_ONCE_MAX: usize = 8;

/// How long such a question may take. There is another with the next look.
const MISSING_TIMEOUT: Duration = Duration::from_secs(5);

/// What an index needs.
#[derive(Clone)]
pub struct IndexConfig {
    /// The hub's API server.
    pub client: Client,
    /// Which kinds may be placed.
    pub rules: KindRules,
    /// How it watches.
    pub watcher: Watcher,
}

/// How the index is doing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IndexStatus {
    /// How often kinds came or went.
    pub moves: u64,
    /// What is not known.
    pub gaps: Vec<Gap>,
}

impl IndexStatus {
    /// Whether something was not even tried yet: it will be known in a moment.
    #[must_use]
    pub fn is_early(&self) -> bool {
        self.gaps.iter().any(|gap| gap.error.is_none())
    }
}

/// The index at work. Cheap to clone.
#[derive(Clone)]
pub struct Index {
    objects: Arc<RwLock<Objects>>,
    changes: broadcast::Sender<Arc<ObjectsChange>>,
    status: watch::Sender<IndexStatus>,
    /// Somebody asks for a kind in a version that is not watched yet.
    asked_for: Arc<Notify>,
}

impl Index {
    /// Starts to watch. Runs until the returned task is aborted.
    #[must_use]
    pub fn start(config: IndexConfig, supervisor: &Supervisor) -> (Self, JoinHandle<()>) {
        let objects = Objects::default();
        let (changes, _) = broadcast::channel(CHANGES_BUFFERED_MAX);
        let (status, _) = watch::channel(status_of(&objects));
        let objects = Arc::new(RwLock::new(objects));
        let index = Self { objects, changes, status, asked_for: Arc::default() };
        let following = follow_kinds(index.clone(), config);
        let task = supervisor.guard("index", Gravity::Blocking, following);
        (index, task)
    }

    /// The objects, for a selection. Watches wait while this is held.
    pub fn objects(&self) -> RwLockReadGuard<'_, Objects> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has kinds watched in these very versions, as far as they are served.
    pub fn want(&self, kinds: &BTreeSet<GroupVersionKind>) {
        if !self.objects().wants(kinds) && self.objects_mut().want(kinds) {
            self.asked_for.notify_one();
        }
    }

    /// Tells about every change of an object from now on. That kinds came or went is told by the
    /// status.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Arc<ObjectsChange>> {
        self.changes.subscribe()
    }

    /// How it is doing.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<IndexStatus> {
        self.status.subscribe()
    }

    fn objects_mut(&self) -> RwLockWriteGuard<'_, Objects> {
        self.objects.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, changes: impl IntoIterator<Item = ObjectsChange>) {
        for change in changes {
            // Nobody listening is fine.
            drop(self.changes.send(Arc::new(change)));
        }
    }

    fn update_status(&self) {
        self.status.send_if_modified(|status| {
            let now = status_of(&self.objects());
            let moved = *status != now;
            *status = now;
            moved
        });
    }
}

fn status_of(objects: &Objects) -> IndexStatus {
    IndexStatus { moves: objects.moves(), gaps: objects.gaps() }
}

/// The watches at work, by kind.
type Watches = BTreeMap<GroupVersionKind, AbortOnDrop>;

/// A task that ends with its handle.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Keeps one watch for each kind that is served.
async fn follow_kinds(index: Index, config: IndexConfig) {
    let mut watches = Watches::new();
    let mut changes = index.changes();
    let mut looks = Looks::new(Instant::now());
    loop {
        match discover(&config.client, &config.rules).await {
            Ok(discovered) => {
                adjust(&index, &config, discovered, &mut watches).await;
                looks.taken(Instant::now());
            }
            Err(error) => {
                tracing::warn!(%error, "the kinds of the hub cannot be discovered; tried again");
                if index.objects_mut().not_discovered(said(&error)) {
                    index.update_status();
                }
                looks.failed(Instant::now());
            }
        }
        tokio::select! {
            () = time_for_a_look(&mut looks, &mut changes) => {}
            () = index.asked_for.notified() => {}
        }
    }
}

async fn time_for_a_look(looks: &mut Looks, changes: &mut broadcast::Receiver<Arc<ObjectsChange>>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(looks.next()) => return,
            change = changes.recv() => if may_change_kinds(&change) {
                looks.changed(Instant::now());
            },
        }
    }
}

/// Whether there may be other kinds after a change. What was missed may have been anything.
fn may_change_kinds(change: &Result<Arc<ObjectsChange>, RecvError>) -> bool {
    match change {
        Ok(change) => {
            change.kind.is("apiextensions.k8s.io", "CustomResourceDefinition")
                || change.kind.is("apiregistration.k8s.io", "APIService")
        }
        Err(RecvError::Lagged(_) | RecvError::Closed) => true,
    }
}

/// Watches what is new, and lets go of what is gone for certain.
async fn adjust(
    index: &Index,
    config: &IndexConfig,
    discovered: Discovered,
    watches: &mut Watches,
) {
    let Adjustment { added, replaced, missing } = index.objects_mut().adjust(discovered);
    for kind in replaced {
        tracing::info!(%kind, "the hub prefers another version of this kind");
        watches.remove(&kind);
    }
    for kind in added {
        let name = kind.kind.clone();
        let task = tokio::spawn(follow_kind(index.clone(), config.clone(), kind));
        watches.insert(name, AbortOnDrop(task));
    }
    for kind in unserved(&config.client, missing).await {
        tracing::info!(%kind, "the hub no longer serves this kind");
        watches.remove(&kind);
        index.objects_mut().remove_kind(&kind);
    }
    index.update_status();
}

/// Which of the kinds are certainly not served.
async fn unserved(client: &Client, missing: Vec<GroupVersionKind>) -> Vec<GroupVersionKind> {
    let asked = futures::stream::iter(missing).map(|kind| async move {
        let asked = tokio::time::timeout(MISSING_TIMEOUT, is_served(client, &kind)).await;
        if matches!(asked, Ok(Ok(false))) {
            return Some(kind);
        }
        tracing::warn!(%kind, "the hub does not mention this kind; what it had of it is kept");
        None
    });
    asked.buffer_unordered(MISSING_AT_ONCE_MAX).filter_map(std::future::ready).collect().await
}

/// Keeps the objects of one kind current for ever. Of what went while nobody watched a complete list
/// tells.
async fn follow_kind(index: Index, config: IndexConfig, kind: DiscoveredKind) {
    let IndexConfig { client, watcher, .. } = config;
    let about = kind.resource_name();
    let DiscoveredKind { kind, resource, .. } = kind;
    let api: Api<DynamicObject> = Api::all_with(client, &resource);
    let mut watching = watcher.watch(api, about);
    loop {
        match watching.next().await {
            Told::There(object) => apply(&index, &kind, object),
            Told::Deleted(object) => {
                let namespace = object.namespace().unwrap_or_default();
                let gone = index.objects_mut().departed(&kind, &namespace, &object.name_any());
                index.tell(gone);
            }
            Told::Complete(names) => {
                let gone = index.objects_mut().listed(&kind, &names);
                index.tell(gone);
                index.update_status();
            }
            Told::Failing(reason) => {
                if index.objects_mut().not_listed(&kind, reason) {
                    index.update_status();
                }
            }
        }
    }
}

fn apply(index: &Index, kind: &GroupVersionKind, object: DynamicObject) {
    let value = serde_json::to_value(object).expect("an object from JSON is JSON");
    match HubObject::read(kind, value) {
        Ok(object) => {
            let change = index.objects_mut().apply(kind, object);
            index.tell(change);
        }
        Err(error) => tracing::warn!(%error, "an object on the hub is ignored"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::testing::gvk;

    #[test]
    fn regression_changes_that_were_missed_may_have_changed_the_kinds() {
        let change = |api_version: &str, kind: &str| {
            let kind = gvk(api_version, kind);
            let (namespace, name) = (String::new(), "it".to_owned());
            Ok(Arc::new(ObjectsChange { kind, namespace, name, before: None, after: None }))
        };
        assert!(may_change_kinds(&Err(RecvError::Lagged(7))));
        assert!(may_change_kinds(&change("apiextensions.k8s.io/v1", "CustomResourceDefinition")));
        assert!(may_change_kinds(&change("apiregistration.k8s.io/v1", "APIService")));
        assert!(!may_change_kinds(&change("v1", "ConfigMap")));
    }
}
