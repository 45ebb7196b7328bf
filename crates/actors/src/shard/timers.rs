//! When which aggregate of a partition is to be asked something by nobody but the clock.
//!
//! A wake-up is a function of the aggregate's state, so none has to be stored: after a take-over all
//! of them are computed again, and one that fell due meanwhile comes late. There is at most one for
//! each aggregate. One that was put before its aggregate and moved nothing comes again only after a
//! long while: a refusal makes no loop, and a clock that was set back loses nothing. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use domain::cluster::Cluster;
use domain::fleet::Fleet;
use domain::placement::Placement;
use domain::{Decider, DomainCommand, WakeUp};
use event_log::partition_of;
use events::{AggregateId, Partition, Timestamp};
use jiff::SignedDuration;
use projections::Model;

/// How long it takes at least until the same wake-up comes again: when the aggregate had no room
/// for it, or wants it still after it has moved. Less would be a loop that keeps the log busy.
const AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(1);

/// How long it takes until a wake-up comes again that moved nothing.
const REPEAT_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// The wake-ups of a partition's aggregates.
#[derive(Debug, Default)]
pub(super) struct Timers {
    entries: BTreeMap<AggregateId, Entry>,
    /// The same, by when they are due.
    due: BTreeSet<(Timestamp, AggregateId)>,
}

#[derive(Debug)]
struct Entry {
    wake_up: WakeUp,
    due_at: Timestamp,
    /// When it was put before the aggregate, if it was.
    fired_at: Option<Timestamp>,
}

impl Timers {
    /// An aggregate has moved, and wants this now.
    pub(super) fn set(&mut self, id: &AggregateId, wake_up: Option<WakeUp>) {
        let before = self.remove(id);
        let Some(wake_up) = wake_up else { return };
        let before = before.filter(|before| before.wake_up == wake_up);
        let (due_at, fired_at) = match before {
            Some(Entry { fired_at: Some(at), .. }) => (later(at, AGAIN_AFTER), Some(at)),
            Some(Entry { due_at, fired_at: None, .. }) => (due_at, None),
            None => (wake_up.at, None),
        };
        self.insert(id.clone(), Entry { wake_up, due_at, fired_at });
    }

    /// The partition was taken over: nothing but this is wanted.
    pub(super) fn reset(&mut self, all: impl IntoIterator<Item = (AggregateId, WakeUp)>) {
        *self = Self::default();
        for (id, wake_up) in all {
            self.set(&id, Some(wake_up));
        }
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The first of those that are due. It counts as put before its aggregate.
    pub(super) fn fire(&mut self, now: Timestamp) -> Option<(AggregateId, DomainCommand)> {
        let (_, id) = self.due.first().filter(|(at, _)| *at <= now)?.clone();
        let entry = self.remove(&id)?;
        let command = entry.wake_up.command.clone();
        let due_at = later(now, REPEAT_AFTER);
        self.insert(id.clone(), Entry { due_at, fired_at: Some(now), ..entry });
        Some((id, command))
    }

    /// The aggregate had no room for it.
    pub(super) fn put_off(&mut self, id: &AggregateId, now: Timestamp) {
        if let Some(entry) = self.remove(id) {
            let due_at = later(now, AGAIN_AFTER);
            self.insert(id.clone(), Entry { due_at, fired_at: None, ..entry });
        }
    }

    fn insert(&mut self, id: AggregateId, entry: Entry) {
        self.due.insert((entry.due_at, id.clone()));
        self.entries.insert(id, entry);
    }

    fn remove(&mut self, id: &AggregateId) -> Option<Entry> {
        let (id, entry) = self.entries.remove_entry(id)?;
        self.due.remove(&(entry.due_at, id));
        Some(entry)
    }
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(at)
}

/// What the aggregates of a partition want, for a new owner.
#[must_use]
pub fn wake_ups(
    model: &Model,
    partition: Partition,
    partitions: u16,
) -> Vec<(AggregateId, WakeUp)> {
    let clusters = model.clusters.keys().cloned().map(AggregateId::Cluster);
    let placements = model.placements.keys().cloned().map(AggregateId::Placement);
    let all = clusters.chain(placements).chain([AggregateId::Fleet]);
    all.filter(|id| partition_of(id, partitions) == partition)
        .filter_map(|id| wake_up_of(model, &id).map(|wake_up| (id, wake_up)))
        .collect()
}

/// What an aggregate wants.
#[must_use]
pub fn wake_up_of(model: &Model, id: &AggregateId) -> Option<WakeUp> {
    match id {
        AggregateId::Cluster(name) => Cluster::wake_up(&model.clusters.get(name)?.state),
        AggregateId::Placement(key) => Placement::wake_up(&model.placements.get(key)?.state),
        AggregateId::Fleet => Fleet::wake_up(&model.fleet.state),
    }
}

#[cfg(test)]
mod tests {
    use domain::cluster::{CheckCredential, ClusterCommand};

    use super::*;

    fn eu() -> AggregateId {
        AggregateId::Cluster("eu".to_owned())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn wake_up(second: i64) -> WakeUp {
        let command = ClusterCommand::CheckCredential(CheckCredential {}).into();
        WakeUp { at: at(second), command }
    }

    /// Whether something is due.
    fn fires(timers: &mut Timers, second: i64) -> bool {
        timers.fire(at(second)).is_some()
    }

    #[test]
    fn a_wake_up_comes_when_it_is_due_and_late_rather_than_never() {
        let mut timers = Timers::default();
        timers.reset([(eu(), wake_up(10))]);
        assert!(!fires(&mut timers, 9));
        assert!(fires(&mut timers, 500));
    }

    #[test]
    fn a_wake_up_that_moves_nothing_makes_no_loop() {
        let mut timers = Timers::default();
        timers.set(&eu(), Some(wake_up(10)));
        assert!(fires(&mut timers, 10));
        assert!(!fires(&mut timers, 11));
        assert!(
            fires(&mut timers, 10 + REPEAT_AFTER.as_secs()),
            "the clock may have been set back"
        );
    }

    #[test]
    fn a_wake_up_that_is_wanted_still_comes_again_after_a_while() {
        let mut timers = Timers::default();
        timers.set(&eu(), Some(wake_up(10)));
        assert!(fires(&mut timers, 10));
        timers.set(&eu(), Some(wake_up(10)));
        assert!(!fires(&mut timers, 10));
        assert!(fires(&mut timers, 11));
    }

    #[test]
    fn only_the_last_wish_of_an_aggregate_stands() {
        let mut timers = Timers::default();
        timers.set(&eu(), Some(wake_up(10)));
        timers.set(&eu(), Some(wake_up(20)));
        assert_eq!(timers.next(), Some(at(20)));
        timers.set(&eu(), None);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn what_finds_no_room_is_put_off() {
        let mut timers = Timers::default();
        timers.set(&eu(), Some(wake_up(10)));
        assert!(fires(&mut timers, 10));
        timers.put_off(&eu(), at(10));
        assert_eq!(timers.next(), Some(at(11)));
    }
}
