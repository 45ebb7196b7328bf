//! The log, looked at without changing it.

use std::path::Path;
use std::time::Duration;

use event_log::{Acceptor, EmbeddedLog, Log, LogError, Stream};
use event_log_kafka::{KafkaConfig, KafkaLog, Severity};
use events::frame::RECORD_FORMAT;
use events::{Partition, Record};

use super::Finding;
use crate::serve::LogChoice;

const PART: &str = "log";

/// How long the first record may take to come.
const GENESIS_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn examine(choice: &LogChoice) -> Vec<Finding> {
    match choice {
        LogChoice::Embedded { path } => vec![examine_embedded(path).await],
        LogChoice::Kafka(config) => examine_kafka(config).await,
    }
}

async fn examine_embedded(path: &Path) -> Finding {
    let shown = path.display().to_string();
    if !path.exists() {
        return Finding::ok(PART, format!("{shown} is not there yet; the first hub makes it"));
    }
    let opened = tokio::task::spawn_blocking({
        let path = path.to_owned();
        move || EmbeddedLog::open(path)
    });
    match opened.await {
        Ok(Ok(log)) => examine_genesis(&log, &shown).await,
        Ok(Err(LogError::InUse { .. })) => {
            Finding::ok(PART, format!("{shown} is in use by a running hub"))
        }
        Ok(Err(error)) => {
            let remedy = "put a copy of the file back; nothing else knows what was in it";
            Finding::failed(PART, format!("{shown}: {error}"), remedy)
        }
        Err(error) => {
            let remedy = "look at standard error for what happened";
            Finding::failed(PART, format!("{shown} could not be looked at: {error}"), remedy)
        }
    }
}

/// The topics first: connecting would create those that are missing.
async fn examine_kafka(config: &KafkaConfig) -> Vec<Finding> {
    let found = event_log_kafka::doctor(config, config.mode).await;
    let is_complete = found.is_empty();
    let mut findings: Vec<Finding> = found
        .into_iter()
        .map(|finding| match finding.severity {
            Severity::Refuse => Finding::failed(PART, finding.problem, finding.remedy),
            Severity::Warn => Finding::warning(PART, finding.problem, finding.remedy),
        })
        .collect();
    if is_complete {
        let shown = format!("Kafka at {}", config.bootstrap);
        findings.push(match KafkaLog::connect(config.clone()).await {
            Ok(log) => examine_genesis(&log, &shown).await,
            Err(error) => {
                let remedy = "check the properties in [log.kafka.properties]";
                Finding::failed(PART, error.to_string(), remedy)
            }
        });
    }
    findings
}

/// Whether the log starts as one of ours.
async fn examine_genesis(log: &dyn Log, shown: &str) -> Finding {
    let remedy = "point the hub at its own log, or at an empty one";
    let first = match tokio::time::timeout(GENESIS_TIMEOUT, first_record(log)).await {
        Ok(Ok(first)) => first,
        Ok(Err(error)) => return Finding::failed(PART, format!("{shown}: {error}"), remedy),
        Err(_) => {
            let found = format!("{shown}: the first record does not come");
            return Finding::failed(PART, found, "ask again when the log answers");
        }
    };
    match first {
        None => Finding::ok(PART, format!("{shown} is empty; the first hub founds it")),
        Some(Record::Genesis(genesis)) if genesis.format == RECORD_FORMAT => {
            let (deployment, partitions) = (genesis.deployment, genesis.partitions);
            let found = format!("{shown}, deployment {deployment}, {partitions} partitions");
            Finding::ok(PART, found)
        }
        Some(Record::Genesis(genesis)) => {
            let found =
                format!("{shown} has record format {}, not {RECORD_FORMAT}", genesis.format);
            Finding::failed(PART, found, "upgrade this hub")
        }
        Some(Record::Claim(_) | Record::Frame(_)) => {
            Finding::failed(PART, format!("{shown} does not start with a genesis"), remedy)
        }
    }
}

async fn first_record(log: &dyn Log) -> Result<Option<Record>, LogError> {
    let stream = Stream::Events(Partition(0));
    if log.end(stream).await? == 0 {
        return Ok(None);
    }
    let mut reader = log.read(stream, 0).await?;
    let Some(first) = reader.next().await else { return Ok(None) };
    let first = first?;
    let accepted = Acceptor::new(Partition(0)).offer(first.offset, &first.bytes);
    accepted.map(|accepted| Some(accepted.record)).map_err(|rejection| LogError::Corrupt {
        what: format!("its first record does not count: {rejection}"),
    })
}
