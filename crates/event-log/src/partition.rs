//! Which partition an aggregate lives in.

use events::{AggregateId, Partition};
use xxhash_rust::xxh3::xxh3_64;

/// How many partitions a new log gets. It is written into the genesis and never changes: 32 lets
/// a deployment grow to 32 owners, and costs one idle stream each on a laptop.
pub const PARTITIONS: u16 = 32;

/// The partition of an aggregate in a log of `partitions` partitions: XXH3-64 of its id, modulo.
#[must_use]
pub fn partition_of(aggregate: &AggregateId, partitions: u16) -> Partition {
    let index = xxh3_64(aggregate.to_string().as_bytes()) % u64::from(partitions);
    Partition(u16::try_from(index).expect("less than a u16"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log is partitioned for ever: these places must never move.
    #[test]
    fn aggregates_stay_where_they_are() {
        let place = |id: &str| partition_of(&id.parse().unwrap(), PARTITIONS).0;
        assert_eq!(
            [place("fleet"), place("cluster/eu-1"), place("placement/cluster/web")],
            [30, 30, 22]
        );
    }
}
