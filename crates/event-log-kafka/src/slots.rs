//! Who reads which partition on which lane: a consumer has one place in each partition.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::topics::Track;

/// The partitions of a lane. Clones are about the same lane.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slots(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The partitions that are taken, each with the stream that has it.
    taken: BTreeMap<Track, u64>,
    /// The lane takes no more streams.
    closed: bool,
}

impl Slots {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a partition, if it is free.
    pub(crate) fn take(&self, track: Track, id: u64) -> Option<Seat> {
        let mut state = self.state();
        if state.closed || state.taken.contains_key(&track) {
            return None;
        }
        state.taken.insert(track, id);
        Some(Seat { slots: self.clone(), track, id })
    }

    /// Lets nobody in any more, if there is nobody; says whether that is so.
    pub(crate) fn close_if_empty(&self) -> bool {
        let mut state = self.state();
        state.closed |= state.taken.is_empty();
        state.closed
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }
}

/// A stream's right to a partition on a lane.
#[derive(Debug)]
pub(crate) struct Seat {
    slots: Slots,
    track: Track,
    id: u64,
}

impl Seat {
    pub(crate) fn track(&self) -> Track {
        self.track
    }

    /// The stream's number, never used twice.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Makes room for another stream.
    pub(crate) fn leave(&self) {
        let taken = &mut self.slots.state().taken;
        if taken.get(&self.track) == Some(&self.id) {
            taken.remove(&self.track);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topics::Topic;

    #[test]
    fn a_partition_is_taken_once_until_it_is_left() {
        let slots = Slots::default();
        let track = Track { topic: Topic::Events, partition: 3 };
        let seat = slots.take(track, 1).unwrap();
        assert!(slots.take(track, 2).is_none());
        assert!(slots.take(Track { partition: 4, ..track }, 3).is_some());
        seat.leave();
        let next = slots.take(track, 4).unwrap();
        seat.leave();
        assert!(slots.take(track, 5).is_none(), "who left has no say any more");
        next.leave();
        assert!(slots.take(track, 6).is_some());
    }

    #[test]
    fn a_lane_is_closed_only_when_nobody_is_on_it() {
        let slots = Slots::default();
        let track = Track { topic: Topic::Events, partition: 3 };
        let seat = slots.take(track, 1).unwrap();
        assert!(!slots.close_if_empty());
        assert!(slots.take(Track { partition: 4, ..track }, 2).map(|seat| seat.leave()).is_some());
        seat.leave();
        assert!(slots.close_if_empty() && slots.is_closed());
        assert!(slots.take(track, 3).is_none(), "it would wait for a thread that is gone");
    }
}
