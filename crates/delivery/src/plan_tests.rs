use events::cluster::ApplyStrategy;
use events::{Epoch, PlacementKey};
use serde_json::{Value, json};

use super::*;
use crate::Fence;

fn id(group: &str, kind: &str, namespace: &str, name: &str) -> ObjectId {
    ObjectId {
        group: group.to_owned(),
        version: "v1".to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

fn manifest(id: &ObjectId) -> Manifest {
    let mut metadata = json!({ "name": id.name });
    if !id.namespace.is_empty() {
        metadata["namespace"] = id.namespace.as_str().into();
    }
    let body = json!({ "apiVersion": id.api_version(), "kind": id.kind, "metadata": metadata });
    Manifest { id: id.clone(), body }
}

fn plan(manifests: Vec<Manifest>, leftovers: Vec<ObjectId>) -> Plan {
    Plan::of(&DeliverOrder {
        cluster: "m".to_owned(),
        placement: PlacementKey::cluster("p"),
        work: "p-work".to_owned(),
        fence: Fence { generation: 1, epoch: Epoch(1) },
        manifests,
        is_first: false,
        leftovers,
        apply: ApplyStrategy::default(),
        adopted: Default::default(),
        neighbours: std::sync::Arc::new(crate::Alone),
    })
}

fn names(plan: &Plan) -> Vec<Vec<&str>> {
    plan.waves
        .values()
        .map(|steps| steps.iter().map(|step| step.id.name.as_str()).collect())
        .collect()
}

fn reasons(plan: &Plan) -> Vec<(&str, &str)> {
    plan.failures.iter().map(|f| (f.object.name.as_str(), f.reason.as_str())).collect()
}

#[test]
fn manifests_are_sorted_into_waves() {
    let plan = plan(
        [
            id("apps", "Deployment", "ns", "web"),
            id("", "ConfigMap", "ns", "settings"),
            id("example.com", "Widget", "ns", "w"),
            id("", "Namespace", "", "ns"),
            id("", "Secret", "ns", "password"),
        ]
        .iter()
        .map(manifest)
        .collect(),
        Vec::new(),
    );
    assert_eq!(names(&plan), [vec!["ns"], vec!["settings", "password"], vec!["web"], vec!["w"]]);
    assert_eq!(reasons(&plan), []);
}

#[test]
fn what_cannot_be_applied_anywhere_is_reported() {
    let generated = id("batch", "Job", "ns", "");
    let other = id("", "ConfigMap", "ns", "other");
    let twice = id("", "ConfigMap", "ns", "twice");
    let plan = plan(
        vec![
            Manifest {
                id: generated.clone(),
                body: json!({
                    "apiVersion": "batch/v1", "kind": "Job",
                    "metadata": { "generateName": "job-", "namespace": "ns" },
                }),
            },
            Manifest { id: other.clone(), body: manifest(&twice).body },
            Manifest { id: id("", "ConfigMap", "ns", "no-json"), body: Value::Null },
            manifest(&twice),
            manifest(&twice),
        ],
        Vec::new(),
    );
    assert_eq!(
        reasons(&plan),
        [
            ("", "FoundGenerateName"),
            ("other", "DecodingErred"),
            ("no-json", "DecodingErred"),
            ("twice", "Duplicated"),
        ]
    );
    assert_eq!(names(&plan), [vec!["twice"]]);
}

#[test]
fn leftovers_are_what_is_not_delivered_any_more() {
    let kept = id("apps", "Deployment", "ns", "kept");
    let kept_in_old_version = ObjectId { version: "v1beta1".to_owned(), ..kept.clone() };
    let gone = id("", "Namespace", "", "gone");
    let plan = plan(vec![manifest(&kept)], vec![kept_in_old_version, gone.clone(), gone.clone()]);
    assert_eq!(plan.leftovers, BTreeMap::from([(Wave::Scopes, vec![gone])]));
}

#[test]
fn a_manifest_that_failed_keeps_what_is_there() {
    let broken = id("", "ConfigMap", "ns", "broken");
    let plan = plan(vec![Manifest { id: broken.clone(), body: json!({}) }], vec![broken]);
    assert!(plan.leftovers.is_empty(), "a manifest that cannot be read must not delete");
}

fn step(body: Value) -> Step {
    let kind = body["kind"].as_str().unwrap().to_owned();
    let group = if kind == "Deployment" { "apps" } else { "" };
    let id = id(group, &kind, "ns", "x");
    let plan = plan(vec![Manifest { id, body }], Vec::new());
    assert_eq!(reasons(&plan), []);
    plan.waves.into_values().flatten().next().unwrap()
}

fn config_map(extra: Value) -> Value {
    let mut metadata = json!({ "name": "x", "namespace": "ns" });
    for (key, value) in extra.as_object().unwrap() {
        metadata[key] = value.clone();
    }
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": { "k": "v" } })
}

#[test]
fn what_belongs_to_the_hub_stays_there() {
    let plain = step(config_map(json!({})));
    let lived = step(config_map(json!({
        "uid": "1", "resourceVersion": "5", "generation": 2, "creationTimestamp": null,
        "managedFields": [], "selfLink": "/x", "ownerReferences": [{ "name": "hub" }],
        "annotations": null, "labels": null,
    })));
    assert_eq!(plain.body(), lived.body());
    assert_eq!(plain.hash, lived.hash);
    let mut with_status = config_map(json!({}));
    with_status["status"] = json!({ "phase": "Old" });
    assert_eq!(step(with_status).hash, plain.hash);
}

#[test]
fn what_users_set_travels() {
    let step = step(config_map(json!({
        "labels": { "team": "a" }, "annotations": { "note": "n" }, "finalizers": ["example.com/f"],
    })));
    let metadata = &step.body()["metadata"];
    assert_eq!(metadata["labels"], json!({ "team": "a", MANAGED_BY_LABEL: FIELD_MANAGER }));
    assert_eq!(metadata["annotations"]["note"], "n");
    assert_eq!(metadata["annotations"][SPEC_HASH], step.hash.as_str());
    assert_eq!(metadata["finalizers"], json!(["example.com/f"]));
}

#[test]
fn everything_is_labelled_and_nothing_within_it() {
    let deployment = step(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "x", "namespace": "ns", "labels": null },
        "spec": { "template": { "metadata": { "labels": { "app": "x" } } } },
    }));
    assert_eq!(deployment.body()["metadata"]["labels"][MANAGED_BY_LABEL], FIELD_MANAGER);
    let template = &deployment.body()["spec"]["template"];
    assert_eq!(template["metadata"]["labels"], json!({ "app": "x" }), "pods must not be replaced");
    let quiet = step(config_map(json!({})));
    assert_eq!(quiet.body()["metadata"]["labels"][MANAGED_BY_LABEL], FIELD_MANAGER);
}

