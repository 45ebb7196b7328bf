//! Watches: few, and they last.

use delivery::{DeliverOrder, Link as _, LinkError, Observed};
use serde_json::{Value, json};
use simulator::{Fault, FaultRule};

use super::{Troubled, merge};
use crate::suite::world::DEADLINE;

fn front(troubled: &Troubled) -> DeliverOrder {
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "front", "namespace": "t" },
        "spec": { "type": "LoadBalancer", "ports": [{ "port": 80 }] },
    });
    troubled.world.order("web", 1, vec![troubled.world.namespace(), service])
}

fn workload(kind: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": { "name": "web", "namespace": "t" },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "web", "image": "web:1" }] },
            },
        },
    })
}

async fn told(troubled: &mut Troubled) -> Vec<String> {
    let next = tokio::time::timeout(DEADLINE, troubled.world.observed.recv()).await;
    let observation = next.expect("it is told in time").expect("the link lives");
    let Observed::Availability(availability) = observation.what else {
        panic!("{observation:?}");
    };
    assert_eq!(availability.missing, []);
    availability.waiting.into_iter().map(|failure| failure.object.name).collect()
}

#[tokio::test(start_paused = true)]
async fn workloads_are_told_when_they_are_ready() {
    let mut troubled = Troubled::new();
    let mut stateful = workload("StatefulSet");
    stateful["metadata"]["name"] = "db".into();
    stateful["spec"]["serviceName"] = "db".into();
    let bodies = vec![troubled.world.namespace(), workload("Deployment"), stateful];
    let order = troubled.world.order("web", 1, bodies);
    let report = troubled.world.deliver(&order).await;
    assert_eq!(report.availability.waiting.len(), 2);
    while !told(&mut troubled).await.is_empty() {}
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_on_after_it_was_cut() {
    let mut troubled = Troubled::new();
    troubled.world.deliver(&front(&troubled)).await;
    let path = "/api/v1/namespaces/t/services/front/status";
    let address = |ingress: Value| json!({ "status": { "loadBalancer": { "ingress": ingress } } });
    merge(&troubled.fleet, path, "cloud", &address(json!([{ "ip": "192.0.2.1" }])));
    assert_eq!(told(&mut troubled).await, Vec::<String>::new());

    troubled.member.drop_watches();
    merge(&troubled.fleet, path, "cloud", &address(json!([])));
    assert_eq!(told(&mut troubled).await, ["front"]);

    // What happened meanwhile is not in the member's history any more: 410, and a new list.
    troubled.member.drop_watches();
    merge(&troubled.fleet, path, "cloud", &address(json!([{ "ip": "192.0.2.1" }])));
    troubled.member.forget_watch_history();
    assert_eq!(told(&mut troubled).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn regression_an_order_that_failed_is_not_followed() {
    let mut troubled = Troubled::new();
    let mut order = front(&troubled);
    let unknown = json!({
        "apiVersion": "example.com/v1", "kind": "Widget",
        "metadata": { "name": "w", "namespace": "t" },
    });
    order.manifests.extend(troubled.world.order("web", 1, vec![unknown]).manifests);
    let report = troubled.world.link.deliver(&order).await.expect("the link works");
    assert!(!report.is_applied());
    let mut back = front(&troubled).manifests.remove(1).body;
    back["metadata"]["name"] = "back".into();
    troubled.world.deliver(&troubled.world.order("zoo", 1, vec![back])).await;

    let address = json!({ "status": { "loadBalancer": { "ingress": [{ "ip": "192.0.2.1" }] } } });
    for name in ["front", "back"] {
        let path = format!("/api/v1/namespaces/t/services/{name}/status");
        merge(&troubled.fleet, &path, "cloud", &address);
    }
    // Of two that are to be told, the one of `web` would come first.
    let observation = loop {
        let next = tokio::time::timeout(DEADLINE, troubled.world.observed.recv()).await;
        let observation = next.expect("it is told in time").expect("the link lives");
        if let Observed::Availability(_) = observation.what {
            break observation;
        }
    };
    assert_eq!(observation.work, troubled.world.work("zoo"));
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_may_not_be_watched_is_named() {
    let troubled = Troubled::new();
    troubled.member.set_fault(FaultRule::new(|request| {
        (request.path == "/api/v1/services").then_some(Fault::Forbidden)
    }));
    let report = troubled.world.deliver(&front(&troubled)).await;
    assert_eq!(report.availability.waiting.len(), 1, "the delivery itself has seen it");
    let assessed = troubled.world.link.assess(&front(&troubled)).await;
    match assessed {
        Err(LinkError::Busy { message, .. }) => {
            assert!(message.starts_with("Service objects cannot be watched"), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn there_is_one_watch_for_each_kind_that_needs_it_and_none_after_the_link() {
    let troubled = Troubled::new();
    assert_eq!(troubled.member.open_watches(), 0, "nothing was delivered");
    let order = |placement: &str| {
        let mut first = workload("Deployment");
        let mut second = workload("Deployment");
        first["metadata"]["name"] = format!("{placement}-a").into();
        second["metadata"]["name"] = format!("{placement}-b").into();
        let namespace = troubled.world.order("namespace", 1, vec![troubled.world.namespace()]);
        (namespace, troubled.world.order(placement, 1, vec![first, second]))
    };
    let (namespace, _) = order("any");
    troubled.world.deliver(&namespace).await;
    for placement in ["one", "two"] {
        let (_, order) = order(placement);
        troubled.world.deliver(&order).await;
        // Waits until the watch has listed, and says nothing about how many there are.
        assert!(troubled.world.link.assess(&order).await.is_ok());
    }
    until(|| troubled.member.open_watches() == 2).await;
    let Troubled { member, world, .. } = troubled;
    drop(world);
    until(|| member.open_watches() == 0).await;
}

/// Lets other tasks run until something is so.
async fn until(is_so: impl Fn() -> bool) {
    let all = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, all).await.expect("it becomes so");
}
