//! Answers compared with what a look at all events says.

use std::collections::BTreeMap;

use crate::support::{
    Act, MiniHub, Step, acts, dirty, fold, long_history, partition_of, perform, write,
};
use domain::cluster::Cluster;
use domain::placement::Placement;
use domain::{Decider, DomainCommand, FleetView, Inputs};
use events::event::PlacementEvent;
use events::{
    AggregateId, CommandEnvelope, CommandSource, Envelope, Event, Partition, Position, Principal,
    Sequence, Timestamp, Watermark,
};
use projections::{
    At, Decision, EventFilter, Model, Page, Queries, Recorded, Store, StoreError, Versioned,
};
use proptest::prelude::*;
use tempfile::TempDir;

const PARTITIONS: u16 = 4;

/// A history and its rows.
struct Recording {
    _dir: TempDir,
    hub: MiniHub,
    store: Store,
    events: Vec<(Position, Envelope)>,
}

impl Recording {
    /// Writes in batches of so many steps.
    fn of(hub: MiniHub, batch: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(&dir.path().join("rows"), partition_of).unwrap().store;
        let mut model = Model::new(partition_of);
        for some in hub.steps.chunks(batch) {
            for step in some {
                model.apply(&step.fold());
            }
            write(&mut store, some);
            store.snapshot(&model, &dirty(some)).unwrap();
        }
        let events = hub.steps.iter().flat_map(Step::events);
        let events = events.map(|(at, envelope)| (at, envelope.clone())).collect();
        Self { _dir: dir, hub, store, events }
    }

    fn queries(&self) -> Queries {
        self.store.queries()
    }

    fn aggregates(&self) -> Vec<AggregateId> {
        let mut all: Vec<_> = self.events.iter().map(|(_, e)| e.aggregate.clone()).collect();
        all.sort();
        all.dedup();
        all
    }

    /// All events in the order of the time at which they count as recorded.
    fn in_order(&self) -> Vec<(Timestamp, Position, Envelope)> {
        let mut reached: BTreeMap<Partition, Timestamp> = BTreeMap::new();
        let mut all: Vec<_> = self
            .events
            .iter()
            .map(|(at, envelope)| {
                let time = reached.entry(at.partition).or_insert(envelope.time);
                *time = (*time).max(envelope.time);
                (*time, *at, envelope.clone())
            })
            .collect();
        all.sort_by_key(|(time, at, _)| (*time, *at));
        all
    }

    /// The state after all events of an aggregate up to a sequence of its partition.
    fn state<D: Decider>(&self, id: &AggregateId, bound: Sequence) -> Versioned<D::State> {
        let mut state = Versioned::default();
        for (at, envelope) in &self.events {
            if envelope.aggregate == *id && at.sequence <= bound {
                state.apply::<D>(*at, envelope);
            }
        }
        state
    }

    fn view(&self, watermark: &Watermark) -> FleetView {
        let mut view = FleetView::default();
        for (at, envelope) in self.events.iter().filter(|(at, _)| watermark.covers(*at)) {
            view.apply(*at, envelope);
        }
        view
    }
}

/// All pages of an answer.
fn all<T, C>(mut ask: impl FnMut(Option<C>) -> Page<T, C>) -> Vec<T> {
    let mut page = ask(None);
    let mut items = page.items;
    while let Some(next) = page.next {
        page = ask(Some(next));
        items.extend(page.items);
    }
    items
}

fn performed(acts: &[Act], batch: usize) -> Recording {
    let mut hub = MiniHub::new(PARTITIONS);
    perform(&mut hub, acts);
    Recording::of(hub, batch)
}

fn filters() -> impl Strategy<Value = EventFilter> {
    let time = (0..400_i64).prop_map(|seconds| {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        start.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap()
    });
    let text = |words: &'static [&'static str]| {
        proptest::option::weighted(0.3, proptest::sample::select(words).prop_map(str::to_owned))
    };
    (
        text(&["cluster/", "placement/ns.team-1/", "placement/", "fleet", "cluster/member-1"]),
        text(&["TargetProgressed", "ClusterJoined", "PlacementScheduled", "NoSuchEvent"]),
        proptest::option::weighted(0.3, proptest::sample::select(&["system", "user:alice"][..])),
        proptest::option::weighted(0.3, time.clone()),
        proptest::option::weighted(0.3, time),
    )
        .prop_map(|(aggregate_prefix, event_type, principal, since, until)| EventFilter {
            aggregate_prefix,
            event_type,
            principal: principal.map(|text| text.parse::<Principal>().unwrap()),
            correlation: None,
            since,
            until,
        })
}

