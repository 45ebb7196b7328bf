//! A tiny world: aggregates that exchange follow-ups, a view of the fleet that lags behind, and
//! members that do or do not do what they are told.
//!
//! Follow-ups are never lost and keep their order between two aggregates; everything else happens
//! in whatever order the test likes. After every decision the world checks what must always hold.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use events::{
    AggregateId, CommandId, CorrelationId, Envelope, Event, EventId, Partition, PlacementKey,
    Position, Principal, Sequence, Timestamp,
};

use super::checks::{Decision, State, check_again_adds_nothing};
use super::member::Member;
use super::{check_round_trip, make, through_envelope, words};
use crate::cluster::{Cluster, ClusterCommand, ClusterState};
use crate::placement::{Placement, PlacementCommand, PlacementState, Reschedule};
use crate::{Decider, DomainCommand, Effect, FleetView, FollowUp, Inputs, Reaction, ViewChange};

/// How many rounds a world may take to come to rest. A world that takes longer never will.
const ROUNDS_MAX: usize = 50;

/// The world.
#[derive(Default)]
pub(crate) struct World {
    /// Seconds since it began.
    pub(crate) now: i64,
    pub(crate) clusters: BTreeMap<String, ClusterState>,
    pub(crate) placements: BTreeMap<PlacementKey, PlacementState>,
    pub(crate) members: BTreeMap<String, Member>,
    /// The fleet as far as it was folded.
    pub(crate) view: FleetView,
    /// What happened, in words.
    pub(crate) lines: Vec<String>,
    /// Everything that was ever reported, for reports that arrive twice.
    pub(crate) reports: Vec<(String, ClusterCommand)>,
    pub(crate) log: Vec<Envelope>,
    pub(super) decisions: Vec<Decision>,
    pub(super) partitions: BTreeMap<AggregateId, (Partition, Sequence)>,
    unfolded: VecDeque<(Position, Envelope)>,
    /// Placements that have to look at the fleet again.
    dirty: BTreeSet<PlacementKey>,
    mail: BTreeMap<(AggregateId, AggregateId), VecDeque<(DomainCommand, Position)>>,
    /// Every effect that was not called off, stale ones too.
    effects: Vec<Effect>,
    /// The latest generation that a member was told, for each placement.
    pub(super) told: BTreeMap<(String, PlacementKey), u64>,
}

impl World {
    /// Asks an aggregate something, and checks what comes of it.
    pub(crate) fn ask(&mut self, id: &AggregateId, command: impl Into<DomainCommand>) -> Answer {
        self.decide(id, command.into(), None)
    }

    fn decide(
        &mut self,
        id: &AggregateId,
        command: DomainCommand,
        origin: Option<Position>,
    ) -> Answer {
        match (id, &command) {
            (AggregateId::Cluster(name), DomainCommand::Cluster(asked)) => {
                let state = self.clusters.remove(name).unwrap_or_default();
                let before = State::Cluster(state.clone());
                let (state, answer) = self.decide_as::<Cluster>(id, state, before, asked, origin);
                self.clusters.insert(name.clone(), state);
                answer
            }
            (AggregateId::Placement(key), DomainCommand::Placement(asked)) => {
                let state = self.placements.remove(key).unwrap_or_default();
                let before = State::Placement(state.clone());
                let (state, answer) = self.decide_as::<Placement>(id, state, before, asked, origin);
                self.placements.insert(key.clone(), state);
                answer
            }
            (
                _,
                DomainCommand::Cluster(_) | DomainCommand::Placement(_) | DomainCommand::Fleet(_),
            ) => {
                panic!("{command:?} is not for {id}")
            }
        }
    }

    fn decide_as<D: Decider>(
        &mut self,
        id: &AggregateId,
        mut state: D::State,
        before: State,
        command: &D::Command,
        origin: Option<Position>,
    ) -> (D::State, Answer)
    where
        D::Command: Clone + Into<DomainCommand> + PartialEq,
    {
        let command = through_envelope::<D>(id, command.clone());
        let view = self.view.clone();
        let now = make::moment(self.now);
        let inputs = Inputs { now, fleet: &view, origin };
        let events = match D::decide(&state, &command, &inputs) {
            Err(refusal) => return (state, Err(refusal.to_string())),
            Ok(events) => events,
        };
        for event in &events {
            D::evolve(&mut state, event, now);
            let reactions = D::react(id, &state, event);
            let position = self.record(id, event.clone().into(), now);
            for reaction in reactions {
                self.react(id, position, reaction);
            }
        }
        check_round_trip(&state);
        check_again_adds_nothing::<D>(&state, &command, &inputs);
        let events: Vec<Event> = events.into_iter().map(Into::into).collect();
        self.decisions.push(Decision {
            id: id.clone(),
            before,
            watermark: D::uses_view(&command).then(|| view.watermark.clone()),
            command: command.into(),
            now,
            origin,
            events: events.clone(),
        });
        (state, Ok(events))
    }

