//! Many clusters by name, the clock that they share, and what wakes them.
//!
//! | the shell does | the core provides |
//! |---|---|
//! | takes the lock and the time, hands in a request | `Cluster::handle` |
//! | ticks at once, tells watchers, notes the next wake-up | `Cluster::tick`, `next_wakeup` |
//! | faults before and after the call | nothing: the core is always well |

mod body;
mod clock;
mod fault;
mod kubeconfig;
mod member;
mod schedule;
mod server;
mod service;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;

use crate::journal::Journal;
use crate::{ClusterOptions, Reply, Request};
pub use body::SimulatedBody;
use clock::Clock;
pub use fault::{Fault, FaultRule};
pub use kubeconfig::kubeconfig;
pub use member::ClusterHandle;
use schedule::Schedule;
pub use schedule::Ticker;
pub use server::{ServerHandle, serve};
pub use service::{SimulatedService, TransportError};

/// Simulated clusters by name. Cloning gives another handle to the same fleet.
#[derive(Debug, Clone)]
pub struct Fleet {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clusters: RwLock<BTreeMap<String, ClusterHandle>>,
    schedule: Arc<Schedule>,
    clock: Arc<Clock>,
    journal: Option<Journal>,
}

/// A cluster of that name is there already.
#[derive(Debug, thiserror::Error)]
#[error("cluster {name:?} exists already")]
pub struct ClusterExists {
    /// The name.
    pub name: String,
}

impl Default for Fleet {
    fn default() -> Self {
        Self::new()
    }
}

impl Fleet {
    /// An empty fleet whose time is wall time, moved by tokio's clock. Start a
    /// [`Ticker`](Self::spawn_ticker) for what happens without requests.
    pub fn new() -> Self {
        Self::starting_at(Timestamp::now())
    }

    /// Like [`new`](Self::new), but time begins at the given moment. With
    /// `tokio::time::pause` it moves only when tokio's does.
    pub fn starting_at(start: Timestamp) -> Self {
        Self::with_clock(Clock::flowing(start))
    }

    /// An empty fleet whose time moves only by [`advance`](Self::advance).
    pub fn manual(start: Timestamp) -> Self {
        Self::with_clock(Clock::manual(start))
    }

    fn with_clock(clock: Clock) -> Self {
        let shared = Shared {
            clusters: RwLock::default(),
            schedule: Arc::default(),
            clock: Arc::new(clock),
            journal: None,
        };
        Self { shared: Arc::new(shared) }
    }

    /// An empty fleet with the same clock whose clusters are kept in the journal.
    /// [`add_cluster`](Self::add_cluster) then goes on with the cluster that the journal has
    /// under the name, and [`remove_cluster`](Self::remove_cluster) forgets it.
    ///
    /// ```
    /// use simulator::{ClusterOptions, Fleet, Journal};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let data_dir = dir.path();
    /// let journal = Journal::open(data_dir.join("clusters.jsonl"))?;
    /// let fleet = Fleet::new().with_journal(journal);
    /// fleet.add_cluster("member-1", ClusterOptions::default())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_journal(self, journal: Journal) -> Self {
        let shared = Shared {
            clusters: RwLock::default(),
            schedule: Arc::default(),
            clock: self.shared.clock.clone(),
            journal: Some(journal),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The time in the fleet.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Adds a cluster: a fresh one, or the one that the fleet's journal has under the name. Of
    /// the options the nodes matter for a fresh one only.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn add_cluster(
        &self,
        name: &str,
        options: ClusterOptions,
    ) -> Result<ClusterHandle, ClusterExists> {
        let mut clusters = self.shared.clusters.write().unwrap_or_else(PoisonError::into_inner);
        if clusters.contains_key(name) {
            return Err(ClusterExists { name: name.to_owned() });
        }
        let (schedule, clock) = (self.shared.schedule.clone(), self.shared.clock.clone());
        let journal = self.shared.journal.clone();
        let handle = ClusterHandle::new(name, options, schedule, clock, journal);
        clusters.insert(name.to_owned(), handle.clone());
        Ok(handle)
    }

    /// Removes a cluster and ends its watches. Returns whether it was there.
    pub fn remove_cluster(&self, name: &str) -> bool {
        let mut clusters = self.shared.clusters.write().unwrap_or_else(PoisonError::into_inner);
        let removed = clusters.remove(name);
        if let Some(handle) = &removed {
            handle.drop_watches();
            handle.retire();
        }
        removed.is_some()
    }

    /// The cluster of that name.
    pub fn cluster(&self, name: &str) -> Option<ClusterHandle> {
        let clusters = self.shared.clusters.read().unwrap_or_else(PoisonError::into_inner);
        clusters.get(name).cloned()
    }

    /// The names of all clusters, sorted.
    pub fn names(&self) -> Vec<String> {
        let clusters = self.shared.clusters.read().unwrap_or_else(PoisonError::into_inner);
        clusters.keys().cloned().collect()
    }

    /// A transport to the cluster without sockets: `kube::Client::new(fleet.service("m1"),
    /// "default")`. Calls to a cluster that is not there fail like a refused connection.
    pub fn service(&self, name: &str) -> SimulatedService {
        SimulatedService::new(self.clone(), name)
    }

    /// Answers one request that is not a watch, without any transport. Faults do not apply.
    pub fn request(&self, name: &str, request: &Request) -> Option<Reply> {
        self.cluster(name)?.request(request)
    }

    /// Moves manual time on, running what falls due in between in order of time, then name.
    pub fn advance(&self, by: Duration) {
        let target = crate::time::after(self.now(), by);
        while let Some((at, name)) = self.shared.schedule.first_until(target) {
            self.shared.clock.set(at.max(self.now()));
            match self.cluster(&name) {
                Some(cluster) => cluster.tick(),
                None => self.shared.schedule.forget(at, &name),
            }
        }
        self.shared.clock.set(target);
    }

    /// Starts the task that runs what falls due. It ends when the ticker is dropped.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn_ticker(&self) -> Ticker {
        Ticker::spawn(self.clone())
    }
}
