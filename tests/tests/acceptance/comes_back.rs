//! What was placed stays placed, and a removal that hangs says so. On simulated clusters and on real
//! ones.

use std::sync::Arc;
use std::time::{Duration, Instant};

use acceptance::ground::{Cluster, Ground};
use acceptance::scenarios::{available, place_as, shows, write_app};
use acceptance::wait::eventually;
use acceptance::{hubs, in_a_system, raw, recorded};
use actors::node::Ownership;
use event_log::{Log, MemoryLog, PARTITIONS};
use events::Event;
use events::cluster::ClusterEvent;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::{Value, json};

/// How long what is deleted on a member, or a removal that may go on, may take: the watch, an event
/// and an order. Some hundred milliseconds on a machine that has nothing else to do.
const AT_ONCE: Duration = Duration::from_secs(5);

fn placements(ground: &Ground) -> Api<api::ClusterResourcePlacement> {
    Api::all(ground.hub.client.clone())
}

async fn place(ground: &Ground, namespace: &str) {
    let selector = json!({ "group": "", "version": "v1", "kind": "Namespace", "name": namespace });
    let policy = json!({ "placementType": "PickAll" });
    place_as(ground, namespace, json!({ "resourceSelectors": [selector], "policy": policy })).await;
    shows(ground, namespace, &available(1)).await;
}

async fn merge(cluster: &Cluster, path: &str, patch: &Value) {
    let request = http::Request::patch(path)
        .header("content-type", "application/merge-patch+json")
        .body(patch.to_string().into_bytes())
        .expect("a valid request");
    let merged: Result<Value, _> = cluster.client.request(request).await;
    merged.unwrap_or_else(|error| panic!("PATCH {path}: {error}"));
}

/// A ConfigMap and a Secret are deleted on the member, neither of which ever changes by itself.
async fn what_is_deleted_on_a_member_comes_back(ground: &Ground, log: &dyn Log) {
    let (member, namespace) = (&ground.members[0], "comes-back");
    let at = |plural: &str, name: &str| format!("/api/v1/namespaces/{namespace}/{plural}/{name}");
    write_app(ground, namespace, "hello").await;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "token" },
        "stringData": { "token": "not-to-be-told" },
    });
    raw::apply(&ground.hub.client, &at("secrets", "token"), &secret).await;
    place(ground, namespace).await;
    for path in &[at("configmaps", "settings"), at("secrets", "token")] {
        eventually("it arrives", || async { raw::get(&member.client, path).await.is_some() }).await;
        let since = Instant::now();
        raw::delete(&member.client, path).await;
        eventually("it comes back", || async { raw::get(&member.client, path).await.is_some() })
            .await;
        assert!(since.elapsed() < AT_ONCE, "{path} took {:?}", since.elapsed());
        shows(ground, namespace, &available(1)).await;
    }
    let missed = missed(log).await;
    assert_eq!(missed, ["settings", "token"], "each is an event that says what was missing");
    for cluster in [&ground.hub, member] {
        raw::delete(&cluster.client, &format!("/api/v1/namespaces/{namespace}")).await;
    }
}

/// The objects that are on record as missing.
async fn missed(log: &dyn Log) -> Vec<String> {
    let mut missed = vec![];
    for envelope in recorded::events(log, PARTITIONS).await.expect("the log can be read") {
        if let Event::Cluster(ClusterEvent::DeliveryDisturbed(disturbed)) = envelope.event {
            missed.extend(disturbed.missing.into_iter().map(|missing| missing.object.name));
        }
    }
    missed
}

/// A finalizer holds an object of a placement that goes.
async fn a_removal_that_hangs_says_so_and_goes_on_at_once(ground: &Ground) {
    let (member, namespace) = (&ground.members[0], "hangs");
    write_app(ground, namespace, "hello").await;
    place(ground, namespace).await;
    let map = format!("/api/v1/namespaces/{namespace}/configmaps/settings");
    eventually("it arrives", || async { raw::get(&member.client, &map).await.is_some() }).await;
    let held = json!({ "metadata": { "finalizers": ["example.com/hold"] } });
    merge(member, &map, &held).await;
    placements(ground).delete(namespace, &DeleteParams::default()).await.expect("it is there");
    let says = || async {
        let placement = placements(ground).get_opt(namespace).await.expect("it answers");
        let status = placement.and_then(|placement| placement.status).unwrap_or_default();
        let mut messages = status.conditions.iter().map(|condition| condition.message.as_str());
        messages.any(|message| {
            [member.name.as_str(), "settings", "example.com/hold"]
                .iter()
                .all(|word| message.contains(word))
        })
    };
    eventually("the placement says which member, object and finalizer it waits for", says).await;

    let free = json!({ "metadata": { "finalizers": null } });
    merge(member, &map, &free).await;
    let since = Instant::now();
    // The namespace is next; how long it takes to go after that is its member's matter.
    let home = format!("/api/v1/namespaces/{namespace}");
    let goes_on = || async {
        let live = raw::get(&member.client, &home).await;
        live.is_none_or(|live| live["metadata"]["deletionTimestamp"].is_string())
    };
    eventually("the removal goes on", goes_on).await;
    assert!(since.elapsed() < AT_ONCE, "it took {:?}", since.elapsed());
    let gone =
        || async { placements(ground).get_opt(namespace).await.expect("it answers").is_none() };
    eventually("the placement is gone", gone).await;
    raw::delete(&ground.hub.client, &format!("/api/v1/namespaces/{namespace}")).await;
}

async fn play(ground: &Ground) {
    let data = tempfile::tempdir().expect("a directory can be made");
    let log = Arc::new(MemoryLog::new());
    let hub = hubs::start("hub-a", ground, log.clone(), data.path(), Ownership::Alone).await;
    ground.join(&ground.members[0], &[]).await;
    what_is_deleted_on_a_member_comes_back(ground, &*log).await;
    a_removal_that_hangs_says_so_and_goes_on_at_once(ground).await;
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
