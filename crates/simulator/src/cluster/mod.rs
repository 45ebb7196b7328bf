//! One simulated cluster: a synchronous state machine. Requests, time and randomness come in
//! from outside, so that the same calls always give the same cluster.

mod access;
mod background;
mod collector;
mod copy;
mod delete;
mod discovery;
mod events;
mod format;
mod list;
mod openapi;
mod restore;
pub(crate) mod route;
mod scale;
mod watch;
mod workload;
mod write;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use http::Method;
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::error::ApiError;
use crate::registry::{Registry, Resource};
use crate::request::{Query, Reply, Request, Response, WatchId};
use crate::store::{ObjectKey, ObjectName, Store};
use background::Timer;
pub use copy::ClusterCopy;
use route::{Route, Target, route};
use watch::Watch;
pub use watch::{WatchOutput, watch_events};

/// Bodies above this are refused with 413, like a kube-apiserver does.
pub const REQUEST_BYTES_MAX: usize = 3 * 1024 * 1024;

/// How many changes of each kind a watch can ask for from the past. Each costs one object
/// body; with half of it, watchers that start late are told more often to list again.
pub const HISTORY_EVENTS_PER_KIND: usize = 1024;

/// What a cluster is like.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Seed of uids, generated names and addresses.
    pub seed: u64,
    /// Simulated Node objects.
    pub nodes: Vec<NodeOptions>,
    /// How long workloads take to become ready.
    pub ready_delay: Duration,
    /// See [`HISTORY_EVENTS_PER_KIND`].
    pub history_events_per_kind: usize,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            nodes: Vec::new(),
            ready_delay: Duration::from_millis(100),
            history_events_per_kind: HISTORY_EVENTS_PER_KIND,
        }
    }
}

impl ClusterOptions {
    /// Adds so many equal nodes named `node-1`, `node-2`…
    pub fn with_nodes(mut self, count: usize, cpu: u32, memory_gib: u32) -> Self {
        self.nodes = (1..=count)
            .map(|number| NodeOptions {
                name: format!("node-{number}"),
                cpu,
                memory_gib,
                labels: BTreeMap::new(),
            })
            .collect();
        self
    }

    /// Sets the label on every node that was added so far.
    pub fn with_node_label(mut self, key: &str, value: &str) -> Self {
        for node in &mut self.nodes {
            node.labels.insert(key.to_owned(), value.to_owned());
        }
        self
    }

    /// Sets how long workloads take to become ready.
    pub fn with_ready_delay(mut self, delay: Duration) -> Self {
        self.ready_delay = delay;
        self
    }
}

/// One simulated node.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// The name of the Node object.
    pub name: String,
    /// Cores.
    pub cpu: u32,
    /// Memory in GiB.
    pub memory_gib: u32,
    /// Labels beside the usual ones.
    pub labels: BTreeMap<String, String>,
}

/// One simulated kube-apiserver with the controllers that matter to its clients.
///
/// | the caller does | the cluster provides |
/// |---|---|
/// | hands in requests with the time | [`handle`](Self::handle): the answer |
/// | carries watch lines to the client | [`poll_watch`](Self::poll_watch): what is new |
/// | calls [`tick`](Self::tick) after each request, and at [`next_wakeup`](Self::next_wakeup) | controllers: readiness, garbage collection, namespaces |
#[derive(Debug)]
pub struct Cluster {
    options: ClusterOptions,
    store: Store,
    registry: Registry,
    rng: Rng,
    watches: BTreeMap<WatchId, Watch>,
    watches_opened: u64,
    timers: BTreeSet<(Timestamp, Timer)>,
}

/// A request to a resource, decoded.
struct Call<'a> {
    now: Timestamp,
    resource: Arc<Resource>,
    target: Target,
    query: Query,
    request: &'a Request,
}

impl Cluster {
    /// A fresh cluster with its built-in namespaces and nodes.
    pub fn new(now: Timestamp, options: ClusterOptions) -> Self {
        let mut cluster = Self::without_objects(options);
        cluster.found(now);
        cluster
    }

    fn without_objects(options: ClusterOptions) -> Self {
        Self {
            store: Store::new(options.history_events_per_kind),
            registry: Registry::default(),
            rng: Rng::with_seed(options.seed),
            watches: BTreeMap::new(),
            watches_opened: 0,
            timers: BTreeSet::new(),
            options,
        }
    }

    /// Answers a request. Call [`tick`](Self::tick) afterwards to let the controllers see it.
    pub fn handle(&mut self, now: Timestamp, request: &Request) -> Response {
        match self.answer(now, request) {
            Ok(response) => response,
            Err(error) => Response::Reply(error.into()),
        }
    }

    /// The resource version of the latest change: watchers have something to see when it moved.
    pub fn revision(&self) -> u64 {
        self.store.revision()
    }

    /// Makes every watch and list from an older resource version fail with 410 Expired.
    pub fn forget_watch_history(&mut self) {
        self.store.forget_history();
    }