fn matches(filter: &EventFilter, time: Timestamp, envelope: &Envelope) -> bool {
    let EventFilter { aggregate_prefix, event_type, principal, correlation, since, until } = filter;
    let id = envelope.aggregate.to_string();
    aggregate_prefix.as_ref().is_none_or(|prefix| id.starts_with(prefix))
        && event_type.as_ref().is_none_or(|name| envelope.event.event_type().name == name)
        && principal.as_ref().is_none_or(|who| envelope.principal == *who)
        && correlation.is_none_or(|one| envelope.correlation == one)
        && since.is_none_or(|since| time >= since)
        && until.is_none_or(|until| time <= until)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn events_are_found_in_order_of_time(
        acts in acts(PARTITIONS, 150),
        batch in 1..60_usize,
        filter in filters(),
        limit in 1..20_usize,
        correlated in proptest::option::of(0..1_000_usize),
    ) {
        let recording = performed(&acts, batch);
        let mut filter = filter;
        if let (Some(index), false) = (correlated, recording.events.is_empty()) {
            let (_, envelope) = &recording.events[index % recording.events.len()];
            filter = EventFilter { correlation: Some(envelope.correlation), ..filter };
        }
        let expected: Vec<Recorded> = recording
            .in_order()
            .into_iter()
            .filter(|(time, _, envelope)| matches(&filter, *time, envelope))
            .map(|(_, position, envelope)| Recorded { position, envelope })
            .collect();
        let queries = recording.queries();
        let found = all(|after| queries.events(&filter, after, limit).unwrap());
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn the_past_is_what_it_was(acts in acts(PARTITIONS, 120), batch in 1..60_usize) {
        let recording = performed(&acts, batch);
        let queries = recording.queries();
        for (at, _) in &recording.events {
            for id in recording.aggregates() {
                if partition_of(&id, PARTITIONS) != at.partition {
                    continue;
                }
                let moment = At::Position(*at);
                match &id {
                    AggregateId::Cluster(_) => prop_assert_eq!(
                        queries.state_at::<Cluster>(&id, &moment).unwrap(),
                        recording.state::<Cluster>(&id, at.sequence)
                    ),
                    AggregateId::Placement(_) => prop_assert_eq!(
                        queries.state_at::<Placement>(&id, &moment).unwrap(),
                        recording.state::<Placement>(&id, at.sequence)
                    ),
                    AggregateId::Fleet => {}
                }
            }
        }
    }

    #[test]
    fn watermarks_and_views_of_any_time(
        acts in acts(PARTITIONS, 150),
        batch in 1..60_usize,
        seconds in -5..400_i64,
    ) {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let time = start.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap();
        let recording = performed(&acts, batch);
        let mut expected = Watermark::default();
        for (reached, at, _) in recording.in_order() {
            if reached <= time {
                expected.advance(at);
            }
        }
        let queries = recording.queries();
        let watermark = queries.watermark_at(time).unwrap();
        prop_assert_eq!(&watermark, &expected);
        prop_assert_eq!(queries.view_at(&watermark).unwrap(), recording.view(&watermark));
        for id in recording.aggregates() {
            let bound = watermark.of(partition_of(&id, PARTITIONS));
            if let AggregateId::Placement(_) = &id {
                let expected = recording.state::<Placement>(&id, bound);
                for at in [At::Time(time), At::Watermark(watermark.clone())] {
                    prop_assert_eq!(&queries.state_at::<Placement>(&id, &at).unwrap(), &expected);
                }
            }
        }
    }
}

/// Independent of how states are folded: which event a state is the state after.
#[test]
fn a_state_names_its_last_event() {
    let recording = Recording::of(long_history(PARTITIONS, 500), 20);
    let queries = recording.queries();
    let mut seen = 0;
    for (at, envelope) in &recording.events {
        if let AggregateId::Placement(_) = &envelope.aggregate {
            let state = queries.state_at::<Placement>(&envelope.aggregate, &At::Position(*at));
            let Versioned { sequence, position, changed_at, .. } = state.unwrap();
            assert_eq!(
                (sequence, position, changed_at),
                (envelope.aggregate_sequence, *at, envelope.time)
            );
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen}");
}

#[test]
fn a_history_comes_in_pages() {
    let recording = Recording::of(long_history(PARTITIONS, 800), 17);
    let queries = recording.queries();
    for id in recording.aggregates() {
        let own = recording.events.iter().filter(|(_, envelope)| envelope.aggregate == id);
        let expected: Vec<Recorded> = own
            .map(|(position, envelope)| Recorded {
                position: *position,
                envelope: envelope.clone(),
            })
            .collect();
        let found = all(|from| queries.history(&id, from.unwrap_or(1), 7).unwrap());
        assert_eq!(found, expected);
        let last = queries.history(&id, expected.len() as u64, 7).unwrap();
        assert_eq!((last.items.len(), last.next), (1, None));
        assert_eq!(queries.history(&id, expected.len() as u64 + 1, 7).unwrap().items, vec![]);
    }
    for (at, envelope) in &recording.events {
        assert_eq!(queries.event(*at).unwrap().unwrap().envelope, *envelope);
    }
    // A claim takes a sequence, but is no event.
    let claim = Position { partition: Partition(0), sequence: Sequence(1) };
    assert_eq!(queries.event(claim).unwrap(), None);
}

/// States are written long before the tests above would need one: this history is long enough.
#[test]
fn states_between_their_rows_are_folded_from_the_row_before() {
    let recording = Recording::of(long_history(PARTITIONS, 4_000), 50);
    let queries = recording.queries();
    let mut compared = 0;
    for (n, (at, envelope)) in recording.events.iter().enumerate() {
        if let (AggregateId::Placement(_), 0) = (&envelope.aggregate, n % 13) {
            let id = &envelope.aggregate;
            let found = queries.state_at::<Placement>(id, &At::Position(*at)).unwrap();
            assert_eq!(found, recording.state::<Placement>(id, at.sequence));
            compared += usize::from(found.sequence > 128);
        }
    }
    assert!(compared > 20, "only {compared} states lie behind a state row");
}

/// The command of a decision, from first principles.
fn command<'a>(steps: &'a [Step], source: &'a CommandSource) -> &'a CommandEnvelope {
    match source {
        CommandSource::Direct(command) | CommandSource::Submitted { command, .. } => command,
        CommandSource::FollowUp(reference) => {
            let step = steps
                .iter()
                .find(|step| step.frame().is_some() && step.position == reference.frame);
            let ordinal = usize::try_from(reference.ordinal).unwrap();
            &step.and_then(Step::frame).unwrap().follow_ups[ordinal]
        }
    }
}

#[test]
fn every_event_leads_to_its_decision() {
    let recording = Recording::of(long_history(PARTITIONS, 1_000), 20);
    let queries = recording.queries();
    let mut kinds = [0; 3];
    for step in &recording.hub.steps {
        let Some(frame) = step.frame() else { continue };
        let mut events = step.events();
        for (ordinal, record) in frame.decisions.iter().enumerate() {
            let own: Vec<Position> =
                events.by_ref().take(record.events as usize).map(|(at, _)| at).collect();
            let expected = Decision {
                frame: step.position,
                ordinal,
                record: record.clone(),
                first_event: own.first().copied(),
                command: Some(command(&recording.hub.steps, &record.command).clone()),
            };
            for at in &own {
                assert_eq!(queries.decision_of(*at).unwrap().as_ref(), Some(&expected));
            }
            kinds[match record.command {
                CommandSource::Direct(_) => 0,
                CommandSource::Submitted { .. } => 1,
                CommandSource::FollowUp(_) => 2,
            }] += own.len();
        }
        if frame.events.is_empty() {
            assert_eq!(queries.decision_of(step.position).unwrap(), None);
        }
    }
    assert!(kinds.iter().all(|count| *count > 20), "{kinds:?}");
}

#[test]
fn the_latest_decision_of_a_placement_at_any_moment() {
    let recording = Recording::of(long_history(PARTITIONS, 1_000), 20);
    let queries = recording.queries();
    let mut found = 0;
    for (at, envelope) in &recording.events {
        let AggregateId::Placement(key) = &envelope.aggregate else { continue };
        let scheduled = recording.events.iter().rev().find(|(earlier, event)| {
            earlier.partition == at.partition
                && earlier.sequence <= at.sequence
                && event.aggregate == envelope.aggregate
                && matches!(event.event, Event::Placement(PlacementEvent::PlacementScheduled(_)))
        });
        let answer = queries.latest_decision(key, &At::Position(*at)).unwrap();
        assert_eq!(
            answer.as_ref().map(|(event, _)| (event.position, event.envelope.clone())),
            scheduled.cloned()
        );
        if let Some((event, decision)) = answer {
            let expected = queries.decision_of(event.position).unwrap();
            assert_eq!(Some(decision), expected);
            found += 1;
        }
    }
    assert!(found > 100, "{found}");
}

/// What the record is for: state, view and command of any decision come back, and deciding again
/// gives the same events.
#[test]
fn every_decision_can_be_made_again() {
    let recording = Recording::of(long_history(PARTITIONS, 1_000), 20);
    let queries = recording.queries();
    let mut decided = 0;
    for (at, envelope) in &recording.events {
        let decision = queries.decision_of(*at).unwrap().unwrap();
        let Some(first) = decision.first_event.filter(|first| first == at) else { continue };
        let before = At::Position(Position {
            partition: first.partition,
            sequence: Sequence(first.sequence.0 - 1),
        });
        let command = decision.command.unwrap();
        let view = queries.view_at(decision.record.watermark.as_ref().unwrap()).unwrap();
        let inputs = Inputs { now: decision.record.time, fleet: &view, origin: command.origin };
        let id = &envelope.aggregate;
        let again: Vec<Event> = match DomainCommand::from_envelope(&command).unwrap() {
            DomainCommand::Cluster(asked) => {
                let state = queries.state_at::<Cluster>(id, &before).unwrap().state;
                let events = Cluster::decide(&state, &asked, &inputs).unwrap();
                events.into_iter().map(Event::from).collect()
            }
            DomainCommand::Placement(asked) => {
                let state = queries.state_at::<Placement>(id, &before).unwrap().state;
                let events = Placement::decide(&state, &asked, &inputs).unwrap();
                events.into_iter().map(Event::from).collect()
            }
            DomainCommand::Fleet(_) => continue,
        };
        let recorded: Vec<Event> = (0..decision.record.events)
            .map(|n| {
                let sequence = first.sequence.plus(u64::from(n));
                let event = queries.event(Position { sequence, ..first }).unwrap().unwrap();
                event.envelope.event
            })
            .collect();
        assert_eq!(again, recorded);
        decided += 1;
    }
    assert!(decided > 300, "{decided}");
}

#[test]
fn what_was_not_read_yet_is_refused() {
    let recording = Recording::of(long_history(PARTITIONS, 100), 20);
    let queries = recording.queries();
    let (at, envelope) = recording.events.last().unwrap();
    let ahead = Position { sequence: at.sequence.plus(1_000), ..*at };
    let mut watermark = Watermark::default();
    watermark.advance(ahead);

    let id = &envelope.aggregate;
    for moment in [At::Position(ahead), At::Watermark(watermark.clone())] {
        let refused = match id {
            AggregateId::Cluster(_) => queries.state_at::<Cluster>(id, &moment).map(drop),
            AggregateId::Placement(_) | AggregateId::Fleet => {
                queries.state_at::<Placement>(id, &moment).map(drop)
            }
        };
        assert!(matches!(refused, Err(StoreError::NotReadYet { .. })), "{refused:?}");
    }
    let refused = queries.view_at(&watermark);
    assert!(matches!(refused, Err(StoreError::NotReadYet { .. })), "{refused:?}");

    let elsewhere = Position { partition: Partition((at.partition.0 + 1) % PARTITIONS), ..*at };
    let refused = queries.state_at::<Placement>(id, &At::Position(elsewhere));
    assert!(matches!(refused, Err(StoreError::OtherPartition { .. })), "{refused:?}");
}

/// Nothing is known of aggregates that never were, and of a store that is empty.
#[test]
fn nothing_is_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    let opened = Store::open(dir.path(), partition_of).unwrap();
    let queries = opened.store.queries();
    let id = AggregateId::Cluster("nobody".to_owned());
    assert_eq!(queries.state_at::<Cluster>(&id, &At::Now).unwrap(), Versioned::default());
    assert_eq!(queries.history(&id, 1, 10).unwrap().items, vec![]);
    assert_eq!(queries.events(&EventFilter::default(), None, 10).unwrap().items, vec![]);
    assert_eq!(queries.watermark_at(Timestamp::UNIX_EPOCH).unwrap(), Watermark::default());
    assert_eq!(queries.view_at(&Watermark::default()).unwrap(), FleetView::default());
    assert_eq!(opened.model, fold(&[]));
}
