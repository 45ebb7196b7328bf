//! Who reads which partition on which lane: a consumer has one place in each partition.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::topics::Track;

/// The partitions that are taken on a lane, each with the stream that has it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slots(Arc<Mutex<BTreeMap<Track, u64>>>);

impl Slots {
    /// Takes a partition, if it is free.
    pub(crate) fn take(&self, track: Track, id: u64) -> Option<Seat> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.contains_key(&track) {
            return None;
        }
        taken.insert(track, id);
        Some(Seat { slots: self.clone(), track, id })
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
        let mut taken = self.slots.0.lock().unwrap_or_else(PoisonError::into_inner);
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
}
