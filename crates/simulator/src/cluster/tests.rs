//! The cluster by its own words: requests in, answers out, time passed by hand.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{Cluster, ClusterOptions, Reply, Request, Response, WatchId, watch_events};

/// A cluster and the time in it.
struct World {
    cluster: Cluster,
    now: Timestamp,
}

impl World {
    fn new() -> Self {
        Self::with(ClusterOptions::default())
    }

    fn with(options: ClusterOptions) -> Self {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        Self { cluster: Cluster::new(now, options), now }
    }

    fn send(&mut self, request: Request) -> Reply {
        let reply = self.send_without_tick(request);
        self.cluster.tick(self.now);
        reply
    }

    fn send_without_tick(&mut self, request: Request) -> Reply {
        match self.cluster.handle(self.now, &request) {
            Response::Reply(reply) => reply,
            Response::Watch(_) => panic!("a watch was not expected"),
        }
    }

    fn get(&mut self, target: &str) -> Value {
        self.send(Request::get(target)).value()
    }

    fn watch(&mut self, target: &str) -> WatchId {
        match self.cluster.handle(self.now, &Request::get(target)) {
            Response::Watch(id) => id,
            Response::Reply(reply) => panic!("{}", reply.value()),
        }
    }

    fn events(&mut self, id: WatchId) -> Vec<Value> {
        watch_events(&self.cluster.poll_watch(self.now, id).lines)
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.checked_add(time).unwrap();
        self.cluster.tick(self.now);
    }
}

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
           "data": {"key": value}})
}

fn deployment(name: &str, image: &str, replicas: i64) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "main", "image": image}]}}}})
}

#[test]
fn an_object_lives_and_dies() {
    let mut world = World::new();
    let created = world.send(Request::post(CONFIG_MAPS, &config_map("a", "1")));
    assert_eq!(created.status, 201);
    let mut object = created.value();
    assert_eq!(object["metadata"]["creationTimestamp"], "2026-01-01T00:00:00Z");
    let again = world.send(Request::post(CONFIG_MAPS, &config_map("a", "1")));
    assert_eq!((again.status, again.value()["reason"].clone()), (409, json!("AlreadyExists")));

    object["data"]["key"] = json!("2");
    let path = format!("{CONFIG_MAPS}/a");
    let replaced = world.send(Request::put(&path, &object));
    assert_eq!(replaced.status, 200);
    let stale = world.send(Request::put(&path, &object));
    assert_eq!((stale.status, stale.value()["reason"].clone()), (409, json!("Conflict")));

    let gone = world.send(Request::delete(&path));
    assert_eq!(gone.value()["status"], "Success");
    assert_eq!(world.send(Request::get(&path)).status, 404);
}

#[test]
fn a_write_without_effect_moves_nothing() {
    let mut world = World::new();
    let created = world.send(Request::post(CONFIG_MAPS, &config_map("a", "1"))).value();
    let revision = world.cluster.revision();
    world.pass(Duration::from_secs(5));
    let path = format!("{CONFIG_MAPS}/a");
    let again = world.send(Request::put(&path, &created)).value();
    assert_eq!(again, created);
    assert_eq!(world.cluster.revision(), revision);
}

