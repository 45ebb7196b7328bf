//! What a fold is given: one accepted record, and where the reader stands after it.

use events::{ChainHash, Epoch, Partition, Position, Record, Sequence};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

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
