//! The keys of all rows: the one place that says what is kept.
//!
//! All rows are in one tree, so that one batch can write rows and checkpoints together. Numbers
//! are big-endian: the order of the keys is the order of the log.
//!
//! | key | row |
//! |---|---|
//! | `0` | the [version](super::version) of all rows |
//! | `g` | the genesis, JSON |
//! | `z` | a [digest](super::known) of what a load puts together |
//! | `c` partition | the reader's checkpoint |
//! | `e` partition, sequence, part | a [chunk](super::chunk) of events, JSON |
//! | `d` partition, sequence, part | a chunk of frames without their events (decisions, follow-ups), and claims, JSON |
//! | `a` aggregate `\0` aggregate sequence | where consecutive events of an aggregate stand |
//! | `x` bucket, position | events by correlation, in buckets |
//! | `k` placement `\0` sequence | that a scheduling decision stands there |
//! | `s` aggregate `\0` aggregate sequence, part | the state after that event |
//! | `v` cluster `\0` sequence | how the cluster looks to a scheduler from that event on |
//! | `p` frame | which of its follow-ups are pending; the commands are in its `d` row |
//! | `y` frame | which of its follow-ups were decided before it was read |
//! | `b` partition | everything submitted before this offset is decided |
//! | `o` partition, offset | so is this one |
//! | `r` partition, number | ids of commands that were submitted and decided, from this number on |
//!
//! There is no index by time: within a partition, time is made to rise (an event counts as no
//! earlier than those before it), so that a moment is found by halving.

use events::{AggregateId, Partition, PlacementKey, Position, Sequence};

/// The version of all rows.
pub(crate) const VERSION: &[u8] = b"0";
/// The genesis.
pub(crate) const GENESIS: &[u8] = b"g";
/// The digest of what a load puts together.
pub(crate) const DIGEST: &[u8] = b"z";

/// Everything of one kind has keys that start with this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Checkpoint = b'c',
    Events = b'e',
    Frames = b'd',
    Aggregate = b'a',
    Correlation = b'x',
    Scheduled = b'k',
    State = b's',
    View = b'v',
    Pending = b'p',
    Early = b'y',
    CommandsBefore = b'b',
    OffsetDecided = b'o',
    IdsDecided = b'r',
}

/// Ends a name within a key. Kubernetes names cannot hold it, and it sorts before all of them.
const END_OF_NAME: u8 = 0;

/// A key that is being put together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(Vec<u8>);

impl Key {
    /// The start of all keys of a kind.
    pub(crate) fn of(kind: Kind) -> Self {
        Self(vec![kind as u8])
    }

    pub(crate) fn checkpoint(partition: Partition) -> Self {
        Self::of(Kind::Checkpoint).u16(partition.0)
    }

    /// The start of the keys of all chunks of a partition.
    pub(crate) fn chunks(kind: Kind, partition: Partition) -> Self {
        Self::of(kind).u16(partition.0)
    }

    /// A chunk, without the part.
    pub(crate) fn chunk(kind: Kind, at: Position) -> Self {
        Self::chunks(kind, at.partition).u64(at.sequence.0)
    }

    /// The start of the keys of everything that is kept of an aggregate under this kind.
    pub(crate) fn aggregate(kind: Kind, aggregate: &AggregateId) -> Self {
        Self::of(kind).name(&aggregate.to_string())
    }

    /// The start of the keys of a bucket of correlations.
    pub(crate) fn correlations(bucket: u16) -> Self {
        Self::of(Kind::Correlation).u16(bucket)
    }

    pub(crate) fn scheduled(placement: &PlacementKey) -> Self {
        Self::of(Kind::Scheduled).name(&placement.to_string())
    }

    pub(crate) fn view(cluster: &str) -> Self {
        Self::of(Kind::View).name(cluster)
    }

    pub(crate) fn numbered(kind: Kind, partition: Partition, number: u64) -> Self {
        Self::of(kind).u16(partition.0).u64(number)
    }

    pub(crate) fn commands_before(partition: Partition) -> Self {
        Self::of(Kind::CommandsBefore).u16(partition.0)
    }

    pub(crate) fn position(self, position: Position) -> Self {
        self.u16(position.partition.0).u64(position.sequence.0)
    }

    pub(crate) fn name(mut self, name: &str) -> Self {
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(END_OF_NAME);
        self
    }

    pub(crate) fn u16(mut self, number: u16) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub(crate) fn u64(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// The first key after all keys of this name.
    pub(crate) fn after_name(mut self) -> Self {
        if let Some(last) = self.0.last_mut() {
            *last = END_OF_NAME + 1;
        }
        self
    }

    /// A key that was read.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Takes a key apart, from the front.
#[derive(Debug)]
pub(crate) struct KeyReader<'a>(&'a [u8]);

impl<'a> KeyReader<'a> {
    /// After the kind.
    pub(crate) fn new(key: &'a [u8]) -> Self {
        Self(key.get(1..).unwrap_or_default())
    }

    pub(crate) fn name(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|byte| *byte == END_OF_NAME)?;
        let name = std::str::from_utf8(self.take(end)?).ok()?;
        self.take(1)?;
        Some(name)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    pub(crate) fn partition(&mut self) -> Option<Partition> {
        self.u16().map(Partition)
    }

    pub(crate) fn position(&mut self) -> Option<Position> {
        let (partition, sequence) = (self.partition()?, Sequence(self.u64()?));
        Some(Position { partition, sequence })
    }

    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_like_what_they_name() {
        let at = |partition, sequence| Position {
            partition: Partition(partition),
            sequence: Sequence(sequence),
        };
        let chunk = |position| Key::chunk(Kind::Events, position);
        assert!(chunk(at(1, 255)) < chunk(at(1, 256)));
        assert!(chunk(at(1, u64::MAX)) < chunk(at(256, 0)));

        // A name that continues another one comes after everything of the other.
        let of = |name: &str| Key::aggregate(Kind::State, &AggregateId::Cluster(name.to_owned()));
        assert!(of("eu").u64(u64::MAX) < of("eu-1").u64(0));
        assert!(of("eu").u64(u64::MAX) < of("eu").after_name());
        assert!(of("eu").after_name() < of("eu-1"));
    }

    #[test]
    fn keys_can_be_read() {
        let frame = Position { partition: Partition(7), sequence: Sequence(1042) };
        let key = Key::of(Kind::Pending).position(frame);
        assert_eq!(KeyReader::new(key.bytes()).position(), Some(frame));

        let key = Key::view("eu-1").u64(9);
        let mut reader = KeyReader::new(key.bytes());
        assert_eq!((reader.name(), reader.u64(), reader.u64()), (Some("eu-1"), Some(9), None));
    }
}
