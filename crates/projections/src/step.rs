//! What a fold is given: one accepted record, and where the reader stands after it.

use events::{ChainHash, Epoch, Partition, Position, Record, Sequence, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::rejections::Rejections;

/// Where a reader of one partition stands: everything that it needs to go on from there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The epoch in force.
    pub epoch: Epoch,
    /// The last sequence that counted.
    pub last: Sequence,
    /// The hash of everything that counted.
    pub hash: ChainHash,
    /// The last record that counted: its offset in the stream and the hash before it.
    pub last_record: Option<(u64, ChainHash)>,
    /// Who owns the partition, by the last claim; `None` before the first one.
    pub owner: Option<Owner>,
    /// The latest time in what counted.
    pub time: Timestamp,
    /// The records before the last one that did not count.
    pub rejections: Rejections,
}

/// One run of a node that owns a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The node.
    pub node: String,
    /// Which run of it.
    pub incarnation: Uuid,
}

impl Checkpoint {
    /// The checkpoint after `record`, which stands at `offset` of the stream and leaves the chain
    /// at `hash`. Epoch and owner move with claims, the sequence with everything but the genesis.
    #[must_use]
    pub fn after(&self, offset: u64, record: &Record, hash: ChainHash) -> Self {
        let mut next = self.clone();
        match record {
            Record::Genesis(_) => {}
            Record::Claim(claim) => {
                next.epoch = claim.epoch;
                next.last = self.last.plus(1);
                let (node, incarnation) = (claim.node.clone(), claim.incarnation);
                next.owner = Some(Owner { node, incarnation });
            }
            Record::Frame(frame) => next.last = frame.last(),
        }
        next.last_record = Some((offset, self.hash));
        next.time = self.time.max(record.time());
        next.hash = hash;
        next
    }
}

/// One accepted record.
#[derive(Debug, Clone)]
pub struct FoldStep<'a> {
    /// The partition that it stands in.
    pub partition: Partition,
    /// Its partition and first sequence. That of a genesis is 1, which it does not take.
    pub position: Position,
    /// What it says.
    pub record: &'a Record,
    /// Where the reader stands after it; see [`Checkpoint::after`].
    pub checkpoint: Checkpoint,
}

#[cfg(test)]
mod tests {
    use events::{Claim, Frame, Genesis};

    use super::*;

    fn claim(epoch: u64) -> Record {
        Record::Claim(Claim {
            epoch: Epoch(epoch),
            node: format!("hub-{epoch}"),
            incarnation: Uuid::from_u128(u128::from(epoch)),
            version: "0.1.0".to_owned(),
            time: Timestamp::UNIX_EPOCH,
        })
    }

    fn frame(first: u64) -> Record {
        Record::Frame(Box::new(Frame {
            epoch: Epoch(1),
            first: Sequence(first),
            previous: ChainHash::default(),
            decisions: vec![],
            events: vec![],
            follow_ups: vec![],
            commands_before: None,
        }))
    }

    fn owner(epoch: u64) -> Option<Owner> {
        Some(Owner { node: format!("hub-{epoch}"), incarnation: Uuid::from_u128(epoch.into()) })
    }

    #[test]
    fn a_checkpoint_follows_the_records() {
        let hashes = [1, 2, 3, 4].map(|n| ChainHash([n; 32]));
        let genesis = Record::Genesis(Genesis {
            deployment: Uuid::from_u128(1),
            partitions: 1,
            format: 1,
            time: Timestamp::UNIX_EPOCH,
            hub: None,
        });
        let born = Checkpoint::default().after(0, &genesis, hashes[0]);
        let start = Checkpoint {
            hash: hashes[0],
            last_record: Some((0, ChainHash::default())),
            ..Checkpoint::default()
        };
        assert_eq!(born, start);

        let claimed = born.after(4, &claim(1), hashes[1]);
        let expected = Checkpoint {
            epoch: Epoch(1),
            last: Sequence(1),
            hash: hashes[1],
            last_record: Some((4, hashes[0])),
            owner: owner(1),
            time: Timestamp::UNIX_EPOCH,
            rejections: Rejections::default(),
        };
        assert_eq!(claimed, expected);

        // A frame without events takes one sequence, and leaves epoch and owner as they are.
        let decided = claimed.after(9, &frame(2), hashes[2]);
        let expected = Checkpoint {
            last: Sequence(2),
            hash: hashes[2],
            last_record: Some((9, hashes[1])),
            ..expected
        };
        assert_eq!(decided, expected);

        let taken_over = decided.after(10, &claim(2), hashes[3]);
        assert_eq!((taken_over.epoch, taken_over.last), (Epoch(2), Sequence(3)));
        assert_eq!(taken_over.owner, owner(2));
    }
}
