//! Fleets that end and go on: each `Run` is one life of the process.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::{ClusterOptions, Fleet, Reply, Request};

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";
const MERGE: &str = "application/merge-patch+json";

/// A directory that outlives the runs in it.
struct Ground {
    dir: TempDir,
}

/// One life of a fleet with the cluster `m`.
struct Run {
    fleet: Fleet,
}

impl Ground {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("clusters.jsonl")
    }

    fn run(&self) -> Run {
        self.try_run().unwrap()
    }

    fn try_run(&self) -> Result<Run, JournalError> {
        let fleet = Fleet::manual("2026-01-01T00:00:00Z".parse().unwrap());
        let fleet = fleet.with_journal(Journal::open(self.path())?);
        fleet.add_cluster("m", ClusterOptions::default().with_nodes(2, 4, 16)).unwrap();
        Ok(Run { fleet })
    }

    fn text(&self) -> Vec<u8> {
        fs::read(self.path()).unwrap()
    }
}

impl Run {
    fn send(&self, request: Request) -> Reply {
        self.fleet.request("m", &request).unwrap()
    }

    fn get(&self, path: &str) -> Value {
        self.send(Request::get(path)).value()
    }

    fn create(&self, path: &str, object: &Value) -> Value {
        let reply = self.send(Request::post(path, object));
        assert_eq!(reply.status, 201, "{}", reply.value());
        reply.value()
    }

    fn is_there(&self, path: &str) -> bool {
        self.send(Request::get(path)).status == 200
    }

    fn release(&self, path: &str) {
        let nothing = json!({"metadata": {"finalizers": null}});
        assert_eq!(self.send(Request::patch(path, MERGE, &nothing)).status, 200, "{path}");
    }

    fn revision(&self) -> u64 {
        let list = self.get(CONFIG_MAPS);
        list["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
    }
}

fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
           "data": {"key": value}})
}

fn held(mut object: Value) -> Value {
    object["metadata"]["finalizers"] = json!(["example.com/hold"]);
    object
}

fn widget_crd() -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object",
                    "x-kubernetes-preserve-unknown-fields": true}}}]}})
}

fn widget(name: &str) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}})
}

fn workload(kind: &str, name: &str, image: &str) -> Value {
    let restart = if kind == "Job" { "Never" } else { "Always" };
    let mut object = json!({"apiVersion": if kind == "Job" { "batch/v1" } else { "apps/v1" },
        "kind": kind, "metadata": {"name": name}, "spec": {
            "selector": {"matchLabels": {"app": name}}, "template": {
                "metadata": {"labels": {"app": name}}, "spec": {"restartPolicy": restart,
                    "containers": [{"name": "c", "image": image}]}}}});
    if kind == "Job" {
        object["spec"].as_object_mut().unwrap().remove("selector");
    }
    object
}

/// Everything that a client can list, whole.
fn everything(run: &Run) -> Vec<Value> {
    let lists = ["/api/v1/namespaces", "/api/v1/configmaps", "/api/v1/services", "/api/v1/nodes"];
    let lists = lists.into_iter().chain([CRDS, WIDGETS, "/apis/apps/v1/deployments"]);
    lists.map(|path| run.get(path)["items"].clone()).collect()
}

#[test]
fn clusters_go_on_as_they_were() {
    let ground = Ground::new();
    let run = ground.run();
    run.create(CONFIG_MAPS, &config_map("kept", "1"));
    run.create(CONFIG_MAPS, &config_map("gone", "1"));
    run.create(CRDS, &widget_crd());
    run.create(WIDGETS, &widget("w"));
    let change = json!({"data": {"key": "2"}, "metadata": {"labels": {"a": "b"}}});
    run.send(Request::patch(&format!("{CONFIG_MAPS}/kept"), MERGE, &change));
    run.send(Request::delete(&format!("{CONFIG_MAPS}/gone")));
    let before = everything(&run);
    drop(run);

    let run = ground.run();
    assert_eq!(everything(&run), before);
    let selected = run.get(&format!("{CONFIG_MAPS}?labelSelector=a%3Db"));
    assert_eq!(selected["items"][0]["data"]["key"], "2");
    drop(run);
    assert_eq!(everything(&ground.run()), before, "also after a run without a change");
}

