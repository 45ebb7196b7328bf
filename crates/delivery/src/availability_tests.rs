//! One table for each kind: a status, and what it means.

use serde_json::{Value, json};

use super::*;

fn object(api_version: &str, kind: &str, spec: &Value, status: &Value) -> Value {
    json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": { "name": "x", "generation": 3 },
        "spec": spec,
        "status": status,
    })
}

#[track_caller]
fn waits(object: &Value, part_of_message: &str) {
    match availability(object) {
        Availability::NotYet(message) => {
            assert!(message.contains(part_of_message), "{message}");
        }
        other @ (Availability::Available | Availability::NotTrackable) => panic!("{other:?}"),
    }
}

#[track_caller]
fn is_available(object: &Value) {
    assert_eq!(availability(object), Availability::Available);
}

#[test]
fn deployment() {
    let deployment = |spec: Value, status: Value| object("apps/v1", "Deployment", &spec, &status);
    is_available(&deployment(
        json!({ "replicas": 2 }),
        json!({ "observedGeneration": 3, "updatedReplicas": 2, "availableReplicas": 2 }),
    ));
    is_available(&deployment(json!({ "replicas": 0 }), json!({ "observedGeneration": 3 })));
    waits(&deployment(json!({}), json!({ "observedGeneration": 3 })), "0 of 1 replicas");
    waits(
        &deployment(
            json!({ "replicas": 2 }),
            json!({ "observedGeneration": 2, "updatedReplicas": 2, "availableReplicas": 2 }),
        ),
        "generation 2",
    );
    waits(
        &deployment(
            json!({ "replicas": 2 }),
            json!({ "observedGeneration": 3, "updatedReplicas": 1, "availableReplicas": 2 }),
        ),
        "1 are updated",
    );
    waits(
        &deployment(
            json!({ "replicas": 2 }),
            json!({
                "observedGeneration": 3, "updatedReplicas": 2, "availableReplicas": 2,
                "unavailableReplicas": 1,
            }),
        ),
        "1 are unavailable",
    );
}

#[test]
fn stateful_set() {
    let set = |status: Value| object("apps/v1", "StatefulSet", &json!({ "replicas": 2 }), &status);
    let full = json!({
        "observedGeneration": 3, "availableReplicas": 2, "currentReplicas": 2,
        "updatedReplicas": 2, "currentRevision": "a", "updateRevision": "a",
    });
    is_available(&set(full.clone()));
    for (field, value, message) in [
        ("observedGeneration", json!(2), "generation 2"),
        ("availableReplicas", json!(1), "1 of 2"),
        ("currentReplicas", json!(1), "1 are current"),
        ("updatedReplicas", json!(1), "1 are updated"),
        ("updateRevision", json!("b"), "update revision"),
    ] {
        let mut status = full.clone();
        status[field] = value;
        waits(&set(status), message);
    }
}

#[test]
fn daemon_set() {
    let set = |status: Value| object("apps/v1", "DaemonSet", &json!({}), &status);
    let full = json!({
        "observedGeneration": 3, "desiredNumberScheduled": 3, "numberAvailable": 3,
        "currentNumberScheduled": 3, "updatedNumberScheduled": 3,
    });
    is_available(&set(full.clone()));
    for (field, value, message) in [
        ("observedGeneration", 2, "generation 2"),
        ("numberAvailable", 2, "2 of 3 pods"),
        ("updatedNumberScheduled", 1, "1 of 3 are updated"),
    ] {
        let mut status = full.clone();
        status[field] = json!(value);
        waits(&set(status), message);
    }
}

