//! Whether this node's clock agrees with the brokers'.
//!
//! Nothing is safe or unsafe by a clock here, but people read the times in the record and compare
//! them across nodes. Brokers stamp what they append to the membership and command topics with
//! their own time (`message.timestamp.type=LogAppendTime`), so every lease that a node renews tells
//! it how far off its clock is. Nothing else in Kafka tells a broker's time.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// How far a node's clock may be off before that is said. Clocks that are looked after agree within
/// milliseconds; at twice this, events of two nodes that followed one another are shown in the wrong
/// order by a time that people notice.
const AGREES_WITHIN_MS: u64 = 5_000;

/// This node's clock, compared with the brokers'.
#[derive(Debug, Default)]
pub(crate) struct Clock(Mutex<Compared>);

#[derive(Debug, Default)]
struct Compared {
    /// By how much it is ahead of a broker's, as the last entry has shown.
    ahead_ms: Option<i64>,
    is_off: bool,
}

impl Clock {
    /// Compares with the time at which a broker has stored an entry: between the moments at which it
    /// was sent and at which that was answered, if both clocks agree.
    pub(crate) fn compare(&self, sent_ms: i64, stored_ms: i64, answered_ms: i64) {
        let ahead_ms = (sent_ms - stored_ms).max(0) - (stored_ms - answered_ms).max(0);
        let is_off = ahead_ms.unsigned_abs() > AGREES_WITHIN_MS;
        let mut compared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if is_off && !compared.is_off {
            tracing::warn!(
                ahead_ms,
                "this node's clock disagrees with that of a Kafka broker: the times in the record \
                 are wrong on one of them; synchronise both with a time server"
            );
        }
        *compared = Compared { ahead_ms: Some(ahead_ms), is_off };
    }

    /// By how much it is ahead; negative when it is behind. `None` as long as no broker told.
    pub(crate) fn ahead_ms(&self) -> Option<i64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).ahead_ms
    }
}

/// Now, in milliseconds since 1970, as brokers count.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_takes_long_is_no_difference() {
        let clock = Clock::default();
        assert_eq!(clock.ahead_ms(), None);
        let ahead = |sent, stored, answered| {
            clock.compare(sent, stored, answered);
            clock.ahead_ms().unwrap()
        };
        assert_eq!(ahead(1_000, 1_000, 9_000), 0);
        assert_eq!(ahead(1_000, 9_000, 9_000), 0);
        assert_eq!(ahead(1_000, 400, 1_002), 600, "sent after it was stored");
        assert_eq!(ahead(1_000, 9_500, 9_000), -500, "answered before it was stored");
    }
}
