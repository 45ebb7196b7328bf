//! A hub in miniature: the real deciders, one frame at a time, no log. It makes histories that
//! could have happened, as a reader would be given them.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "every test uses another part of it")]

mod script;

use std::collections::BTreeMap;
use std::path::Path;

use domain::cluster::Cluster;
use domain::fleet::Fleet;
use domain::placement::Placement;
use domain::{Decider, DomainCommand, FollowUp, Inputs, Reaction};
use events::{
    AggregateId, Claim, CommandEnvelope, CommandId, CommandSource, CorrelationId, DecisionRecord,
    Envelope, EventId, FollowUpRef, Frame, Genesis, Partition, Position, Principal, Record,
    Sequence, Timestamp,
};
use projections::{Changes, Checkpoint, FoldStep, Model, Store, Versioned};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use uuid::Uuid;

pub use script::{APPLYING, Act, MISSING, acts, cluster, link, observe, perform, place, placement};

/// Spreads aggregates evenly enough. Any function will do.
pub fn partition_of(aggregate: &AggregateId, partitions: u16) -> Partition {
    let sum: u32 = aggregate.to_string().bytes().map(u32::from).sum();
    Partition(u16::try_from(sum % u32::from(partitions)).unwrap())
}

/// A step that owns its record, with what the fold said when it was taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub partition: Partition,
    pub position: Position,
    pub record: Record,
    pub checkpoint: Checkpoint,
    pub changes: Changes,
}

impl Step {
    pub fn fold(&self) -> FoldStep<'_> {
        FoldStep {
            partition: self.partition,
            position: self.position,
            record: &self.record,
            checkpoint: self.checkpoint.clone(),
        }
    }

    pub fn frame(&self) -> Option<&Frame> {
        match &self.record {
            Record::Frame(frame) => Some(frame),
            Record::Claim(_) | Record::Genesis(_) => None,
        }
    }

    /// Its events with their positions.
    pub fn events(&self) -> impl Iterator<Item = (Position, &Envelope)> {
        let partition = self.partition;
        let events = self.frame().map_or(&[][..], |frame| &frame.events);
        events.iter().map(move |e| (Position { partition, sequence: e.sequence }, e))
    }
}

/// Folds steps into a model that knows nothing.
pub fn fold<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Model {
    let mut model = Model::new(partition_of);
    for step in steps {
        model.apply(&step.fold());
    }
    model
}

/// How many steps are in a model: the records of each partition come in order.
pub fn folded(model: &Model, steps: &[Step]) -> usize {
    let is_folded = |step: &&Step| {
        let at = model.checkpoint(step.partition);
        step.checkpoint.last_record <= at.last_record
    };
    steps.iter().filter(is_folded).count()
}

/// The same records in another order, as another reader would have folded them.
pub fn refold(steps: impl IntoIterator<Item = Step>) -> (Vec<Step>, Model) {
    let mut model = Model::new(partition_of);
    let refolded = steps.into_iter().map(|step| {
        let changes = model.apply(&step.fold());
        Step { changes, ..step }
    });
    (refolded.collect(), model)
}

/// A history that is the same each time.
pub fn long_history(partitions: u16, acts: usize) -> MiniHub {
    let mut runner = TestRunner::deterministic();
    let mut hub = MiniHub::new(partitions);
    while hub.acts < acts {
        let some = script::acts(partitions, 400).new_tree(&mut runner).unwrap().current();
        perform(&mut hub, &some);
        hub.acts += some.len();
    }
    // Something is pending at its end.
    hub.direct(cluster(7), observe(7, 0, false));
    hub.direct(cluster(7), link(7));
    hub.direct(placement(7), place(7, 1, None, 1));
    hub
}

/// Writes steps in one batch.
pub fn write(store: &mut Store, steps: &[Step]) {
    let folds: Vec<FoldStep<'_>> = steps.iter().map(Step::fold).collect();
    store.write(folds.iter().zip(steps.iter().map(|step| &step.changes))).unwrap();
}

/// The aggregates that steps changed.
pub fn dirty(steps: &[Step]) -> Vec<AggregateId> {
    let changed = steps.iter().flat_map(|step| &step.changes.aggregates);
    changed.map(|changed| changed.aggregate.clone()).collect()
}

/// Opens the rows without the store, which is being closed at most.
pub fn behind_the_back(dir: &Path) -> sled::Db {
    for _ in 0..500 {
        match sled::open(dir) {
            Ok(db) => return db,
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(10)),
        }
    }
    panic!("{} cannot be opened", dir.display());
}

/// What to decide.
#[derive(Debug, Clone)]
pub enum Ask {
    Direct(AggregateId, DomainCommand),
    Submitted(AggregateId, DomainCommand),
    FollowUp(FollowUpRef),
}

