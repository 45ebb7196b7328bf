//! Reading without the waiting: the acceptance rule on every partition.

use std::collections::{BTreeMap, BTreeSet};

use event_log::{Accepted, Acceptor, Rejection, StoredRecord, partition_of};
use events::{CommandEnvelope, FollowUpRef, Partition, Position, Record};
use projections::{Changes, Checkpoint, FoldStep, InboxChange, Model};

/// Why reading cannot go on. What was derived from the log must not be trusted any further.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FoldError {
    /// The log is not the one that was read before.
    #[error(
        "partition {partition} is not the log that was read before: the record at offset {offset} \
         differs; if the log is the right one, restart this hub: it sets its projections aside and \
         builds them again from the log as it is now"
    )]
    OtherLog {
        /// Where.
        partition: Partition,
        /// The offset at which reading was to go on.
        offset: u64,
    },
    /// The log has lost what was read of it, or cannot be read any more.
    #[error(
        "partition {partition}: {what}; see to the log, then restart this hub: what it derived from \
         the log is compared with it, and built again where they differ"
    )]
    Damaged {
        /// Where.
        partition: Partition,
        /// What is wrong.
        what: String,
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
}

impl FoldCore {
    /// A reader that goes on from where these acceptors are.
    #[must_use]
    pub fn new(acceptors: BTreeMap<Partition, Acceptor>) -> Self {
        let resuming = acceptors
            .iter()
            .map(|(partition, acceptor)| (*partition, acceptor.last_record.is_some()))
            .collect();
        Self { acceptors, resuming }
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
            Err(rejection) => Ok(Fold::Rejected(rejection)),
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

/// The follow-ups of a record that wait for a decision, by the partition that they go to. `changes`
/// is what folding the record changed: what was decided in a frame that was read before does not
/// wait any more.
#[must_use]
pub fn follow_ups(
    accepted: &Accepted,
    changes: &Changes,
    partitions: u16,
) -> BTreeMap<Partition, Vec<(FollowUpRef, CommandEnvelope)>> {
    let mut inbox: BTreeMap<Partition, Vec<_>> = BTreeMap::new();
    let Record::Frame(frame) = &accepted.record else { return inbox };
    let position = Position { partition: accepted.position.partition, sequence: frame.first };
    let asked: BTreeSet<FollowUpRef> = changes.inbox.iter().filter_map(asked).collect();
    for (ordinal, command) in (0_u32..).zip(&frame.follow_ups) {
        let reference = FollowUpRef { frame: position, ordinal };
        if asked.contains(&reference) {
            let to = partition_of(&command.aggregate, partitions);
            inbox.entry(to).or_default().push((reference, command.clone()));
        }
    }
    inbox
}

fn asked(change: &InboxChange) -> Option<FollowUpRef> {
    match change {
        InboxChange::Asked(reference) => Some(*reference),
        InboxChange::Decided(_)
        | InboxChange::DecidedEarly(_)
        | InboxChange::Paired(_)
        | InboxChange::OffsetDecided(..)
        | InboxChange::OffsetForgotten(..)
        | InboxChange::CommandsBefore(..)
        | InboxChange::IdRemembered(..)
        | InboxChange::IdForgotten(..) => None,
    }
}

#[cfg(test)]
mod tests {
    use events::frame::RECORD_FORMAT;
    use events::{
        AggregateId, ChainHash, CommandId, CommandSource, CorrelationId, DecisionRecord, Epoch,
        Frame, Genesis, Principal, Sequence, Timestamp,
    };
    use serde_json::value::RawValue;
    use uuid::Uuid;

    use super::*;

    const PARTITIONS: u16 = 2;

    fn at(partition: Partition) -> Position {
        Position { partition, sequence: Sequence(2) }
    }

    fn accepted(partition: Partition, record: Record) -> Accepted {
        Accepted { position: at(partition), offset: 1, record, hash: ChainHash::default() }
    }

    fn frame(partition: Partition, decided: Option<FollowUpRef>, asks: bool) -> Accepted {
        let decision = |reference| DecisionRecord {
            command: CommandSource::FollowUp(reference),
            time: Timestamp::UNIX_EPOCH,
            watermark: None,
            events: 0,
            refusal: None,
        };
        let id = CommandId::of_input("one");
        let ask = CommandEnvelope {
            id,
            aggregate: AggregateId::Fleet,
            kind: "FoundFleet".to_owned(),
            principal: Principal::System,
            time: Timestamp::UNIX_EPOCH,
            causation: None,
            origin: None,
            correlation: CorrelationId(id.0),
            traceparent: None,
            data: RawValue::from_string("{}".to_owned()).unwrap(),
        };
        let frame = Frame {
            epoch: Epoch(1),
            first: Sequence(2),
            previous: ChainHash::default(),
            decisions: decided.into_iter().map(decision).collect(),
            events: vec![],
            follow_ups: asks.then_some(ask).into_iter().collect(),
            commands_before: None,
        };
        accepted(partition, Record::Frame(Box::new(frame)))
    }

    fn model() -> Model {
        let mut model = Model::new(partition_of);
        let genesis = Record::Genesis(Genesis {
            deployment: Uuid::from_u128(1),
            partitions: PARTITIONS,
            format: RECORD_FORMAT,
            time: Timestamp::UNIX_EPOCH,
            hub: None,
        });
        apply(&mut model, &accepted(Partition(0), genesis));
        model
    }

    /// An owner that has just taken over may read the decision of the one before it earlier than
    /// the frame that asks for it.
    #[test]
    fn regression_what_was_decided_before_it_was_read_waits_for_nobody() {
        let to = partition_of(&AggregateId::Fleet, PARTITIONS);
        let from = Partition(1 - to.0);
        let asking = frame(from, None, true);
        let reference = FollowUpRef { frame: at(from), ordinal: 0 };
        let deciding = frame(to, Some(reference), false);

        let mut in_order = model();
        let (changes, _) = apply(&mut in_order, &asking);
        let waiting = follow_ups(&asking, &changes, PARTITIONS);
        assert_eq!(waiting.keys().collect::<Vec<_>>(), [&to]);

        let mut early = model();
        apply(&mut early, &deciding);
        let (changes, _) = apply(&mut early, &asking);
        assert!(follow_ups(&asking, &changes, PARTITIONS).is_empty());
    }
}
