//! The logs of hub processes, as their command lines name them.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use event_log::{EmbeddedLog, Log};
use event_log_kafka::{KafkaConfig, KafkaLog, Mode};

/// Opens `embedded` (a file in `data`) or `kafka:BOOTSTRAP,PREFIX`.
///
/// # Errors
/// When it cannot be opened.
pub async fn open(log: &str, data: &Path) -> Result<Arc<dyn Log>> {
    let Some(kafka) = log.strip_prefix("kafka:") else {
        return Ok(Arc::new(EmbeddedLog::open(data.join("log.redb"))?));
    };
    let (bootstrap, prefix) = kafka.rsplit_once(',').context("kafka:BOOTSTRAP,PREFIX")?;
    let config = KafkaConfig {
        topic_prefix: prefix.to_owned(),
        mode: Mode::Development,
        ..KafkaConfig::new(bootstrap)
    };
    Ok(Arc::new(KafkaLog::connect(config).await?))
}
