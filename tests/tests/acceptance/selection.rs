//! What placements take along, what they leave out, and what they say about it: on simulated
//! clusters, and on real ones, which make objects of their own.

use std::collections::BTreeSet;
use std::sync::Arc;

use acceptance::ground::{Cluster, Ground};
use acceptance::scenarios::{self, place_as, stands};
use acceptance::wait::{come, eventually};
use acceptance::{hubs, in_a_system, recorded};
use actors::node::Ownership;
use domain::selection::{HubObject, KindRules, NamespaceRules, SelectionRules};
use event_log::{EmbeddedLog, Log, MemoryLog, PARTITIONS};
use events::Principal;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::api::rbac::v1::{ClusterRole, RoleBinding};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

/// Writes an object as it stands in a file, as soon as its kind is served.
async fn write(client: &Client, object: Value) {
    let object: DynamicObject = serde_json::from_value(object).expect("an object");
    let (api, name) = (api_of(client, &object), object.name_any());
    let params = PatchParams::apply("alice").force();
    come(&format!("{name} is written"), || async {
        match api.patch(&name, &params, &Patch::Apply(object.clone())).await {
            Ok(_) => Some(()),
            Err(kube::Error::Api(status)) if status.code == 404 => None,
            Err(error) => panic!("{name}: {error}"),
        }
    })
    .await;
}

fn api_of(client: &Client, object: &DynamicObject) -> Api<DynamicObject> {
    let types = object.types.clone().expect("it has a kind");
    let gvk = GroupVersionKind::try_from(&types).expect("it has a kind");
    let resource = ApiResource::from_gvk(&gvk);
    match object.namespace() {
        Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

fn namespace(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } })
}

fn config_map(namespace: &str, name: &str, value: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "k": value },
            "metadata": { "namespace": namespace, "name": name } })
}

/// A selector; `name` may be empty.
fn selector(api_version: &str, kind: &str, name: &str) -> Value {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let mut selector = json!({ "group": group, "version": version, "kind": kind });
    if !name.is_empty() {
        selector["name"] = name.into();
    }
    selector
}

fn on(members: &[&Cluster], selectors: &[Value]) -> Value {
    let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let policy = json!({ "placementType": "PickFixed", "clusterNames": names });
    json!({ "resourceSelectors": selectors, "policy": policy })
}

fn placements(ground: &Ground) -> Api<api::ClusterResourcePlacement> {
    Api::all(ground.hub.client.clone())
}

/// What a placement shows as selected: version, kind and name.
async fn selected(ground: &Ground, placement: &str) -> Vec<String> {
    let status = placements(ground).get(placement).await.expect("it is there").status;
    let selected = status.unwrap_or_default().selected_resources;
    selected.iter().map(|it| format!("{} {} {}", it.version, it.kind, it.name)).collect()
}

/// Waits until a placement is available everywhere; gives what it says about its selection.
async fn is_available(ground: &Ground, placement: &str) -> String {
    stands(ground, placement, "Available", "True", "ResourceAvailable").await;
    stands(ground, placement, "Scheduled", "True", "SchedulingPolicyFulfilled").await
}

async fn is_refused(ground: &Ground, placement: &str) -> String {
    stands(ground, placement, "Scheduled", "False", "InvalidResourceSelectors").await
}

/// Waits until what a placement says about its selection has a part.
async fn says(ground: &Ground, placement: &str, part: &str) {
    come(&format!("{placement} says {part}"), || async {
        let status = placements(ground).get(placement).await.expect("it is there").status?;
        status.conditions.first()?.message.contains(part).then_some(())
    })
    .await;
}

/// Deletes a placement of which nothing more is asked. How namespaces are removed is not the matter
/// here, and takes real clusters their time.
async fn delete(ground: &Ground, placement: &str) {
    let deleted = placements(ground).delete(placement, &DeleteParams::default()).await;
    deleted.expect("it is there");
}

async fn remove(ground: &Ground, placement: &str) {
    delete(ground, placement).await;
    let api = placements(ground);
    eventually(&format!("{placement} is gone"), || async {
        api.get_opt(placement).await.expect("the hub answers").is_none()
    })
    .await;
}

