//! Rules of kinds that have few: fields that must be there, and what must not be together.

use serde_json::{Value, json};

use crate::error::Cause;
use crate::object::at;
use crate::registry::Resource;

/// Fields that must not be empty: group, plural, path, and what the message adds.
const REQUIRED: &[(&str, &str, &str, &str)] = &[
    ("", "persistentvolumeclaims", "spec.accessModes", "at least 1 access mode is required"),
    ("", "persistentvolumeclaims", "spec.resources.requests.storage", ""),
    ("", "persistentvolumes", "spec.accessModes", ""),
    ("", "persistentvolumes", "spec.capacity", ""),
    ("", "replicationcontrollers", "spec.selector", ""),
    ("", "replicationcontrollers", "spec.template", ""),
    ("autoscaling", "horizontalpodautoscalers", "spec.scaleTargetRef.kind", ""),
    ("autoscaling", "horizontalpodautoscalers", "spec.scaleTargetRef.name", ""),
    ("batch", "cronjobs", "spec.schedule", ""),
    ("discovery.k8s.io", "endpointslices", "addressType", ""),
    ("networking.k8s.io", "ingressclasses", "spec.controller", ""),
    ("rbac.authorization.k8s.io", "clusterrolebindings", "roleRef.name", ""),
    ("rbac.authorization.k8s.io", "rolebindings", "roleRef.name", ""),
    ("node.k8s.io", "runtimeclasses", "handler", ""),
    ("storage.k8s.io", "storageclasses", "provisioner", ""),
];

/// Keys that Secrets of a type hold.
const SECRET_KEYS: &[(&str, &[&str])] = &[
    ("kubernetes.io/dockercfg", &[".dockercfg"]),
    ("kubernetes.io/dockerconfigjson", &[".dockerconfigjson"]),
    ("kubernetes.io/ssh-auth", &["ssh-privatekey"]),
    ("kubernetes.io/tls", &["tls.crt", "tls.key"]),
];

/// The highest value of a PriorityClass that is not the system's.
const USER_PRIORITY_MAX: i64 = 1_000_000_000;

/// The access modes of volumes.
const ACCESS_MODES: &[&str] =
    &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

pub(super) fn check(resource: &Resource, object: &Value, causes: &mut Vec<Cause>) {
    for (_, _, path, more) in REQUIRED
        .iter()
        .filter(|(group, plural, _, _)| *group == resource.group && *plural == resource.plural)
    {
        if at(object, path).is_none_or(is_empty) {
            causes.push(Cause::required(&shown(path), more));
        }
    }
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "configmaps") => check_twice(object, causes),
        ("", "secrets") => check_secret(object, causes),
        ("", "limitranges") => check_limits(object, causes),
        ("", "resourcequotas") => check_quota(object, causes),
        ("", "persistentvolumes") => check_volume(object, causes),
        ("", "persistentvolumeclaims") => check_access_modes(object, causes),
        ("apps", "deployments") => check_strategy(object, causes),
        ("apps", "statefulsets") => check_management(object, causes),
        ("batch", "cronjobs") => check_schedule(object, causes),
        ("autoscaling", _) => check_autoscaler(object, causes),
        ("networking.k8s.io", "ingresses") => check_ingress(object, causes),
        ("policy", _) => check_budget(object, causes),
        ("rbac.authorization.k8s.io", "roles" | "clusterroles") => {
            check_role(resource, object, causes)
        }
        ("rbac.authorization.k8s.io", _) => check_subjects(resource, object, causes),
        ("networking.k8s.io", "networkpolicies") => check_blocks(object, causes),
        ("scheduling.k8s.io", _) => check_priority(object, causes),
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// How messages name the path.
fn shown(path: &str) -> String {
    path.replace("resources.requests.storage", "resources[storage]")
}

fn check_twice(object: &Value, causes: &mut Vec<Cause>) {
    let binary = object["binaryData"].as_object();
    for key in object["data"].as_object().into_iter().flat_map(|it| it.keys()) {
        if binary.is_some_and(|it| it.contains_key(key)) {
            let why = "duplicate of key present in binaryData";
            causes.push(Cause::invalid(&format!("data[{key}]"), &json!(key), why));
        }
    }
}

fn check_secret(object: &Value, causes: &mut Vec<Cause>) {
    let kind = object["type"].as_str().unwrap_or_default();
    let keys = SECRET_KEYS.iter().filter(|(it, _)| *it == kind).flat_map(|(_, keys)| *keys);
    for key in keys.filter(|key| object["data"].get(*key).is_none()) {
        causes.push(Cause::required(&format!("data[{key}]"), ""));
    }
    let basic = ["username", "password"].iter().any(|key| object["data"].get(*key).is_some());
    if kind == "kubernetes.io/basic-auth" && !basic {
        causes.push(Cause::required("data[username]", ""));
        causes.push(Cause::required("data[password]", ""));
    }
}

