//! What must always hold. Reads the log by itself, as soon as something lands in it, and is asked
//! about everything that nodes do.

use std::collections::{BTreeMap, BTreeSet};

use actors::fold;
use domain::Effect;
use event_log::{Acceptor, Log, MemoryLog, Reader, Stream, partition_of};
use events::cluster::{ClusterEvent, RevisionRef};
use events::placement::PlacementEvent;
use events::{
    AggregateId, ChainHash, CommandId, CommandSource, ContentHash, Envelope, Epoch, Event, EventId,
    FollowUpRef, Frame, ManifestRef, ObjectId, Partition, PlacementKey, Position, Record, Sequence,
    Watermark,
};
use projections::Model;
use uuid::Uuid;

use super::trace::Trace;

/// Something that must never happen has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(pub String);

/// What a check answers.
pub type Checked<T = ()> = Result<T, Violation>;

/// A violation, said with the arguments of `format!`.
macro_rules! violated {
    ($($words:tt)*) => {
        Err($crate::simulation::oracle::Violation(format!($($words)*)))
    };
}
pub(super) use violated;

/// One placement on one cluster.
type Place = (String, PlacementKey);

/// One partition, as far as it was read.
struct Lane {
    reader: Reader,
    acceptor: Acceptor,
    epoch: Epoch,
    last: Sequence,
    hash: ChainHash,
}

/// What the log says, as far as anything stands in it.
pub struct Oracle {
    log: MemoryLog,
    partitions: u16,
    lanes: BTreeMap<Partition, Lane>,
    /// The present.
    pub model: Model,
    events: BTreeSet<EventId>,
    owners: BTreeMap<(Partition, Epoch), Uuid>,
    sequences: BTreeMap<AggregateId, u64>,
    asked: BTreeMap<FollowUpRef, AggregateId>,
    decided: BTreeSet<FollowUpRef>,
    /// The last follow-up of each partition that was decided for each aggregate.
    last_decided: BTreeMap<(Partition, AggregateId), FollowUpRef>,
    submitted: BTreeSet<CommandId>,
    /// What each recorded assignment says; `None` for a withdrawal.
    orders: BTreeMap<(Place, u64), Option<RevisionRef>>,
    generations: BTreeMap<Place, u64>,
    moves: BTreeMap<PlacementKey, u64>,
    /// The objects that each recorded assignment or withdrawal takes away.
    intents: BTreeMap<(Place, u64), BTreeSet<ObjectId>>,
    /// What may be on a cluster.
    held: BTreeMap<Place, BTreeSet<ObjectId>>,
    /// What a cluster that left may still hold.
    pub orphans: BTreeMap<Place, BTreeSet<ObjectId>>,
    contents: BTreeMap<ContentHash, BTreeSet<ObjectId>>,
    /// Records that count.
    pub records: u64,
    /// Records that do not.
    pub rejected: u64,
    /// Decisions on record.
    pub decisions: u64,
    /// Claims that count.
    pub claims: u64,
}

impl Oracle {
    /// Reads a log from its start.
    pub async fn new(log: &MemoryLog, partitions: u16) -> Self {
        let mut lanes = BTreeMap::new();
        for partition in (0..partitions).map(Partition) {
            let reader = log.read(Stream::Events(partition), 0).await.expect("it is in memory");
            let lane = Lane {
                reader,
                acceptor: Acceptor::new(partition),
                epoch: Epoch(0),
                last: Sequence(0),
                hash: ChainHash::default(),
            };
            lanes.insert(partition, lane);
        }
        Self {
            log: log.clone(),
            partitions,
            lanes,
            model: Model::new(partition_of),
            events: BTreeSet::new(),
            owners: BTreeMap::new(),
            sequences: BTreeMap::new(),
            asked: BTreeMap::new(),
            decided: BTreeSet::new(),
            last_decided: BTreeMap::new(),
            submitted: BTreeSet::new(),
            orders: BTreeMap::new(),
            generations: BTreeMap::new(),
            moves: BTreeMap::new(),
            intents: BTreeMap::new(),
            held: BTreeMap::new(),
            orphans: BTreeMap::new(),
            contents: BTreeMap::new(),
            records: 0,
            rejected: 0,
            decisions: 0,
            claims: 0,
        }
    }

