//! Cases about what is removed, and what is not.

use delivery::{Link as _, LinkError};
use serde_json::json;

use super::applying::{widget, widget_definition};
use super::world::{DEADLINE, World, id_of, version_of};

pub async fn leftovers_are_removed(world: World) {
    let first =
        vec![world.namespace(), world.config_map("old", "a"), world.config_map("kept", "a")];
    world.deliver(&world.order("web", 1, first.clone())).await;
    let mut order = world.order("web", 2, vec![world.namespace(), world.config_map("kept", "b")]);
    order.leftovers = first.iter().map(id_of).collect();
    let report = world.deliver(&order).await;
    assert_eq!((report.removed, report.released), (1, 0));
    assert_eq!(world.live_config_map("old").await, None);
    let live = world.live_config_map("kept").await.expect("it is delivered still");
    assert_eq!(live["data"]["key"], "b");
    let work = world.applied_work("web").await.expect("it is there");
    assert_eq!(work["status"]["appliedResources"].as_array().map(Vec::len), Some(2));
    world.clean_up().await;
}

pub async fn a_leftover_of_somebody_else_is_left_alone(world: World) {
    let first = vec![world.namespace(), world.config_map("passed-on", "a")];
    world.deliver(&world.order("web", 1, first)).await;
    let path = format!("/api/v1/namespaces/{}/configmaps/passed-on", world.tag);
    let disowned = json!({ "metadata": { "ownerReferences": null } });
    world.merge(&path, &disowned, "somebody").await;
    let before = world.live_config_map("passed-on").await.expect("it is there");

    let mut order = world.order("web", 2, vec![world.namespace()]);
    order.leftovers = vec![id_of(&world.config_map("passed-on", ""))];
    let report = world.deliver(&order).await;
    assert_eq!((report.removed, report.released), (0, 1));
    assert!(report.is_applied());
    let after = world.live_config_map("passed-on").await.expect("it is there");
    assert_eq!(version_of(&before), version_of(&after));
    world.clean_up().await;
}

pub async fn a_finalizer_keeps_a_leftover_and_what_it_needs(world: World) {
    let mut held = world.config_map("held", "a");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    let bodies = vec![world.namespace(), held, world.config_map("free", "a")];
    let order = world.order("web", 1, bodies);
    world.deliver(&order).await;
    let withdrawal = world.withdrawal("web", 2, &order);
    for _ in 0..2 {
        let report = world.link.withdraw(&withdrawal).await.expect("the link works");
        let remaining: Vec<(&str, &str)> = report
            .remaining
            .iter()
            .map(|failure| (failure.object.kind.as_str(), failure.message.as_str()))
            .collect();
        let turn = format!("its turn comes when ConfigMap {}/held is gone", world.tag);
        let hold = "it is being deleted on the member and waits for its finalizers: \
                    example.com/hold";
        assert_eq!(remaining, [("ConfigMap", hold), ("Namespace", turn.as_str())]);
    }
    assert_eq!(world.live_config_map("free").await, None);
    let namespace = world.get(&format!("/api/v1/namespaces/{}", world.tag)).await;
    assert_eq!(namespace.expect("it is there")["metadata"].get("deletionTimestamp"), None);
    assert!(world.applied_work("web").await.is_some(), "it owns what remains");

    let path = format!("/api/v1/namespaces/{}/configmaps/held", world.tag);
    world.merge(&path, &json!({ "metadata": { "finalizers": null } }), "somebody").await;
    world.withdraw(&withdrawal).await;
    assert_eq!(world.live_config_map("held").await, None);
    world.until_work_is_gone("web").await;
}

