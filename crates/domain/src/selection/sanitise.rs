//! What of an object is left behind when it is placed: all that its cluster gave it.

use serde_json::{Map, Value};

/// Metadata that only the cluster of an object can give it.
const METADATA_OF_CLUSTER: [&str; 9] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Annotations that tools and controllers keep their own notes in.
const ANNOTATIONS_OF_CLUSTER: [&str; 2] =
    ["kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/revision"];

/// The label with the uid of a Job, in the spellings before and after Kubernetes 1.27.
const JOB_UID_LABELS: [&str; 2] = ["controller-uid", "batch.kubernetes.io/controller-uid"];

/// Drops what the hub's API server and controllers gave an object, so that what is left is what
/// somebody wrote and any cluster can take (reference §2.3). Finalizers and all other labels and
/// annotations stay.
pub fn sanitise(object: &mut Value) {
    let api_version = object["apiVersion"].as_str().unwrap_or_default().to_owned();
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    let Some(fields) = object.as_object_mut() else { return };
    fields.remove("status");
    if let Some(metadata) = child(fields, "metadata") {
        // A Job that is made again under its name is to run again, also with the same manifest.
        let runs_once = (api_version.as_str(), kind.as_str()) == ("batch/v1", "Job");
        let kept = if runs_once { "uid" } else { "" };
        for field in METADATA_OF_CLUSTER.into_iter().filter(|field| *field != kept) {
            metadata.remove(field);
        }
        remove_keys(metadata, "annotations", &ANNOTATIONS_OF_CLUSTER);
    }
    match (api_version.as_str(), kind.as_str()) {
        ("v1", "Service") => sanitise_service(fields),
        ("batch/v1", "Job") => sanitise_job(fields),
        _ => {}
    }
}

/// Addresses and ports are allocated anew on each cluster. `None` is not an address but the wish
/// to have none: a headless Service stays headless.
fn sanitise_service(service: &mut Map<String, Value>) {
    let Some(spec) = child(service, "spec") else { return };
    if spec.get("clusterIP").and_then(Value::as_str) != Some("None") {
        spec.remove("clusterIP");
        spec.remove("clusterIPs");
    }
    spec.remove("healthCheckNodePort");
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(port) = port.as_object_mut() {
            port.remove("nodePort");
        }
    }
}

/// The API server generates the selector of a Job from its uid, and copies it into the labels of
/// the pods and, when there are no others, of the Job. It refuses one with another uid.
fn sanitise_job(job: &mut Map<String, Value>) {
    let spec = job.get("spec");
    if spec.and_then(|spec| spec.get("manualSelector")) == Some(&Value::Bool(true)) {
        return;
    }
    if let Some(metadata) = child(job, "metadata") {
        remove_keys(metadata, "labels", &JOB_UID_LABELS);
    }
    let Some(spec) = child(job, "spec") else { return };
    if let Some(selector) = child(spec, "selector") {
        remove_keys(selector, "matchLabels", &JOB_UID_LABELS);
        if selector.is_empty() {
            spec.remove("selector");
        }
    }
    if let Some(metadata) = child(spec, "template").and_then(|pod| child(pod, "metadata")) {
        metadata.remove("creationTimestamp");
        remove_keys(metadata, "labels", &JOB_UID_LABELS);
    }
}

fn child<'a>(fields: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Map<String, Value>> {
    fields.get_mut(name)?.as_object_mut()
}

/// Removes keys of a map in a field, and the field when it held nothing else. A map that never
/// held them stays as it is, empty ones too.
fn remove_keys(fields: &mut Map<String, Value>, name: &str, keys: &[&str]) {
    let Some(map) = child(fields, name) else { return };
    let before = map.len();
    map.retain(|key, _| !keys.contains(&key.as_str()));
    if map.is_empty() && before > 0 {
        fields.remove(name);
    }
}