/// Deletes a namespace of the hub. Where nobody empties namespaces it stays, on its way out.
async fn remove_namespace(ground: &Ground, name: &str) {
    let api: Api<Namespace> = Api::all(ground.hub.client.clone());
    api.delete(name, &DeleteParams::default()).await.expect("it is there");
}

async fn names<K>(client: &Client) -> BTreeSet<String>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::ClusterResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let list = Api::<K>::all(client.clone()).list(&ListParams::default()).await.expect("a list");
    list.iter().map(ResourceExt::name_any).collect()
}

/// Plays a scene on a hub with all members.
async fn scene(ground: &Ground, rules: SelectionRules, play: impl AsyncFnOnce(&Ground, &dyn Log)) {
    let dir = tempfile::tempdir().unwrap();
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new());
    let client = ground.hub.client.clone();
    let hub =
        hubs::start_under(rules, "hub-a", client, log.clone(), dir.path(), Ownership::Alone).await;
    for member in &ground.members {
        ground.join(member, &[]).await;
    }
    play(ground, &*log).await;
    hub.shutdown().await;
    let report = actors::replay::verify(&*log, PARTITIONS).await.unwrap();
    assert_eq!(report.first_difference, None);
}

/// What every ground can play.
async fn everywhere(ground: &Ground, log: &dyn Log) {
    what_controllers_make(ground).await;
    versions(ground).await;
    envelopes(ground).await;
    a_namespace_that_is_not_there(ground).await;
    long_names(ground).await;
    a_namesake_is_new(ground, log).await;
    system_namespaces_are_refused(ground).await;
}

#[test]
fn on_simulated_clusters() {
    in_a_system(async {
        let ground = Ground::simulated(3).await;
        scene(&ground, SelectionRules::default(), everywhere).await;
        ground.stop();
    });
}

#[test]
fn on_real_clusters() {
    in_a_system(async {
        let Some(ground) = Ground::real().await else { return };
        ground.tidy().await;
        scene(&ground, SelectionRules::default(), async |ground, log| {
            what_api_servers_make(ground).await;
            what_an_api_server_made_by_itself_is_known(ground).await;
            a_built_in_kind_in_an_older_version(ground).await;
            everywhere(ground, log).await;
        })
        .await;
        ground.tidy().await;
        scene(&ground, kube_system_allowed(), a_binding_in_kube_system).await;
        ground.tidy().await;
    });
}

#[test]
fn on_simulated_clusters_with_a_namespace_of_the_system_allowed() {
    in_a_system(async {
        let ground = Ground::simulated(2).await;
        scene(&ground, kube_system_allowed(), a_binding_in_kube_system).await;
        ground.stop();
    });
}

