//! What is said at the end: what failed and how to run it again, what was slow, and the sum.

use anyhow::{Result, bail};

use super::results::{Done, Sum};

/// How many of the slowest are named.
const SLOWEST: usize = 10;

pub(super) struct Report<'a> {
    done: &'a [Done],
    sum: Sum,
}

impl<'a> Report<'a> {
    /// `ignored`: tests that were left out because nobody asked for them by name.
    pub(super) fn of(done: &'a [Done], ignored: u64) -> Self {
        let sum = done.iter().map(|done| done.sum).fold(Sum::default(), Sum::and);
        Self { done, sum: sum.and(Sum { ignored, ..Sum::default() }) }
    }

    pub(super) fn print(&self) {
        let mut slowest: Vec<&Done> = self.done.iter().collect();
        slowest.sort_by_key(|done| std::cmp::Reverse(done.took));
        println!("slowest:");
        for done in slowest.into_iter().take(SLOWEST) {
            println!("  {done}");
        }
        for done in self.done.iter().filter(|done| done.has_failed()) {
            println!("{done}");
            for test in done.failed_tests().filter(|test| !done.name.ends_with(test)) {
                println!("  {test}");
            }
            println!("  again: {}", done.again);
        }
        println!("{}", self.sum);
    }

    /// # Errors
    /// Something failed, or did not run although it should have.
    pub(super) fn outcome(&self, had_bed: bool) -> Result<()> {
        if self.sum.failed > 0 {
            bail!("tests failed: their names are above");
        }
        if self.sum.passed() == 0 {
            bail!("no test ran");
        }
        if had_bed && self.sum.without_bed > 0 {
            bail!("tests were skipped for want of a test bed although there was one");
        }
        Ok(())
    }
}
