//! What controllers write, of their own and about pods that run.

use serde_json::{Value, json};

use super::name_cases;
use super::server::{Server, deployment};

name_cases![
    deployments_are_observed,
    deployments_without_replicas_are_available,
    daemon_sets_are_observed,
    stateful_sets_are_observed,
    jobs_are_started,
    deployments_become_available,
    stateful_sets_become_ready,
    daemon_sets_become_ready,
    jobs_succeed,
    pod_templates_are_defaulted,
    kinds_are_defaulted,
    creation_owns_defaults_but_not_what_the_server_adds,
];

fn observed(generation: i64) -> impl Fn(&Value) -> bool {
    move |it| it["status"]["observedGeneration"] == generation
}

async fn deployments_are_observed(server: Server) {
    let deployments = server.grouped("apps/v1", "deployments");
    let made = server.post(&deployments, &deployment("d", 0)).await.ok();
    let template = &made["spec"]["template"]["spec"];
    assert_eq!(made["spec"]["strategy"]["rollingUpdate"]["maxSurge"], "25%");
    assert_eq!(template["restartPolicy"], "Always");
    assert_eq!(template["containers"][0]["imagePullPolicy"], "IfNotPresent");
    server.until(&deployments, "d", observed(1)).await;
    let annotate = json!({"spec": {"template": {"metadata": {"annotations": {"a": "b"}}}}});
    server.merge(&format!("{deployments}/d"), &annotate).await.ok();
    server.until(&deployments, "d", observed(2)).await;
}

async fn deployments_without_replicas_are_available(server: Server) {
    let deployments = server.grouped("apps/v1", "deployments");
    server.post(&deployments, &deployment("d", 0)).await.ok();
    let available = |it: &Value| {
        let mut conditions = it["status"]["conditions"].as_array().into_iter().flatten();
        conditions.any(|it| it["type"] == "Available" && it["status"] == "True")
    };
    let object = server.until(&deployments, "d", available).await;
    assert!(object["status"].get("unavailableReplicas").is_none());
}

async fn daemon_sets_are_observed(server: Server) {
    let sets = server.grouped("apps/v1", "daemonsets");
    let mut set = deployment("d", 0);
    set["kind"] = json!("DaemonSet");
    set["spec"].as_object_mut().expect("a spec").remove("replicas");
    set["spec"]["template"]["spec"]["nodeSelector"] = json!({"no-such": "node"});
    server.post(&sets, &set).await.ok();
    let object = server.until(&sets, "d", observed(1)).await;
    assert_eq!(object["status"]["numberMisscheduled"], 0);
}

async fn stateful_sets_are_observed(server: Server) {
    let sets = server.grouped("apps/v1", "statefulsets");
    let mut set = deployment("s", 0);
    set["kind"] = json!("StatefulSet");
    set["spec"]["serviceName"] = json!("s");
    server.post(&sets, &set).await.ok();
    let object = server.until(&sets, "s", observed(1)).await;
    assert_eq!(object["status"]["replicas"], 0);
    assert_eq!(object["status"]["currentRevision"], object["status"]["updateRevision"]);
}

async fn jobs_are_started(server: Server) {
    let jobs = server.grouped("batch/v1", "jobs");
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"},
        "spec": {"template": {"spec": {"restartPolicy": "Never",
            "containers": [{"name": "c", "image": "example.com/job:1"}]}}}});
    let made = server.post(&jobs, &job).await.ok();
    let uid = &made["metadata"]["uid"];
    let selector = &made["spec"]["selector"]["matchLabels"];
    assert_eq!(selector["batch.kubernetes.io/controller-uid"], *uid);
    let labels = &made["spec"]["template"]["metadata"]["labels"];
    assert_eq!(labels["job-name"], "j");
    server.until(&jobs, "j", |it| it["status"]["startTime"].is_string()).await;
}

/// The fields of the status; what else is in it does not matter.
fn part_of_status(object: &Value, fields: &Value) -> Value {
    let fields = fields.as_object().expect("an object").keys();
    fields.map(|field| (field.clone(), object["status"][field].clone())).collect()
}

/// Waits until the status has these fields, whole.
async fn until_status(server: &Server, collection: &str, name: &str, status: &Value) -> Value {
    server.until(collection, name, |it| part_of_status(it, status) == *status).await
}

fn conditions(object: &Value) -> Vec<(&str, &str, &str)> {
    let all = object["status"]["conditions"].as_array().into_iter().flatten();
    let mut all: Vec<_> = all
        .map(|it| {
            let field = |name: &str| it[name].as_str().unwrap_or_default();
            (field("type"), field("status"), field("reason"))
        })
        .collect();
    all.sort_unstable();
    all
}

