//! When to ask for the kinds again.

use std::time::Duration;

use tokio::time::Instant;

/// How often the kinds are asked for when nothing tells that they changed: aggregated APIs come
/// and go without a sign. The field's own rhythm (reference §2.3).
const INTERVAL: Duration = Duration::from_secs(30);

/// When the kinds are asked for after a CRD changed, counted from look to look: 0.2, 1, 5 and 10
/// seconds after the change. A new CRD is served some time after it was written, and what tells of
/// it is its status, which the index does not keep.
const AFTER_A_CHANGE: [Duration; 4] = [
    Duration::from_millis(200),
    Duration::from_millis(800),
    Duration::from_secs(4),
    Duration::from_secs(5),
];

/// How long to wait when the API server did not answer.
const RETRY: Duration = Duration::from_secs(1);

/// When to look next.
#[derive(Debug)]
pub(super) struct Looks {
    next: Instant,
    /// Which of the looks after a change comes after that.
    step: usize,
}

impl Looks {
    /// The first look is at once.
    pub(super) fn new(now: Instant) -> Self {
        Self { next: now, step: AFTER_A_CHANGE.len() }
    }

    /// When to look next.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Something changed. However often that happens, a look is never put off.
    pub(super) fn changed(&mut self, now: Instant) {
        self.next = self.next.min(now + AFTER_A_CHANGE[0]);
        self.step = 1;
    }

    /// A look was taken.
    pub(super) fn taken(&mut self, now: Instant) {
        self.next = now + AFTER_A_CHANGE.get(self.step).copied().unwrap_or(INTERVAL);
        self.step += 1;
    }

    /// A look was not possible.
    pub(super) fn failed(&mut self, now: Instant) {
        self.next = now + RETRY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next looks, in milliseconds, each taken on time.
    fn next(looks: &mut Looks, start: Instant, count: usize) -> Vec<u128> {
        let mut look = || {
            let at = looks.next();
            looks.taken(at);
            (at - start).as_millis()
        };
        (0..count).map(|_| look()).collect()
    }

    #[test]
    fn looks_are_regular_and_close_after_a_change() {
        let start = Instant::now();
        let mut looks = Looks::new(start);
        assert_eq!(next(&mut looks, start, 2), [0, 30_000]);
        looks.changed(start + Duration::from_secs(40));
        assert_eq!(next(&mut looks, start, 5), [40_200, 41_000, 45_000, 50_000, 80_000]);
    }

    #[test]
    fn a_stream_of_changes_does_not_put_a_look_off() {
        let start = Instant::now();
        let mut looks = Looks::new(start);
        looks.taken(start);
        for tenths in 0..50 {
            looks.changed(start + Duration::from_millis(100) * tenths);
        }
        assert_eq!((looks.next() - start).as_millis(), 200);
    }

    #[test]
    fn a_look_that_failed_is_repeated_and_keeps_its_place() {
        let start = Instant::now();
        let mut looks = Looks::new(start);
        looks.taken(start);
        looks.changed(start);
        looks.failed(looks.next());
        assert_eq!(next(&mut looks, start, 3), [1_200, 2_000, 6_000]);
    }
}
