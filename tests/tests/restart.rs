//! What a hub that was restarted goes on with.

use std::path::Path;
use std::sync::Arc;

use acceptance::ground::Ground;
use acceptance::wait::eventually;
use acceptance::{hubs, in_a_system, scenarios};
use actors::node::Ownership;
use event_log::EmbeddedLog;
use hub::Hub;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

async fn start(ground: &Ground, dir: &Path) -> Hub {
    let log = Arc::new(EmbeddedLog::open(dir.join("log.redb")).unwrap());
    hubs::start("hub-a", ground, log, &dir.join("projections"), Ownership::Alone).await
}

#[test]
fn what_was_available_before_is_still_looked_after() {
    in_a_system(async {
        let ground = Ground::simulated(1).await;
        let dir = tempfile::tempdir().unwrap();
        let hub = start(&ground, dir.path()).await;
        ground.join(&ground.members[0], &[("region", "eu")]).await;
        scenarios::write_app(&ground, "app-restart", "hello").await;
        let deployments: Api<Deployment> =
            Api::namespaced(ground.hub.client.clone(), "app-restart");
        let labels = json!({ "app": "web" });
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
            "spec": {
                "replicas": 2, "selector": { "matchLabels": labels },
                "template": {
                    "metadata": { "labels": labels },
                    "spec": { "containers": [{ "name": "web", "image": "web:1" }] },
                },
            },
        });
        let params = PatchParams::apply("alice").force();
        deployments.patch("web", &params, &Patch::Apply(deployment)).await.unwrap();
        scenarios::place(&ground, "restart", "app-restart", &["eu"]).await;
        scenarios::shows(&ground, "restart", &scenarios::available(1)).await;
        let member: Api<Deployment> =
            Api::namespaced(ground.members[0].client.clone(), "app-restart");
        // The placement may have been available for a moment without its last object.
        eventually("the workload is available on the member", || async {
            let held = member.get_opt("web").await.unwrap();
            held.and_then(|web| web.status).is_some_and(|it| it.available_replicas == Some(2))
        })
        .await;
        scenarios::shows(&ground, "restart", &scenarios::available(1)).await;
        hub.shutdown().await;
        while EmbeddedLog::open(dir.path().join("log.redb")).is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }

        // On the member it stops being available while nobody looks, and then while a hub does.
        let hub = start(&ground, dir.path()).await;
        let status = |ready: u32| {
            let unavailable = 2 - ready;
            Patch::Merge(json!({ "status": {
                "availableReplicas": ready, "readyReplicas": ready,
                "unavailableReplicas": if unavailable == 0 { json!(null) } else { json!(unavailable) },
            }}))
        };
        let params = PatchParams::default();
        member.patch_status("web", &params, &status(0)).await.unwrap();
        let mut unavailable = scenarios::available(1);
        let last = unavailable.last_mut().unwrap();
        (last.1, last.2) = ("False".to_owned(), "ResourceNotAvailableYet".to_owned());
        scenarios::shows(&ground, "restart", &unavailable).await;
        member.patch_status("web", &params, &status(2)).await.unwrap();
        scenarios::shows(&ground, "restart", &scenarios::available(1)).await;
        hub.shutdown().await;
        ground.stop();
    });
}
