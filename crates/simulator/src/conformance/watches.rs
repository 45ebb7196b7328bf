//! Watches.

use serde_json::json;

use super::name_cases;
use super::server::{Server, config_map, text};

name_cases![
    changes_after_a_resource_version,
    initial_state_without_a_resource_version,
    selectors_turn_changes_into_arrivals_and_departures,
    streaming_lists_end_with_a_bookmark,
    watches_time_out,
    watches_show_metadata_only,
    bookmarks_come_before_the_end,
];

async fn changes_after_a_resource_version(server: Server) {
    let maps = server.core("configmaps");
    let before = server.post(&maps, &config_map("old", json!({}))).await.ok();
    let revision = text(&before, "/metadata/resourceVersion");
    let created = server.post(&maps, &config_map("a", json!({"x": "1"}))).await.ok();
    let mut events = server.watch(&format!("{maps}?watch=true&resourceVersion={revision}")).await;
    let added = events.next().await;
    assert_eq!(added["type"], "ADDED");
    assert_eq!(added["object"], created);
    let path = format!("{maps}/a");
    let patched = server.merge(&path, &json!({"data": {"x": "2"}})).await.ok();
    let modified = events.next().await;
    assert_eq!((&modified["type"], &modified["object"]), (&json!("MODIFIED"), &patched));
    server.delete(&path).await.ok();
    let deleted = events.next().await;
    assert_eq!(deleted["type"], "DELETED");
    assert_eq!(deleted["object"]["data"]["x"], "2");
    let number = |it: &str| it.parse::<u64>().expect("a number");
    let last = text(&deleted, "/object/metadata/resourceVersion");
    assert!(number(&last) > number(&text(&patched, "/metadata/resourceVersion")));
}

async fn initial_state_without_a_resource_version(server: Server) {
    let maps = server.core("configmaps");
    server.post(&maps, &config_map("a", json!({}))).await.ok();
    let selector = "fieldSelector=metadata.name%3Da";
    for revision in ["", "&resourceVersion=0"] {
        let mut events = server.watch(&format!("{maps}?watch=true&{selector}{revision}")).await;
        assert_eq!(events.take(1).await, [("ADDED".to_owned(), "a".to_owned())]);
    }
}

async fn selectors_turn_changes_into_arrivals_and_departures(server: Server) {
    let maps = server.core("configmaps");
    let created = server.post(&maps, &config_map("a", json!({}))).await.ok();
    let revision = text(&created, "/metadata/resourceVersion");
    let target = format!("{maps}?watch=true&labelSelector=on&resourceVersion={revision}");
    let mut events = server.watch(&target).await;
    let path = format!("{maps}/a");
    server.merge(&path, &json!({"metadata": {"labels": {"on": "1"}}})).await.ok();
    server.merge(&path, &json!({"data": {"x": "1"}})).await.ok();
    let last = server.merge(&path, &json!({"metadata": {"labels": null}})).await.ok();
    let kinds: Vec<String> = events.take(2).await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["ADDED", "MODIFIED"]);
    let gone = events.next().await;
    assert_eq!(gone["type"], "DELETED");
    assert_eq!(gone["object"]["metadata"]["labels"]["on"], "1");
    assert_eq!(gone["object"]["metadata"]["resourceVersion"], last["metadata"]["resourceVersion"]);
}

async fn streaming_lists_end_with_a_bookmark(server: Server) {
    let maps = server.core("configmaps");
    server.post(&maps, &config_map("a", json!({}))).await.ok();
    let query = "watch=true&sendInitialEvents=true&allowWatchBookmarks=true\
                 &resourceVersionMatch=NotOlderThan&fieldSelector=metadata.name%3Da";
    let mut events = server.watch(&format!("{maps}?{query}")).await;
    assert_eq!(events.take(1).await, [("ADDED".to_owned(), "a".to_owned())]);
    let bookmark = events.next().await;
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["kind"], "ConfigMap");
    let annotations = &bookmark["object"]["metadata"]["annotations"];
    assert_eq!(annotations["k8s.io/initial-events-end"], "true");
    server.merge(&format!("{maps}/a"), &json!({"data": {"x": "1"}})).await.ok();
    // Further bookmarks may come at any time.
    let mut next = events.next().await;
    while next["type"] == "BOOKMARK" {
        next = events.next().await;
    }
    assert_eq!(
        (text(&next, "/type"), text(&next, "/object/metadata/name")),
        ("MODIFIED".to_owned(), "a".to_owned())
    );
}

async fn watches_time_out(server: Server) {
    let maps = server.core("configmaps");
    let query = "watch=true&timeoutSeconds=1&fieldSelector=metadata.name%3Dnone";
    let mut events = server.watch(&format!("{maps}?{query}")).await;
    assert_eq!(events.next_or_end().await, None);
}

async fn watches_show_metadata_only(server: Server) {
    let maps = server.core("configmaps");
    server.post(&maps, &config_map("a", json!({"x": "1"}))).await.ok();
    let accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let query = "watch=true&timeoutSeconds=1&fieldSelector=metadata.name%3Da";
    let answer = server.get_as(&format!("{maps}?{query}"), accept).await;
    assert_eq!(answer.code, 200);
    assert_eq!(answer.body["type"], "ADDED", "one event is one JSON document");
    assert_eq!(answer.body["object"]["kind"], "PartialObjectMetadata");
    assert!(answer.body["object"].get("data").is_none());
}

/// A watch that allows bookmarks gets one two seconds before its time is over, or a few from then
/// on, so that the next watch can go on from there.
async fn bookmarks_come_before_the_end(server: Server) {
    let maps = server.core("configmaps");
    let before = server.post(&maps, &config_map("a", json!({}))).await.ok();
    let last = server.post(&maps, &config_map("b", json!({}))).await.ok();
    let revision = text(&before, "/metadata/resourceVersion");
    let query = "watch=true&allowWatchBookmarks=true&timeoutSeconds=4";
    let target = format!("{maps}?{query}&resourceVersion={revision}");
    let mut events = server.watch(&target).await;
    assert_eq!(events.take(1).await, [("ADDED".to_owned(), "b".to_owned())]);
    let bookmark = events.next().await;
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(
        (&bookmark["object"]["kind"], &bookmark["object"]["apiVersion"]),
        (&json!("ConfigMap"), &json!("v1"))
    );
    assert!(bookmark["object"]["metadata"].get("annotations").is_none());
    let number = |it: &serde_json::Value| text(it, "/metadata/resourceVersion").parse::<u64>();
    assert!(number(&bookmark["object"]).expect("a number") >= number(&last).expect("a number"));
    while let Some(event) = events.next_or_end().await {
        assert_eq!(event["type"], "BOOKMARK");
    }
}
