//! Whether this node's clock is one to own partitions with.
//!
//! Decisions are stamped with the log's clock, whatever this node's own shows. But a node whose clock
//! is far off is badly looked after; people compare what it writes elsewhere; and its certificates
//! and tokens end at other times than its members'. It owns nothing until both clocks agree, and
//! says so.

use event_log::ClockReading;
use jiff::SignedDuration;

/// What the two clocks say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Judged {
    /// They agree.
    Agree,
    /// The log has not told its time yet.
    Unknown,
    /// They do not, in words.
    Off(String),
}

/// Compares the clocks, time and again.
#[derive(Debug)]
pub(super) struct ClockCheck {
    off_max: SignedDuration,
    is_off: bool,
}

impl ClockCheck {
    pub(super) fn new(off_max: SignedDuration) -> Self {
        Self { off_max, is_off: false }
    }

    /// A clock that was off has to be within half of the bound to agree again: at the bound itself
    /// partitions would go to and fro.
    pub(super) fn judge(&mut self, reading: ClockReading) -> Judged {
        let ClockReading::Two { node, log } = reading else {
            let is_unknown = reading == ClockReading::Unknown;
            return if is_unknown { Judged::Unknown } else { Judged::Agree };
        };
        let ahead = node.duration_since(log);
        let bound = if self.is_off { self.off_max / 2 } else { self.off_max };
        self.is_off = ahead.abs() > bound;
        if !self.is_off {
            return Judged::Agree;
        }
        let side = if ahead.is_positive() { "ahead of" } else { "behind" };
        Judged::Off(format!(
            "this node's clock shows {node:.3}, the log's {log:.3}: it is {} s {side} the log's, \
             and may be {} s off, so this hub owns no partition; synchronise the clocks of this \
             machine and of the Kafka brokers with a time server (chronyc tracking), and it takes \
             part again by itself",
            ahead.abs().as_secs(),
            self.off_max.as_secs(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use events::Timestamp;

    use super::*;

    fn reading(node_second: i64) -> ClockReading {
        let at = |second| Timestamp::from_second(second).unwrap();
        ClockReading::Two { node: at(node_second), log: at(1_000) }
    }

    #[test]
    fn a_clock_beyond_the_bound_is_off_until_it_is_well_within() {
        let mut check = ClockCheck::new(SignedDuration::from_secs(5));
        assert_eq!(check.judge(ClockReading::Unknown), Judged::Unknown);
        assert_eq!(check.judge(ClockReading::One), Judged::Agree);
        for well in [1_000, 1_005, 995] {
            assert_eq!(check.judge(reading(well)), Judged::Agree);
        }
        let Judged::Off(message) = check.judge(reading(1_006)) else { panic!("6 s are too many") };
        for part in ["00:16:46", "00:16:40", "6 s ahead of", "5 s off"] {
            assert!(message.contains(part), "{message}");
        }
        assert!(matches!(check.judge(reading(1_004)), Judged::Off(_)));
        assert!(matches!(check.judge(reading(996)), Judged::Off(_)));
        assert_eq!(check.judge(reading(998)), Judged::Agree);
        assert_eq!(check.judge(reading(1_004)), Judged::Agree);
    }
}