pub struct MiniHub {
    pub model: Model,
    pub steps: Vec<Step>,
    pub now: Timestamp,
    pub acts: usize,
    partitions: u16,
    offsets: BTreeMap<Partition, u64>,
    submitted: BTreeMap<Partition, u64>,
    commands: u64,
}

/// The states that a frame in the making has reached, where they differ from the model.
#[derive(Default)]
struct Draft {
    clusters: BTreeMap<AggregateId, Versioned<domain::cluster::ClusterState>>,
    placements: BTreeMap<AggregateId, Versioned<domain::placement::PlacementState>>,
    fleet: Option<Versioned<domain::fleet::FleetState>>,
    decisions: Vec<DecisionRecord>,
    events: Vec<Envelope>,
    follow_ups: Vec<CommandEnvelope>,
}

impl MiniHub {
    /// A hub with a genesis and an owner for each partition.
    pub fn new(partitions: u16) -> Self {
        let mut hub = Self {
            model: Model::new(partition_of),
            steps: vec![],
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            acts: 0,
            partitions,
            offsets: BTreeMap::new(),
            submitted: BTreeMap::new(),
            commands: 0,
        };
        let deployment = Uuid::from_u128(1);
        let time = hub.now;
        let genesis = Genesis { deployment, partitions, format: 1, time, hub: None };
        hub.record(Partition(0), Record::Genesis(genesis));
        for partition in 0..partitions {
            hub.claim(Partition(partition));
        }
        hub
    }

    pub fn partition(&self, aggregate: &AggregateId) -> Partition {
        partition_of(aggregate, self.partitions)
    }

    /// Another node takes a partition over.
    pub fn claim(&mut self, partition: Partition) {
        let epoch = self.model.checkpoint(partition).epoch.next();
        self.record(
            partition,
            Record::Claim(Claim {
                epoch,
                node: format!("hub-{}", epoch.0 % 3),
                incarnation: Uuid::from_u128(u128::from(epoch.0)),
                version: "0.1.0".to_owned(),
                time: self.now,
            }),
        );
    }

    /// Decides some commands of one partition in one frame.
    pub fn frame(&mut self, partition: Partition, asks: &[Ask]) {
        let first = self.model.checkpoint(partition).last.plus(1);
        let mut draft = Draft::default();
        let mut commands_before = None;
        for ask in asks {
            let (source, command) = self.source(partition, ask);
            // Owners need not move the cursor with every command.
            if let CommandSource::Submitted { offset, .. } = source
                && offset % 3 == 0
            {
                commands_before = Some(offset + 1);
            }
            self.decide(&mut draft, partition, first, source, &command);
        }
        let checkpoint = self.model.checkpoint(partition);
        let Draft { decisions, events, follow_ups, .. } = draft;
        self.record(
            partition,
            Record::Frame(Box::new(Frame {
                epoch: checkpoint.epoch,
                first,
                previous: checkpoint.hash,
                decisions,
                events,
                follow_ups,
                commands_before,
            })),
        );
    }

    /// Decides one command.
    pub fn direct(&mut self, aggregate: AggregateId, command: impl Into<DomainCommand>) {
        let partition = self.partition(&aggregate);
        self.frame(partition, &[Ask::Direct(aggregate, command.into())]);
    }

    /// What waits for a partition.
    pub fn pending(&self, partition: Partition) -> Vec<FollowUpRef> {
        self.model.inbox.pending(partition).map(|(reference, _)| *reference).collect()
    }

    /// Decides everything that waits, in frames of up to `per_frame`, until nothing does.
    pub fn settle(&mut self, per_frame: usize) {
        loop {
            let mut is_settled = true;
            for partition in (0..self.partitions).map(Partition) {
                let pending = self.pending(partition);
                for some in pending.chunks(per_frame) {
                    let asks: Vec<Ask> = some.iter().copied().map(Ask::FollowUp).collect();
                    self.frame(partition, &asks);
                    is_settled = false;
                }
            }
            if is_settled {
                return;
            }
        }
    }

    fn source(&mut self, partition: Partition, ask: &Ask) -> (CommandSource, CommandEnvelope) {
        match ask {
            Ask::Direct(aggregate, command) => {
                let command = self.envelope(aggregate, command);
                (CommandSource::Direct(command.clone()), command)
            }
            Ask::Submitted(aggregate, command) => {
                let command = self.envelope(aggregate, command);
                let offset = self.submitted.entry(partition).or_default();
                let source = CommandSource::Submitted { offset: *offset, command: command.clone() };
                *offset += 2;
                (source, command)
            }
            Ask::FollowUp(reference) => {
                let command = self.model.inbox.get(partition, *reference).unwrap();
                (CommandSource::FollowUp(*reference), command.clone())
            }
        }
    }

