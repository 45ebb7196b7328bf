//! What comes about on clusters, and when: seen by watches, so that looking costs no time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt};
use tokio::sync::watch;

use crate::ground::{Cluster, Ground};
use crate::scenarios::{available, essence};

/// How long what is waited for may take before the measurement has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// When things were seen first.
#[derive(Clone)]
struct Seen<K> {
    first: Arc<Mutex<BTreeMap<K, Instant>>>,
    moved: Arc<watch::Sender<()>>,
}

impl<K: Ord + Clone> Seen<K> {
    fn new() -> Self {
        Self { first: Arc::default(), moved: Arc::new(watch::Sender::new(())) }
    }

    fn saw(&self, key: K) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.entry(key).or_insert_with(Instant::now);
        drop(first);
        self.moved.send_replace(());
    }

    /// Waits until all were seen; answers with when the last of them was.
    async fn all(&self, keys: &[K], what: &str, patience: Duration) -> Result<Instant> {
        let mut moved = self.moved.subscribe();
        let mut missing: Vec<&K> = keys.iter().collect();
        let mut last = None;
        let wait = async {
            loop {
                {
                    let first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
                    missing.retain(|key| {
                        last = last.max(first.get(*key).copied());
                        !first.contains_key(*key)
                    });
                }
                if missing.is_empty() {
                    return Ok(last);
                }
                moved.changed().await?;
            }
        };
        let last = tokio::time::timeout(patience, wait).await;
        let last: Result<Option<Instant>> = last
            .map_err(|_| anyhow!("{what}: not within {patience:?}"))
            .and_then(|seen: Result<_, watch::error::RecvError>| seen.map_err(Into::into));
        last?.ok_or_else(|| anyhow!("{what}: nothing was asked for"))
    }
}

/// Which greetings of which apps have come to which members.
#[derive(Clone)]
pub(super) struct Arrivals {
    members: Vec<String>,
    seen: Seen<(String, String, String)>,
}

impl Arrivals {
    /// Watches the members from now on.
    pub(super) fn watch(members: &[Cluster]) -> Self {
        let arrivals = Self {
            members: members.iter().map(|member| member.name.clone()).collect(),
            seen: Seen::new(),
        };
        for member in members {
            let maps: Api<ConfigMap> = Api::all(member.client.clone());
            let (name, seen) = (member.name.clone(), arrivals.seen.clone());
            tokio::spawn(async move {
                let config = watcher::Config::default().fields("metadata.name=settings");
                let mut events = Box::pin(watcher(maps, config).default_backoff());
                loop {
                    match events.try_next().await {
                        Ok(Some(Event::Apply(map) | Event::InitApply(map))) => {
                            let namespace = map.namespace().unwrap_or_default();
                            let greeting = map.data.and_then(|mut data| data.remove("greeting"));
                            seen.saw((name.clone(), namespace, greeting.unwrap_or_default()));
                        }
                        Ok(Some(Event::Init | Event::InitDone | Event::Delete(_))) => {}
                        Ok(None) => return,
                        Err(error) => eprintln!("{name} is watched again: {error}"),
                    }
                }
            });
        }
        arrivals
    }

    /// Waits until each of these apps is on every member with this greeting; answers with when the
    /// last was.
    pub(super) async fn everywhere(&self, apps: &[String], greeting: &str) -> Result<Instant> {
        let keys = self.keys(apps, greeting);
        self.seen.all(&keys, "what was placed is on all members", PATIENCE).await
    }

    /// On how many members an app was not seen with this greeting, over all these apps.
    pub(super) fn missing(&self, apps: &[String], greeting: &str) -> usize {
        let first = self.seen.first.lock().unwrap_or_else(PoisonError::into_inner);
        self.keys(apps, greeting).iter().filter(|key| !first.contains_key(key)).count()
    }

    fn keys(&self, apps: &[String], greeting: &str) -> Vec<(String, String, String)> {
        let on = |member: &String| {
            let key = |app: &String| (member.clone(), app.clone(), greeting.to_owned());
            apps.iter().map(key).collect::<Vec<_>>()
        };
        self.members.iter().flat_map(on).collect()
    }
}

/// What placements show.
#[derive(Clone)]
pub(super) struct Statuses {
    seen: Seen<(String, i64, Shown)>,
}

/// What is looked for in a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shown {
    /// A scheduling decision was made.
    Scheduled,
    /// Everything is available everywhere.
    Available,
}

impl Statuses {
    /// Watches the placements of a hub from now on.
    pub(super) fn watch(ground: &Ground) -> Self {
        let statuses = Self { seen: Seen::new() };
        let seen = statuses.seen.clone();
        let placements: Api<api::ClusterResourcePlacement> = Api::all(ground.hub.client.clone());
        tokio::spawn(async move {
            let events = watcher(placements, watcher::Config::default()).default_backoff();
            let mut events = Box::pin(events);
            loop {
                match events.try_next().await {
                    Ok(Some(Event::Apply(object) | Event::InitApply(object))) => {
                        look(&object, &seen);
                    }
                    Ok(Some(Event::Init | Event::InitDone | Event::Delete(_))) => {}
                    Ok(None) => return,
                    Err(error) => eprintln!("the placements are watched again: {error}"),
                }
            }
        });
        statuses
    }

    /// Waits until all of these placements show it for this generation; answers with when the last
    /// did.
    pub(super) async fn show(
        &self,
        names: &[String],
        generation: i64,
        shown: Shown,
        patience: Duration,
    ) -> Result<Instant> {
        let keys: Vec<_> = names.iter().map(|name| (name.clone(), generation, shown)).collect();
        self.seen.all(&keys, &format!("the placements show {shown:?}"), patience).await
    }
}

fn look(placement: &api::ClusterResourcePlacement, seen: &Seen<(String, i64, Shown)>) {
    let (name, generation) = (placement.name_any(), placement.metadata.generation);
    let (Some(status), Some(generation)) = (&placement.status, generation) else { return };
    let conditions = essence(&status.conditions);
    if conditions == available(generation) {
        seen.saw((name.clone(), generation, Shown::Available));
    }
    let scheduled = available(generation).swap_remove(0);
    if conditions.contains(&scheduled) {
        seen.saw((name, generation, Shown::Scheduled));
    }
}
