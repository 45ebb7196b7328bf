//! What goes wrong is said clearly, costs only itself, and heals when it is mended.

use acceptance::ground::Ground;
use acceptance::hubs::scene;
use acceptance::scenarios;
use acceptance::scenarios::{place_as as place, stands};
use acceptance::wait::come;
use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::{Api, Client};
use serde_json::{Value, json};

async fn join_all(ground: &Ground) {
    for member in &ground.members {
        ground.join(member, &[("region", "eu")]).await;
    }
}

fn one(kind: (&str, &str, &str), name: &str) -> Value {
    let (group, version, kind) = kind;
    json!({ "group": group, "version": version, "kind": kind, "name": name })
}

#[test]
fn a_policy_that_cannot_be_followed_leaves_the_old_targets() {
    scene(1, async |ground| {
        join_all(ground).await;
        scenarios::write_app(ground, "app-policy", "hello").await;
        scenarios::place(ground, "policy", "app-policy", &["eu"]).await;
        scenarios::shows(ground, "policy", &scenarios::available(1)).await;
        // The placement may have been available for a moment without its last object.
        scenarios::hold_the_same(ground, &[&ground.members[0]], "app-policy").await;

        let near = json!({ "key": "region", "operator": "Near", "values": ["eu"] });
        let term = json!({ "labelSelector": { "matchExpressions": [near] } });
        place(
            ground,
            "policy",
            json!({
                "resourceSelectors": [one(("", "v1", "Namespace"), "app-policy")],
                "policy": { "placementType": "PickAll", "affinity": { "clusterAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "clusterSelectorTerms": [term] } } } },
            }),
        )
        .await;
        let said =
            stands(ground, "policy", "Scheduled", "False", "SchedulingPolicyUnfulfilled").await;
        assert!(said.contains("\"Near\" is unknown; use In, NotIn, Exists"), "{said}");
        let greeting = scenarios::greeting_on(&ground.members[0], "app-policy").await;
        assert_eq!(greeting.as_deref(), Some("hello"), "the old target stays");

        scenarios::place(ground, "policy", "app-policy", &["eu"]).await;
        scenarios::shows(ground, "policy", &scenarios::available(3)).await;
    });
}

fn gadget_crd() -> CustomResourceDefinition {
    serde_json::from_value(json!({
        "metadata": { "name": "gadgets.example.com" },
        "spec": {
            "group": "example.com",
            "names": { "kind": "Gadget", "plural": "gadgets", "singular": "gadget" },
            "scope": "Cluster",
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object", "properties": {
                    "spec": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
                }}},
            }],
        },
    }))
    .unwrap()
}

async fn install_gadgets(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    api.create(&PostParams::default(), &gadget_crd()).await.expect("it is new");
}

fn gadgets(client: &Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("example.com", "v1", "Gadget");
    Api::all_with(client.clone(), &ApiResource::from_gvk_with_plural(&kind, "gadgets"))
}

#[test]
fn an_unknown_kind_is_named_on_the_hub_and_on_the_member() {
    scene(1, async |ground| {
        join_all(ground).await;
        let member = &ground.members[0];
        let selectors = json!([one(("example.com", "v1", "Gadget"), "lamp")]);
        place(ground, "gadgets", json!({ "resourceSelectors": selectors })).await;
        let said =
            stands(ground, "gadgets", "Scheduled", "False", "InvalidResourceSelectors").await;
        assert!(said.contains("Gadget"), "{said}");

        // The hub learns the kind; the member does not know it.
        install_gadgets(&ground.hub.client).await;
        let lamp: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "example.com/v1", "kind": "Gadget",
            "metadata": { "name": "lamp" }, "spec": { "watts": 7 },
        }))
        .unwrap();
        let hub = gadgets(&ground.hub.client);
        come("the kind is served", || async {
            hub.create(&PostParams::default(), &lamp).await.ok()
        })
        .await;
        let said = stands(ground, "gadgets", "Applied", "False", "ApplyFailed").await;
        assert!(said.contains("Gadget") && said.contains("member-1"), "{said}");

        install_gadgets(&member.client).await;
        stands(ground, "gadgets", "Applied", "True", "ApplySucceeded").await;
        let held = gadgets(&member.client).get("lamp").await.expect("the member holds it");
        assert_eq!(held.data["spec"]["watts"], json!(7));
    });
}

