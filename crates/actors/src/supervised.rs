//! Tasks that must live: one that ends or panics is named by `/readyz`, and started again.
//!
//! Whatever a task holds is gone with it; it is started anew from what its node shares, so only a
//! task that looks at everything when it begins may be kept like this.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::concerns::{Concern, Concerns, Gravity};

/// The check under which tasks are named.
pub const CHECK: &str = "task";

/// How long to wait before a task is started again, at first; it doubles from there, up to the most.
const RESTART_FIRST: Duration = Duration::from_millis(100);
const RESTART_MAX: Duration = Duration::from_secs(30);

/// How often in a row a task is started again: for some two minutes. One that ends at once as often
/// will do so for ever, and each time may cost its members a list.
const RESTARTS_MAX: u32 = 12;

/// How long a task has to run until its end before is forgotten, and it is no longer told. Shorter,
/// and nobody who looks once a minute would see it.
const SETTLED_AFTER: Duration = Duration::from_secs(60);

/// Looks after the tasks of a node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Supervisor {
    concerns: Concerns,
    is_ending: Arc<AtomicBool>,
    /// What breaks each task, by its name.
    breakers: Arc<Mutex<BTreeMap<String, Arc<Notify>>>>,
}

impl Supervisor {
    /// Tells `concerns` about tasks that end.
    #[must_use]
    pub fn new(concerns: Concerns) -> Self {
        Self { concerns, is_ending: Arc::default(), breakers: Arc::default() }
    }