/// The case bootstrap-roles.
async fn what_api_servers_make(ground: &Ground) {
    let member = &ground.members[0];
    let before =
        (names::<ClusterRole>(&member.client).await, names::<PriorityClass>(&member.client).await);
    assert!(before.0.contains("cluster-admin") && before.1.contains("system-node-critical"));
    let rbac = "rbac.authorization.k8s.io/v1";
    write(
        &ground.hub.client,
        json!({ "apiVersion": rbac, "kind": "ClusterRole", "metadata": { "name": "app-f-ours" },
                "rules": [{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get"] }] }),
    )
    .await;
    let selectors =
        [selector(rbac, "ClusterRole", ""), selector("scheduling.k8s.io/v1", "PriorityClass", "")];
    place_as(ground, "f-roles", on(&[member], &selectors)).await;
    let said = is_available(ground, "f-roles").await;
    for part in ["ClusterRole admin, and any like it, are left out", "PriorityClass system-"] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(selected(ground, "f-roles").await, ["v1 ClusterRole app-f-ours"]);
    assert!(names::<ClusterRole>(&member.client).await.contains("app-f-ours"));
    remove(ground, "f-roles").await;
    let after =
        (names::<ClusterRole>(&member.client).await, names::<PriorityClass>(&member.client).await);
    assert_eq!(after, before);

    let by_name = [selector(rbac, "ClusterRole", "cluster-admin")];
    place_as(ground, "f-roles", on(&[member], &by_name)).await;
    let said = is_refused(ground, "f-roles").await;
    assert!(said.contains("selector 1 names ClusterRole cluster-admin, which is never"), "{said}");
    remove(ground, "f-roles").await;
    let roles: Api<ClusterRole> = Api::all(ground.hub.client.clone());
    roles.delete("app-f-ours", &DeleteParams::default()).await.expect("it is there");
}

/// Whatever a real API server has written by itself is left out, whatever its kind.
async fn what_an_api_server_made_by_itself_is_known(ground: &Ground) {
    let makers = ["kube-apiserver", "api-priority-and-fairness-config-producer-v1"];
    let (rules, namespaces) = (KindRules::default(), NamespaceRules::default());
    let client = &ground.members[0].client;
    let discovered = hub::index::discover(client, &rules).await.expect("kinds");
    let (mut missed, mut made) = (vec![], 0);
    for kind in discovered.kinds {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind.resource);
        for object in api.list(&ListParams::default()).await.expect("a list") {
            let managers = object.managed_fields().iter().filter_map(|it| it.manager.as_deref());
            let is_made =
                managers.clone().count() > 0 && managers.clone().all(|it| makers.contains(&it));
            let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
            let home = if kind.kind.kind == "Namespace" { &name } else { &namespace };
            if !is_made || namespaces.excludes(home) {
                continue;
            }
            made += 1;
            let value = serde_json::to_value(object).expect("it is JSON");
            let read = HubObject::read(&kind.kind, value).expect("it has a name");
            if read.skip.is_none() {
                missed.push(read.id.to_string());
            }
        }
    }
    assert_eq!(missed, [""; 0]);
    assert!(made > 100, "{made} objects");
}

/// The case cronjob-jobs, without controllers: what they would make is written by hand.
async fn what_controllers_make(ground: &Ground) {
    let client = &ground.hub.client;
    let pod = json!({ "spec": { "restartPolicy": "Never",
        "containers": [{ "name": "c", "image": "example.test/tick:1" }] } });
    write(client, namespace("app-f-cron")).await;
    let tick = json!({
        "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": { "name": "tick", "namespace": "app-f-cron" },
        // Never: the 30th of February.
        "spec": { "schedule": "0 0 30 2 *", "jobTemplate": { "spec": { "template": pod } } },
    });
    write(client, tick.clone()).await;
    let tick: DynamicObject = serde_json::from_value(tick).unwrap();
    let uid = api_of(client, &tick).get("tick").await.unwrap().uid();
    let job = |name: &str, owners: Value| {
        json!({ "apiVersion": "batch/v1", "kind": "Job",
                "metadata": { "name": name, "namespace": "app-f-cron", "ownerReferences": owners },
                "spec": { "suspend": true, "template": pod } })
    };
    let owners = json!([{ "apiVersion": "batch/v1", "kind": "CronJob", "name": "tick", "uid": uid,
                          "controller": true }]);
    write(client, job("tick-1", owners)).await;
    write(client, job("by-hand", json!([]))).await;

    let whole = [selector("v1", "Namespace", "app-f-cron")];
    place_as(ground, "f-cron", on(&[&ground.members[0]], &whole)).await;
    let wanted = ["v1 Namespace app-f-cron", "v1 Job by-hand", "v1 CronJob tick"];
    come("it selects what people wrote", || async {
        (selected(ground, "f-cron").await == wanted).then_some(())
    })
    .await;
    delete(ground, "f-cron").await;

    // Named, it is left out and said so.
    let picking = json!({ "group": "", "version": "v1", "kind": "Namespace", "name": "app-f-cron",
                          "selectionScope": "NamespaceWithResourceSelectors" });
    let by_name = [picking, selector("batch/v1", "Job", "tick-1")];
    place_as(ground, "f-cron-named", on(&[&ground.members[1]], &by_name)).await;
    let said = is_available(ground, "f-cron-named").await;
    assert!(said.contains("selector 2 names Job app-f-cron/tick-1, which is left out"), "{said}");
    delete(ground, "f-cron-named").await;
    remove_namespace(ground, "app-f-cron").await;
}

fn crd(versions: &[&str]) -> Value {
    let any = json!({ "openAPIV3Schema": { "type": "object",
                      "x-kubernetes-preserve-unknown-fields": true } });
    let version = |name: &&str| json!({ "name": name, "served": true, "storage": *name == "v1", "schema": any });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "sevens.a29.example.com" },
        "spec": {
            "group": "a29.example.com", "scope": "Namespaced",
            "names": { "plural": "sevens", "singular": "seven", "kind": "Seven" },
            "versions": versions.iter().map(version).collect::<Vec<_>>(),
        },
    })
}

