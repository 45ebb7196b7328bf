//! The MemberCluster objects of the hub, kept current by a watch.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use api::MemberCluster;
use kube::{Api, Client, ResourceExt};

use crate::watch::{Names, Told, Watcher, resource_name};

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
    /// All that there are were told of.
    Listed,
}

/// The objects by name. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Objects {
    known: Arc<RwLock<BTreeMap<String, Arc<MemberCluster>>>>,
    /// Whether all were told of since the start: what is not known is not there.
    is_listed: Arc<AtomicBool>,
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

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Arc<MemberCluster>>> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Arc<MemberCluster>>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps them current for ever, and tells what happens.
    pub(super) async fn watch(&self, client: Client, watcher: &Watcher, tell: impl Fn(Moved<'_>)) {
        let about = resource_name::<MemberCluster>();
        let mut watching = watcher.watch_own(Api::<MemberCluster>::all(client), about);
        loop {
            match watching.next().await {
                Told::There(object) => {
                    let is_news = self.put(&object);
                    tell(Moved::Applied { object: &object, is_news });
                }
                Told::Deleted(object) => {
                    self.write().remove(&object.name_any());
                    tell(Moved::Deleted(&object));
                }
                Told::Complete(names) => {
                    self.keep(&names, &tell);
                    self.is_listed.store(true, Ordering::Relaxed);
                    tell(Moved::Listed);
                }
                Told::Failing(_) => {}
            }
        }
    }

    /// Forgets those that a complete list does not name. One that was being deleted was let go; of
    /// others nobody knows how they went.
    fn keep(&self, names: &Names, tell: &impl Fn(Moved<'_>)) {
        let gone: Vec<Arc<MemberCluster>> = {
            let is_there = |name: &String| names.contains(&(String::new(), name.clone()));
            let mut known = self.write();
            let gone: Vec<String> = known.keys().filter(|name| !is_there(name)).cloned().collect();
            gone.iter().filter_map(|name| known.remove(name)).collect()
        };
        for object in gone.iter().filter(|it| it.metadata.deletion_timestamp.is_some()) {
            tell(Moved::Deleted(object));
        }
    }

    /// Whether what is not known is not there.
    pub(super) fn is_listed(&self) -> bool {
        self.is_listed.load(Ordering::Relaxed)
    }

    fn put(&self, object: &MemberCluster) -> bool {
        let before = self.write().insert(object.name_any(), Arc::new(object.clone()));
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
