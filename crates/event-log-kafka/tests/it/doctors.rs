//! Topics that endanger the history are found, and the command that is given mends them: the tests
//! run it.

use std::process::Command;
use std::time::Duration;

use event_log::conformance::chain;
use event_log::{Log, LogError, Stream};
use event_log_kafka::{Finding, KafkaConfig, KafkaLog, Mode, Severity, doctor};
use events::Partition;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use uuid::Uuid;

use crate::bed::{broker, fresh, open, tool};

/// What a broker may take to hear of a topic, on a machine that is busy.
const KNOWN_WITHIN: Duration = Duration::from_secs(60);

async fn refusal(config: KafkaConfig) -> (String, String) {
    let error = KafkaLog::connect(config).await.expect_err("it is refused");
    let LogError::Misconfigured { problem, remedy } = error else { panic!("{error:?}") };
    (problem, remedy)
}

/// Somebody has created the events topic by hand, with the broker's defaults; the broker knows it.
async fn created_by_hand(config: &KafkaConfig, partitions: i32) -> String {
    let topic = format!("{}events", config.topic_prefix);
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &config.bootstrap).create().expect("a client");
    let new = NewTopic::new(&topic, partitions, TopicReplication::Fixed(1));
    let created = admin.create_topics(&[new], &AdminOptions::new()).await.expect("an answer");
    assert!(created[0].is_ok(), "{created:?}");
    once_known(config, &format!("{topic} does not exist")).await;
    topic
}

/// What the doctor finds. A broker hears of a new topic a moment after the controller has answered.
async fn once_all_topics_are_known(config: &KafkaConfig) -> Vec<Finding> {
    once_known(config, "does not exist").await
}

/// The same, as soon as nothing is found of this kind.
async fn once_known(config: &KafkaConfig, unknown: &str) -> Vec<Finding> {
    let asking = async {
        loop {
            let findings = doctor(config, Mode::Development).await;
            if !findings.iter().any(|finding| finding.problem.contains(unknown)) {
                return findings;
            }
        }
    };
    tokio::time::timeout(KNOWN_WITHIN, asking).await.expect("the topics are known in time")
}

fn about<'a>(findings: &'a [Finding], what: &str) -> &'a Finding {
    let found = findings.iter().find(|finding| finding.problem.contains(what));
    found.unwrap_or_else(|| panic!("nothing about {what} in {findings:#?}"))
}

/// Runs the command of a remedy with the tools of the bed's Kafka.
async fn run(remedy: &str) {
    let words: Vec<String> = remedy.split(' ').map(str::to_owned).collect();
    let mut command: Command = tool(&words[0], &words[1..]);
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("a thread");
    let output = output.expect("Java runs");
    assert!(output.status.success(), "{remedy}: {output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_we_have_created_is_well() {
    let Some(bootstrap) = broker() else { return };
    let config = fresh(bootstrap);
    let before = doctor(&config, Mode::Development).await;
    assert_eq!(before.len(), 4, "four topics are missing: {before:#?}");
    assert!(before.iter().all(|finding| finding.severity == Severity::Warn));

    let log = open(&config).await;
    assert_eq!(log.findings(), []);
    assert_eq!(doctor(&config, Mode::Development).await, []);

    // The broker tells its time with a lease. It is on this machine.
    log.append(Stream::Membership, "a lease".into()).await.expect("an entry is taken");
    let ahead = log.clock().reading().ahead().expect("the topic is stamped by the broker");
    assert!(ahead.as_millis().abs() < 1_000, "{ahead}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_for_a_missing_topic_creates_it_as_we_would() {
    let Some(bootstrap) = broker() else { return };
    let config = fresh(bootstrap);
    for finding in doctor(&config, Mode::Development).await {
        run(&finding.remedy).await;
    }
    assert_eq!(once_all_topics_are_known(&config).await, []);
    open(&config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finite_retention_is_refused_until_it_is_mended() {
    let Some(bootstrap) = broker() else { return };
    let config = fresh(bootstrap);
    let topic = created_by_hand(&config, 4).await;

    let findings = doctor(&config, Mode::Production).await;
    let retention = about(&findings, "retention.ms");
    assert_eq!(retention.severity, Severity::Refuse);
    assert_eq!(
        retention.problem,
        format!(
            "the topic {topic} has retention.ms=604800000: the history is deleted after a while"
        )
    );
    assert_eq!(
        retention.remedy,
        format!(
            "kafka-configs.sh --bootstrap-server {bootstrap} --alter --entity-type topics \
             --entity-name {topic} --add-config retention.ms=-1"
        )
    );

    // On a laptop it is only said, at every start.
    let log = open(&config).await;
    assert_eq!(about(log.findings(), "retention.ms").severity, Severity::Warn);
    let strict = KafkaConfig { mode: Mode::Production, ..config.clone() };
    let (problem, remedy) = refusal(strict).await;
    assert!(problem.contains(&retention.problem) && remedy.contains(&retention.remedy));

    run(&retention.remedy).await;
    let findings = doctor(&config, Mode::Production).await;
    assert!(!findings.iter().any(|finding| finding.problem.contains("retention.ms")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_broker_is_no_production() {
    let Some(bootstrap) = broker() else { return };
    let config = KafkaConfig { mode: Mode::Production, ..fresh(bootstrap) };
    let (problem, _) = refusal(config.clone()).await;
    assert!(problem.contains("there are 1 Kafka brokers"), "{problem}");
    let findings = doctor(&config, Mode::Production).await;
    assert_eq!(findings.iter().filter(|one| one.problem.contains("does not exist")).count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_number_of_partitions_is_refused_in_any_mode() {
    let Some(bootstrap) = broker() else { return };
    let config = fresh(bootstrap);
    created_by_hand(&config, 4).await;
    let topic = format!("{}events", config.topic_prefix);

    let fewer = KafkaConfig { partitions: 3, ..config.clone() };
    let (problem, remedy) = refusal(fewer).await;
    assert_eq!(problem, format!("the topic {topic} has 4 partitions instead of 3"));
    assert_eq!(remedy, "set partitions = 4, or choose another topic prefix");
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_are_missing_are_added_by_the_command() {
    let Some(bootstrap) = broker() else { return };
    let config = fresh(bootstrap);
    let topic = created_by_hand(&config, 3).await;
    let (problem, remedy) = refusal(config.clone()).await;
    assert_eq!(problem, format!("the topic {topic} has 3 partitions instead of 4"));
    run(&remedy).await;
    open(&config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_genesis_has_the_last_word_on_partitions() {
    let Some(bootstrap) = broker() else { return };
    let config = fresh(bootstrap);
    let log = open(&config).await;
    let genesis = chain::genesis(Uuid::new_v4(), config.partitions);
    log.append(Stream::Events(Partition(0)), genesis).await.expect("a record is taken");
    drop(log);

    let other = KafkaConfig { partitions: 5, ..config.clone() };
    let (problem, remedy) = refusal(other).await;
    assert!(problem.contains("the log was founded with 4 partitions, not 5"), "{problem}");
    assert!(remedy.contains("set partitions = 4"), "{remedy}");
    open(&config).await;
}
