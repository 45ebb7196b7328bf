//! Whether an object does what it is there for, by kind (reference §2.9).

use serde_json::Value;

/// How available one object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    /// It is.
    Available,
    /// Not now, and why.
    NotYet(String),
    /// Nobody can tell for objects of this kind.
    NotTrackable,
}

/// The availability of a live object, with its status.
#[must_use]
pub fn availability(object: &Value) -> Availability {
    match kind_of(object) {
        ("apps", "Deployment") => verdict(deployment_waits_for(object)),
        ("apps", "StatefulSet") => verdict(stateful_set_waits_for(object)),
        ("apps", "DaemonSet") => verdict(daemon_set_waits_for(object)),
        ("", "Service") => service(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => verdict(crd_waits_for(object)),
        ("policy", "PodDisruptionBudget") => verdict(budget_waits_for(object)),
        (
            "",
            "ConfigMap" | "LimitRange" | "Namespace" | "ResourceQuota" | "Secret"
            | "ServiceAccount",
        )
        | (
            "rbac.authorization.k8s.io",
            "ClusterRole" | "ClusterRoleBinding" | "Role" | "RoleBinding",
        )
        | ("networking.k8s.io", "IngressClass" | "NetworkPolicy")
        | ("storage.k8s.io", "CSIDriver" | "CSINode" | "CSIStorageCapacity" | "StorageClass")
        | ("apps", "ControllerRevision")
        | ("scheduling.k8s.io", "PriorityClass") => Availability::Available,
        _ => Availability::NotTrackable,
    }
}

/// Whether the availability of this object can change after it was written, so that somebody has to
/// watch it. Takes a manifest or a live object.
#[must_use]
pub fn changes_availability(object: &Value) -> bool {
    match kind_of(object) {
        ("apps", "DaemonSet" | "Deployment" | "StatefulSet")
        | ("apiextensions.k8s.io", "CustomResourceDefinition")
        | ("policy", "PodDisruptionBudget") => true,
        ("", "Service") => text(object, "/spec/type") == Some("LoadBalancer"),
        _ => false,
    }
}

/// Whether what is asked about a kind stands in its objects, and not in their metadata alone: whoever
/// watches it needs whole objects.
#[must_use]
pub fn needs_whole_objects(group: &str, kind: &str) -> bool {
    matches!(
        (group, kind),
        ("apps", "DaemonSet" | "Deployment" | "StatefulSet")
            | ("apiextensions.k8s.io", "CustomResourceDefinition")
            | ("policy", "PodDisruptionBudget")
            | ("", "Service")
    ) || kind_runs_once(group, kind)
}

/// Whether objects of a kind do something once: to make one again is to do it again.
#[must_use]
pub fn kind_runs_once(group: &str, kind: &str) -> bool {
    (group, kind) == ("batch", "Job")
}

/// Whether an object does something once.
#[must_use]
pub fn runs_once(object: &Value) -> bool {
    let (group, kind) = kind_of(object);
    kind_runs_once(group, kind)
}

/// Whether an object that runs once has done it, or has given up.
#[must_use]
pub fn is_finished(object: &Value) -> bool {
    conditions(object).any(|condition| {
        matches!(text(condition, "/type"), Some("Complete" | "Failed"))
            && text(condition, "/status") == Some("True")
    })
}

fn verdict(waits_for: Option<String>) -> Availability {
    waits_for.map_or(Availability::Available, Availability::NotYet)
}

fn deployment_waits_for(object: &Value) -> Option<String> {
    let wanted = count_or(object, "/spec/replicas", 1);
    let updated = count(object, "/status/updatedReplicas");
    let available = count(object, "/status/availableReplicas");
    let unavailable = count(object, "/status/unavailableReplicas");
    status_is_old(object).or_else(|| {
        (updated != wanted || available != wanted || unavailable != 0).then(|| {
            format!(
                "{available} of {wanted} replicas are available, {updated} are updated, \
                 {unavailable} are unavailable"
            )
        })
    })
}

fn stateful_set_waits_for(object: &Value) -> Option<String> {
    let wanted = count_or(object, "/spec/replicas", 1);
    let available = count(object, "/status/availableReplicas");
    let current = count(object, "/status/currentReplicas");
    let updated = count(object, "/status/updatedReplicas");
    status_is_old(object).or_else(|| {
        if available != wanted || current != wanted || updated != wanted {
            return Some(format!(
                "{available} of {wanted} replicas are available, {updated} are updated, \
                 {current} are current"
            ));
        }
        (text(object, "/status/currentRevision") != text(object, "/status/updateRevision"))
            .then(|| "its update revision is not the current one yet".to_owned())
    })
}

fn daemon_set_waits_for(object: &Value) -> Option<String> {
    let wanted = count(object, "/status/desiredNumberScheduled");
    let available = count(object, "/status/numberAvailable");
    let scheduled = count(object, "/status/currentNumberScheduled");
    let updated = count(object, "/status/updatedNumberScheduled");
    status_is_old(object).or_else(|| {
        (available != wanted || scheduled != updated).then(|| {
            format!(
                "{available} of {wanted} pods are available, {updated} of {scheduled} are updated"
            )
        })
    })
}

fn service(object: &Value) -> Availability {
    match text(object, "/spec/type").unwrap_or("ClusterIP") {
        "ExternalName" => Availability::NotTrackable,
        "LoadBalancer" => {
            let address = ["ip", "hostname"].iter().find_map(|field| {
                text(object, &format!("/status/loadBalancer/ingress/0/{field}"))
                    .filter(|address| !address.is_empty())
            });
            verdict(address.is_none().then(|| "the load balancer has no address yet".to_owned()))
        }
        _ => {
            let address = text(object, "/spec/clusterIP").filter(|address| !address.is_empty());
            verdict(address.is_none().then(|| "it has no cluster IP yet".to_owned()))
        }
    }
}

fn crd_waits_for(object: &Value) -> Option<String> {
    ["NamesAccepted", "Established"]
        .into_iter()
        .find(|wanted| {
            !conditions(object).any(|condition| {
                text(condition, "/type") == Some(wanted)
                    && text(condition, "/status") == Some("True")
            })
        })
        .map(|missing| format!("its condition {missing} is not True yet"))
}

fn budget_waits_for(object: &Value) -> Option<String> {
    let generation = count(object, "/metadata/generation");
    let is_fresh = conditions(object)
        .any(|condition| count(condition, "/observedGeneration") == generation && generation > 0);
    (!is_fresh).then(|| "its conditions are not about its current spec yet".to_owned())
}

/// Why a status says nothing about the current spec.
fn status_is_old(object: &Value) -> Option<String> {
    let generation = count(object, "/metadata/generation");
    let observed = count(object, "/status/observedGeneration");
    (observed < generation).then(|| {
        format!("its status is about generation {observed}, the object is at {generation}")
    })
}

fn conditions(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten()
}

/// Group and kind; a core object has the empty group.
pub(crate) fn kind_of(object: &Value) -> (&str, &str) {
    let api_version = text(object, "/apiVersion").unwrap_or_default();
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    (group, text(object, "/kind").unwrap_or_default())
}

fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str)
}

/// A number that Kubernetes leaves out when it is zero.
fn count(object: &Value, pointer: &str) -> i64 {
    count_or(object, pointer, 0)
}

fn count_or(object: &Value, pointer: &str, default: i64) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(default)
}

#[cfg(test)]
#[path = "availability_tests.rs"]
mod tests;