    fn envelope(&mut self, aggregate: &AggregateId, command: &DomainCommand) -> CommandEnvelope {
        self.commands += 1;
        let id = CommandId::of_input(&format!("input-{}", self.commands));
        let (kind, data) = command.to_parts().unwrap();
        let principal = match self.commands % 3 {
            0 => Principal::System,
            1 => Principal::User("alice".to_owned()),
            _ => Principal::Member("eu-1".to_owned()),
        };
        CommandEnvelope {
            id,
            aggregate: aggregate.clone(),
            kind,
            principal,
            time: self.now,
            causation: None,
            origin: None,
            correlation: CorrelationId(id.0),
            traceparent: None,
            data,
        }
    }

    fn decide(
        &self,
        draft: &mut Draft,
        partition: Partition,
        first: Sequence,
        source: CommandSource,
        command: &CommandEnvelope,
    ) {
        let id = &command.aggregate;
        let mut fleet = draft.fleet.take().unwrap_or_else(|| self.model.fleet.clone());
        match (id, DomainCommand::from_envelope(command).unwrap()) {
            (AggregateId::Cluster(name), DomainCommand::Cluster(asked)) => {
                let known = || self.model.clusters.get(name).cloned().unwrap_or_default();
                let mut state = draft.clusters.remove(id).unwrap_or_else(known);
                self.run::<Cluster>(draft, &mut state, partition, first, source, command, &asked);
                draft.clusters.insert(id.clone(), state);
            }
            (AggregateId::Placement(key), DomainCommand::Placement(asked)) => {
                let known = || self.model.placements.get(key).cloned().unwrap_or_default();
                let mut state = draft.placements.remove(id).unwrap_or_else(known);
                self.run::<Placement>(draft, &mut state, partition, first, source, command, &asked);
                draft.placements.insert(id.clone(), state);
            }
            (AggregateId::Fleet, DomainCommand::Fleet(asked)) => {
                self.run::<Fleet>(draft, &mut fleet, partition, first, source, command, &asked);
            }
            (id, command) => panic!("{id} cannot be asked {command:?}"),
        }
        draft.fleet = Some(fleet);
    }

    #[allow(clippy::too_many_arguments, reason = "a test")]
    fn run<D: Decider>(
        &self,
        draft: &mut Draft,
        state: &mut Versioned<D::State>,
        partition: Partition,
        first: Sequence,
        source: CommandSource,
        command: &CommandEnvelope,
        asked: &D::Command,
    ) {
        let inputs = Inputs { now: self.now, fleet: &self.model.view, origin: command.origin };
        let (decided, refusal) = match D::decide(&state.state, asked, &inputs) {
            Ok(events) => (events, None),
            Err(refusal) => (vec![], Some(refusal.to_string())),
        };
        draft.decisions.push(DecisionRecord {
            command: source,
            time: self.now,
            watermark: Some(self.model.view.watermark.clone()),
            events: u32::try_from(decided.len()).unwrap(),
            refusal,
        });
        let mut ordinal = 0;
        for (index, event) in decided.into_iter().enumerate() {
            let sequence = first.plus(draft.events.len() as u64);
            let position = Position { partition, sequence };
            let envelope = Envelope {
                id: EventId::derive(self.now, command.id, index),
                aggregate: command.aggregate.clone(),
                aggregate_sequence: state.sequence + 1,
                sequence,
                time: self.now,
                principal: command.principal.clone(),
                command: command.id,
                index: u32::try_from(index).unwrap(),
                causation: command.causation,
                correlation: command.correlation,
                traceparent: None,
                event: event.clone().into(),
            };
            state.apply::<D>(position, &envelope);
            for reaction in D::react(&command.aggregate, &state.state, &event) {
                if let Reaction::FollowUp(FollowUp { to, command: asked }) = reaction {
                    let (kind, data) = asked.to_parts().unwrap();
                    draft.follow_ups.push(CommandEnvelope {
                        id: CommandId::follow_up(envelope.id, ordinal),
                        aggregate: to,
                        kind,
                        principal: command.principal.clone(),
                        time: self.now,
                        causation: Some(envelope.id),
                        origin: Some(position),
                        correlation: command.correlation,
                        traceparent: None,
                        data,
                    });
                    ordinal += 1;
                }
            }
            draft.events.push(envelope);
        }
    }

    fn record(&mut self, partition: Partition, record: Record) {
        let before = self.model.checkpoint(partition);
        let offset = self.offsets.entry(partition).or_default();
        let hash = before.hash.then(&record.to_bytes().unwrap());
        let checkpoint = before.after(*offset, &record, hash);
        // Offsets of brokers have holes.
        *offset += 3;
        let position = Position { partition, sequence: before.last.plus(1) };
        let changes = Changes::default();
        let mut step = Step { partition, position, record, checkpoint, changes };
        step.changes = self.model.apply(&step.fold());
        self.steps.push(step);
    }
}
