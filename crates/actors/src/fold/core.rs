//! Reading without the waiting: the acceptance rule on every partition.

use std::collections::BTreeMap;

use event_log::{Accepted, Acceptor, Rejection, StoredRecord, partition_of};
use events::{CommandEnvelope, FollowUpRef, Partition, Position, Record};
use projections::{Changes, Checkpoint, FoldStep, Model};

/// Why reading cannot go on. What was derived from the log must not be trusted any further.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FoldError {
    /// The log is not the one that was read before.
    #[error(
        "partition {partition} is not the log that was read before: the record at offset {offset} \
         differs; the projections have to be rebuilt"
    )]
    OtherLog {
        /// Where.
        partition: Partition,
        /// The offset at which reading was to go on.
        offset: u64,
    },
    /// A record may count, but this version cannot tell.
    #[error("partition {partition}, offset {offset}: {rejection}; upgrade this hub")]
    Undecodable {
        /// Where.
        partition: Partition,
        /// The record.
        offset: u64,
        /// What is wrong.
        rejection: Rejection,
    },
}

/// What a record means.
#[derive(Debug)]
pub enum Fold {
    /// It counts.
    Accepted(Box<Accepted>),
    /// It does not; all readers ignore it.
    Rejected(Rejection),
    /// It was folded before: reading starts with the last record that was.
    Known,
}

/// The reader's place in every partition.
#[derive(Debug, Clone)]
pub struct FoldCore {
    acceptors: BTreeMap<Partition, Acceptor>,
    resuming: BTreeMap<Partition, bool>,
    rejected: u64,
}

impl FoldCore {
    /// A reader that goes on from where these acceptors are.
    #[must_use]
    pub fn new(acceptors: BTreeMap<Partition, Acceptor>) -> Self {
        let resuming = acceptors
            .iter()
            .map(|(partition, acceptor)| (*partition, acceptor.last_record.is_some()))
            .collect();
        Self { acceptors, resuming, rejected: 0 }
    }

    /// A reader that goes on where a model stands.
    #[must_use]
    pub fn resume(model: &Model, partitions: u16) -> Self {
        let partitions = (0..partitions).map(Partition);
        Self::new(partitions.map(|partition| (partition, acceptor_at(model, partition))).collect())
    }

    /// The places in all partitions.
    pub fn acceptors(&self) -> impl Iterator<Item = &Acceptor> {
        self.acceptors.values()
    }

    /// The place in one partition.
    #[must_use]
    pub fn acceptor(&self, partition: Partition) -> Acceptor {
        self.acceptors.get(&partition).copied().unwrap_or_else(|| Acceptor::new(partition))
    }

    /// How many records did not count so far.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    /// Applies the rule to the next record of a partition.
    ///
    /// # Errors
    /// When reading cannot go on.
    pub fn offer(
        &mut self,
        partition: Partition,
        record: &StoredRecord,
    ) -> Result<Fold, FoldError> {
        let acceptor = self.acceptors.entry(partition).or_insert_with(|| Acceptor::new(partition));
        if self.resuming.insert(partition, false) == Some(true) {
            if acceptor.recognises(record.offset, &record.bytes) {
                return Ok(Fold::Known);
            }
            return Err(FoldError::OtherLog { partition, offset: record.offset });
        }
        match acceptor.offer(record.offset, &record.bytes) {
            Ok(accepted) => Ok(Fold::Accepted(Box::new(accepted))),
            Err(rejection) if rejection.stops_the_reader() => {
                Err(FoldError::Undecodable { partition, offset: record.offset, rejection })
            }
            Err(rejection) => {
                self.rejected += 1;
                Ok(Fold::Rejected(rejection))
            }
        }
    }
}

fn acceptor_at(model: &Model, partition: Partition) -> Acceptor {
    match model.checkpoints.get(&partition) {
        None => Acceptor::new(partition),
        Some(checkpoint) => Acceptor {
            partition,
            epoch: checkpoint.epoch,
            last: checkpoint.last,
            hash: checkpoint.hash,
            last_record: checkpoint.last_record,
        },
    }
}

/// Folds a record that counts into the model. Says what moved, and where its reader stands then.
pub fn apply(model: &mut Model, accepted: &Accepted) -> (Changes, Checkpoint) {
    let partition = accepted.position.partition;
    let checkpoint =
        model.checkpoint(partition).after(accepted.offset, &accepted.record, accepted.hash);
    let changes = model.apply(&FoldStep {
        partition,
        position: accepted.position,
        record: &accepted.record,
        checkpoint: checkpoint.clone(),
    });
    (changes, checkpoint)
}

/// The follow-ups of a record, by the partition that they go to.
#[must_use]
pub fn follow_ups(
    accepted: &Accepted,
    partitions: u16,
) -> BTreeMap<Partition, Vec<(FollowUpRef, CommandEnvelope)>> {
    let mut inbox: BTreeMap<Partition, Vec<_>> = BTreeMap::new();
    let Record::Frame(frame) = &accepted.record else { return inbox };
    let position = Position { partition: accepted.position.partition, sequence: frame.first };
    for (ordinal, command) in (0_u32..).zip(&frame.follow_ups) {
        let to = partition_of(&command.aggregate, partitions);
        let reference = FollowUpRef { frame: position, ordinal };
        inbox.entry(to).or_default().push((reference, command.clone()));
    }
    inbox
}
