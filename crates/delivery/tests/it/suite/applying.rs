//! Cases about what is applied, and what is not.

use delivery::{Fence, Link as _, LinkError, Manifest};
use events::Epoch;
use serde_json::{Value, json};

use super::world::{SPEC_HASH, World, id_of, version_of, work_path};

fn deployment(world: &World, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "web", "namespace": world.tag },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "web", "image": image }] },
            },
        },
    })
}

fn deployment_path(world: &World) -> String {
    format!("/apis/apps/v1/namespaces/{}/deployments/web", world.tag)
}

pub async fn first_delivery(world: World) {
    // The workload comes first in the order: waves sort it out.
    let order = world.order(
        "web",
        1,
        vec![deployment(&world, "web:1"), world.config_map("settings", "a"), world.namespace()],
    );
    let report = world.deliver(&order).await;
    assert_eq!((report.written, report.unchanged, report.remaining.len()), (3, 0, 0));
    assert!(report.is_applied());
    assert!(!report.availability.is_available(), "no pod can run yet");

    let work = world.applied_work("web").await.expect("it owns what was applied");
    assert_eq!(
        work["spec"],
        json!({
            "workName": world.work("web"), "workNamespace": "fleet-member-member",
        })
    );
    let live = world.live_config_map("settings").await.expect("it was applied");
    assert_eq!(live["data"]["key"], "a");
    assert_eq!(
        live["metadata"]["ownerReferences"],
        json!([{
            "apiVersion": "placement.kubernetes-fleet.io/v1beta1", "kind": "AppliedWork",
            "name": world.work("web"), "uid": work["metadata"]["uid"], "blockOwnerDeletion": false,
        }])
    );
    assert_eq!(live["metadata"]["annotations"][SPEC_HASH].as_str().map(str::len), Some(64));

    let live = world.get(&deployment_path(&world)).await.expect("it was applied");
    let recorded = work["status"]["appliedResources"].as_array().expect("an inventory");
    let ordinals: Vec<&Value> = recorded.iter().map(|entry| &entry["ordinal"]).collect();
    assert_eq!(ordinals, [0, 1, 2]);
    assert_eq!(
        recorded[0],
        json!({
            "ordinal": 0, "group": "apps", "version": "v1", "kind": "Deployment",
            "resource": "deployments", "namespace": world.tag, "name": "web",
            "uid": live["metadata"]["uid"],
        })
    );
    world.clean_up().await;
}

pub async fn an_update_writes_what_changed(world: World) {
    let bodies = |image| {
        vec![world.namespace(), world.config_map("settings", "a"), deployment(&world, image)]
    };
    world.deliver(&world.order("web", 1, bodies("web:1"))).await;
    let before = world.live_config_map("settings").await.expect("it was applied");
    let report = world.deliver(&world.order("web", 2, bodies("web:2"))).await;
    assert_eq!((report.written, report.unchanged), (1, 2));
    let live = world.get(&deployment_path(&world)).await.expect("it is there");
    assert_eq!(live["spec"]["template"]["spec"]["containers"][0]["image"], "web:2");
    let after = world.live_config_map("settings").await.expect("it is there");
    assert_eq!(version_of(&before), version_of(&after));
    world.clean_up().await;
}

pub async fn an_unchanged_order_writes_nothing(world: World) {
    let bodies = vec![world.namespace(), world.config_map("settings", "a")];
    let order = world.order("web", 1, bodies);
    world.deliver(&order).await;
    let versions = async || {
        let objects = [
            world.applied_work("web").await,
            world.get(&format!("/api/v1/namespaces/{}", world.tag)).await,
            world.live_config_map("settings").await,
        ];
        objects.map(|object| version_of(&object.expect("it was applied")))
    };
    let before = versions().await;
    // Through a link that knows nothing: a restarted hub.
    let report = world.other_link().deliver(&order).await.expect("the link works");
    assert_eq!((report.written, report.unchanged), (0, 2));
    assert_eq!(versions().await, before);
    world.clean_up().await;
}

