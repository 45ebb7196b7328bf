//! The demo, as somebody runs it.

use std::path::{Path, PathBuf};

use crate::common::{Running, answer, apply, client, done, examples, taffrail};
use acceptance::in_a_system;
use acceptance::scenarios::essence;
use acceptance::wait::eventually;
use api::{ClusterResourcePlacement, MemberCluster, ResourcePlacement};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

#[test]
fn a_script_ends_when_everything_is_available() {
    let said = done("demo --script --clusters 3");
    for line in [
        "fleet      3 simulated members in eu, us and ap, and a hub",
        "answers    http://127.0.0.1:",
        "placed     namespace shop on every member in eu and us (examples/shop)",
        "3 of 3 members joined, available on 2 of 2",
    ] {
        assert!(said.contains(line), "{line:?} is not in {said}");
    }
    for branch in ["├─ member-eu-1 ", "└─ member-us-1 "] {
        let line = said.lines().find(|line| line.starts_with(branch));
        assert!(line.is_some_and(|line| line.ends_with(" available")), "{branch:?} in {said}");
    }
}

/// A demo that runs until it is ended.
struct Demo {
    program: Running,
    server: String,
    kubeconfig: PathBuf,
    hub: Client,
}

impl Demo {
    async fn start(arguments: &str) -> Self {
        let mut command = taffrail(["demo"]);
        command.args(arguments.split_whitespace());
        let program = Running::start(command);
        let server = program.said("answers ");
        let kubeconfig = PathBuf::from(program.said("use it     export KUBECONFIG="));
        let hub = client(&kubeconfig, "hub").await;
        Self { program, server, kubeconfig, hub }
    }

    async fn member(&self, name: &str) -> Client {
        client(&self.kubeconfig, name).await
    }

    fn ask(&self, line: &str) -> String {
        done(&format!("{line} --server {}", self.server))
    }

    async fn holds(&self, member: &str, replicas: i32) {
        let carts: Api<Deployment> = Api::namespaced(self.member(member).await, "shop");
        eventually("the member has as many replicas, and all are ready", || async {
            let Some(cart) = carts.get_opt("cart").await.unwrap() else { return false };
            let ready = cart.status.and_then(|status| status.ready_replicas);
            cart.spec.and_then(|spec| spec.replicas) == Some(replicas) && ready == Some(replicas)
        })
        .await;
    }

    async fn scale(&self, replicas: i32) {
        let carts: Api<Deployment> = Api::namespaced(self.hub.clone(), "shop");
        let patch = json!({ "spec": { "replicas": replicas } });
        carts.patch("cart", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    async fn is_available(&self, placement: &str) {
        let placements: Api<ClusterResourcePlacement> = Api::all(self.hub.clone());
        eventually("the placement is available", || async {
            let conditions = placements.get(placement).await.unwrap().status.unwrap_or_default();
            is_complete(&essence(&conditions.conditions))
        })
        .await;
    }
}

fn is_complete(conditions: &[(String, String, String, i64)]) -> bool {
    conditions.len() == 6 && conditions.iter().all(|(_, status, ..)| status == "True")
}

async fn token_on(cluster: Client) -> Option<Vec<u8>> {
    let secrets: Api<Secret> = Api::namespaced(cluster, "shop");
    let secret = secrets.get_opt("shop-payment").await.unwrap()?;
    secret.data?.remove("api-token").map(|token| token.0)
}

/// What the user adds in a first run: a placement of a namespace of their own.
async fn place_a_namespace(hub: &Client) {
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "mine" },
    });
    let placement = json!({
        "apiVersion": "placement.kubernetes-fleet.io/v1beta1",
        "kind": "ClusterResourcePlacement", "metadata": { "name": "mine" },
        "spec": { "resourceSelectors": [
            { "group": "", "version": "v1", "kind": "Namespace", "name": "mine" },
        ]},
    });
    let params = PatchParams::apply("me");
    let namespaces: Api<Namespace> = Api::all(hub.clone());
    namespaces.patch("mine", &params, &Patch::Apply(namespace)).await.unwrap();
    let placements: Api<ClusterResourcePlacement> = Api::all(hub.clone());
    placements.patch("mine", &params, &Patch::Apply(placement)).await.unwrap();
}

/// What is said about a command line that is refused.
fn wrong(line: &str) -> String {
    let output = answer(line);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{line}: {said}");
    assert_eq!(said.lines().count(), 2, "{said}");
    said
}

