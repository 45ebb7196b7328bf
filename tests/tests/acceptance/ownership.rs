//! Nothing of others is lost: what was on members before, what two placements want, what people put
//! into kinds that a placement brought. On simulated clusters and on real ones.

use std::sync::Arc;

use acceptance::ground::{Cluster, Ground};
use acceptance::scenarios::{available, greeting_on, place_as, shows, stands, write_app};
use acceptance::wait::{come, eventually};
use acceptance::{hubs, in_a_system, raw, recorded};
use actors::node::Ownership;
use event_log::{Log, MemoryLog, PARTITIONS};
use events::Event;
use events::cluster::ClusterEvent;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::{Value, json};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

fn placements(ground: &Ground) -> Api<api::ClusterResourcePlacement> {
    Api::all(ground.hub.client.clone())
}

/// A kind of which there is one for each test: definition, and the path of its objects.
fn boats(group: &str) -> (String, Value) {
    let name = format!("boats.{group}");
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": name },
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": { "plural": "boats", "singular": "boat", "kind": "Boat", "listKind": "BoatList" },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                } },
            }],
        },
    });
    (name, definition)
}

fn boat(group: &str, namespace: &str, name: &str) -> (String, Value) {
    let path = format!("/apis/{group}/v1/namespaces/{namespace}/boats/{name}");
    let boat = json!({
        "apiVersion": format!("{group}/v1"), "kind": "Boat",
        "metadata": { "name": name, "namespace": namespace }, "spec": { "length": 7 },
    });
    (path, boat)
}

fn select(group: &str, kind: &str, name: &str) -> Value {
    json!({ "group": group, "version": "v1", "kind": kind, "name": name })
}

fn select_definition(name: &str) -> Value {
    select("apiextensions.k8s.io", "CustomResourceDefinition", name)
}

async fn place(ground: &Ground, name: &str, selectors: &[Value]) {
    let policy = json!({ "placementType": "PickAll" });
    place_as(ground, name, json!({ "resourceSelectors": selectors, "policy": policy })).await;
}

/// Waits until a placement is available and a member has this of it: before the hub has seen what is
/// selected, a placement is available with nothing.
async fn arrives(ground: &Ground, name: &str, path: &str) {
    let member = &ground.members[0];
    eventually(&format!("{path} arrives with {name}"), || async {
        raw::get(&member.client, path)
            .await
            .is_some_and(|object| !object["metadata"]["ownerReferences"].is_null())
    })
    .await;
    shows(ground, name, &available(1)).await;
}

async fn delete(ground: &Ground, name: &str) {
    placements(ground).delete(name, &DeleteParams::default()).await.expect("it is there");
    let gone = || async { placements(ground).get_opt(name).await.expect("it answers").is_none() };
    eventually(&format!("{name} is gone"), gone).await;
}

async fn uid_of(cluster: &Cluster, path: &str) -> Option<String> {
    let object = raw::get(&cluster.client, path).await?;
    object["metadata"]["uid"].as_str().map(str::to_owned)
}

/// Two teams bring one kind. It changes owner with its uid and objects, and goes with the last.
async fn two_placements_want_one_kind(ground: &Ground) {
    let (member, group) = (&ground.members[0], "two.example.com");
    let (name, definition) = boats(group);
    let path = format!("{DEFINITIONS}/{name}");
    raw::apply(&ground.hub.client, &path, &definition).await;
    place(ground, "boats-a", &[select_definition(&name)]).await;
    arrives(ground, "boats-a", &path).await;
    place(ground, "boats-b", &[select_definition(&name)]).await;
    stands(ground, "boats-b", "Applied", "False", "ApplyFailed").await;
    let uid = uid_of(member, &path).await;
    let (one, body) = boat(group, "default", "one");
    raw::apply(&member.client, &one, &body).await;

    delete(ground, "boats-a").await;
    shows(ground, "boats-b", &available(1)).await;
    assert_eq!(uid_of(member, &path).await, uid, "the kind is the same");
    assert!(raw::get(&member.client, &one).await.is_some(), "its object is still there");

    raw::delete(&member.client, &one).await;
    delete(ground, "boats-b").await;
    assert_eq!(uid_of(member, &path).await, None, "nobody wants it any more");
    raw::delete(&ground.hub.client, &path).await;
}

