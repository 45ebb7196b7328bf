//! Members that are not what they seem, that come back, that refuse: on simulated clusters and on
//! real ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use acceptance::ground::{Cluster, Ground};
use acceptance::scenarios::{
    available, greeting_on, member_shows, place, place_as, shows, write_app,
};
use acceptance::wait::{come, eventually};
use acceptance::{hubs, in_a_system, raw};
use actors::node::Ownership;
use api::conditions::fleet::agent_reason;
use event_log::{MemoryLog, PARTITIONS};
use kube::Api;
use kube::api::DeleteParams;
use serde_json::{Value, json};

const REGION: [(&str, &str); 1] = [("region", "eu")];

async fn leave(ground: &Ground, name: &str) {
    let members: Api<api::MemberCluster> = Api::all(ground.hub.client.clone());
    members.delete(name, &DeleteParams::default()).await.expect("it is there");
    eventually(&format!("{name} has left"), || async {
        members.get_opt(name).await.expect("it answers").is_none()
    })
    .await;
}

async fn remove(ground: &Ground, placement: &str) {
    let placements: Api<api::ClusterResourcePlacement> = Api::all(ground.hub.client.clone());
    placements.delete(placement, &DeleteParams::default()).await.expect("it is there");
    eventually(&format!("{placement} is gone"), || async {
        placements.get_opt(placement).await.expect("it answers").is_none()
    })
    .await;
}

async fn does_not_join(ground: &Ground, name: &str, cluster: &Cluster) -> String {
    ground.link(name, &cluster.kubeconfig).await;
    ground.register(name, &REGION).await;
    member_shows(ground, name, ("Joined", "False", agent_reason::FAILED_TO_JOIN)).await
}

/// Twins, the hub itself, a member that goes and comes back, and one that gets another name.
async fn joined_twice_and_back(ground: &Ground) {
    let [first, second, third] = &ground.members[..] else { panic!("three members") };
    for member in [first, second, third] {
        ground.join(member, &REGION).await;
    }
    write_app(ground, "app-twice", "one").await;
    place(ground, "twice", "app-twice", &["eu"]).await;
    for member in [first, second, third] {
        eventually(&format!("it arrives on {}", member.name), || async {
            greeting_on(member, "app-twice").await.as_deref() == Some("one")
        })
        .await;
    }
    shows(ground, "twice", &available(1)).await;

    let said = does_not_join(ground, "twin", first).await;
    assert!(said.contains(&first.name), "{said}");
    let said = does_not_join(ground, "hub-as-member", &ground.hub).await;
    assert!(said.contains("the hub's own cluster"), "{said}");
    shows(ground, "twice", &available(1)).await;
    for name in ["twin", "hub-as-member"] {
        leave(ground, name).await;
    }

    // What was placed stays on a member that leaves, as it was.
    leave(ground, &second.name).await;
    write_app(ground, "app-twice", "two").await;
    eventually("the others have the change", || async {
        greeting_on(third, "app-twice").await.as_deref() == Some("two")
    })
    .await;
    assert_eq!(greeting_on(second, "app-twice").await.as_deref(), Some("one"));

    // It comes back through the same link, and is brought up to date.
    ground.register(&second.name, &REGION).await;
    eventually("the member that is back has the change", || async {
        greeting_on(second, "app-twice").await.as_deref() == Some("two")
    })
    .await;
    shows(ground, "twice", &available(1)).await;

    // Under another name it is a new member, which takes over what the old one held.
    let path = "/api/v1/namespaces/app-twice";
    let uid_of = |object: Option<Value>| object.expect("it is there")["metadata"]["uid"].clone();
    let before = uid_of(raw::get(&third.client, path).await);
    leave(ground, &third.name).await;
    ground.link("renamed", &third.kubeconfig).await;
    ground.register("renamed", &REGION).await;
    write_app(ground, "app-twice", "three").await;
    eventually("the member with another name has the change", || async {
        greeting_on(third, "app-twice").await.as_deref() == Some("three")
    })
    .await;
    shows(ground, "twice", &available(1)).await;
    assert_eq!(uid_of(raw::get(&third.client, path).await), before, "it was not made anew");
    remove(ground, "twice").await;
    for member in [first, second, third] {
        assert_eq!(raw::get(&member.client, path).await, None, "{}", member.name);
    }
    leave(ground, "renamed").await;
}

