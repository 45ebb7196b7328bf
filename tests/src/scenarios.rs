//! What has to work, whatever the ground.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::ground::{Cluster, Ground};
use crate::wait::{come, eventually};

/// Writes a namespace with a ConfigMap on the hub.
pub async fn write_app(ground: &Ground, namespace: &str, greeting: &str) {
    let params = PatchParams::apply("alice").force();
    let namespaces: Api<Namespace> = Api::all(ground.hub.client.clone());
    let object = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace },
    });
    namespaces.patch(namespace, &params, &Patch::Apply(object)).await.expect("it is written");
    let maps: Api<ConfigMap> = Api::namespaced(ground.hub.client.clone(), namespace);
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "settings", "namespace": namespace },
        "data": { "greeting": greeting },
    });
    maps.patch("settings", &params, &Patch::Apply(object)).await.expect("it is written");
}

/// Places a namespace on all members whose `region` is one of those given.
pub async fn place(ground: &Ground, name: &str, namespace: &str, regions: &[&str]) {
    let spec = json!({
        "resourceSelectors": [
            { "group": "", "version": "v1", "kind": "Namespace", "name": namespace }
        ],
        "policy": {
            "placementType": "PickAll",
            "affinity": { "clusterAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": { "clusterSelectorTerms": [
                    { "labelSelector": { "matchExpressions": [
                        { "key": "region", "operator": "In", "values": regions }
                    ]}}
                ]}
            }}
        }
    });
    place_as(ground, name, spec).await;
}

/// Writes a placement with this specification.
pub async fn place_as(ground: &Ground, name: &str, spec: Value) {
    let object = json!({
        "apiVersion": "placement.kubernetes-fleet.io/v1beta1",
        "kind": "ClusterResourcePlacement",
        "metadata": { "name": name },
        "spec": spec,
    });
    let api: Api<api::ClusterResourcePlacement> = Api::all(ground.hub.client.clone());
    let params = PatchParams::apply("alice").force();
    api.patch(name, &params, &Patch::Apply(object)).await.expect("it is written");
}

/// The greeting that a member holds.
pub async fn greeting_on(member: &Cluster, namespace: &str) -> Option<String> {
    let maps: Api<ConfigMap> = Api::namespaced(member.client.clone(), namespace);
    let map = maps.get_opt("settings").await.expect("the member answers")?;
    map.data?.remove("greeting")
}

/// Type, status, reason and observed generation: what clients compare.
pub fn essence(conditions: &[Condition]) -> Vec<(String, String, String, i64)> {
    let essence = |c: &Condition| {
        let generation = c.observed_generation.unwrap_or_default();
        (c.type_.clone(), c.status.clone(), c.reason.clone(), generation)
    };
    conditions.iter().map(essence).collect()
}

/// The conditions of a placement that is available everywhere.
pub fn available(generation: i64) -> Vec<(String, String, String, i64)> {
    let steps = [
        ("Scheduled", "SchedulingPolicyFulfilled"),
        ("RolloutStarted", "RolloutStarted"),
        ("Overridden", "NoOverrideSpecified"),
        ("WorkSynchronized", "WorkSynchronized"),
        ("Applied", "ApplySucceeded"),
        ("Available", "ResourceAvailable"),
    ];
    let condition = |(step, reason): (&str, &str)| {
        let condition_type = format!("ClusterResourcePlacement{step}");
        (condition_type, "True".to_owned(), reason.to_owned(), generation)
    };
    steps.into_iter().map(condition).collect()
}

/// Waits until a placement shows exactly these conditions.
pub async fn shows(ground: &Ground, name: &str, wanted: &[(String, String, String, i64)]) {
    let api: Api<api::ClusterResourcePlacement> = Api::all(ground.hub.client.clone());
    let seen = std::sync::Mutex::new(vec![]);
    let wait = eventually("the placement shows the conditions", || async {
        let Some(placement) = api.get_opt(name).await.expect("the hub answers") else {
            return false;
        };
        let shown = placement.status.map(|status| essence(&status.conditions)).unwrap_or_default();
        let holds = shown == wanted;
        *seen.lock().expect("not poisoned") = shown;
        holds
    });
    let watch = std::panic::AssertUnwindSafe(wait);
    if futures::FutureExt::catch_unwind(watch).await.is_err() {
        panic!("{name} shows {:#?}, not {wanted:#?}", seen.lock().expect("not poisoned"));
    }
}