    fn record(&mut self, id: &AggregateId, event: Event, time: Timestamp) -> Position {
        let next = u16::try_from(self.partitions.len() + 1).unwrap();
        let place = self.partitions.entry(id.clone()).or_insert((Partition(next), Sequence(0)));
        place.1 = place.1.plus(1);
        let position = Position { partition: place.0, sequence: place.1 };
        let command = CommandId::of_input(&position.to_string());
        let envelope = Envelope {
            id: EventId::derive(time, command, 0),
            aggregate: id.clone(),
            aggregate_sequence: position.sequence.0,
            sequence: position.sequence,
            time,
            principal: Principal::System,
            command,
            index: 0,
            causation: None,
            correlation: CorrelationId(command.0),
            traceparent: None,
            event,
        };
        self.lines.push(format!("{}: {}", short(id), words::event(&envelope.event)));
        self.check_event(id, &envelope.event);
        self.log.push(envelope.clone());
        self.unfolded.push_back((position, envelope));
        position
    }

    fn react(&mut self, from: &AggregateId, position: Position, reaction: Reaction) {
        match reaction {
            Reaction::FollowUp(FollowUp { to, command }) => {
                let letters = self.mail.entry((from.clone(), to)).or_default();
                letters.push_back((command, position));
            }
            Reaction::Effect(Effect::Cancel(key)) => {
                self.effects.retain(|effect| *effect.key() != key);
            }
            Reaction::Effect(effect) => self.effects.push(effect),
        }
    }

    /// Delivers one follow-up. `nth` chooses among the pairs of aggregates that wait for one.
    pub(crate) fn deliver_mail(&mut self, nth: usize) {
        self.mail.retain(|_, letters| !letters.is_empty());
        let pairs = self.mail.len();
        if pairs == 0 {
            return;
        }
        let (pair, letters) = self.mail.iter_mut().nth(nth % pairs).unwrap();
        let to = pair.1.clone();
        let (command, origin) = letters.pop_front().unwrap();
        // Whether it is refused or not, it is decided.
        drop(self.decide(&to, command, Some(origin)));
    }

    /// Folds one more event into the view of the fleet. Partitions advance independently in a hub;
    /// their order does not matter, because each cluster has one.
    pub(crate) fn fold(&mut self) {
        let Some((position, envelope)) = self.unfolded.pop_front() else { return };
        if self.view.apply(position, &envelope) == ViewChange::Moved {
            let live = self.placements.iter().filter(|(_, placement)| {
                placement.specified.is_some() || placement.deleting.is_some()
            });
            self.dirty.extend(live.map(|(key, _)| key.clone()));
        }
    }

    /// Lets one placement look at the fleet again that has to.
    pub(crate) fn reschedule(&mut self, nth: usize) {
        let waiting = self.dirty.len();
        if waiting == 0 {
            return;
        }
        let key = self.dirty.iter().nth(nth % waiting).unwrap().clone();
        self.dirty.remove(&key);
        let command = PlacementCommand::Reschedule(Reschedule {});
        self.ask(&AggregateId::Placement(key), command).expect("looking again is never refused");
    }

    /// Performs some effect, old ones too. The report may get lost.
    pub(crate) fn perform(&mut self, nth: usize, lose_report: bool) {
        if self.effects.is_empty() {
            return;
        }
        let effect = self.effects[nth % self.effects.len()].clone();
        self.perform_effect(&effect, lose_report);
    }

    fn perform_effect(&mut self, effect: &Effect, lose_report: bool) {
        let cluster = effect.key().cluster.clone();
        let Some(member) = self.members.get_mut(&cluster) else { return };
        let Some(done) = member.perform(effect) else { return };
        if done.removed {
            self.check_intent(effect);
        }
        if let Some(moved) = done.moved {
            self.lines.push(format!("    {cluster} now {moved}"));
        }
        if !lose_report {
            self.reports.push((cluster.clone(), done.report.clone()));
            // A report on what was superseded meanwhile is refused.
            drop(self.ask(&AggregateId::Cluster(cluster), done.report));
        }
    }

    /// Writes that are still on their way to a cluster that is gone do not reach the next one.
    pub(crate) fn forget_stale_effects(&mut self, cluster: &str) {
        let outstanding = self.outstanding();
        self.effects
            .retain(|effect| effect.key().cluster != cluster || outstanding.contains(effect));
    }

    /// Lets everything happen that can, and in the end has the members do what is outstanding.
    pub(crate) fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let before = self.log.len();
            while !self.unfolded.is_empty() {
                self.fold();
            }
            while !self.dirty.is_empty() {
                self.reschedule(0);
            }
            for _ in 0..self.mail.values().map(VecDeque::len).sum() {
                self.deliver_mail(0);
            }
            let mail = self.mail.values().any(|letters| !letters.is_empty());
            if !mail && self.unfolded.is_empty() {
                for effect in self.outstanding() {
                    self.perform_effect(&effect, false);
                }
                if self.log.len() == before {
                    return;
                }
            }
        }
        panic!("the world does not come to rest:\n{self:?}");
    }

    /// The effects that a restart would find.
    pub(crate) fn outstanding(&self) -> Vec<Effect> {
        let of = |(name, state): (&String, &ClusterState)| {
            Cluster::outstanding(&AggregateId::Cluster(name.clone()), state)
        };
        self.clusters.iter().flat_map(of).collect()
    }
}

/// The events that a command led to, or why it was refused.
pub(crate) type Answer = Result<Vec<Event>, String>;

/// `eu-1`, `web`
fn short(id: &AggregateId) -> String {
    match id {
        AggregateId::Cluster(name) => name.clone(),
        AggregateId::Placement(key) => key.name.clone(),
        AggregateId::Fleet => "fleet".to_owned(),
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}