#[test]
fn service() {
    let service = |spec: Value, status: Value| object("v1", "Service", &spec, &status);
    is_available(&service(json!({ "type": "ClusterIP", "clusterIP": "10.0.0.1" }), json!({})));
    is_available(&service(json!({ "type": "NodePort", "clusterIP": "10.0.0.1" }), json!({})));
    is_available(&service(json!({ "clusterIP": "None" }), json!({})));
    waits(&service(json!({ "type": "ClusterIP" }), json!({})), "no cluster IP");
    waits(
        &service(
            json!({ "type": "LoadBalancer", "clusterIP": "10.0.0.1" }),
            json!({ "loadBalancer": {} }),
        ),
        "no address",
    );
    for ingress in [json!({ "ip": "192.0.2.1" }), json!({ "hostname": "lb.example.com" })] {
        is_available(&service(
            json!({ "type": "LoadBalancer" }),
            json!({ "loadBalancer": { "ingress": [ingress] } }),
        ));
    }
    assert_eq!(
        availability(&service(json!({ "type": "ExternalName" }), json!({}))),
        Availability::NotTrackable
    );
}

#[test]
fn custom_resource_definition() {
    let crd = |conditions: Value| {
        object(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            &json!({}),
            &json!({ "conditions": conditions }),
        )
    };
    let condition = |kind: &str, status: &str| json!({ "type": kind, "status": status });
    is_available(&crd(json!([
        condition("NamesAccepted", "True"),
        condition("Established", "True")
    ])));
    waits(&crd(json!([])), "NamesAccepted");
    waits(&crd(json!([condition("NamesAccepted", "True")])), "Established");
    waits(
        &crd(json!([condition("NamesAccepted", "False"), condition("Established", "True")])),
        "NamesAccepted",
    );
}

#[test]
fn pod_disruption_budget() {
    let budget = |observed: i64| {
        object(
            "policy/v1",
            "PodDisruptionBudget",
            &json!({}),
            &json!({ "conditions": [{ "type": "DisruptionAllowed", "observedGeneration": observed }] }),
        )
    };
    is_available(&budget(3));
    waits(&budget(2), "conditions");
    waits(&object("policy/v1", "PodDisruptionBudget", &json!({}), &json!({})), "conditions");
}

#[test]
fn kinds_that_are_available_at_once() {
    for (api_version, kind) in [
        ("v1", "Namespace"),
        ("v1", "Secret"),
        ("v1", "ConfigMap"),
        ("v1", "ServiceAccount"),
        ("v1", "LimitRange"),
        ("v1", "ResourceQuota"),
        ("rbac.authorization.k8s.io/v1", "Role"),
        ("rbac.authorization.k8s.io/v1", "RoleBinding"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole"),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
        ("networking.k8s.io/v1", "NetworkPolicy"),
        ("networking.k8s.io/v1", "IngressClass"),
        ("storage.k8s.io/v1", "CSIDriver"),
        ("storage.k8s.io/v1", "CSINode"),
        ("storage.k8s.io/v1", "StorageClass"),
        ("storage.k8s.io/v1", "CSIStorageCapacity"),
        ("apps/v1", "ControllerRevision"),
        ("scheduling.k8s.io/v1", "PriorityClass"),
    ] {
        let object = object(api_version, kind, &json!({}), &json!({}));
        is_available(&object);
        assert!(!changes_availability(&object), "{kind}");
    }
}

#[test]
fn kinds_that_nobody_can_track() {
    for (api_version, kind) in [
        ("batch/v1", "Job"),
        ("v1", "PersistentVolumeClaim"),
        ("example.com/v1", "Widget"),
        ("example.com/v1", "Deployment"),
        ("example.com/v1", "ConfigMap"),
    ] {
        let object = object(api_version, kind, &json!({}), &json!({}));
        assert_eq!(availability(&object), Availability::NotTrackable, "{kind}");
        assert!(!changes_availability(&object), "{kind}");
    }
}

#[test]
fn only_what_can_change_is_watched() {
    for (api_version, kind, spec) in [
        ("apps/v1", "Deployment", json!({})),
        ("apps/v1", "StatefulSet", json!({})),
        ("apps/v1", "DaemonSet", json!({})),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition", json!({})),
        ("policy/v1", "PodDisruptionBudget", json!({})),
        ("v1", "Service", json!({ "type": "LoadBalancer" })),
    ] {
        assert!(changes_availability(&object(api_version, kind, &spec, &json!({}))), "{kind}");
    }
    let plain = object("v1", "Service", &json!({ "type": "ClusterIP" }), &json!({}));
    assert!(!changes_availability(&plain));
}