    /// Reads everything that has come.
    pub async fn read(&mut self, trace: &mut Trace) -> Checked {
        for partition in (0..self.partitions).map(Partition) {
            while let Some(record) = self.next(partition) {
                trace.bytes(&record.bytes);
                let lane = self.lanes.get_mut(&partition).expect("there is one for each");
                match lane.acceptor.offer(record.offset, &record.bytes) {
                    Ok(accepted) => {
                        let at = accepted.position;
                        trace.note(format!("      {at} counts: {}", words(&accepted.record)));
                        lane.check(&accepted.record, &record.bytes)?;
                        self.learn_contents(&accepted.record).await;
                        self.take(partition, &accepted.record)?;
                        fold::apply(&mut self.model, &accepted);
                        self.records += 1;
                    }
                    Err(rejection) => {
                        trace.note(format!("      {partition}: a record is ignored: {rejection}"));
                        self.rejected += 1;
                    }
                }
            }
        }
        Ok(())
    }

    fn next(&mut self, partition: Partition) -> Option<event_log::StoredRecord> {
        let lane = self.lanes.get_mut(&partition)?;
        lane.reader.try_next().map(|record| record.expect("memory does not fail"))
    }

    /// Which objects the revisions of a record name, before its events are looked at.
    async fn learn_contents(&mut self, record: &Record) {
        let Record::Frame(frame) = record else { return };
        for envelope in &frame.events {
            let Event::Placement(PlacementEvent::RevisionRecorded(recorded)) = &envelope.event
            else {
                continue;
            };
            let stored = self.log.get(recorded.manifests).await.expect("memory does not fail");
            // That it is stored before it is named is checked by whoever has to deliver it.
            let list: Vec<ManifestRef> =
                stored.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
            let objects = list.into_iter().map(|manifest| manifest.object).collect();
            self.contents.insert(recorded.manifests, objects);
        }
    }

    fn objects_of(&self, revision: &RevisionRef) -> BTreeSet<ObjectId> {
        self.contents.get(&revision.manifests).cloned().unwrap_or_default()
    }

    fn take(&mut self, partition: Partition, record: &Record) -> Checked {
        match record {
            Record::Genesis(_) => Ok(()),
            Record::Claim(claim) => {
                self.claims += 1;
                self.owners.insert((partition, claim.epoch), claim.incarnation);
                Ok(())
            }
            Record::Frame(frame) => self.take_frame(partition, frame),
        }
    }

    fn take_frame(&mut self, partition: Partition, frame: &Frame) -> Checked {
        self.decisions += frame.decisions.len() as u64;
        let at = Position { partition, sequence: frame.first };
        for decision in &frame.decisions {
            match &decision.command {
                CommandSource::Direct(_) => {}
                CommandSource::FollowUp(reference) => {
                    self.take_follow_up(*reference, at)?;
                }
                CommandSource::Submitted { command, .. } => {
                    if !self.submitted.insert(command.id) {
                        return violated!("the command {} is decided again at {at}", command.id);
                    }
                }
            }
        }
        for (ordinal, command) in (0..).zip(&frame.follow_ups) {
            let reference = FollowUpRef { frame: at, ordinal };
            self.asked.insert(reference, command.aggregate.clone());
        }
        for envelope in &frame.events {
            self.take_event(envelope)?;
        }
        Ok(())
    }

    /// Follow-ups of one partition to one aggregate are decided in the order in which they stand.
    fn take_follow_up(&mut self, reference: FollowUpRef, at: Position) -> Checked {
        if !self.decided.insert(reference) {
            return violated!("the follow-up {reference:?} is decided again at {at}");
        }
        let Some(aggregate) = self.asked.get(&reference) else {
            return violated!("the follow-up {reference:?} is decided at {at}, and nobody asked");
        };
        let lane = (reference.frame.partition, aggregate.clone());
        match self.last_decided.insert(lane, reference) {
            Some(before) if before > reference => {
                violated!("{aggregate} decides {reference:?} at {at}, and {before:?} before it")
            }
            Some(_) | None => Ok(()),
        }
    }