fn seven(version: &str, value: &str) -> Value {
    json!({ "apiVersion": format!("a29.example.com/{version}"), "kind": "Seven",
            "metadata": { "name": "one", "namespace": "app-a29" }, "spec": { "value": value } })
}

/// The value of the Seven that a member holds, as it serves it in v1.
async fn value_on(member: &Cluster) -> Option<String> {
    let object: DynamicObject = serde_json::from_value(seven("v1", "")).unwrap();
    let found = api_of(&member.client, &object).get_opt("one").await.ok()??;
    Some(found.data["spec"]["value"].as_str()?.to_owned())
}

/// The case version-that-is-served-but-not-preferred.
async fn versions(ground: &Ground) {
    let [first, second, third] = &ground.members[..] else { panic!("three members") };
    for client in [&ground.hub.client, &first.client, &second.client, &third.client] {
        write(client, crd(&["v1"])).await;
    }
    write(&ground.hub.client, namespace("app-a29")).await;
    write(&ground.hub.client, seven("v1", "a")).await;
    // A whole namespace, and one selected by kind: both in v1, as there is no other.
    let whole = [selector("v1", "Namespace", "app-a29")];
    place_as(ground, "a29-whole", on(&[first], &whole)).await;
    let picking = json!({ "group": "", "version": "v1", "kind": "Namespace", "name": "app-a29",
                          "selectionScope": "NamespaceWithResourceSelectors" });
    let by_kind = [picking.clone(), selector("a29.example.com/v1", "Seven", "")];
    place_as(ground, "a29-kind", on(&[second], &by_kind)).await;
    for placement in ["a29-whole", "a29-kind"] {
        stands(ground, placement, "Available", "True", "ResourceAvailable").await;
    }

    // An upgrade of the operator on the hub adds a version, which is preferred from then on.
    write(&ground.hub.client, crd(&["v2", "v1"])).await;
    write(&ground.hub.client, seven("v2", "b")).await;
    for member in [first, second] {
        eventually("the change arrives", || async {
            value_on(member).await.as_deref() == Some("b")
        })
        .await;
    }
    // A kind that nobody has placed yet can be placed in either version, at the same time.
    let other = [picking, selector("a29.example.com/v2", "Seven", "")];
    write(&third.client, crd(&["v2", "v1"])).await;
    for (placement, version) in [("a29-whole", "v1"), ("a29-kind", "v1")] {
        is_available(ground, placement).await;
        let wanted = format!("{version} Seven one");
        assert!(selected(ground, placement).await.contains(&wanted), "{placement}");
    }
    place_as(ground, "a29-newer", on(&[third], &other)).await;
    is_available(ground, "a29-newer").await;
    assert!(selected(ground, "a29-newer").await.contains(&"v2 Seven one".to_owned()));
    // One that is not served is told apart from a kind that is not.
    let none = [selector("a29.example.com/v3", "Seven", "")];
    place_as(ground, "a29-none", on(&[second], &none)).await;
    let said = is_refused(ground, "a29-none").await;
    assert!(
        said.contains("it serves the kind as a29.example.com/v1, a29.example.com/v2"),
        "{said}"
    );
    for placement in ["a29-whole", "a29-kind", "a29-newer", "a29-none"] {
        delete(ground, placement).await;
    }
    remove_namespace(ground, "app-a29").await;
    for client in [&ground.hub.client, &first.client, &second.client, &third.client] {
        let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
        drop(crds.delete("sevens.a29.example.com", &DeleteParams::default()).await);
    }
}

