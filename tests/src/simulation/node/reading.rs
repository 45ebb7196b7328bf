//! Reading the log: records are folded into the model, and shards and controllers are told.

use actors::fold::{self, Fold};
use bytes::Bytes;
use event_log::{Accepted, Log, Reader, Rejection, StoredRecord, Stream};
use events::{AggregateId, CommandEnvelope, FollowUpRef, Partition};

use super::Life;
use crate::simulation::Shared;
use crate::simulation::oracle::{Checked, violated};

pub(super) struct Lane {
    pub(super) from: u64,
    pub(super) reader: Option<Reader>,
}

/// What has to be told after a step, in order.
enum Notice {
    Folded(Box<Accepted>),
    Rejected(Partition, Bytes, Rejection),
    Inbox(Partition, Vec<(FollowUpRef, CommandEnvelope)>),
    Change { aggregates: Vec<AggregateId>, fleet_moved: bool },
}

impl Life {
    /// Whether a record of the partition waits to be read.
    #[must_use]
    pub fn has_more(&self, partition: Partition, end: u64) -> bool {
        // The last record that was folded comes once more when reading starts.
        self.lanes.get(&partition).is_some_and(|lane| lane.from < end)
    }

    /// Reads and folds a few records, then tells whom they concern.
    pub async fn fold(&mut self, partitions: &[Partition], shared: &mut Shared) -> Checked {
        let mut notices = vec![];
        for partition in partitions {
            let Some(lane) = self.lanes.get_mut(partition) else { continue };
            let Some(record) = lane.next(Stream::Events(*partition), shared).await else {
                continue;
            };
            self.fold_one(*partition, &record, shared, &mut notices)?;
        }
        for notice in notices {
            self.tell(notice, shared)?;
        }
        self.settle(shared)
    }

    fn fold_one(
        &mut self,
        partition: Partition,
        record: &StoredRecord,
        shared: &Shared,
        notices: &mut Vec<Notice>,
    ) -> Checked {
        match self.core.offer(partition, record) {
            Err(error) => violated!("{} cannot read on: {error}", self.name),
            Ok(Fold::Known) => Ok(()),
            Ok(Fold::Rejected(rejection)) => {
                notices.push(Notice::Rejected(partition, record.bytes.clone(), rejection));
                Ok(())
            }
            Ok(Fold::Accepted(accepted)) => {
                let (changes, _) = fold::apply(&mut self.model, &accepted);
                let aggregates = changes.aggregates.iter().map(|change| change.aggregate.clone());
                for change in &changes.aggregates {
                    if let AggregateId::Cluster(name) = &change.aggregate {
                        self.deliveries.update(&self.model, name);
                    }
                }
                let change = Notice::Change {
                    aggregates: aggregates.collect(),
                    fleet_moved: changes.fleet_moved(),
                };
                let inbox = fold::follow_ups(&accepted, &changes, shared.partitions);
                notices.push(Notice::Folded(accepted));
                notices.extend(inbox.into_iter().map(|(to, asks)| Notice::Inbox(to, asks)));
                notices.push(change);
                Ok(())
            }
        }
    }

    fn tell(&mut self, notice: Notice, shared: &mut Shared) -> Checked {
        match notice {
            Notice::Folded(accepted) => {
                self.folded(&accepted, shared);
                Ok(())
            }
            Notice::Rejected(partition, bytes, rejection) => {
                shared.trace.note(format!("      {} ignores: {rejection}", self.name));
                if let Some(shard) = self.shards.get_mut(&partition) {
                    shard.core.rejected(&bytes);
                    shard.flush_is_due = true;
                }
                Ok(())
            }
            Notice::Inbox(partition, asks) => {
                if let Some(shard) = self.shards.get_mut(&partition) {
                    shard.core.follow_ups(asks, shared.now_ms);
                }
                Ok(())
            }
            Notice::Change { aggregates, fleet_moved } => {
                self.changed(&aggregates, fleet_moved, shared);
                Ok(())
            }
        }
    }

    /// Whether submitted commands of the partition wait to be read.
    #[must_use]
    pub fn has_commands(&self, partition: Partition, end: u64) -> bool {
        let shard = self.shards.get(&partition);
        let shard = shard.filter(|shard| shard.core.wants_submitted());
        shard.and_then(|shard| shard.commands.as_ref()).is_some_and(|(from, _)| *from < end)
    }

    /// Reads the next submitted command of a partition.
    pub async fn read_command(&mut self, partition: Partition, shared: &mut Shared) -> Checked {
        let Some(shard) = self.shards.get_mut(&partition) else { return Ok(()) };
        let Some((from, reader)) = shard.commands.take() else { return Ok(()) };
        let mut lane = Lane { from, reader };
        let record = lane.next(Stream::Commands(partition), shared).await;
        shard.commands = Some((lane.from, lane.reader));
        if let Some(record) = record {
            let inbox = &self.model.inbox;
            let taken = shard.core.submitted(record.offset, &record.bytes, inbox, shared.now_ms);
            if let Err(error) = taken {
                return violated!("a submitted command is unreadable: {error}");
            }
        }
        self.settle(shared)
    }
}

impl Lane {
    async fn next(&mut self, stream: Stream, shared: &Shared) -> Option<StoredRecord> {
        if self.reader.is_none() {
            self.reader = shared.log.read(stream, self.from).await.ok();
        }
        match self.reader.as_mut()?.try_next()? {
            Ok(record) => {
                self.from = record.offset + 1;
                Some(record)
            }
            Err(_) => {
                self.reader = None;
                None
            }
        }
    }
}