    fn take_event(&mut self, envelope: &Envelope) -> Checked {
        let id = &envelope.aggregate;
        if !self.events.insert(envelope.id) {
            return violated!("the event {} of {id} stands in the log twice", envelope.id);
        }
        let sequence = self.sequences.entry(id.clone()).or_default();
        if envelope.aggregate_sequence != *sequence + 1 {
            let found = envelope.aggregate_sequence;
            return violated!("event {found} of {id} follows on event {sequence}");
        }
        *sequence += 1;
        match (id, &envelope.event) {
            (AggregateId::Cluster(name), Event::Cluster(event)) => self.take_cluster(name, event),
            (AggregateId::Placement(key), Event::Placement(event)) => {
                self.take_placement(key, event)
            }
            (_, Event::Cluster(_) | Event::Placement(_) | Event::Fleet(_)) => Ok(()),
        }
    }

    fn take_placement(&mut self, key: &PlacementKey, event: &PlacementEvent) -> Checked {
        let PlacementEvent::TargetsMoved(moved) = event else { return Ok(()) };
        for step in &moved.moves {
            let before = self.moves.entry(key.clone()).or_default();
            if step.generation <= *before {
                return violated!("{key} moves to generation {} after {before}", step.generation);
            }
            *before = step.generation;
        }
        Ok(())
    }

    fn take_cluster(&mut self, name: &str, event: &ClusterEvent) -> Checked {
        let place = |placement: &PlacementKey| (name.to_owned(), placement.clone());
        match event {
            ClusterEvent::DeliveryAssigned(assigned) => {
                let revision = Some(assigned.revision.clone());
                self.order(place(&assigned.placement), assigned.generation, revision)
            }
            ClusterEvent::DeliveryWithdrawn(withdrawn) => {
                self.order(place(&withdrawn.placement), withdrawn.generation, None)
            }
            ClusterEvent::DeliveryApplied(applied) => {
                let place = place(&applied.placement);
                let order = self.orders.get(&(place.clone(), applied.generation));
                let revision = order.cloned().flatten();
                let held = revision.map(|revision| self.objects_of(&revision));
                self.held.insert(place, held.unwrap_or_default());
                Ok(())
            }
            ClusterEvent::DeliveryRemoved(removed) => {
                self.held.remove(&place(&removed.placement));
                Ok(())
            }
            ClusterEvent::ClusterLeft(left) => {
                for orphaned in &left.orphaned {
                    let place = place(&orphaned.placement);
                    let held = self.held.remove(&place).unwrap_or_default();
                    self.orphans.entry(place).or_default().extend(held);
                }
                Ok(())
            }
            ClusterEvent::DeliveryNoted(_)
            | ClusterEvent::DeliveryFailed(_)
            | ClusterEvent::DeliveryAvailable(_)
            | ClusterEvent::DeliveryUnavailable(_)
            | ClusterEvent::DeliveryProgressed(_)
            | ClusterEvent::DeliveryDisturbed(_)
            | ClusterEvent::DeliveryRemovalWaits(_)
            | ClusterEvent::ClusterRegistered(_)
            | ClusterEvent::ClusterJoined(_)
            | ClusterEvent::ClusterLinkFailed(_)
            | ClusterEvent::ClusterLabelsChanged(_)
            | ClusterEvent::ClusterTaintsChanged(_)
            | ClusterEvent::ClusterHeartbeatPeriodChanged(_)
            | ClusterEvent::ClusterCredentialChanged(_)
            | ClusterEvent::ClusterCredentialExpiring(_)
            | ClusterEvent::ClusterHealthLost(_)
            | ClusterEvent::ClusterHealthGraceEnded(_)
            | ClusterEvent::ClusterHealthRestored(_)
            | ClusterEvent::ClusterPropertiesChanged(_)
            | ClusterEvent::ClusterHeld(_)
            | ClusterEvent::ClusterHoldEnded(_) => Ok(()),
        }
    }

