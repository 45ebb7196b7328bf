//! Server-side apply.

use serde_json::{Value, json};

use super::name_cases;
use super::server::{Server, config_map, deployment, text};

name_cases![
    apply_creates_and_updates,
    applying_the_same_again_is_no_write,
    conflicts_name_manager_and_field,
    force_takes_ownership,
    fields_that_are_no_longer_applied_go,
    shared_fields_stay_until_all_let_go,
    list_maps_merge_by_key,
    updates_take_ownership,
    apply_of_the_status,
    dry_run_of_an_apply,
    managed_fields_tell_who_owns_what,
    managed_fields_can_be_cleared,
    what_an_apply_must_have,
    unknown_fields_are_errors,
    apply_of_yaml,
    empty_maps_are_claimed_but_not_kept,
    sets_merge_by_value,
    atomic_lists_have_one_owner,
];

fn by(path: &str, manager: &str) -> String {
    format!("{path}?fieldManager={manager}")
}

fn forced(path: &str, manager: &str) -> String {
    format!("{path}?fieldManager={manager}&force=true")
}

/// The entry of a manager in `metadata.managedFields`.
fn entry<'a>(object: &'a Value, manager: &str) -> Option<&'a Value> {
    let list = object["metadata"]["managedFields"].as_array()?;
    list.iter().find(|it| it["manager"] == manager)
}

async fn apply_creates_and_updates(server: Server) {
    let path = format!("{}/a", server.core("configmaps"));
    let created = server.apply(&by(&path, "one"), &config_map("a", json!({"x": "1"}))).await;
    assert_eq!(created.code, 201);
    let updated = server.apply(&by(&path, "one"), &config_map("a", json!({"x": "2"}))).await;
    assert_eq!(updated.code, 200);
    assert_eq!(updated.ok()["data"]["x"], "2");
}

async fn applying_the_same_again_is_no_write(server: Server) {
    let path = format!("{}/d", server.grouped("apps/v1", "deployments"));
    let mut config = deployment("d", 0);
    config["spec"]["template"]["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80}]);
    config["spec"]["paused"] = json!(true);
    server.apply(&by(&path, "one"), &config).await.ok();
    let observed = |it: &Value| it["status"]["observedGeneration"] == 1;
    server.until(&server.grouped("apps/v1", "deployments"), "d", observed).await;
    let before = server.get(&path).await.ok();
    let again = server.apply(&by(&path, "one"), &config).await.ok();
    assert_eq!(again["metadata"]["generation"], 1);
    assert_eq!(entry(&again, "one"), entry(&before, "one"));
}

async fn conflicts_name_manager_and_field(server: Server) {
    let path = format!("{}/a", server.core("configmaps"));
    server.apply(&by(&path, "one"), &config_map("a", json!({"x": "1", "y": "1"}))).await.ok();
    let conflict = server.apply(&by(&path, "two"), &config_map("a", json!({"x": "2"}))).await;
    let status = conflict.fails(409, "Conflict");
    let message = "Apply failed with 1 conflict: conflict with \"one\": .data.x";
    assert_eq!(status["message"], message);
    let cause = json!({"reason": "FieldManagerConflict", "message": "conflict with \"one\"",
                       "field": ".data.x"});
    assert_eq!(status["details"]["causes"], json!([cause]));
    let both = config_map("a", json!({"x": "2", "y": "2"}));
    let status = server.apply(&by(&path, "two"), &both).await.fails(409, "Conflict");
    let message = "Apply failed with 2 conflicts: conflicts with \"one\":\n- .data.x\n- .data.y";
    assert_eq!(status["message"], message);
    // The same value is no conflict: both own it then.
    let same = config_map("a", json!({"x": "1"}));
    server.apply(&by(&path, "two"), &same).await.ok();
}

async fn force_takes_ownership(server: Server) {
    let path = format!("{}/a", server.core("configmaps"));
    server.apply(&by(&path, "one"), &config_map("a", json!({"x": "1"}))).await.ok();
    let taken = server.apply(&forced(&path, "two"), &config_map("a", json!({"x": "2"}))).await.ok();
    assert_eq!(taken["data"]["x"], "2");
    assert_eq!(entry(&taken, "two").expect("two owns")["fieldsV1"], json!({"f:data": {"f:x": {}}}));
    assert!(entry(&taken, "one").is_none(), "{taken:#}");
}

async fn fields_that_are_no_longer_applied_go(server: Server) {
    let path = format!("{}/a", server.core("configmaps"));
    let mut config = config_map("a", json!({"x": "1", "y": "1"}));
    config["metadata"]["labels"] = json!({"a": "b"});
    server.apply(&by(&path, "one"), &config).await.ok();
    server.merge(&path, &json!({"data": {"other": "1"}})).await.ok();
    let less = config_map("a", json!({"x": "1"}));
    let left = server.apply(&by(&path, "one"), &less).await.ok();
    assert_eq!(left["data"], json!({"x": "1", "other": "1"}));
    assert!(left["metadata"].get("labels").is_none());
}

async fn shared_fields_stay_until_all_let_go(server: Server) {
    let path = format!("{}/a", server.core("configmaps"));
    let config = config_map("a", json!({"x": "1"}));
    let bare = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    server.apply(&by(&path, "one"), &config).await.ok();
    server.apply(&by(&path, "two"), &config).await.ok();
    let still = server.apply(&by(&path, "one"), &bare).await.ok();
    assert_eq!(still["data"]["x"], "1");
    let gone = server.apply(&by(&path, "two"), &bare).await.ok();
    assert!(gone.get("data").is_none(), "{gone:#}");
}

async fn list_maps_merge_by_key(server: Server) {
    let path = format!("{}/d", server.grouped("apps/v1", "deployments"));
    let mut config = deployment("d", 0);
    config["spec"]["template"]["spec"]["containers"][0]["ports"] =
        json!([{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}]);
    server.apply(&by(&path, "one"), &config).await.ok();
    let side = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"template": {"spec": {"containers": [
            {"name": "side", "image": "side:1"},
            {"name": "main", "env": [{"name": "X", "value": "1"}]}]}}}});
    let both = server.apply(&by(&path, "two"), &side).await.ok();
    let containers = both["spec"]["template"]["spec"]["containers"].as_array().expect("a list");
    assert_eq!(containers.len(), 2);
    let main = containers.iter().find(|it| it["name"] == "main").expect("main is there");
    assert_eq!(
        (&main["image"], &main["env"][0]["name"]),
        (&json!("example.com/main:1"), &json!("X"))
    );
    assert_eq!(main["ports"].as_array().map(Vec::len), Some(2));
    let bare = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}});
    let left = server.apply(&by(&path, "two"), &bare).await.ok();
    let containers = left["spec"]["template"]["spec"]["containers"].as_array().expect("a list");
    assert_eq!(containers.len(), 1);
    assert!(containers[0].get("env").is_none());
}

