//! What a hub that was restarted goes on with.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use acceptance::ground::Ground;
use acceptance::wait::eventually;
use acceptance::{hubs, in_a_system, scenarios};
use actors::node::Ownership;
use async_trait::async_trait;
use bytes::Bytes;
use event_log::{EmbeddedLog, Log, LogClock, LogError, Reader, Stream};
use events::ContentHash;
use hub::Hub;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

/// A log that counts what is stored in it.
struct CountedLog {
    log: EmbeddedLog,
    stored: AtomicUsize,
}

#[async_trait]
impl Log for CountedLog {
    fn clock(&self) -> LogClock {
        self.log.clock()
    }

    async fn append(&self, stream: Stream, bytes: Bytes) -> Result<u64, LogError> {
        self.log.append(stream, bytes).await
    }

    async fn read(&self, stream: Stream, from: u64) -> Result<Reader, LogError> {
        self.log.read(stream, from).await
    }

    async fn end(&self, stream: Stream) -> Result<u64, LogError> {
        self.log.end(stream).await
    }

    async fn put(&self, bytes: Bytes) -> Result<ContentHash, LogError> {
        self.stored.fetch_add(1, Ordering::Relaxed);
        self.log.put(bytes).await
    }

    async fn mend(&self, bytes: Bytes) -> Result<ContentHash, LogError> {
        self.log.mend(bytes).await
    }

    async fn get(&self, hash: ContentHash) -> Result<Option<Bytes>, LogError> {
        self.log.get(hash).await
    }
}

/// The log in a directory, when whoever had it open has let it go.
async fn open(dir: &Path) -> EmbeddedLog {
    loop {
        match EmbeddedLog::open(dir.join("log.redb")) {
            Ok(log) => return log,
            Err(LogError::InUse { .. }) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(error) => panic!("{error}"),
        }
    }
}

async fn start_on(log: Arc<dyn Log>, ground: &Ground, dir: &Path) -> Hub {
    hubs::start("hub-a", ground, log, &dir.join("projections"), Ownership::Alone).await
}

async fn start(ground: &Ground, dir: &Path) -> Hub {
    start_on(Arc::new(open(dir).await), ground, dir).await
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

#[test]
fn what_is_on_record_is_not_stored_again() {
    in_a_system(async {
        let ground = Ground::simulated(1).await;
        let dir = tempfile::tempdir().unwrap();
        let hub = start(&ground, dir.path()).await;
        ground.join(&ground.members[0], &[("region", "eu")]).await;
        scenarios::write_app(&ground, "app-stored", "hello").await;
        scenarios::place(&ground, "stored", "app-stored", &["eu"]).await;
        scenarios::hold_the_same(&ground, &[&ground.members[0]], "app-stored").await;
        scenarios::shows(&ground, "stored", &scenarios::available(1)).await;
        hub.shutdown().await;

        // Another policy, the same objects.
        let log = Arc::new(CountedLog { log: open(dir.path()).await, stored: AtomicUsize::new(0) });
        let hub = start_on(log.clone(), &ground, dir.path()).await;
        scenarios::place(&ground, "stored", "app-stored", &["eu", "us"]).await;
        scenarios::shows(&ground, "stored", &scenarios::available(2)).await;
        assert_eq!(log.stored.load(Ordering::Relaxed), 0);

        scenarios::write_app(&ground, "app-stored", "hello again").await;
        scenarios::hold_the_same(&ground, &[&ground.members[0]], "app-stored").await;
        assert!(log.stored.load(Ordering::Relaxed) > 0, "a change is stored");
        hub.shutdown().await;
        ground.stop();
    });
}
