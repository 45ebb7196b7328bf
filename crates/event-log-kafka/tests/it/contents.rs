//! The content store when it is not alone.

use bytes::Bytes;
use event_log::Log;
use event_log_kafka::KafkaConfig;
use events::ContentHash;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::bed::{broker, fresh, open};

fn manifest(seed: u64, bytes: usize) -> Bytes {
    let mut noise = vec![0; bytes];
    fastrand::Rng::with_seed(seed).fill(&mut noise);
    noise.into()
}

/// A node that keeps nothing in memory reads everything from the brokers, on several tasks at once.
#[tokio::test(flavor = "multi_thread")]
async fn content_is_read_again_when_it_is_not_in_memory() {
    let Some(bootstrap) = broker() else { return };
    let config = fresh(bootstrap);
    let log = open(&config).await;
    let mut stored = Vec::new();
    for (seed, size) in [(1, 100), (2, 5_000_000), (3, 4_096), (4, 1_800_000), (5, 0)] {
        let bytes = manifest(seed, size);
        stored.push((log.put(bytes.clone()).await.expect("content is taken"), bytes));
    }

    let cold = open(&KafkaConfig { content_cache_bytes: 0, ..config }).await;
    for _ in 0..2 {
        let asked = stored.iter().map(|(hash, _)| cold.get(*hash));
        let found = futures::future::join_all(asked).await;
        for ((_, bytes), found) in stored.iter().zip(found) {
            assert!(found.expect("an answer").as_ref() == Some(bytes), "{} bytes", bytes.len());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_node_has_stored_is_found_at_once() {
    let Some(bootstrap) = broker() else { return };
    let config = fresh(bootstrap);
    let (log, other) = (open(&config).await, open(&config).await);
    for seed in 0..20 {
        let bytes = manifest(seed, 1_000);
        let hash = log.put(bytes.clone()).await.expect("content is taken");
        assert_eq!(other.get(hash).await.expect("an answer"), Some(bytes), "{seed}");
    }
}

/// Whoever may write to the topic cannot make a hash stand for something else.
#[tokio::test(flavor = "multi_thread")]
async fn forged_content_is_not_found() {
    let Some(bootstrap) = broker() else { return };
    let config = fresh(bootstrap);
    let log = open(&config).await;
    let (genuine, forged) = (manifest(1, 1_000), manifest(2, 1_000));
    let hash = ContentHash::of(&genuine);

    let topic = format!("{}content", config.topic_prefix);
    let servers = config.bootstrap.clone();
    tokio::task::spawn_blocking(move || {
        let forger: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", servers).create().expect("a client");
        for partition in 0..2 {
            for key in [format!("{hash} 0/1"), "no content at all".to_owned()] {
                let record = BaseRecord::to(&topic).partition(partition).key(&key);
                forger.send(record.payload(&forged[..])).map_err(|(error, _)| error).expect("sent");
            }
        }
        forger.flush(std::time::Duration::from_secs(60)).expect("it is stored");
    })
    .await
    .expect("a forger");

    assert_eq!(log.get(hash).await.expect("an answer"), None);
    assert_eq!(log.put(genuine.clone()).await.expect("content is taken"), hash);
    let cold = open(&KafkaConfig { content_cache_bytes: 0, ..config }).await;
    assert_eq!(cold.get(hash).await.expect("an answer"), Some(genuine));
}
