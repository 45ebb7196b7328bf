//! The commands that mend things: Kafka's own tools, with everything that they need.

use serde::Serialize;

use super::observe::Seen;
use crate::config::KafkaConfig;
use crate::topics::Topic;

/// Writes commands for the brokers of a log.
pub(crate) struct Tools {
    brokers: String,
}

impl Tools {
    pub(crate) fn new(config: &KafkaConfig) -> Self {
        let mut brokers = format!("--bootstrap-server {}", config.bootstrap);
        if config.properties.contains_key("security.protocol") {
            brokers.push_str(" --command-config client.properties");
        }
        Self { brokers }
    }

    pub(crate) fn is_anybody_there(&self) -> String {
        format!("kafka-broker-api-versions.sh {}", self.brokers)
    }

    pub(crate) fn set(&self, topic: &str, setting: &str, value: &str) -> String {
        format!(
            "kafka-configs.sh {} --alter --entity-type topics --entity-name {topic} \
             --add-config {setting}={value}",
            self.brokers
        )
    }

    pub(crate) fn create(
        &self,
        topic: &str,
        partitions: u16,
        replication: u16,
        settings: &[(&'static str, String)],
    ) -> String {
        let settings = settings.iter().map(|(name, value)| format!(" --config {name}={value}"));
        format!(
            "kafka-topics.sh {} --create --topic {topic} --partitions {partitions} \
             --replication-factor {replication}{}",
            self.brokers,
            settings.collect::<String>()
        )
    }

    pub(crate) fn add_partitions(&self, topic: &str, partitions: u16) -> String {
        format!(
            "kafka-topics.sh {} --alter --topic {topic} --partitions {partitions}",
            self.brokers
        )
    }

    /// Adds copies on other brokers; those that are there stay.
    pub(crate) fn replicate(
        &self,
        topic: &str,
        seen: &Seen,
        brokers: &[i32],
        copies: usize,
    ) -> String {
        let moves = seen.replicas.iter().enumerate().map(|(partition, replicas)| {
            let others = brokers.iter().cycle().skip(partition).take(brokers.len());
            let new = others.filter(|broker| !replicas.contains(broker));
            let wanted = replicas.iter().chain(new).copied().take(copies.max(replicas.len()));
            Move { topic, partition, replicas: wanted.collect() }
        });
        let plan = Reassignment { version: 1, partitions: moves.collect() };
        let plan = serde_json::to_string(&plan).expect("names and numbers can be written as JSON");
        format!(
            "echo '{plan}' > copies.json && kafka-reassign-partitions.sh {} --execute \
             --reassignment-json-file copies.json",
            self.brokers
        )
    }
}

#[derive(Serialize)]
struct Reassignment<'a> {
    version: u32,
    partitions: Vec<Move<'a>>,
}

#[derive(Serialize)]
struct Move<'a> {
    topic: &'a str,
    partition: usize,
    replicas: Vec<i32>,
}

/// How a new topic is set up. `copies` is its number of replicas.
pub(crate) fn settings_of(topic: Topic, copies: u16) -> Vec<(&'static str, String)> {
    let retention = topic.retention_ms().map_or_else(|| "-1".to_owned(), |ms| ms.to_string());
    let stamped = if topic.is_stamped_by_brokers() { "LogAppendTime" } else { "CreateTime" };
    vec![
        ("cleanup.policy", "delete".to_owned()),
        ("retention.ms", retention),
        ("retention.bytes", "-1".to_owned()),
        ("max.message.bytes", super::check::MESSAGE_BYTES_MIN.to_string()),
        ("min.insync.replicas", if copies >= 3 { "2" } else { "1" }.to_owned()),
        ("unclean.leader.election.enable", "false".to_owned()),
        ("message.timestamp.type", stamped.to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_added_to_those_that_are_there() {
        let config = KafkaConfig::new("b:9092");
        let seen = Seen { replicas: vec![vec![2], vec![1], vec![3, 1]], ..Seen::default() };
        let command = Tools::new(&config).replicate("t", &seen, &[1, 2, 3], 3);
        let plan = command.split('\'').nth(1).unwrap();
        let plan: serde_json::Value = serde_json::from_str(plan).unwrap();
        let replicas = |n: usize| plan["partitions"][n]["replicas"].to_string();
        assert_eq!([replicas(0), replicas(1), replicas(2)], ["[2,1,3]", "[1,2,3]", "[3,1,2]"]);
    }

    #[test]
    fn tools_are_told_how_to_log_in() {
        let mut config = KafkaConfig::new("b:9092");
        config.properties.insert("security.protocol".to_owned(), "SASL_SSL".to_owned());
        let command = Tools::new(&config).set("t", "retention.ms", "-1");
        assert_eq!(
            command,
            "kafka-configs.sh --bootstrap-server b:9092 --command-config client.properties --alter \
             --entity-type topics --entity-name t --add-config retention.ms=-1"
        );
    }
}