#[test]
fn the_hash_does_not_depend_on_itself_or_on_the_owner() {
    let first = step(config_map(json!({})));
    let owner = WorkRef { name: "p-work".to_owned(), uid: "u".to_owned() };
    let applied = first.applied(&owner, Some("7"), false);
    assert_eq!(applied["metadata"]["resourceVersion"], "7");
    assert_eq!(applied["metadata"]["ownerReferences"][0]["uid"], "u");
    assert_eq!(applied["metadata"]["ownerReferences"][0]["blockOwnerDeletion"], false);
    assert_eq!(step(applied).hash, first.hash);
    assert!(first.applied(&owner, None, false)["metadata"].get("resourceVersion").is_none());
}

#[test]
fn bodies_are_not_in_debug_output() {
    let order = DeliverOrder {
        cluster: "m".to_owned(),
        placement: PlacementKey::cluster("p"),
        work: "p-work".to_owned(),
        fence: Fence { generation: 1, epoch: Epoch(1) },
        manifests: vec![Manifest {
            id: id("", "Secret", "ns", "x"),
            body: json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": { "name": "x", "namespace": "ns" }, "stringData": { "p": "hunter2" },
            }),
        }],
        is_first: false,
        leftovers: Vec::new(),
        apply: ApplyStrategy::default(),
        adopted: Default::default(),
        neighbours: std::sync::Arc::new(crate::Alone),
    };
    let text = format!("{order:?} {:?}", Plan::of(&order));
    assert!(text.contains("Secret ns/x"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}
