//! Workloads that become ready by themselves: the status that controllers and kubelets would
//! write, without pods and without ReplicaSets under Deployments. An image whose tag contains
//! `broken` never becomes ready.
//!
//! A new generation is first observed (`observedGeneration` moves, readiness does not); after
//! the ready delay, if the generation is still that one, the status becomes that of success.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::background::{Timer, class_key, service_key};
use super::{Cluster, NodeOptions};
use crate::apply::{self, Manager, Operation};
use crate::object::{Meta, as_object_mut, at, default_field};
use crate::registry::CollectionName;
use crate::store::ObjectKey;
use crate::time::{after, seconds};

/// The manager of what controllers write.
const CONTROLLER: &str = "kube-controller-manager";

/// The reason in a Deployment's conditions while it is not ready.
const PROGRESSING: &str = "ReplicaSetUpdated";

/// The collection of claims for storage.
pub(super) const CLAIMS: &str = "persistentvolumeclaims";

/// How far a workload has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Observed,
    Ready,
}

/// The claims that the pods of an object mount.
pub(super) fn claims_of(object: &Value) -> impl Iterator<Item = String> {
    let template = at(object, "spec.template.spec").or_else(|| object.get("spec"));
    let volumes = template.and_then(|it| it["volumes"].as_array()).into_iter().flatten();
    let names = volumes.filter_map(|it| it["persistentVolumeClaim"]["claimName"].as_str());
    names.map(str::to_owned).collect::<Vec<_>>().into_iter()
}

/// Whether objects of the collection are moved on by themselves.
pub(super) fn is_simulated(collection: &CollectionName) -> bool {
    matches!(
        &*collection.0,
        "deployments.apps"
            | "statefulsets.apps"
            | "daemonsets.apps"
            | "replicasets.apps"
            | "jobs.batch"
            | "services"
            | "pods"
            | "persistentvolumeclaims"
            | "poddisruptionbudgets.policy"
            | "apiservices.apiregistration.k8s.io"
    )
}

impl Cluster {
    /// Observes a new generation and plans its readiness.
    pub(super) fn observe_workload(&mut self, now: Timestamp, key: &ObjectKey) {
        let Some(object) = self.store.get(key).map(|it| it.value()) else { return };
        if object.is_terminating() || !wants_attention(key, &object) {
            return;
        }
        if &*key.collection.0 == CLAIMS && self.waits_for_consumer(key, &object) {
            return;
        }
        self.write_phase(now, key, &object, Phase::Observed);
        if !is_broken(&object) {
            let ready = Timer::FinishWorkload(key.clone(), object.generation());
            self.timers.insert((after(now, self.options.ready_delay), ready));
        }
    }

    /// Makes the workload ready, unless it has changed since.
    pub(super) fn finish_workload(&mut self, now: Timestamp, key: &ObjectKey, generation: i64) {
        let Some(object) = self.store.get(key).map(|it| it.value()) else { return };
        if !object.is_terminating() && object.generation() == generation {
            self.write_phase(now, key, &object, Phase::Ready);
        }
    }