async fn write_map(ground: &Ground, namespace: &str, name: &str, data: &str) {
    let api: Api<ConfigMap> = Api::namespaced(ground.hub.client.clone(), namespace);
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "namespace": namespace },
        "data": { "data": data },
    });
    let params = PatchParams::apply("alice").force();
    api.patch(name, &params, &Patch::Apply(object)).await.expect("it is written");
}

#[test]
fn an_object_that_is_too_large_costs_only_its_placement() {
    scene(1, async |ground| {
        join_all(ground).await;
        scenarios::write_app(ground, "app-large", "hello").await;
        scenarios::write_app(ground, "app-small", "hello").await;
        write_map(ground, "app-large", "large", &"x".repeat(1_420_000)).await;
        scenarios::place(ground, "large", "app-large", &["eu"]).await;
        scenarios::place(ground, "small", "app-small", &["eu"]).await;
        let said = stands(ground, "large", "Scheduled", "False", "InvalidResourceSelectors").await;
        assert!(said.contains("app-large/large") && said.contains("1400000"), "{said}");
        scenarios::shows(ground, "small", &scenarios::available(1)).await;

        write_map(ground, "app-large", "large", "smaller").await;
        scenarios::shows(ground, "large", &scenarios::available(1)).await;
    });
}

#[test]
fn ten_thousand_objects_are_too_many_for_one_placement() {
    const OBJECTS: usize = 10_000;
    scene(1, async |ground| {
        join_all(ground).await;
        scenarios::write_app(ground, "app-many", "hello").await;
        let api: &Api<ConfigMap> = &Api::namespaced(ground.hub.client.clone(), "app-many");
        futures::stream::iter(0..OBJECTS)
            .for_each_concurrent(64, |index| async move {
                let mut map = ConfigMap::default();
                map.metadata.name = Some(format!("map-{index}"));
                api.create(&PostParams::default(), &map).await.expect("it is new");
            })
            .await;
        scenarios::place(ground, "many", "app-many", &["eu"]).await;
        let said = stands(ground, "many", "Scheduled", "False", "InvalidResourceSelectors").await;
        assert!(said.contains("5000"), "{said}");

        // Without what is in it, the namespace fits.
        let mut namespace = one(("", "v1", "Namespace"), "app-many");
        namespace["selectionScope"] = json!("NamespaceOnly");
        place(ground, "many", json!({ "resourceSelectors": [namespace] })).await;
        scenarios::shows(ground, "many", &scenarios::available(2)).await;
    });
}

#[test]
fn links_that_lead_nowhere_or_to_the_wrong_place_say_so_and_heal() {
    scene(2, async |ground| {
        let [first, second] = &ground.members[..] else { panic!("two members") };
        let not_joined = ("Joined", "Unknown", "MemberClusterJoinStateUnknown");
        let joined = ("Joined", "True", "MemberClusterJoined");

        ground.join(first, &[]).await;
        scenarios::member_shows(ground, &first.name, joined).await;

        ground.link(&second.name, "not a kubeconfig").await;
        ground.register(&second.name, &[]).await;
        let said = scenarios::member_shows(ground, &second.name, not_joined).await;
        assert!(said.contains("is not a kubeconfig"), "{said}");

        ground.link(&second.name, &ground.hub.kubeconfig).await;
        come("the hub is recognised", || async {
            let said = scenarios::member_shows(ground, &second.name, not_joined).await;
            said.contains("hub's own cluster").then_some(said)
        })
        .await;

        ground.link(&second.name, &first.kubeconfig).await;
        come("the other name is told", || async {
            let said = scenarios::member_shows(ground, &second.name, not_joined).await;
            said.contains(&first.name).then_some(said)
        })
        .await;

        ground.link(&second.name, &second.kubeconfig).await;
        scenarios::member_shows(ground, &second.name, joined).await;
        scenarios::member_shows(ground, &first.name, joined).await;

        // Once it has joined it stays a member, and what is wrong shows as its health.
        ground.link(&second.name, "not a kubeconfig").await;
        let unwell = ("Healthy", "False", "InternalMemberClusterUnhealthy");
        let said = scenarios::member_shows(ground, &second.name, unwell).await;
        assert!(said.contains("is not a kubeconfig"), "{said}");
        ground.link(&second.name, &second.kubeconfig).await;
        let well = ("Healthy", "True", "InternalMemberClusterHealthy");
        scenarios::member_shows(ground, &second.name, well).await;
    });
}

