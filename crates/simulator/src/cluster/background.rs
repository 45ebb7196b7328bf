//! What happens in a cluster without a request: timers, and the writes that start them.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Cluster, workload};
use crate::crd;
use crate::object::{Meta, as_object_mut};
use crate::registry::CollectionName;
use crate::request::WatchId;
use crate::store::{ObjectKey, ObjectName, owners_of};
use crate::time::seconds;

/// Something to do at a time. The order breaks ties between timers of the same moment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Put the usual objects into a new namespace.
    FurnishNamespace(String),
    /// Serve the resources of a CRD.
    Establish(ObjectKey),
    /// Look whether the owners of an object still live.
    CheckOwners(ObjectKey),
    /// Deal with the dependents of an owner that is gone or going.
    CollectDependents(Uuid),
    /// Remove the contents of a terminating namespace, then itself.
    EmptyNamespace(String),
    /// Remove the objects of a terminating CRD, then itself.
    EmptyCrd(ObjectKey),
    /// Observe the new state of a workload.
    ObserveWorkload(ObjectKey),
    /// Make a workload ready, if it still is of this generation.
    FinishWorkload(ObjectKey, i64),
    EndWatch(WatchId),
    Bookmark(WatchId),
}

/// How many rounds of due timers one tick runs. Controllers feed each other a few times;
/// more than this is a loop, and the rest waits for the next tick.
const ROUNDS_PER_TICK_MAX: usize = 64;

/// The namespaces that every cluster is born with.
const BUILT_IN_NAMESPACES: &[&str] = &["default", "kube-node-lease", "kube-public", "kube-system"];

/// The collection of CRDs.
pub(super) const CRDS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// The collection of APIServices.
const API_SERVICES: &str = "apiservices.apiregistration.k8s.io";

impl Cluster {
    /// Runs what is due. Returns whether anything was.
    pub fn tick(&mut self, now: Timestamp) -> bool {
        let mut worked = false;
        for _ in 0..ROUNDS_PER_TICK_MAX {
            let due: Vec<(Timestamp, Timer)> =
                self.timers.iter().take_while(|(at, _)| *at <= now).cloned().collect();
            if due.is_empty() {
                return worked;
            }
            worked = true;
            for timer in due {
                self.timers.remove(&timer);
                self.fire(now, timer.1);
            }
        }
        worked
    }