pub async fn a_withdrawal_leaves_nothing(world: World) {
    let bodies = vec![world.namespace(), world.config_map("settings", "a")];
    let order = world.order("web", 1, bodies);
    world.deliver(&order).await;
    let withdrawal = world.withdrawal("web", 2, &order);
    world.withdraw(&withdrawal).await;
    assert_eq!(world.get(&format!("/api/v1/namespaces/{}", world.tag)).await, None);
    world.until_work_is_gone("web").await;

    // Once more changes nothing, and a later order begins anew.
    let report = world.withdraw(&withdrawal).await;
    assert_eq!((report.removed, report.released), (2, 0));
    let mut again = order;
    again.fence.generation = 3;
    let report = world.deliver(&again).await;
    assert_eq!(report.written, 2);
    world.clean_up().await;
}

pub async fn regression_an_object_outlives_its_version(world: World) {
    let mut definition = widget_definition(&world);
    let mut older = definition["spec"]["versions"][0].clone();
    (older["name"], older["storage"]) = (json!("v1beta1"), json!(false));
    definition["spec"]["versions"].as_array_mut().expect("it is a list").push(older);
    let mut written = widget(&world, 3);
    written["apiVersion"] = json!(format!("{}.example.com/v1beta1", world.tag));
    world.deliver(&world.order("kind", 1, vec![definition.clone()])).await;
    let order = world.order("web", 1, vec![world.namespace(), written]);
    world.deliver(&order).await;

    definition["spec"]["versions"][1]["served"] = json!(false);
    world.deliver(&world.order("kind", 2, vec![definition])).await;
    let path =
        |version| format!("/apis/{0}.example.com/{version}/namespaces/{0}/widgets/w", world.tag);
    let until = tokio::time::Instant::now() + DEADLINE;
    while world.get(&path("v1beta1")).await.is_some() {
        assert!(tokio::time::Instant::now() < until, "it is served still");
    }
    assert!(world.get(&path("v1")).await.is_some());
    // As an order that knew the version, and as one that does not.
    let withdrawal = world.withdrawal("web", 2, &order);
    let mut leftover = world.order("web", 2, vec![world.namespace()]);
    leftover.leftovers = vec![order.manifests[1].id.clone()];
    let report = world.other_link().deliver(&leftover).await.expect("the link works");
    assert_eq!((report.removed, report.is_applied()), (1, true));
    assert_eq!(world.get(&path("v1")).await, None);
    world.withdraw(&withdrawal).await;
    world.clean_up().await;
}

pub async fn a_withdrawal_leaves_what_it_does_not_name(world: World) {
    let bodies = vec![world.namespace(), world.config_map("settings", "a")];
    let order = world.order("web", 1, bodies);
    world.deliver(&order).await;
    let mut withdrawal = world.withdrawal("web", 2, &order);
    withdrawal.inventory.retain(|id| id.kind == "Nothing");
    let report = world.withdraw(&withdrawal).await;
    assert_eq!((report.removed, report.released), (0, 0));
    world.until_work_is_gone("web").await;
    // The garbage collector did not take them along: they lost their owner first.
    let live = world.live_config_map("settings").await.expect("it stays");
    assert_eq!(live["metadata"].get("ownerReferences"), None);
    world.clean_up().await;
}

pub async fn an_older_withdrawal_is_refused(world: World) {
    let bodies = vec![world.namespace(), world.config_map("settings", "a")];
    let order = world.order("web", 5, bodies);
    world.deliver(&order).await;
    for link in [&world.link, &world.other_link()] {
        let refused = link.withdraw(&world.withdrawal("web", 4, &order)).await;
        assert_eq!(refused, Err(LinkError::Superseded { holder: order.fence }));
    }
    assert!(world.live_config_map("settings").await.is_some());
    world.clean_up().await;
}

pub async fn a_withdrawal_of_nothing_is_done(world: World) {
    let order = world.order("web", 1, vec![world.namespace(), world.config_map("settings", "a")]);
    let report = world.withdraw(&world.withdrawal("web", 2, &order)).await;
    assert_eq!((report.removed, report.released), (2, 0));
    assert_eq!(world.applied_work("web").await, None);
}