#[test]
fn a_namespace_that_is_being_deleted_on_the_member_is_waited_for() {
    scene(1, async |ground| {
        join_all(ground).await;
        let member = &ground.members[0];
        let namespaces: Api<Namespace> = Api::all(member.client.clone());
        let held: Namespace = serde_json::from_value(json!({
            "metadata": { "name": "app-ending", "finalizers": ["example.com/hold"] },
        }))
        .unwrap();
        namespaces.create(&PostParams::default(), &held).await.expect("it is new");
        namespaces.delete("app-ending", &DeleteParams::default()).await.expect("it is there");

        scenarios::write_app(ground, "app-ending", "hello").await;
        scenarios::place(ground, "ending", "app-ending", &["eu"]).await;
        let said = stands(ground, "ending", "Applied", "False", "ApplyFailed").await;
        assert!(said.contains("being deleted"), "{said}");

        let patch = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
        namespaces
            .patch_metadata("app-ending", &PatchParams::default(), &patch)
            .await
            .expect("it is let go");
        scenarios::shows(ground, "ending", &scenarios::available(1)).await;
        let greeting = scenarios::greeting_on(member, "app-ending").await;
        assert_eq!(greeting.as_deref(), Some("hello"));
    });
}

#[test]
fn nothing_is_written_to_a_cluster_that_is_not_the_member() {
    scene(2, async |ground| {
        let [first, other] = &ground.members[..] else { panic!("two members") };
        ground.join(first, &[("region", "eu")]).await;
        scenarios::write_app(ground, "app-astray", "hello").await;
        scenarios::place(ground, "astray", "app-astray", &["eu"]).await;
        scenarios::shows(ground, "astray", &scenarios::available(1)).await;

        // The link is led to the hub, and something changes before anybody has looked.
        ground.link(&first.name, &ground.hub.kubeconfig).await;
        scenarios::write_app(ground, "app-astray", "hello again").await;
        let unwell = ("Healthy", "False", "InternalMemberClusterUnhealthy");
        scenarios::member_shows(ground, &first.name, unwell).await;
        let works: Api<api::AppliedWork> = Api::all(ground.hub.client.clone());
        match works.list(&Default::default()).await {
            Ok(works) => assert_eq!(works.items.len(), 0, "nothing was begun on the hub"),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => panic!("the hub does not say what it holds: {error}"),
        }
        let maps: Api<ConfigMap> = Api::namespaced(ground.hub.client.clone(), "app-astray");
        let own = maps.get("settings").await.expect("the hub's own");
        assert_eq!(own.metadata.owner_references, None);

        // Led to another cluster, somebody has to confirm that. Nothing is written there before.
        ground.link(&first.name, &other.kubeconfig).await;
        let members: Api<api::MemberCluster> = Api::all(ground.hub.client.clone());
        let said = come("the member says what to do", || async {
            let said = scenarios::member_shows(ground, &first.name, unwell).await;
            said.contains("taffrail join member-1 --replace").then_some(said)
        })
        .await;
        let (_, identity) = said.rsplit_once('=').expect("it names the annotation and its value");
        assert_eq!(scenarios::greeting_on(other, "app-astray").await, None);

        // Then it is another membership, which holds what it should.
        let key = domain::cluster::CONFIRMED_CLUSTER_ANNOTATION;
        let confirmed = Patch::Merge(json!({ "metadata": { "annotations": { key: identity } } }));
        let params = PatchParams::default();
        members.patch_metadata(&first.name, &params, &confirmed).await.expect("it is confirmed");
        scenarios::shows(ground, "astray", &scenarios::available(1)).await;
        come("the other cluster holds it", || async {
            let greeting = scenarios::greeting_on(other, "app-astray").await?;
            (greeting == "hello again").then_some(())
        })
        .await;
        let greeting = scenarios::greeting_on(first, "app-astray").await;
        assert_eq!(greeting.as_deref(), Some("hello"), "what was left behind stays");
    });
}
