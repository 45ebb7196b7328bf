//! A tiny world: aggregates that exchange follow-ups, a view of the fleet that lags behind, and
//! members that do or do not do what they are told.
//!
//! Follow-ups are never lost and keep their order between two aggregates; everything else happens
//! in whatever order the test likes. After every decision the world checks what must always hold.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use events::event::{ClusterEvent, PlacementEvent};
use events::{
    AggregateId, CommandId, CorrelationId, Envelope, Event, EventId, Partition, PlacementKey,
    Position, Principal, Sequence, Timestamp, Watermark,
};

use super::member::Member;
use super::{check_round_trip, make, through_envelope, words};
use crate::cluster::{Cluster, ClusterCommand, ClusterState};
use crate::placement::{Placement, PlacementCommand, PlacementState, Reschedule};
use crate::{Decider, DomainCommand, Effect, FleetView, FollowUp, Inputs, Reaction};

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
    decisions: Vec<Decision>,
    partitions: BTreeMap<AggregateId, (Partition, Sequence)>,
    unfolded: VecDeque<(Position, Envelope)>,
    /// Placements that have to look at the fleet again.
    dirty: BTreeSet<PlacementKey>,
    mail: BTreeMap<(AggregateId, AggregateId), VecDeque<(DomainCommand, Position)>>,
    /// Every effect that was not called off, stale ones too.
    effects: Vec<Effect>,
    /// The latest generation that a member was told, for each placement.
    told: BTreeMap<(String, PlacementKey), u64>,
}

/// A decision with all that it was made from.
struct Decision {
    id: AggregateId,
    before: State,
    command: DomainCommand,
    now: Timestamp,
    origin: Option<Position>,
    watermark: Option<Watermark>,
    events: Vec<Event>,
}

