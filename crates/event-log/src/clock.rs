//! The clock whose times are compared: the log's, the same for every node.
//!
//! A log that several nodes share stamps some of its entries with a time of its own (Kafka's
//! brokers: `message.timestamp.type=LogAppendTime`). A node that has appended one knows what the
//! log's clock showed at some moment between sending and being answered, so it knows that clock up
//! to the round trip; from there on it counts by its monotonic clock. So the time of day that a node
//! believes in is used for nothing, however it is set, jumps or drifts. It is only *compared*: a
//! node whose own clock is far off is badly looked after, and says so.
//!
//! A log that one node has to itself has that node's clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use events::Timestamp;
use jiff::SignedDuration;

/// What a stamp in whole milliseconds leaves open.
const STAMP_PRECISION: SignedDuration = SignedDuration::from_millis(1);

/// The time of day as one node believes it to be. Clones are one clock.
#[derive(Debug, Clone, Default)]
pub struct NodeClock {
    ahead_ms: Arc<AtomicI64>,
}

impl NodeClock {
    /// What it shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_millis(self.ahead_ms.load(Ordering::Relaxed));
        Timestamp::now().saturating_add(ahead).unwrap_or(Timestamp::MAX)
    }

    /// Sets it wrong by so much, for tests: the clock of a machine belongs to everybody on it.
    pub fn set_ahead(&self, ahead: SignedDuration) {
        let ahead_ms = i64::try_from(ahead.as_millis()).unwrap_or(i64::MAX);
        self.ahead_ms.store(ahead_ms, Ordering::Relaxed);
    }
}

/// The clock of a log, as one node knows it. Clones are one clock.
#[derive(Debug, Clone)]
pub struct LogClock {
    node: NodeClock,
    /// `None`: the log's clock is the node's.
    told: Option<Arc<Mutex<Told>>>,
}

/// What the log has told.
#[derive(Debug, Clone, Copy)]
enum Told {
    /// Nothing yet.
    Nothing,
    /// That it stamps nothing.
    StampsNothing,
    /// What its clock shows, to be counted on from.
    Time(Anchor),
}

/// What the log's clock showed at a moment of the node's monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Anchor {
    at: Instant,
    shown: Timestamp,
}

/// What both clocks show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockReading {
    /// The log has told nothing yet: nothing was appended that it stamps.
    Unknown,
    /// There is one clock: the node has the log to itself, or the log stamps nothing.
    One,
    /// Two clocks, which should agree.
    Two {
        /// The node's.
        node: Timestamp,
        /// The log's.
        log: Timestamp,
    },
}

impl ClockReading {
    /// By how much the node's clock is ahead of the log's; negative when it is behind.
    #[must_use]
    pub fn ahead(&self) -> Option<SignedDuration> {
        match self {
            Self::Unknown => None,
            Self::One => Some(SignedDuration::ZERO),
            Self::Two { node, log } => Some(node.duration_since(*log)),
        }
    }
}

impl LogClock {
    /// The clock of a log that its node has to itself.
    #[must_use]
    pub fn of_node(node: NodeClock) -> Self {
        Self { node, told: None }
    }

    /// The clock of a log that stamps entries; see [`LogClock::stamped`].
    #[must_use]
    pub fn of_log(node: NodeClock) -> Self {
        Self { node, told: Some(Arc::new(Mutex::new(Told::Nothing))) }
    }

