//! What must hold in every world: some of it after each decision, the rest at the end.

use std::collections::BTreeMap;

use events::event::{ClusterEvent, PlacementEvent};
use events::{AggregateId, Envelope, Event, PlacementKey, Position, Timestamp, Watermark};

use super::member::Member;
use super::world::World;
use crate::cluster::{Cluster, ClusterState};
use crate::placement::{Placement, PlacementState};
use crate::{Decider, DomainCommand, Effect, FleetView, Inputs};

/// A decision with all that it was made from.
pub(super) struct Decision {
    pub(super) id: AggregateId,
    pub(super) before: State,
    pub(super) command: DomainCommand,
    pub(super) now: Timestamp,
    pub(super) origin: Option<Position>,
    pub(super) watermark: Option<Watermark>,
    pub(super) events: Vec<Event>,
}

#[allow(clippy::large_enum_variant, reason = "there are few of them")]
pub(super) enum State {
    Cluster(ClusterState),
    Placement(PlacementState),
}

impl World {
    /// Generations never fall, and a report is about the move that its evidence is about.
    pub(super) fn check_event(&mut self, id: &AggregateId, event: &Event) {
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
            (
                AggregateId::Placement(key),
                Event::Placement(PlacementEvent::PlacementDeleted(_)),
            ) => {
                let keeps = |state: &ClusterState| state.deliveries.contains_key(key);
                assert!(!self.clusters.values().any(keeps), "something of {key} is left");
                let holds = |member: &Member| !member.held(key).is_empty();
                assert!(!self.members.values().any(holds), "a member still holds {key}");
                return;
            }
            (_, Event::Cluster(_) | Event::Placement(_) | Event::Fleet(_)) => return,
        };
        let (cluster, placement, generation) = told;
        let before = self.told.insert((cluster.clone(), placement.clone()), generation);
        assert!(before < Some(generation), "{cluster} was told {before:?}, now {generation}");
    }

    /// Nothing is removed from a member without an event that says so by name.
    pub(super) fn check_intent(&self, effect: &Effect) {
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

/// The same command once more finds everything done. What is not there stays not there, which a
/// cluster says as often as it is asked: it keeps nothing about it.
pub(super) fn check_again_adds_nothing<D: Decider>(
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
        ClusterEvent::DeliveryProgressed(e) => (&e.placement, e.generation),
        ClusterEvent::DeliveryDisturbed(e) => (&e.placement, e.generation),
        ClusterEvent::DeliveryRemovalWaits(e) => (&e.placement, e.generation),
        ClusterEvent::DeliveryRemoved(e) => (&e.placement, e.generation),
        ClusterEvent::ClusterLeft(e) => {
            let orphan = e.orphaned.iter().find(|orphan| orphan.placement == *key)?;
            (&orphan.placement, orphan.generation)
        }
        ClusterEvent::ClusterRegistered(_)
        | ClusterEvent::ClusterLabelsChanged(_)
        | ClusterEvent::ClusterTaintsChanged(_)
        | ClusterEvent::ClusterHeartbeatPeriodChanged(_)
        | ClusterEvent::ClusterCredentialChanged(_)
        | ClusterEvent::ClusterCredentialExpiring(_)
        | ClusterEvent::ClusterJoined(_)
        | ClusterEvent::ClusterLinkFailed(_)
        | ClusterEvent::ClusterHealthLost(_)
        | ClusterEvent::ClusterHealthGraceEnded(_)
        | ClusterEvent::ClusterHealthRestored(_)
        | ClusterEvent::ClusterPropertiesChanged(_)
        | ClusterEvent::ClusterHeld(_)
        | ClusterEvent::ClusterHoldEnded(_)
        | ClusterEvent::DeliveryApplied(_)
        | ClusterEvent::DeliveryNoted(_)
        | ClusterEvent::DeliveryWithdrawn(_) => return None,
    };
    (placement == key).then_some(generation)
}

fn into_events<E: Into<Event>>(events: Vec<E>) -> Vec<Event> {
    events.into_iter().map(Into::into).collect()
}
