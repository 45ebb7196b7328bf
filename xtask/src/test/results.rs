//! What came of a job.

use std::{fmt, time::Duration};

use xtask::{bed::SKIPPED, trial};

use super::plan::{Job, Size};

/// How many tests ended how.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sum {
    /// As the programs count, so with the tests that skipped themselves.
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) ignored: u64,
    /// Tests that skipped themselves for want of a bed.
    pub(super) without_bed: u64,
}

/// A job that has ended.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) name: String,
    /// What runs what failed once more.
    pub(super) again: String,
    pub(super) took: Duration,
    pub(super) ran_into_deadline: bool,
    pub(super) sum: Sum,
    pub(super) output: String,
}

impl Done {
    /// Reads what a job printed. `ended_well` is `None` when it had to be ended.
    pub(super) fn of(job: &Job, ended_well: Option<bool>, took: Duration, output: String) -> Self {
        let well = ended_well == Some(true);
        let mut sum = match job.size {
            Size::Test => Sum { passed: well.into(), ..Sum::default() },
            Size::Program => told(&output),
        };
        sum.without_bed = output.lines().filter(|line| line.contains(SKIPPED)).count() as u64;
        if job.size == Size::Test {
            // However often it says so, it is one test.
            sum.without_bed = sum.without_bed.min(sum.passed);
        }
        if !well {
            // A program that ends without a result counts as one failure.
            sum.failed = sum.failed.max(1);
        }
        let seed = output.lines().filter_map(trial::seed_in).next_back();
        let seed = seed.map(|seed| format!("--seed {seed} ")).unwrap_or_default();
        Self {
            name: job.name.clone(),
            again: format!("cargo xtask test {seed}{}", job.again),
            took,
            ran_into_deadline: ended_well.is_none(),
            sum,
            output,
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.sum.failed > 0
    }

    /// The failed tests of a program, as it names them.
    pub(super) fn failed_tests(&self) -> impl Iterator<Item = &str> {
        self.output
            .lines()
            .filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"))
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, took, .. } = self;
        let result = match self.has_failed() {
            true if self.ran_into_deadline => "DEADLINE",
            true => "FAILED",
            false => "ok",
        };
        write!(f, "{result:<6} {:>6.1} s  {name}", took.as_secs_f64())
    }
}

/// What a program says about its tests.
fn told(output: &str) -> Sum {
    let results = output.lines().filter_map(|line| line.split_once("test result: "));
    results.map(|(_, result)| read_result(result)).fold(Sum::default(), Sum::and)
}

fn read_result(result: &str) -> Sum {
    let mut sum = Sum::default();
    for part in result.split(';') {
        let mut words = part.split_whitespace().rev();
        let (Some(word), Some(count)) = (words.next(), words.next()) else { continue };
        let count = count.parse().unwrap_or(0);
        match word {
            "passed" => sum.passed = count,
            "failed" => sum.failed = count,
            "ignored" => sum.ignored = count,
            _ => {}
        }
    }
    sum
}

impl Sum {
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
            without_bed: self.without_bed + other.without_bed,
        }
    }

    /// How many tests passed and did what they are for.
    pub(super) fn passed(self) -> u64 {
        self.passed.saturating_sub(self.without_bed)
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed(), self.failed)?;
        match self.ignored + self.without_bed {
            0 => Ok(()),
            skipped => write!(f, ", {skipped} skipped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Done, Job, Size};
    use crate::test::plan::Needs;

    fn done(size: Size, ended_well: Option<bool>, output: &str) -> Done {
        let job = Job {
            name: "gadget all".to_owned(),
            again: "-- -p gadget".to_owned(),
            program: "".into(),
            arguments: vec![],
            environment: vec![],
            dir: "".into(),
            needs: Needs::Nothing,
            size,
        };
        Done::of(&job, ended_well, Duration::ZERO, output.to_owned())
    }

    #[test]
    fn results_that_a_program_tells_add_up() {
        let output = "running 2 tests\ntest a ... ok\ntest b ... ok\n\n\
             test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 7 filtered out; \
             finished in 0.00s\n\
             test c ... FAILED\n\
             test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out\n";
        let done = done(Size::Program, Some(false), output);
        assert_eq!(done.sum.to_string(), "5 passed, 1 failed, 2 skipped");
        assert_eq!(done.failed_tests().collect::<Vec<_>>(), ["c"]);
    }

    #[test]
    fn a_test_that_skipped_itself_did_not_pass() {
        let output =
            "skipped: no test bed: kafka::conformance\nskipped: no test bed: kafka::again\n";
        let program = format!("{output}test result: ok. 4 passed; 0 failed; 0 ignored\n");
        let whole = done(Size::Program, Some(true), &program);
        assert_eq!(whole.sum.to_string(), "2 passed, 0 failed, 2 skipped");
        let single = done(Size::Test, Some(true), output);
        assert_eq!(single.sum.to_string(), "0 passed, 0 failed, 1 skipped");
    }

    #[test]
    fn what_ended_without_a_result_failed() {
        for size in [Size::Program, Size::Test] {
            for ended_well in [Some(false), None] {
                assert_eq!(done(size, ended_well, "").sum.to_string(), "0 passed, 1 failed");
            }
        }
    }

    #[test]
    fn a_failure_names_the_command_that_repeats_it() {
        let seeded = format!("{}\n", xtask::trial::told(7, "anything"));
        let failed = done(Size::Test, Some(false), &seeded);
        assert_eq!(failed.again, "cargo xtask test --seed 7 -- -p gadget");
        assert_eq!(done(Size::Test, Some(false), "").again, "cargo xtask test -- -p gadget");
    }
}
