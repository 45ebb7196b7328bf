//! The brokers of these tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use event_log_kafka::{KafkaConfig, KafkaLog, Mode};
use uuid::Uuid;
use xtask::bed::parts::KAFKA_VERSION;
use xtask::bed::{BED_DIR, Bed, Kafka};

/// Enough for every test, and few enough to be created at once.
pub(crate) const PARTITIONS: u16 = 4;

/// One broker for all tests that do not break it: that of the run's bed, or one of this process.
/// `None`, having said so, when there is no test bed.
pub(crate) fn broker() -> Option<&'static str> {
    static BROKER: OnceLock<String> = OnceLock::new();
    xtask::bed::wanted().then(|| {
        BROKER.get_or_init(|| {
            if let Some(dir) = std::env::var_os(BED_DIR) {
                let bed = Bed::attach(Path::new(&dir)).expect("the bed that the run names");
                return bed.kafka().bootstrap().to_owned();
            }
            static OWN: OnceLock<Kafka> = OnceLock::new();
            OWN.get_or_init(|| Kafka::start(1).expect("a broker")).bootstrap().to_owned()
        });
        BROKER.get().expect("just set").as_str()
    })
}

/// A log that nobody has opened yet, with few partitions.
pub(crate) fn fresh(bootstrap: &str) -> KafkaConfig {
    named(bootstrap, &Uuid::new_v4().to_string())
}

/// A log of this name.
pub(crate) fn named(bootstrap: &str, name: &str) -> KafkaConfig {
    KafkaConfig {
        topic_prefix: format!("{name}."),
        partitions: PARTITIONS,
        content_partitions: 2,
        mode: Mode::Development,
        ..KafkaConfig::new(bootstrap)
    }
}

/// Opens a log.
pub(crate) async fn open(config: &KafkaConfig) -> KafkaLog {
    KafkaLog::connect(config.clone()).await.expect("a log")
}

/// One of Kafka's command line tools, by the name of its script, from the bed's jars.
pub(crate) fn tool(script: &str, args: &[String]) -> Command {
    let class = match script {
        "kafka-configs.sh" => "kafka.admin.ConfigCommand",
        "kafka-topics.sh" => "org.apache.kafka.tools.TopicCommand",
        other => panic!("no test needs {other}"),
    };
    // Where `xtask::bed` says that it keeps its parts.
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(std::env::home_dir()?.join(".cache"))).expect("a home");
    let libs = cache.join(format!("taffrail/bed/kafka-{KAFKA_VERSION}/libs/*"));
    let mut command = Command::new("java");
    command.args(["-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp"]).arg(libs).arg(class).args(args);
    command
}
