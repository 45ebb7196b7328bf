//! The shell: asks the API server what the core wants to know.

use std::fmt::Debug;
use std::pin::Pin;
use std::time::Duration;

use actors::concerns::{Concerns, Gravity};
use futures::{Stream, TryStreamExt};
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::Instant;

use super::core::{Core, Failure, Question, Told};
use super::revision::Revision;

/// How many objects one page of a list has. What is common (reference §2.3); each page is held in
/// memory whole.
const PAGE_OBJECTS_MAX: u32 = 500;

/// How long an answer may take before that is noted. Lists of thousands of objects take a second on a
/// busy API server; twice as long, and people would look elsewhere.
const ANSWER_LATE: Duration = Duration::from_secs(5);

/// How many characters of an error are shown. Whoever wants all of it finds it in the log.
const ERROR_CHARS_MAX: usize = 300;

/// The concern about watches that do not work.
const CHECK: &str = "watch";

type Changes<K> = Pin<Box<dyn Stream<Item = Result<WatchEvent<K>, kube::Error>> + Send>>;

/// What all watches on the hub's API server share. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Watcher {
    concerns: Concerns,
    revision: Revision,
}

impl Watcher {
    /// Watches that do not work are noted as concerns.
    #[must_use]
    pub fn new(concerns: Concerns) -> Self {
        Self { concerns, revision: Revision::default() }
    }

    /// The version of what is watched.
    #[must_use]
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// Watches what an API has; nothing is asked yet. `about` names it as `kubectl get` takes it.
    pub(crate) fn watch<K>(&self, api: Api<K>, about: impl Into<String>) -> Watching<K>
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        Watching {
            api,
            about: about.into(),
            concerns: self.concerns.clone(),
            revision: None,
            falls: self.revision.falls(),
            core: Core::new(),
            open: None,
        }
    }

    /// Watches what is certainly kept in the etcd of the hub's API server: its versions say how far
    /// that has come.
    pub(crate) fn watch_own<K>(&self, api: Api<K>, about: impl Into<String>) -> Watching<K>
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let mut watching = self.watch(api, about);
        watching.revision = Some(self.revision.clone());
        watching
    }
}

/// Watches all objects of one kind, for ever.
pub(crate) struct Watching<K: Resource> {
    api: Api<K>,
    /// What is watched, as `kubectl get` takes it.
    about: String,
    concerns: Concerns,
    /// Told of the versions of objects.
    revision: Option<Revision>,
    /// How often the hub's etcd went back.
    falls: watch::Receiver<u64>,
    core: Core<K>,
    /// The watch that is open, and since when.
    open: Option<(Changes<K>, Instant)>,
}

impl<K> Watching<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    /// What is to be told next, as soon as there is something.
    pub(crate) async fn next(&mut self) -> Told<K> {
        loop {
            if let Some(told) = self.core.next_told() {
                match &told {
                    Told::Failing(reason) => raise(&self.concerns, &self.about, reason),
                    Told::There(object) | Told::Deleted(object) => self.reached(object),
                    Told::Complete(_) => {}
                }
                return told;
            }
            if self.falls.has_changed().unwrap_or_default() {
                self.falls.mark_unchanged();
                self.core.start_over();
                self.open = None;
            }
            match self.open.take() {
                Some((changes, since)) => self.take_change(changes, since).await,
                None => self.ask().await,
            }
            if !self.core.is_failing() {
                self.concerns.settle(CHECK, &self.about);
            }
        }
    }

    fn reached(&self, object: &K) {
        let version = object.meta().resource_version.as_ref().and_then(|it| it.parse().ok());
        if let (Some(revision), Some(version)) = (&self.revision, version) {
            revision.reached(version);
        }
    }

    async fn ask(&mut self) {
        tokio::time::sleep(self.core.wait().mul_f64(0.75 + 0.5 * fastrand::f64())).await;
        match self.core.question() {
            Question::List { after } => {
                let mut params = ListParams::default().limit(PAGE_OBJECTS_MAX);
                params.continue_token = after;
                match answered(&self.concerns, &self.about, self.api.list(&params)).await {
                    Ok(list) => {
                        let metadata = list.metadata;
                        self.core.page(list.items, metadata.continue_, metadata.resource_version);
                    }
                    Err(error) => self.core.failed(failure(&error)),
                }
            }
            Question::Watch { since } => {
                let params = WatchParams::default();
                let opened = self.api.watch(&params, &since);
                match answered(&self.concerns, &self.about, opened).await {
                    Ok(changes) => {
                        self.core.watching();
                        self.open = Some((Box::pin(changes), Instant::now()));
                    }
                    Err(error) => self.core.failed(failure(&error)),
                }
            }
        }
    }

    /// Takes one change; the watch stays open unless it broke.
    async fn take_change(&mut self, mut changes: Changes<K>, since: Instant) {
        let change = tokio::select! {
            change = changes.try_next() => change,
            () = fell(&self.falls) => return,
        };
        match change {
            Ok(Some(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                self.core.changed(object);
            }
            Ok(Some(WatchEvent::Deleted(object))) => self.core.deleted(object),
            Ok(Some(WatchEvent::Bookmark(mark))) => {
                self.core.reached(Some(mark.metadata.resource_version));
            }
            Ok(Some(WatchEvent::Error(status))) => {
                return self.core.failed(failure(&kube::Error::Api(status)));
            }
            Ok(None) => return self.core.ended(since.elapsed()),
            Err(error) => return self.core.failed(failure(&error)),
        }
        self.open = Some((changes, since));
    }
}

impl<K: Resource> Drop for Watching<K> {
    fn drop(&mut self) {
        self.concerns.settle(CHECK, &self.about);
    }
}

/// Waits for an answer, however long it takes: the client asks again by itself when an API server is
/// busy or away. An answer that is late is noted.
async fn answered<T>(concerns: &Concerns, about: &str, answer: impl Future<Output = T>) -> T {
    let mut answer = std::pin::pin!(answer);
    match tokio::time::timeout(ANSWER_LATE, &mut answer).await {
        Ok(answer) => answer,
        Err(_) => {
            let reason = format!("there is no answer within {} s", ANSWER_LATE.as_secs());
            raise(concerns, about, &reason);
            answer.await
        }
    }
}

fn raise(concerns: &Concerns, about: &str, reason: &str) {
    tracing::warn!(about, reason, "a watch on the hub is tried again");
    let message = format!(
        "cannot be watched on the hub: {reason}; what was seen last counts until that is mended; see \
         what is wrong with: kubectl get {about}"
    );
    concerns.set(CHECK, about, Gravity::Warning, Some(message));
}

/// Waits until the hub's etcd went back, and leaves that to be seen.
async fn fell(falls: &watch::Receiver<u64>) {
    let mut falls = falls.clone();
    if falls.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn failure(error: &kube::Error) -> Failure {
    let code = if let kube::Error::Api(status) = error { Some(status.code) } else { None };
    Failure { code, reason: said(error) }
}

/// A kind of ours, as `kubectl get` takes it.
pub(crate) fn resource_name<K: Resource<DynamicType = ()>>() -> String {
    format!("{}.{}", K::plural(&()), K::group(&()))
}

/// What an API server said, for people.
pub(crate) fn said(error: &kube::Error) -> String {
    let said = if let kube::Error::Api(status) = error {
        format!("{} ({})", status.message, status.code)
    } else {
        error.to_string()
    };
    said.chars().take(ERROR_CHARS_MAX).collect()
}