/// People on a member make objects of a kind that a placement brought.
async fn a_kind_with_objects_of_others_stays(ground: &Ground, log: &dyn Log) {
    let (member, group) = (&ground.members[0], "theirs.example.com");
    let (name, definition) = boats(group);
    let path = format!("{DEFINITIONS}/{name}");
    raw::apply(&ground.hub.client, &path, &definition).await;
    place(ground, "kind", &[select_definition(&name)]).await;
    arrives(ground, "kind", &path).await;
    let (one, body) = boat(group, "default", "theirs");
    raw::apply(&member.client, &one, &body).await;
    delete(ground, "kind").await;
    assert!(raw::get(&member.client, &one).await.is_some());
    let said = noted(log, &name).await;
    let why = "there are Boat objects on the member, such as default/theirs";
    assert!(said.iter().any(|note| note.contains(why)), "{said:?}");
    for cluster in [&ground.hub, member] {
        raw::delete(&cluster.client, &path).await;
    }
}

/// A kind is not selected any more while its objects are: it stays until they go.
async fn a_kind_stays_while_its_objects_are_placed(ground: &Ground) {
    let (member, group, namespace) = (&ground.members[0], "kept.example.com", "harbour");
    let (name, definition) = boats(group);
    let path = format!("{DEFINITIONS}/{name}");
    raw::apply(&ground.hub.client, &path, &definition).await;
    write_app(ground, namespace, "ahoy").await;
    let (one, body) = boat(group, namespace, "one");
    come("the hub takes boats", || async {
        let served = raw::get(&ground.hub.client, &format!("/apis/{group}/v1")).await;
        served.filter(|list| list["resources"].as_array().is_some_and(|all| !all.is_empty()))
    })
    .await;
    raw::apply(&ground.hub.client, &one, &body).await;
    let both = [select_definition(&name), select("", "Namespace", namespace)];
    place(ground, "harbour", &both).await;
    shows(ground, "harbour", &available(1)).await;
    let on_member = || async { raw::get(&member.client, &one).await.is_some() };
    eventually("the boat arrives", on_member).await;
    let uid = uid_of(member, &path).await;

    place(ground, "harbour", &both[1..]).await;
    shows(ground, "harbour", &available(2)).await;
    let status = placements(ground).get("harbour").await.expect("it is there").status;
    let conditions = status.expect("it has one").placement_statuses.remove(0).conditions;
    let applied = conditions.iter().find(|c| c.type_ == "Applied").expect("it is applied");
    assert!(applied.message.contains(&format!("{name} is not selected any more and is kept")));
    assert_eq!(uid_of(member, &path).await, uid);
    assert!(raw::get(&member.client, &one).await.is_some());

    raw::delete(&ground.hub.client, &one).await;
    eventually("the boat goes, then its kind", || async { uid_of(member, &path).await.is_none() })
        .await;
    delete(ground, "harbour").await;
    raw::delete(&ground.hub.client, &path).await;
    raw::delete(&ground.hub.client, &format!("/api/v1/namespaces/{namespace}")).await;
}

/// What a member had before the placement outlives it, and history says that it was adopted.
async fn what_was_there_before_outlives_the_placement(ground: &Ground, log: &dyn Log) {
    let (member, namespace) = (&ground.members[0], "lived-in");
    let path = format!("/api/v1/namespaces/{namespace}");
    let before = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace },
    });
    let made = raw::apply(&member.client, &path, &before).await;
    write_app(ground, namespace, "hello").await;
    place(ground, "lived-in", &[select("", "Namespace", namespace)]).await;
    arrives(ground, "lived-in", &path).await;
    delete(ground, "lived-in").await;
    let after = raw::get(&member.client, &path).await.expect("it outlives the placement");
    assert_eq!(after["metadata"]["uid"], made["metadata"]["uid"]);
    assert_eq!(after["metadata"].get("deletionTimestamp"), None);
    let map = format!("{path}/configmaps/settings");
    assert_eq!(raw::get(&member.client, &map).await, None, "what was placed is gone");
    let said = noted(log, namespace).await;
    for word in ["adopted", "let go"] {
        assert!(said.iter().any(|note| note.starts_with(word)), "{word}: {said:?}");
    }
    for cluster in [&ground.hub, member] {
        raw::delete(&cluster.client, &path).await;
    }
}

