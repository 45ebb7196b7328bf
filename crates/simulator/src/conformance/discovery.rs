//! What a server says that it serves.

use serde_json::{Value, json};

use super::name_cases;
use super::server::{Server, text};

name_cases![
    version_and_health,
    groups_and_resources,
    aggregated_discovery,
    openapi_v3_says_that_patch_validates_fields,
    access_reviews_answer,
];

async fn version_and_health(server: Server) {
    let version = server.get("/version").await.ok();
    assert_eq!(version["major"], "1");
    assert!(text(&version, "/gitVersion").starts_with("v1."));
    assert_eq!(server.get("/readyz").await.ok(), json!("ok"));
}

async fn groups_and_resources(server: Server) {
    let core = server.get("/api").await.ok();
    assert_eq!(core["kind"], "APIVersions");
    assert_eq!(core["versions"], json!(["v1"]));
    let groups = server.get("/apis").await.ok();
    assert_eq!(groups["kind"], "APIGroupList");
    let apps = groups["groups"].as_array().expect("groups").iter().find(|it| it["name"] == "apps");
    assert_eq!(apps.expect("apps is there")["preferredVersion"]["groupVersion"], "apps/v1");
    let group = server.get("/apis/apps").await.ok();
    assert_eq!((&group["kind"], &group["name"]), (&json!("APIGroup"), &json!("apps")));

    let resources = server.get("/apis/apps/v1").await.ok();
    assert_eq!(resources["groupVersion"], "apps/v1");
    let found = |name: &str| {
        let mut all = resources["resources"].as_array().into_iter().flatten();
        all.find(|it| it["name"] == name).cloned().unwrap_or(Value::Null)
    };
    let deployments = found("deployments");
    assert_eq!(deployments["namespaced"], true);
    assert_eq!(deployments["shortNames"], json!(["deploy"]));
    assert_eq!(found("deployments/status")["kind"], "Deployment");
    assert_eq!(found("deployments/scale")["kind"], "Scale");
    let missing = server.get("/apis/nothing.example.com/v1").await;
    assert_eq!(missing.code, 404);
}

async fn aggregated_discovery(server: Server) {
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    for (path, group, resource) in [("/api", "", "configmaps"), ("/apis", "apps", "deployments")] {
        let list = server.get_as(path, accept).await.ok();
        assert_eq!(list["kind"], "APIGroupDiscoveryList");
        assert_eq!(list["apiVersion"], "apidiscovery.k8s.io/v2");
        let mut groups = list["items"].as_array().expect("items").iter();
        let group = groups.find(|it| text(it, "/metadata/name") == group).expect("the group");
        let resources = group["versions"][0]["resources"].as_array().expect("resources");
        let found = resources.iter().find(|it| it["resource"] == resource).expect("the resource");
        assert_eq!(found["scope"], "Namespaced");
        assert!(found["verbs"].as_array().expect("verbs").contains(&json!("watch")));
    }
}

/// kubectl apply looks here before it trusts the server with the validation.
async fn openapi_v3_says_that_patch_validates_fields(server: Server) {
    let index = server.get("/openapi/v3").await.ok();
    let url = text(&index["paths"]["apis/apps/v1"], "/serverRelativeURL");
    let document = server.get(&url).await.ok();
    let path = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}";
    let patch = &document["paths"][path]["patch"];
    assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], "Deployment");
    let parameters = patch["parameters"].as_array().expect("parameters");
    assert!(parameters.iter().any(|it| it["name"] == "fieldValidation"));
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let deployment = &schemas["io.k8s.api.apps.v1.Deployment"];
    assert!(deployment["properties"]["spec"].is_object());
}

async fn access_reviews_answer(server: Server) {
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "get", "resource": "configmaps"}}});
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let answer = server.post(path, &review).await.ok();
    assert_eq!(answer["status"]["allowed"], true);
}
