//! One suite for kube-apiservers, real and simulated: what clients may rely on.
//!
//! Written from how kube-apiserver 1.36 with kube-controller-manager behaves. Each case works in
//! a namespace of its own (or, for cluster-scoped things, under a name of its own) and leaves
//! nothing behind that another case would see. A case panics when the server differs. The server
//! needs nodes on which pods run and, without schedulers to tell them apart, two of them.

mod apply;
mod crds;
mod deletion;
mod discovery;
mod errors;
mod history;
mod leases;
mod lists;
mod objects;
mod patches;
mod server;
mod watches;
mod workloads;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures::StreamExt as _;
use kube::Client;

pub use server::Server;

/// Cases wait for controllers most of the time, so several run at once; more than this and a
/// real server on a small machine makes them wait for each other.
const CASES_AT_ONCE: usize = 8;

/// The server that the suite runs against.
#[derive(Clone)]
pub struct Subject {
    /// It must not retry by itself (`Config::default_retry`): a 504 is something to see here.
    pub client: Client,
    /// Makes the server forget what objects were like before a revision.
    pub compact: Arc<dyn Fn(u64) + Send + Sync>,
}

impl std::fmt::Debug for Subject {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Subject").finish_non_exhaustive()
    }
}

/// One behaviour.
pub struct Case {
    /// Unique, in kebab case.
    pub name: &'static str,
    run: fn(Server) -> CaseFuture,
}

type CaseFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

impl std::fmt::Debug for Case {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Case").field(&self.name).finish()
    }
}

/// Gives a module a list of its async functions as cases.
macro_rules! name_cases {
    ($($function:ident),* $(,)?) => {
        pub(super) fn cases() -> Vec<super::Case> {
            vec![$(super::Case {
                name: concat!(module_path!(), "::", stringify!($function)),
                run: |server| Box::pin($function(server)),
            }),*]
        }
    };
}
use name_cases;

/// All cases.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    all.extend(discovery::cases());
    all.extend(objects::cases());
    all.extend(errors::cases());
    all.extend(lists::cases());
    all.extend(watches::cases());
    all.extend(history::cases());
    all.extend(patches::cases());
    all.extend(apply::cases());
    all.extend(deletion::cases());
    all.extend(crds::cases());
    all.extend(leases::cases());
    all.extend(workloads::cases());
    all
}

impl Case {
    /// Runs the case in a namespace of its own.
    ///
    /// # Panics
    /// When the server behaves otherwise.
    pub async fn run(&self, subject: &Subject) {
        let server = Server::with_namespace(subject.clone()).await;
        let namespace = server.namespace.clone();
        let cleaner = server.clone();
        (self.run)(server).await;
        cleaner.delete(&format!("/api/v1/namespaces/{namespace}")).await;
    }
}

/// Runs all cases whose name contains the filter, and reports every failure at the end.
///
/// # Panics
/// When a case failed.
pub async fn run(subject: Subject, filter: &str) {
    let chosen: Vec<Case> = cases().into_iter().filter(|it| it.name.contains(filter)).collect();
    assert!(!chosen.is_empty(), "no case is called {filter:?}");
    let outcomes = futures::stream::iter(chosen).map(|case| {
        let (subject, name) = (subject.clone(), case.name);
        let running = tokio::spawn(async move { case.run(&subject).await });
        async move { running.await.err().map(|_| name) }
    });
    let failed: Vec<&str> =
        outcomes.buffered(CASES_AT_ONCE).filter_map(std::future::ready).collect().await;
    assert!(failed.is_empty(), "{} cases failed: {failed:#?}", failed.len());
}