#[test]
fn watches_see_objects_come_into_and_leave_their_selection() {
    let mut world = World::new();
    let start = world.cluster.revision();
    let target = format!("{CONFIG_MAPS}?watch=1&labelSelector=a%3Db&resourceVersion={start}");
    let id = world.watch(&target);
    world.send(Request::post(CONFIG_MAPS, &config_map("x", "1")));
    let path = format!("{CONFIG_MAPS}/x");
    let label = |it: Value| json!({"metadata": {"labels": {"a": it}}});
    let merge = "application/merge-patch+json";
    world.send(Request::patch(&path, merge, &label(json!("b"))));
    world.send(Request::patch(&path, merge, &json!({"data": {"key": "2"}})));
    world.send(Request::patch(&path, merge, &label(Value::Null)));
    let kinds: Vec<Value> = world.events(id).iter().map(|it| it["type"].clone()).collect();
    assert_eq!(kinds, ["ADDED", "MODIFIED", "DELETED"]);

    world.cluster.forget_watch_history();
    world.send(Request::post(CONFIG_MAPS, &config_map("y", "1")));
    let late = world.watch(&target);
    let events = world.events(late);
    assert_eq!((&events[0]["type"], &events[0]["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert!(world.cluster.poll_watch(world.now, late).ended);
}

#[test]
fn a_window_of_changes_can_be_watched() {
    let mut world =
        World::with(ClusterOptions { history_events_per_kind: 3, ..ClusterOptions::default() });
    let mut revisions = vec![world.cluster.revision()];
    for number in 0..4 {
        world.send(Request::post(CONFIG_MAPS, &config_map(&format!("m{number}"), "1")));
        revisions.push(world.cluster.revision());
    }
    let mut first = |revision: u64| {
        let id = world.watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion={revision}"));
        world.events(id)[0].clone()
    };
    assert_eq!(first(revisions[0])["object"]["code"], 410);
    assert_eq!(first(revisions[1])["object"]["metadata"]["name"], "m1");
}

#[test]
fn watches_end_and_bookmark_in_time() {
    let mut world = World::new();
    let start = world.cluster.revision();
    let query = "watch=1&allowWatchBookmarks=true&timeoutSeconds=90&resourceVersion";
    let id = world.watch(&format!("{CONFIG_MAPS}?{query}={start}"));
    world.pass(Duration::from_secs(61));
    let events = world.events(id);
    assert_eq!(events[0]["type"], "BOOKMARK");
    assert_eq!(events[0]["object"]["metadata"]["resourceVersion"], start.to_string());
    world.pass(Duration::from_secs(30));
    assert!(world.cluster.poll_watch(world.now, id).ended);
    assert_eq!(world.cluster.open_watches(), 0);
}

#[test]
fn deployments_become_ready_unless_broken() {
    let mut world = World::new();
    world.send(Request::post(DEPLOYMENTS, &deployment("good", "web:1", 2)));
    world.send(Request::post(DEPLOYMENTS, &deployment("bad", "web:1-broken", 2)));
    let good = format!("{DEPLOYMENTS}/good");
    let early = world.get(&good);
    assert_eq!(early["status"]["observedGeneration"], 1);
    assert_eq!(early["status"]["unavailableReplicas"], 2);
    world.pass(Duration::from_secs(1));
    let ready = world.get(&good);
    assert_eq!(ready["status"]["availableReplicas"], 2);
    assert_eq!(ready["status"]["updatedReplicas"], 2);
    assert_eq!(ready["metadata"]["generation"], 1);
    let bad = world.get(&format!("{DEPLOYMENTS}/bad"));
    assert_eq!(bad["status"]["unavailableReplicas"], 2);
    assert!(bad["status"].get("availableReplicas").is_none());
}

#[test]
fn a_namespace_takes_its_contents_along() {
    let mut world = World::new();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}});
    world.send(Request::post("/api/v1/namespaces", &namespace));
    assert_eq!(world.get("/api/v1/namespaces/n/serviceaccounts/default")["kind"], "ServiceAccount");
    let mut held = config_map("held", "1");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    world.send(Request::post("/api/v1/namespaces/n/configmaps", &held));
    world.send(Request::delete("/api/v1/namespaces/n"));
    assert_eq!(world.get("/api/v1/namespaces/n")["status"]["phase"], "Terminating");
    let refused =
        world.send(Request::post("/api/v1/namespaces/n/configmaps", &config_map("b", "")));
    assert_eq!(refused.status, 403);
    let release = json!({"metadata": {"finalizers": null}});
    let path = "/api/v1/namespaces/n/configmaps/held";
    world.send(Request::patch(path, "application/merge-patch+json", &release));
    assert_eq!(world.send(Request::get("/api/v1/namespaces/n")).status, 404);
}

#[test]
fn dependents_follow_their_owner() {
    for (policy, owner_waits) in [("Background", false), ("Foreground", true), ("Orphan", false)] {
        let mut world = World::new();
        let owner = world.send(Request::post(CONFIG_MAPS, &config_map("owner", "1"))).value();
        let mut child = config_map("child", "1");
        child["metadata"]["finalizers"] = json!(["example.com/hold"]);
        child["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "ConfigMap",
            "name": "owner", "uid": owner["metadata"]["uid"], "blockOwnerDeletion": true}]);
        world.send(Request::post(CONFIG_MAPS, &child));
        world.send(Request::delete(&format!("{CONFIG_MAPS}/owner?propagationPolicy={policy}")));
        let child = world.get(&format!("{CONFIG_MAPS}/child"));
        let child_goes = child["metadata"]["deletionTimestamp"].is_string();
        assert_eq!(child_goes, policy != "Orphan", "{policy}");
        let owner_is_there =
            world.send(Request::get(&format!("{CONFIG_MAPS}/owner"))).status == 200;
        assert_eq!(owner_is_there, owner_waits, "{policy}");
        let release = json!({"metadata": {"finalizers": null}});
        let path = format!("{CONFIG_MAPS}/child");
        world.send(Request::patch(&path, "application/merge-patch+json", &release));
        let left = world.send(Request::get(&format!("{CONFIG_MAPS}/owner"))).status;
        assert_eq!(left, 404, "{policy}");
    }
}

