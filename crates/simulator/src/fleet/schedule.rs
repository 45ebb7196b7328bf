//! Which cluster has something to do when, and the task that sees to it.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::Fleet;

/// The next wake-up of each cluster that has one.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    wakeups: Mutex<BTreeSet<(Timestamp, String)>>,
    moved: Notify,
}

impl Schedule {
    /// Moves the wake-up of a cluster from one time to another.
    pub(super) fn replace(&self, name: &str, old: Option<Timestamp>, new: Option<Timestamp>) {
        let mut wakeups = self.wakeups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = old {
            wakeups.remove(&(old, name.to_owned()));
        }
        if let Some(new) = new {
            let is_next = wakeups.first().is_none_or(|(first, _)| new < *first);
            wakeups.insert((new, name.to_owned()));
            if is_next {
                self.moved.notify_one();
            }
        }
    }

    pub(super) fn forget(&self, at: Timestamp, name: &str) {
        self.replace(name, Some(at), None);
    }

    fn first(&self) -> Option<(Timestamp, String)> {
        let wakeups = self.wakeups.lock().unwrap_or_else(PoisonError::into_inner);
        wakeups.first().cloned()
    }

    /// The first wake-up that is not later than the given time.
    pub(super) fn first_until(&self, limit: Timestamp) -> Option<(Timestamp, String)> {
        self.first().filter(|(at, _)| *at <= limit)
    }
}

/// The running task that ticks clusters when they ask for it. Dropping it stops the task.
#[derive(Debug)]
pub struct Ticker {
    task: JoinHandle<()>,
}

impl Ticker {
    pub(super) fn spawn(fleet: Fleet) -> Self {
        Self { task: tokio::spawn(run(fleet)) }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Ticks clusters as they fall due, for ever.
pub(super) async fn run(fleet: Fleet) {
    let schedule = fleet.shared.schedule.clone();
    loop {
        let now = fleet.now();
        if let Some((at, name)) = schedule.first_until(now) {
            match fleet.cluster(&name) {
                Some(cluster) => cluster.tick(),
                None => schedule.forget(at, &name),
            }
            // One cluster with much to do must not keep others of this runtime waiting.
            tokio::task::yield_now().await;
            continue;
        }
        let Some((next, _)) = schedule.first() else {
            schedule.moved.notified().await;
            continue;
        };
        let pause = next.duration_since(now).unsigned_abs();
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = schedule.moved.notified() => {}
        }
    }
}