/// autoscaling/v1, whose kind real API servers prefer in v2.
async fn a_built_in_kind_in_an_older_version(ground: &Ground) {
    let member = &ground.members[0];
    write(&ground.hub.client, namespace("app-hpa")).await;
    write(
        &ground.hub.client,
        json!({ "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                "metadata": { "name": "web", "namespace": "app-hpa" },
                "spec": { "maxReplicas": 7, "minReplicas": 2, "scaleTargetRef": {
                    "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" } } }),
    )
    .await;
    let picking = json!({ "group": "", "version": "v1", "kind": "Namespace", "name": "app-hpa",
                          "selectionScope": "NamespaceWithResourceSelectors" });
    let selectors = [picking, selector("autoscaling/v1", "HorizontalPodAutoscaler", "web")];
    place_as(ground, "hpa", on(&[member], &selectors)).await;
    stands(ground, "hpa", "Applied", "True", "ApplySucceeded").await;
    let wanted = ["v1 Namespace app-hpa", "v1 HorizontalPodAutoscaler web"];
    assert_eq!(selected(ground, "hpa").await, wanted);
    let autoscalers: Api<k8s_openapi::api::autoscaling::v1::HorizontalPodAutoscaler> =
        Api::namespaced(member.client.clone(), "app-hpa");
    let placed = autoscalers.get("web").await.expect("it arrived").spec;
    assert_eq!((placed.min_replicas, placed.max_replicas), (Some(2), 7));
    delete(ground, "hpa").await;
    remove_namespace(ground, "app-hpa").await;
}

/// The case envelope, as long as envelopes are not opened.
async fn envelopes(ground: &Ground) {
    let fleet = "placement.kubernetes-fleet.io/v1beta1";
    let client = &ground.hub.client;
    write(client, namespace("app-f-env")).await;
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" },
                         "stringData": { "password": "correct horse" } });
    let envelope = |kind: &str, metadata: Value| {
        json!({ "apiVersion": fleet, "kind": kind, "metadata": metadata,
                "data": { "secret.yaml": secret } })
    };
    write(client, envelope("ClusterResourceEnvelope", json!({ "name": "app-f-env-hooks" }))).await;
    let inside = json!({ "name": "web", "namespace": "app-f-env" });
    write(client, envelope("ResourceEnvelope", inside)).await;
    let whole = selector("v1", "Namespace", "app-f-env");
    let named = selector(fleet, "ClusterResourceEnvelope", "app-f-env-hooks");
    place_as(ground, "f-env", on(&[&ground.members[0]], &[whole.clone(), named])).await;
    let said = is_refused(ground, "f-env").await;
    assert!(said.contains("is an envelope, which this version does not open"), "{said}");
    assert_eq!(selected(ground, "f-env").await, [""; 0]);

    place_as(ground, "f-env", on(&[&ground.members[0]], &[whole])).await;
    let said = is_available(ground, "f-env").await;
    assert!(said.contains("ResourceEnvelope app-f-env/web is left out"), "{said}");
    assert_eq!(selected(ground, "f-env").await, ["v1 Namespace app-f-env"]);
    delete(ground, "f-env").await;
    let envelopes = envelope("ClusterResourceEnvelope", json!({ "name": "app-f-env-hooks" }));
    let envelopes: DynamicObject = serde_json::from_value(envelopes).unwrap();
    let envelopes = api_of(client, &envelopes);
    envelopes.delete("app-f-env-hooks", &DeleteParams::default()).await.expect("it is there");
    remove_namespace(ground, "app-f-env").await;
}

