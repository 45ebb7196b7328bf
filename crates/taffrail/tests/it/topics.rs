//! A topic whose settings become dangerous while a hub runs.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use api::http::{NotReady, Readiness};
use event_log_kafka::{KafkaConfig, Mode};
use simulator::{ClusterOptions, Fleet};
use taffrail::client::HubClient;
use taffrail::serve::{CLOCK_OFF_MAX, HubAccess, LogChoice, ServeConfig, start};
use uuid::Uuid;
use xtask::bed::Bed;
use xtask::bed::parts::KAFKA_VERSION;

/// How soon it has to be named.
const NAMED_WITHIN: Duration = Duration::from_secs(60);

/// Gives the events topic of a log a finite retention, with Kafka's own tool from the bed's jars.
fn shorten_retention(config: &KafkaConfig) {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(std::env::home_dir()?.join(".cache"))).expect("a home");
    let libs = cache.join(format!("taffrail/bed/kafka-{KAFKA_VERSION}/libs/*"));
    let topic = format!("{}events", config.topic_prefix);
    let mut tool = Command::new("java");
    tool.args(["-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp"]).arg(libs);
    tool.args(["kafka.admin.ConfigCommand", "--bootstrap-server", &config.bootstrap]);
    tool.args(["--alter", "--entity-type", "topics", "--entity-name", &topic]);
    tool.args(["--add-config", "retention.ms=604800000"]);
    let output = tool.output().expect("Java runs");
    assert!(output.status.success(), "{output:?}");
}

#[actix::test]
async fn regression_a_retention_that_was_shortened_is_named_while_the_hub_runs() {
    let Some(bed) = Bed::shared() else { return };
    let config = KafkaConfig {
        topic_prefix: format!("retention-{}.", Uuid::new_v4().simple()),
        mode: Mode::Development,
        ..KafkaConfig::new(bed.kafka().bootstrap())
    };
    let (fleet, data) = (Fleet::new(), tempfile::tempdir().unwrap());
    fleet.add_cluster("hub", ClusterOptions::default()).unwrap();
    let running = start(
        ServeConfig {
            node: "hub-0".to_owned(),
            data_dir: data.path().to_owned(),
            log: LogChoice::Kafka(Box::new(config.clone())),
            hub: HubAccess::Client(kube::Client::new(fleet.service("hub"), "default")),
            http: "127.0.0.1:0".parse().unwrap(),
            hosts: vec![],
            system_namespace: "fleet-system".to_owned(),
            rules: Default::default(),
            adopted: Default::default(),
            threads: 1,
            clock_off_max: CLOCK_OFF_MAX,
        },
        |_| (),
    );
    let running = running.await.unwrap();
    let client = HubClient::new(&format!("http://{}", running.http_address())).unwrap();
    let said = async || {
        let readiness: Readiness = client.get_any("/readyz").await.unwrap();
        readiness.warnings.into_iter().find(|NotReady { check, .. }| check == "topics")
    };
    assert_eq!(said().await, None, "the hub has made its topics itself");
    tokio::task::spawn_blocking(move || shorten_retention(&config)).await.unwrap();
    let named = async {
        loop {
            if let Some(NotReady { message, .. }) = said().await {
                return message;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let message = tokio::time::timeout(NAMED_WITHIN, named).await.expect("it is named in time");
    for part in ["retention.ms=604800000: the history is deleted", "--add-config retention.ms=-1"] {
        assert!(message.contains(part), "{message}");
    }
    running.shutdown().await.unwrap();
}