    /// Forgets what objects were like before the resource version: watches and lists from then
    /// fail with 410 Expired. A kube-apiserver does this every few minutes.
    pub fn compact(&mut self, revision: u64) {
        self.store.forget_until(revision);
    }

    fn answer(&mut self, now: Timestamp, request: &Request) -> Result<Response, ApiError> {
        if request.body.len() > REQUEST_BYTES_MAX {
            let message = format!("Request entity too large: limit is {REQUEST_BYTES_MAX}");
            return Err(ApiError::plain(413, "RequestEntityTooLarge", message));
        }
        let route = route(&request.path);
        if let Route::Resource(target) = route {
            return self.answer_resource(now, request, target);
        }
        self.answer_discovery(&route, request).map(Response::Reply)
    }

    fn answer_resource(
        &mut self,
        now: Timestamp,
        request: &Request,
        target: Target,
    ) -> Result<Response, ApiError> {
        let found = self.registry.find(&target.group, &target.version, &target.plural);
        let Some(resource) = found.cloned() else {
            return Ok(Response::Reply(Reply::no_such_path()));
        };
        let query = Query::parse(&request.query);
        let call = Call { now, resource, target, query, request };
        if !call.is_well_scoped() {
            return Ok(Response::Reply(Reply::no_such_path()));
        }
        if !call.resource.allows("get") && call.resource.allows("create") {
            return self.answer_review(&call).map(Response::Reply);
        }
        call.is_dry_run()?;
        match (call.target.name.as_str(), call.target.subresource.as_str()) {
            ("", _) => self.answer_collection(&call),
            (_, "") => self.answer_object(&call),
            (_, subresource) => self.answer_subresource(&call, subresource).map(Response::Reply),
        }
    }

    fn answer_collection(&mut self, call: &Call<'_>) -> Result<Response, ApiError> {
        match call.request.method {
            Method::GET if call.query.flag("watch") => self.open_watch(call).map(Response::Watch),
            Method::GET => self.list(call).map(Response::Reply),
            Method::POST => self.create(call).map(Response::Reply),
            Method::DELETE => self.delete_collection(call).map(Response::Reply),
            _ => Err(ApiError::method_not_allowed()),
        }
    }

    fn answer_object(&mut self, call: &Call<'_>) -> Result<Response, ApiError> {
        match call.request.method {
            Method::GET if call.query.flag("watch") => self.open_watch(call).map(Response::Watch),
            Method::GET => self.get(call).map(Response::Reply),
            Method::PUT => self.replace(call).map(Response::Reply),
            Method::PATCH => self.patch(call).map(Response::Reply),
            Method::DELETE => self.delete(call).map(Response::Reply),
            _ => Err(ApiError::method_not_allowed()),
        }
    }

    fn answer_subresource(&mut self, call: &Call<'_>, name: &str) -> Result<Reply, ApiError> {
        let known = match name {
            "status" => call.resource.has_status,
            "scale" => call.resource.scale.is_some(),
            "finalize" => call.resource.has_finalize,
            _ => false,
        };
        if !known {
            return Ok(Reply::no_such_path());
        }
        match (name, &call.request.method) {
            ("scale", &Method::GET) => self.get_scale(call),
            ("scale", &Method::PUT | &Method::PATCH) => self.write_scale(call),
            (_, &Method::GET) => self.get(call),
            (_, &Method::PUT) => self.replace(call),
            (_, &Method::PATCH) => self.patch(call),
            _ => Err(ApiError::method_not_allowed()),
        }
    }

    /// The object that the call names.
    fn existing(&self, call: &Call<'_>) -> Result<Value, ApiError> {
        let stored = self.store.get(&call.key());
        let missing = || ApiError::not_found(&call.resource, &call.target.name);
        Ok(stored.ok_or_else(missing)?.value())
    }

    fn fresh_uid(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(self.rng.u128(..).to_le_bytes()).into_uuid()
    }
}

impl Call<'_> {
    fn key(&self) -> ObjectKey {
        self.key_of(&self.target.name)
    }

    fn key_of(&self, name: &str) -> ObjectKey {
        let name = ObjectName { namespace: self.target.namespace.clone(), name: name.to_owned() };
        ObjectKey { collection: self.resource.collection(), name }
    }

    /// Namespaced objects are addressed in a namespace, others never; lists span namespaces.
    fn is_well_scoped(&self) -> bool {
        let in_namespace = !self.target.namespace.is_empty();
        if self.resource.namespaced {
            in_namespace || self.target.name.is_empty()
        } else {
            !in_namespace
        }
    }

    fn is_dry_run(&self) -> Result<bool, ApiError> {
        match self.query.text("dryRun") {
            "" => Ok(false),
            "All" => Ok(true),
            other => {
                let message = format!(
                    "Options.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: {other:?}: \
                     supported values: \"All\""
                );
                Err(ApiError::plain(422, "Invalid", message))
            }
        }
    }
}