/// The case selected-namespace-is-not-there.
async fn a_namespace_that_is_not_there(ground: &Ground) {
    let members = [&ground.members[0], &ground.members[1]];
    let whole = [selector("v1", "Namespace", "app-a25")];
    place_as(ground, "a25", on(&members, &whole)).await;
    let nothing = "resource selector 1 selects nothing: the hub has no Namespace app-a25";
    says(ground, "a25", nothing).await;
    is_available(ground, "a25").await;
    write(&ground.hub.client, namespace("app-a25")).await;
    write(&ground.hub.client, config_map("app-a25", "settings", "a")).await;
    let holds = |member: &Cluster| {
        let maps: Api<ConfigMap> = Api::namespaced(member.client.clone(), "app-a25");
        async move { maps.get_opt("settings").await.expect("the member answers").is_some() }
    };
    for member in members {
        eventually("it arrives", || holds(member)).await;
    }
    come("nothing is missing any more", || async {
        (!is_available(ground, "a25").await.contains("selects nothing")).then_some(())
    })
    .await;

    remove_namespace(ground, "app-a25").await;
    for member in members {
        eventually("it is removed", || async { !holds(member).await }).await;
    }
    come("that it selects nothing is said again", || async {
        let said = is_available(ground, "a25").await;
        // Where nobody empties namespaces, it is on its way out for good.
        let is_said = said.contains(nothing)
            || said.contains("names Namespace app-a25, which is left out: it is being deleted");
        is_said.then_some(())
    })
    .await;
    delete(ground, "a25").await;

    // In a namespace that is not there nothing can be picked.
    let picking = json!({ "group": "", "version": "v1", "kind": "Namespace", "name": "app-none",
                          "selectionScope": "NamespaceWithResourceSelectors" });
    let selectors = [picking, selector("v1", "ConfigMap", "")];
    place_as(ground, "a25-none", on(&members, &selectors)).await;
    let said = is_refused(ground, "a25-none").await;
    assert!(said.contains("the hub has no Namespace app-none"), "{said}");
    delete(ground, "a25-none").await;
}

/// The case long-and-odd-names, and placements with names as long as they can be.
async fn long_names(ground: &Ground) {
    let (member, client) = (&ground.members[0], &ground.hub.client);
    let home = format!("app-{}", "n".repeat(59));
    let (map, deployment) = ("x".repeat(253), "d".repeat(200));
    let role = "a13:with:colons:UPPER";
    let rbac = "rbac.authorization.k8s.io/v1";
    write(client, namespace(&home)).await;
    for name in [map.as_str(), "dots.and-dashes.v1.2"] {
        write(client, config_map(&home, name, "v")).await;
    }
    write(
        client,
        json!({ "apiVersion": rbac, "kind": "ClusterRole", "metadata": { "name": role },
                "rules": [] }),
    )
    .await;
    // Nothing runs pods on real members: of none, all are available.
    write(
        client,
        json!({ "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": { "name": deployment, "namespace": home },
                "spec": { "replicas": 0, "selector": { "matchLabels": { "app": "d" } },
                    "template": { "metadata": { "labels": { "app": "d" } }, "spec": {
                        "containers": [{ "name": "c", "image": "example.test/pause:3.10" }] } } } }),
    )
    .await;
    let whole = [selector("v1", "Namespace", &home), selector(rbac, "ClusterRole", role)];
    for placement in [format!("a13-{}", "p".repeat(59)), "q".repeat(253)] {
        place_as(ground, &placement, on(&[member], &whole)).await;
        is_available(ground, &placement).await;
        scenarios::hold_the_same(ground, &[member], &home).await;
        assert!(names::<ClusterRole>(&member.client).await.contains(role));
        remove(ground, &placement).await;
        assert!(!names::<ClusterRole>(&member.client).await.contains(role));
    }
    remove_namespace(ground, &home).await;
    let roles: Api<ClusterRole> = Api::all(client.clone());
    roles.delete(role, &DeleteParams::default()).await.expect("it is there");
}

