//! Deliveries whose objects are deleted on the member again and again.
//!
//! What goes once is put back at once. Somebody who deletes it each time wins otherwise: each round
//! costs the member a write and the log some events, for ever. So each time it is put back later, and
//! the wait is said where people look.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::EffectKey;
use tokio::time::Instant;

/// How long nothing has to be missing for the next time to count as the first: longer than the
/// longest wait, or the count would never get there.
const QUIET: Duration = Duration::from_secs(300);

/// How long the second time waits; it doubles from there.
const SECOND_WAITS: Duration = Duration::from_secs(1);

/// The longest wait. A tool that removes an object every minute is told from a person who mends
/// something twice by then.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Who fights about what. Cheap to clone; one entry for each delivery that was disturbed lately.
#[derive(Clone, Default)]
pub(crate) struct Fights {
    by_key: Arc<Mutex<BTreeMap<EffectKey, Fight>>>,
}

#[derive(Debug, Clone, Copy)]
struct Fight {
    times: u32,
    last: Instant,
    until: Instant,
}

impl Fights {
    /// Something is missing. Says the how manyth time this is lately, and how long to wait before it
    /// is put back.
    pub(crate) fn disturbed(&self, key: &EffectKey, now: Instant) -> (u32, Duration) {
        let mut fights = self.by_key();
        fights.retain(|_, fight| now < fight.last + QUIET);
        let times = fights.get(key).map_or(1, |fight| fight.times.saturating_add(1));
        let wait = match times {
            0 | 1 => Duration::ZERO,
            _ => SECOND_WAITS.saturating_mul(1 << (times - 2).min(16)).min(WAIT_MAX),
        };
        fights.insert(key.clone(), Fight { times, last: now, until: now + wait });
        (times, wait)
    }

    /// How long to wait before objects of a delivery are put back.
    pub(crate) fn wait(&self, key: &EffectKey, now: Instant) -> Option<Duration> {
        let until = self.by_key().get(key)?.until;
        Some(until.saturating_duration_since(now)).filter(|rest| !rest.is_zero())
    }

    /// Nothing is delivered there any more, or something else.
    pub(crate) fn forget(&self, is_over: impl Fn(&EffectKey) -> bool) {
        self.by_key().retain(|key, _| !is_over(key));
    }

    fn by_key(&self) -> MutexGuard<'_, BTreeMap<EffectKey, Fight>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is said of an object that is missing.
pub(crate) fn missing_because((times, wait): (u32, Duration)) -> String {
    let gone = "it is not on the member any more, or has lost its label \
                kubernetes-fleet.io/managed-by";
    match times {
        0 | 1 => format!("{gone}; it is put back"),
        _ => format!(
            "{gone}, for the {times}. time in a row; it is put back after {} s: find out who deletes \
             it",
            wait.as_secs()
        ),
    }
}

#[cfg(test)]
mod tests {
    use events::PlacementKey;

    use super::*;

    #[test]
    fn each_time_is_put_back_later_until_it_was_quiet() {
        let key = EffectKey { cluster: "eu".to_owned(), placement: PlacementKey::cluster("web") };
        let (fights, start) = (Fights::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let told = |seconds| {
            let (times, wait) = fights.disturbed(&key, at(seconds));
            (times, wait.as_secs())
        };
        assert_eq!(fights.wait(&key, at(0)), None);
        assert_eq!(told(0), (1, 0));
        assert_eq!(fights.wait(&key, at(0)), None, "the first time is put back at once");
        assert_eq!([told(1), told(3), told(6)], [(2, 1), (3, 2), (4, 4)]);
        assert_eq!(fights.wait(&key, at(7)), Some(Duration::from_secs(3)));
        assert_eq!(fights.wait(&key, at(10)), None);
        for times in 5..20 {
            assert_eq!(told(10).0, times);
        }
        assert_eq!(told(11), (20, WAIT_MAX.as_secs()));
        assert_eq!(told(11 + QUIET.as_secs()), (1, 0));
    }
}