/// Amounts that differ in their number alone: what is compared here is written by hand.
fn amount(value: &Value) -> Option<f64> {
    let text = value.as_str()?;
    let scale = match text.trim_start_matches(|it: char| it.is_ascii_digit() || it == '.') {
        "" => 1.0,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        _ => return None,
    };
    let digits = text.trim_end_matches(|it: char| it.is_ascii_alphabetic());
    Some(digits.parse::<f64>().ok()? * scale)
}

fn check_limits(object: &Value, causes: &mut Vec<Cause>) {
    let limits = at(object, "spec.limits").and_then(Value::as_array).into_iter().flatten();
    for (index, limit) in limits.enumerate() {
        for (resource, least) in limit["min"].as_object().into_iter().flatten() {
            let most = &limit["max"][resource];
            if amount(least) > amount(most) && amount(most).is_some() {
                let field = format!("spec.limits[{index}].min[{resource}]");
                let why = format!(
                    "min value {} is greater than max value {}",
                    least.as_str().unwrap_or_default(),
                    most.as_str().unwrap_or_default()
                );
                causes.push(Cause::invalid(&field, least, &why));
            }
        }
    }
}

/// Things are counted in whole numbers.
fn check_quota(object: &Value, causes: &mut Vec<Cause>) {
    const COUNTED: &[&str] = &[
        "configmaps",
        "persistentvolumeclaims",
        "pods",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "services",
        "services.loadbalancers",
        "services.nodeports",
    ];
    for (resource, hard) in at(object, "spec.hard").and_then(Value::as_object).into_iter().flatten()
    {
        let is_counted = COUNTED.contains(&resource.as_str()) || resource.starts_with("count/");
        if is_counted && amount(hard).is_some_and(|it| it.fract() != 0.0) {
            let field = format!("spec.hard[{resource}]");
            causes.push(Cause::invalid(&field, hard, "must be an integer"));
        }
    }
}

/// Members of the spec of a volume that are not where its data are.
const VOLUME_FIELDS: &[&str] = &[
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
];

fn check_volume(object: &Value, causes: &mut Vec<Cause>) {
    check_access_modes(object, causes);
    let spec = object["spec"].as_object();
    let is_source = |field: &String| !VOLUME_FIELDS.contains(&field.as_str());
    if !spec.is_some_and(|it| it.keys().any(is_source)) {
        causes.push(Cause::required("spec", "must specify a volume type"));
    }
}

fn check_access_modes(object: &Value, causes: &mut Vec<Cause>) {
    let modes = at(object, "spec.accessModes").and_then(Value::as_array).into_iter().flatten();
    for mode in modes.filter(|it| !it.as_str().is_some_and(|it| ACCESS_MODES.contains(&it))) {
        causes.push(Cause::not_supported("spec.accessModes", mode, ACCESS_MODES));
    }
}

fn check_strategy(object: &Value, causes: &mut Vec<Cause>) {
    let strategy = &object["spec"]["strategy"];
    if strategy["type"] == "Recreate" && !strategy["rollingUpdate"].is_null() {
        let why = "may not be specified when strategy `type` is 'Recreate'";
        causes.push(Cause::forbidden("spec.strategy.rollingUpdate", why));
    }
}

fn check_management(object: &Value, causes: &mut Vec<Cause>) {
    let policy = &object["spec"]["podManagementPolicy"];
    if policy != "OrderedReady" && policy != "Parallel" {
        let why = "must be 'OrderedReady' or 'Parallel'";
        causes.push(Cause::invalid("spec.podManagementPolicy", policy, why));
    }
}

/// A schedule has five fields, or is one of those with a name.
fn check_schedule(object: &Value, causes: &mut Vec<Cause>) {
    let schedule = object["spec"]["schedule"].as_str().unwrap_or_default();
    let fields = schedule.split_whitespace().count();
    if !schedule.is_empty() && !schedule.starts_with('@') && fields != 5 {
        let why = format!("expected exactly 5 fields, found {fields}: [{schedule}]");
        causes.push(Cause::invalid("spec.schedule", &json!(schedule), &why));
    }
}

