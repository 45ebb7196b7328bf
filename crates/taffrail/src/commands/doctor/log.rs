//! The log, looked at without changing it.

use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use event_log::{Acceptor, EmbeddedLog, Log, LogError, Stream, partition_of};
use event_log_kafka::{KafkaConfig, KafkaLog, Severity};
use events::frame::RECORD_FORMAT;
use events::{Genesis, Partition, Record};
use projections::Model;

use super::Finding;
use crate::serve::LogChoice;

const PART: &str = "log";

/// How long the first record may take to come.
const GENESIS_TIMEOUT: Duration = Duration::from_secs(10);

/// The most bytes of projections that are copied to look at them: a second's work. Larger ones are
/// compared with the log by the hub when it starts.
const PROJECTIONS_COPIED_BYTES_MAX: u64 = 512 << 20;

/// How the log begins, as far as it could be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Begins {
    /// It cannot be told: it is in use, or cannot be read.
    Unknown,
    /// It is empty.
    Empty,
    /// With this.
    With(Genesis),
}

pub(super) async fn examine(choice: &LogChoice, data_dir: &Path) -> (Vec<Finding>, Begins) {
    match choice {
        LogChoice::Embedded { path } => {
            let (finding, begins) = examine_embedded(path, data_dir).await;
            (vec![finding], begins)
        }
        LogChoice::Kafka(config) => examine_kafka(config, data_dir).await,
    }
}

async fn examine_embedded(path: &Path, data_dir: &Path) -> (Finding, Begins) {
    let shown = path.display().to_string();
    if !path.exists() {
        let found = format!("{shown} is not there yet; the first hub makes it");
        return (Finding::ok(PART, found), Begins::Empty);
    }
    let opened = tokio::task::spawn_blocking({
        let path = path.to_owned();
        // Everything is read once: damage far back would be met at the next rebuild only.
        move || {
            let log = EmbeddedLog::open(path)?;
            log.verify()?;
            Ok(log)
        }
    });
    let finding = match opened.await {
        Ok(Ok(log)) => return examine_genesis(&log, &shown, data_dir).await,
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
    };
    (finding, Begins::Unknown)
}

/// The topics first: connecting would create those that are missing.
async fn examine_kafka(config: &KafkaConfig, data_dir: &Path) -> (Vec<Finding>, Begins) {
    let examined = event_log_kafka::examine(config, config.mode).await;
    let is_refused = examined.findings.iter().any(|found| found.severity == Severity::Refuse);
    let mut findings: Vec<Finding> = examined
        .findings
        .into_iter()
        .map(|finding| match finding.severity {
            Severity::Refuse => Finding::failed(PART, finding.problem, finding.remedy),
            Severity::Warn => Finding::warning(PART, finding.problem, finding.remedy),
        })
        .collect();
    let mut begins = Begins::Unknown;
    if examined.are_topics_there && !is_refused {
        let shown = format!("Kafka at {}", config.bootstrap);
        let finding = match KafkaLog::connect(config.clone()).await {
            Ok(log) => {
                let (finding, found) = examine_genesis(&log, &shown, data_dir).await;
                begins = found;
                finding
            }
            Err(error) => {
                let remedy = "check the properties in [log.kafka.properties]";
                Finding::failed(PART, error.to_string(), remedy)
            }
        };
        findings.push(finding);
    }
    (findings, begins)
}

/// Whether the log starts as one of ours, and as the one that the data directory knows.
async fn examine_genesis(log: &dyn Log, shown: &str, data_dir: &Path) -> (Finding, Begins) {
    let remedy = "point the hub at its own log, or at an empty one";
    let first = match tokio::time::timeout(GENESIS_TIMEOUT, first_record(log)).await {
        Ok(Ok(first)) => first,
        Ok(Err(error)) => {
            let finding = Finding::failed(PART, format!("{shown}: {error}"), remedy);
            return (finding, Begins::Unknown);
        }
        Err(_) => {
            let found = format!("{shown}: the first record does not come");
            let finding = Finding::failed(PART, found, "ask again when the log answers");
            return (finding, Begins::Unknown);
        }
    };
    let finding = match first {
        None => {
            let found = format!("{shown} is empty; the first hub founds it");
            return (Finding::ok(PART, found), Begins::Empty);
        }
        Some(Record::Genesis(genesis)) if genesis.format == RECORD_FORMAT => {
            let finding = examine_projections(&genesis, shown, data_dir).await;
            return (finding, Begins::With(genesis));
        }
        Some(Record::Genesis(genesis)) => {
            let found =
                format!("{shown} has record format {}, not {RECORD_FORMAT}", genesis.format);
            Finding::failed(PART, found, "upgrade this hub")
        }
        Some(Record::Claim(_) | Record::Frame(_)) => {
            Finding::failed(PART, format!("{shown} does not start with a genesis"), remedy)
        }
    };
    (finding, Begins::Unknown)
}

async fn examine_projections(genesis: &Genesis, shown: &str, data_dir: &Path) -> Finding {
    let (deployment, partitions) = (genesis.deployment, genesis.partitions);
    let found = format!("{shown}, deployment {deployment}, {partitions} partitions");
    match projected(data_dir).await {
        Some(other) if other.deployment != deployment => {
            let dir = data_dir.display();
            let found = format!("{found}; but {dir} belongs to deployment {}", other.deployment);
            let remedy = "point the hub at its own log, or give it an empty data_dir";
            Finding::failed(PART, found, remedy)
        }
        Some(_) | None => Finding::ok(PART, found),
    }
}

/// The genesis that the projections know. What is of no use is built again by the next hub, and what
/// is in use was compared by the hub that uses it: `None`.
async fn projected(data_dir: &Path) -> Option<Genesis> {
    let rows = data_dir.join("projections");
    let opened = tokio::task::spawn_blocking(move || {
        // Opening may change what is there, so it is a copy that is opened.
        let aside = tempfile::tempdir().ok()?;
        let copy = aside.path().join("projections");
        copy_small(&rows, &copy).ok()?;
        let opened = projections::Store::open(&copy, partition_of).ok()?;
        let Model { genesis, .. } = opened.model;
        genesis
    });
    opened.await.ok().flatten()
}

/// Copies a directory of plain files, if it is not too large.
fn copy_small(from: &Path, to: &Path) -> io::Result<()> {
    let mut left = PROJECTIONS_COPIED_BYTES_MAX;
    let mut waiting = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = waiting.pop() {
        fs::create_dir_all(&to)?;
        for entry in fs::read_dir(&from)? {
            let (entry, to) = (entry?, to.clone());
            let (path, to) = (entry.path(), to.join(entry.file_name()));
            if entry.file_type()?.is_dir() {
                waiting.push((path, to));
                continue;
            }
            left = left
                .checked_sub(entry.metadata()?.len())
                .ok_or_else(|| io::Error::other("it is too large to be copied"))?;
            fs::copy(path, to)?;
        }
    }
    Ok(())
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
