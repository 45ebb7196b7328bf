//! The MemberCluster objects of the hub, kept current by a watch.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use api::MemberCluster;
use futures::TryStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_objects};
use kube::{Api, Client, ResourceExt};

/// What happened to an object.
pub(super) enum Moved<'a> {
    /// It is there, perhaps as it was before.
    Applied {
        object: &'a MemberCluster,
        /// Whether more than its status differs from what was known.
        is_news: bool,
    },
    /// It was seen to go.
    Deleted(&'a MemberCluster),
}

/// The objects by name. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Objects {
    known: Arc<RwLock<BTreeMap<String, Arc<MemberCluster>>>>,
}

impl Objects {
    /// One of them, as it was last seen.
    pub(super) fn get(&self, name: &str) -> Option<Arc<MemberCluster>> {
        self.read().get(name).cloned()
    }

    /// The names of all.
    pub(super) fn names(&self) -> Vec<String> {
        self.read().keys().cloned().collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Arc<MemberCluster>>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps them current for ever, and tells what happens.
    pub(super) async fn watch(&self, client: Client, tell: impl Fn(Moved<'_>)) {
        let api: Api<MemberCluster> = Api::all(client);
        let mut stream = Box::pin(watch_objects(api, watcher::Config::default()).default_backoff());
        loop {
            match stream.try_next().await {
                Ok(Some(Event::Init | Event::InitDone)) => {}
                Ok(Some(Event::InitApply(object) | Event::Apply(object))) => {
                    let is_news = self.put(&object);
                    tell(Moved::Applied { object: &object, is_news });
                }
                Ok(Some(Event::Delete(object))) => {
                    let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
                    known.remove(&object.name_any());
                    drop(known);
                    tell(Moved::Deleted(&object));
                }
                Ok(None) => return,
                Err(error) => tracing::warn!(%error, "the watch of MemberClusters is tried again"),
            }
        }
    }

    fn put(&self, object: &MemberCluster) -> bool {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let before = known.insert(object.name_any(), Arc::new(object.clone()));
        before.is_none_or(|before| is_news(&before, object))
    }
}

fn is_news(before: &MemberCluster, after: &MemberCluster) -> bool {
    before.uid() != after.uid()
        || before.metadata.generation != after.metadata.generation
        || before.metadata.deletion_timestamp != after.metadata.deletion_timestamp
        || before.labels() != after.labels()
        || before.finalizers() != after.finalizers()
        || confirmed_cluster(before) != confirmed_cluster(after)
}

/// The cluster that somebody confirmed to take the place of the one that joined.
pub(super) fn confirmed_cluster(object: &MemberCluster) -> Option<&String> {
    object.annotations().get(domain::cluster::CONFIRMED_CLUSTER_ANNOTATION)
}
