//! What the reader says of itself: how far it is, and what is in its way.

use std::collections::BTreeMap;

use events::{Partition, Watermark};

/// How reading is going.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoldStatus {
    /// How far it is.
    pub watermark: Watermark,
    /// How far it is with what stood in the log when it began; `None` once all of it is folded.
    pub catching_up: Option<CatchUp>,
    /// The partitions that cannot be read just now, with the reason. They are tried again.
    pub unread: BTreeMap<Partition, String>,
    /// What keeps the rows from being written, if something does.
    pub projections: Option<String>,
    /// Why it stopped, if it did.
    pub stopped: Option<String>,
}

/// How far reading is with what stood in the log when it began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatchUp {
    /// The partitions that are not read so far yet.
    behind: BTreeMap<Partition, Behind>,
    /// What was read of the partitions that are.
    done: u64,
}

/// Where a partition is. Offsets may have holes, so what is counted are places, not records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Behind {
    from: u64,
    at: u64,
    end: u64,
}

impl CatchUp {
    pub(super) fn new(partitions: u16) -> Self {
        let partitions = (0..partitions).map(Partition);
        Self { behind: partitions.map(|p| (p, Behind::default())).collect(), done: 0 }
    }

    /// It is known where the partition ended.
    pub(super) fn found(&mut self, partition: Partition, from: u64, end: u64) {
        self.behind.insert(partition, Behind { from, at: from, end });
    }

    pub(super) fn read(&mut self, partition: Partition, offset: u64) {
        if let Some(behind) = self.behind.get_mut(&partition) {
            behind.at = offset.saturating_add(1);
        }
    }

    pub(super) fn caught_up(&mut self, partition: Partition) {
        if let Some(behind) = self.behind.remove(&partition) {
            self.done += behind.end.saturating_sub(behind.from);
        }
    }

    /// How many partitions are not read so far yet.
    #[must_use]
    pub fn partitions_behind(&self) -> usize {
        self.behind.len()
    }

    /// How many entries were read, about.
    #[must_use]
    pub fn entries_read(&self) -> u64 {
        let read = self.behind.values().map(|behind| behind.at.saturating_sub(behind.from));
        self.done + read.sum::<u64>()
    }

    /// How many entries there were to be read, about, as far as that is known.
    #[must_use]
    pub fn entries(&self) -> u64 {
        let all = self.behind.values().map(|behind| behind.end.saturating_sub(behind.from));
        self.done + all.sum::<u64>()
    }
}

impl std::fmt::Display for CatchUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} of about {} entries are read, {} partitions are not at their end yet",
            self.entries_read(),
            self.entries(),
            self.partitions_behind()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catching_up_counts_what_was_there_at_the_start() {
        let (a, b) = (Partition(0), Partition(1));
        let mut catch_up = CatchUp::new(2);
        catch_up.found(a, 10, 30);
        catch_up.found(b, 0, 5);
        catch_up.read(a, 14);
        let counts = |catch_up: &CatchUp| (catch_up.entries_read(), catch_up.entries());
        assert_eq!((counts(&catch_up), catch_up.partitions_behind()), ((5, 25), 2));
        catch_up.caught_up(a);
        catch_up.read(a, 40);
        assert_eq!((counts(&catch_up), catch_up.partitions_behind()), ((20, 25), 1));
        catch_up.caught_up(b);
        assert_eq!((counts(&catch_up), catch_up.partitions_behind()), ((25, 25), 0));
    }
}
