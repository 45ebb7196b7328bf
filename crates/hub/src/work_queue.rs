//! A queue of keys to look at: each key once, one worker per key, with delays.
//!
//! Level-triggered: whoever takes a key looks at the present, so marks that come together are one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

/// Whether a key has to be looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// When it is marked again.
    Wait,
    /// After a while in any case.
    After(Duration),
}

/// How long to wait after a look that panicked.
const PANICKED: Duration = Duration::from_secs(1);

struct State<K> {
    /// When each marked key is to be looked at.
    due: BTreeMap<K, Instant>,
    /// Those of them that nobody looks at now, in the order of their turns.
    order: BTreeSet<(Instant, K)>,
    running: BTreeSet<K>,
}

impl<K: Ord + Clone> State<K> {
    fn mark(&mut self, key: K, at: Instant) {
        match self.due.get(&key) {
            Some(before) if *before <= at => return,
            Some(before) => drop(self.order.remove(&(*before, key.clone()))),
            None => {}
        }
        if !self.running.contains(&key) {
            self.order.insert((at, key.clone()));
        }
        self.due.insert(key, at);
    }

    /// Takes up to `room` keys whose turn it is, the one that waited longest first, and says when
    /// it is the next one's turn.
    fn take(&mut self, room: usize, now: Instant) -> (Vec<K>, Option<Instant>) {
        let mut taken = vec![];
        while taken.len() < room
            && let Some((at, key)) = self.order.pop_first()
        {
            if at > now {
                self.order.insert((at, key));
                break;
            }
            self.due.remove(&key);
            self.running.insert(key.clone());
            taken.push(key);
        }
        (taken, self.order.first().map(|(at, _)| *at))
    }

    /// Whoever worked is no more: what was being looked at has to be looked at again.
    fn nobody_works(&mut self, now: Instant) {
        for key in std::mem::take(&mut self.running) {
            if let Some(at) = self.due.remove(&key) {
                self.order.insert((at, key.clone()));
                self.due.insert(key.clone(), at);
            }
            self.mark(key, now);
        }
    }

    fn done(&mut self, key: &K) {
        self.running.remove(key);
        if let Some(at) = self.due.get(key) {
            self.order.insert((*at, key.clone()));
        }
    }
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
        let state =
            State { due: BTreeMap::new(), order: BTreeSet::new(), running: BTreeSet::new() };
        Self { state: Arc::new(Mutex::new(state)), moved: Arc::new(Notify::new()) }
    }

    /// Marks a key to be looked at after `delay`. An earlier mark stands.
    pub(crate) fn mark(&self, key: K, delay: Duration) {
        let at = Instant::now() + delay;
        self.with(|state| state.mark(key, at));
        self.moved.notify_one();
    }

    /// Marks a key to be looked at after `first`, and later by `each` for every key that waits
    /// already, up to `most`: the busier the queue, the more marks of one key become one look.
    pub(crate) fn mark_coalesced(&self, key: K, first: Duration, each: Duration, most: Duration) {
        let waiting = self.with(|state| state.due.len());
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
        let busy = each.saturating_mul(waiting).min(most);
        self.mark(key, first + busy);
    }

    fn with<T>(&self, f: impl FnOnce(&mut State<K>) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Works for ever, at `workers` keys at once. A panic costs one look, which is repeated. It may be
    /// run again when it was stopped.
    pub(crate) async fn run<F, W>(self, workers: usize, work: W)
    where
        F: Future<Output = Next> + Send + 'static,
        W: Fn(K) -> F,
    {
        self.with(|state| state.nobody_works(Instant::now()));
        let mut running = JoinSet::new();
        let mut keys = HashMap::new();
        loop {
            let room = workers - running.len();
            let (ready, next) = self.with(|state| state.take(room, Instant::now()));
            for key in ready {
                let task = running.spawn(work(key.clone()));
                keys.insert(task.id(), key);
            }
            let next = next.filter(|_| running.len() < workers);
            let patience = next.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                Some(ended) = running.join_next_with_id() => {
                    let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
                    let key = keys.remove(&id).expect("every task has a key");
                    let next = match ended {
                        Ok((_, next)) => next,
                        Err(error) => {
                            tracing::error!(%error, "a look panicked; it is repeated");
                            Next::After(PANICKED)
                        }
                    };
                    self.done(key, next);
                }
                () = self.moved.notified() => {}
                () = tokio::time::sleep_until(patience) => {}
            }
        }
    }

    fn done(&self, key: K, next: Next) {
        self.with(|state| state.done(&key));
        if let Next::After(delay) = next {
            self.mark(key, delay);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn state() -> State<&'static str> {
        State { due: BTreeMap::new(), order: BTreeSet::new(), running: BTreeSet::new() }
    }

    #[test]
    fn whoever_waited_longest_goes_first() {
        let (mut state, start) = (state(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        for (key, seconds) in [("a", 3), ("b", 2), ("c", 1)] {
            state.mark(key, after(seconds));
        }
        assert_eq!(state.take(1, after(9)), (vec!["c"], Some(after(2))));
        state.done(&"c");
        state.mark("c", after(4));
        assert_eq!(state.take(2, after(9)), (vec!["b", "a"], Some(after(4))));
        assert_eq!(state.take(9, after(3)), (vec![], Some(after(4))));
    }

    #[test]
    fn the_earliest_mark_counts() {
        let (mut state, start) = (state(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        state.mark("a", after(5));
        state.mark("a", after(2));
        state.mark("a", after(7));
        assert_eq!(state.take(9, after(2)), (vec!["a"], None));
        assert_eq!(state.take(9, after(9)), (vec![], None));
    }

    #[test]
    fn a_key_that_is_marked_while_it_is_looked_at_is_looked_at_again_after_that() {
        let (mut state, start) = (state(), Instant::now());
        state.mark("a", start);
        assert_eq!(state.take(9, start), (vec!["a"], None));
        state.mark("a", start);
        assert_eq!(state.take(9, start), (vec![], None));
        state.done(&"a");
        assert_eq!(state.take(9, start), (vec!["a"], None));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_looked_at_when_the_queue_was_stopped_is_looked_at_again() {
        let (queue, looks) = (WorkQueue::new(), Arc::new(AtomicUsize::new(0)));
        for key in ["a", "b"] {
            queue.mark(key, Duration::ZERO);
        }
        let stuck = tokio::spawn(queue.clone().run(2, |_| std::future::pending()));
        tokio::time::sleep(PANICKED).await;
        queue.mark("b", Duration::ZERO);
        stuck.abort();
        assert!(stuck.await.is_err());

        let seen = looks.clone();
        let running = tokio::spawn(queue.run(2, move |_| {
            seen.fetch_add(1, Ordering::SeqCst);
            std::future::ready(Next::Wait)
        }));
        tokio::time::sleep(PANICKED).await;
        assert_eq!(looks.load(Ordering::SeqCst), 2, "each once");
        running.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_panics_is_repeated() {
        let (queue, looks) = (WorkQueue::new(), Arc::new(AtomicUsize::new(0)));
        queue.mark("a", Duration::ZERO);
        let seen = looks.clone();
        let running = tokio::spawn(queue.run(1, move |_| {
            let seen = seen.clone();
            async move {
                assert!(seen.fetch_add(1, Ordering::SeqCst) > 0, "on purpose");
                Next::Wait
            }
        }));
        tokio::time::sleep(PANICKED * 2).await;
        assert_eq!(looks.load(Ordering::SeqCst), 2);
        running.abort();
    }
}