#[test]
fn uids_do_not_come_again_and_versions_never_go_back() {
    let ground = Ground::new();
    let namespaces = ground.run().get("/api/v1/namespaces")["items"].clone();
    let namespaces = namespaces.as_array().unwrap().iter();
    let mut uids: BTreeSet<String> =
        namespaces.map(|it| it["metadata"]["uid"].to_string()).collect();
    let mut revision = 0;
    for number in 0..4 {
        let run = ground.run();
        assert!(run.revision() > revision, "a new life has a version of its own");
        for name in ["a", "b", "c"].into_iter().filter(|_| number != 2) {
            let made = run.create(CONFIG_MAPS, &config_map(&format!("{name}{number}"), "1"));
            assert!(uids.insert(made["metadata"]["uid"].to_string()));
            // The last word of a life may be a deletion.
            run.send(Request::delete(&format!("{CONFIG_MAPS}/{name}{number}")));
        }
        run.fleet.cluster("m").unwrap().forget_watch_history();
        revision = run.revision();
    }
    assert_eq!(uids.len(), 4 + 9);
}

#[test]
fn what_was_read_in_an_earlier_life_is_too_old() {
    let ground = Ground::new();
    let run = ground.run();
    // Secrets: of a kind without objects somebody may have missed the last deletion.
    let lists = [CONFIG_MAPS, "/api/v1/secrets"];
    for name in ["a", "b"] {
        run.create(CONFIG_MAPS, &config_map(name, "1"));
    }
    let page = run.get(&format!("{CONFIG_MAPS}?limit=1"))["metadata"].clone();
    let revision = run.revision();
    drop(run);

    let run = ground.run();
    let cluster = run.fleet.cluster("m").unwrap();
    for list in lists {
        let watch = Request::get(&format!("{list}?watch=1&resourceVersion={revision}"));
        let crate::Response::Watch(id) = cluster.handle(&watch) else { panic!("{list}") };
        let events = crate::watch_events(&cluster.poll_watch(id).lines);
        assert_eq!(events[0]["object"]["code"], 410, "{list}");
    }
    let token = page["continue"].as_str().unwrap();
    assert_eq!(run.send(Request::get(&format!("{CONFIG_MAPS}?continue={token}"))).status, 410);
    let revision = run.revision();
    let watch = Request::get(&format!("{CONFIG_MAPS}?watch=1&resourceVersion={revision}"));
    let crate::Response::Watch(id) = cluster.handle(&watch) else { panic!("a watch") };
    run.create(CONFIG_MAPS, &config_map("c", "1"));
    let events = crate::watch_events(&cluster.poll_watch(id).lines);
    assert_eq!(events[0]["type"], "ADDED", "from now on all is as always");
}

#[test]
fn a_torn_last_line_is_dropped() {
    let ground = Ground::new();
    let run = ground.run();
    run.create(CONFIG_MAPS, &config_map("a", "1"));
    run.create(CONFIG_MAPS, &config_map("b", "1"));
    drop(run);
    let whole = ground.text();
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for length in [last, last + 1, whole.len() - 1] {
        fs::write(ground.path(), &whole[..length]).unwrap();
        let run = ground.run();
        let path = |name| format!("{CONFIG_MAPS}/{name}");
        assert!(run.is_there(&path("a")) && !run.is_there(&path("b")), "{length}");
        run.create(CONFIG_MAPS, &config_map("b", "2"));
        drop(run);
        assert_eq!(ground.run().get(&path("b"))["data"]["key"], "2");
    }
}

#[test]
fn damage_is_refused_and_left_as_it_is() {
    let ground = Ground::new();
    drop(ground.run());
    let whole = String::from_utf8(ground.text()).unwrap();
    let damaged = whole.replacen("\"cluster\"", "\"cl", 3);
    fs::write(ground.path(), &damaged).unwrap();
    let error = ground.try_run().err().unwrap();
    assert!(matches!(error, JournalError::Damaged { line: 2, .. }), "{error:?}");
    assert!(error.source().is_some());
    fs::write(ground.path(), "a shopping list\n").unwrap();
    let error = ground.try_run().err().unwrap();
    assert!(matches!(error, JournalError::Foreign { .. }), "{error:?}");
    assert_eq!(ground.text(), b"a shopping list\n");
}

#[test]
fn one_process_at_a_time() {
    let ground = Ground::new();
    let run = ground.run();
    let error = ground.try_run().err().unwrap();
    assert!(matches!(error, JournalError::InUse { .. }), "{error:?}");
    drop(run);
    ground.run();
}

#[test]
fn deletions_under_way_go_on() {
    let ground = Ground::new();
    let run = ground.run();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}});
    run.create("/api/v1/namespaces", &namespace);
    run.create("/api/v1/namespaces/n/configmaps", &held(config_map("in-it", "1")));
    run.create(CRDS, &widget_crd());
    run.create(WIDGETS, &held(widget("w")));
    let owner = run.create(CONFIG_MAPS, &config_map("owner", "1"));
    let mut child = held(config_map("child", "1"));
    child["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "ConfigMap",
        "name": "owner", "uid": owner["metadata"]["uid"], "blockOwnerDeletion": true}]);
    run.create(CONFIG_MAPS, &child);
    let crd = format!("{CRDS}/widgets.example.com");
    let owner = format!("{CONFIG_MAPS}/owner");
    let doomed = ["/api/v1/namespaces/n", crd.as_str(), owner.as_str()];
    for path in doomed {
        run.send(Request::delete(&format!("{path}?propagationPolicy=Foreground")));
    }
    drop(run);

    let run = ground.run();
    assert!(doomed.iter().all(|path| run.is_there(path)), "all are held");
    run.release("/api/v1/namespaces/n/configmaps/in-it");
    run.release(&format!("{WIDGETS}/w"));
    run.release(&format!("{CONFIG_MAPS}/child"));
    for path in doomed {
        assert!(!run.is_there(path), "{path}");
    }
}

