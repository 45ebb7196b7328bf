//! The records of a partition that did not count: how many, and the newest of them.
//!
//! Reading goes on after the last record that counted, and what did not count since then is read
//! once more. So what is kept with the checkpoint of that record is complete and counts nothing
//! twice, across restarts and rebuilds.

use serde::{Deserialize, Serialize};

/// How many rejected records are kept of each partition: enough to see what kind of trouble it is.
/// They are written with each checkpoint, about 100 bytes each.
pub const REJECTIONS_KEPT_MAX: usize = 5;

/// The most characters of a reason.
const REASON_CHARS_MAX: usize = 200;

/// Records of one partition that did not count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejections {
    /// How many there were.
    pub count: u64,
    /// The newest, the oldest of them first.
    pub newest: Vec<RejectedRecord>,
}

/// A record that did not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedRecord {
    /// Where it stands in its partition.
    pub offset: u64,
    /// Why it did not count.
    pub reason: String,
}

impl Rejections {
    /// Notes one, unless it was noted before.
    pub(crate) fn note(&mut self, offset: u64, reason: &str) {
        if self.newest.last().is_some_and(|last| offset <= last.offset) {
            return;
        }
        self.count = self.count.saturating_add(1);
        if self.newest.len() == REJECTIONS_KEPT_MAX {
            self.newest.remove(0);
        }
        let reason = reason.chars().take(REASON_CHARS_MAX).collect();
        self.newest.push(RejectedRecord { offset, reason });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_once_and_the_newest_kept() {
        let mut rejections = Rejections::default();
        for offset in [3, 4, 4, 3, 9, 10, 12, 40] {
            rejections.note(offset, "its epoch is over");
        }
        rejections.note(u64::MAX, &"x".repeat(10_000));
        rejections.note(u64::MAX, "again");
        assert_eq!(rejections.count, 7);
        let offsets: Vec<u64> = rejections.newest.iter().map(|it| it.offset).collect();
        assert_eq!(offsets, [9, 10, 12, 40, u64::MAX]);
        assert_eq!(rejections.newest[4].reason.len(), REASON_CHARS_MAX);
    }
}
