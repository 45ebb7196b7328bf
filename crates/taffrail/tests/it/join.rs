//! Joining through the program, against simulated clusters.

use crate::common::{answer, done};
use acceptance::ground::Ground;
use acceptance::in_a_system;
use api::MemberCluster;
use kube::Api;

/// Labels as `key=value`, and keys of taints.
async fn said_of(ground: &Ground, name: &str) -> (Vec<String>, Vec<String>) {
    let members: Api<MemberCluster> = Api::all(ground.hub.client.clone());
    let member = members.get(name).await.unwrap();
    let labels = member.metadata.labels.unwrap_or_default();
    let labels = labels.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    (labels, member.spec.taints.into_iter().map(|taint| taint.key).collect())
}

#[test]
fn regression_renewing_a_credential_leaves_labels_and_taints_alone() {
    in_a_system(async {
        let (ground, dir) = (Ground::simulated(1).await, tempfile::tempdir().unwrap());
        let (hub, member) = (dir.path().join("hub"), dir.path().join("member"));
        std::fs::write(&hub, &ground.hub.kubeconfig).unwrap();
        std::fs::write(&member, &ground.members[0].kubeconfig).unwrap();
        let (hub, member) = (hub.display(), member.display());
        let join = format!("join eu-1 --member-kubeconfig {member} --hub-kubeconfig {hub}");

        let said = done(&format!("{join} --label region=eu --label tier=1 --taint gpu:NoSchedule"));
        assert!(said.contains("eu-1 is registered"), "{said}");
        let before = said_of(&ground, "eu-1").await;
        assert_eq!(before.0, ["region=eu", "tier=1"]);
        assert_eq!(before.1, ["gpu"]);

        let said: serde_json::Value =
            serde_json::from_str(&done(&format!("{join} -o json"))).unwrap();
        assert_eq!(said["renewWith"], format!("taffrail {join}"));
        assert_eq!(said_of(&ground, "eu-1").await, before, "nobody said anything about them");

        done(&format!("{join} --label tier=2"));
        let (labels, taints) = said_of(&ground, "eu-1").await;
        assert_eq!(labels, ["region=eu", "tier=2"], "what is not named stays");
        assert_eq!(taints, ["gpu"]);
        done(&format!("{join} --taint spot:NoSchedule"));
        let (labels, taints) = said_of(&ground, "eu-1").await;
        assert_eq!(labels, ["region=eu", "tier=2"]);
        assert_eq!(taints, ["spot"]);
        ground.stop();
    });
}

#[test]
fn a_kubeconfig_that_leads_to_the_hub_itself_is_wrong_use() {
    in_a_system(async {
        let (ground, dir) = (Ground::simulated(0).await, tempfile::tempdir().unwrap());
        let hub = dir.path().join("hub");
        std::fs::write(&hub, &ground.hub.kubeconfig).unwrap();
        let hub = hub.display();
        let output = answer(&format!("join eu-1 --member-kubeconfig {hub} --hub-kubeconfig {hub}"));
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said.lines().count(), 2, "{said}");
        ground.stop();
    });
}
