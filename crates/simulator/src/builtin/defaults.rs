//! Defaults that kube-apiserver fills into built-in kinds: those that other programs notice.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::object::{Meta, Object, as_object_mut, at, child_object, default_field, set_at};
use crate::registry::Resource;

/// What only the creation of an object decides.
pub(crate) fn prepare_create(resource: &Resource, object: &mut Value) {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "namespaces") => {
            let spec = child_object(object, "spec");
            default_field(spec, "finalizers", json!([]));
            if let Some(finalizers) = spec["finalizers"].as_array_mut()
                && !finalizers.contains(&json!("kubernetes"))
            {
                finalizers.push(json!("kubernetes"));
            }
            object["status"] = json!({"phase": "Active"});
        }
        ("", "persistentvolumeclaims" | "persistentvolumes") => {
            object["status"] = json!({"phase": "Pending"});
            if resource.plural == "persistentvolumes" {
                let now = object.meta_str("creationTimestamp").to_owned();
                object["status"]["lastPhaseTransitionTime"] = json!(now);
            }
        }
        ("", "pods") => {
            admit_pod(child_object(object, "spec"));
            let class = quality_of_service(&object["spec"]);
            object["status"] = json!({"phase": "Pending", "qosClass": class});
        }
        ("apps", "daemonsets") => {
            let annotations = object.meta_mut().entry("annotations").or_insert(json!({}));
            as_object_mut(annotations).insert(TEMPLATE_GENERATION.to_owned(), json!("1"));
        }
        ("batch", "jobs") => label_job(object),
        ("apiextensions.k8s.io", _) => {
            object["status"] = json!({"storedVersions": crate::crd::storage_versions(object)});
        }
        _ => {}
    }
    if let Some(finalizer) = protection_of(resource) {
        let mut finalizers: Vec<String> =
            object.finalizers().into_iter().map(str::to_owned).collect();
        finalizers.push(finalizer.to_owned());
        object.set_finalizers(&finalizers);
    }
}

/// The finalizer that keeps storage while it is in use.
fn protection_of(resource: &Resource) -> Option<&'static str> {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "persistentvolumeclaims") => Some("kubernetes.io/pvc-protection"),
        ("", "persistentvolumes") => Some("kubernetes.io/pv-protection"),
        _ => None,
    }
}

/// Defaults that every write gets, so that a replaced object regains them.
pub(crate) fn prepare_write(resource: &Resource, object: &mut Value) {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "namespaces") => {
            let name = object.name().to_owned();
            let labels = as_object_mut(object.meta_mut().entry("labels").or_insert(json!({})));
            labels.insert("kubernetes.io/metadata.name".to_owned(), json!(name));
        }
        ("", "secrets") => default_secret(object),
        ("", "services") => super::service::set_defaults(object),
        ("", "pods") => default_pod(child_object(object, "spec")),
        ("", "podtemplates") => default_template(object, "template"),
        ("", "endpoints") => {
            for subset in objects_in(as_object_mut(object), "subsets") {
                objects_in(subset, "ports").for_each(default_protocol);
            }
        }
        ("", "limitranges") => {
            objects_in(child_object(object, "spec"), "limits").for_each(default_limit);
        }
        ("", "persistentvolumeclaims") => {
            default_field(child_object(object, "spec"), "volumeMode", "Filesystem");
        }
        ("", "persistentvolumes") => {
            let spec = child_object(object, "spec");
            default_field(spec, "volumeMode", "Filesystem");
            default_field(spec, "persistentVolumeReclaimPolicy", "Retain");
            default_volume(spec);
        }
        ("", "replicationcontrollers") => default_replication_controller(object),
        ("apps", "deployments") => default_deployment(object),
        ("apps", "statefulsets") => default_stateful_set(object),
        ("apps", "daemonsets") => default_daemon_set(object),
        ("apps", "replicasets") => {
            default_field(child_object(object, "spec"), "replicas", 1);
            default_template(object, "spec.template");
        }
        ("batch", "jobs") => default_job(child_object(object, "spec")),
        ("batch", "cronjobs") => default_cron_job(object),
        ("admissionregistration.k8s.io", plural) => default_admission(plural, object),
        ("apiextensions.k8s.io", _) => default_crd(object),
        ("autoscaling", _) => {
            let spec = child_object(object, "spec");
            default_field(spec, "minReplicas", 1);
            let cpu = json!([{"type": "Resource", "resource": {"name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": 80}}}]);
            default_field(spec, "metrics", cpu);
        }
        ("discovery.k8s.io", _) => {
            for port in objects_in(as_object_mut(object), "ports") {
                default_field(port, "name", "");
                default_protocol(port);
            }
        }
        ("networking.k8s.io", "ingressclasses") => {
            if let Some(parameters) = child_object(object, "spec").get_mut("parameters") {
                default_field(as_object_mut(parameters), "scope", "Cluster");
            }
        }
        ("networking.k8s.io", "networkpolicies") => default_network_policy(object),
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => {
            default_binding(object);
        }
        ("scheduling.k8s.io", _) => {
            default_field(as_object_mut(object), "preemptionPolicy", "PreemptLowerPriority");
        }
        ("storage.k8s.io", "storageclasses") => {
            default_field(as_object_mut(object), "reclaimPolicy", "Delete");
            default_field(as_object_mut(object), "volumeBindingMode", "Immediate");
        }
        _ => {}
    }
}

