//! The time that a decision is given: what the log's clock shows, and no less than what stands in
//! the partition already, whoever wrote it. No I/O.

use events::{Record, Timestamp};
use jiff::SignedDuration;

/// How far a recorded time may be ahead of the log's clock and still be followed. Owners know that
/// clock up to a round trip, so 5 s is far beyond what two of them differ by. Whatever is further
/// ahead was recorded by a clock that was wrong, and to follow that would end waits early by as much.
const AHEAD_MAX: SignedDuration = SignedDuration::from_secs(5);

/// The latest time that counts in a partition.
#[derive(Debug, Default)]
pub(super) struct LatestTime {
    at: Timestamp,
}

impl LatestTime {
    /// This time counts.
    pub(super) fn note(&mut self, time: Timestamp) {
        self.at = self.at.max(time);
    }

    /// The times of this record count.
    pub(super) fn note_record(&mut self, record: &Record) {
        self.at = self.at.max(record.time());
    }

    /// The time for a decision, when the log's clock shows this.
    pub(super) fn time(&self, log: Timestamp) -> Timestamp {
        let is_right = self.at.duration_since(log) <= AHEAD_MAX;
        if is_right { self.at.max(log) } else { log }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn time_does_not_go_back_behind_what_counts() {
        let mut latest = LatestTime::default();
        assert_eq!(latest.time(at(100)), at(100));
        latest.note(at(103));
        latest.note(at(101));
        assert_eq!(latest.time(at(100)), at(103));
        assert_eq!(latest.time(at(104)), at(104));
    }

    #[test]
    fn a_time_that_cannot_be_right_is_not_followed() {
        let mut latest = LatestTime::default();
        latest.note(at(3_700));
        assert_eq!(latest.time(at(100)), at(100));
        assert_eq!(latest.time(at(3_695)), at(3_700));
    }
}