/// Waits until a step of a placement stands at a status for a reason; gives the message.
pub async fn stands(ground: &Ground, name: &str, step: &str, status: &str, reason: &str) -> String {
    let api: Api<api::ClusterResourcePlacement> = Api::all(ground.hub.client.clone());
    let wanted = format!("ClusterResourcePlacement{step}");
    come(&format!("{name}: {step} is {status} because of {reason}"), || async {
        let placement = api.get(name).await.expect("the hub answers");
        let generation = placement.metadata.generation;
        let conditions = placement.status.unwrap_or_default().conditions;
        let found = conditions.into_iter().find(|c| {
            c.type_ == wanted
                && c.status == status
                && c.reason == reason
                && c.observed_generation == generation
        })?;
        Some(found.message)
    })
    .await
}

/// Waits until a member shows a condition for a reason; gives the message.
pub async fn member_shows(ground: &Ground, name: &str, wanted: (&str, &str, &str)) -> String {
    let api: Api<api::MemberCluster> = Api::all(ground.hub.client.clone());
    come(&format!("{name} shows {wanted:?}"), || async {
        let member = api.get(name).await.expect("the hub answers");
        let status = member.status?;
        let agents = status.agent_status.into_iter().flat_map(|agent| agent.conditions);
        let found = status.conditions.into_iter().chain(agents).find(|c: &Condition| {
            (c.type_.as_str(), c.status.as_str(), c.reason.as_str()) == wanted
        })?;
        Some(found.message)
    })
    .await
}

/// What a placement of [`write_app`] shows besides its conditions: what it selects, and how far
/// each cluster is.
async fn shows_details(ground: &Ground, name: &str, namespace: &str, clusters: &[&Cluster]) {
    let api: Api<api::ClusterResourcePlacement> = Api::all(ground.hub.client.clone());
    let placement = api.get(name).await.expect("the hub answers");
    let status = placement.status.expect("it has a status");
    let selected = status.selected_resources.iter();
    let selected: Vec<_> =
        selected.map(|it| (it.kind.as_str(), it.namespace.as_str(), it.name.as_str())).collect();
    assert_eq!(selected, [("Namespace", "", namespace), ("ConfigMap", namespace, "settings")]);
    assert_eq!(status.observed_resource_index, "0");

    let steps = [
        ("Scheduled", "Scheduled"),
        ("RolloutStarted", "RolloutStarted"),
        ("Overridden", "NoOverrideSpecified"),
        ("WorkSynchronized", "AllWorkSynced"),
        ("Applied", "AllWorkHaveBeenApplied"),
        ("Available", "AllWorkAreAvailable"),
    ];
    let wanted =
        steps.map(|(step, reason)| (step.to_owned(), "True".to_owned(), reason.to_owned(), 1));
    let names: Vec<&str> = clusters.iter().map(|cluster| cluster.name.as_str()).collect();
    let shown = status.placement_statuses.iter();
    let shown: Vec<&str> = shown.map(|cluster| cluster.cluster_name.as_str()).collect();
    assert_eq!(shown, names);
    for cluster in &status.placement_statuses {
        assert_eq!(essence(&cluster.conditions), wanted, "{}", cluster.cluster_name);
        assert_eq!(cluster.observed_resource_index, "0");
        assert_eq!(cluster.failed_placements, []);
    }
}

/// What a member holds of [`write_app`] is what the hub has, and owned by its AppliedWork.
async fn holds_the_same(ground: &Ground, member: &Cluster, namespace: &str) {
    let map = |cluster: &Cluster| {
        let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), namespace);
        async move { maps.get("settings").await.expect("it is there") }
    };
    let (wanted, held) = (map(&ground.hub).await, map(member).await);
    assert_eq!(held.data, wanted.data);
    assert_eq!(held.binary_data, wanted.binary_data);
    let owners: Vec<&str> = held.owner_references().iter().map(|own| own.kind.as_str()).collect();
    assert_eq!(owners, ["AppliedWork"]);
    let namespaces: Api<Namespace> = Api::all(member.client.clone());
    let held = namespaces.get(namespace).await.expect("it is there");
    let owners: Vec<&str> = held.owner_references().iter().map(|own| own.kind.as_str()).collect();
    assert_eq!(owners, ["AppliedWork"]);
}