enum State {
    Cluster(ClusterState),
    Placement(PlacementState),
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
        if self.view.apply(position, &envelope) {
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

    /// Generations never fall, and a report is about the move that its evidence is about.
    fn check_event(&mut self, id: &AggregateId, event: &Event) {
        let told = match (id, event) {
            (AggregateId::Cluster(name), Event::Cluster(ClusterEvent::DeliveryAssigned(e))) => {
                (name.clone(), e.placement.clone(), e.generation)
            }
            (AggregateId::Cluster(name), Event::Cluster(ClusterEvent::DeliveryWithdrawn(e))) => {
                (name.clone(), e.placement.clone(), e.generation)
            }
            (AggregateId::Cluster(name), Event::Cluster(ClusterEvent::ClusterLeft(_))) => {
                if let Some(member) = self.members.get_mut(name) {
                    member.orphan_everything();
                }
                return;
            }
            (AggregateId::Placement(key), Event::Placement(PlacementEvent::TargetsMoved(e))) => {
                let moved = self.log.iter().filter(|envelope| envelope.aggregate == *id);
                let moves = moved.filter_map(|envelope| match &envelope.event {
                    Event::Placement(PlacementEvent::TargetsMoved(e)) => e.moves.last(),
                    Event::Placement(_) | Event::Cluster(_) | Event::Fleet(_) => None,
                });
                let before = moves.map(|step| step.generation).max().unwrap_or(0);
                let now = e.moves.iter().map(|step| step.generation);
                assert!(now.eq(before + 1..=before + e.moves.len() as u64), "{key} counts: {e:?}");
                return;
            }
            (
                AggregateId::Placement(key),
                Event::Placement(PlacementEvent::TargetProgressed(e)),
            ) => {
                let evidence = self.event_at(e.evidence);
                assert_eq!(evidence.aggregate, AggregateId::Cluster(e.cluster.clone()));
                let about = delivery_of(&evidence.event, key);
                assert_eq!(about, Some(e.generation), "{e:?} is proved by {evidence:?}");
                return;
            }
            (_, Event::Cluster(_) | Event::Placement(_) | Event::Fleet(_)) => return,
        };
        let (cluster, placement, generation) = told;
        let before = self.told.insert((cluster.clone(), placement.clone()), generation);
        assert!(before < Some(generation), "{cluster} was told {before:?}, now {generation}");
    }

    /// Nothing is removed from a member without an event that says so by name.
    fn check_intent(&self, effect: &Effect) {
        let key = effect.key();
        let id = AggregateId::Cluster(key.cluster.clone());
        let is_intent = |envelope: &&Envelope| {
            let (placement, generation) = match (&envelope.event, effect) {
                (Event::Cluster(ClusterEvent::DeliveryAssigned(e)), Effect::Deliver(done)) => {
                    (&e.placement, e.generation == done.generation)
                }
                (Event::Cluster(ClusterEvent::DeliveryWithdrawn(e)), Effect::Withdraw(done)) => {
                    (&e.placement, e.generation == done.generation)
                }
                (Event::Cluster(_) | Event::Placement(_) | Event::Fleet(_), _) => return false,
            };
            envelope.aggregate == id && *placement == key.placement && generation
        };
        assert!(
            self.log.iter().any(|envelope| is_intent(&envelope)),
            "no event intends {effect:?}"
        );
    }

    fn event_at(&self, position: Position) -> &Envelope {
        let (id, _) = self
            .partitions
            .iter()
            .find(|(_, (partition, _))| *partition == position.partition)
            .expect("evidence stands in a known partition");
        let mut of_partition = self.log.iter().filter(|envelope| envelope.aggregate == *id);
        of_partition
            .find(|envelope| envelope.sequence == position.sequence)
            .expect("it is recorded")
    }

    /// Folding the whole log gives the live states, and the view up to where it was folded.
    pub(crate) fn check_replay(&self) {
        let mut clusters: BTreeMap<String, ClusterState> = BTreeMap::new();
        let mut placements: BTreeMap<PlacementKey, PlacementState> = BTreeMap::new();
        for envelope in &self.log {
            match (&envelope.aggregate, &envelope.event) {
                (AggregateId::Cluster(name), Event::Cluster(event)) => {
                    let state = clusters.entry(name.clone()).or_default();
                    Cluster::evolve(state, event, envelope.time);
                }
                (AggregateId::Placement(key), Event::Placement(event)) => {
                    let state = placements.entry(key.clone()).or_default();
                    Placement::evolve(state, event, envelope.time);
                }
                (id, Event::Cluster(_) | Event::Placement(_) | Event::Fleet(_)) => {
                    panic!("an event of another aggregate in {id}")
                }
            }
        }
        let live = |name: &String| self.clusters[name].clone();
        assert!(clusters.iter().all(|(name, state)| *state == live(name)), "clusters:\n{self:?}");
        let live = |key: &PlacementKey| self.placements[key].clone();
        assert!(placements.iter().all(|(key, state)| *state == live(key)), "placements:\n{self:?}");
        assert_eq!(self.view_at(&self.view.watermark), self.view);
    }

    /// Deciding again what was decided, on the view that the record names, gives the same events.
    pub(crate) fn check_decisions(&self) {
        for decision in &self.decisions {
            let fleet =
                decision.watermark.as_ref().map(|seen| self.view_at(seen)).unwrap_or_default();
            let inputs = Inputs { now: decision.now, fleet: &fleet, origin: decision.origin };
            let again = match (&decision.before, &decision.command) {
                (State::Cluster(state), DomainCommand::Cluster(command)) => {
                    Cluster::decide(state, command, &inputs).map(into_events).ok()
                }
                (State::Placement(state), DomainCommand::Placement(command)) => {
                    Placement::decide(state, command, &inputs).map(into_events).ok()
                }
                (State::Cluster(_) | State::Placement(_), command) => panic!("{command:?}"),
            };
            assert_eq!(
                again.as_ref(),
                Some(&decision.events),
                "{} {:?}",
                decision.id,
                decision.command
            );
        }
    }

    fn view_at(&self, watermark: &Watermark) -> FleetView {
        let mut view = FleetView::default();
        for envelope in &self.log {
            let (partition, _) = self.partitions[&envelope.aggregate];
            let position = Position { partition, sequence: envelope.sequence };
            if watermark.covers(position) {
                view.apply(position, envelope);
            }
        }
        view
    }
}

/// The events that a command led to, or why it was refused.
pub(crate) type Answer = Result<Vec<Event>, String>;

/// The same command once more finds everything done. What is not there stays not there, which a
/// cluster says as often as it is asked: it keeps nothing about it.
fn check_again_adds_nothing<D: Decider>(
    state: &D::State,
    command: &D::Command,
    inputs: &Inputs<'_>,
) {
    let again = D::decide(state, command, inputs).unwrap_or_default();
    let mut after = state.clone();
    for event in &again {
        D::evolve(&mut after, event, inputs.now);
    }
    assert_eq!(after, *state, "{command:?} again changes the state");
    let events: Vec<Event> = again.into_iter().map(Into::into).collect();
    let is_answer =
        |event: &Event| matches!(event, Event::Cluster(ClusterEvent::DeliveryRemoved(_)));
    assert!(events.iter().all(is_answer), "{command:?} again adds {events:?}");
}

/// Which generation of a placement's deliveries an event is about.
fn delivery_of(event: &Event, key: &PlacementKey) -> Option<u64> {
    let Event::Cluster(event) = event else { return None };
    let (placement, generation) = match event {
        ClusterEvent::DeliveryAssigned(e) => (&e.placement, e.generation),
        ClusterEvent::DeliveryFailed(e) => (&e.placement, e.generation),
        ClusterEvent::DeliveryAvailable(e) => (&e.placement, e.generation),
        ClusterEvent::DeliveryUnavailable(e) => (&e.placement, e.generation),
        ClusterEvent::DeliveryRemoved(e) => (&e.placement, e.generation),
        ClusterEvent::ClusterLeft(e) => {
            let orphan = e.orphaned.iter().find(|orphan| orphan.placement == *key)?;
            (&orphan.placement, orphan.generation)
        }
        ClusterEvent::ClusterRegistered(_)
        | ClusterEvent::ClusterLabelsChanged(_)
        | ClusterEvent::ClusterTaintsChanged(_)
        | ClusterEvent::ClusterJoined(_)
        | ClusterEvent::ClusterLinkFailed(_)
        | ClusterEvent::ClusterHealthLost(_)
        | ClusterEvent::ClusterHealthRestored(_)
        | ClusterEvent::ClusterPropertiesChanged(_)
        | ClusterEvent::DeliveryApplied(_)
        | ClusterEvent::DeliveryWithdrawn(_) => return None,
    };
    (placement == key).then_some(generation)
}

fn into_events<E: Into<Event>>(events: Vec<E>) -> Vec<Event> {
    events.into_iter().map(Into::into).collect()
}

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