/// A placement goes while the member is no member. When the member comes back, what was left there
/// gives way to whoever wants it now, and goes with that one.
async fn what_a_former_life_left_gives_way(ground: &Ground) {
    let (member, namespace) = (&ground.members[0], "former");
    let path = format!("/api/v1/namespaces/{namespace}");
    write_app(ground, namespace, "first").await;
    place(ground, "former-a", &[select("", "Namespace", namespace)]).await;
    arrives(ground, "former-a", &path).await;
    let uid = uid_of(member, &path).await;
    let members: Api<api::MemberCluster> = Api::all(ground.hub.client.clone());
    members.delete(&member.name, &DeleteParams::default()).await.expect("it is there");
    let left = || async { members.get_opt(&member.name).await.expect("it answers").is_none() };
    eventually("the member has left", left).await;
    delete(ground, "former-a").await;
    assert_eq!(uid_of(member, &path).await, uid, "what was placed stays after a leave");

    ground.register(&member.name, &[]).await;
    write_app(ground, namespace, "second").await;
    place(ground, "former-b", &[select("", "Namespace", namespace)]).await;
    shows(ground, "former-b", &available(1)).await;
    assert_eq!(greeting_on(member, namespace).await.as_deref(), Some("second"));
    assert_eq!(uid_of(member, &path).await, uid, "it was taken over, not made anew");
    delete(ground, "former-b").await;
    eventually("it goes with the placement that took it over", || async {
        uid_of(member, &path).await.is_none()
    })
    .await;
    raw::delete(&ground.hub.client, &path).await;
}

/// The namespace of a ResourcePlacement was brought by another placement, which goes first.
async fn a_namespace_stays_under_the_objects_of_another_placement(ground: &Ground) {
    let (member, namespace) = (&ground.members[0], "shared-home");
    let path = format!("/api/v1/namespaces/{namespace}");
    write_app(ground, namespace, "stays").await;
    let mut home = select("", "Namespace", namespace);
    home["selectionScope"] = json!("NamespaceOnly");
    let inside = json!({
        "apiVersion": "placement.kubernetes-fleet.io/v1beta1", "kind": "ResourcePlacement",
        "metadata": { "name": "settings", "namespace": namespace },
        "spec": {
            "resourceSelectors": [select("", "ConfigMap", "settings")],
            "policy": { "placementType": "PickAll" },
        },
    });
    let at = format!(
        "/apis/placement.kubernetes-fleet.io/v1beta1/namespaces/{namespace}/resourceplacements/settings"
    );
    // The one that needs the namespace comes first, and goes on as soon as it is there.
    raw::apply(&ground.hub.client, &at, &inside).await;
    let lacks = || async {
        let placement = raw::get(&ground.hub.client, &at).await.expect("it is there");
        placement.to_string().contains("does not exist on the member: place it too")
    };
    eventually("the placement says what it lacks", lacks).await;
    place(ground, "home", &[home]).await;
    arrives(ground, "home", &path).await;
    let arrives = || async { greeting_on(member, namespace).await.is_some() };
    eventually("what was lacking its namespace arrives", arrives).await;

    delete(ground, "home").await;
    assert_eq!(greeting_on(member, namespace).await.as_deref(), Some("stays"));
    raw::delete(&ground.hub.client, &at).await;
    eventually("the placement goes", || async {
        raw::get(&ground.hub.client, &at).await.is_none()
    })
    .await;
    assert_eq!(greeting_on(member, namespace).await, None);
    for cluster in [&ground.hub, member] {
        raw::delete(&cluster.client, &path).await;
    }
}

/// What is noted on record of an object.
async fn noted(log: &dyn Log, object: &str) -> Vec<String> {
    let events = recorded::events(log, PARTITIONS).await.expect("the log can be read");
    let notes = events.into_iter().flat_map(|envelope| match envelope.event {
        Event::Cluster(ClusterEvent::DeliveryNoted(noted)) => noted.notes,
        Event::Cluster(_) | Event::Placement(_) | Event::Fleet(_) => vec![],
    });
    notes.filter(|one| one.object.name == object).map(|one| one.note.to_string()).collect()
}

async fn play(ground: &Ground) {
    let data = tempfile::tempdir().expect("a directory can be made");
    let log = Arc::new(MemoryLog::new());
    let hub = hubs::start("hub-a", ground, log.clone(), data.path(), Ownership::Alone).await;
    ground.join(&ground.members[0], &[]).await;
    two_placements_want_one_kind(ground).await;
    a_kind_with_objects_of_others_stays(ground, &*log).await;
    a_kind_stays_while_its_objects_are_placed(ground).await;
    what_was_there_before_outlives_the_placement(ground, &*log).await;
    a_namespace_stays_under_the_objects_of_another_placement(ground).await;
    what_a_former_life_left_gives_way(ground).await;
    hub.shutdown().await;
    let report = actors::replay::verify(&*log, PARTITIONS).await.expect("the log can be read");
    assert_eq!(report.first_difference, None);
}

#[test]
fn on_simulated_clusters() {
    in_a_system(async {
        let ground = Ground::simulated(1).await;
        play(&ground).await;
        ground.stop();
    });
}

#[test]
fn on_real_clusters() {
    in_a_system(async {
        let Some(ground) = Ground::real().await else { return };
        ground.tidy().await;
        play(&ground).await;
        ground.tidy().await;
    });
}
