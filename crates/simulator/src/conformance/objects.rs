//! The life of single objects.

use serde_json::json;

use super::name_cases;
use super::server::{Server, config_map, deployment, text};

name_cases![
    create_read_replace_delete,
    a_write_without_effect_keeps_the_resource_version,
    generated_names,
    dry_run_changes_nothing,
    secrets_fold_string_data,
    services_get_an_address,
    partial_metadata_and_tables,
    new_namespaces_are_furnished,
    status_is_written_through_its_subresource,
    generation_counts_changes_of_the_spec,
    scale_is_a_view,
    update_of_a_missing_object,
    unconditional_update,
    uid_in_an_update_is_a_precondition,
    unknown_fields_warn_or_fail,
    quantities_are_canonical,
    events_have_two_faces,
];

async fn create_read_replace_delete(server: Server) {
    let maps = server.core("configmaps");
    let created = server.post(&maps, &config_map("a", json!({"x": "1"}))).await;
    assert_eq!(created.code, 201);
    let mut object = created.ok();
    assert_eq!(object["metadata"]["namespace"], server.namespace.as_str());
    assert!(!text(&object, "/metadata/uid").is_empty());
    assert!(!text(&object, "/metadata/creationTimestamp").is_empty());
    assert!(object["metadata"].get("generation").is_none());

    let path = format!("{maps}/a");
    assert_eq!(server.get(&path).await.ok(), object);
    object["data"]["x"] = json!("2");
    let replaced = server.put(&path, &object).await.ok();
    assert_ne!(replaced["metadata"]["resourceVersion"], object["metadata"]["resourceVersion"]);
    assert_eq!(replaced["metadata"]["uid"], object["metadata"]["uid"]);
    let status = server.put(&path, &object).await.fails(409, "Conflict");
    let message = "Operation cannot be fulfilled on configmaps \"a\": the object has been \
                   modified; please apply your changes to the latest version and try again";
    assert_eq!(status["message"], message);
    assert_eq!(status["details"], json!({"name": "a", "kind": "configmaps"}));

    let gone = server.delete(&path).await.ok();
    assert_eq!((&gone["kind"], &gone["status"]), (&json!("Status"), &json!("Success")));
    assert_eq!(gone["details"]["uid"], object["metadata"]["uid"]);
    server.get(&path).await.fails(404, "NotFound");
}

async fn a_write_without_effect_keeps_the_resource_version(server: Server) {
    let maps = server.core("configmaps");
    let object = server.post(&maps, &config_map("a", json!({"x": "1"}))).await.ok();
    let path = format!("{maps}/a");
    assert_eq!(server.put(&path, &object).await.ok(), object);
    assert_eq!(server.merge(&path, &json!({"data": {"x": "1"}})).await.ok(), object);
}

async fn generated_names(server: Server) {
    let mut map = config_map("", json!({}));
    map["metadata"] = json!({"generateName": "made-"});
    let created = server.post(&server.core("configmaps"), &map).await.ok();
    let name = text(&created, "/metadata/name");
    assert!(name.starts_with("made-") && name.len() == "made-".len() + 5, "{name}");
    assert_eq!(created["metadata"]["generateName"], "made-");
}

async fn dry_run_changes_nothing(server: Server) {
    let maps = server.core("configmaps");
    let map = config_map("a", json!({"x": "1"}));
    let created = server.post(&format!("{maps}?dryRun=All"), &map).await;
    assert_eq!(created.code, 201);
    server.get(&format!("{maps}/a")).await.fails(404, "NotFound");
    let real = server.post(&maps, &map).await.ok();
    let patched = server.merge(&format!("{maps}/a?dryRun=All"), &json!({"data": {"x": "2"}})).await;
    assert_eq!(patched.ok()["data"]["x"], "2");
    server.delete(&format!("{maps}/a?dryRun=All")).await.ok();
    assert_eq!(server.get(&format!("{maps}/a")).await.ok(), real);
    server.post(&format!("{maps}?dryRun=Some"), &map).await.fails(422, "Invalid");
}

async fn secrets_fold_string_data(server: Server) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
        "stringData": {"user": "admin"}});
    let created = server.post(&server.core("secrets"), &secret).await.ok();
    assert_eq!(created["data"]["user"], "YWRtaW4=");
    assert_eq!(created["type"], "Opaque");
    assert!(created.get("stringData").is_none());
}

