//! Cases about what is noticed after a delivery, and about the member itself.

use delivery::{DeliverOrder, Link as _};
use serde_json::{Value, json};

use super::world::{DEADLINE, World};

/// Nothing on a bare member gives it an address, so the case decides when it is available.
fn load_balancer(world: &World) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "front", "namespace": world.tag },
        "spec": { "type": "LoadBalancer", "ports": [{ "port": 80 }] },
    })
}

fn order(world: &World) -> DeliverOrder {
    let bodies = vec![world.namespace(), world.config_map("settings", "a"), load_balancer(world)];
    world.order("web", 1, bodies)
}

async fn give_address(world: &World, address: Option<&str>) {
    let path = format!("/api/v1/namespaces/{}/services/front/status", world.tag);
    let ingress: Vec<Value> = address.into_iter().map(|ip| json!({ "ip": ip })).collect();
    let patch = json!({ "status": { "loadBalancer": { "ingress": ingress } } });
    world.merge(&path, &patch, "cloud").await;
}

/// What is told next: the generation and the names of what is waited for.
async fn told(world: &mut World) -> (u64, Vec<String>) {
    let observation = tokio::time::timeout(DEADLINE, world.observed.recv())
        .await
        .expect("it is told in time")
        .expect("the link lives");
    assert_eq!(observation.work, world.work("web"));
    let waiting = observation.availability.waiting;
    (observation.generation, waiting.into_iter().map(|failure| failure.object.name).collect())
}

pub async fn availability_is_reported_when_it_comes(mut world: World) {
    let order = order(&world);
    let report = world.deliver(&order).await;
    let waiting = &report.availability.waiting;
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    assert_eq!(waiting[0].reason, "ManifestNotAvailableYet");
    assert_eq!(waiting[0].message, "the load balancer has no address yet");

    give_address(&world, Some("192.0.2.1")).await;
    assert_eq!(told(&mut world).await, (1, vec![]));
    give_address(&world, None).await;
    assert_eq!(told(&mut world).await, (1, vec!["front".to_owned()]));
    world.delete(&format!("/api/v1/namespaces/{}/services/front", world.tag)).await;
    let (_, waiting) = told(&mut world).await;
    assert_eq!(waiting, ["front"]);
    world.clean_up().await;
}

pub async fn an_assessment_takes_up_where_a_delivery_ended(mut world: World) {
    let order = order(&world);
    world.deliver(&order).await;
    give_address(&world, Some("192.0.2.1")).await;
    // A hub that was restarted knows nothing.
    world = World::new(world.client.clone(), world.tag.clone());
    let availability = world.link.assess(&order).await.expect("the link works");
    assert!(availability.is_available(), "{availability:?}");
    give_address(&world, None).await;
    assert_eq!(told(&mut world).await, (1, vec!["front".to_owned()]));
    let availability = world.link.assess(&order).await.expect("the link works");
    assert_eq!(availability.waiting.len(), 1);
    world.clean_up().await;
}

/// The first that a watch hears of an object comes from a list, in which API servers leave out of
/// what kind it is.
pub async fn regression_what_is_not_available_is_not_when_it_is_listed(mut world: World) {
    let order = order(&world);
    world.deliver(&order).await;
    let waiting = world.link.assess(&order).await.expect("the link works").waiting;
    assert_eq!(waiting.len(), 1, "with a watch that has listed it: {waiting:?}");
    assert!(world.observed.try_recv().is_err(), "nothing is told of what has not changed");
    // A hub that was restarted knows nothing.
    world = World::new(world.client.clone(), world.tag.clone());
    let waiting = world.link.assess(&order).await.expect("the link works").waiting;
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    assert_eq!(waiting[0].message, "the load balancer has no address yet");
    world.clean_up().await;
}

pub async fn a_probe_tells_which_cluster_it_is(world: World) {
    let probe = world.link.probe().await.expect("the link works");
    assert!(probe.ready, "{}", probe.message);
    let system = world.get("/api/v1/namespaces/kube-system").await.expect("every cluster has it");
    assert_eq!(probe.identity, system["metadata"]["uid"]);
    assert!(probe.kubernetes_version.starts_with("v1."), "{}", probe.kubernetes_version);
    assert_eq!(probe.properties["k8s.io/k8s-version"], probe.kubernetes_version);
    let nodes = world.get("/api/v1/nodes").await.expect("nodes can be listed");
    let count = nodes["items"].as_array().map_or(0, Vec::len);
    assert_eq!(probe.properties["kubernetes-fleet.io/node-count"], count.to_string());
    assert_eq!(probe.incomplete, Vec::<String>::new());
}