/// The finalizer list of a namespace is the work of the server; `stringData` is write-only.
fn default_secret(object: &mut Value) {
    let object = as_object_mut(object);
    if let Some(Value::Object(plain)) = object.remove("stringData") {
        let data = as_object_mut(object.entry("data").or_insert(json!({})));
        for (key, value) in plain {
            let text = value.as_str().unwrap_or_default();
            data.insert(key, json!(BASE64.encode(text)));
        }
    }
    default_field(object, "type", "Opaque");
}

/// What a change does beside what was written.
pub(crate) fn prepare_update(resource: &Resource, object: &mut Value, old: &Value) {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "services") => {
            super::service::keep_allocated(object, old);
            super::service::drop_useless(object, old);
        }
        ("apps", "daemonsets") => {
            let count = at(old, "metadata.annotations")
                .and_then(|it| it[TEMPLATE_GENERATION].as_str()?.parse::<i64>().ok())
                .unwrap_or(0);
            let changed = at(old, "spec.template") != at(object, "spec.template");
            let count = if changed { count + 1 } else { count };
            let annotations = object.meta_mut().entry("annotations").or_insert(json!({}));
            as_object_mut(annotations)
                .insert(TEMPLATE_GENERATION.to_owned(), json!(count.to_string()));
        }
        _ => {}
    }
}

/// Counts the templates of a DaemonSet.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// How badly the containers of a Pod want what they ask for.
fn quality_of_service(spec: &Value) -> &'static str {
    let lists = ["containers", "initContainers"].map(|it| spec[it].as_array());
    let containers: Vec<&Value> = lists.into_iter().flatten().flatten().collect();
    let amounts = |it: &Value, kind: &str, of: &str| it["resources"][kind].get(of).cloned();
    let asks = |it: &&&Value| {
        ["limits", "requests"]
            .iter()
            .any(|kind| ["cpu", "memory"].iter().any(|of| amounts(it, kind, of).is_some()))
    };
    if !containers.iter().any(|it| asks(&it)) {
        return "BestEffort";
    }
    let is_sure = |it: &&Value| {
        ["cpu", "memory"].iter().all(|of| {
            let limit = amounts(it, "limits", of);
            limit.is_some() && amounts(it, "requests", of) == limit
        })
    };
    if containers.iter().all(is_sure) { "Guaranteed" } else { "Burstable" }
}

fn default_deployment(object: &mut Value) {
    let spec = child_object(object, "spec");
    default_field(spec, "replicas", 1);
    default_field(spec, "revisionHistoryLimit", 10);
    default_field(spec, "progressDeadlineSeconds", 600);
    default_field(spec, "strategy", json!({}));
    let strategy = as_object_mut(&mut spec["strategy"]);
    default_field(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        default_field(strategy, "rollingUpdate", json!({}));
        let rolling = as_object_mut(&mut strategy["rollingUpdate"]);
        default_field(rolling, "maxUnavailable", "25%");
        default_field(rolling, "maxSurge", "25%");
    }
    default_template(object, "spec.template");
}