async fn services_get_an_address(server: Server) {
    let services = server.core("services");
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
        "spec": {"selector": {"app": "x"}, "ports": [{"port": 80}]}});
    let created = server.post(&services, &service).await.ok();
    let ip = text(&created, "/spec/clusterIP");
    assert!(ip.starts_with("10."), "{ip}");
    assert_eq!(created["spec"]["type"], "ClusterIP");
    assert_eq!(
        created["spec"]["ports"],
        json!([{"port": 80, "protocol": "TCP", "targetPort": 80}])
    );
    let mut again = service.clone();
    again["spec"]["ports"][0]["port"] = json!(81);
    let replaced = server.put(&format!("{services}/s"), &again).await.ok();
    assert_eq!(text(&replaced, "/spec/clusterIP"), ip);
}

async fn partial_metadata_and_tables(server: Server) {
    let maps = server.core("configmaps");
    server.post(&maps, &config_map("a", json!({"x": "1", "y": "2"}))).await.ok();
    let partial = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let one = server.get_as(&format!("{maps}/a"), partial).await.ok();
    assert_eq!(
        (&one["kind"], &one["apiVersion"]),
        (&json!("PartialObjectMetadata"), &json!("meta.k8s.io/v1"))
    );
    assert_eq!(one["metadata"]["name"], "a");
    assert!(one.get("data").is_none());
    let partial = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let list = server.get_as(&maps, partial).await.ok();
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let table = server.get_as(&format!("{maps}/a"), table).await.ok();
    assert_eq!(table["kind"], "Table");
    let headers: Vec<String> = table["columnDefinitions"]
        .as_array()
        .expect("columns")
        .iter()
        .map(|it| text(it, "/name"))
        .collect();
    assert_eq!(headers, ["Name", "Data", "Age"]);
    assert_eq!(table["rows"][0]["cells"][0], "a");
    assert_eq!(table["rows"][0]["cells"][1], 2);
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
}

async fn new_namespaces_are_furnished(server: Server) {
    server.until(&server.core("serviceaccounts"), "default", |_| true).await;
    let namespace = server.get(&format!("/api/v1/namespaces/{}", server.namespace)).await.ok();
    assert_eq!(namespace["status"]["phase"], "Active");
    assert_eq!(namespace["spec"]["finalizers"], json!(["kubernetes"]));
    let label = &namespace["metadata"]["labels"]["kubernetes.io/metadata.name"];
    assert_eq!(*label, server.namespace.as_str());
}

async fn status_is_written_through_its_subresource(server: Server) {
    let claims = server.core("persistentvolumeclaims");
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "c"}, "status": {"phase": "Bound"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "manual",
                 "resources": {"requests": {"storage": "1Gi"}}}});
    let created = server.post(&claims, &claim).await.ok();
    assert_eq!(created["status"]["phase"], "Pending");
    let path = format!("{claims}/c");
    let patch = json!({"metadata": {"labels": {"from": "status"}},
        "status": {"conditions": [{"type": "Resizing", "status": "True"}]}});
    let patched = server.merge(&format!("{path}/status"), &patch).await.ok();
    assert_eq!(patched["status"]["conditions"][0]["type"], "Resizing");
    let ignored = server.merge(&path, &json!({"status": {"conditions": null}})).await.ok();
    assert_eq!(ignored["status"]["conditions"][0]["type"], "Resizing");
}

async fn generation_counts_changes_of_the_spec(server: Server) {
    let deployments = server.grouped("apps/v1", "deployments");
    let created = server.post(&deployments, &deployment("d", 0)).await.ok();
    assert_eq!(created["metadata"]["generation"], 1);
    let path = format!("{deployments}/d");
    let labelled = server.merge(&path, &json!({"metadata": {"labels": {"a": "b"}}})).await.ok();
    assert_eq!(labelled["metadata"]["generation"], 1);
    let changed = server.merge(&path, &json!({"spec": {"paused": true}})).await.ok();
    assert_eq!(changed["metadata"]["generation"], 2);
}