/// A placement that is made again under its name has nothing to do with the one before.
async fn a_namesake_is_new(ground: &Ground, log: &dyn Log) {
    let member = &ground.members[0];
    let index = async || {
        let status = placements(ground).get("again").await.expect("it is there").status;
        status.unwrap_or_default().observed_resource_index
    };
    write(&ground.hub.client, namespace("app-again")).await;
    let whole = [selector("v1", "Namespace", "app-again")];
    place_as(ground, "again", on(&[member], &whole)).await;
    is_available(ground, "again").await;
    write(&ground.hub.client, config_map("app-again", "settings", "a")).await;
    come("the next revision is shown", || async { (index().await == "1").then_some(()) }).await;
    is_available(ground, "again").await;
    remove(ground, "again").await;

    let unknown = [selector("example.com/v1", "Unknown", "")];
    place_as(ground, "again", on(&[member], &unknown)).await;
    is_refused(ground, "again").await;
    assert_eq!(index().await, "");
    assert_eq!(selected(ground, "again").await, [""; 0]);
    remove(ground, "again").await;

    place_as(ground, "again", on(&[member], &whole)).await;
    is_available(ground, "again").await;
    assert_eq!(index().await, "0");
    remove(ground, "again").await;
    remove_namespace(ground, "app-again").await;

    // Whose doing it was is what the object claims.
    let events = recorded::events(log, PARTITIONS).await.unwrap();
    let specified = events.iter().filter(|it| it.event.event_type().name == "PlacementSpecified");
    let by: BTreeSet<_> = specified.map(|it| it.principal.clone()).collect();
    assert_eq!(by, BTreeSet::from([Principal::Claimed("alice".to_owned())]));
}

fn kube_system_allowed() -> SelectionRules {
    let namespaces = NamespaceRules::default().allowing(["kube-system".to_owned()]).unwrap();
    SelectionRules { namespaces, ..SelectionRules::default() }
}

fn reader() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": { "name": "f-adapter-auth-reader", "namespace": "kube-system" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role",
                     "name": "extension-apiserver-authentication-reader" },
        "subjects": [{ "kind": "ServiceAccount", "name": "adapter", "namespace": "app-f-adapter" }],
    })
}

/// Writes a ResourcePlacement in kube-system; gives its first condition when it judges it.
async fn place_in_kube_system(ground: &Ground, selectors: &[Value]) -> (String, String) {
    let object = json!({
        "apiVersion": "placement.kubernetes-fleet.io/v1beta1", "kind": "ResourcePlacement",
        "metadata": { "name": "f-adapter", "namespace": "kube-system" },
        "spec": on(&[&ground.members[0]], selectors),
    });
    write(&ground.hub.client, object).await;
    let api: Api<api::ResourcePlacement> =
        Api::namespaced(ground.hub.client.clone(), "kube-system");
    come("it is judged", || async {
        let object = api.get("f-adapter").await.expect("it is there");
        let conditions = object.status.unwrap_or_default().conditions;
        let current = |generation: Option<i64>| generation == object.metadata.generation;
        let first = conditions.first().filter(|it| current(it.observed_generation))?;
        let last = conditions.last()?;
        let is_settled = first.status == "False" || last.type_.ends_with("Available");
        is_settled.then(|| (last.reason.clone(), first.message.clone()))
    })
    .await
}

async fn remove_from_kube_system(ground: &Ground) {
    let api: Api<api::ResourcePlacement> =
        Api::namespaced(ground.hub.client.clone(), "kube-system");
    api.delete("f-adapter", &DeleteParams::default()).await.expect("it is there");
    eventually("it is gone", || async { api.get_opt("f-adapter").await.unwrap().is_none() }).await;
}

