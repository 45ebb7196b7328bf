//! The present, in memory: the fold of all accepted records of all partitions.
//!
//! Each partition is folded in its own order; how the partitions are interleaved does not matter.

use std::collections::BTreeMap;

use domain::cluster::{Cluster, ClusterState};
use domain::fleet::{Fleet, FleetState};
use domain::placement::{Placement, PlacementState};
use domain::{ClusterView, Decider, FleetView, ViewChange};
use events::{
    AggregateId, Envelope, Frame, Genesis, Partition, PlacementKey, Position, Record, Timestamp,
};

use crate::inbox::{Inbox, InboxChange};
use crate::step::{Checkpoint, FoldStep};

/// Which partition an aggregate lives in, in a log of so many partitions. It belongs to the log,
/// so it is passed in.
pub type PartitionOf = fn(&AggregateId, u16) -> Partition;

/// Where follow-ups wait while the genesis, which says how many partitions there are, was not
/// folded yet. A log has fewer partitions than this.
const UNROUTED: Partition = Partition(u16::MAX);

/// Everything that is known now.
#[derive(Debug, Clone)]
pub struct Model {
    /// The clusters, by name. Those that left stay.
    pub clusters: BTreeMap<String, Versioned<ClusterState>>,
    /// The placements. Those that were deleted stay as small states: the generations of their
    /// moves must never fall.
    pub placements: BTreeMap<PlacementKey, Versioned<PlacementState>>,
    /// The fleet.
    pub fleet: Versioned<FleetState>,
    /// The clusters as the scheduler sees them.
    pub view: FleetView,
    /// Commands that are durable but not decided yet.
    pub inbox: Inbox,
    /// Where the reader of each partition stands.
    pub checkpoints: BTreeMap<Partition, Checkpoint>,
    /// The first record of the log.
    pub genesis: Option<Genesis>,
    partition_of: PartitionOf,
}

/// A state, and the event that it is the state after.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Versioned<S> {
    /// The aggregate sequence of the last event; 0 before the first.
    pub sequence: u64,
    /// Where that event stands.
    pub position: Position,
    /// When it was decided.
    pub changed_at: Timestamp,
    /// The state after it.
    pub state: S,
}

/// What a step changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// The aggregates that have new events, in order of their ids.
    pub aggregates: Vec<ChangedAggregate>,
    /// What changed in the view of the fleet.
    pub views: Vec<ChangedView>,
    /// What became of the inbox.
    pub inbox: Vec<InboxChange>,
}

/// A cluster that looks different.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangedView {
    /// Its name.
    pub cluster: String,
    /// The event that changed it.
    pub position: Position,
    /// Whether a scheduler looks at what is different.
    pub moved: bool,
    /// How it looks from then on; `None` when it left.
    pub view: Option<ClusterView>,
}

impl Changes {
    /// Whether something moved that a scheduler looks at, so that placements may have to be
    /// scheduled again.
    #[must_use]
    pub fn fleet_moved(&self) -> bool {
        self.views.iter().any(|view| view.moved)
    }
}

/// An aggregate with new events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedAggregate {
    /// Which.
    pub aggregate: AggregateId,
    /// The indices of its envelopes within the frame's events.
    pub events: Vec<usize>,
}

impl Model {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(partition_of: PartitionOf) -> Self {
        Self {
            clusters: BTreeMap::new(),
            placements: BTreeMap::new(),
            fleet: Versioned::default(),
            view: FleetView::default(),
            inbox: Inbox::default(),
            checkpoints: BTreeMap::new(),
            genesis: None,
            partition_of,
        }
    }

    /// Notes a record that does not count.
    pub fn reject(&mut self, partition: Partition, offset: u64, reason: &str) {
        self.checkpoints.entry(partition).or_default().rejections.note(offset, reason);
    }

    /// Where the reader of a partition stands; at its start if nothing of it was folded.
    #[must_use]
    pub fn checkpoint(&self, partition: Partition) -> Checkpoint {
        self.checkpoints.get(&partition).cloned().unwrap_or_default()
    }

    /// Folds the next accepted record of a partition. Says what changed.
    ///
    /// The records of a partition come in order and each once; the caller sees to that with the
    /// checkpoint from which it goes on.
    pub fn apply(&mut self, step: &FoldStep<'_>) -> Changes {
        self.checkpoints.insert(step.partition, step.checkpoint.clone());
        match step.record {
            Record::Genesis(genesis) => self.apply_genesis(genesis),
            Record::Claim(_) => Changes::default(),
            Record::Frame(frame) => self.apply_frame(step.partition, frame),
        }
    }

