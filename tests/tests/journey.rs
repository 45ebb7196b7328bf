//! Join, place, update, delete, leave: on simulated clusters and on real ones.

use std::sync::Arc;

use acceptance::ground::Ground;
use acceptance::{hubs, in_a_system, scenarios};
use actors::node::Ownership;
use event_log::{EmbeddedLog, Log, PARTITIONS};

async fn journey(ground: &Ground) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.redb");
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(&path).unwrap());
    let data = dir.path().join("projections");
    let hub = hubs::start("hub-a", ground, log.clone(), &data, Ownership::Alone).await;
    scenarios::journey(ground).await;
    hub.shutdown().await;
    let report = actors::replay::verify(&*log, PARTITIONS).await.unwrap();
    assert_eq!(report.first_difference, None);
    assert!(report.decisions > 0);
}

#[test]
fn on_simulated_clusters() {
    in_a_system(async {
        let ground = Ground::simulated(3).await;
        journey(&ground).await;
        ground.stop();
    });
}

#[test]
fn on_real_clusters() {
    in_a_system(async {
        let Some(ground) = Ground::real().await else { return };
        ground.tidy().await;
        journey(&ground).await;
        ground.tidy().await;
    });
}
