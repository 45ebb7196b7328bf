//! Cases about objects that others have a hand in.

use delivery::plan::MANAGED_BY_LABEL;
use serde_json::json;

use super::world::{World, owners_of};

pub async fn two_placements_do_not_share_an_object(world: World) {
    world.make_namespace().await;
    let first = world.order("first", 1, vec![world.config_map("settings", "first")]);
    let mut second = world.order("second", 1, vec![world.config_map("settings", "second")]);
    second.apply.force = true;
    second.apply.allow_co_ownership = true;
    world.deliver(&first).await;
    let failure = world.deliver_with_failure(&second).await;
    assert_eq!(failure.reason, "FailedToTakeOver");
    assert!(failure.message.contains(&world.work("first")), "{}", failure.message);
    let live = world.live_config_map("settings").await.expect("it is there");
    assert_eq!(live["data"]["key"], "first");

    // The second has no share in it, so it does not remove it either.
    let report = world.withdraw(&world.withdrawal("second", 2, &second)).await;
    assert_eq!((report.removed, report.released), (0, 1));
    assert!(world.live_config_map("settings").await.is_some());

    world.withdraw(&world.withdrawal("first", 2, &first)).await;
    world.until_work_is_gone("second").await;
    second.fence.generation = 3;
    world.deliver(&second).await;
    let live = world.live_config_map("settings").await.expect("it is there");
    assert_eq!(live["data"]["key"], "second");
    world.clean_up().await;
}

pub async fn an_object_of_nobody_is_taken_over(world: World) {
    world.make_namespace().await;
    let maps = format!("/api/v1/namespaces/{}/configmaps", world.tag);
    let theirs = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "settings", "labels": { "team": "a" } },
        "data": { "key": "theirs", "other": "kept" },
    });
    world.post(&maps, &theirs, "somebody").await;
    let order = world.order("web", 1, vec![world.config_map("settings", "ours")]);
    let report = world.deliver(&order).await;
    assert_eq!(report.written, 1);
    let live = world.live_config_map("settings").await.expect("it is there");
    assert_eq!(live["data"], json!({ "key": "ours", "other": "kept" }));
    let labels = json!({ "team": "a", MANAGED_BY_LABEL: "taffrail" });
    assert_eq!(live["metadata"]["labels"], labels);
    assert_eq!(owners_of(&live), [world.work("web")]);
    world.clean_up().await;
}

pub async fn references_to_works_that_are_gone_do_not_count(world: World) {
    world.make_namespace().await;
    let maps = format!("/api/v1/namespaces/{}/configmaps", world.tag);
    // An existing work by the name of the old one, so that the server's garbage collector keeps
    // off while the case runs; its uid tells that it is not the owner.
    let gone = world.order("gone", 1, Vec::new());
    world.deliver(&gone).await;
    let work = world.applied_work("gone").await.expect("it was created");
    let theirs = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "settings", "ownerReferences": [
            {
                "apiVersion": "placement.kubernetes-fleet.io/v1beta1", "kind": "AppliedWork",
                "name": world.work("gone"), "uid": "11111111-1111-1111-1111-111111111111",
            },
            {
                "apiVersion": "v1", "kind": "Namespace", "name": world.tag,
                "uid": world.get(&format!("/api/v1/namespaces/{}", world.tag)).await
                    .expect("it is there")["metadata"]["uid"],
            },
        ] },
    });
    world.post(&maps, &theirs, "work-api-agent").await;
    let mut order = world.order("web", 1, vec![world.config_map("settings", "ours")]);
    order.apply.allow_co_ownership = true;
    world.deliver(&order).await;
    let live = world.live_config_map("settings").await.expect("it is there");
    let mut owners = owners_of(&live);
    owners.sort();
    let mut expected = [world.tag.clone(), world.work("web")];
    expected.sort();
    assert_eq!(owners, expected);
    assert_eq!(work["metadata"]["name"], world.work("gone"));
    world.clean_up().await;
}

pub async fn an_object_of_a_controller_needs_co_ownership(world: World) {
    world.make_namespace().await;
    let maps = format!("/api/v1/namespaces/{}/configmaps", world.tag);
    let namespace = world.get(&format!("/api/v1/namespaces/{}", world.tag)).await;
    let theirs = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "settings", "ownerReferences": [{
            "apiVersion": "v1", "kind": "Namespace", "name": world.tag,
            "uid": namespace.expect("it is there")["metadata"]["uid"],
        }] },
        "data": { "key": "theirs" },
    });
    world.post(&maps, &theirs, "somebody").await;
    let mut order = world.order("web", 1, vec![world.config_map("settings", "ours")]);
    let failure = world.deliver_with_failure(&order).await;
    assert_eq!(failure.reason, "FailedToTakeOver");
    assert!(failure.message.contains("co-ownership"), "{}", failure.message);
    order.apply.allow_co_ownership = true;
    world.deliver(&order).await;
    let live = world.live_config_map("settings").await.expect("it is there");
    assert_eq!((owners_of(&live).len(), &live["data"]["key"]), (2, &json!("ours")));

    // What others own too is released, not deleted.
    let report = world.withdraw(&world.withdrawal("web", 2, &order)).await;
    assert_eq!((report.removed, report.released), (0, 1));
    let live = world.live_config_map("settings").await.expect("it is still there");
    assert_eq!(owners_of(&live), std::slice::from_ref(&world.tag));
    world.clean_up().await;
}

pub async fn a_foreign_manager_is_respected_unless_forced(world: World) {
    let bodies = |value| vec![world.namespace(), world.config_map("settings", value)];
    world.deliver(&world.order("web", 1, bodies("one"))).await;
    let path = format!("/api/v1/namespaces/{}/configmaps/settings", world.tag);
    world.merge(&path, &json!({ "data": { "key": "edited" } }), "kubectl-edit").await;

    let mut order = world.order("web", 2, bodies("two"));
    let failure = world.deliver_with_failure(&order).await;
    assert_eq!(failure.reason, "ManifestApplyFailed");
    assert!(failure.message.contains("kubectl-edit"), "{}", failure.message);
    assert!(failure.message.contains(".data.key"), "{}", failure.message);
    let live = world.live_config_map("settings").await.expect("it is there");
    assert_eq!(live["data"]["key"], "edited");
    let work = world.applied_work("web").await.expect("it is there");
    let recorded = work["status"]["appliedResources"].as_array().map(Vec::len);
    assert_eq!(recorded, Some(2), "what could not be updated is still ours");

    order.apply.force = true;
    world.deliver(&order).await;
    let live = world.live_config_map("settings").await.expect("it is there");
    assert_eq!(live["data"]["key"], "two");
    world.clean_up().await;
}

pub async fn a_pre_existing_manager_yields(world: World) {
    world.make_namespace().await;
    let maps = format!("/api/v1/namespaces/{}/configmaps", world.tag);
    world.post(&maps, &world.config_map("settings", "same"), "kubectl-create").await;
    // Both manage the field after this, because both set the same value.
    world.deliver(&world.order("web", 1, vec![world.config_map("settings", "same")])).await;
    world.deliver(&world.order("web", 2, vec![world.config_map("settings", "other")])).await;
    let live = world.live_config_map("settings").await.expect("it is there");
    assert_eq!(live["data"]["key"], "other");
    world.clean_up().await;
}
