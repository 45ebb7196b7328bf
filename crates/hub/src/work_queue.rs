//! A queue of keys to look at: each key once, one worker per key, with delays.
//!
//! Level-triggered: whoever takes a key looks at the present, so marks that come together are one.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Whether a key has to be looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// When it is marked again.
    Wait,
    /// After a while in any case.
    After(Duration),
}

/// How much later a key is looked at for each one that waits: a loaded API server takes some ten
/// milliseconds for the write of a status, of which a few run at once.
const PER_WAITING_KEY: Duration = Duration::from_millis(2);

/// The most that is added for them. Longer, and people would wonder.
const BUSY_MAX: Duration = Duration::from_secs(1);

struct State<K> {
    due: BTreeMap<K, Instant>,
    running: BTreeSet<K>,
}

/// The queue. Cheap to clone.
pub(crate) struct WorkQueue<K> {
    state: Arc<Mutex<State<K>>>,
    moved: Arc<Notify>,
}

impl<K> Clone for WorkQueue<K> {
    fn clone(&self) -> Self {
        Self { state: self.state.clone(), moved: self.moved.clone() }
    }
}

impl<K: Ord + Clone + Send + 'static> WorkQueue<K> {
    /// An empty queue.
    #[must_use]
    pub(crate) fn new() -> Self {
        let state = State { due: BTreeMap::new(), running: BTreeSet::new() };
        Self { state: Arc::new(Mutex::new(state)), moved: Arc::new(Notify::new()) }
    }

    /// Marks a key to be looked at after `delay`. An earlier mark stands.
    pub(crate) fn mark(&self, key: K, delay: Duration) {
        let at = Instant::now() + delay;
        self.with(|state| {
            let due = state.due.entry(key).or_insert(at);
            *due = at.min(*due);
        });
        self.moved.notify_one();
    }

    /// Marks a key to be looked at after `first`, and later the more keys wait already: the busier
    /// the queue, the more marks of one key become one look.
    pub(crate) fn mark_coalesced(&self, key: K, first: Duration) {
        let waiting = self.with(|state| state.due.len());
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
        let busy = PER_WAITING_KEY.saturating_mul(waiting).min(BUSY_MAX);
        self.mark(key, first + busy);
    }

    fn with<T>(&self, f: impl FnOnce(&mut State<K>) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes what is due and not being worked at, and says when to look again.
    fn take(&self, room: usize) -> (Vec<K>, Option<Instant>) {
        let now = Instant::now();
        self.with(|state| {
            let free = |key: &K| !state.running.contains(key);
            let ready: Vec<K> = state
                .due
                .iter()
                .filter(|(key, due)| **due <= now && free(key))
                .take(room)
                .map(|(key, _)| key.clone())
                .collect();
            for key in &ready {
                state.due.remove(key);
                state.running.insert(key.clone());
            }
            let running = &state.running;
            let next = state.due.iter().filter(|(key, _)| !running.contains(key));
            (ready, next.map(|(_, due)| *due).min())
        })
    }

    /// Works for ever, at `workers` keys at once.
    pub(crate) async fn run<F, W>(self, workers: usize, work: W)
    where
        F: Future<Output = Next> + Send + 'static,
        W: Fn(K) -> F,
    {
        let mut running: JoinSet<(K, Next)> = JoinSet::new();
        loop {
            let (ready, next) = self.take(workers - running.len());
            for key in ready {
                let working = work(key.clone());
                running.spawn(async move { (key, working.await) });
            }
            let next = next.filter(|_| running.len() < workers);
            let patience = next.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                Some(ended) = running.join_next() => match ended {
                    Ok((key, next)) => self.done(key, next),
                    Err(error) if error.is_cancelled() => return,
                    Err(error) => tracing::error!(%error, "a worker panicked"),
                },
                () = self.moved.notified() => {}
                () = tokio::time::sleep_until(patience) => {}
            }
        }
    }

    fn done(&self, key: K, next: Next) {
        self.with(|state| {
            state.running.remove(&key);
        });
        if let Next::After(delay) = next {
            self.mark(key, delay);
        }
    }
}
