//! Deletion: preconditions, finalizers, owners, namespaces.

use serde_json::{Value, json};

use super::name_cases;
use super::server::{Server, config_map, text};

name_cases![
    preconditions,
    finalizers_hold_an_object,
    background_deletion_collects_dependents,
    foreground_deletion_waits_for_dependents,
    orphans_stay,
    absent_owners_are_collected,
    one_living_owner_is_enough,
    cluster_scoped_owners,
    namespaces_take_their_contents,
];

async fn preconditions(server: Server) {
    let maps = server.core("configmaps");
    let object = server.post(&maps, &config_map("a", json!({}))).await.ok();
    let path = format!("{maps}/a");
    let other = "00000000-0000-4000-8000-000000000000";
    for precondition in [json!({"uid": other}), json!({"resourceVersion": "1"})] {
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions",
                             "preconditions": precondition});
        server.delete_with(&path, &options).await.fails(409, "Conflict");
    }
    let metadata = &object["metadata"];
    let right = json!({"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]});
    let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": right});
    server.delete_with(&path, &options).await.ok();
}

async fn finalizers_hold_an_object(server: Server) {
    let maps = server.core("configmaps");
    let mut map = config_map("a", json!({}));
    map["metadata"]["finalizers"] = json!(["example.com/hold"]);
    server.post(&maps, &map).await.ok();
    let path = format!("{maps}/a");
    let marked = server.delete(&path).await.ok();
    assert_eq!(marked["kind"], "ConfigMap");
    assert!(!text(&marked, "/metadata/deletionTimestamp").is_empty());
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 0);
    server.post(&maps, &map).await.fails(409, "AlreadyExists");
    let more = json!({"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}});
    server.merge(&path, &more).await.fails(422, "Invalid");
    let released = server.merge(&path, &json!({"metadata": {"finalizers": null}})).await.ok();
    assert!(!text(&released, "/metadata/deletionTimestamp").is_empty());
    server.get(&path).await.fails(404, "NotFound");
}

fn owned_by(name: &str, owners: &[&Value], finalizer: Option<&str>) -> Value {
    let references: Vec<Value> = owners
        .iter()
        .map(|owner| {
            json!({"apiVersion": owner["apiVersion"], "kind": owner["kind"],
                   "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
                   "blockOwnerDeletion": true})
        })
        .collect();
    let mut map = config_map(name, json!({}));
    map["metadata"]["ownerReferences"] = json!(references);
    if let Some(finalizer) = finalizer {
        map["metadata"]["finalizers"] = json!([finalizer]);
    }
    map
}

async fn background_deletion_collects_dependents(server: Server) {
    let maps = server.core("configmaps");
    let owner = server.post(&maps, &config_map("owner", json!({}))).await.ok();
    server.post(&maps, &owned_by("child", &[&owner], None)).await.ok();
    server.delete(&format!("{maps}/owner?propagationPolicy=Background")).await.ok();
    server.get(&format!("{maps}/owner")).await.fails(404, "NotFound");
    server.until_gone(&maps, "child").await;
}

async fn foreground_deletion_waits_for_dependents(server: Server) {
    let maps = server.core("configmaps");
    let owner = server.post(&maps, &config_map("owner", json!({}))).await.ok();
    let child = owned_by("child", &[&owner], Some("example.com/hold"));
    server.post(&maps, &child).await.ok();
    let marked = server.delete(&format!("{maps}/owner?propagationPolicy=Foreground")).await.ok();
    assert_eq!(marked["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    let is_going = |it: &Value| it["metadata"]["deletionTimestamp"].is_string();
    server.until(&maps, "child", is_going).await;
    assert_eq!(server.get(&format!("{maps}/owner")).await.code, 200);
    let release = json!({"metadata": {"finalizers": null}});
    server.merge(&format!("{maps}/child"), &release).await.ok();
    server.until_gone(&maps, "owner").await;
}

async fn orphans_stay(server: Server) {
    let maps = server.core("configmaps");
    let owner = server.post(&maps, &config_map("owner", json!({}))).await.ok();
    server.post(&maps, &owned_by("child", &[&owner], None)).await.ok();
    // The collector must know the child before it can let it go.
    server.delete(&format!("{maps}/owner?propagationPolicy=Orphan")).await.ok();
    server.until_gone(&maps, "owner").await;
    let is_free = |it: &Value| it["metadata"].get("ownerReferences").is_none();
    server.until(&maps, "child", is_free).await;
}

async fn absent_owners_are_collected(server: Server) {
    let maps = server.core("configmaps");
    let ghost = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
        "name": "ghost", "uid": "00000000-0000-4000-8000-000000000000"}});
    server.post(&maps, &owned_by("child", &[&ghost], None)).await.ok();
    server.until_gone(&maps, "child").await;
}

async fn one_living_owner_is_enough(server: Server) {
    let maps = server.core("configmaps");
    let first = server.post(&maps, &config_map("first", json!({}))).await.ok();
    let second = server.post(&maps, &config_map("second", json!({}))).await.ok();
    server.post(&maps, &owned_by("child", &[&first, &second], None)).await.ok();
    server.delete(&format!("{maps}/first?propagationPolicy=Background")).await.ok();
    let one_left = |it: &Value| {
        it["metadata"]["ownerReferences"].as_array().is_some_and(|list| list.len() == 1)
    };
    let child = server.until(&maps, "child", one_left).await;
    assert_eq!(child["metadata"]["ownerReferences"][0]["name"], "second");
}

async fn cluster_scoped_owners(server: Server) {
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": server.namespace}, "rules": []});
    let mut owner = server.post(roles, &role).await.ok();
    owner["apiVersion"] = json!("rbac.authorization.k8s.io/v1");
    owner["kind"] = json!("ClusterRole");
    let maps = server.core("configmaps");
    server.post(&maps, &owned_by("child", &[&owner], None)).await.ok();
    server.delete(&format!("{roles}/{}", server.namespace)).await.ok();
    server.until_gone(&maps, "child").await;
}

async fn namespaces_take_their_contents(server: Server) {
    let name = format!("{}-inner", server.namespace);
    let namespaces = "/api/v1/namespaces";
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    server.post(namespaces, &body).await.ok();
    let maps = format!("{namespaces}/{name}/configmaps");
    let mut held = config_map("held", json!({}));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    server.post(&maps, &held).await.ok();
    server.post(&maps, &config_map("free", json!({}))).await.ok();
    let marked = server.delete(&format!("{namespaces}/{name}")).await.ok();
    assert_eq!(marked["status"]["phase"], "Terminating");
    let refused = server.post(&maps, &config_map("late", json!({}))).await;
    let status = refused.fails(403, "Forbidden");
    assert_eq!(status["details"]["causes"][0]["reason"], "NamespaceTerminating");
    server.until_gone(&maps, "free").await;
    let is_going = |it: &Value| it["metadata"]["deletionTimestamp"].is_string();
    server.until(&maps, "held", is_going).await;
    let release = json!({"metadata": {"finalizers": null}});
    server.merge(&format!("{maps}/held"), &release).await.ok();
    server.until_gone(namespaces, &name).await;
}