#[test]
fn pages_show_one_revision() {
    let mut world = World::new();
    for name in ["a", "b", "c", "d"] {
        world.send(Request::post(CONFIG_MAPS, &config_map(name, "1")));
    }
    let first = world.get(&format!("{CONFIG_MAPS}?limit=2"));
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    let token = first["metadata"]["continue"].as_str().unwrap().to_owned();
    world.send(Request::delete(&format!("{CONFIG_MAPS}/c")));
    let rest = world.get(&format!("{CONFIG_MAPS}?continue={token}"));
    let names: Vec<&str> = rest["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|it| it["metadata"]["name"].as_str())
        .collect();
    assert_eq!(names, ["c", "d", "kube-root-ca.crt"]);
    assert_eq!(rest["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    world.cluster.forget_watch_history();
    let expired = world.send(Request::get(&format!("{CONFIG_MAPS}?continue={token}")));
    assert_eq!((expired.status, expired.value()["reason"].clone()), (410, json!("Expired")));
}

#[test]
fn the_same_calls_give_the_same_cluster() {
    let run = |seed| {
        let mut world = World::with(ClusterOptions { seed, ..ClusterOptions::default() });
        let mut named = config_map("", "1");
        named["metadata"] = json!({"generateName": "made-"});
        world.send(Request::post(CONFIG_MAPS, &named));
        world.send(Request::post(DEPLOYMENTS, &deployment("d", "web:1", 1)));
        world.pass(Duration::from_secs(1));
        (world.get(CONFIG_MAPS), world.get(DEPLOYMENTS))
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn apply_is_a_contest_of_owners() {
    let mut world = World::new();
    let path = format!("{CONFIG_MAPS}/a");
    let apply = |manager: &str, value: &str, force: bool| {
        let target = format!("{path}?fieldManager={manager}&force={force}");
        Request::apply(&target, &config_map("a", value))
    };
    assert_eq!(world.send(apply("one", "1", false)).status, 201);
    let conflict = world.send(apply("two", "2", false));
    assert_eq!(conflict.status, 409);
    let status = conflict.value();
    assert_eq!(status["details"]["causes"][0]["reason"], "FieldManagerConflict");
    assert_eq!(status["details"]["causes"][0]["field"], ".data.key");
    assert_eq!(status["message"], "Apply failed with 1 conflict: conflict with \"one\": .data.key");
    assert_eq!(world.send(apply("two", "2", true)).value()["data"]["key"], "2");
    let mut empty = config_map("a", "");
    empty["data"] = json!({});
    let gone = Request::apply(&format!("{path}?fieldManager=two"), &empty);
    assert!(world.send(gone).value().get("data").is_none());
}

fn widget_crd() -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["w"]},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": [{"name": "Joined", "type": "string",
                    "jsonPath": ".status.conditions[?(@.type==\"Joined\")].status"}],
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "required": ["size"], "properties": {
                        "size": {"type": "integer", "minimum": 1},
                        "mode": {"type": "string", "default": "fast"}}},
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}}]}})
}

#[test]
fn custom_resources_have_schemas_and_status() {
    let mut world = World::new();
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let widgets = "/apis/example.com/v1/namespaces/default/widgets";
    assert_eq!(world.send(Request::get(widgets)).status, 404);
    world.send(Request::post(crds, &widget_crd()));
    assert_eq!(world.get(widgets)["kind"], "WidgetList");
    let widget = |spec: Value| {
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"},
               "spec": spec, "status": {"phase": "invented"}})
    };
    let bad = world.send(Request::post(widgets, &widget(json!({"size": 0}))));
    assert_eq!((bad.status, bad.value()["reason"].clone()), (422, json!("Invalid")));
    let made =
        world.send(Request::post(widgets, &widget(json!({"size": 1, "typo": true})))).value();
    assert_eq!(made["spec"], json!({"size": 1, "mode": "fast"}));
    assert!(made.get("status").is_none());

    let path = format!("{widgets}/w");
    let status = json!({"status": {"conditions": [{"type": "Joined", "status": "True"}]},
                        "spec": {"size": 99}});
    let merge = "application/merge-patch+json";
    let patched = world.send(Request::patch(&format!("{path}/status"), merge, &status)).value();
    assert_eq!(
        (&patched["spec"]["size"], &patched["metadata"]["generation"]),
        (&json!(1), &json!(1))
    );
    let mut table = Request::get(widgets);
    table.accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json".to_owned();
    assert_eq!(world.send(table).value()["rows"][0]["cells"], json!(["w", "True"]));

    world.send(Request::delete(&format!("{crds}/widgets.example.com")));
    assert_eq!(world.send(Request::get(widgets)).status, 404);
}

