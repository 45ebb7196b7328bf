//! What of an object is left behind.

use serde_json::{Value, json};

use crate::selection::sanitise;

fn sanitised(mut object: Value) -> Value {
    sanitise(&mut object);
    object
}

#[test]
fn what_the_cluster_gave_is_dropped_what_somebody_wrote_stays() {
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "labels": {"app": "web"},
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
                "deployment.kubernetes.io/revision": "3",
                "example.com/owner": "team-a",
            },
            "finalizers": ["example.com/keep"],
            "creationTimestamp": "2026-03-01T00:00:00Z",
            "deletionTimestamp": "2026-03-02T00:00:00Z",
            "deletionGracePeriodSeconds": 30,
            "generation": 4,
            "managedFields": [{"manager": "kubectl"}],
            "ownerReferences": [{"kind": "App", "uid": "1"}],
            "resourceVersion": "77",
            "selfLink": "/apis/apps/v1",
            "uid": "5",
        },
        "spec": {"replicas": 2, "status": "part of the spec"},
        "status": {"readyReplicas": 2},
    });
    let expected = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "labels": {"app": "web"},
            "annotations": {"example.com/owner": "team-a"},
            "finalizers": ["example.com/keep"],
        },
        "spec": {"replicas": 2, "status": "part of the spec"},
    });
    assert_eq!(sanitised(deployment), expected);
}

#[test]
fn annotations_go_when_nothing_is_left_in_them() {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
        "name": "a",
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
    }});
    let expected = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    assert_eq!(sanitised(object), expected);
}

fn service(spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec})
}

#[test]
fn a_service_gets_its_addresses_and_ports_anew() {
    let cases = [
        (
            "addresses",
            json!({"type": "ClusterIP", "clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"]}),
            json!({"type": "ClusterIP"}),
        ),
        (
            "ports on nodes, of every port",
            json!({"type": "NodePort", "ports": [
                {"name": "http", "port": 80, "nodePort": 30080},
                {"name": "https", "port": 443, "nodePort": 30443},
            ]}),
            json!({"type": "NodePort", "ports": [
                {"name": "http", "port": 80},
                {"name": "https", "port": 443},
            ]}),
        ),
        (
            "the port of the health check",
            json!({"type": "LoadBalancer", "healthCheckNodePort": 31000}),
            json!({"type": "LoadBalancer"}),
        ),
        (
            "but no address is a wish, not an address",
            json!({"clusterIP": "None", "clusterIPs": ["None"], "ports": [{"port": 80}]}),
            json!({"clusterIP": "None", "clusterIPs": ["None"], "ports": [{"port": 80}]}),
        ),
        (
            "and so is an address outside",
            json!({"type": "ExternalName", "externalName": "db.example.com"}),
            json!({"type": "ExternalName", "externalName": "db.example.com"}),
        ),
    ];
    for (what, before, after) in cases {
        assert_eq!(sanitised(service(before)), service(after), "{what}");
    }
}

#[test]
fn a_service_of_another_group_is_not_touched() {
    let theirs = json!({
        "apiVersion": "serving.example.com/v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"clusterIP": "10.0.0.7"},
    });
    assert_eq!(sanitised(theirs.clone()), theirs);
}

fn job(labels: Value, spec: Value) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "once", "labels": labels},
        "spec": spec,
    })
}

#[test]
fn what_the_api_server_generated_from_the_uid_of_a_job_is_dropped_in_both_spellings() {
    let uids = json!({"controller-uid": "8", "batch.kubernetes.io/controller-uid": "8"});
    let pod_labels = json!({
        "app": "once",
        "batch.kubernetes.io/job-name": "once",
        "batch.kubernetes.io/controller-uid": "8",
        "controller-uid": "8",
    });
    let before = job(
        json!({"team": "a", "controller-uid": "8", "batch.kubernetes.io/controller-uid": "8"}),
        json!({
            "manualSelector": false,
            "selector": {"matchLabels": uids},
            "template": {"metadata": {"creationTimestamp": null, "labels": pod_labels}},
        }),
    );
    let after = job(
        json!({"team": "a"}),
        json!({
            "manualSelector": false,
            "template": {"metadata": {
                "labels": {"app": "once", "batch.kubernetes.io/job-name": "once"},
            }},
        }),
    );
    assert_eq!(sanitised(before), after);
}

#[test]
fn what_somebody_added_to_a_generated_selector_stays() {
    let before = job(
        json!({"team": "a"}),
        json!({"selector": {"matchLabels": {"controller-uid": "8", "app": "once"}}}),
    );
    let after = job(json!({"team": "a"}), json!({"selector": {"matchLabels": {"app": "once"}}}));
    assert_eq!(sanitised(before), after);
}

#[test]
fn a_selector_that_somebody_wrote_stays() {
    let manual = job(
        json!({"controller-uid": "mine"}),
        json!({
            "manualSelector": true,
            "selector": {"matchLabels": {"controller-uid": "mine"}},
            "template": {"metadata": {"labels": {"controller-uid": "mine"}}},
        }),
    );
    assert_eq!(sanitised(manual.clone()), manual);
}

#[test]
fn odd_shapes_are_left_alone() {
    let odd = [
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": null, "spec": {"ports": "x"}}),
        json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": []}}),
        json!({"apiVersion": 1, "kind": 2, "metadata": {"annotations": {}}}),
    ];
    for object in odd {
        assert_eq!(sanitised(object.clone()), object);
    }
}

#[test]
fn doing_it_twice_changes_nothing_more() {
    let once = sanitised(service(json!({"clusterIP": "10.0.0.7", "ports": [{"nodePort": 1}]})));
    assert_eq!(sanitised(once.clone()), once);
}

/// A Job that is made again under its name is another run.
#[test]
fn a_job_keeps_its_uid() {
    let metadata = json!({"name": "once", "uid": "5", "resourceVersion": "7"});
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata});
    assert_eq!(sanitised(job)["metadata"], json!({"name": "once", "uid": "5"}));
}