fn default_replication_controller(object: &mut Value) {
    let labels = at(object, "spec.template.metadata.labels").cloned();
    let spec = child_object(object, "spec");
    default_field(spec, "replicas", 1);
    if let Some(labels) = labels {
        default_field(spec, "selector", labels.clone());
        default_field(object.meta_mut(), "labels", labels);
    }
    default_template(object, "spec.template");
}

fn default_pod(spec: &mut Object) {
    default_pod_spec(spec);
    default_field(spec, "enableServiceLinks", true);
    for list in ["containers", "initContainers"] {
        for container in objects_in(spec, list) {
            request_limits(container);
        }
    }
}

/// Who limits something requests as much, unless it says otherwise.
fn request_limits(container: &mut Object) {
    let Some(resources) = container.get_mut("resources").map(as_object_mut) else { return };
    let limits = resources.get("limits").and_then(Value::as_object).cloned().unwrap_or_default();
    if limits.is_empty() {
        return;
    }
    default_field(resources, "requests", json!({}));
    for (name, limit) in limits {
        default_field(as_object_mut(&mut resources["requests"]), &name, limit);
    }
}

/// What admission plugins add to a Pod.
fn admit_pod(spec: &mut Object) {
    default_field(spec, "preemptionPolicy", "PreemptLowerPriority");
    default_field(spec, "priority", 0);
    default_field(spec, "serviceAccountName", "default");
    let account = spec["serviceAccountName"].clone();
    default_field(spec, "serviceAccount", account);
    let tolerated = ["not-ready", "unreachable"].map(|taint| {
        json!({"effect": "NoExecute", "key": format!("node.kubernetes.io/{taint}"),
               "operator": "Exists", "tolerationSeconds": 300})
    });
    default_field(spec, "tolerations", json!(tolerated));
}

/// Limits of containers are also what they request by default.
fn default_limit(limit: &mut Object) {
    if limit.get("type").and_then(Value::as_str) != Some("Container") {
        return;
    }
    if let Some(default) = limit.get("default").cloned() {
        default_field(limit, "defaultRequest", default);
    }
}

fn default_protocol(port: &mut Object) {
    default_field(port, "protocol", "TCP");
}

fn default_stateful_set(object: &mut Value) {
    let spec = child_object(object, "spec");
    default_field(spec, "replicas", 1);
    default_field(spec, "revisionHistoryLimit", 10);
    default_field(spec, "podManagementPolicy", "OrderedReady");
    let retention = json!({"whenDeleted": "Retain", "whenScaled": "Retain"});
    default_field(spec, "persistentVolumeClaimRetentionPolicy", retention);
    let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}});
    default_field(spec, "updateStrategy", strategy);
    for claim in objects_in(spec, "volumeClaimTemplates") {
        default_field(claim, "apiVersion", "v1");
        default_field(claim, "kind", "PersistentVolumeClaim");
        default_field(claim, "status", json!({"phase": "Pending"}));
        default_field(claim, "spec", json!({}));
        default_field(as_object_mut(&mut claim["spec"]), "volumeMode", "Filesystem");
    }
    default_template(object, "spec.template");
}

fn default_daemon_set(object: &mut Value) {
    let spec = child_object(object, "spec");
    default_field(spec, "revisionHistoryLimit", 10);
    default_field(spec, "updateStrategy", json!({}));
    let strategy = as_object_mut(&mut spec["updateStrategy"]);
    default_field(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        default_field(strategy, "rollingUpdate", json!({}));
        let rolling = as_object_mut(&mut strategy["rollingUpdate"]);
        default_field(rolling, "maxUnavailable", 1);
        default_field(rolling, "maxSurge", 0);
    }
    default_template(object, "spec.template");
    let annotations = object.meta_mut().entry("annotations").or_insert(json!({}));
    default_field(as_object_mut(annotations), TEMPLATE_GENERATION, "0");
}