const SERVICES: &str = "/api/v1/namespaces/default/services";
const MERGE: &str = "application/merge-patch+json";

#[test]
fn node_ports_are_allocated_kept_and_taken_back() {
    let mut world = World::new();
    let service = |name: &str, spec: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec});
    let ports =
        json!([{"name": "tcp", "port": 53}, {"name": "udp", "port": 53, "protocol": "UDP"}]);
    let made = world
        .send(Request::post(SERVICES, &service("a", json!({"type": "NodePort", "ports": ports}))))
        .value();
    let port = made["spec"]["ports"][0]["nodePort"].as_u64().unwrap();
    assert!((30000..=32767).contains(&port));
    assert_eq!(made["spec"]["ports"][1]["nodePort"], port, "one number, one node port");

    let replaced = service("a", json!({"type": "NodePort", "ports": ports}));
    let path = format!("{SERVICES}/a");
    let kept = world.send(Request::put(&path, &replaced)).value();
    assert_eq!(kept["spec"]["ports"][0]["nodePort"], port);

    let taken = json!([{"port": 80, "nodePort": port}]);
    let refused = world
        .send(Request::post(SERVICES, &service("b", json!({"type": "NodePort", "ports": taken}))));
    assert_eq!(refused.status, 422);
    assert_eq!(refused.value()["details"]["causes"][0]["field"], "spec.ports[0].nodePort");

    let inside = json!({"spec": {"type": "ClusterIP"}});
    let inside = world.send(Request::patch(&path, MERGE, &inside)).value();
    assert!(inside["spec"]["ports"][0].get("nodePort").is_none(), "{inside:#}");
    let outside = json!({"spec": {"type": "ExternalName", "externalName": "example.com"}});
    let outside = world.send(Request::patch(&path, MERGE, &outside)).value();
    assert!(outside["spec"].get("clusterIP").is_none(), "{outside:#}");
}

#[test]
fn regression_a_merge_patch_that_is_a_list() {
    let mut world = World::new();
    world.send(Request::post(CONFIG_MAPS, &config_map("a", "1")));
    let patch = Request::patch(&format!("{CONFIG_MAPS}/a"), MERGE, &json!([1]));
    assert_eq!(world.send(patch).status, 400);
}

#[test]
fn regression_objects_of_another_version_are_stored_as_such() {
    let mut world = World::new();
    let mut crd = widget_crd();
    let mut second = crd["spec"]["versions"][0].clone();
    second["name"] = json!("v2");
    second["storage"] = json!(false);
    crd["spec"]["versions"].as_array_mut().unwrap().push(second);
    world.send(Request::post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &crd));
    let path = |version: &str| format!("/apis/example.com/{version}/namespaces/default/widgets");
    let widget = json!({"apiVersion": "example.com/v2", "kind": "Widget",
                        "metadata": {"name": "w"}, "spec": {"size": 1}});
    assert_eq!(world.send(Request::post(&path("v2"), &widget)).status, 201);
    assert_eq!(world.get(&path("v1"))["items"][0]["apiVersion"], "example.com/v1");
    assert_eq!(world.get(&path("v2"))["items"][0]["apiVersion"], "example.com/v2");
}

#[test]
fn an_apply_names_no_item_twice() {
    let mut world = World::new();
    let mut twice = deployment("a", "example.com/main:1", 1);
    let container = json!({"name": "main", "image": "example.com/main:1"});
    twice["spec"]["template"]["spec"]["containers"] = json!([container, container]);
    let path = format!("{DEPLOYMENTS}/a?fieldManager=m");
    let refused = world.send(Request::apply(&path, &twice));
    assert_eq!(refused.status, 500);
    let message = refused.value()["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("duplicate entries for key [name=\"main\"]"), "{message}");
    assert_eq!(world.send(Request::post(DEPLOYMENTS, &twice)).status, 422);
}