    /// What the log's clock shows. As long as the log has told nothing: what the node's shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self.told().as_deref() {
            Some(Told::Time(anchor)) => anchor.count_on(Instant::now()),
            Some(Told::Nothing | Told::StampsNothing) | None => self.node.now(),
        }
    }

    /// What both clocks show.
    #[must_use]
    pub fn reading(&self) -> ClockReading {
        match self.told().as_deref() {
            Some(Told::Nothing) => ClockReading::Unknown,
            Some(Told::StampsNothing) | None => ClockReading::One,
            Some(Told::Time(anchor)) => {
                let log = anchor.count_on(Instant::now());
                ClockReading::Two { node: self.node.now(), log }
            }
        }
    }

    /// An entry that was sent at this moment has just been acknowledged, with the time at which the
    /// log has stored it.
    pub fn stamped(&self, sent: Instant, stored: Timestamp) {
        let Some(mut told) = self.told() else { return };
        let answered = Instant::now();
        let believed = match *told {
            Told::Time(anchor) => anchor.count_on(answered),
            // Clocks that agree within the round trip are taken to agree.
            Told::Nothing | Told::StampsNothing => self.node.now(),
        };
        *told = Told::Time(anchor(sent, stored, answered, believed));
    }

    /// An entry has been acknowledged that should have been stamped and was not.
    pub fn not_stamped(&self) {
        if let Some(mut told) = self.told()
            && let Told::Nothing = *told
        {
            *told = Told::StampsNothing;
        }
    }

    fn told(&self) -> Option<MutexGuard<'_, Told>> {
        let told = self.told.as_ref()?;
        Some(told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Anchor {
    fn count_on(&self, at: Instant) -> Timestamp {
        after(self.shown, at.saturating_duration_since(self.at))
    }
}

/// The log's clock showed `stored` at some moment between the two, so it shows as much now, or more
/// by the round trip. Of what is possible, the closest to what was believed.
fn anchor(sent: Instant, stored: Timestamp, answered: Instant, believed: Timestamp) -> Anchor {
    let round_trip = answered.saturating_duration_since(sent);
    let latest = after(stored, round_trip).saturating_add(STAMP_PRECISION);
    let latest = latest.unwrap_or(Timestamp::MAX);
    Anchor { at: answered, shown: believed.clamp(stored, latest) }
}

fn after(time: Timestamp, passed: Duration) -> Timestamp {
    let passed = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
    time.saturating_add(passed).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_ms(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).unwrap()
    }

    #[test]
    fn the_logs_clock_is_known_up_to_the_round_trip() {
        let sent = Instant::now();
        let answered = sent + Duration::from_millis(20);
        let shown = |believed| anchor(sent, at_ms(1_000), answered, at_ms(believed)).shown;
        assert_eq!(shown(1_010), at_ms(1_010), "what is possible is believed");
        assert_eq!(shown(900), at_ms(1_000), "it shows no less than what was stored");
        assert_eq!(shown(9_000), at_ms(1_021), "and no more than the round trip allows");
    }

    #[test]
    fn it_is_counted_on_by_the_monotonic_clock() {
        let (at, shown) = (Instant::now(), at_ms(5_000));
        let anchor = Anchor { at, shown };
        assert_eq!(anchor.count_on(at + Duration::from_secs(2)), at_ms(7_000));
        assert_eq!(anchor.count_on(at.checked_sub(Duration::from_secs(2)).unwrap()), shown);
    }

    /// The clock of the node jumps by an hour: the time of decisions does not.
    #[test]
    fn regression_a_node_whose_clock_is_wrong_knows_the_time() {
        let node = NodeClock::default();
        let clock = LogClock::of_log(node.clone());
        assert_eq!(clock.reading(), ClockReading::Unknown);
        node.set_ahead(SignedDuration::from_hours(1));
        clock.stamped(Instant::now(), Timestamp::now());
        let off_by = |clock: &LogClock| clock.now().duration_since(Timestamp::now()).abs();
        let minute = SignedDuration::from_mins(1);
        assert!(off_by(&clock) < minute);
        let ahead = clock.reading().ahead().unwrap();
        assert!((ahead - SignedDuration::from_hours(1)).abs() < minute, "{ahead}");

        node.set_ahead(SignedDuration::from_hours(-1));
        assert!(off_by(&clock) < minute);
        assert!(clock.reading().ahead().unwrap() < -minute);
    }

    #[test]
    fn a_log_of_one_node_has_that_nodes_clock() {
        let node = NodeClock::default();
        node.set_ahead(SignedDuration::from_hours(1));
        let own = LogClock::of_node(node.clone());
        let unstamped = LogClock::of_log(node);
        unstamped.not_stamped();
        for clock in [own, unstamped] {
            assert_eq!(clock.reading(), ClockReading::One);
            let ahead = clock.now().duration_since(Timestamp::now());
            assert!((ahead - SignedDuration::from_hours(1)).abs() < SignedDuration::from_mins(1));
        }
    }
}