    /// A delivery is recorded: what it takes away, and what the cluster may hold from now on.
    fn order(&mut self, place: Place, generation: u64, revision: Option<RevisionRef>) -> Checked {
        let before = self.generations.entry(place.clone()).or_default();
        if generation <= *before {
            let (cluster, placement) = &place;
            return violated!("{placement} on {cluster}: generation {generation} after {before}");
        }
        *before = generation;
        let objects = revision.as_ref().map(|revision| self.objects_of(revision));
        let objects = objects.unwrap_or_default();
        let held = self.held.entry(place.clone()).or_default();
        let gone = held.difference(&objects).cloned().collect();
        held.extend(objects);
        self.intents.insert((place.clone(), generation), gone);
        self.orders.insert((place, generation), revision);
        Ok(())
    }

    /// Somebody is told that these events happened.
    pub fn check_answer(&self, envelopes: &[Envelope]) -> Checked {
        match envelopes.iter().find(|envelope| !self.events.contains(&envelope.id)) {
            None => Ok(()),
            Some(envelope) => {
                let (id, event) = (&envelope.aggregate, envelope.event.event_type().name);
                violated!("{id} answers with {event}, which does not count in the log")
            }
        }
    }

    /// A node is about to perform an effect in an epoch.
    pub fn check_effect(&self, effect: &Effect, epoch: Epoch, node: Uuid) -> Checked {
        let key = effect.key();
        let id = AggregateId::Cluster(key.cluster.clone());
        let partition = partition_of(&id, self.partitions);
        if self.owners.get(&(partition, epoch)) != Some(&node) {
            return violated!("{id} is acted on in epoch {epoch}, which the node never owned");
        }
        let place = (key.cluster.clone(), key.placement.clone());
        let (generation, revision) = match effect {
            Effect::Deliver(effect) | Effect::Observe(effect) => {
                (effect.generation, Some(&effect.revision))
            }
            Effect::Withdraw(effect) => (effect.generation, None),
            Effect::Cancel(_) => return Ok(()),
        };
        let recorded = self.orders.get(&(place, generation)).map(Option::as_ref);
        if recorded != Some(revision) {
            return violated!("{effect:?} is performed, and no event says so");
        }
        Ok(())
    }

    /// An object of a placement is deleted on a cluster.
    pub fn check_deletion(
        &self,
        cluster: &str,
        placement: &PlacementKey,
        object: &ObjectId,
    ) -> Checked {
        let place = (cluster.to_owned(), placement.clone());
        let mut intents = self.intents.range((place.clone(), 0)..=(place, u64::MAX));
        match intents.any(|(_, gone)| gone.iter().any(|named| named.is_same_object(object))) {
            true => Ok(()),
            false => {
                violated!("{object} of {placement} is deleted on {cluster}, and no event named it")
            }
        }
    }

    /// Whether the order of this generation may delete an object.
    #[must_use]
    pub fn is_named_by(
        &self,
        cluster: &str,
        placement: &PlacementKey,
        generation: u64,
        object: &ObjectId,
    ) -> bool {
        let place = (cluster.to_owned(), placement.clone());
        let gone = self.intents.get(&(place, generation));
        gone.is_some_and(|gone| gone.iter().any(|named| named.is_same_object(object)))
    }

    /// Whether a run of a node owns the partition of a cluster, as far as the log says.
    #[must_use]
    pub fn is_owner(&self, cluster: &str, node: Uuid) -> bool {
        let id = AggregateId::Cluster(cluster.to_owned());
        let partition = partition_of(&id, self.partitions);
        let epoch = self.lanes.get(&partition).map(|lane| lane.epoch).unwrap_or_default();
        self.owners.get(&(partition, epoch)) == Some(&node)
    }

