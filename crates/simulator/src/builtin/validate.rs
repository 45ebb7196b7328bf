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
            check_always_restarts(object, &mut causes);
        }
        ("batch", "jobs") => check_job(object, "spec", &mut causes),
        ("batch", "cronjobs") => check_job(object, "spec.jobTemplate.spec", &mut causes),
        ("", "replicationcontrollers") => {
            check_replicas(object, &mut causes);
            if at(object, "spec.template").is_some() {
                check_pod_spec(object, "spec.template.spec", &mut causes);
            }
        }
        ("", "pods") => check_pod_spec(object, "spec", &mut causes),
        ("", "services") => super::service::check(object, &mut causes),
        ("", "configmaps" | "secrets") => check_keys(object, &mut causes),
        ("coordination.k8s.io", "leases") => check_lease(object, &mut causes),
        ("apiextensions.k8s.io", _) => crate::crd::check(object, &mut causes),
        _ => {}
    }
    super::rules::check(resource, object, &mut causes);
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
    if resource.group == "scheduling.k8s.io" && old["value"] != new["value"] {
        causes.retain(|it| it.field != "value");
        causes.push(Cause::forbidden("value", "may not be changed in an update."));
    }
    if resource.is("", "persistentvolumeclaims") {
        check_claim_change(old, new, &mut causes);
    }
    if resource.is("", "pods") {
        check_pod_change(old, new, &mut causes);
    }
    causes
}

