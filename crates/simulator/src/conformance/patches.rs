//! Patches other than server-side apply.

use serde_json::{Value, json};

use super::name_cases;
use super::server::{Server, config_map, deployment, text};

name_cases![
    json_patch,
    merge_patch,
    strategic_merge_knows_list_keys,
    strategic_merge_directives,
    patches_that_break_the_object,
];

const STRATEGIC: &str = "application/strategic-merge-patch+json";

async fn json_patch(server: Server) {
    let maps = server.core("configmaps");
    server.post(&maps, &config_map("a", json!({"x": "1"}))).await.ok();
    let path = format!("{maps}/a");
    let kind = "application/json-patch+json";
    let patch = json!([
        {"op": "test", "path": "/data/x", "value": "1"},
        {"op": "replace", "path": "/data/x", "value": "2"},
        {"op": "add", "path": "/metadata/labels", "value": {}},
        {"op": "add", "path": "/metadata/labels/example.com~1y", "value": "3"},
    ]);
    let patched = server.patch(&path, kind, &patch).await.ok();
    assert_eq!(patched["data"], json!({"x": "2"}));
    assert_eq!(patched["metadata"]["labels"], json!({"example.com/y": "3"}));
}

async fn merge_patch(server: Server) {
    let maps = server.core("configmaps");
    server.post(&maps, &config_map("a", json!({"x": "1", "y": "2"}))).await.ok();
    let patch = json!({"data": {"x": null, "z": "3"}, "metadata": {"labels": {"a": "b"}}});
    let patched = server.merge(&format!("{maps}/a"), &patch).await.ok();
    assert_eq!(patched["data"], json!({"y": "2", "z": "3"}));
    assert_eq!(patched["metadata"]["labels"], json!({"a": "b"}));
}

/// A Deployment with two containers, without pods.
async fn two_containers(server: &Server) -> String {
    let mut object = deployment("d", 0);
    object["spec"]["template"]["spec"]["containers"] = json!([
        {"name": "main", "image": "main:1", "ports": [{"containerPort": 80}],
         "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
        {"name": "side", "image": "side:1"},
    ]);
    let deployments = server.grouped("apps/v1", "deployments");
    server.post(&deployments, &object).await.ok();
    format!("{deployments}/d")
}

fn pod_patch(containers: Value) -> Value {
    json!({"spec": {"template": {"spec": {"containers": containers}}}})
}

async fn strategic_merge_knows_list_keys(server: Server) {
    let path = two_containers(&server).await;
    let patch = pod_patch(json!([
        {"name": "main", "image": "main:2", "env": [{"name": "B", "value": "3"}],
         "ports": [{"containerPort": 81}]},
    ]));
    let patched = server.patch(&path, STRATEGIC, &patch).await.ok();
    let containers = &patched["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers[0]["image"], "main:2");
    let env = json!([{"name": "A", "value": "1"}, {"name": "B", "value": "3"}]);
    let sorted = |value: &Value| {
        let mut items: Vec<String> =
            value.as_array().into_iter().flatten().map(Value::to_string).collect();
        items.sort();
        items
    };
    assert_eq!(sorted(&containers[0]["env"]), sorted(&env));
    let mut ports: Vec<i64> = containers[0]["ports"]
        .as_array()
        .expect("ports")
        .iter()
        .filter_map(|it| it["containerPort"].as_i64())
        .collect();
    ports.sort_unstable();
    assert_eq!(ports, [80, 81]);
    assert_eq!(containers[1]["image"], "side:1");
    let finalizers = |list: Value| json!({"metadata": {"finalizers": list}});
    let one = finalizers(json!(["example.com/a"]));
    server.patch(&path, STRATEGIC, &one).await.ok();
    let two = finalizers(json!(["example.com/b"]));
    let both = server.patch(&path, STRATEGIC, &two).await.ok();
    assert_eq!(both["metadata"]["finalizers"].as_array().map(Vec::len), Some(2));
    let none = json!({"metadata": {"finalizers": null}});
    server.patch(&path, STRATEGIC, &none).await.ok();
}

async fn strategic_merge_directives(server: Server) {
    let path = two_containers(&server).await;
    let removed = pod_patch(json!([{"name": "side", "$patch": "delete"}]));
    let patched = server.patch(&path, STRATEGIC, &removed).await.ok();
    let containers = &patched["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers.as_array().map(Vec::len), Some(1));
    let strategy = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
    let patched = server.patch(&path, STRATEGIC, &strategy).await.ok();
    assert_eq!(patched["spec"]["strategy"], json!({"type": "Recreate"}));
    let replaced = json!({"metadata": {"labels": {"$patch": "replace", "only": "this"}}});
    // Where there is nothing to replace, the directive takes the value along.
    let patched = server.patch(&path, STRATEGIC, &replaced).await.ok();
    assert!(patched["metadata"].get("labels").is_none());
    let labels = json!({"metadata": {"labels": {"a": "b"}}});
    server.patch(&path, STRATEGIC, &labels).await.ok();
    let patched = server.patch(&path, STRATEGIC, &replaced).await.ok();
    assert_eq!(patched["metadata"]["labels"], json!({"only": "this"}));
    let order = json!({"spec": {"template": {"spec": {
        "$setElementOrder/containers": [{"name": "first"}, {"name": "main"}],
        "containers": [{"name": "first", "image": "first:1"}]}}}});
    let patched = server.patch(&path, STRATEGIC, &order).await.ok();
    assert_eq!(text(&patched, "/spec/template/spec/containers/0/name"), "first");
    assert_eq!(text(&patched, "/spec/template/spec/containers/1/name"), "main");
}

async fn patches_that_break_the_object(server: Server) {
    let maps = server.core("configmaps");
    server.post(&maps, &config_map("a", json!({"x": "1"}))).await.ok();
    let path = format!("{maps}/a");
    let kind = "application/json-patch+json";
    let failing = json!([{"op": "test", "path": "/data/x", "value": "2"}]);
    server.patch(&path, kind, &failing).await.fails(422, "Invalid");
    let missing = json!([{"op": "remove", "path": "/data/none"}]);
    server.patch(&path, kind, &missing).await.fails(422, "Invalid");
    server.patch(&path, kind, &json!({"not": "a patch"})).await.fails(400, "BadRequest");
    let bad_label = json!({"metadata": {"labels": {"a": "not a label"}}});
    server.merge(&path, &bad_label).await.fails(422, "Invalid");
}
