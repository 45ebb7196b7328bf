//! The validation of built-in kinds that clients run into: required fields, selectors, and
//! what may not change. Not a copy of all rules of kube-apiserver.

use serde_json::{Value, json};

use crate::error::Cause;
use crate::object::{Meta, at};
use crate::registry::Resource;

/// Violations of an object that is to be created.
pub(crate) fn validate_create(resource: &Resource, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("apps", "deployments" | "statefulsets" | "daemonsets" | "replicasets") => {
            check_selector(object, &mut causes);
            check_replicas(object, &mut causes);
            check_pod_spec(object, "spec.template.spec", &mut causes);
        }
        ("batch", "jobs") => {
            check_pod_spec(object, "spec.template.spec", &mut causes);
            check_job_restart_policy(object, &mut causes);
        }
        ("", "pods") => check_pod_spec(object, "spec", &mut causes),
        ("", "services") => check_service(object, &mut causes),
        ("", "configmaps" | "secrets") => check_keys(object, &mut causes),
        ("coordination.k8s.io", "leases") => check_lease(object, &mut causes),
        ("apiextensions.k8s.io", _) => crate::crd::check(object, &mut causes),
        _ => {}
    }
    causes
}

fn check_lease(object: &Value, causes: &mut Vec<Cause>) {
    let bounds = [
        ("spec.leaseDurationSeconds", 1, "must be greater than 0"),
        ("spec.leaseTransitions", 0, "must be greater than or equal to 0"),
    ];
    for (path, least, why) in bounds {
        let value = at(object, path).filter(|it| it.as_i64().is_some_and(|it| it < least));
        causes.extend(value.map(|value| Cause::invalid(path, value, why)));
    }
}

/// Violations of a change: what creation checks, and immutable fields.
pub(crate) fn validate_update(resource: &Resource, old: &Value, new: &Value) -> Vec<Cause> {
    let mut causes = validate_create(resource, new);
    for path in immutable_fields(resource) {
        if at(old, path) != at(new, path) {
            let value = at(new, path).cloned().unwrap_or(json!({}));
            causes.push(Cause::invalid(path, &value, "field is immutable"));
        }
    }
    if matches!(resource.plural.as_str(), "configmaps" | "secrets")
        && resource.group.is_empty()
        && old["immutable"] == true
    {
        for field in ["data", "binaryData"] {
            if old.get(field) != new.get(field) {
                causes.push(Cause::forbidden(field, "field is immutable when `immutable` is set"));
            }
        }
    }
    if resource.is("apps", "statefulsets") {
        check_stateful_set_change(old, new, &mut causes);
    }
    causes
}

fn immutable_fields(resource: &Resource) -> &'static [&'static str] {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("apps", "deployments" | "daemonsets" | "replicasets") => &["spec.selector"],
        ("batch", "jobs") => &["spec.completionMode", "spec.selector", "spec.template"],
        ("", "secrets") => &["type"],
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => &["roleRef"],
        ("storage.k8s.io", "storageclasses") => &["provisioner", "parameters"],
        ("scheduling.k8s.io", _) => &["value"],
        ("apiextensions.k8s.io", _) => &["spec.group", "spec.names.plural"],
        _ => &[],
    }
}

fn check_selector(object: &Value, causes: &mut Vec<Cause>) {
    let empty = json!({});
    let Some(selector) = at(object, "spec.selector").filter(|it| !it.is_null()) else {
        causes.push(Cause::required("spec.selector", ""));
        return;
    };
    let labels = at(object, "spec.template.metadata.labels").unwrap_or(&empty);
    let wanted = selector["matchLabels"].as_object();
    let matches = wanted.into_iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    if !matches {
        let why = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", labels, why));
    }
}

fn check_replicas(object: &Value, causes: &mut Vec<Cause>) {
    let replicas = at(object, "spec.replicas");
    if let Some(replicas) = replicas.filter(|it| it.as_i64().is_some_and(|count| count < 0)) {
        let why = "must be greater than or equal to 0";
        causes.push(Cause::invalid("spec.replicas", replicas, why));
    }
}

fn check_pod_spec(object: &Value, path: &str, causes: &mut Vec<Cause>) {
    let containers = at(object, path).and_then(|it| it["containers"].as_array());
    let Some(containers) = containers.filter(|it| !it.is_empty()) else {
        causes.push(Cause::required(&format!("{path}.containers"), ""));
        return;
    };
    for (index, container) in containers.iter().enumerate() {
        for field in ["name", "image"] {
            if container[field].as_str().unwrap_or_default().is_empty() {
                causes.push(Cause::required(&format!("{path}.containers[{index}].{field}"), ""));
            }
        }
    }
}

fn check_job_restart_policy(object: &Value, causes: &mut Vec<Cause>) {
    let path = "spec.template.spec.restartPolicy";
    let policy = at(object, path).and_then(Value::as_str).unwrap_or_default();
    if policy == "Always" || policy.is_empty() {
        let message =
            format!("Required value: valid values: \"OnFailure\", \"Never\"; found {policy:?}");
        causes.push(Cause::new("FieldValueRequired", path, message));
    }
}

fn check_service(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let is_headless = spec["clusterIP"] == "None";
    let no_ports = spec["ports"].as_array().is_none_or(Vec::is_empty);
    if no_ports && spec["type"] != "ExternalName" && !is_headless {
        causes.push(Cause::required("spec.ports", ""));
    }
    let ports = spec["ports"].as_array().into_iter().flatten().enumerate();
    for (index, port) in
        ports.filter(|(_, it)| !(1..=65535).contains(&it["port"].as_i64().unwrap_or(0)))
    {
        let field = format!("spec.ports[{index}].port");
        causes.push(Cause::invalid(
            &field,
            &port["port"],
            "must be between 1 and 65535, inclusive",
        ));
    }
}

fn check_keys(object: &Value, causes: &mut Vec<Cause>) {
    let allowed = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
    for field in ["data", "binaryData"] {
        for key in object[field].as_object().into_iter().flat_map(|it| it.keys()) {
            if !key.chars().all(allowed) || key.len() > 253 {
                let why = "a valid config key must consist of alphanumeric characters, '-', '_' or \
                           '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for \
                           validation is '[-._a-zA-Z0-9]+')";
                causes.push(Cause::invalid(&format!("{field}[{key}]"), &json!(key), why));
            }
        }
    }
}

fn check_stateful_set_change(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    const MUTABLE: &[&str] = &[
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    let fixed = |object: &Value| {
        let mut spec = object["spec"].clone();
        if let Some(spec) = spec.as_object_mut() {
            spec.retain(|field, _| !MUTABLE.contains(&field.as_str()));
        }
        spec
    };
    if fixed(old) != fixed(new) {
        let why = "updates to statefulset spec for fields other than 'replicas', 'ordinals', \
                   'template', 'updateStrategy', 'revisionHistoryLimit', \
                   'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        causes.push(Cause::forbidden("spec", why));
    }
}

/// Violations in `metadata`, for all kinds.
pub(crate) fn validate_metadata(resource: &Resource, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    if let Some(why) = crate::names::reason_bad_name(resource, object.name()) {
        causes.push(Cause::invalid("metadata.name", &json!(object.name()), &why));
    }
    for (key, value) in object.labels() {
        if let Some(why) = crate::names::reason_bad_label_key(&key) {
            causes.push(Cause::invalid("metadata.labels", &json!(key), why));
        }
        if let Some(why) = crate::names::reason_bad_label_value(&value) {
            causes.push(Cause::invalid("metadata.labels", &json!(value), why));
        }
    }
    causes
}
