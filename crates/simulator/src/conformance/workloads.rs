//! What controllers write that need no kubelet.

use serde_json::{Value, json};

use super::name_cases;
use super::server::{Server, deployment};

name_cases![
    deployments_are_observed,
    deployments_without_replicas_are_available,
    daemon_sets_are_observed,
    stateful_sets_are_observed,
    jobs_are_started,
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