    /// A model must be what anybody gets who folds the log up to the same place, whatever the
    /// order in which they read the partitions.
    pub async fn check_model(&self, model: &Model) -> Checked {
        let mut fresh = Model::new(partition_of);
        for partition in (0..self.partitions).rev().map(Partition) {
            let end = model.checkpoint(partition).last_record;
            let Some((end, _)) = end else { continue };
            let mut acceptor = Acceptor::new(partition);
            let stream = Stream::Events(partition);
            let mut reader = self.log.read(stream, 0).await.expect("it is in memory");
            while let Some(record) = reader.try_next() {
                let record = record.expect("memory does not fail");
                if record.offset > end {
                    break;
                }
                if let Ok(accepted) = acceptor.offer(record.offset, &record.bytes) {
                    fold::apply(&mut fresh, &accepted);
                }
            }
        }
        match fresh == *model {
            true => Ok(()),
            false => {
                violated!("a model differs from what the log says: {}", difference(model, &fresh))
            }
        }
    }

    /// At the end: every durable command was decided, by the log and by the model.
    pub fn check_decided(&self, acknowledged: &BTreeSet<CommandId>) -> Checked {
        if let Some(lost) = self.asked.keys().find(|asked| !self.decided.contains(asked)) {
            return violated!("the follow-up {lost:?} was never decided");
        }
        if let Some(lost) = acknowledged.difference(&self.submitted).next() {
            return violated!("the command {lost} was submitted and never decided");
        }
        let pending = |partition| self.model.inbox.pending(partition).next().is_some();
        match (0..self.partitions).map(Partition).find(|partition| pending(*partition)) {
            Some(partition) => violated!("the inbox of partition {partition} is not empty"),
            None if self.model.inbox.early() > 0 => violated!("answers without questions"),
            None => Ok(()),
        }
    }

    /// How far the log is.
    #[must_use]
    pub fn watermark(&self) -> Watermark {
        Watermark(self.lanes.iter().map(|(partition, lane)| (*partition, lane.last)).collect())
    }
}

impl Lane {
    /// The acceptance rule in other words: one owner at a time, no gaps, one history.
    fn check(&mut self, record: &Record, bytes: &[u8]) -> Checked {
        match record {
            Record::Genesis(_) => {}
            Record::Claim(claim) => {
                if claim.epoch.0 != self.epoch.0 + 1 {
                    return violated!("a claim of epoch {} after {}", claim.epoch, self.epoch);
                }
                self.epoch = claim.epoch;
                self.last = self.last.plus(1);
            }
            Record::Frame(frame) => {
                if frame.epoch != self.epoch {
                    return violated!("a frame of epoch {} counts in {}", frame.epoch, self.epoch);
                }
                if frame.first != self.last.plus(1) || frame.previous != self.hash {
                    return violated!("a frame counts that does not continue the history");
                }
                self.last = frame.last();
            }
        }
        self.hash = self.hash.then(bytes);
        Ok(())
    }
}

/// What a record says, in a line.
fn words(record: &Record) -> String {
    match record {
        Record::Genesis(_) => "genesis".to_owned(),
        Record::Claim(claim) => format!("{} claims epoch {}", claim.node, claim.epoch),
        Record::Frame(frame) => {
            let events = frame.events.iter();
            let events = events.map(|e| format!("{} {}", e.aggregate, e.event.event_type().name));
            let refused = frame.decisions.iter().filter_map(|decision| decision.refusal.clone());
            events.chain(refused).collect::<Vec<_>>().join(", ")
        }
    }
}

/// In which part two models differ.
fn difference(one: &Model, other: &Model) -> String {
    let parts = [
        ("clusters", one.clusters == other.clusters),
        ("placements", one.placements == other.placements),
        ("fleet", one.fleet == other.fleet),
        ("view", one.view == other.view),
        ("inbox", one.inbox == other.inbox),
        ("checkpoints", one.checkpoints == other.checkpoints),
        ("genesis", one.genesis == other.genesis),
    ];
    let differ = parts.iter().filter(|(_, same)| !same).map(|(name, _)| *name);
    differ.collect::<Vec<_>>().join(", ")
}
