//! One cluster of a fleet with its lock, its watchers and its troubles.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

use super::clock::Clock;
use super::fault::{Fault, FaultRule};
use super::schedule::Schedule;
use crate::error::ApiError;
use crate::journal::Journal;
use crate::{Cluster, ClusterOptions, Reply, Request, Response, WatchId, WatchOutput};

/// A handle to one cluster of a fleet; cheap to clone.
#[derive(Debug, Clone)]
pub struct ClusterHandle {
    member: Arc<Member>,
}

#[derive(Debug)]
struct Member {
    name: String,
    state: Mutex<State>,
    /// Told when watchers may have something to read.
    changed: watch::Sender<()>,
    fault: Mutex<Option<FaultRule>>,
    schedule: Arc<Schedule>,
    clock: Arc<Clock>,
    /// Where the cluster is kept, if it is.
    journal: Option<Journal>,
}

#[derive(Debug)]
struct State {
    cluster: Cluster,
    /// The wake-up that the schedule has of this cluster.
    scheduled: Option<Timestamp>,
    /// Whether the cluster left its fleet: nothing is scheduled any more.
    removed: bool,
}

impl ClusterHandle {
    pub(super) fn new(
        name: &str,
        options: ClusterOptions,
        schedule: Arc<Schedule>,
        clock: Arc<Clock>,
        journal: Option<Journal>,
    ) -> Self {
        let cluster = match &journal {
            None => Cluster::new(clock.now(), options),
            Some(journal) => Cluster::kept(clock.now(), options, journal.take(name)),
        };
        let member = Member {
            name: name.to_owned(),
            state: Mutex::new(State { cluster, scheduled: None, removed: false }),
            changed: watch::Sender::new(()),
            fault: Mutex::new(None),
            schedule,
            clock,
            journal,
        };
        let handle = Self { member: Arc::new(member) };
        handle.with_cluster(|_, _| ());
        handle
    }

    /// The name in the fleet.
    pub fn name(&self) -> &str {
        &self.member.name
    }

    /// Calls into the core, then lets controllers, the journal, watchers and the schedule see
    /// the result.
    pub fn with_cluster<T>(&self, call: impl FnOnce(&mut Cluster, Timestamp) -> T) -> T {
        let now = self.member.clock.now();
        let mut state = self.state();
        let result = call(&mut state.cluster, now);
        state.cluster.tick(now);
        if let Some(journal) = self.member.journal.as_ref().filter(|_| !state.removed) {
            journal.append(&self.member.name, &state.cluster.take_commits());
        }
        let next = state.cluster.next_wakeup().filter(|_| !state.removed);
        if next != state.scheduled {
            self.member.schedule.replace(&self.member.name, state.scheduled, next);
            state.scheduled = next;
        }
        drop(state);
        self.member.changed.send_replace(());
        result
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.member.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a request to the cluster. Faults do not apply.
    pub fn handle(&self, request: &Request) -> Response {
        let not_kept = || self.member.journal.as_ref().and_then(Journal::failure);
        if let Some(reason) = not_kept() {
            return Response::Reply(ApiError::internal(&reason).into());
        }
        match (self.with_cluster(|cluster, now| cluster.handle(now, request)), not_kept()) {
            (Response::Reply(_), Some(reason)) => {
                Response::Reply(ApiError::internal(&reason).into())
            }
            (response, _) => response,
        }
    }

    /// Answers a request that is not a watch; `None` for a watch. Faults do not apply.
    pub fn request(&self, request: &Request) -> Option<Reply> {
        match self.handle(request) {
            Response::Reply(reply) => Some(reply),
            Response::Watch(id) => {
                self.with_cluster(|cluster, _| cluster.close_watch(id));
                None
            }
        }
    }

    /// Runs what is due.
    pub(super) fn tick(&self) {
        self.with_cluster(|_, _| ());
    }

    /// Troubles every request from now on, or those that a [`FaultRule`] picks.
    pub fn set_fault(&self, fault: impl Into<FaultRule>) {
        *self.fault_slot() = Some(fault.into());
    }

    /// Ends the trouble.
    pub fn clear_fault(&self) {
        *self.fault_slot() = None;
    }

    fn fault_slot(&self) -> MutexGuard<'_, Option<FaultRule>> {
        self.member.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn fault_of(&self, request: &Request) -> Option<Fault> {
        let rule = self.fault_slot().clone();
        rule.and_then(|rule| rule.fault_of(request))
    }

    /// Breaks all watch connections.
    pub fn drop_watches(&self) {
        self.with_cluster(|cluster, _| cluster.drop_watches());
    }

    /// How many watches are open.
    pub fn open_watches(&self) -> usize {
        self.state().cluster.open_watches()
    }

    /// Makes watches and lists from older resource versions fail with 410.
    pub fn forget_watch_history(&self) {
        self.with_cluster(|cluster, _| cluster.forget_watch_history());
    }

    /// The cluster leaves its fleet: nothing of it falls due or is kept any more.
    pub(super) fn retire(&self) {
        self.state().removed = true;
        self.tick();
        if let Some(journal) = &self.member.journal {
            journal.forget(&self.member.name);
        }
    }

    /// Told when watchers may have something to read.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.member.changed.subscribe()
    }

    /// Polling changes nothing that others see: no tick, no notification.
    pub(crate) fn poll_watch(&self, id: WatchId) -> WatchOutput {
        let now = self.member.clock.now();
        self.state().cluster.poll_watch(now, id)
    }

    #[cfg(test)]
    pub(crate) fn journal(&self) -> Option<Journal> {
        self.member.journal.clone()
    }

    pub(super) fn close_watch(&self, id: WatchId) {
        self.state().cluster.close_watch(id);
    }
}