async fn updates_take_ownership(server: Server) {
    let maps = server.core("configmaps");
    let path = format!("{maps}/a");
    server.apply(&by(&path, "one"), &config_map("a", json!({"x": "1"}))).await.ok();
    let edit = json!({"data": {"x": "2"}});
    let edited = server.merge(&by(&path, "editor"), &edit).await.ok();
    let owned = entry(&edited, "editor").expect("the editor owns");
    assert_eq!(
        (&owned["operation"], &owned["fieldsV1"]),
        (&json!("Update"), &json!({"f:data": {"f:x": {}}}))
    );
    let conflict = server.apply(&by(&path, "one"), &config_map("a", json!({"x": "3"}))).await;
    let status = conflict.fails(409, "Conflict");
    let message = text(&status, "/message");
    assert!(message.contains("conflict with \"editor\" using v1"), "{message}");
    assert!(message.ends_with(": .data.x"), "{message}");
}

async fn apply_of_the_status(server: Server) {
    let deployments = server.grouped("apps/v1", "deployments");
    let path = format!("{deployments}/d");
    let mut config = deployment("d", 0);
    config["status"] = json!({"replicas": 7});
    let created = server.apply(&by(&path, "one"), &config).await.ok();
    assert_ne!(created["status"]["replicas"], 7);
    let condition = json!({"type": "Tested", "status": "True"});
    let status = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"replicas": 9}, "status": {"conditions": [condition]}});
    let applied = server.apply(&by(&format!("{path}/status"), "watcher"), &status).await.ok();
    assert_eq!(applied["spec"]["replicas"], 0);
    let owned = entry(&applied, "watcher").expect("the watcher owns");
    assert_eq!(owned["subresource"], "status");
    let fields = &owned["fieldsV1"];
    assert!(fields["f:status"]["f:conditions"]["k:{\"type\":\"Tested\"}"].is_object(), "{fields}");
    assert!(fields.get("f:spec").is_none(), "{fields}");
    let none = format!("{deployments}/none/status");
    let mut missing = status.clone();
    missing["metadata"]["name"] = json!("none");
    server.apply(&by(&none, "watcher"), &missing).await.fails(404, "NotFound");
}

async fn dry_run_of_an_apply(server: Server) {
    let path = format!("{}/a", server.core("configmaps"));
    let config = config_map("a", json!({"x": "1"}));
    let target = format!("{path}?fieldManager=one&dryRun=All");
    assert_eq!(server.apply(&target, &config).await.code, 201);
    server.get(&path).await.fails(404, "NotFound");
    let before = server.apply(&by(&path, "one"), &config).await.ok();
    let change = config_map("a", json!({"x": "2"}));
    assert_eq!(server.apply(&target, &change).await.ok()["data"]["x"], "2");
    assert_eq!(server.get(&path).await.ok(), before);
    let other = format!("{path}?fieldManager=two&dryRun=All");
    server.apply(&other, &change).await.fails(409, "Conflict");
}