pub async fn an_older_order_is_refused(world: World) {
    let order = |generation, epoch, value| {
        let bodies = vec![world.namespace(), world.config_map("settings", value)];
        let mut order = world.order("web", generation, bodies);
        order.fence.epoch = Epoch(epoch);
        order
    };
    world.deliver(&order(5, 2, "new")).await;
    let holder = Fence { generation: 5, epoch: Epoch(2) };
    for (generation, epoch) in [(4, 9), (5, 1)] {
        let old = order(generation, epoch, "old");
        // Through this link, which remembers, and through one that has to ask the member.
        for link in [&world.link, &world.other_link()] {
            let refused = link.deliver(&old).await;
            assert_eq!(refused, Err(LinkError::Superseded { holder }), "{}", old.fence);
            // A member is only asked how something is that changes by itself.
            let mut look = old.clone();
            look.manifests
                .extend(world.order("web", 1, vec![deployment(&world, "web:1")]).manifests);
            let refused = link.assess(&look).await;
            assert_eq!(refused, Err(LinkError::Superseded { holder }), "{}", old.fence);
        }
    }
    let live = world.live_config_map("settings").await.expect("it is there");
    assert_eq!(live["data"]["key"], "new");
    world.deliver(&order(5, 3, "new")).await;
    world.deliver(&order(6, 3, "newer")).await;
    world.clean_up().await;
}

/// The kind `Widget` in a group of the world's own.
pub(super) fn widget_definition(world: &World) -> Value {
    let group = format!("{}.example.com", world.tag);
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("widgets.{group}") },
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {
                "plural": "widgets", "singular": "widget", "kind": "Widget",
                "listKind": "WidgetList",
            },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": {
                    "type": "object",
                    "properties": { "spec": {
                        "type": "object", "properties": { "size": { "type": "integer" } },
                    } },
                } },
            }],
        },
    })
}

pub(super) fn widget(world: &World, size: u32) -> Value {
    json!({
        "apiVersion": format!("{}.example.com/v1", world.tag), "kind": "Widget",
        "metadata": { "name": "w", "namespace": world.tag },
        "spec": { "size": size },
    })
}

pub async fn a_version_that_is_not_served_is_named_with_those_that_are(world: World) {
    let scaler = json!({
        "apiVersion": "autoscaling/v2beta9", "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": "web", "namespace": world.tag },
    });
    let bodies = vec![world.namespace(), scaler, world.config_map("settings", "a")];
    let failure = world.deliver_with_failure(&world.order("web", 1, bodies)).await;
    assert!(failure.message.contains("the member serves it as autoscaling/v2"), "{failure:?}");
    assert!(!failure.message.contains("CustomResourceDefinition"), "{failure:?}");
    assert!(world.live_config_map("settings").await.is_some(), "only that object fails");
    world.clean_up().await;
}

pub async fn a_kind_that_is_not_known_is_explained(world: World) {
    let order = world.order("web", 1, vec![world.namespace(), widget(&world, 1)]);
    let failure = world.deliver_with_failure(&order).await;
    assert_eq!(failure.reason, "ManifestApplyFailed");
    assert!(failure.message.contains("place its CustomResourceDefinition"), "{}", failure.message);
    world.clean_up().await;
}

pub async fn a_definition_and_its_objects_in_one_order(world: World) {
    let definition = widget_definition(&world);
    let bodies = vec![widget(&world, 3), definition.clone(), world.namespace()];
    let order = world.order("web", 1, bodies);
    let report = world.deliver(&order).await;
    assert_eq!((report.written, report.availability.untracked), (3, 1));
    let path = format!("/apis/{0}.example.com/v1/namespaces/{0}/widgets/w", world.tag);
    assert_eq!(world.get(&path).await.expect("it was applied")["spec"]["size"], 3);

    // The widget goes first, then its kind: no order is left hanging on a kind that is gone.
    world.withdraw(&world.withdrawal("web", 2, &order)).await;
    let name = definition["metadata"]["name"].as_str().expect("it has a name");
    let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
    assert_eq!(world.get(&path).await, None);
}

