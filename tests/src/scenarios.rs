//! What has to work, whatever the ground.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::ground::{Cluster, Ground};
use crate::held;
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

/// What a placement of such an app shows besides its conditions: what it selects, and how far
/// each cluster is.
async fn shows_details(ground: &Ground, name: &str, namespace: &str, clusters: &[&Cluster]) {
    let api: Api<api::ClusterResourcePlacement> = Api::all(ground.hub.client.clone());
    let placement = api.get(name).await.expect("the hub answers");
    let status = placement.status.expect("it has a status");
    let selected = status.selected_resources.iter();
    let selected: Vec<_> =
        selected.map(|it| (it.kind.as_str(), it.namespace.as_str(), it.name.as_str())).collect();
    assert_eq!(
        selected,
        [
            ("Namespace", "", namespace),
            ("Secret", namespace, "password"),
            ("ConfigMap", namespace, "settings"),
            ("Service", namespace, "web"),
            ("Deployment", namespace, "web"),
        ]
    );
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

/// Waits until members hold a namespace exactly as the hub has it.
pub async fn hold_the_same(ground: &Ground, members: &[&Cluster], namespace: &str) {
    for member in members {
        let difference = std::sync::Mutex::new(String::new());
        let wait = eventually("the member holds what the hub has", || async {
            let compared = held::compare(&ground.hub, member, namespace).await;
            *difference.lock().expect("not poisoned") = compared.clone().err().unwrap_or_default();
            compared.is_ok()
        });
        let watch = std::panic::AssertUnwindSafe(wait);
        if futures::FutureExt::catch_unwind(watch).await.is_err() {
            panic!("{}", difference.lock().expect("not poisoned"));
        }
    }
}

/// Adds to the namespace of [`write_app`] what else an app consists of.
async fn write_more(ground: &Ground, namespace: &str) {
    let objects = json!([
        {
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": "password", "namespace": namespace,
                "labels": { "tier": "front" }, "annotations": { "example.com/note": "rotate me" },
            },
            "stringData": { "password": "correct horse" },
        },
        {
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": "web", "namespace": namespace },
            "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80, "targetPort": 8080 }] },
        },
        // Nothing runs pods on real members: of none, all are available.
        {
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "web", "namespace": namespace },
            "spec": {
                "replicas": 0,
                "selector": { "matchLabels": { "app": "web" } },
                "template": {
                    "metadata": { "labels": { "app": "web" } },
                    "spec": { "containers": [{ "name": "web", "image": "example.com/web:1.0" }] },
                },
            },
        },
    ]);
    let params = PatchParams::apply("alice").force();
    for object in objects.as_array().expect("a list") {
        let object: DynamicObject = serde_json::from_value(object.clone()).expect("an object");
        let types = object.types.clone().expect("it has a kind");
        let gvk = GroupVersionKind::try_from(&types).expect("it has a kind");
        let resource = ApiResource::from_gvk(&gvk);
        let api: Api<DynamicObject> =
            Api::namespaced_with(ground.hub.client.clone(), namespace, &resource);
        let name = object.name_any();
        api.patch(&name, &params, &Patch::Apply(object)).await.expect("it is written");
    }
}

/// A cluster becomes a member whichever of its two objects comes first; its MemberCluster shows the
/// whole of it.
async fn joins(ground: &Ground, member: &Cluster, labels: &[(&str, &str)], link_first: bool) {
    if link_first {
        ground.join(member, labels).await;
    } else {
        ground.register(&member.name, labels).await;
        let waiting = ("Joined", "Unknown", "MemberClusterJoinStateUnknown");
        come("it says what is missing", || async {
            let said = member_shows(ground, &member.name, waiting).await;
            said.contains("Secret").then_some(())
        })
        .await;
        ground.link(&member.name, &member.kubeconfig).await;
    }
    let members: Api<api::MemberCluster> = Api::all(ground.hub.client.clone());
    let status = come("the member has joined and was asked how it is", || async {
        let status = members.get(&member.name).await.expect("it is there").status?;
        let is_joined = status.conditions.iter().any(|c| c.type_ == "Joined" && c.status == "True");
        (is_joined && status.resource_usage.is_some()).then_some(status)
    })
    .await;
    let named = |conditions: &[(&str, &str)]| -> Vec<(String, String, String, i64)> {
        let condition = |(name, reason): &(&str, &str)| {
            ((*name).to_owned(), "True".to_owned(), (*reason).to_owned(), 1)
        };
        conditions.iter().map(condition).collect()
    };
    let of_member = [
        ("ReadyToJoin", "MemberClusterReadyToJoin"),
        ("Joined", "MemberClusterJoined"),
        ("ClusterPropertyCollectionSucceeded", "PropertiesCollected"),
    ];
    assert_eq!(essence(&status.conditions), named(&of_member));
    let [agent] = &status.agent_status[..] else { panic!("{:?}", status.agent_status) };
    let of_agent =
        [("Joined", "InternalMemberClusterJoined"), ("Healthy", "InternalMemberClusterHealthy")];
    assert_eq!(essence(&agent.conditions), named(&of_agent));

    let nodes: Api<Node> = Api::all(member.client.clone());
    let nodes = nodes.list(&Default::default()).await.expect("a list").items.len();
    let told = status.properties.get("kubernetes-fleet.io/node-count").map(|it| it.value.clone());
    assert_eq!(told, Some(nodes.to_string()));
    let first = agent.last_received_heartbeat.clone().expect("it was heard of");
    come("it is heard of again", || async {
        let status = members.get(&member.name).await.expect("it is there").status?;
        let heard = status.agent_status.into_iter().find_map(|it| it.last_received_heartbeat)?;
        (heard.0 > first.0).then_some(())
    })
    .await;
}