    /// How many nodes the node selector of the pod template allows.
    fn nodes_for(&self, object: &Value) -> usize {
        let selector = at(object, "spec.template.spec.nodeSelector").and_then(Value::as_object);
        let nodes = &self.store.collection(&CollectionName("nodes".into())).objects;
        let fits = |labels: &BTreeMap<String, String>| {
            let mut wanted = selector.into_iter().flatten();
            wanted.all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str())
        };
        nodes.values().filter(|node| fits(&node.labels)).count()
    }

    /// Whether an APIService can be reached: the Service behind it must be there.
    fn api_service(&self, object: &Value, now: &str) -> Value {
        let service = &object["spec"]["service"];
        let text = |field: &str| service[field].as_str().unwrap_or_default();
        let (namespace, name) = (text("namespace"), text("name"));
        let (status, reason, message) = if service.is_null() {
            ("True", "Local", "Local APIServices are always available".to_owned())
        } else if self.store.get(&service_key(namespace, name)).is_none() {
            let message = format!("service/{name} in \"{namespace}\" is not present");
            ("False", "ServiceNotFound", message)
        } else {
            ("True", "Passed", "all checks passed".to_owned())
        };
        let available = json!({"type": "Available", "status": status, "reason": reason,
                               "message": message});
        json!({"conditions": [condition(object, now, available)]})
    }

    /// Whether a claim is bound only when something uses it, and nothing does.
    fn waits_for_consumer(&self, key: &ObjectKey, claim: &Value) -> bool {
        let class = claim["spec"]["storageClassName"].as_str().unwrap_or_default();
        let class = self.store.get(&class_key(class)).map(|it| it.value());
        if !class.is_some_and(|it| it["volumeBindingMode"] == "WaitForFirstConsumer") {
            return false;
        }
        let name = &key.name;
        !self.store.collections().any(|(collection, it)| {
            is_simulated(collection)
                && it.objects.iter().any(|(user, object)| {
                    user.namespace == name.namespace
                        && claims_of(&object.value()).any(|it| it == name.name)
                })
        })
    }

    fn write_phase(&mut self, now: Timestamp, key: &ObjectKey, object: &Value, phase: Phase) {
        let nodes = self.nodes_for(object);
        let time = seconds(now);
        let status = match &*key.collection.0 {
            "deployments.apps" => deployment(object, phase, &time),
            "statefulsets.apps" => stateful_set(object, phase),
            "daemonsets.apps" => daemon_set(object, phase, nodes),
            "replicasets.apps" => replica_set(object, phase),
            "jobs.batch" => job(object, phase, &time),
            "services" => service(object, phase),
            "pods" => pod(object, phase, &time),
            "persistentvolumeclaims" => claim(object, phase),
            "poddisruptionbudgets.policy" => disruption_budget(object, &time),
            _ => self.api_service(object, &time),
        };
        let mut new = object.clone();
        new["status"] = status;
        if new == *object {
            return;
        }
        let Some(resource) = self.registry.of_collection(&key.collection) else { return };
        let manager = Manager {
            name: CONTROLLER.to_owned(),
            operation: Operation::Update,
            api_version: resource.api_version(),
            subresource: "status".to_owned(),
            time,
            carries_metadata: false,
        };
        let new = apply::record_update(Some(object), new, resource.schema(), &manager);
        self.put(now, key, new);
    }
}

/// Whether the state of the object has not been observed yet.
fn wants_attention(key: &ObjectKey, object: &Value) -> bool {
    let status = &object["status"];
    match &*key.collection.0 {
        "services" => {
            object["spec"]["type"] == "LoadBalancer"
                && !status["loadBalancer"]["ingress"].is_array()
        }
        "pods" | "persistentvolumeclaims" => status["phase"] == "Pending",
        "jobs.batch" => status.get("startTime").is_none() && object["spec"]["suspend"] != true,
        "apiservices.apiregistration.k8s.io" => true,
        _ => status["observedGeneration"].as_i64() != Some(object.generation()),
    }
}

/// Whether the object was observed and its readiness was planned, but is not there yet.
pub(super) fn is_half_way(key: &ObjectKey, object: &Value) -> bool {
    let status = &object["status"];
    let differ = |one: &str, other: &str| number(object, one) != number(object, other);
    let half_way = match &*key.collection.0 {
        "deployments.apps" => {
            let conditions = status["conditions"].as_array().into_iter().flatten();
            conditions.into_iter().any(|it| it["reason"] == PROGRESSING)
        }
        "statefulsets.apps" => {
            differ("status.updatedReplicas", "spec.replicas")
                || status["currentRevision"] != status["updateRevision"]
        }
        "daemonsets.apps" => {
            differ("status.updatedNumberScheduled", "status.desiredNumberScheduled")
        }
        "replicasets.apps" => differ("status.readyReplicas", "spec.replicas"),
        "jobs.batch" => status.get("startTime").is_some() && status.get("completionTime").is_none(),
        // What is not ready of the others still wants attention.
        _ => false,
    };
    half_way && !is_broken(object)
}

/// Whether a container runs an image that never becomes ready.
fn is_broken(object: &Value) -> bool {
    let template = at(object, "spec.template.spec").or_else(|| object.get("spec"));
    let containers = template.and_then(|it| it["containers"].as_array()).into_iter().flatten();
    let images = containers.filter_map(|it| it["image"].as_str());
    images
        .filter_map(|image| image.rsplit('/').next()?.split_once(':'))
        .any(|(_, tag)| tag.contains("broken"))
}

fn number(object: &Value, path: &str) -> i64 {
    at(object, path).and_then(Value::as_i64).unwrap_or(0)
}

/// Counters that are zero are left out, as Go does with `omitempty`.
fn without_zeros(mut status: Value, kept: &[&str]) -> Value {
    as_object_mut(&mut status)
        .retain(|field, value| kept.contains(&field.as_str()) || *value != json!(0));
    status
}

