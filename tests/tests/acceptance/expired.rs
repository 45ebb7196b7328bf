//! A member's credentials expire while it is in use.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use acceptance::ground::{Cluster, Ground};
use acceptance::wait::{come, eventually};
use acceptance::{hubs, in_a_system, scenarios};
use actors::node::Ownership;
use event_log::MemoryLog;
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use xtask::bed::Bed;

/// How long the credentials are good for: enough to be used before they expire.
const VALIDITY: Duration = Duration::from_secs(6);

/// The namespace of the app with a load balancer.
const BALANCED: &str = "app-balanced";

async fn holds(ground: &Ground, member: usize, wanted: &str) {
    let what = format!("{} holds {wanted}", ground.members[member].name);
    eventually(&what, || async {
        let greeting = scenarios::greeting_on(&ground.members[member], "app-expired").await;
        greeting.as_deref() == Some(wanted)
    })
    .await;
}

/// An app that is available on a member as long as its load balancer has an address there.
async fn write_balanced(ground: &Ground) {
    scenarios::write_app(ground, BALANCED, "hello").await;
    let services: Api<Service> = Api::namespaced(ground.hub.client.clone(), BALANCED);
    let front = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "front" },
        "spec": { "type": "LoadBalancer", "ports": [{ "port": 80 }] },
    });
    let params = PatchParams::apply("alice").force();
    services.patch("front", &params, &Patch::Apply(front)).await.expect("it is written");
}

/// Nothing else gives a load balancer an address, or takes it away.
async fn balance(member: &Cluster, ingress: serde_json::Value) {
    let services: Api<Service> = Api::namespaced(member.client.clone(), BALANCED);
    come("the service is on the member", || async {
        services.get_opt("front").await.expect("the member answers")
    })
    .await;
    let status = Patch::Merge(json!({ "status": { "loadBalancer": { "ingress": ingress } } }));
    services.patch_status("front", &PatchParams::default(), &status).await.expect("it is written");
}

fn unavailable() -> Vec<(String, String, String, i64)> {
    let mut steps = scenarios::available(1);
    let last = steps.last_mut().expect("there are steps");
    (last.1, last.2) = ("False".to_owned(), "ResourceNotAvailableYet".to_owned());
    steps
}

#[test]
fn credentials_of_real_clusters_that_expire_cost_only_their_member_until_they_are_renewed() {
    in_a_system(async {
        let (Some(ground), Some(bed)) = (Ground::real().await, Bed::shared()) else { return };
        ground.tidy().await;
        let (dir, log) = (tempfile::tempdir().unwrap(), Arc::new(MemoryLog::new()));
        let hub = hubs::start("hub-a", &ground, log, dir.path(), Ownership::Alone).await;
        for member in &ground.members[..2] {
            ground.join(member, &[("region", "eu")]).await;
        }
        scenarios::write_app(&ground, "app-expired", "hello").await;
        scenarios::place(&ground, "expired", "app-expired", &["eu"]).await;
        scenarios::shows(&ground, "expired", &scenarios::available(1)).await;
        write_balanced(&ground).await;
        scenarios::place(&ground, "balanced", BALANCED, &["eu"]).await;
        let address = json!([{ "ip": "192.0.2.1" }]);
        for member in &ground.members[..2] {
            balance(member, address.clone()).await;
        }
        scenarios::shows(&ground, "balanced", &scenarios::available(1)).await;

        let first = &ground.members[0];
        // Certificates end with a whole second.
        let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + VALIDITY;
        let end = UNIX_EPOCH + Duration::from_secs(end.as_secs());
        let expiring = bed.context(&first.name).kubeconfig_until(end).unwrap();
        ground.link(&first.name, &expiring).await;
        let unwell = ("Healthy", "False", "InternalMemberClusterUnhealthy");
        let said = scenarios::member_shows(&ground, &first.name, unwell).await;
        assert!(said.contains("renew the kubeconfig in the Secret"), "{said}");
        assert!(SystemTime::now() >= end, "they were good before");

        scenarios::write_app(&ground, "app-expired", "hello again").await;
        holds(&ground, 1, "hello again").await;
        holds(&ground, 0, "hello").await;

        ground.link(&first.name, &first.kubeconfig).await;
        let well = ("Healthy", "True", "InternalMemberClusterHealthy");
        scenarios::member_shows(&ground, &first.name, well).await;
        holds(&ground, 0, "hello again").await;

        // What nobody had to deliver again is watched through the new credential too.
        balance(first, json!([])).await;
        scenarios::shows(&ground, "balanced", &unavailable()).await;
        balance(first, address).await;
        scenarios::shows(&ground, "balanced", &scenarios::available(1)).await;
        hub.shutdown().await;
        ground.tidy().await;
    });
}