    /// When [`tick`](Self::tick) has something to do next.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    fn fire(&mut self, now: Timestamp, timer: Timer) {
        match timer {
            Timer::FurnishNamespace(name) => self.furnish_namespace(now, &name),
            Timer::Establish(key) => self.establish(now, &key),
            Timer::CheckOwners(key) => self.check_owners(now, &key),
            Timer::CollectDependents(owner) => self.collect_dependents(now, owner),
            Timer::EmptyNamespace(name) => self.empty_namespace(now, &name),
            Timer::EmptyCrd(key) => self.empty_crd(now, &key),
            Timer::ObserveWorkload(key) => self.observe_workload(now, &key),
            Timer::FinishWorkload(key, generation) => self.finish_workload(now, &key, generation),
            Timer::EndWatch(id) => self.end_watch(id),
            Timer::Bookmark(id) => self.send_bookmark(now, id),
        }
    }

    /// Stores an object and wakes whoever cares. All writes come through here.
    pub(super) fn put(&mut self, now: Timestamp, key: &ObjectKey, object: Value) -> Value {
        let object = self.store.put(key, object);
        self.wake(now, key, &object);
        object
    }

    /// Wakes whoever cares about an object in this state.
    pub(super) fn wake(&mut self, now: Timestamp, key: &ObjectKey, object: &Value) {
        let timers = &mut self.timers;
        let mut wake = |timer| timers.insert((now, timer));
        match &*key.collection.0 {
            "namespaces" if object.is_terminating() => {
                wake(Timer::EmptyNamespace(key.name.name.clone()));
            }
            "namespaces" => {
                wake(Timer::FurnishNamespace(key.name.name.clone()));
            }
            CRDS => {
                wake(match object.is_terminating() {
                    true => Timer::EmptyCrd(key.clone()),
                    false => Timer::Establish(key.clone()),
                });
            }
            _ => {}
        }
        if !object.owner_references().is_empty() {
            wake(Timer::CheckOwners(key.clone()));
        }
        if let Some(uid) = object.uid().filter(|_| object.is_terminating()) {
            wake(Timer::CollectDependents(uid));
        }
        if workload::is_simulated(&key.collection) {
            wake(Timer::ObserveWorkload(key.clone()));
            for claim in workload::claims_of(object) {
                let claim = namespaced_key(workload::CLAIMS, &key.name.namespace, &claim);
                wake(Timer::ObserveWorkload(claim));
            }
        }
        self.wake_api_services(now, &key.collection);
    }

    /// An APIService is available when its Service is there.
    fn wake_api_services(&mut self, now: Timestamp, changed: &CollectionName) {
        if &*changed.0 != "services" {
            return;
        }
        let collection = CollectionName(Arc::from(API_SERVICES));
        let names: Vec<_> = self.store.collection(&collection).objects.keys().cloned().collect();
        for name in names {
            let key = ObjectKey { collection: collection.clone(), name };
            self.timers.insert((now, Timer::ObserveWorkload(key)));
        }
    }

    /// Removes an object and wakes whoever cares. All removals come through here.
    pub(super) fn remove(&mut self, now: Timestamp, key: &ObjectKey) -> Option<Value> {
        let object = self.store.remove(key)?;
        if let Some(uid) = object.uid() {
            self.timers.insert((now, Timer::CollectDependents(uid)));
        }
        for owner in owners_of(&object) {
            self.timers.insert((now, Timer::CollectDependents(owner)));
        }
        let namespace = &key.name.namespace;
        if !namespace.is_empty() && self.namespace(namespace).is_some_and(|it| it.is_terminating())
        {
            self.timers.insert((now, Timer::EmptyNamespace(namespace.clone())));
        }
        self.wake_owning_crd(now, &key.collection);
        self.wake_api_services(now, &key.collection);
        Some(object)
    }

    /// A CRD that is going waits for the last of its objects.
    fn wake_owning_crd(&mut self, now: Timestamp, collection: &CollectionName) {
        let key = crd_key(&collection.0);
        if self.store.get(&key).is_some_and(|it| it.value().is_terminating()) {
            self.timers.insert((now, Timer::EmptyCrd(key)));
        }
    }

    /// Stores an object; one that is marked for deletion and held by nothing more is removed.
    pub(super) fn put_or_finish(
        &mut self,
        now: Timestamp,
        key: &ObjectKey,
        object: Value,
    ) -> Value {
        let holds_contents = &*key.collection.0 == "namespaces";
        if object.is_terminating() && object.finalizers().is_empty() && !holds_contents {
            self.remove(now, key);
            return object;
        }
        self.put(now, key, object)
    }

    /// Writes an object that no client asked for.
    pub(super) fn put_own(&mut self, now: Timestamp, key: &ObjectKey, mut object: Value) {
        object.set_meta("uid", self.fresh_uid().to_string());
        object.set_meta("creationTimestamp", seconds(now));
        object.set_meta("name", key.name.name.clone());
        if !key.name.namespace.is_empty() {
            object.set_meta("namespace", key.name.namespace.clone());
        }
        self.put(now, key, object);
    }

    pub(super) fn found(&mut self, now: Timestamp) {
        for name in BUILT_IN_NAMESPACES {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace",
                "metadata": {"labels": {"kubernetes.io/metadata.name": name}},
                "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}});
            self.put_own(now, &namespace_key(name), namespace);
        }
        let port = json!({"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443});
        let service = json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"labels": {"component": "apiserver", "provider": "kubernetes"}},
            "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"],
                     "ports": [port], "sessionAffinity": "None"},
            "status": {"loadBalancer": {}}});
        self.put_own(now, &namespaced_key("services", "default", "kubernetes"), service);
        if self.options.bootstrap_objects {
            self.bootstrap(now);
        }
        for node in self.options.nodes.clone() {
            let object = workload::node_object(&node, now);
            self.put_own(now, &cluster_key("nodes", &node.name), object);
        }
        self.tick(now);
    }

    fn furnish_namespace(&mut self, now: Timestamp, name: &str) {
        if self.namespace(name).is_none_or(|it| it.is_terminating()) {
            return;
        }
        let account = account_key(name, "default");
        if self.store.get(&account).is_none() {
            let object = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {}});
            self.put_own(now, &account, object);
        }
        let roots = namespaced_key("configmaps", name, "kube-root-ca.crt");
        if self.store.get(&roots).is_none() {
            let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {},
                                "data": {"ca.crt": ""}});
            self.put_own(now, &roots, object);
        }
    }

    fn establish(&mut self, now: Timestamp, key: &ObjectKey) {
        let Some(mut object) = self.store.get(key).map(|it| it.value()) else { return };
        let versions = crd::compile(&object);
        if self.registry.serve(&key.name.name, versions) {
            self.store.begin(&CollectionName(Arc::from(key.name.name.as_str())));
        }
        let status = crd::established_status(&object, &seconds(now));
        let same = |field: &str| object["status"][field] == status[field];
        let is_established = object["status"]["conditions"].is_array();
        if is_established && same("acceptedNames") && same("storedVersions") {
            return;
        }
        let conditions = object["status"]["conditions"].clone();
        object["status"] = status;
        if is_established {
            object["status"]["conditions"] = conditions;
        }
        self.put(now, key, object);
    }

    fn empty_crd(&mut self, now: Timestamp, key: &ObjectKey) {
        let Some(object) = self.store.get(key).map(|it| it.value()) else { return };
        let collection = CollectionName(Arc::from(key.name.name.as_str()));
        self.delete_all(now, |name| *name == collection, |_| true);
        if !self.store.collection(&collection).objects.is_empty() {
            return;
        }
        self.registry.withdraw(&key.name.name);
        let spec = &object["spec"];
        let (plural, group) = (&spec["names"]["plural"], &spec["group"]);
        self.end_watches_of(
            plural.as_str().unwrap_or_default(),
            group.as_str().unwrap_or_default(),
        );
        self.drop_finalizer(now, key, object.clone(), crd::CLEANUP_FINALIZER);
    }

    fn empty_namespace(&mut self, now: Timestamp, name: &str) {
        let Some(mut namespace) = self.namespace(name).filter(|it| it.is_terminating()) else {
            return;
        };
        self.delete_all(now, |_| true, |it| it.namespace == name);
        let is_inside = |it: &ObjectName| it.namespace == name;
        if self.store.collections().any(|(_, it)| it.objects.keys().any(is_inside)) {
            return;
        }
        // The content is gone: the namespace drops its own finalizer and goes, unless somebody
        // else holds it.
        let key = namespace_key(name);
        let spec = as_object_mut(&mut namespace["spec"]);
        if spec.remove("finalizers").is_some() && !namespace.finalizers().is_empty() {
            self.put(now, &key, namespace);
        } else if namespace.finalizers().is_empty() {
            self.remove(now, &key);
        }
    }

    /// Deletes, in the background, all objects that are selected and not yet going.
    fn delete_all(
        &mut self,
        now: Timestamp,
        in_collection: impl Fn(&CollectionName) -> bool,
        selected: impl Fn(&ObjectName) -> bool,
    ) {
        let mut doomed = Vec::new();
        for (collection, it) in self.store.collections().filter(|(name, _)| in_collection(name)) {
            for name in it.objects.keys().filter(|name| selected(name)) {
                doomed.push(ObjectKey { collection: collection.clone(), name: name.clone() });
            }
        }
        for key in doomed {
            self.delete_by_controller(now, &key);
        }
    }

    /// Deletes an object as a controller does: finalizers are respected.
    pub(super) fn delete_by_controller(&mut self, now: Timestamp, key: &ObjectKey) {
        let Some(mut object) = self.store.get(key).map(|it| it.value()) else { return };
        if object.finalizers().is_empty() {
            self.remove(now, key);
        } else if !object.is_terminating() {
            object.set_meta("deletionTimestamp", seconds(now));
            object.set_meta("deletionGracePeriodSeconds", 0);
            self.put(now, key, object);
        }
    }

    pub(super) fn drop_finalizer(
        &mut self,
        now: Timestamp,
        key: &ObjectKey,
        mut object: Value,
        finalizer: &str,
    ) {
        let finalizers = object.finalizers().into_iter().filter(|it| *it != finalizer);
        let kept: Vec<String> = finalizers.map(str::to_owned).collect();
        object.set_finalizers(&kept);
        self.put_or_finish(now, key, object);
    }
}

pub(super) fn namespace_key(name: &str) -> ObjectKey {
    cluster_key("namespaces", name)
}

fn cluster_key(collection: &str, name: &str) -> ObjectKey {
    namespaced_key(collection, "", name)
}

pub(super) fn account_key(namespace: &str, name: &str) -> ObjectKey {
    namespaced_key("serviceaccounts", namespace, name)
}

pub(super) fn service_key(namespace: &str, name: &str) -> ObjectKey {
    namespaced_key("services", namespace, name)
}

pub(super) fn class_key(name: &str) -> ObjectKey {
    cluster_key("storageclasses.storage.k8s.io", name)
}

fn crd_key(name: &str) -> ObjectKey {
    cluster_key(CRDS, name)
}

fn namespaced_key(collection: &str, namespace: &str, name: &str) -> ObjectKey {
    ObjectKey {
        collection: CollectionName(Arc::from(collection)),
        name: ObjectName { namespace: namespace.to_owned(), name: name.to_owned() },
    }
}