/// A condition that keeps its transition time while its status stays.
fn condition(object: &Value, now: &str, fields: Value) -> Value {
    let mut condition = fields;
    let old = object["status"]["conditions"].as_array().into_iter().flatten();
    let mut same = old.filter(|it| it["type"] == condition["type"]);
    let since = same.find(|it| it["status"] == condition["status"]);
    condition["lastTransitionTime"] =
        since.map_or_else(|| json!(now), |it| it["lastTransitionTime"].clone());
    condition
}

fn deployment(object: &Value, phase: Phase, now: &str) -> Value {
    let wanted = number(object, "spec.replicas");
    let available = match phase {
        Phase::Observed => number(object, "status.availableReplicas").min(wanted),
        Phase::Ready => wanted,
    };
    let updated = if phase == Phase::Ready { wanted } else { 0 };
    let (status, reason, message) = match available >= wanted {
        true => ("True", "MinimumReplicasAvailable", "Deployment has minimum availability."),
        false => (
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        ),
    };
    let mut availability = condition(
        object,
        now,
        json!({"type": "Available", "status": status,
        "reason": reason, "message": message}),
    );
    availability["lastUpdateTime"] = availability["lastTransitionTime"].clone();
    let name = object.name();
    let (reason, message) = match phase {
        Phase::Observed => (PROGRESSING, format!("ReplicaSet \"{name}\" is progressing.")),
        Phase::Ready => (
            "NewReplicaSetAvailable",
            format!("ReplicaSet \"{name}\" has successfully progressed."),
        ),
    };
    let mut progress = condition(
        object,
        now,
        json!({"type": "Progressing", "status": "True",
        "reason": reason, "message": message}),
    );
    progress["lastUpdateTime"] = json!(now);
    without_zeros(
        json!({
            "observedGeneration": object.generation(),
            "replicas": wanted,
            "updatedReplicas": updated,
            "readyReplicas": available,
            "availableReplicas": available,
            "unavailableReplicas": wanted - available,
            "conditions": [availability, progress],
        }),
        &[],
    )
}

fn stateful_set(object: &Value, phase: Phase) -> Value {
    let wanted = number(object, "spec.replicas");
    let update = revision_name(object);
    let current = at(object, "status.currentRevision").and_then(Value::as_str).unwrap_or(&update);
    let (ready, updated) = match phase {
        Phase::Ready => (wanted, rolled(object, wanted, current == update)),
        Phase::Observed => (number(object, "status.readyReplicas").min(wanted), 0),
    };
    let is_done = phase == Phase::Ready && updated == wanted;
    let current = if is_done { update.clone() } else { current.to_owned() };
    let old = if current == update { ready } else { ready - updated };
    without_zeros(
        json!({
            "observedGeneration": object.generation(),
            "replicas": wanted,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "currentReplicas": old,
            "updatedReplicas": updated,
            "currentRevision": current,
            "updateRevision": update,
            "collisionCount": 0,
        }),
        &["replicas", "availableReplicas", "collisionCount"],
    )
}

/// How many replicas get the new template: those above the partition, and none at all when
/// somebody has to delete the pods first.
fn rolled(object: &Value, wanted: i64, is_current: bool) -> i64 {
    let strategy = &object["spec"]["updateStrategy"];
    if is_current {
        wanted
    } else if strategy["type"] == "OnDelete" {
        0
    } else {
        (wanted - strategy["rollingUpdate"]["partition"].as_i64().unwrap_or(0)).max(0)
    }
}

/// The name of the revision that has this template.
fn revision_name(object: &Value) -> String {
    let mut hasher = DefaultHasher::new();
    object["spec"]["template"].to_string().hash(&mut hasher);
    format!("{}-{:010x}", object.name(), hasher.finish() & 0xff_ffff_ffff)
}

fn daemon_set(object: &Value, phase: Phase, nodes: usize) -> Value {
    let wanted = i64::try_from(nodes).unwrap_or(i64::MAX);
    let (ready, updated) = match phase {
        Phase::Ready if waits_for_deletion(object) => (wanted, 0),
        Phase::Ready => (wanted, wanted),
        Phase::Observed => (number(object, "status.numberReady").min(wanted), 0),
    };
    without_zeros(
        json!({
            "observedGeneration": object.generation(),
            "desiredNumberScheduled": wanted,
            "currentNumberScheduled": wanted,
            "numberMisscheduled": 0,
            "numberReady": ready,
            "numberAvailable": ready,
            "numberUnavailable": wanted - ready,
            "updatedNumberScheduled": updated,
        }),
        &["desiredNumberScheduled", "currentNumberScheduled", "numberMisscheduled", "numberReady"],
    )
}

