//! Join, place, update, delete, leave: on simulated clusters and on real ones, with either log.

use std::collections::BTreeSet;
use std::sync::Arc;

use acceptance::ground::Ground;
use acceptance::{hubs, in_a_system, recorded, scenarios};
use actors::node::Ownership;
use event_log::lease::LeaseConfig;
use event_log::{EmbeddedLog, Log, PARTITIONS};
use event_log_kafka::{KafkaConfig, KafkaLog, Mode};
use events::Event;
use events::cluster::ClusterEvent;
use xtask::bed::Bed;

async fn journey(ground: &Ground, log: Arc<dyn Log>, ownership: Ownership) {
    let data = tempfile::tempdir().unwrap();
    let hub = hubs::start("hub-a", ground, log.clone(), data.path(), ownership).await;
    scenarios::journey(ground).await;
    hub.shutdown().await;
    let report = actors::replay::verify(&*log, PARTITIONS).await.unwrap();
    assert_eq!(report.first_difference, None);
    assert!(report.decisions > 0);
    nothing_seemed_to_stop_being_available(&*log).await;
}

/// Nothing of a journey stops being available, so nothing is recorded of the kind.
async fn nothing_seemed_to_stop_being_available(log: &dyn Log) {
    let mut available = BTreeSet::new();
    for envelope in recorded::events(log, PARTITIONS).await.unwrap() {
        match envelope.event {
            Event::Cluster(ClusterEvent::DeliveryAvailable(it)) => {
                available.insert((envelope.aggregate, it.placement, it.generation));
            }
            Event::Cluster(ClusterEvent::DeliveryUnavailable(it)) => {
                let delivery = (envelope.aggregate, it.placement, it.generation);
                assert!(!available.contains(&delivery), "{delivery:?}: {:?}", it.waiting);
            }
            Event::Cluster(_) | Event::Placement(_) | Event::Fleet(_) => {}
        }
    }
}

async fn on_the_embedded_log(ground: &Ground) {
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(dir.path().join("log.redb")).unwrap();
    journey(ground, Arc::new(log), Ownership::Alone).await;
}

async fn on_kafka(ground: &Ground, bed: &Bed) {
    let config = KafkaConfig {
        topic_prefix: format!("journey-{}.", uuid::Uuid::new_v4().simple()),
        mode: Mode::Development,
        ..KafkaConfig::new(bed.kafka().bootstrap())
    };
    let log = KafkaLog::connect(config).await.unwrap();
    journey(ground, Arc::new(log), Ownership::Leased(LeaseConfig::default())).await;
}

#[test]
fn on_simulated_clusters() {
    in_a_system(async {
        let ground = Ground::simulated(3).await;
        on_the_embedded_log(&ground).await;
        ground.stop();
    });
}

/// One after the other: there is one set of real clusters.
#[test]
fn on_real_clusters_with_either_log() {
    in_a_system(async {
        let (Some(ground), Some(bed)) = (Ground::real().await, Bed::shared()) else { return };
        ground.tidy().await;
        on_the_embedded_log(&ground).await;
        ground.tidy().await;
        on_kafka(&ground, bed).await;
        ground.tidy().await;
    });
}
