//! What is said about what a selection leaves out.

use events::PlacementScope::Cluster;
use serde_json::json;

use super::catalogue::{Hub, all, inside, labelled, named};
use crate::selection::{NOTES_MAX, note_texts, resolve};

fn cron_job() -> serde_json::Value {
    let owner =
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "name": "tick", "controller": true});
    json!({"ownerReferences": [owner]})
}

#[test]
fn what_every_api_server_makes_is_left_out_by_kind_and_said() {
    let mut hub = Hub::with(&["ClusterRole ours", "PriorityClass ours"]);
    let bootstrap = json!({"labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}});
    hub.add("ClusterRole admin", bootstrap.clone());
    hub.add("ClusterRole edit", bootstrap);
    hub.add("PriorityClass system-node-critical", json!({}));
    let (objects, notes) =
        hub.select_and_note(&Cluster, &[all("ClusterRole"), all("PriorityClass")]);
    assert_eq!(objects, ["PriorityClass ours", "ClusterRole ours"]);
    let why = "every API server makes its own and needs it";
    assert_eq!(
        notes,
        [
            format!("ClusterRole admin, and any like it, are left out: {why}"),
            format!("PriorityClass system-node-critical, and any like it, are left out: {why}"),
        ]
    );
}

#[test]
fn terms_that_select_nothing_are_named() {
    let mut hub = Hub::with(&["Namespace shop", "Namespace kube-public team=a"]);
    hub.add("Job shop/tick-1", cron_job());
    let (objects, notes) = hub.select_and_note(
        &Cluster,
        &[
            named("Namespace", "a25"),
            labelled("ClusterRole", "team", "a"),
            all("PriorityClass"),
            labelled("Namespace", "team", "a"),
        ],
    );
    assert_eq!(objects, [""; 0]);
    insta::assert_snapshot!(notes.join("\n"));
    // It is said of single objects, and not of those that nobody asked for.
    let (objects, notes) =
        hub.select_and_note(&inside("shop"), &[named("Job", "tick-1"), named("Secret", "none")]);
    assert_eq!(objects, [""; 0]);
    insta::assert_snapshot!("single_objects", notes.join("\n"));
    let (objects, notes) = hub.select_and_note(&Cluster, &[named("Namespace", "shop")]);
    assert_eq!((objects, notes), (vec!["Namespace shop".to_owned()], vec![]));
}

#[test]
fn an_envelope_in_a_whole_namespace_is_left_out_and_named() {
    let mut hub = Hub::with(&["Namespace shop"]);
    let data = json!({"password.yaml": {"kind": "Secret", "data": {"k": "aHVudGVy"}}});
    hub.add_with("ResourceEnvelope shop/web", json!({}), json!({"data": data}));
    hub.add("ResourceEnvelope shop/db", json!({}));
    let (objects, notes) = hub.select_and_note(&Cluster, &[named("Namespace", "shop")]);
    assert_eq!(objects, ["Namespace shop"]);
    assert_eq!(notes.len(), 2);
    for (note, name) in notes.iter().zip(["web", "db"]) {
        let start = format!("ResourceEnvelope shop/{name} is left out: this version does not open");
        assert!(note.starts_with(&start), "{note}");
    }
}

#[test]
fn a_role_binding_in_a_namespace_of_the_system_is_said_to_be_missing() {
    let mut hub = Hub::with(&["Namespace adapter", "Namespace kube-system", "Namespace shop"]);
    let about = |namespace: &str| json!({"subjects": [{"kind": "ServiceAccount", "name": "a", "namespace": namespace}]});
    let reader = "RoleBinding kube-system/auth-reader";
    hub.add_with(reader, json!({}), about("adapter"));
    hub.add_with("RoleBinding kube-system/other", json!({}), about("elsewhere"));
    let (_, notes) = hub.select_and_note(&Cluster, &[named("Namespace", "adapter")]);
    let [note] = &notes[..] else { panic!("{notes:?}") };
    for part in [reader, "allowed_namespaces", "a ResourcePlacement in kube-system"] {
        assert!(note.contains(part), "{note}");
    }
    assert_eq!(hub.select_and_note(&Cluster, &[named("Namespace", "shop")]).1, [""; 0]);
}

#[test]
fn notes_are_bounded() {
    let selectors: Vec<_> = (0..30).map(|n| named("ClusterRole", &format!("r{n}"))).collect();
    let resolved = resolve(&Cluster, &selectors, &Hub::default(), &Default::default()).unwrap();
    assert_eq!(resolved.notes.len(), 30);
    let texts = note_texts(&resolved.notes);
    assert_eq!(texts.len(), NOTES_MAX);
    assert!(texts[NOTES_MAX - 1].ends_with("(there is more like this)"), "{texts:?}");
    assert!(!texts[0].contains("more like this"));
}
