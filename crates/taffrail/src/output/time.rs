//! Times as people read them.

use jiff::Timestamp;

/// How long ago, in one unit: `12s`, `5m`, `3h`, `2d`. What cannot be read is shown as it is.
#[must_use]
pub fn age(time: &str, now: Timestamp) -> String {
    let Ok(then) = time.parse::<Timestamp>() else { return time.to_owned() };
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A time to the millisecond, in UTC. What cannot be read is shown as it is.
#[must_use]
pub fn clock(time: &str) -> String {
    match time.parse::<Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string(),
        Err(_) => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_one_unit() {
        let now = "2026-01-02T00:00:00Z".parse().unwrap();
        let ages = [
            ("2026-01-01T23:59:59Z", "1s"),
            ("2026-01-01T23:57:00Z", "3m"),
            ("2026-01-01T12:00:00Z", "12h"),
            ("2025-12-02T00:00:00Z", "31d"),
            ("2026-01-02T00:00:09Z", "0s"),
            ("yesterday", "yesterday"),
        ];
        for (time, expected) in ages {
            assert_eq!(age(time, now), expected, "{time}");
        }
    }
}