#[test]
fn stateful_sets_roll_as_far_as_their_strategy_says() {
    let sets = "/apis/apps/v1/namespaces/default/statefulsets";
    for (strategy, updated) in [
        (json!({"type": "OnDelete"}), 0),
        (json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}), 1),
        (json!({"type": "RollingUpdate"}), 3),
    ] {
        let mut world = World::new();
        let mut set = deployment("a", "example.com/main:1", 3);
        set["kind"] = json!("StatefulSet");
        set["spec"]["updateStrategy"] = strategy.clone();
        assert_eq!(world.send(Request::post(sets, &set)).status, 201);
        world.pass(Duration::from_secs(1));
        let path = format!("{sets}/a");
        let first = world.get(&path);
        assert_eq!(first["status"]["updatedReplicas"], 3, "{strategy}");

        set["spec"]["template"]["spec"]["containers"][0]["image"] = json!("example.com/main:2");
        world.send(Request::put(&path, &set));
        world.pass(Duration::from_secs(1));
        let status = world.get(&path)["status"].clone();
        assert_eq!(status["updatedReplicas"].as_i64().unwrap_or(0), updated, "{strategy}");
        let is_done = status["currentRevision"] == status["updateRevision"];
        assert_eq!(is_done, updated == 3, "{strategy}");
    }
}

#[test]
fn claims_of_a_waiting_class_are_bound_when_used() {
    let mut world = World::new();
    let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": "late"}, "provisioner": "example.com/disk",
        "volumeBindingMode": "WaitForFirstConsumer"});
    world.send(Request::post("/apis/storage.k8s.io/v1/storageclasses", &class));
    let claims = "/api/v1/namespaces/default/persistentvolumeclaims";
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"}, "spec": {"storageClassName": "late",
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    assert_eq!(world.send(Request::post(claims, &claim)).status, 201);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.get(&format!("{claims}/data"))["status"]["phase"], "Pending");
    let mut user = deployment("a", "example.com/main:1", 1);
    user["spec"]["template"]["spec"]["volumes"] =
        json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
    assert_eq!(world.send(Request::post(DEPLOYMENTS, &user)).status, 201);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.get(&format!("{claims}/data"))["status"]["phase"], "Bound");
}

#[test]
fn an_api_service_is_available_with_its_service() {
    let mut world = World::new();
    let services = "/apis/apiregistration.k8s.io/v1/apiservices";
    let served = json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": "v1.example.com"}, "spec": {"group": "example.com", "version": "v1",
            "groupPriorityMinimum": 100, "versionPriority": 100,
            "service": {"namespace": "default", "name": "api", "port": 443}}});
    world.send(Request::post(services, &served));
    world.pass(Duration::from_secs(1));
    let path = format!("{services}/v1.example.com");
    let reason = |world: &mut World| world.get(&path)["status"]["conditions"][0]["reason"].clone();
    assert_eq!(reason(&mut world), "ServiceNotFound");
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "api"},
                         "spec": {"ports": [{"port": 443}]}});
    world.send(Request::post(SERVICES, &service));
    assert_eq!(reason(&mut world), "Passed");
    world.send(Request::delete(&format!("{SERVICES}/api")));
    assert_eq!(reason(&mut world), "ServiceNotFound");
}

#[test]
fn autoscalers_have_two_faces() {
    let mut world = World::new();
    let path = |version: &str| {
        format!("/apis/autoscaling/{version}/namespaces/default/horizontalpodautoscalers")
    };
    let scaler = json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "a"}, "spec": {"maxReplicas": 3, "targetCPUUtilizationPercentage": 60,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}});
    let made = world.send(Request::post(&path("v1"), &scaler)).value();
    assert_eq!(made["spec"]["targetCPUUtilizationPercentage"], 60, "{made:#}");
    let other = world.get(&format!("{}/a", path("v2")));
    assert_eq!(other["apiVersion"], "autoscaling/v2");
    let target = &other["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"];
    assert_eq!(*target, 60, "{other:#}");
}

#[test]
fn bootstrap_objects_are_there_when_asked_for() {
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    let names = |options| {
        let list = World::with(options).get(roles);
        let items = list["items"].as_array().unwrap();
        items.iter().map(|it| it["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let none: Vec<String> = names(ClusterOptions::default());
    assert!(none.is_empty(), "{none:?}");
    let some: Vec<String> = names(ClusterOptions::default().with_bootstrap_objects());
    assert!(some.iter().any(|it| it == "cluster-admin"), "{some:?}");
}
