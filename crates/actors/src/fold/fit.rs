//! Whether what was derived from the log fits the log as it is: asked once, before reading goes on.
//! A log may have been replaced, restored from an older copy, or truncated.

use std::time::Duration;

use event_log::{Acceptor, Failure, Log, LogError, Stream};
use events::Partition;
use projections::Model;

use super::core::FoldCore;

/// How long to wait for a record that is there.
const RECORD_TIMEOUT: Duration = Duration::from_secs(30);

/// How the log differs from the one that was read before.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// It went backwards.
    #[error("partition {partition} was read up to offset {offset}, and the log ends at {end} now")]
    Shorter { partition: Partition, offset: u64, end: u64 },
    /// It has another history.
    #[error("partition {partition} has another record at offset {offset} than the one read before")]
    Differs { partition: Partition, offset: u64 },
}

/// Compares the last record of each partition that the model has folded with what stands there.
pub(crate) async fn check(
    log: &dyn Log,
    model: &Model,
    partitions: u16,
) -> Result<Option<Misfit>, LogError> {
    let core = FoldCore::resume(model, partitions);
    let checks = core.acceptors().map(|acceptor| check_one(log, acceptor));
    let misfits = futures::future::try_join_all(checks).await?;
    Ok(misfits.into_iter().flatten().next())
}

async fn check_one(log: &dyn Log, acceptor: &Acceptor) -> Result<Option<Misfit>, LogError> {
    let (partition, stream) = (acceptor.partition, Stream::Events(acceptor.partition));
    let Some((offset, _)) = acceptor.last_record else { return Ok(None) };
    let end = log.end(stream).await?;
    if end <= offset {
        return Ok(Some(Misfit::Shorter { partition, offset, end }));
    }
    let mut reader = log.read(stream, offset).await?;
    match tokio::time::timeout(RECORD_TIMEOUT, reader.next()).await {
        Ok(Some(record)) => {
            let record = record?;
            let fits = acceptor.recognises(record.offset, &record.bytes);
            Ok((!fits).then_some(Misfit::Differs { partition, offset }))
        }
        Ok(None) | Err(_) => Err(LogError::Unavailable {
            stage: "reading the record that was read last",
            failure: Failure::Determinate,
            source: "no record came".into(),
        }),
    }
}
