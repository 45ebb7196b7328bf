//! The watches that keep the index current: one task for each kind, and one that looks for kinds
//! that came or went.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use domain::selection::{GroupVersionKind, HubObject, KindRules};
use futures::TryStreamExt;
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_objects};
use kube::{Api, Client, ResourceExt};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

use super::discovery::{DiscoveredKind, discover};
use super::objects::{Objects, ObjectsChange};

/// How many changes a listener may lag behind before it has to look at everything again.
const CHANGES_BUFFERED_MAX: usize = 16_384;

/// How often the kinds are asked for, besides when a CRD changes: aggregated APIs come and go
/// without one.
const DISCOVERY_INTERVAL: Duration = Duration::from_secs(300);

/// How long changes of CRDs are collected before the kinds are asked for again.
const DISCOVERY_DELAY: Duration = Duration::from_millis(200);

/// What an index needs.
#[derive(Clone)]
pub struct IndexConfig {
    /// The hub's API server.
    pub client: Client,
    /// Which kinds may be placed.
    pub rules: KindRules,
}

/// How the index is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexStatus {
    /// Whether the kinds were asked for once.
    pub discovered: bool,
    /// Kinds that were not listed yet.
    pub unsynced: BTreeSet<GroupVersionKind>,
}

impl IndexStatus {
    /// Whether everything was listed once, so that what is absent is really not there.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.discovered && self.unsynced.is_empty()
    }
}

/// The index at work. Cheap to clone.
#[derive(Clone)]
pub struct Index {
    objects: Arc<RwLock<Objects>>,
    changes: broadcast::Sender<Arc<ObjectsChange>>,
    status: watch::Sender<IndexStatus>,
}

impl Index {
    /// Starts to watch. Runs until the returned task is aborted.
    #[must_use]
    pub fn start(config: IndexConfig) -> (Self, JoinHandle<()>) {
        let (changes, _) = broadcast::channel(CHANGES_BUFFERED_MAX);
        let (status, _) = watch::channel(IndexStatus::default());
        let index = Self { objects: Arc::default(), changes, status };
        let task = tokio::spawn(follow_kinds(index.clone(), config));
        (index, task)
    }

    /// The objects, for a selection. Watches wait while this is held.
    pub fn objects(&self) -> RwLockReadGuard<'_, Objects> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells about every change from now on.
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

    fn update_status(&self, discovered: bool) {
        let unsynced: BTreeSet<GroupVersionKind> = self.objects().unsynced().cloned().collect();
        self.status.send_if_modified(|status| {
            let now = IndexStatus { discovered: status.discovered || discovered, unsynced };
            let moved = *status != now;
            *status = now;
            moved
        });
    }
}

/// Keeps one watch for each kind that is served.
async fn follow_kinds(index: Index, config: IndexConfig) {
    let mut watches: BTreeMap<GroupVersionKind, JoinOnDrop> = BTreeMap::new();
    let mut changes = index.changes();
    loop {
        match discover(&config.client, &config.rules).await {
            Ok(kinds) => adjust(&index, &config, kinds, &mut watches),
            Err(error) => {
                tracing::warn!(%error, "the kinds of the hub cannot be discovered; tried again");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        }
        let next = tokio::time::sleep(DISCOVERY_INTERVAL);
        tokio::pin!(next);
        loop {
            tokio::select! {
                () = &mut next => break,
                change = changes.recv() => {
                    let is_crd = change.is_ok_and(|change| {
                        change.kind.is("apiextensions.k8s.io", "CustomResourceDefinition")
                    });
                    if is_crd {
                        tokio::time::sleep(DISCOVERY_DELAY).await;
                        changes = index.changes();
                        break;
                    }
                }
            }
        }
    }
}

/// A task that ends with its handle.
struct JoinOnDrop(JoinHandle<()>);

impl Drop for JoinOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn adjust(
    index: &Index,
    config: &IndexConfig,
    kinds: Vec<DiscoveredKind>,
    watches: &mut BTreeMap<GroupVersionKind, JoinOnDrop>,
) {
    let served: BTreeSet<GroupVersionKind> = kinds.iter().map(|kind| kind.kind.clone()).collect();
    watches.retain(|kind, _| {
        let is_served = served.contains(kind);
        if !is_served {
            tracing::info!(%kind, "the hub no longer serves this kind");
            let gone = index.objects_mut().remove_kind(kind);
            index.tell(gone);
        }
        is_served
    });
    for kind in kinds {
        if !watches.contains_key(&kind.kind) {
            index.objects_mut().add_kind(kind.kind.clone(), kind.namespaced);
            let name = kind.kind.clone();
            let task = tokio::spawn(follow_kind(index.clone(), config.client.clone(), kind));
            watches.insert(name, JoinOnDrop(task));
        }
    }
    index.update_status(true);
}

/// Watches one kind for ever. The watcher resumes, backs off and lists again by itself.
async fn follow_kind(index: Index, client: Client, kind: DiscoveredKind) {
    let api: Api<DynamicObject> = Api::all_with(client, &kind.resource);
    let mut stream = Box::pin(watch_objects(api, watcher::Config::default()).default_backoff());
    let mut listed = BTreeSet::new();
    loop {
        match stream.try_next().await {
            Ok(Some(event)) => take(&index, &kind.kind, event, &mut listed),
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(kind = %kind.kind, %error, "a watch on the hub is tried again");
            }
        }
    }
}

fn take(
    index: &Index,
    kind: &GroupVersionKind,
    event: Event<DynamicObject>,
    listed: &mut BTreeSet<(String, String)>,
) {
    match event {
        Event::Init => listed.clear(),
        Event::InitApply(object) => {
            listed.insert((object.namespace().unwrap_or_default(), object.name_any()));
            apply(index, kind, object);
        }
        Event::InitDone => {
            let gone = index.objects_mut().synced(kind, listed);
            index.tell(gone);
            index.update_status(false);
        }
        Event::Apply(object) => apply(index, kind, object),
        Event::Delete(object) => {
            let namespace = object.namespace().unwrap_or_default();
            let gone = index.objects_mut().delete(kind, &namespace, &object.name_any());
            index.tell(gone);
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