/// A namespace that a ClusterResourcePlacement places by itself, and an object in it that a
/// ResourcePlacement does.
async fn namespaced_placement(ground: &Ground, members: &[&Cluster]) {
    let namespace = "app-namespaced";
    write_app(ground, namespace, "from within").await;
    let selector = json!({
        "group": "", "version": "v1", "kind": "Namespace", "name": namespace,
        "selectionScope": "NamespaceOnly",
    });
    let place = |kind: &str, scope: &str, selector: serde_json::Value| {
        let object = json!({
            "apiVersion": "placement.kubernetes-fleet.io/v1beta1", "kind": kind,
            "metadata": { "name": scope },
            "spec": {
                "resourceSelectors": [selector],
                "policy": { "placementType": "PickFixed",
                            "clusterNames": members.iter().map(|it| &it.name).collect::<Vec<_>>() },
            },
        });
        Patch::Apply(object)
    };
    let params = PatchParams::apply("alice").force();
    let outer: Api<api::ClusterResourcePlacement> = Api::all(ground.hub.client.clone());
    let patch = place("ClusterResourcePlacement", "outer", selector);
    outer.patch("outer", &params, &patch).await.expect("it is written");
    shows(ground, "outer", &available(1)).await;
    for member in members {
        assert_eq!(greeting_on(member, namespace).await, None, "the namespace alone");
    }

    let inner: Api<api::ResourcePlacement> = Api::namespaced(ground.hub.client.clone(), namespace);
    let selector = json!({ "group": "", "version": "v1", "kind": "ConfigMap", "name": "settings" });
    let patch = place("ResourcePlacement", "inner", selector);
    inner.patch("inner", &params, &patch).await.expect("it is written");
    let wanted: Vec<_> = available(1)
        .into_iter()
        .map(|(name, status, reason, generation)| {
            (name.replacen("Cluster", "", 1), status, reason, generation)
        })
        .collect();
    come("the inner placement is available", || async {
        let status = inner.get("inner").await.expect("it is there").status?;
        (essence(&status.conditions) == wanted).then_some(())
    })
    .await;
    hold_the_same(ground, members, namespace).await;

    inner.delete("inner", &DeleteParams::default()).await.expect("it is there");
    for member in members {
        eventually("the object is gone", || async {
            greeting_on(member, namespace).await.is_none()
        })
        .await;
        let namespaces: Api<Namespace> = Api::all(member.client.clone());
        let stays = namespaces.get_opt(namespace).await.expect("the member answers");
        assert!(stays.is_some(), "the namespace is another placement's");
    }
    outer.delete("outer", &DeleteParams::default()).await.expect("it is there");
    eventually("both placements are gone", || async {
        outer.get_opt("outer").await.expect("the hub answers").is_none()
            && inner.get_opt("inner").await.expect("the hub answers").is_none()
    })
    .await;
}

/// Join, place, update, delete, leave.
pub async fn journey(ground: &Ground) {
    let regions = ["eu", "us", "ap"];
    for (index, (member, region)) in ground.members.iter().zip(regions).enumerate() {
        joins(ground, member, &[("region", region)], index % 2 == 0).await;
    }
    let members: Api<api::MemberCluster> = Api::all(ground.hub.client.clone());

    // Place on two of the three.
    write_app(ground, "app-journey", "hello").await;
    write_more(ground, "app-journey").await;
    place(ground, "journey", "app-journey", &["eu", "us"]).await;
    shows(ground, "journey", &available(1)).await;
    let [first, second, third] = &ground.members[..] else { panic!("three members") };
    shows_details(ground, "journey", "app-journey", &[first, second]).await;
    hold_the_same(ground, &[first, second], "app-journey").await;
    assert_eq!(greeting_on(third, "app-journey").await, None);

    // Update an object, then the policy.
    write_app(ground, "app-journey", "hello again").await;
    hold_the_same(ground, &[first, second], "app-journey").await;
    place(ground, "journey", "app-journey", &["eu", "us", "ap"]).await;
    shows(ground, "journey", &available(2)).await;
    hold_the_same(ground, &[first, second, third], "app-journey").await;

    namespaced_placement(ground, &[first, third]).await;

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
