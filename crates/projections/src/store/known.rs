//! What the writer knows of the rows without reading them, and a digest of it.
//!
//! sled may lose rows of a damaged file without a word. So each batch writes a digest of all that
//! a load puts together: how many events each aggregate has, the latest view of each cluster, what
//! is open in the inbox. A load that finds anything else is not believed.

use std::collections::BTreeMap;

use events::{AggregateId, Partition, Sequence};
use xxhash_rust::xxh3::xxh3_64;

use super::entities::Tail;
use super::inbox_rows::InboxRows;
use super::keys::{Key, Kind};

/// A digest of a set of keys, in any order: what is toggled twice is not in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Digest(u64);

impl Digest {
    pub(crate) fn toggle(&mut self, key: &Key) {
        self.0 ^= xxh3_64(key.bytes());
    }

    pub(crate) fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

/// What the writer knows of the rows.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) inbox: InboxRows,
    pub(crate) ends: BTreeMap<Partition, End>,
    aggregates: BTreeMap<AggregateId, Aggregate>,
    /// The sequence of the latest view of each cluster.
    views: BTreeMap<String, Sequence>,
    digest: Digest,
}

/// The end of a partition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    /// The last sequence.
    pub(crate) last: Sequence,
    /// The last event; 0 before the first.
    pub(crate) event: Sequence,
    /// The first sequence of the last record; 0 before the first.
    pub(crate) record: Sequence,
    /// The time of the last event or of one before it, whichever is later.
    pub(crate) time: i64,
}

impl Default for End {
    fn default() -> Self {
        let start = Sequence::default();
        Self { last: start, event: start, record: start, time: i64::MIN }
    }
}

#[derive(Debug, Default)]
struct Aggregate {
    /// The number of its last event.
    last: u64,
    tail: Tail,
}

impl Known {
    /// An aggregate as it is in the rows: its last event, and those since its last state row.
    pub(crate) fn restore(&mut self, aggregate: AggregateId, last: u64, tail: Tail) {
        self.digest.toggle(&Key::aggregate(Kind::Aggregate, &aggregate).u64(last));
        self.aggregates.insert(aggregate, Aggregate { last, tail });
    }

    /// Some more events of an aggregate are written, of so many bytes; the last one has this
    /// number.
    pub(crate) fn add_events(
        &mut self,
        aggregate: &AggregateId,
        last: u64,
        count: u64,
        bytes: u64,
    ) {
        if !self.aggregates.contains_key(aggregate) {
            self.aggregates.insert(aggregate.clone(), Aggregate::default());
        }
        let Some(known) = self.aggregates.get_mut(aggregate) else { return };
        let key = Key::aggregate(Kind::Aggregate, aggregate);
        if known.last > 0 {
            self.digest.toggle(&key.clone().u64(known.last));
        }
        self.digest.toggle(&key.u64(last));
        known.last = last;
        known.tail.events += count;
        known.tail.bytes += bytes;
    }

    /// The latest view of a cluster is written, or was read.
    pub(crate) fn set_view(&mut self, cluster: &str, sequence: Sequence) {
        let key = Key::view(cluster);
        if let Some(before) = self.views.insert(cluster.to_owned(), sequence) {
            self.digest.toggle(&key.clone().u64(before.0));
        }
        self.digest.toggle(&key.u64(sequence.0));
    }

    /// The events of an aggregate since its last state row.
    pub(crate) fn tail(&self, aggregate: &AggregateId) -> Tail {
        self.aggregates.get(aggregate).map(|known| known.tail).unwrap_or_default()
    }

    pub(crate) fn set_tail(&mut self, aggregate: &AggregateId, tail: Tail) {
        if let Some(known) = self.aggregates.get_mut(aggregate) {
            known.tail = tail;
        }
    }

    /// The digest of everything.
    pub(crate) fn digest(&self) -> Digest {
        Digest(self.digest.0 ^ self.inbox.digest().0)
    }
}