async fn deployments_become_available(server: Server) {
    let deployments = server.grouped("apps/v1", "deployments");
    server.post(&deployments, &deployment("d", 2)).await.ok();
    let status = |generation: i64, replicas: i64| {
        json!({"observedGeneration": generation, "replicas": replicas,
            "updatedReplicas": replicas, "readyReplicas": replicas,
            "availableReplicas": replicas, "unavailableReplicas": null})
    };
    until_status(&server, &deployments, "d", &status(1, 2)).await;
    let rolled_out = |it: &Value| {
        conditions(it)
            == [
                ("Available", "True", "MinimumReplicasAvailable"),
                ("Progressing", "True", "NewReplicaSetAvailable"),
            ]
    };
    server.until(&deployments, "d", rolled_out).await;
    let grown = json!({"spec": {"replicas": 3, "template": {"spec": {"containers": [
        {"name": "main", "image": "example.com/main:2"}]}}}});
    server.merge(&format!("{deployments}/d"), &grown).await.ok();
    until_status(&server, &deployments, "d", &status(2, 3)).await;
}

async fn stateful_sets_become_ready(server: Server) {
    let sets = server.grouped("apps/v1", "statefulsets");
    let mut set = deployment("s", 2);
    set["kind"] = json!("StatefulSet");
    set["spec"]["serviceName"] = json!("s");
    server.post(&sets, &set).await.ok();
    let status = |generation: i64| {
        json!({"observedGeneration": generation, "replicas": 2, "readyReplicas": 2,
            "availableReplicas": 2, "currentReplicas": 2, "updatedReplicas": 2,
            "collisionCount": 0})
    };
    let first = until_status(&server, &sets, "s", &status(1)).await;
    assert_eq!(first["status"]["currentRevision"], first["status"]["updateRevision"]);
    let image = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "main", "image": "example.com/main:2"}]}}}});
    server.merge(&format!("{sets}/s"), &image).await.ok();
    let updated = |it: &Value| {
        let revisions = &it["status"];
        part_of_status(it, &status(2)) == status(2)
            && revisions["currentRevision"] == revisions["updateRevision"]
    };
    let second = server.until(&sets, "s", updated).await;
    assert_ne!(first["status"]["currentRevision"], second["status"]["currentRevision"]);
}

async fn daemon_sets_become_ready(server: Server) {
    let sets = server.grouped("apps/v1", "daemonsets");
    let mut set = deployment("d", 0);
    set["kind"] = json!("DaemonSet");
    set["spec"].as_object_mut().expect("a spec").remove("replicas");
    server.post(&sets, &set).await.ok();
    let nodes = server.get("/api/v1/nodes").await.ok()["items"].as_array().map(Vec::len);
    let status = |generation: i64| {
        json!({"observedGeneration": generation, "desiredNumberScheduled": nodes,
            "currentNumberScheduled": nodes, "updatedNumberScheduled": nodes,
            "numberReady": nodes, "numberAvailable": nodes, "numberMisscheduled": 0,
            "numberUnavailable": null})
    };
    until_status(&server, &sets, "d", &status(1)).await;
    let nowhere = json!({"spec": {"template": {"spec": {"nodeSelector": {"no-such": "node"}}}}});
    server.merge(&format!("{sets}/d"), &nowhere).await.ok();
    let status = json!({"observedGeneration": 2, "desiredNumberScheduled": 0,
        "currentNumberScheduled": 0, "numberReady": 0});
    until_status(&server, &sets, "d", &status).await;
}