/// Join, place, update, delete, leave.
pub async fn journey(ground: &Ground) {
    let regions = ["eu", "us", "ap"];
    for (member, region) in ground.members.iter().zip(regions) {
        ground.join(member, &[("region", region)]).await;
    }
    let members: Api<api::MemberCluster> = Api::all(ground.hub.client.clone());
    for member in &ground.members {
        eventually("the member joins", || async {
            let object = members.get(&member.name).await.expect("it is there");
            let conditions = object.status.map(|status| status.conditions).unwrap_or_default();
            conditions.iter().any(|c| c.type_ == "Joined" && c.status == "True")
        })
        .await;
    }

    // Place on two of the three.
    write_app(ground, "app-journey", "hello").await;
    place(ground, "journey", "app-journey", &["eu", "us"]).await;
    shows(ground, "journey", &available(1)).await;
    let [first, second, third] = &ground.members[..] else { panic!("three members") };
    shows_details(ground, "journey", "app-journey", &[first, second]).await;
    for member in [first, second] {
        holds_the_same(ground, member, "app-journey").await;
    }
    assert_eq!(greeting_on(third, "app-journey").await, None);

    // Update an object, then the policy.
    write_app(ground, "app-journey", "hello again").await;
    for member in [first, second] {
        eventually("the member is updated", || async {
            greeting_on(member, "app-journey").await.as_deref() == Some("hello again")
        })
        .await;
    }
    place(ground, "journey", "app-journey", &["eu", "us", "ap"]).await;
    shows(ground, "journey", &available(2)).await;
    assert_eq!(greeting_on(third, "app-journey").await.as_deref(), Some("hello again"));

    // What somebody else put there stays when the placement goes.
    let own: Api<Namespace> = Api::all(first.client.clone());
    let object =
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "app-own" } });
    let params = PatchParams::apply("bob");
    own.patch("app-own", &params, &Patch::Apply(object)).await.expect("it is written");
    let placements: Api<api::ClusterResourcePlacement> = Api::all(ground.hub.client.clone());
    placements.delete("journey", &DeleteParams::default()).await.expect("it is there");
    for member in &ground.members {
        let namespaces: Api<Namespace> = Api::all(member.client.clone());
        eventually("nothing of it is left on the member", || async {
            namespaces.get_opt("app-journey").await.expect("the member answers").is_none()
        })
        .await;
    }
    eventually("the placement is gone", || async {
        placements.get_opt("journey").await.expect("the hub answers").is_none()
    })
    .await;
    assert!(own.get_opt("app-own").await.expect("the member answers").is_some());

    // A member that leaves keeps what was placed on it.
    place(ground, "stays", "app-journey", &["us"]).await;
    shows(ground, "stays", &available(1)).await;
    members.delete(&second.name, &DeleteParams::default()).await.expect("it is there");
    eventually("the member is gone", || async {
        members.get_opt(&second.name).await.expect("the hub answers").is_none()
    })
    .await;
    come("the placement lets go of it", || async {
        let placement = placements.get("stays").await.expect("it is there");
        placement.status.filter(|status| status.placement_statuses.is_empty())
    })
    .await;
    assert_eq!(greeting_on(second, "app-journey").await.as_deref(), Some("hello again"));
    placements.delete("stays", &DeleteParams::default()).await.expect("it is there");
    eventually("the placement is gone", || async {
        placements.get_opt("stays").await.expect("the hub answers").is_none()
    })
    .await;
}

/// The member objects of a ground, by name.
pub async fn member_names(ground: &Ground) -> Vec<String> {
    let members: Api<api::MemberCluster> = Api::all(ground.hub.client.clone());
    let list = members.list(&Default::default()).await.expect("the hub answers");
    list.iter().map(ResourceExt::name_any).collect()
}