async fn managed_fields_tell_who_owns_what(server: Server) {
    let maps = server.core("configmaps");
    let mut map = config_map("a", json!({"x": "1"}));
    map["metadata"]["labels"] = json!({"l": "1"});
    let created = server.post(&by(&maps, "creator"), &map).await.ok();
    let owned = entry(&created, "creator").expect("the creator owns");
    assert_eq!(owned["operation"], "Update");
    assert_eq!(owned["apiVersion"], "v1");
    assert_eq!(owned["fieldsType"], "FieldsV1");
    let fields = json!({"f:data": {".": {}, "f:x": {}},
                        "f:metadata": {"f:labels": {".": {}, "f:l": {}}}});
    assert_eq!(owned["fieldsV1"], fields);
    let mut config = config_map("a", json!({"y": "1"}));
    config["metadata"]["annotations"] = json!({"k": "v"});
    let applied = server.apply(&by(&format!("{maps}/a"), "applier"), &config).await.ok();
    let owned = entry(&applied, "applier").expect("the applier owns");
    let fields = json!({"f:data": {"f:y": {}}, "f:metadata": {"f:annotations": {"f:k": {}}}});
    assert_eq!(owned["fieldsV1"], fields);
}

async fn managed_fields_can_be_cleared(server: Server) {
    let path = format!("{}/a", server.core("configmaps"));
    server.apply(&by(&path, "one"), &config_map("a", json!({"x": "1"}))).await.ok();
    let clear = json!({"metadata": {"managedFields": [{}]}});
    let cleared = server.merge(&path, &clear).await.ok();
    assert!(cleared["metadata"].get("managedFields").is_none(), "{cleared:#}");
    let conflict = server.apply(&by(&path, "two"), &config_map("a", json!({"x": "2"}))).await;
    let status = conflict.fails(409, "Conflict");
    assert!(text(&status, "/message").contains("before-first-apply"), "{status:#}");
}

async fn what_an_apply_must_have(server: Server) {
    let path = format!("{}/a", server.core("configmaps"));
    let config = config_map("a", json!({}));
    server.apply(&path, &config).await.fails(422, "Invalid");
    server.apply(&by(&path, "one"), &json!({"data": {}})).await.fails(400, "BadRequest");
    let mut managed = config.clone();
    managed["metadata"]["managedFields"] = json!([{"manager": "x"}]);
    server.apply(&by(&path, "one"), &managed).await.fails(400, "BadRequest");
    let renamed = config_map("b", json!({}));
    server.apply(&by(&path, "one"), &renamed).await.fails(400, "BadRequest");
}

async fn unknown_fields_are_errors(server: Server) {
    let path = format!("{}/a", server.core("configmaps"));
    let mut config = config_map("a", json!({}));
    config["typo"] = json!(true);
    let answer = server.apply(&by(&path, "one"), &config).await;
    assert_eq!(answer.code, 500, "{:#}", answer.body);
    let message = text(&answer.body, "/message");
    assert!(message.contains(".typo: field not declared in schema"), "{message}");
}

async fn apply_of_yaml(server: Server) {
    let path = format!("{}/a", server.core("configmaps"));
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  x: \"1\"\n";
    let created = server.apply_text(&by(&path, "one"), yaml).await.ok();
    assert_eq!(created["data"]["x"], "1");
}

/// An empty map is claimed as such, but not kept: the next to claim it seems to add it.
async fn empty_maps_are_claimed_but_not_kept(server: Server) {
    let path = format!("{}/a", server.core("configmaps"));
    let made = server.apply(&by(&path, "one"), &config_map("a", json!({}))).await.ok();
    assert!(made.get("data").is_none(), "{made:#}");
    let owned = entry(&made, "one").expect("one owns");
    assert_eq!(owned["fieldsV1"], json!({"f:data": {}}));
    let status = server.apply(&by(&path, "two"), &config_map("a", json!({}))).await;
    assert_eq!(status.fails(409, "Conflict")["details"]["causes"][0]["field"], ".data");
}

async fn sets_merge_by_value(server: Server) {
    let path = format!("{}/a", server.core("configmaps"));
    let bare = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    let held_by = |finalizer: &str| {
        let mut config = bare.clone();
        config["metadata"]["finalizers"] = json!([finalizer]);
        config
    };
    server.apply(&by(&path, "one"), &held_by("example.com/one")).await.ok();
    let both = server.apply(&by(&path, "two"), &held_by("example.com/two")).await.ok();
    assert_eq!(both["metadata"]["finalizers"], json!(["example.com/one", "example.com/two"]));
    let left = server.apply(&by(&path, "one"), &bare).await.ok();
    assert_eq!(left["metadata"]["finalizers"], json!(["example.com/two"]));
    server.apply(&by(&path, "two"), &bare).await.ok();
}

async fn atomic_lists_have_one_owner(server: Server) {
    let path = format!("{}/d", server.grouped("apps/v1", "deployments"));
    let mut config = deployment("d", 0);
    config["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["a", "b"]);
    server.apply(&by(&path, "one"), &config).await.ok();
    config["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["a", "c"]);
    let status = server.apply(&by(&path, "two"), &config).await.fails(409, "Conflict");
    let field = ".spec.template.spec.containers[name=\"main\"].args";
    assert_eq!(status["details"]["causes"][0]["field"], field);
}
