//! Times that were measured, and what can be said about them.

use std::time::Duration;

/// Times of the same thing, measured several times.
#[derive(Debug, Clone, Default)]
pub(super) struct Samples {
    sorted: Vec<Duration>,
}

impl Samples {
    pub(super) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self { sorted: times }
    }

    pub(super) fn count(&self) -> usize {
        self.sorted.len()
    }

    /// The smallest time that so many percent of all do not exceed (the nearest rank).
    ///
    /// # Panics
    /// Without any sample.
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        assert!(!self.sorted.is_empty(), "nothing was measured");
        let rank = (self.sorted.len() * percent).div_ceil(100).max(1);
        self.sorted[rank - 1]
    }

    pub(super) fn p50_ms(&self) -> f64 {
        ms(self.percentile(50))
    }

    pub(super) fn p99_ms(&self) -> f64 {
        ms(self.percentile(99))
    }

    pub(super) fn worst_ms(&self) -> f64 {
        ms(self.percentile(100))
    }
}

pub(super) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::{Duration, Samples};

    #[test]
    fn percentiles_are_nearest_ranks() {
        let samples = Samples::of((1..=200).rev().map(Duration::from_millis).collect());
        assert_eq!(samples.p50_ms(), 100.0);
        assert_eq!(samples.p99_ms(), 198.0);
        assert_eq!(samples.worst_ms(), 200.0);
        let one = Samples::of(vec![Duration::from_millis(7)]);
        assert_eq!((one.p50_ms(), one.p99_ms()), (7.0, 7.0));
    }
}