#[test]
fn regression_a_demo_that_is_started_again_goes_on_where_it_was() {
    in_a_system(async {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("demo");
        let data = data.display();

        // The user changes something and adds something, and the power goes.
        let demo = Demo::start(&format!("--clusters 3 --data {data}")).await;
        demo.is_available("shop").await;
        place_a_namespace(&demo.hub).await;
        demo.is_available("mine").await;
        demo.scale(4).await;
        demo.holds("member-eu-1", 4).await;
        let in_use = answer(&format!("demo --script --data {data}"));
        assert_eq!(in_use.status.code(), Some(1));
        let said = String::from_utf8(in_use.stderr).unwrap();
        assert!(said.contains("is in use: end the process that has it open"), "{said}");
        demo.program.kill();

        // Everything is there, and can be changed further.
        let mut demo = Demo::start(&format!("--data {data}")).await;
        let carts: Api<Deployment> = Api::namespaced(demo.hub.clone(), "shop");
        let cart = carts.get("cart").await.unwrap();
        assert_eq!(cart.spec.and_then(|spec| spec.replicas), Some(4), "it is the user's");
        demo.holds("member-us-1", 4).await;
        demo.is_available("mine").await;
        demo.scale(6).await;
        demo.holds("member-eu-1", 6).await;
        demo.holds("member-us-1", 6).await;
        let members: Api<MemberCluster> = Api::all(demo.hub.clone());
        assert_eq!(members.list(&Default::default()).await.unwrap().items.len(), 3);
        let token = token_on(demo.hub.clone()).await;
        assert!(token.is_some());
        assert_eq!(token_on(demo.member("member-eu-1").await).await, token);
        assert!(demo.ask("replay --verify").contains("all come out the same"));
        demo.scale(7).await;
        assert!(demo.program.end().success(), "SIGTERM ends it in order");

        // A larger fleet, and what this run sees: the last change, on the new member too.
        let said = done(&format!("demo --script --clusters 4 --data {data}"));
        assert!(said.contains("4 of 4 members joined, available on 3 of 3"), "{said}");
        let mut demo = Demo::start(&format!("--data {data}")).await;
        demo.holds("member-eu-2", 7).await;
        assert!(demo.ask("replay --verify").contains("all come out the same"));
        assert!(demo.program.end().success());

        let said = wrong(&format!("demo --script --clusters 2 --data {data}"));
        assert!(said.contains("holds a fleet of 4 members, more than 2"), "{said}");
        std::fs::remove_file(dir.path().join("demo/clusters.jsonl")).unwrap();
        let said = wrong(&format!("demo --script --data {data}"));
        assert!(said.contains("holds a log, but not the clusters"), "{said}");
    });
}

#[test]
fn regression_a_kubeconfig_is_named_so_that_it_works_everywhere() {
    in_a_system(async {
        let dir = tempfile::tempdir().unwrap();
        let mut command = taffrail(["demo", "--clusters", "1", "--data", "kept"]);
        command.current_dir(dir.path());
        let mut program = Running::start(command);
        let kubeconfig = program.said("use it     export KUBECONFIG=");
        assert!(Path::new(&kubeconfig).is_absolute(), "{kubeconfig}");
        assert!(Path::new(&kubeconfig).exists());
        assert!(program.end().success());
    });
}

#[test]
fn the_example_placements_become_available() {
    in_a_system(async {
        let mut demo = Demo::start("--clusters 3").await;
        apply(&demo.hub, &examples("placements")).await;
        for placement in ["everywhere", "fixed", "team-a-namespace"] {
            demo.is_available(placement).await;
        }
        let settings: Api<ResourcePlacement> = Api::namespaced(demo.hub.clone(), "team-a");
        eventually("the settings are placed", || async {
            let status = settings.get("settings").await.unwrap().status.unwrap_or_default();
            is_complete(&essence(&status.conditions))
        })
        .await;
        let ap = demo.member("member-ap-1").await;
        let settings: Api<ConfigMap> = Api::namespaced(ap.clone(), "team-a");
        assert_eq!(settings.get("settings").await.unwrap().data.unwrap()["colour"], "blue");
        let namespaces: Api<Namespace> = Api::all(ap);
        assert!(namespaces.get_opt("everywhere").await.unwrap().is_some());
        assert!(namespaces.get_opt("fixed").await.unwrap().is_none(), "it was not named");
        assert!(demo.program.end().success());
    });
}