fn check_autoscaler(object: &Value, causes: &mut Vec<Cause>) {
    let number = |field: &str| object["spec"][field].as_i64().unwrap_or(0);
    let (least, most) = (number("minReplicas"), number("maxReplicas"));
    if least < 1 {
        let why = "must be greater than or equal to 1";
        causes.push(Cause::invalid("spec.minReplicas", &json!(least), why));
    }
    if most < 1 {
        causes.push(Cause::invalid("spec.maxReplicas", &json!(most), "must be greater than 0"));
    }
    if most < least {
        let why = "must be greater than or equal to `minReplicas`";
        causes.push(Cause::invalid("spec.maxReplicas", &json!(most), why));
    }
}

fn check_ingress(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let rules = spec["rules"].as_array().map_or(&[][..], Vec::as_slice);
    if rules.is_empty() && spec["defaultBackend"].is_null() {
        let why = "either `defaultBackend` or `rules` must be specified";
        causes.push(Cause::invalid("spec", &json!({}), why));
    }
    for (index, rule) in rules.iter().enumerate() {
        let paths = rule["http"]["paths"].as_array().into_iter().flatten().enumerate();
        for (at, path) in paths.filter(|(_, it)| it["pathType"] != "ImplementationSpecific") {
            if !path["path"].as_str().unwrap_or_default().starts_with('/') {
                let field = format!("spec.rules[{index}].http.paths[{at}].path");
                causes.push(Cause::invalid(&field, &path["path"], "must be an absolute path"));
            }
        }
    }
}

fn check_budget(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    if !spec["minAvailable"].is_null() && !spec["maxUnavailable"].is_null() {
        let why = "minAvailable and maxUnavailable cannot be both set";
        causes.push(Cause::invalid("spec", spec, why));
    }
}

fn check_role(resource: &Resource, object: &Value, causes: &mut Vec<Cause>) {
    let rules = object["rules"].as_array().into_iter().flatten();
    for (index, rule) in rules.enumerate() {
        let field = |name: &str| format!("rules[{index}].{name}");
        if is_empty(&rule["verbs"]) {
            causes.push(Cause::required(&field("verbs"), "verbs must contain at least one value"));
        }
        if !is_empty(&rule["nonResourceURLs"]) {
            if resource.namespaced {
                let why = "namespaced rules cannot apply to non-resource URLs";
                causes.push(Cause::invalid(
                    &field("nonResourceURLs"),
                    &rule["nonResourceURLs"],
                    why,
                ));
            }
            continue;
        }
        if is_empty(&rule["apiGroups"]) {
            let why = "resource rules must supply at least one api group";
            causes.push(Cause::required(&field("apiGroups"), why));
        }
        if is_empty(&rule["resources"]) {
            let why = "resource rules must supply at least one resource";
            causes.push(Cause::required(&field("resources"), why));
        }
    }
}

/// Blocks of addresses are written as such.
fn check_blocks(object: &Value, causes: &mut Vec<Cause>) {
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        let list = object["spec"][rules].as_array().into_iter().flatten();
        for (index, rule) in list.enumerate() {
            for (at, peer) in rule[peers].as_array().into_iter().flatten().enumerate() {
                let block = &peer["ipBlock"]["cidr"];
                if block.as_str().is_some_and(|it| !is_block(it)) {
                    let field = format!("spec.{rules}[{index}].{peers}[{at}].ipBlock.cidr");
                    let why = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
                    causes.push(Cause::invalid(&field, block, why));
                }
            }
        }
    }
}

fn is_block(text: &str) -> bool {
    text.split_once('/').is_some_and(|(address, bits)| {
        address.parse::<std::net::IpAddr>().is_ok() && bits.parse::<u8>().is_ok_and(|it| it <= 128)
    })
}

fn check_subjects(resource: &Resource, object: &Value, causes: &mut Vec<Cause>) {
    let kind = &object["roleRef"]["kind"];
    let choices: &[&str] =
        if resource.namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    if !kind.as_str().is_some_and(|it| choices.contains(&it)) {
        let shown = json!(kind.as_str().unwrap_or_default());
        causes.push(Cause::not_supported("roleRef.kind", &shown, choices));
    }
    let subjects = object["subjects"].as_array().into_iter().flatten();
    for (index, subject) in subjects.enumerate() {
        let is_account = subject["kind"] == "ServiceAccount";
        if is_account && !resource.namespaced && is_empty(&subject["namespace"]) {
            causes.push(Cause::required(&format!("subjects[{index}].namespace"), ""));
        }
        if is_empty(&subject["name"]) {
            causes.push(Cause::required(&format!("subjects[{index}].name"), ""));
        }
    }
}

fn check_priority(object: &Value, causes: &mut Vec<Cause>) {
    if object["value"].as_i64().unwrap_or(0) > USER_PRIORITY_MAX {
        let why =
            format!("maximum allowed value of a user defined priority is {USER_PRIORITY_MAX}");
        causes.push(Cause::forbidden("value", &why));
    }
}