async fn scale_is_a_view(server: Server) {
    let deployments = server.grouped("apps/v1", "deployments");
    server.post(&deployments, &deployment("d", 0)).await.ok();
    let path = format!("{deployments}/d/scale");
    let mut scale = server.get(&path).await.ok();
    assert_eq!((&scale["kind"], &scale["apiVersion"]), (&json!("Scale"), &json!("autoscaling/v1")));
    assert_eq!(scale["status"]["selector"], "app=d");
    // Controllers write the object meanwhile: the view is written without a version.
    scale["metadata"]["resourceVersion"] = json!("");
    scale["spec"]["replicas"] = json!(2);
    let written = server.put(&path, &scale).await.ok();
    assert_eq!(written["spec"]["replicas"], 2);
    let patched = server.merge(&path, &json!({"spec": {"replicas": 1}})).await.ok();
    assert_eq!(patched["spec"]["replicas"], 1);
    let object = server.get(&format!("{deployments}/d")).await.ok();
    assert_eq!(object["spec"]["replicas"], 1);
    assert_eq!(object["metadata"]["generation"], 3);
}

async fn update_of_a_missing_object(server: Server) {
    let path = format!("{}/a", server.core("configmaps"));
    server.put(&path, &config_map("a", json!({}))).await.fails(404, "NotFound");
    server.merge(&path, &json!({"data": {}})).await.fails(404, "NotFound");
    server.delete(&path).await.fails(404, "NotFound");
}

async fn unconditional_update(server: Server) {
    let maps = server.core("configmaps");
    server.post(&maps, &config_map("a", json!({"x": "1"}))).await.ok();
    let replaced = server.put(&format!("{maps}/a"), &config_map("a", json!({"x": "2"}))).await.ok();
    assert_eq!(replaced["data"]["x"], "2");
    let stale = json!({"metadata": {"resourceVersion": "1"}, "data": {"x": "3"}});
    server.merge(&format!("{maps}/a"), &stale).await.fails(409, "Conflict");
}

async fn uid_in_an_update_is_a_precondition(server: Server) {
    let maps = server.core("configmaps");
    let mut object = server.post(&maps, &config_map("a", json!({}))).await.ok();
    object["metadata"]["uid"] = json!("00000000-0000-4000-8000-000000000000");
    object["metadata"]["resourceVersion"] = json!("");
    server.put(&format!("{maps}/a"), &object).await.fails(409, "Conflict");
}

async fn unknown_fields_warn_or_fail(server: Server) {
    let maps = server.core("configmaps");
    let mut map = config_map("a", json!({}));
    map["typo"] = json!(true);
    let warned = server.post(&maps, &map).await;
    assert!(warned.warnings.iter().any(|it| it.contains("unknown field")), "{warned:?}");
    assert!(warned.ok().get("typo").is_none());
    let mut other = map.clone();
    other["metadata"]["name"] = json!("b");
    let quiet = server.post(&format!("{maps}?fieldValidation=Ignore"), &other).await;
    assert!(quiet.warnings.is_empty(), "{quiet:?}");
    let status = server.post(&format!("{maps}?fieldValidation=Strict"), &map).await;
    let status = status.fails(400, "BadRequest");
    let message = "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding \
                   error: unknown field \"typo\"";
    assert_eq!(status["message"], message);
}

async fn quantities_are_canonical(server: Server) {
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"},
        "spec": {"hard": {"cpu": "1000m", "memory": "1024Mi", "pods": 10,
                          "requests.cpu": "0.5"}}});
    let created = server.post(&server.core("resourcequotas"), &quota).await.ok();
    let expected = json!({"cpu": "1", "memory": "1Gi", "pods": "10", "requests.cpu": "500m"});
    assert_eq!(created["spec"]["hard"], expected);
}

async fn events_have_two_faces(server: Server) {
    let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"},
        "involvedObject": {"kind": "ConfigMap", "name": "a", "namespace": server.namespace},
        "reason": "Tested", "message": "told", "type": "Normal"});
    server.post(&server.core("events"), &event).await.ok();
    let other = server.grouped("events.k8s.io/v1", "events");
    let seen = server.get(&format!("{other}/e")).await.ok();
    assert_eq!((&seen["note"], &seen["regarding"]["name"]), (&json!("told"), &json!("a")));
    assert_eq!(seen["apiVersion"], "events.k8s.io/v1");
    let selected = format!("{}?fieldSelector=involvedObject.name%3Da", server.core("events"));
    assert_eq!(super::server::names(&server.get(&selected).await.ok()), ["e"]);
}