    /// The states of some aggregates alone, as they are now: for whoever must not hold the whole
    /// while working with them.
    #[must_use]
    pub fn part(&self, aggregates: &[&AggregateId]) -> Self {
        let mut part = Self::new(self.partition_of);
        for aggregate in aggregates {
            match aggregate {
                AggregateId::Cluster(name) => {
                    let known = self.clusters.get(name).cloned();
                    part.clusters.extend(known.map(|known| (name.clone(), known)));
                }
                AggregateId::Placement(key) => {
                    let known = self.placements.get(key).cloned();
                    part.placements.extend(known.map(|known| (key.clone(), known)));
                }
                AggregateId::Fleet => part.fleet = self.fleet.clone(),
            }
        }
        part
    }

    /// Where follow-ups to an aggregate are kept.
    pub(crate) fn route(&self, aggregate: &AggregateId) -> Partition {
        self.router()(aggregate)
    }

    fn router(&self) -> impl Fn(&AggregateId) -> Partition + use<> {
        let partition_of = self.partition_of;
        let partitions = self.genesis.as_ref().map(|genesis| genesis.partitions);
        move |aggregate| {
            partitions.map_or(UNROUTED, |partitions| partition_of(aggregate, partitions))
        }
    }

    fn apply_genesis(&mut self, genesis: &Genesis) -> Changes {
        self.genesis = Some(genesis.clone());
        let route = self.router();
        let inbox = self.inbox.route(UNROUTED, route);
        Changes { inbox, ..Changes::default() }
    }

    fn apply_frame(&mut self, partition: Partition, frame: &Frame) -> Changes {
        let mut views = Vec::new();
        let mut touched: BTreeMap<&AggregateId, Vec<usize>> = BTreeMap::new();
        for (index, envelope) in frame.events.iter().enumerate() {
            let position = Position { partition, sequence: envelope.sequence };
            views.extend(self.view(position, envelope));
            touched.entry(&envelope.aggregate).or_default().push(index);
        }
        // Aggregates know nothing of each other, so each is looked up once for all its events.
        for (aggregate, events) in &touched {
            let events = events.iter().map(|index| &frame.events[*index]);
            self.evolve(aggregate, partition, events);
        }

        let route = self.router();
        let inbox = self.inbox.apply(partition, frame, route);

        let changed = |(aggregate, events): (&AggregateId, _)| ChangedAggregate {
            aggregate: aggregate.clone(),
            events,
        };
        Changes { aggregates: touched.into_iter().map(changed).collect(), views, inbox }
    }

    /// Folds an event into the view of the fleet. Answers with the cluster that looks different.
    fn view(&mut self, position: Position, envelope: &Envelope) -> Option<ChangedView> {
        let moved = match self.view.apply(position, envelope) {
            ViewChange::Nothing => return None,
            ViewChange::Noted => false,
            ViewChange::Moved => true,
        };
        let AggregateId::Cluster(cluster) = &envelope.aggregate else { return None };
        let view = self.view.clusters.get(cluster).cloned();
        Some(ChangedView { cluster: cluster.clone(), position, moved, view })
    }

    fn evolve<'a>(
        &mut self,
        aggregate: &AggregateId,
        partition: Partition,
        events: impl Iterator<Item = &'a Envelope>,
    ) {
        match aggregate {
            AggregateId::Cluster(name) => {
                entry(&mut self.clusters, name).apply_all::<Cluster>(partition, events);
            }
            AggregateId::Placement(key) => {
                entry(&mut self.placements, key).apply_all::<Placement>(partition, events);
            }
            AggregateId::Fleet => self.fleet.apply_all::<Fleet>(partition, events),
        }
    }
}

impl<S> Versioned<S> {
    /// Folds the aggregate's next event. An event of another kind of aggregate, which no decider
    /// of ours writes, counts but changes nothing.
    pub fn apply<D: Decider<State = S>>(&mut self, position: Position, envelope: &Envelope) {
        if let Some(event) = D::own_event(&envelope.event) {
            D::evolve(&mut self.state, event, envelope.time);
        }
        self.sequence = envelope.aggregate_sequence;
        self.position = position;
        self.changed_at = envelope.time;
    }
}

impl<S> Versioned<S> {
    fn apply_all<'a, D: Decider<State = S>>(
        &mut self,
        partition: Partition,
        events: impl Iterator<Item = &'a Envelope>,
    ) {
        for envelope in events {
            self.apply::<D>(Position { partition, sequence: envelope.sequence }, envelope);
        }
    }
}

/// The value of a key, which is cloned only when it is new.
fn entry<'a, K: Ord + Clone, V: Default>(map: &'a mut BTreeMap<K, V>, key: &K) -> &'a mut V {
    if !map.contains_key(key) {
        map.insert(key.clone(), V::default());
    }
    map.get_mut(key).expect("just inserted if it was absent")
}

/// Two models are equal when they know the same, however they came to it.
impl PartialEq for Model {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            clusters,
            placements,
            fleet,
            view,
            inbox,
            checkpoints,
            genesis,
            partition_of: _,
        } = self;
        (clusters, placements, fleet, view)
            == (&other.clusters, &other.placements, &other.fleet, &other.view)
            && (inbox, checkpoints, genesis) == (&other.inbox, &other.checkpoints, &other.genesis)
    }
}
