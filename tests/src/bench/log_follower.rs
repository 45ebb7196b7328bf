//! Reads the log beside the hubs: who owns what, and which placements were decided by whom, how
//! often and when.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use event_log::{Acceptor, Log, PARTITIONS, Stream};
use events::placement::PlacementEvent;
use events::{AggregateId, CommandSource, Event, FollowUpRef, Frame, Partition, Record};
use tokio::sync::watch;

/// What is on record, as far as it counts.
#[derive(Debug, Default)]
pub(super) struct OnRecord {
    /// Who claimed each partition last, and when this was read.
    pub(super) owners: BTreeMap<Partition, (String, Instant)>,
    /// Who recorded each generation of a placement's specification first, and when this was read.
    pub(super) specified: BTreeMap<(AggregateId, i64), (String, Instant)>,
    /// How often something was recorded that was on record already: the same generation, or the
    /// decision of the same follow-up.
    pub(super) duplicates: u64,
    follow_ups: BTreeSet<FollowUpRef>,
}

/// A reader of all partitions. Cheap to clone.
#[derive(Clone)]
pub(super) struct LogFollower {
    record: Arc<Mutex<OnRecord>>,
    moved: Arc<watch::Sender<()>>,
}

impl LogFollower {
    /// Reads from the start, and on as the log grows.
    pub(super) async fn start(log: &Arc<dyn Log>) -> Result<Self> {
        let follower = Self { record: Arc::default(), moved: Arc::new(watch::Sender::new(())) };
        for partition in (0..PARTITIONS).map(Partition) {
            let mut reader = log.read(Stream::Events(partition), 0).await?;
            let follower = follower.clone();
            tokio::spawn(async move {
                let mut acceptor = Acceptor::new(partition);
                while let Some(record) = reader.next().await {
                    let record = record.expect("the log can be read");
                    if let Ok(accepted) = acceptor.offer(record.offset, &record.bytes) {
                        follower.on_record().take(partition, accepted.record);
                        follower.moved.send_replace(());
                    }
                }
            });
        }
        Ok(follower)
    }

    /// What is on record now.
    pub(super) fn on_record(&self) -> MutexGuard<'_, OnRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the record gives an answer.
    pub(super) async fn answer<T>(
        &self,
        what: &str,
        patience: Duration,
        look: impl Fn(&OnRecord) -> Option<T>,
    ) -> Result<T> {
        let mut moved = self.moved.subscribe();
        let wait = async {
            loop {
                let found = look(&self.on_record());
                if let Some(answer) = found {
                    return Some(answer);
                }
                moved.changed().await.ok()?;
            }
        };
        match tokio::time::timeout(patience, wait).await {
            Ok(answer) => answer.context("the reader of the log ended"),
            Err(_) => bail!("{what}: not within {patience:?}"),
        }
    }
}

impl OnRecord {
    fn take(&mut self, partition: Partition, record: Record) {
        match record {
            Record::Genesis(_) => {}
            Record::Claim(claim) => {
                self.owners.insert(partition, (claim.node, Instant::now()));
            }
            Record::Frame(frame) => self.take_frame(partition, &frame),
        }
    }

    fn take_frame(&mut self, partition: Partition, frame: &Frame) {
        for decision in &frame.decisions {
            if let CommandSource::FollowUp(reference) = &decision.command
                && !self.follow_ups.insert(*reference)
            {
                self.duplicates += 1;
            }
        }
        let owner = self.owners.get(&partition).map(|(node, _)| node.clone()).unwrap_or_default();
        for envelope in &frame.events {
            if let Event::Placement(PlacementEvent::PlacementSpecified(specified)) = &envelope.event
            {
                let key = (envelope.aggregate.clone(), specified.generation);
                let first = (owner.clone(), Instant::now());
                match self.specified.entry(key) {
                    Entry::Vacant(place) => drop(place.insert(first)),
                    Entry::Occupied(_) => self.duplicates += 1,
                }
            }
        }
    }

    /// When it was read that a node has claimed a partition, if it is the one that owns it now.
    pub(super) fn claim_of(&self, partition: Partition, node: &str) -> Option<Instant> {
        let (owner, at) = self.owners.get(&partition)?;
        (owner == node).then_some(*at)
    }

    /// The partitions of a node.
    pub(super) fn owned_by(&self, node: &str) -> Vec<Partition> {
        let owned = self.owners.iter().filter(|(_, (owner, _))| owner == node);
        owned.map(|(partition, _)| *partition).collect()
    }
}