pub async fn a_namespace_that_goes_away_is_named(world: World) {
    world.make_namespace().await;
    let maps = format!("/api/v1/namespaces/{}/configmaps", world.tag);
    let held = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "held", "finalizers": ["example.com/hold"] },
    });
    world.post(&maps, &held, "somebody").await;
    world.clean_up().await;

    let message = format!("namespace {} is being deleted on the member", world.tag);
    let alone = world.order("alone", 1, vec![world.config_map("settings", "a")]);
    let failure = world.deliver_with_failure(&alone).await;
    assert_eq!((failure.reason.as_str(), &failure.message), ("ManifestApplyFailed", &message));

    let bodies = vec![world.namespace(), world.config_map("settings", "a")];
    let together = world.order("together", 1, bodies);
    let report = world.link.deliver(&together).await.expect("the link works");
    let failures: Vec<(&str, &str)> = report
        .failures
        .iter()
        .map(|failure| (failure.object.kind.as_str(), failure.message.as_str()))
        .collect();
    let follows = format!("namespace {} could not be applied", world.tag);
    assert_eq!(failures, [("Namespace", message.as_str()), ("ConfigMap", follows.as_str())]);

    let unhold = json!({ "metadata": { "finalizers": null } });
    world.merge(&format!("{maps}/held"), &unhold, "somebody").await;
}

pub async fn a_namespace_that_is_missing_is_named(world: World) {
    let order = world.order("web", 1, vec![world.config_map("settings", "a")]);
    let failure = world.deliver_with_failure(&order).await;
    assert_eq!(failure.reason, "ManifestApplyFailed");
    assert_eq!(
        failure.message,
        format!("namespace {} does not exist on the member: place it too", world.tag)
    );
}

pub async fn values_of_secrets_do_not_leak(world: World) {
    world.make_namespace().await;
    // An API server quotes what has the wrong type.
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": "password", "namespace": world.tag },
        "stringData": { "password": { "hunter2": "hunter2" } },
    });
    let order = world.order("web", 1, vec![secret]);
    let failure = world.deliver_with_failure(&order).await;
    assert_eq!(failure.reason, "ManifestApplyFailed");
    assert!(!failure.message.contains("hunter2"), "{}", failure.message);
    assert!(failure.message.contains("withheld"), "{}", failure.message);
    world.clean_up().await;
}

pub async fn an_object_that_is_too_large_is_reported(world: World) {
    let large = world.config_map("large", &"x".repeat(4 << 20));
    let bodies = vec![world.namespace(), large, world.config_map("small", "a")];
    let failure = world.deliver_with_failure(&world.order("web", 1, bodies)).await;
    assert_eq!(
        (failure.object.name.as_str(), failure.reason.as_str()),
        ("large", "ManifestApplyFailed")
    );
    assert!(failure.message.contains("too large"), "{}", failure.message);
    assert!(world.live_config_map("small").await.is_some());
    world.clean_up().await;
}

pub async fn one_bad_object_does_not_stop_the_others(world: World) {
    let mut bad = world.config_map("bad", "a");
    bad["data"] = json!({ "not/a/key": "a" });
    let bodies = vec![world.namespace(), bad, world.config_map("good", "a")];
    let mut order = world.order("web", 1, bodies);
    order.manifests.push(Manifest { id: id_of(&world.config_map("lost", "")), body: Value::Null });
    let report = world.link.deliver(&order).await.expect("the link works");
    let failures: Vec<(&str, &str)> = report
        .failures
        .iter()
        .map(|failure| (failure.object.name.as_str(), failure.reason.as_str()))
        .collect();
    assert_eq!(failures, [("bad", "ManifestApplyFailed"), ("lost", "DecodingErred")]);
    assert_eq!(report.written, 2);
    assert!(!report.is_applied());
    assert!(world.live_config_map("good").await.is_some());
    let work = world.applied_work("web").await.expect("it is there");
    assert_eq!(work["status"]["appliedResources"].as_array().map(Vec::len), Some(2));
    world.clean_up().await;
}

pub async fn a_delivery_that_was_cut_short_is_finished(world: World) {
    let all = vec![
        world.namespace(),
        world.config_map("one", "a"),
        world.config_map("two", "a"),
        world.config_map("three", "a"),
    ];
    // The order got as far as its second object.
    world.deliver(&world.order("web", 1, all[..2].to_vec())).await;
    let whole = world.order("web", 1, all);
    let report = world.deliver(&whole).await;
    assert_eq!((report.written, report.unchanged), (2, 2));
    let work = world.get(&work_path(&whole.work)).await.expect("it is there");
    assert_eq!(work["status"]["appliedResources"].as_array().map(Vec::len), Some(4));
    let report = world.deliver(&whole).await;
    assert_eq!((report.written, report.unchanged), (0, 4));
    world.clean_up().await;
}