fn immutable_fields(resource: &Resource) -> &'static [&'static str] {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("apps", "deployments" | "daemonsets" | "replicasets") => &["spec.selector"],
        ("batch", "jobs") => &["spec.completionMode", "spec.selector", "spec.template"],
        ("", "secrets") => &["type"],
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => &["roleRef"],
        ("storage.k8s.io", "storageclasses") => {
            &["provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"]
        }
        ("discovery.k8s.io", _) => &["addressType"],
        ("node.k8s.io", _) => &["handler"],
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
    let spec = at(object, path).cloned().unwrap_or_default();
    let volumes = spec["volumes"].as_array().into_iter().flatten();
    let claims = object["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten();
    let claims = claims.map(|it| &it["metadata"]["name"]);
    let volumes: Vec<&Value> = volumes.map(|it| &it["name"]).chain(claims).collect();
    for (index, container) in containers.iter().enumerate() {
        let name = &container["name"];
        if containers[..index].iter().any(|it| it["name"] == *name) {
            causes.push(Cause::duplicate(&format!("{path}.containers[{index}].name"), name));
        }
        let mounts = container["volumeMounts"].as_array().into_iter().flatten();
        for (at, mount) in mounts.enumerate().filter(|(_, it)| !volumes.contains(&&it["name"])) {
            let field = format!("{path}.containers[{index}].volumeMounts[{at}].name");
            let message = format!("Not found: {}", mount["name"]);
            causes.push(Cause::new("FieldValueNotFound", &field, message));
        }
        for field in ["name", "image"] {
            if container[field].as_str().unwrap_or_default().is_empty() {
                causes.push(Cause::required(&format!("{path}.containers[{index}].{field}"), ""));
            }
        }
    }
}

/// Pods that a controller keeps running are restarted always.
fn check_always_restarts(object: &Value, causes: &mut Vec<Cause>) {
    let path = "spec.template.spec.restartPolicy";
    let policy = at(object, path).filter(|it| **it != "Always");
    causes.extend(policy.map(|it| Cause::not_supported(path, it, &["Always"])));
}

fn check_job(object: &Value, path: &str, causes: &mut Vec<Cause>) {
    check_pod_spec(object, &format!("{path}.template.spec"), causes);
    for field in ["parallelism", "completions", "backoffLimit", "activeDeadlineSeconds"] {
        let path = format!("{path}.{field}");
        let value = at(object, &path).filter(|it| it.as_i64().is_some_and(|it| it < 0));
        let why = "must be greater than or equal to 0";
        causes.extend(value.map(|value| Cause::invalid(&path, value, why)));
    }
    let path = format!("{path}.template.spec.restartPolicy");
    let policy = at(object, &path).and_then(Value::as_str).unwrap_or_default();
    if policy == "Always" || policy.is_empty() {
        causes.push(Cause::required(&path, "valid values: \"OnFailure\", \"Never\""));
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

/// Of a claim nothing but its size can be changed, and that only when it has a volume.
fn check_claim_change(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    let is_bound = old["status"]["phase"] == "Bound";
    let fixed = |object: &Value| {
        let mut spec = object["spec"].clone();
        if let Some(spec) = spec.as_object_mut().filter(|_| is_bound) {
            spec.remove("resources");
            spec.remove("volumeAttributesClassName");
        }
        spec
    };
    if fixed(old) != fixed(new) {
        let why = "spec is immutable after creation except resources.requests and \
                   volumeAttributesClassName for bound claims";
        causes.push(Cause::forbidden("spec", why));
    }
}

/// Of a Pod little more than the images can be changed.
fn check_pod_change(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    const MUTABLE: &[&str] =
        &["activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations"];
    let fixed = |object: &Value| {
        let mut spec = object["spec"].clone();
        if let Some(spec) = spec.as_object_mut() {
            spec.retain(|field, _| !MUTABLE.contains(&field.as_str()));
            for list in ["containers", "initContainers"] {
                let items = spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
                items.for_each(|it| it["image"] = Value::Null);
            }
        }
        spec
    };
    let count = |object: &Value, list: &str| object["spec"][list].as_array().map_or(0, Vec::len);
    for list in ["containers", "initContainers"] {
        if count(old, list) != count(new, list) {
            let why = "pod updates may not add or remove containers";
            causes.push(Cause::forbidden(&format!("spec.{list}"), why));
            return;
        }
    }
    if fixed(old) != fixed(new) {
        let why = "pod updates may not change fields other than `spec.containers[*].image`, \
                   `spec.initContainers[*].image`, `spec.activeDeadlineSeconds`, \
                   `spec.tolerations` (only additions to existing tolerations), \
                   `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
                   previously negative)";
        causes.push(Cause::forbidden("spec", why));
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
pub(crate) fn validate_metadata(
    resource: &Resource,
    old: Option<&Value>,
    object: &Value,
) -> Vec<Cause> {
    let mut causes = Vec::new();
    match old {
        None => check_name(resource, object, &mut causes),
        Some(old) if old.meta_str("uid") != object.meta_str("uid") => {
            let uid = json!(object.meta_str("uid"));
            causes.push(Cause::invalid("metadata.uid", &uid, "field is immutable"));
        }
        Some(_) => {}
    }
    for (key, value) in object.labels() {
        if let Some(why) = crate::names::reason_bad_label_key(&key) {
            causes.push(Cause::invalid("metadata.labels", &json!(key), why));
        }
        if let Some(why) = crate::names::reason_bad_label_value(&value) {
            causes.push(Cause::invalid("metadata.labels", &json!(value), why));
        }
    }
    let annotations = object.meta().and_then(|it| it.get("annotations")).and_then(Value::as_object);
    for key in annotations.into_iter().flat_map(|it| it.keys()) {
        if let Some(why) = crate::names::reason_bad_label_key(&key.to_lowercase()) {
            causes.push(Cause::invalid("metadata.annotations", &json!(key), why));
        }
    }
    for owner in object.owner_references() {
        check_owner(owner, &mut causes);
    }
    check_finalizers(resource, old, object, &mut causes);
    causes
}

fn check_name(resource: &Resource, object: &Value, causes: &mut Vec<Cause>) {
    if object.name().is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else if let Some(why) = crate::names::reason_bad_name(resource, object.name()) {
        causes.push(Cause::invalid("metadata.name", &json!(object.name()), &why));
    }
}

/// The fields of all owners are named alike, without an index.
fn check_owner(owner: &Value, causes: &mut Vec<Cause>) {
    let rules = [
        ("apiVersion", "version must not be empty"),
        ("kind", "must not be empty"),
        ("name", "must not be empty"),
        ("uid", "must not be empty"),
    ];
    for (field, why) in rules {
        let value = owner[field].as_str().unwrap_or_default();
        if value.is_empty() {
            let field = format!("metadata.ownerReferences.{field}");
            causes.push(Cause::invalid(&field, &json!(value), why));
        }
    }
}

/// Kinds whose validation goes beyond that of all metadata.
fn names_standard_finalizers(resource: &Resource) -> bool {
    const OTHERS: &[&str] = &[
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "coordination.k8s.io",
        "node.k8s.io",
    ];
    !resource.is_custom() && !OTHERS.contains(&resource.group.as_str())
}

fn check_finalizers(
    resource: &Resource,
    old: Option<&Value>,
    object: &Value,
    causes: &mut Vec<Cause>,
) {
    const STANDARD: &[&str] = &["kubernetes", "orphan", "foregroundDeletion"];
    for (index, finalizer) in object.finalizers().into_iter().enumerate() {
        let qualified = crate::names::reason_bad_label_key(finalizer);
        if let Some(why) = qualified.filter(|_| old.is_none()) {
            causes.push(Cause::invalid("metadata.finalizers", &json!(finalizer), why));
        }
        let is_plain = !finalizer.contains('/') && !STANDARD.contains(&finalizer);
        if is_plain && names_standard_finalizers(resource) {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            let field = format!("metadata.finalizers[{index}]");
            causes.push(Cause::invalid(&field, &json!(finalizer), why));
        }
    }
}