#[test]
fn workloads_under_way_become_ready_and_ready_ones_stay() {
    let apps = |plural: &str| format!("/apis/apps/v1/namespaces/default/{plural}");
    let jobs = "/apis/batch/v1/namespaces/default/jobs".to_owned();
    let workloads = [
        ("Deployment", apps("deployments"), "/status/availableReplicas"),
        ("StatefulSet", apps("statefulsets"), "/status/updatedReplicas"),
        ("DaemonSet", apps("daemonsets"), "/status/numberAvailable"),
        ("ReplicaSet", apps("replicasets"), "/status/availableReplicas"),
        ("Job", jobs, "/status/succeeded"),
    ];
    let ground = Ground::new();
    let run = ground.run();
    for (kind, path, _) in &workloads {
        run.create(path, &workload(kind, "good", "web:1"));
        run.create(path, &workload(kind, "bad", "web:broken"));
    }
    drop(run);

    let run = ground.run();
    let ready = |run: &Run, path: &str, name: &str, field: &str| {
        run.get(&format!("{path}/{name}")).pointer(field).and_then(Value::as_i64).unwrap_or(0) > 0
    };
    for (kind, path, field) in &workloads {
        assert!(!ready(&run, path, "good", field), "{kind}");
    }
    run.fleet.advance(Duration::from_secs(1));
    for (kind, path, field) in &workloads {
        assert!(ready(&run, path, "good", field), "{kind}");
        assert!(!ready(&run, path, "bad", field), "{kind}");
    }
    drop(run);

    let run = ground.run();
    let revision = run.revision();
    run.fleet.advance(Duration::from_secs(1));
    assert_eq!(run.revision(), revision, "what is ready is left alone");
}

#[test]
fn a_cluster_that_left_is_forgotten_and_one_that_waits_is_not() {
    let ground = Ground::new();
    let run = ground.run();
    run.fleet.add_cluster("waits", ClusterOptions::default()).unwrap();
    let made = run.create(CONFIG_MAPS, &config_map("a", "1"));
    assert!(made.is_object());
    run.fleet.remove_cluster("m");
    drop(run);
    drop(ground.run());
    let journal = Journal::open(ground.path()).unwrap();
    assert_eq!(journal.cluster_names(), ["m", "waits"]);
    drop(journal);
    assert!(!ground.run().is_there(&format!("{CONFIG_MAPS}/a")));
}

#[test]
fn a_long_journal_is_rewritten() {
    let ground = Ground::new();
    let run = ground.run();
    run.create(CONFIG_MAPS, &config_map("a", "1"));
    let path = format!("{CONFIG_MAPS}/a");
    let value = "x".repeat(1024 * 1024 - 4096);
    let written: u64 = 3 * GROWTH_BYTES_MIN;
    for number in 0..written / value.len() as u64 {
        let change = json!({"data": {"key": value, "number": number.to_string()}});
        assert_eq!(run.send(Request::patch(&path, MERGE, &change)).status, 200);
    }
    let last = run.get(&path);
    drop(run);
    assert!((ground.text().len() as u64) < written / 2);
    assert_eq!(ground.run().get(&path), last);
}

#[test]
fn what_cannot_be_kept_is_not_acknowledged() {
    let ground = Ground::new();
    let run = ground.run();
    run.create(CONFIG_MAPS, &config_map("a", "1"));
    let journal = run.fleet.cluster("m").unwrap().journal().unwrap();
    // A file that is open for reading only refuses what is written to it, as a full disk does.
    journal.locked().file = File::open(ground.path()).unwrap();
    for name in ["b", "c"] {
        let refused = run.send(Request::post(CONFIG_MAPS, &config_map(name, "1")));
        assert_eq!(refused.status, 500);
        let message = refused.value()["message"].to_string();
        assert!(message.contains("clusters.jsonl cannot be written"), "{message}");
    }
    drop((run, journal));
    let run = ground.run();
    assert!(run.is_there(&format!("{CONFIG_MAPS}/a")));
    assert!(!run.is_there(&format!("{CONFIG_MAPS}/b")));
}
