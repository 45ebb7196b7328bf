//! Cases about what is noticed after a delivery, and about the member itself.

use delivery::plan::MANAGED_BY_LABEL;
use delivery::{DeliverOrder, Link as _, Observation, Observed};
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

/// What is told next of availability: the generation, and the names of what is waited for or, with
/// a minus, missing.
async fn told(world: &mut World) -> (u64, Vec<String>) {
    let observation = observed(world).await;
    let Observed::Availability(availability) = observation.what else {
        panic!("{observation:?}");
    };
    let waiting = availability.waiting.into_iter().map(|failure| failure.object.name);
    let missing = availability.missing.into_iter().map(|id| format!("-{}", id.name));
    (observation.generation, waiting.chain(missing).collect())
}

async fn observed(world: &mut World) -> Observation {
    let observation = tokio::time::timeout(DEADLINE, world.observed.recv())
        .await
        .expect("it is told in time")
        .expect("the link lives");
    assert_eq!(observation.work, world.work("web"));
    observation
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
    // A controller of the member may have given it an address in between.
    while told(&mut world).await.1 != ["-front"] {}
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

/// One object of each kind that people place most and whose availability never changes.
fn quiet_objects(world: &World) -> Vec<(Value, String)> {
    let namespace = world.tag.as_str();
    let metadata = |name: &str| json!({ "name": name, "namespace": namespace });
    let core = |plural: &str, name: &str| format!("/api/v1/namespaces/{namespace}/{plural}/{name}");
    let rbac = |plural: &str, name: &str| {
        format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/{plural}/{name}")
    };
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata("reader"),
        "rules": [{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get"] }],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": metadata("reads"),
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader",
        },
        "subjects": [{ "kind": "ServiceAccount", "name": "robot", "namespace": namespace }],
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata("inner"),
        "spec": { "ports": [{ "port": 80 }] },
    });
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": metadata("password"),
        "stringData": { "password": "not-to-be-told" },
    });
    let account =
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata("robot") });
    vec![
        (world.config_map("settings", "a"), core("configmaps", "settings")),
        (secret, core("secrets", "password")),
        (account, core("serviceaccounts", "robot")),
        (service, core("services", "inner")),
        (role, rbac("roles", "reader")),
        (binding, rbac("rolebindings", "reads")),
    ]
}

/// The next that is told of something missing. That what was missing is back may be told before, by
/// a watch that was faster than the end of the order.
async fn missed(world: &mut World) -> (u64, Vec<String>) {
    loop {
        let told = told(world).await;
        if !told.1.is_empty() {
            return told;
        }
    }
}

pub async fn regression_what_is_deleted_is_missed_whatever_its_kind(mut world: World) {
    let objects = quiet_objects(&world);
    let bodies = objects.iter().map(|(body, _)| body.clone());
    let order = world.order("web", 1, std::iter::once(world.namespace()).chain(bodies).collect());
    world.deliver(&order).await;
    for (body, path) in &objects {
        world.delete(path).await;
        let name = format!("-{}", body["metadata"]["name"].as_str().expect("it has a name"));
        assert_eq!(missed(&mut world).await, (1, vec![name]), "{path}");
        assert_eq!(world.deliver(&order).await.written, 1, "{path}");
        assert!(world.get(path).await.is_some(), "{path}");
    }
    world.clean_up().await;
}

pub async fn regression_what_went_while_no_hub_watched_is_missed(mut world: World) {
    let objects = quiet_objects(&world);
    let bodies = objects.iter().map(|(body, _)| body.clone());
    let order = world.order("web", 1, std::iter::once(world.namespace()).chain(bodies).collect());
    world.deliver(&order).await;
    for (_, path) in &objects[..2] {
        world.delete(path).await;
    }
    // A hub that was restarted knows nothing.
    world = World::new(world.client.clone(), world.tag.clone());
    let missing = world.link.assess(&order).await.expect("the link works").missing;
    let names: Vec<&str> = missing.iter().map(|id| id.name.as_str()).collect();
    assert_eq!(names, ["settings", "password"]);
    assert_eq!(world.deliver(&order).await.written, 2);
    world.clean_up().await;
}

/// The label is what watches select by: whoever takes it off hides the object.
pub async fn regression_an_object_that_lost_its_label_gets_it_again(mut world: World) {
    let order = world.order("web", 1, vec![world.namespace(), world.config_map("settings", "a")]);
    world.deliver(&order).await;
    let path = format!("/api/v1/namespaces/{}/configmaps/settings", world.tag);
    let bare = json!({ "metadata": { "labels": { MANAGED_BY_LABEL: null } } });
    world.merge(&path, &bare, "kubectl").await;
    assert_eq!(told(&mut world).await, (1, vec!["-settings".to_owned()]));
    assert_eq!(world.deliver(&order).await.written, 1);
    let live = world.get(&path).await.expect("it is there");
    assert_eq!(live["metadata"]["labels"][MANAGED_BY_LABEL], "taffrail");
    world.clean_up().await;
}

pub async fn an_order_that_waits_for_a_finalizer_hears_of_its_end(mut world: World) {
    let order = world.order("web", 1, vec![world.namespace(), world.config_map("settings", "a")]);
    world.deliver(&order).await;
    let path = format!("/api/v1/namespaces/{}/configmaps/settings", world.tag);
    let held = json!({ "metadata": { "finalizers": ["example.com/hold"] } });
    world.merge(&path, &held, "kubectl").await;
    let withdrawal = world.withdrawal("web", 2, &order);
    let remaining = world.link.withdraw(&withdrawal).await.expect("the link works").remaining;
    let message = &remaining[0].message;
    assert!(message.contains("waits for its finalizers: example.com/hold"), "{message}");
    let free = json!({ "metadata": { "finalizers": null } });
    world.merge(&path, &free, "kubectl").await;
    let observation = observed(&mut world).await;
    assert_eq!((observation.generation, observation.what), (2, Observed::MayGetOn));
    world.withdraw(&withdrawal).await;
}

pub async fn a_member_is_made_ready_for_orders(world: World) {
    for _ in 0..2 {
        world.link.prepare().await.expect("it can be");
        let works = "/apis/placement.kubernetes-fleet.io/v1beta1/appliedworks?limit=1";
        assert!(world.get(works).await.is_some(), "the kind is served when it says so");
    }
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
