//! Every command of the program, on real clusters: from an empty hub to a member that has left.

use std::path::Path;

use crate::common::{Running, apply, done, examples, taffrail};
use acceptance::ground::Ground;
use acceptance::wait::come;
use acceptance::{in_a_system, scenarios};
use api::MemberCluster;
use hub::links::KUBECONFIG_ENTRY;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::DeleteParams;
use kube::config::Kubeconfig;
use kube::{Api, ResourceExt as _};
use serde_json::Value;
use xtask::bed::Bed;

/// A hub that runs, and how it is asked.
struct Hub {
    program: Running,
    server: String,
    kubeconfig: String,
    config: String,
}

impl Hub {
    fn start(dir: &Path, kubeconfig: &str) -> Self {
        let config = format!(
            "data_dir = \"data\"\n[hub]\nkubeconfig = \"{kubeconfig}\"\ncontext = \"hub\"\n\
             [http]\nlisten = \"127.0.0.1:0\"\n"
        );
        let file = dir.join("taffrail.toml");
        std::fs::write(&file, config).unwrap();
        let config = file.display().to_string();
        let program = Running::start(taffrail(["hub", "--config", &config]));
        let server = program.said("http: ");
        program.said("started");
        Self { program, server, kubeconfig: kubeconfig.to_owned(), config }
    }

    fn ask(&self, line: &str) -> String {
        done(&format!("{line} --server {}", self.server))
    }

    /// The same answer as data, in both forms.
    fn ask_for_data(&self, line: &str) -> Value {
        let json: Value = serde_json::from_str(&self.ask(&format!("{line} -o json"))).unwrap();
        let yaml = self.ask(&format!("{line} -o yaml"));
        let yaml: Value = serde_yaml_ng::from_str(&yaml).unwrap();
        assert_eq!(keys(&yaml), keys(&json), "{line}");
        json
    }

    fn join(&self, member: &str, flags: &str) -> Value {
        let kubeconfig = &self.kubeconfig;
        let line = format!(
            "join {member} --member-kubeconfig {kubeconfig} --member-context {member} \
             --hub-kubeconfig {kubeconfig} --hub-context hub -o json {flags}"
        );
        serde_json::from_str(&done(&line)).unwrap()
    }
}

/// The fields of an answer; numbers and times in it move.
fn keys(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => fields.keys().cloned().collect(),
        Value::Array(items) => items.iter().flat_map(keys).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => vec![],
    }
}

/// The link is a credential of the hub's own: a token that ends, and nothing of the administrator.
async fn check_link(ground: &Ground, member: &str) {
    let secrets: Api<Secret> = Api::namespaced(ground.hub.client.clone(), "fleet-system");
    let secret = secrets.get(&format!("link-{member}")).await.unwrap();
    let kubeconfig = secret.data.unwrap().remove(KUBECONFIG_ENTRY).unwrap().0;
    let kubeconfig = Kubeconfig::from_yaml(std::str::from_utf8(&kubeconfig).unwrap()).unwrap();
    let user = kubeconfig.auth_infos[0].auth_info.clone().unwrap();
    assert!(user.token.is_some());
    assert!(user.client_certificate_data.is_none() && user.client_key_data.is_none());
}

async fn joined(ground: &Ground, name: &str) -> MemberCluster {
    let members: Api<MemberCluster> = Api::all(ground.hub.client.clone());
    come("the member has joined", || async {
        let member = members.get(name).await.unwrap();
        let status = member.status.clone().unwrap_or_default();
        let is_joined = |c: &_| matches!(essence(c), ("Joined", "True"));
        status.conditions.iter().any(is_joined).then_some(member)
    })
    .await
}

fn essence(condition: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition) -> (&str, &str) {
    (&condition.type_, &condition.status)
}

async fn tidy(ground: &Ground) {
    ground.tidy().await;
    for cluster in ground.members.iter().chain([&ground.hub]) {
        let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
        drop(namespaces.delete("shop", &DeleteParams::default()).await);
        acceptance::wait::eventually("the shop is gone", || async {
            namespaces.get_opt("shop").await.unwrap().is_none()
        })
        .await;
    }
}

#[test]
fn every_command_does_its_part_on_real_clusters() {
    in_a_system(async {
        let (Some(ground), Some(bed)) = (Ground::real().await, Bed::shared()) else { return };
        tidy(&ground).await;
        let dir = tempfile::tempdir().unwrap();
        let kubeconfig = bed.kubeconfig_path().display().to_string();
        let at_hub = format!("--hub-kubeconfig {kubeconfig} --hub-context hub");
        let said = done(&format!("crds install {at_hub}"));
        assert!(said.contains("memberclusters.cluster.kubernetes-fleet.io is served"), "{said}");
        let mut hub = Hub::start(dir.path(), &kubeconfig);

        // The credential first, or the MemberCluster first: either order.
        let joining = hub.join("member-1", "--label region=eu");
        assert_eq!(joining["credential"], "ServiceAccount");
        assert!(joining["credentialExpires"].is_string(), "{joining}");
        ground.register("member-2", &[("region", "us")]).await;
        // Somebody else made its Secret, of another type, and with what leads nowhere.
        ground.link("member-2", "not a kubeconfig").await;
        hub.join("member-2", "");
        hub.join("member-3", "--label region=ap");
        check_link(&ground, "member-1").await;
        for (name, region) in [("member-1", "eu"), ("member-2", "us"), ("member-3", "ap")] {
            assert_eq!(joined(&ground, name).await.labels()["region"], region);
        }

        apply(&ground.hub.client, &examples("shop")).await;
        scenarios::shows(&ground, "shop", &scenarios::available(1)).await;

        let status = hub.ask_for_data("status");
        assert_eq!(status["hub"]["clusters"]["joined"], 3, "{status}");
        assert!(hub.ask("status").contains("shop"));
        let why = hub.ask("why crp/shop --cluster member-3");
        assert!(why.contains("shop does not go to member-3"), "{why}");
        hub.ask_for_data("why crp/shop");
        let history = hub.ask_for_data("history crp/shop");
        assert!(!history["events"].as_array().unwrap().is_empty());
        assert!(hub.ask("history crp/shop").contains("PlacementScheduled"));
        hub.ask_for_data("events");
        assert!(hub.ask("events --aggregate cluster/member-1").contains("ClusterJoined"));
        assert_eq!(hub.ask_for_data("replay --verify")["clean"], true);
        let doctor = hub.ask(&format!("doctor --config {}", hub.config));
        assert!(doctor.contains("is in use by a running hub"), "{doctor}");
        assert!(doctor.contains("all are served") && !doctor.contains("FAILED"), "{doctor}");

        let left = done(&format!("leave member-2 {at_hub} -o json"));
        let left: Value = serde_json::from_str(&left).unwrap();
        assert_eq!(left["wasMember"], true);
        assert_eq!(left["secretsDeleted"][0], "link-member-2");
        let namespaces: Api<Namespace> = Api::all(ground.members[1].client.clone());
        assert!(namespaces.get_opt("shop").await.unwrap().is_some(), "what was placed stays");
        assert!(hub.program.end().success());
        tidy(&ground).await;
    });
}