async fn jobs_succeed(server: Server) {
    let jobs = server.grouped("batch/v1", "jobs");
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"},
        "spec": {"completions": 2, "parallelism": 2, "template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "c", "image": "example.com/job:1"}]}}}});
    server.post(&jobs, &job).await.ok();
    let done = server.until(&jobs, "j", |it| it["status"]["completionTime"].is_string()).await;
    assert_eq!(done["status"]["succeeded"], 2);
    let expected = [
        ("Complete", "True", "CompletionsReached"),
        ("SuccessCriteriaMet", "True", "CompletionsReached"),
    ];
    assert_eq!(conditions(&done), expected);
}

async fn pod_templates_are_defaulted(server: Server) {
    let mut object = deployment("d", 0);
    object["spec"]["template"]["spec"] = json!({
        "serviceAccountName": "someone",
        "volumes": [{"name": "c", "configMap": {"name": "x"}},
                    {"name": "h", "hostPath": {"path": "/x"}},
                    {"name": "e", "emptyDir": {}}],
        "containers": [{"name": "c", "image": "example.com/x:latest",
            "env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "ports": [{"containerPort": 80}], "resources": {"requests": {"cpu": 0.5}},
            "livenessProbe": {"httpGet": {"port": 80}}}],
    });
    let made = server.post(&server.grouped("apps/v1", "deployments"), &object).await.ok();
    let expected = json!({
        "containers": [{"name": "c", "image": "example.com/x:latest",
            "env": [{"name": "N", "valueFrom": {"fieldRef": {"apiVersion": "v1",
                                                             "fieldPath": "metadata.name"}}}],
            "imagePullPolicy": "Always",
            "livenessProbe": {"failureThreshold": 3, "httpGet": {"path": "/", "port": 80,
                "scheme": "HTTP"}, "periodSeconds": 10, "successThreshold": 1, "timeoutSeconds": 1},
            "ports": [{"containerPort": 80, "protocol": "TCP"}],
            "resources": {"requests": {"cpu": "500m"}},
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File"}],
        "dnsPolicy": "ClusterFirst", "restartPolicy": "Always",
        "schedulerName": "default-scheduler", "securityContext": {},
        "serviceAccount": "someone", "serviceAccountName": "someone",
        "terminationGracePeriodSeconds": 30,
        "volumes": [{"name": "c", "configMap": {"defaultMode": 420, "name": "x"}},
                    {"name": "h", "hostPath": {"path": "/x", "type": ""}},
                    {"name": "e", "emptyDir": {}}],
    });
    assert_eq!(made["spec"]["template"]["spec"], expected);
}

async fn kinds_are_defaulted(server: Server) {
    let meta = json!({"name": "x"});
    let ports = json!([{"ports": [{"port": 80}]}]);
    let cases = [
        (
            server.grouped("networking.k8s.io/v1", "networkpolicies"),
            json!({"metadata": meta, "spec": {"podSelector": {}, "ingress": ports}}),
            json!({"podSelector": {}, "ingress": [{"ports": [{"port": 80, "protocol": "TCP"}]}],
                   "policyTypes": ["Ingress"]}),
        ),
        (
            server.grouped("autoscaling/v2", "horizontalpodautoscalers"),
            json!({"metadata": meta, "spec": {"maxReplicas": 3, "scaleTargetRef": {
                "apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {
                    "type": "Utilization", "averageUtilization": 50}}}]}}),
            json!({"maxReplicas": 3, "minReplicas": 1, "scaleTargetRef": {
                "apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {
                    "type": "Utilization", "averageUtilization": 50}}}]}),
        ),
        (
            server.core("limitranges"),
            json!({"metadata": meta, "spec": {"limits": [
                {"type": "Container", "default": {"cpu": "500m"}}]}}),
            json!({"limits": [{"type": "Container", "default": {"cpu": "500m"},
                               "defaultRequest": {"cpu": "500m"}}]}),
        ),
    ];
    for (path, object, spec) in cases {
        assert_eq!(server.post(&path, &object).await.ok()["spec"], spec, "{path}");
    }
}

async fn creation_owns_defaults_but_not_what_the_server_adds(server: Server) {
    let fields = |object: &Value| object["metadata"]["managedFields"][0]["fieldsV1"].clone();
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
        "spec": {"selector": {"app": "x"}, "ports": [{"port": 80}]}});
    let made = server.post(&server.core("services"), &service).await.ok();
    let port = json!({".": {}, "f:port": {}, "f:protocol": {}, "f:targetPort": {}});
    let expected = json!({"f:spec": {
        "f:internalTrafficPolicy": {},
        "f:ports": {".": {}, "k:{\"port\":80,\"protocol\":\"TCP\"}": port},
        "f:selector": {}, "f:sessionAffinity": {}, "f:type": {}}});
    assert_eq!(fields(&made), expected);

    let deployments = server.grouped("apps/v1", "deployments");
    let made = server.post(&deployments, &deployment("d", 0)).await.ok();
    let container = json!({".": {}, "f:image": {}, "f:imagePullPolicy": {}, "f:name": {},
        "f:resources": {}, "f:terminationMessagePath": {}, "f:terminationMessagePolicy": {}});
    let pod = json!({"f:containers": {"k:{\"name\":\"main\"}": container}, "f:dnsPolicy": {},
        "f:restartPolicy": {}, "f:schedulerName": {}, "f:securityContext": {},
        "f:terminationGracePeriodSeconds": {}});
    let rolling = json!({".": {}, "f:maxSurge": {}, "f:maxUnavailable": {}});
    let expected = json!({"f:spec": {
        "f:progressDeadlineSeconds": {}, "f:replicas": {}, "f:revisionHistoryLimit": {},
        "f:selector": {}, "f:strategy": {"f:rollingUpdate": rolling, "f:type": {}},
        "f:template": {"f:metadata": {"f:labels": {".": {}, "f:app": {}}}, "f:spec": pod}}});
    assert_eq!(fields(&made), expected);
}
