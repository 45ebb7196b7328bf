//! What stands in a log, read as a whole.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use bytes::Bytes;
use event_log::{Accepted, Acceptor, Log, Stream};
use events::{Envelope, Partition, Record};

/// An entry of the log, where it stood.
pub struct Entry {
    /// In which partition.
    pub partition: Partition,
    /// At which offset.
    pub offset: u64,
    /// The record.
    pub bytes: Bytes,
}

/// Everything that stands in the log, by partition.
///
/// # Errors
/// When the log cannot be read.
pub async fn entries(log: &dyn Log, partitions: u16) -> Result<Vec<Entry>> {
    let mut entries = vec![];
    for partition in (0..partitions).map(Partition) {
        let stream = Stream::Events(partition);
        let (mut reader, end) = (log.read(stream, 0).await?, log.end(stream).await?);
        let mut read = 0;
        while read < end {
            let record = reader.next().await.context("the log was closed")??;
            read = record.offset + 1;
            entries.push(Entry { partition, offset: record.offset, bytes: record.bytes });
        }
    }
    Ok(entries)
}

/// What counts of it.
#[must_use]
pub fn accept(entries: &[Entry]) -> Vec<Accepted> {
    let mut acceptors: BTreeMap<Partition, Acceptor> = BTreeMap::new();
    let accepted = entries.iter().filter_map(|entry| {
        let acceptor = acceptors.entry(entry.partition);
        let acceptor = acceptor.or_insert_with(|| Acceptor::new(entry.partition));
        acceptor.offer(entry.offset, &entry.bytes).ok()
    });
    accepted.collect()
}

/// Every event that counts, by partition.
///
/// # Errors
/// When the log cannot be read.
pub async fn events(log: &dyn Log, partitions: u16) -> Result<Vec<Envelope>> {
    let accepted = accept(&entries(log, partitions).await?);
    let events = accepted.into_iter().flat_map(|accepted| match accepted.record {
        Record::Frame(frame) => frame.events,
        Record::Claim(_) | Record::Genesis(_) => vec![],
    });
    Ok(events.collect())
}
