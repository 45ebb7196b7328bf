//! Lists: selection, pages, revisions, and deletion of what is selected.

use serde_json::{Value, json};

use super::crds::widgets;
use super::name_cases;
use super::server::{Server, config_map, names, text};

name_cases![
    label_selectors,
    field_selectors,
    items_say_their_kind_if_they_are_custom,
    pages,
    lists_span_namespaces,
    delete_collection,
    resource_versions_of_lists,
];

async fn three_maps(server: &Server) -> String {
    let maps = server.core("configmaps");
    for (name, tier) in [("a", "front"), ("b", "back"), ("c", "front")] {
        let mut map = config_map(name, json!({}));
        map["metadata"]["labels"] = json!({"tier": tier, "suite": "yes"});
        server.post(&maps, &map).await.ok();
    }
    maps
}

async fn label_selectors(server: Server) {
    let maps = three_maps(&server).await;
    let cases: &[(&str, &[&str])] = &[
        ("tier%3Dfront", &["a", "c"]),
        ("tier%21%3Dfront,suite", &["b"]),
        ("tier%20in%20(front,back)", &["a", "b", "c"]),
        ("suite,tier%20notin%20(front)", &["b"]),
        ("%21suite", &["kube-root-ca.crt"]),
        ("suite,tier%3D%3Dback", &["b"]),
    ];
    for (selector, expected) in cases {
        let list = server.get(&format!("{maps}?labelSelector={selector}")).await.ok();
        assert_eq!(names(&list), *expected, "{selector}");
        assert_eq!(list["kind"], "ConfigMapList");
    }
    let broken = server.get(&format!("{maps}?labelSelector=a%20b%20c")).await;
    broken.fails(400, "BadRequest");
}

async fn field_selectors(server: Server) {
    let maps = three_maps(&server).await;
    let list = server.get(&format!("{maps}?fieldSelector=metadata.name%3Db")).await.ok();
    assert_eq!(names(&list), ["b"]);
    let list = server
        .get(&format!("{maps}?labelSelector=suite&fieldSelector=metadata.name%21%3Db"))
        .await
        .ok();
    assert_eq!(names(&list), ["a", "c"]);
    server.get(&format!("{maps}?fieldSelector=data.x%3D1")).await.fails(400, "BadRequest");
}

/// Clients have to know what they listed: an object of a built-in kind has no kind in a list.
async fn items_say_their_kind_if_they_are_custom(server: Server) {
    let maps = three_maps(&server).await;
    let list = server.get(&format!("{maps}?labelSelector=suite")).await.ok();
    for map in list["items"].as_array().expect("items") {
        assert_eq!((map.get("kind"), map.get("apiVersion")), (None, None));
    }
    let deleted = server.delete(&format!("{maps}?labelSelector=suite")).await.ok();
    assert_eq!(deleted["items"][0].get("kind"), None);

    let widgets = widgets(&server).await;
    let path = widgets.path(&server);
    server.post(&path, &widgets.widget("w", json!({"size": 1}))).await.ok();
    let list = server.get(&path).await.ok();
    let item = widgets.widget("w", Value::Null);
    assert_eq!(list["items"][0]["kind"], item["kind"]);
    assert_eq!(list["items"][0]["apiVersion"], item["apiVersion"]);
    widgets.remove(&server).await;
}

async fn pages(server: Server) {
    let maps = three_maps(&server).await;
    let first = server.get(&format!("{maps}?limit=2")).await.ok();
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 2);
    let token = text(&first, "/metadata/continue");
    // The pages show one moment: what is created meanwhile belongs to a later one.
    server.post(&maps, &config_map("d", json!({}))).await.ok();
    let second = server.get(&format!("{maps}?limit=2&continue={token}")).await.ok();
    assert_eq!(names(&second), ["c", "kube-root-ca.crt"]);
    assert!(second["metadata"].get("continue").is_none());
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    server.get(&format!("{maps}?limit=2&continue=nonsense")).await.fails(400, "BadRequest");
}

async fn lists_span_namespaces(server: Server) {
    three_maps(&server).await;
    let field = format!("metadata.namespace%3D{}", server.namespace);
    let path = format!("/api/v1/configmaps?labelSelector=suite&fieldSelector={field}");
    assert_eq!(names(&server.get(&path).await.ok()), ["a", "b", "c"]);
}

async fn delete_collection(server: Server) {
    let maps = three_maps(&server).await;
    let deleted = server.delete(&format!("{maps}?labelSelector=tier%3Dfront")).await.ok();
    assert_eq!(names(&deleted), ["a", "c"]);
    let left = server.get(&format!("{maps}?labelSelector=suite")).await.ok();
    assert_eq!(names(&left), ["b"]);
}

async fn resource_versions_of_lists(server: Server) {
    let maps = three_maps(&server).await;
    let list = server.get(&maps).await.ok();
    let revision: u64 = text(&list, "/metadata/resourceVersion").parse().expect("a number");
    let cached = server.get(&format!("{maps}?resourceVersion=0")).await.ok();
    assert_eq!(cached["kind"], "ConfigMapList");
    server.delete(&format!("{maps}/a")).await.ok();
    let past = format!("{maps}?resourceVersion={revision}&resourceVersionMatch=Exact");
    assert!(names(&server.get(&past).await.ok()).contains(&"a".to_owned()));
    let future = format!("{maps}?resourceVersion={}", revision + 1_000_000);
    server.get(&future).await.fails(504, "Timeout");
}