/// One member refuses two objects; the third is there, the others have all, and it heals.
async fn one_member_refuses(ground: &Ground) {
    let [first, second, _] = &ground.members[..] else { panic!("three members") };
    let namespace = "app-refused";
    let at = |path: &str| format!("/api/v1/namespaces/{namespace}{path}");
    let deployment_path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/web");
    let home = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace },
    });
    let deployment = |label: &str| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "web", "namespace": namespace },
            "spec": {
                "replicas": 0,
                "selector": { "matchLabels": { "app": label } },
                "template": {
                    "metadata": { "labels": { "app": label } },
                    "spec": { "containers": [{ "name": "c", "image": "example.test/pause:3.10" }] },
                },
            },
        })
    };
    let map = |name: &str, value: &str, is_immutable: bool| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": name, "namespace": namespace },
            "immutable": is_immutable, "data": { "k": value },
        })
    };
    raw::apply(&second.client, &at(""), &home).await;
    raw::apply(&second.client, &deployment_path, &deployment("other")).await;
    raw::apply(&second.client, &at("/configmaps/frozen"), &map("frozen", "theirs", true)).await;
    raw::apply(&ground.hub.client, &at(""), &home).await;
    raw::apply(&ground.hub.client, &deployment_path, &deployment("web")).await;
    for (name, value) in [("frozen", "from-hub"), ("fine", "v")] {
        let path = at(&format!("/configmaps/{name}"));
        raw::apply(&ground.hub.client, &path, &map(name, value, false)).await;
    }
    let clusters = [&first.name, &second.name];
    let spec = json!({
        "resourceSelectors": [
            { "group": "", "version": "v1", "kind": "Namespace", "name": namespace }
        ],
        "policy": { "placementType": "PickFixed", "clusterNames": clusters },
    });
    place_as(ground, "refused", spec).await;

    let placements: Api<api::ClusterResourcePlacement> = Api::all(ground.hub.client.clone());
    let failed = come("both objects are named with what the member says", || async {
        let status = placements.get("refused").await.expect("it is there").status?;
        let of = status.placement_statuses.into_iter().find(|of| of.cluster_name == second.name)?;
        let failed: BTreeMap<String, String> = of
            .failed_placements
            .into_iter()
            .map(|failed| (failed.resource.name, failed.condition.message))
            .collect();
        (failed.len() == 2).then_some(failed)
    })
    .await;
    for name in ["web", "frozen"] {
        assert!(failed[name].contains("immutable"), "{name}: {failed:?}");
    }
    assert!(raw::get(&second.client, &at("/configmaps/fine")).await.is_some());
    assert!(raw::get(&first.client, &at("/configmaps/frozen")).await.is_some());

    raw::delete(&second.client, &deployment_path).await;
    raw::delete(&second.client, &at("/configmaps/frozen")).await;
    shows(ground, "refused", &available(1)).await;
    let frozen = raw::get(&second.client, &at("/configmaps/frozen")).await;
    assert_eq!(frozen.expect("it is there")["data"]["k"], "from-hub");
    remove(ground, "refused").await;
}

/// Kubeconfigs that lead nowhere, each in its own way. None is told, none is followed into programs.
async fn kubeconfigs_that_do_not_work(ground: &Ground) {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let was_run = dir.path().join("was-run");
    let secret = "not-to-be-told";
    let kubeconfig = |server: &str, cluster: Value, user: Value, current: &str| {
        let mut of_cluster = json!({ "server": server });
        for (key, value) in cluster.as_object().into_iter().flatten() {
            of_cluster[key] = value.clone();
        }
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": current,
            "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
            "clusters": [{ "name": "c", "cluster": of_cluster }],
            "users": [{ "name": "u", "user": user }],
        })
        .to_string()
    };
    let token = json!({ "token": secret });
    let exec = json!({ "exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/sh",
        "args": ["-c", format!("touch {}", was_run.display())], "interactiveMode": "Never",
    } });
    let nowhere = "https://127.0.0.1:9";
    let insecure = json!({ "tls-server-name": "member", "insecure-skip-tls-verify": true });
    let proxy = json!({ "proxy-url": "http://127.0.0.1:9" });
    let none = || json!({});
    let cases = [
        ("bad-exec", kubeconfig(nowhere, none(), exec, "c"), vec!["link-bad-exec", "exec"]),
        (
            "bad-proxy",
            kubeconfig(nowhere, proxy, token.clone(), "c"),
            vec!["link-bad-proxy", "proxy-url"],
        ),
        ("bad-servername", kubeconfig(nowhere, insecure, token.clone(), "c"), vec!["127.0.0.1:9"]),
        ("bad-garbage", format!("{{[not yaml {secret}"), vec!["link-bad-garbage", "YAML"]),
        (
            "bad-noctx",
            kubeconfig(nowhere, none(), token, "elsewhere"),
            vec!["link-bad-noctx", "context"],
        ),
        ("bad-empty", String::new(), vec!["link-bad-empty", "kubeconfig"]),
    ];
    for (name, kubeconfig, _) in &cases {
        ground.link(name, kubeconfig).await;
        ground.register(name, &[]).await;
    }
    for (name, _, words) in &cases {
        let shown = ("Joined", "False", agent_reason::FAILED_TO_JOIN);
        let said = member_shows(ground, name, shown).await;
        for word in words {
            assert!(said.contains(word), "{name}: {word}: {said}");
        }
        assert!(!said.contains(secret), "{name}: {said}");
    }
    assert!(!was_run.exists(), "a program was run");

    // A link that is mended joins; here it leads to a cluster that is free.
    let free = &ground.members[2];
    ground.link("bad-exec", &free.kubeconfig).await;
    member_shows(ground, "bad-exec", ("Joined", "True", agent_reason::JOINED)).await;
    for (name, _, _) in &cases {
        leave(ground, name).await;
    }
}

async fn play(ground: &Ground) {
    let data = tempfile::tempdir().expect("a directory can be made");
    let log = Arc::new(MemoryLog::new());
    let hub = hubs::start("hub-a", ground, log.clone(), data.path(), Ownership::Alone).await;
    joined_twice_and_back(ground).await;
    one_member_refuses(ground).await;
    kubeconfigs_that_do_not_work(ground).await;
    hub.shutdown().await;
    let report = actors::replay::verify(&*log, PARTITIONS).await.expect("the log can be read");
    assert_eq!(report.first_difference, None);
}

#[test]
fn on_simulated_clusters() {
    in_a_system(async {
        let ground = Ground::simulated(3).await;
        play(&ground).await;
        ground.stop();
    });
}

#[test]
fn on_real_clusters() {
    in_a_system(async {
        let Some(ground) = Ground::real().await else { return };
        ground.tidy().await;
        play(&ground).await;
        ground.tidy().await;
    });
}
