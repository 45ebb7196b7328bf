//! How Kubernetes writes time. Time itself comes in from outside: nothing here reads a clock.

use std::time::Duration;

pub use jiff::Timestamp;

/// `2026-01-02T03:04:05Z`: metav1.Time, to the second.
pub(crate) fn seconds(time: Timestamp) -> String {
    let whole = Timestamp::from_second(time.as_second()).unwrap_or(Timestamp::UNIX_EPOCH);
    whole.to_string()
}

/// The moment after a delay; the end of time when it does not fit.
pub(crate) fn after(now: Timestamp, delay: Duration) -> Timestamp {
    now.checked_add(delay).unwrap_or(Timestamp::MAX)
}

/// The age column of `kubectl get`: `5s`, `3m12s`, `4h`, `12d`.
pub(crate) fn age(since: &str, now: Timestamp) -> String {
    let Ok(since) = since.parse::<Timestamp>() else { return "<unknown>".to_owned() };
    let seconds = now.as_second().saturating_sub(since.as_second()).max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    if seconds < 120 {
        format!("{seconds}s")
    } else if minutes < 10 {
        with_rest(minutes, "m", seconds % 60, "s")
    } else if minutes < 180 {
        format!("{minutes}m")
    } else if hours < 8 {
        with_rest(hours, "h", minutes % 60, "m")
    } else if hours < 48 {
        format!("{hours}h")
    } else if days < 8 {
        with_rest(days, "d", hours % 24, "h")
    } else if days < 730 {
        format!("{days}d")
    } else {
        with_rest(days / 365, "y", days % 365, "d")
    }
}

fn with_rest(whole: i64, unit: &str, rest: i64, rest_unit: &str) -> String {
    match rest {
        0 => format!("{whole}{unit}"),
        rest => format!("{whole}{unit}{rest}{rest_unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_like_kubectl() {
        let now: Timestamp = "2026-01-10T00:00:00Z".parse().unwrap();
        assert_eq!(age("2026-01-09T23:59:55Z", now), "5s");
        assert_eq!(age("2026-01-09T23:56:48Z", now), "3m12s");
        assert_eq!(age("2026-01-09T20:00:00Z", now), "4h");
        assert_eq!(age("2026-01-07T22:00:00Z", now), "2d2h");
        assert_eq!(age("never", now), "<unknown>");
    }

    #[test]
    fn fractions_of_seconds_are_cut() {
        let time: Timestamp = "2026-01-10T00:00:00.9Z".parse().unwrap();
        assert_eq!(seconds(time), "2026-01-10T00:00:00Z");
    }
}