fn default_job(spec: &mut Object) {
    default_field(spec, "backoffLimit", 6);
    if !spec.contains_key("completions") && !spec.contains_key("parallelism") {
        spec.insert("completions".into(), json!(1));
    }
    default_field(spec, "parallelism", 1);
    default_field(spec, "completionMode", "NonIndexed");
    default_field(spec, "suspend", false);
    default_field(spec, "manualSelector", false);
    default_field(spec, "podReplacementPolicy", "TerminatingOrFailed");
    if let Some(template) = spec.get_mut("template") {
        default_template(template, "");
    }
}

/// A Job selects its pods by its own uid.
fn label_job(object: &mut Value) {
    let manual = at(object, "spec.manualSelector") == Some(&Value::Bool(true));
    if manual || at(object, "spec.selector").is_some_and(|it| !it.is_null()) {
        return;
    }
    let uid = object.meta_str("uid").to_owned();
    let name = object.name().to_owned();
    let selector = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
    set_at(object, "spec.selector", selector);
    let labels = [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("job-name", &name),
    ];
    let template = as_object_mut(&mut child_object(object, "spec")["template"]);
    let metadata = as_object_mut(template.entry("metadata").or_insert(json!({})));
    let template_labels = as_object_mut(metadata.entry("labels").or_insert(json!({})));
    template_labels.extend(labels.map(|(key, value)| (key.to_owned(), json!(value))));
    let template_labels = Value::Object(template_labels.clone());
    default_field(object.meta_mut(), "labels", template_labels);
}

fn default_cron_job(object: &mut Value) {
    let spec = child_object(object, "spec");
    default_field(spec, "concurrencyPolicy", "Allow");
    default_field(spec, "suspend", false);
    default_field(spec, "successfulJobsHistoryLimit", 3);
    default_field(spec, "failedJobsHistoryLimit", 1);
    default_template(object, "spec.jobTemplate.spec.template");
}

fn default_template(object: &mut Value, path: &str) {
    let template = path.split('.').filter(|step| !step.is_empty());
    let mut place = Some(object);
    for step in template {
        place = place.and_then(|it| it.get_mut(step));
    }
    let Some(template) = place.filter(|it| it.is_object()) else { return };
    default_field(as_object_mut(template), "metadata", json!({}));
    default_pod_spec(child_object(template, "spec"));
}

fn default_pod_spec(spec: &mut Object) {
    default_field(spec, "restartPolicy", "Always");
    default_field(spec, "terminationGracePeriodSeconds", 30);
    default_field(spec, "dnsPolicy", "ClusterFirst");
    default_field(spec, "securityContext", json!({}));
    default_field(spec, "schedulerName", "default-scheduler");
    if let Some(account) = spec.get("serviceAccountName").cloned() {
        default_field(spec, "serviceAccount", account);
    }
    for list in ["containers", "initContainers"] {
        objects_in(spec, list).for_each(default_container);
    }
    objects_in(spec, "volumes").for_each(default_volume);
}

fn default_volume(volume: &mut Object) {
    for source in ["configMap", "secret", "projected", "downwardAPI"] {
        if let Some(source) = volume.get_mut(source) {
            default_field(as_object_mut(source), "defaultMode", 420);
        }
    }
    if let Some(path) = volume.get_mut("hostPath") {
        default_field(as_object_mut(path), "type", "");
    }
    if let Some(items) = volume.get_mut("downwardAPI") {
        objects_in(as_object_mut(items), "items").for_each(default_field_reference);
    }
    if let Some(projected) = volume.get_mut("projected") {
        for source in objects_in(as_object_mut(projected), "sources") {
            if let Some(token) = source.get_mut("serviceAccountToken") {
                default_field(as_object_mut(token), "expirationSeconds", 3600);
            }
            if let Some(items) = source.get_mut("downwardAPI") {
                objects_in(as_object_mut(items), "items").for_each(default_field_reference);
            }
        }
    }
}

/// A field of the pod is named in an API version.
fn default_field_reference(holder: &mut Object) {
    if let Some(reference) = holder.get_mut("fieldRef") {
        default_field(as_object_mut(reference), "apiVersion", "v1");
    }
}