async fn system_namespaces_are_refused(ground: &Ground) {
    write(&ground.hub.client, namespace("app-f-adapter")).await;
    write(&ground.hub.client, reader()).await;
    let named = selector("rbac.authorization.k8s.io/v1", "RoleBinding", "f-adapter-auth-reader");
    let (reason, said) = place_in_kube_system(ground, &[named]).await;
    assert_eq!(reason, "InvalidResourceSelectors");
    assert!(said.contains("allowed_namespaces in [selection]"), "{said}");
    remove_from_kube_system(ground).await;
    // The namespace of the component says what is missing.
    let whole = [selector("v1", "Namespace", "app-f-adapter")];
    place_as(ground, "f-adapter", on(&[&ground.members[0]], &whole)).await;
    let said = is_available(ground, "f-adapter").await;
    assert!(said.contains("RoleBinding kube-system/f-adapter-auth-reader gives rights"), "{said}");
    delete(ground, "f-adapter").await;
    let bindings: Api<RoleBinding> = Api::namespaced(ground.hub.client.clone(), "kube-system");
    bindings.delete("f-adapter-auth-reader", &DeleteParams::default()).await.expect("it is there");
    remove_namespace(ground, "app-f-adapter").await;
}

/// The case kube-system-binding, where the configuration allows it.
async fn a_binding_in_kube_system(ground: &Ground, _log: &dyn Log) {
    let member = &ground.members[0];
    let kind = "rbac.authorization.k8s.io/v1";
    let bindings: Api<RoleBinding> = Api::namespaced(member.client.clone(), "kube-system");
    let list = async || {
        let list = bindings.list(&ListParams::default()).await.expect("a list");
        list.iter().map(ResourceExt::name_any).collect::<BTreeSet<_>>()
    };
    let system: Api<Namespace> = Api::all(member.client.clone());
    let before = (list().await, system.get("kube-system").await.expect("it is there").uid());
    write(&ground.hub.client, reader()).await;
    let all = [selector(kind, "RoleBinding", "")];
    let (reason, said) = place_in_kube_system(ground, &all).await;
    assert_eq!(reason, "InvalidResourceSelectors");
    assert!(said.contains("select them by name"), "{said}");
    let named = [selector(kind, "RoleBinding", "f-adapter-auth-reader")];
    let (reason, said) = place_in_kube_system(ground, &named).await;
    assert_eq!(reason, "ResourceAvailable", "{said}");
    assert!(list().await.contains("f-adapter-auth-reader"));
    remove_from_kube_system(ground).await;
    let after = (list().await, system.get("kube-system").await.expect("it is there").uid());
    assert_eq!(after, before, "removal takes only what was named");

    let whole = [selector("v1", "Namespace", "kube-system")];
    place_as(ground, "f-system", on(&[member], &whole)).await;
    let said = is_refused(ground, "f-system").await;
    assert!(said.contains("kube-system and what is in it are not placed"), "{said}");
    delete(ground, "f-system").await;
    let bindings: Api<RoleBinding> = Api::namespaced(ground.hub.client.clone(), "kube-system");
    bindings.delete("f-adapter-auth-reader", &DeleteParams::default()).await.expect("it is there");
}

/// Nothing of what is in an envelope is stored, not even as content that no revision names.
#[test]
fn of_an_envelope_nothing_gets_into_the_log() {
    in_a_system(async {
        let ground = Ground::simulated(2).await;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("log.redb");
        let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(&file).unwrap());
        let rows = dir.path().join("rows");
        let hub = hubs::start("hub-a", &ground, log.clone(), &rows, Ownership::Alone).await;
        ground.join(&ground.members[0], &[]).await;
        write(&ground.hub.client, namespace("app-f-env")).await;
        write(&ground.hub.client, config_map("app-f-env", "m", "a marker that is stored")).await;
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" },
                             "stringData": { "password": "correct horse battery" } });
        write(
            &ground.hub.client,
            json!({ "apiVersion": "placement.kubernetes-fleet.io/v1beta1",
                    "kind": "ResourceEnvelope", "data": { "secret.yaml": secret },
                    "metadata": { "name": "web", "namespace": "app-f-env" } }),
        )
        .await;
        let whole = [selector("v1", "Namespace", "app-f-env")];
        place_as(&ground, "f-env", on(&[&ground.members[0]], &whole)).await;
        is_available(&ground, "f-env").await;
        hub.shutdown().await;
        drop(log);
        let stored = std::fs::read(&file).unwrap();
        let has = |text: &str| stored.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(has("a marker that is stored"), "content is found in the file");
        assert!(!has("correct horse battery"));
        ground.stop();
    });
}