    /// Runs a task until the handle is aborted, and starts it again, from a copy of what it shares,
    /// when it ends. `gravity` is that of being without it.
    pub fn keep<T, F>(
        &self,
        name: impl Into<String>,
        gravity: Gravity,
        shared: T,
        mut start: impl FnMut(T) -> F + Send + 'static,
    ) -> JoinHandle<()>
    where
        T: Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let start = move || start(shared.clone());
        let name = name.into();
        let breaker = self.breakers().entry(name.clone()).or_default().clone();
        let kept = Kept { supervisor: self.clone(), name, gravity, breaker };
        tokio::spawn(kept.run(start))
    }

    /// Runs a task that cannot be started again: without it, the hub has to be.
    pub fn guard(
        &self,
        name: impl Into<String>,
        gravity: Gravity,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let name = name.into();
        let breaker = self.breakers().entry(name.clone()).or_default().clone();
        let guarded = Kept { supervisor: self.clone(), name, gravity, breaker };
        tokio::spawn(async move {
            let (ended, _) = guarded.run_once(task, false).await;
            if !guarded.supervisor.is_ending.load(Ordering::SeqCst) {
                let message = format!("{ended}; see the log of this hub, then restart it");
                guarded.tell(guarded.gravity, message);
            }
        })
    }

    /// From now on tasks end because the node does.
    pub fn end(&self) {
        self.is_ending.store(true, Ordering::SeqCst);
    }

    /// The names of the tasks.
    #[must_use]
    pub fn tasks(&self) -> Vec<String> {
        self.breakers().keys().cloned().collect()
    }

    /// Has a task panic, for tests.
    ///
    /// # Panics
    /// When there is none of that name.
    pub fn break_task(&self, name: &str) {
        let breakers = self.breakers();
        let Some(breaker) = breakers.get(name) else {
            panic!("there is no task {name}, but {:?}", breakers.keys());
        };
        breaker.notify_one();
    }

    fn breakers(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Notify>>> {
        self.breakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task that must live.
struct Kept {
    supervisor: Supervisor,
    name: String,
    gravity: Gravity,
    breaker: Arc<Notify>,
}

impl Kept {
    async fn run<F>(self, mut start: impl FnMut() -> F)
    where
        F: Future<Output = ()>,
    {
        let mut restarts = 0;
        loop {
            let (ended, ran_for) = self.run_once(start(), restarts > 0).await;
            if self.supervisor.is_ending.load(Ordering::SeqCst) {
                return;
            }
            if ran_for >= SETTLED_AFTER {
                restarts = 0;
            }
            if restarts == RESTARTS_MAX {
                let name = &self.name;
                self.tell(self.gravity, format!(
                    "{ended} {RESTARTS_MAX} times in a row and is not started again; see the log of \
                     this hub for {name}, then restart the hub"
                ));
                return;
            }
            let wait = RESTART_FIRST.saturating_mul(1 << restarts).min(RESTART_MAX);
            restarts += 1;
            self.tell(self.gravity, format!("{ended}, and is started again"));
            tokio::time::sleep(wait).await;
            // It runs, for all that anybody knows; what happened is told for a while.
            self.tell(Gravity::Warning, format!("{ended}, and was started again"));
        }
    }

    /// Runs it to its end. Says how it ended, and how long it ran.
    async fn run_once(&self, task: impl Future<Output = ()>, was_told: bool) -> (String, Duration) {
        let since = Instant::now();
        let breakable = async {
            tokio::select! {
                biased;
                () = self.breaker.notified() => panic!("broken by a test"),
                () = task => {}
            }
        };
        let mut running = Box::pin(AssertUnwindSafe(breakable).catch_unwind());
        let ended = match tokio::time::timeout(SETTLED_AFTER, &mut running).await {
            Ok(ended) => ended,
            Err(_) => {
                if was_told {
                    self.supervisor.concerns.settle(CHECK, &self.name);
                }
                running.await
            }
        };
        let how = match ended {
            Ok(()) => "it ended".to_owned(),
            Err(panic) => format!("it panicked ({})", words(&*panic)),
        };
        (how, since.elapsed())
    }

    fn tell(&self, gravity: Gravity, message: String) {
        tracing::error!(task = %self.name, "{message}");
        let about = self.name.clone();
        self.supervisor.concerns.raise(Concern { check: CHECK, about, gravity, message });
    }
}

/// What a panic said.
pub(crate) fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "without a word".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    /// A task that runs until it is broken, and how often it was started.
    fn kept(supervisor: &Supervisor) -> (JoinHandle<()>, Arc<AtomicU32>) {
        let starts = Arc::new(AtomicU32::new(0));
        let counted = starts.clone();
        let task = supervisor.keep("looks", Gravity::Blocking, counted, |counted| {
            counted.fetch_add(1, Ordering::SeqCst);
            std::future::pending()
        });
        (task, starts)
    }

    fn told(concerns: &Concerns) -> Option<(Gravity, String)> {
        let concern = concerns.all().pop()?;
        assert_eq!((concern.check, concern.about.as_str()), (CHECK, "looks"));
        Some((concern.gravity, concern.message))
    }

    async fn passes(duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_named_and_started_again_and_forgotten_after_a_while() {
        let concerns = Concerns::default();
        let supervisor = Supervisor::new(concerns.clone());
        let (task, starts) = kept(&supervisor);
        passes(SETTLED_AFTER * 3).await;
        assert_eq!(told(&concerns), None);

        supervisor.break_task("looks");
        passes(RESTART_FIRST / 2).await;
        let down = "it panicked (broken by a test), and is started again".to_owned();
        assert_eq!(told(&concerns), Some((Gravity::Blocking, down)));
        passes(RESTART_FIRST).await;
        assert_eq!(starts.load(Ordering::SeqCst), 2);
        let up = "it panicked (broken by a test), and was started again".to_owned();
        assert_eq!(told(&concerns), Some((Gravity::Warning, up)));
        passes(SETTLED_AFTER).await;
        assert_eq!(told(&concerns), None);
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_for_ever_is_given_up() {
        let concerns = Concerns::default();
        let task = Supervisor::new(concerns.clone())
            .keep("looks", Gravity::Blocking, (), |()| std::future::ready(()));
        task.await.unwrap();
        let (gravity, message) = told(&concerns).unwrap();
        assert_eq!(gravity, Gravity::Blocking);
        assert!(message.starts_with("it ended 12 times in a row and is not started"), "{message}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_cannot_be_started_again_stays_named() {
        let concerns = Concerns::default();
        let supervisor = Supervisor::new(concerns.clone());
        let task = supervisor.guard("looks", Gravity::Warning, std::future::pending());
        supervisor.break_task("looks");
        task.await.unwrap();
        let (gravity, message) = told(&concerns).unwrap();
        assert_eq!(gravity, Gravity::Warning);
        assert!(message.contains("(broken by a test); see the log of this hub"), "{message}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_with_its_node_is_no_concern() {
        let concerns = Concerns::default();
        let supervisor = Supervisor::new(concerns.clone());
        let (task, _) = kept(&supervisor);
        passes(RESTART_FIRST).await;
        supervisor.end();
        supervisor.break_task("looks");
        task.await.unwrap();
        assert_eq!(told(&concerns), None);
    }
}