fn default_http_get(holder: &mut Object) {
    if let Some(get) = holder.get_mut("httpGet") {
        default_field(as_object_mut(get), "path", "/");
        default_field(as_object_mut(get), "scheme", "HTTP");
    }
}

fn default_container(container: &mut Object) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let name = image.rsplit('/').next().unwrap_or_default();
    let is_latest = !name.contains([':', '@']) || name.ends_with(":latest");
    let pull = if is_latest { "Always" } else { "IfNotPresent" };
    default_field(container, "imagePullPolicy", pull);
    default_field(container, "terminationMessagePath", "/dev/termination-log");
    default_field(container, "terminationMessagePolicy", "File");
    objects_in(container, "ports").for_each(default_protocol);
    for variable in objects_in(container, "env") {
        if let Some(source) = variable.get_mut("valueFrom") {
            default_field_reference(as_object_mut(source));
        }
    }
    for hook in ["postStart", "preStop"] {
        if let Some(hook) = container.get_mut("lifecycle").and_then(|it| it.get_mut(hook)) {
            default_http_get(as_object_mut(hook));
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(probe) {
            default_probe(as_object_mut(probe));
        }
    }
}

fn default_probe(probe: &mut Object) {
    for (field, value) in [
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ] {
        default_field(probe, field, value);
    }
    default_http_get(probe);
}

fn default_admission(plural: &str, object: &mut Value) {
    for webhook in objects_in(as_object_mut(object), "webhooks") {
        default_field(webhook, "failurePolicy", "Fail");
        default_field(webhook, "timeoutSeconds", 10);
        if plural == "mutatingwebhookconfigurations" {
            default_field(webhook, "reinvocationPolicy", "Never");
        }
        let service = webhook.get_mut("clientConfig").and_then(|it| it.get_mut("service"));
        if let Some(service) = service {
            default_field(as_object_mut(service), "port", 443);
        }
        default_match(webhook, "rules");
    }
    if plural == "validatingadmissionpolicies" {
        let spec = child_object(object, "spec");
        default_field(spec, "failurePolicy", "Fail");
        if let Some(constraints) = spec.get_mut("matchConstraints") {
            default_match(as_object_mut(constraints), "resourceRules");
        }
    }
}

/// What admission rules match when they do not say.
fn default_match(holder: &mut Object, rules: &str) {
    default_field(holder, "matchPolicy", "Equivalent");
    default_field(holder, "namespaceSelector", json!({}));
    default_field(holder, "objectSelector", json!({}));
    for rule in objects_in(holder, rules) {
        default_field(rule, "scope", "*");
    }
}

fn default_crd(object: &mut Value) {
    let spec = child_object(object, "spec");
    default_field(spec, "conversion", json!({"strategy": "None"}));
    default_field(spec, "names", json!({}));
    let names = as_object_mut(&mut spec["names"]);
    let kind = names.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    default_field(names, "singular", kind.to_lowercase());
    default_field(names, "listKind", format!("{kind}List"));
}

fn default_network_policy(object: &mut Value) {
    let spec = child_object(object, "spec");
    for list in ["ingress", "egress"] {
        for rule in objects_in(spec, list) {
            objects_in(rule, "ports").for_each(default_protocol);
        }
    }
    let mut types = vec!["Ingress"];
    if spec.get("egress").and_then(Value::as_array).is_some_and(|it| !it.is_empty()) {
        types.push("Egress");
    }
    default_field(spec, "policyTypes", types);
}

fn default_binding(object: &mut Value) {
    let group = "rbac.authorization.k8s.io";
    default_field(child_object(object, "roleRef"), "apiGroup", group);
    for subject in objects_in(as_object_mut(object), "subjects") {
        let is_account = subject.get("kind").and_then(Value::as_str) == Some("ServiceAccount");
        if !is_account {
            default_field(subject, "apiGroup", group);
        }
    }
}

/// The objects of a list field; none when it is missing.
fn objects_in<'a>(parent: &'a mut Object, list: &str) -> impl Iterator<Item = &'a mut Object> {
    let items = parent.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
    items.filter_map(Value::as_object_mut)
}