/// Whether a DaemonSet has a template that its pods get only when somebody deletes them.
fn waits_for_deletion(object: &Value) -> bool {
    let count = at(object, "metadata.annotations")
        .and_then(|it| it["deprecated.daemonset.template.generation"].as_str());
    object["spec"]["updateStrategy"]["type"] == "OnDelete" && count != Some("1")
}

fn replica_set(object: &Value, phase: Phase) -> Value {
    let wanted = number(object, "spec.replicas");
    let ready = match phase {
        Phase::Ready => wanted,
        Phase::Observed => number(object, "status.readyReplicas").min(wanted),
    };
    let status = json!({"observedGeneration": object.generation(), "replicas": wanted,
        "fullyLabeledReplicas": wanted, "readyReplicas": ready, "availableReplicas": ready});
    without_zeros(status, &["replicas"])
}

fn job(object: &Value, phase: Phase, now: &str) -> Value {
    if phase == Phase::Observed {
        let active = number(object, "spec.parallelism");
        return json!({"active": active, "ready": 0, "terminating": 0, "startTime": now,
                      "uncountedTerminatedPods": {}});
    }
    let completions = number(object, "spec.completions").max(1);
    let reached = |kind: &str| {
        json!({"type": kind, "status": "True", "reason": "CompletionsReached",
               "message": "Reached expected number of succeeded pods",
               "lastProbeTime": now, "lastTransitionTime": now})
    };
    json!({"succeeded": completions, "ready": 0, "terminating": 0,
           "startTime": object["status"]["startTime"], "completionTime": now,
           "uncountedTerminatedPods": {},
           "conditions": [reached("SuccessCriteriaMet"), reached("Complete")]})
}

/// The address comes from the uid, so that it is stable and differs between Services.
fn service(object: &Value, phase: Phase) -> Value {
    if phase == Phase::Observed {
        return object["status"].clone();
    }
    let [high, low, ..] = object.uid().unwrap_or_default().into_bytes();
    let ip = format!("203.0.{}.{}", high % 114, low.max(1));
    json!({"loadBalancer": {"ingress": [{"ip": ip, "ipMode": "VIP"}]}})
}

fn pod(object: &Value, phase: Phase, now: &str) -> Value {
    if phase == Phase::Observed {
        return object["status"].clone();
    }
    let met = |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": now});
    let kinds = ["PodScheduled", "Initialized", "ContainersReady", "Ready"];
    json!({"phase": "Running", "startTime": now, "conditions": kinds.map(met)})
}

fn claim(object: &Value, phase: Phase) -> Value {
    if phase == Phase::Observed {
        return object["status"].clone();
    }
    let storage = at(object, "spec.resources.requests.storage").cloned().unwrap_or(json!("0"));
    json!({"phase": "Bound", "accessModes": object["spec"]["accessModes"],
           "capacity": {"storage": storage}})
}

fn disruption_budget(object: &Value, now: &str) -> Value {
    let allowed = condition(
        object,
        now,
        json!({"type": "DisruptionAllowed", "status": "True",
        "reason": "SufficientPods", "message": "", "observedGeneration": object.generation()}),
    );
    json!({"observedGeneration": object.generation(), "currentHealthy": 1, "desiredHealthy": 0,
           "expectedPods": 1, "disruptionsAllowed": 1, "conditions": [allowed]})
}

/// The Node object of a simulated node.
pub(super) fn node_object(node: &NodeOptions, now: Timestamp) -> Value {
    let time = seconds(now);
    let total = json!({"cpu": node.cpu.to_string(), "memory": format!("{}Gi", node.memory_gib),
        "pods": "110", "ephemeral-storage": "100Gi"});
    let mut labels = json!({"kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64"});
    for (key, value) in &node.labels {
        default_field(as_object_mut(&mut labels), key, value.clone());
    }
    let condition = |kind: &str, status: &str, reason: &str| {
        json!({"type": kind, "status": status, "reason": reason, "lastHeartbeatTime": time,
               "lastTransitionTime": time})
    };
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"labels": labels},
        "spec": {},
        "status": {
            "capacity": total,
            "allocatable": total,
            "conditions": [
                condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
                condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
                condition("PIDPressure", "False", "KubeletHasSufficientPID"),
                condition("Ready", "True", "KubeletReady"),
            ],
            "nodeInfo": {"kubeletVersion": "v1.36.4", "osImage": "simulated",
                "kernelVersion": "", "containerRuntimeVersion": "simulated://1",
                "architecture": "amd64", "operatingSystem": "linux", "machineID": "",
                "systemUUID": "", "bootID": "", "kubeProxyVersion": ""},
        },
    })
}
