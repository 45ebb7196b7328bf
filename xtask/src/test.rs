//! `cargo xtask test`: all tests of the workspace against one shared test bed.
//!
//! Everything is compiled before the bed starts, so that no server idles through a build. What
//! the test programs print is passed on as it comes and read on the way: the last line is the
//! sum of their results.

use std::{
    fmt,
    io::{BufRead, BufReader, Read, Write},
    process::{Command, ExitStatus, Stdio},
    thread,
};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use xtask::bed::{self, BED_DIR, BED_KUBECONFIG, BED_MODE, Bed, SKIPPED};

use crate::workspace;

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Without the bed: tests that need real servers say that they are skipped.
    #[arg(long)]
    fast: bool,
    /// Arguments for `cargo test` instead of `--workspace`, such as `-- -p domain`.
    #[arg(last = true)]
    cargo_args: Vec<String>,
}

/// The results of all test programs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Sum {
    /// As the runners count, so with the tests that skipped themselves.
    passed: u64,
    failed: u64,
    ignored: u64,
    /// Tests that skipped themselves for want of a bed.
    without_bed: u64,
}

pub(crate) fn run(options: &Test) -> Result<()> {
    let built = cargo_test(options).arg("--no-run").status().context("run cargo")?;
    if !built.success() {
        bail!("the tests do not compile");
    }
    let mut tests = cargo_test(options);
    let bed = if options.fast { None } else { Some(start_bed()?) };
    match &bed {
        None => tests.env(BED_MODE, "off").env_remove(BED_DIR).env_remove(BED_KUBECONFIG),
        Some(bed) => tests
            .env(BED_MODE, "required")
            .env(BED_DIR, bed.dir())
            .env(BED_KUBECONFIG, bed.kubeconfig_path()),
    };
    let (status, mut sum) = run_and_read(&mut tests)?;
    drop(bed);
    if !status.success() && sum.failed == 0 {
        eprintln!("a test program ended without a result: it counts as one failure");
        sum.failed = 1;
    }
    println!("{sum}");
    if sum.failed > 0 {
        bail!("tests failed: their names are above");
    }
    if sum.passed == 0 {
        bail!("no test ran");
    }
    if !options.fast && sum.without_bed > 0 {
        bail!("tests were skipped for want of a test bed although there was one");
    }
    Ok(())
}

fn start_bed() -> Result<Bed> {
    bed::build()?;
    bed::start_shareable()
}

fn cargo_test(options: &Test) -> Command {
    let mut command = workspace::cargo();
    command.arg("test").arg("--no-fail-fast");
    if options.cargo_args.is_empty() {
        command.arg("--workspace");
    } else {
        command.args(&options.cargo_args);
    }
    command
}

/// Runs the tests, passes their output on and sums up what it says.
fn run_and_read(command: &mut Command) -> Result<(ExitStatus, Sum)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("run cargo test")?;
    let output = child.stdout.take().context("cargo's output")?;
    let errors = child.stderr.take().context("cargo's errors")?;
    let (results, skipped) = thread::scope(|scope| {
        let errors = scope.spawn(|| pass_on(errors, std::io::stderr()));
        let output = pass_on(output, std::io::stdout());
        let errors = errors.join().map_err(|_| anyhow!("reading cargo's errors panicked"))?;
        anyhow::Ok((output?, errors?))
    })?;
    Ok((child.wait()?, results.and(skipped)))
}

fn pass_on(from: impl Read, mut to: impl Write) -> Result<Sum> {
    let mut from = BufReader::new(from);
    let mut sum = Sum::default();
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        to.write_all(&line)?;
        sum = sum.and(read_line(&String::from_utf8_lossy(&line)));
        line.clear();
    }
    to.flush()?;
    Ok(sum)
}

/// What one line of output adds to the sum.
fn read_line(line: &str) -> Sum {
    let mut sum = Sum::default();
    if line.contains(SKIPPED) {
        sum.without_bed = 1;
    }
    let Some((_, result)) = line.split_once("test result: ") else { return sum };
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
    fn and(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
            without_bed: self.without_bed + other.without_bed,
        }
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passed = self.passed.saturating_sub(self.without_bed);
        write!(f, "{passed} passed, {} failed", self.failed)?;
        match self.ignored + self.without_bed {
            0 => Ok(()),
            skipped => write!(f, ", {skipped} skipped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Sum, pass_on};

    fn read(output: &str) -> Sum {
        pass_on(output.as_bytes(), std::io::sink()).expect("reads from memory")
    }

    #[test]
    fn results_of_several_programs_add_up() {
        let sum = read(
            "running 2 tests\ntest a ... ok\ntest b ... ok\n\n\
             test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 7 filtered out; \
             finished in 0.00s\n\
             test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out\n",
        );
        assert_eq!(sum.to_string(), "5 passed, 1 failed, 2 skipped");
    }

    #[test]
    fn a_test_that_skipped_itself_did_not_pass() {
        let sum = read(
            "skipped: no test bed: kafka::conformance\n\
             test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n",
        );
        assert_eq!(sum.to_string(), "3 passed, 0 failed, 1 skipped");
    }

    #[test]
    fn other_output_adds_nothing() {
        assert_eq!(read("   Compiling domain v0.1.0\nwarning: 3 passed\n"), Sum::default());
    }
}
