//! How failures are told.

use serde_json::json;

use super::name_cases;
use super::server::{Server, config_map, deployment, text};

name_cases![
    not_found_and_already_exists,
    invalid_objects_name_their_fields,
    bodies_that_do_not_fit,
    wrong_methods_and_media_types,
    names_must_match_the_path,
    namespaces_must_exist,
    immutable_fields,
    bodies_that_are_too_large,
];

async fn not_found_and_already_exists(server: Server) {
    let maps = server.core("configmaps");
    let status = server.get(&format!("{maps}/a")).await.fails(404, "NotFound");
    assert_eq!(status["message"], "configmaps \"a\" not found");
    assert_eq!(status["details"], json!({"name": "a", "kind": "configmaps"}));
    let path = format!("{}/d", server.grouped("apps/v1", "deployments"));
    let status = server.get(&path).await.fails(404, "NotFound");
    assert_eq!(status["message"], "deployments.apps \"d\" not found");
    assert_eq!(status["details"], json!({"name": "d", "group": "apps", "kind": "deployments"}));
    server.post(&maps, &config_map("a", json!({}))).await.ok();
    let status = server.post(&maps, &config_map("a", json!({}))).await.fails(409, "AlreadyExists");
    assert_eq!(status["message"], "configmaps \"a\" already exists");
}

async fn invalid_objects_name_their_fields(server: Server) {
    let maps = server.core("configmaps");
    let bad_name = server.post(&maps, &config_map("Not_A_Name", json!({}))).await;
    let status = bad_name.fails(422, "Invalid");
    assert_eq!(status["details"]["kind"], "ConfigMap");
    assert_eq!(status["details"]["causes"][0]["field"], "metadata.name");
    assert_eq!(status["details"]["causes"][0]["reason"], "FieldValueInvalid");
    let nameless = server.post(&maps, &config_map("", json!({}))).await.fails(422, "Invalid");
    assert_eq!(nameless["details"]["causes"][0]["field"], "metadata.name");
    assert_eq!(nameless["details"]["causes"][0]["reason"], "FieldValueRequired");
    let mut bad_label = config_map("a", json!({}));
    bad_label["metadata"]["labels"] = json!({"a": "not a label"});
    let status = server.post(&maps, &bad_label).await.fails(422, "Invalid");
    assert_eq!(status["details"]["causes"][0]["field"], "metadata.labels");
    let bad_key = server.post(&maps, &config_map("a", json!({"a b": "1"}))).await;
    let status = bad_key.fails(422, "Invalid");
    assert_eq!(status["details"]["causes"][0]["field"], "data[a b]");

    let mut foreign = deployment("d", 1);
    foreign["spec"]["selector"]["matchLabels"] = json!({"app": "other"});
    let deployments = server.grouped("apps/v1", "deployments");
    let status = server.post(&deployments, &foreign).await.fails(422, "Invalid");
    assert_eq!(status["details"]["causes"][0]["field"], "spec.template.metadata.labels");
    assert_eq!(status["details"]["group"], "apps");
    assert!(text(&status, "/message").starts_with("Deployment.apps \"d\" is invalid: "));
}

async fn bodies_that_do_not_fit(server: Server) {
    let maps = server.core("configmaps");
    let wrong_type = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"},
        "data": ["not", "a", "map"]});
    server.post(&maps, &wrong_type).await.fails(400, "BadRequest");
    let mut wrong_kind = config_map("a", json!({}));
    wrong_kind["kind"] = json!("Secret");
    server.post(&maps, &wrong_kind).await.fails(400, "BadRequest");
    server.post(&maps, &json!("text")).await.fails(400, "BadRequest");
}

async fn wrong_methods_and_media_types(server: Server) {
    let maps = server.core("configmaps");
    server.put(&maps, &config_map("a", json!({}))).await.fails(405, "MethodNotAllowed");
    server.post(&maps, &config_map("a", json!({}))).await.ok();
    let path = format!("{maps}/a");
    let text = server.patch(&path, "text/plain", &json!({})).await;
    text.fails(415, "UnsupportedMediaType");
    assert_eq!(server.get("/api/v1/nothings").await.code, 404);
}

async fn names_must_match_the_path(server: Server) {
    let maps = server.core("configmaps");
    server.post(&maps, &config_map("a", json!({}))).await.ok();
    let path = format!("{maps}/a");
    server.put(&path, &config_map("b", json!({}))).await.fails(400, "BadRequest");
    let renamed = json!({"metadata": {"name": "b"}});
    server.merge(&path, &renamed).await.fails(400, "BadRequest");
    let mut elsewhere = config_map("c", json!({}));
    elsewhere["metadata"]["namespace"] = json!("default");
    server.post(&maps, &elsewhere).await.fails(400, "BadRequest");
}

async fn namespaces_must_exist(server: Server) {
    let path = "/api/v1/namespaces/no-such-namespace-here/configmaps";
    let status = server.post(path, &config_map("a", json!({}))).await.fails(404, "NotFound");
    assert_eq!(status["details"]["kind"], "namespaces");
    assert_eq!(server.get(path).await.ok()["items"], json!([]));
    server.delete("/api/v1/namespaces/default").await.fails(403, "Forbidden");
}

async fn immutable_fields(server: Server) {
    let deployments = server.grouped("apps/v1", "deployments");
    server.post(&deployments, &deployment("d", 0)).await.ok();
    let other = json!({"spec": {"selector": {"matchLabels": {"app": "other"}},
        "template": {"metadata": {"labels": {"app": "other"}}}}});
    let status = server.merge(&format!("{deployments}/d"), &other).await.fails(422, "Invalid");
    assert_eq!(status["details"]["causes"][0]["field"], "spec.selector");
    let maps = server.core("configmaps");
    let mut fixed = config_map("a", json!({"x": "1"}));
    fixed["immutable"] = json!(true);
    server.post(&maps, &fixed).await.ok();
    let change = json!({"data": {"x": "2"}});
    let status = server.merge(&format!("{maps}/a"), &change).await.fails(422, "Invalid");
    assert_eq!(status["details"]["causes"][0]["reason"], "FieldValueForbidden");
}

async fn bodies_that_are_too_large(server: Server) {
    let huge = config_map("a", json!({"x": "x".repeat(3 * 1024 * 1024 + 1)}));
    let status = server.post(&server.core("configmaps"), &huge).await;
    status.fails(413, "RequestEntityTooLarge");
}
