//! One simulated cluster: a synchronous state machine. Requests, time and randomness come in
//! from outside, so that the same calls always give the same cluster.

mod access;
mod background;
mod bootstrap;
mod collector;
mod copy;
mod delete;
mod discovery;
mod faces;
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
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::{ApiError, Cause};
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
    /// Whether there are the objects that a kube-apiserver makes for itself. They are most of the
    /// memory of a small cluster.
    pub bootstrap_objects: bool,
    /// See [`HISTORY_EVENTS_PER_KIND`].
    pub history_events_per_kind: usize,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            nodes: Vec::new(),
            ready_delay: Duration::from_millis(100),
            bootstrap_objects: false,
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

    /// Adds the objects that a kube-apiserver makes for itself.
    pub fn with_bootstrap_objects(mut self) -> Self {
        self.bootstrap_objects = true;
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
            return self.no_such_resource(&target);
        };
        let query = Query::parse(&request.query);
        let call = Call { now, resource, target, query, request };
        if !call.is_well_scoped() {
            return self.no_such_resource(&call.target);
        }
        if !call.resource.allows("get") && call.resource.allows("create") {
            return self.answer_review(&call).map(Response::Reply);
        }
        let response = self.answer_call(&call);
        let mut response = response.unwrap_or_else(|error| Response::Reply(error.into()));
        if let (Response::Reply(reply), Some(warning)) = (&mut response, call.deprecation()) {
            reply.warnings.insert(0, warning.to_owned());
        }
        Ok(response)
    }

    fn answer_call(&mut self, call: &Call<'_>) -> Result<Response, ApiError> {
        call.check_accept()?;
        call.check_options()?;
        match (call.target.name.as_str(), call.target.subresource.as_str()) {
            ("", _) => self.answer_collection(call),
            (_, "") => self.answer_object(call),
            (_, subresource) => self.answer_subresource(call, subresource).map(Response::Reply),
        }
    }

    /// Below a built-in group version the answer is a Status, elsewhere that of the mux.
    fn no_such_resource(&self, target: &Target) -> Result<Response, ApiError> {
        let mut served = self.registry.in_version(&target.group, &target.version);
        if served.any(|it| !it.is_custom()) {
            return Err(ApiError::no_such_resource());
        }
        Ok(Response::Reply(Reply::no_such_path()))
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
        if !known && call.resource.is_custom() {
            return Err(ApiError::not_found(&call.resource, &call.target.name));
        }
        if !known {
            return Err(ApiError::no_such_resource());
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

    /// The client takes one of the forms that there are.
    fn check_accept(&self) -> Result<(), ApiError> {
        const KNOWN: &[&str] = &[
            "",
            "*/*",
            "application/*",
            "application/json",
            "application/vnd.kubernetes.protobuf",
            "application/yaml",
        ];
        let forms = self.request.accept.split(',');
        let mut media_types = forms.map(|it| it.split(';').next().unwrap_or_default().trim());
        if media_types.any(|it| KNOWN.contains(&it)) {
            Ok(())
        } else {
            Err(ApiError::not_acceptable())
        }
    }

    /// What a server says on every request for a kind that should not be used any more.
    fn deprecation(&self) -> Option<&'static str> {
        let is_deprecated = self.resource.is("", "endpoints") && self.target.subresource.is_empty();
        is_deprecated.then_some(
            "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
        )
    }

    fn is_dry_run(&self) -> bool {
        self.query.text("dryRun") == "All"
    }

    /// The parameters of a write make sense.
    fn check_options(&self) -> Result<(), ApiError> {
        let kind = match self.request.method {
            Method::POST => "CreateOptions",
            Method::PUT => "UpdateOptions",
            Method::PATCH => "PatchOptions",
            Method::DELETE if self.request.body.is_empty() => "DeleteOptions",
            _ => return Ok(()),
        };
        let mut causes = Vec::new();
        if kind == "PatchOptions" {
            causes.extend(self.wrong_for_patch_kind());
        }
        let dry_run = self.query.text("dryRun");
        if !matches!(dry_run, "" | "All") {
            causes.push(Cause::not_supported("dryRun", &json!([dry_run]), &["All"]));
        }
        let validation = self.query.text("fieldValidation");
        if kind != "DeleteOptions" && !matches!(validation, "" | "Ignore" | "Strict" | "Warn") {
            let choices = &["", "Ignore", "Strict", "Warn"];
            causes.push(Cause::not_supported("fieldValidation", &json!(validation), choices));
        }
        if causes.is_empty() { Ok(()) } else { Err(ApiError::invalid_options(kind, &causes)) }
    }

    fn wrong_for_patch_kind(&self) -> Option<Cause> {
        let is_apply = self.request.content_type.starts_with("application/apply-patch");
        if is_apply && self.query.text("fieldManager").is_empty() {
            return Some(Cause::required("fieldManager", "is required for apply patch"));
        }
        let is_forced = !is_apply && !self.query.text("force").is_empty();
        is_forced.then(|| Cause::forbidden("force", "may not be specified for non-apply patch"))
    }
}
