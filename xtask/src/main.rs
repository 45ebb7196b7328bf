//! `cargo xtask`: the tasks of this workspace. One module for each subcommand.
#![allow(clippy::print_stdout, reason = "a command line tool prints its results")]

mod arch;
mod bed_command;
mod bench;
mod crds;
mod deny;
mod sim;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The tasks of this workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Check that the crates import only what the architecture allows.
    Arch,
    /// The test bed: real Apache Kafka, etcd and kube-apiservers on 127.0.0.1.
    #[command(subcommand)]
    Bed(bed_command::Command),
    /// Measure what the budgets of the design are about, and print a table.
    Bench(bench::Bench),
    /// Write the CRDs in deploy/crds, or check that they are current.
    Crds(crds::Crds),
    /// Check licences and sources of all dependencies against deny.toml.
    Deny,
    /// Simulate whole hubs: crashes, lost answers, two owners; one seed is one history.
    Sim(sim::Sim),
    /// Run all tests against one shared test bed and print the sum.
    Test(test::Test),
}

/// What a wrong use ends with, as in most tools.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    if let Some(ended) = test::as_rustdoc() {
        return ended;
    }
    match Cli::try_parse() {
        Ok(cli) => run(cli.task),
        Err(page) if page.use_stderr() => {
            eprintln!("{}", two_lines(&page.render().to_string()));
            ExitCode::from(EXIT_USAGE)
        }
        Err(help) => {
            print!("{}", help.render());
            ExitCode::SUCCESS
        }
    }
}

/// What clap says about a wrong use in a page: one line what, one line how.
fn two_lines(page: &str) -> String {
    let is_error = page.starts_with("error: ");
    let what = page.split("\n\n").next().filter(|_| is_error).unwrap_or("error: no task is named");
    let what: Vec<&str> = what.split_whitespace().collect();
    let line = |start: &str| page.lines().find_map(|line| line.trim().strip_prefix(start));
    let how = match (line("tip: "), line("Usage: ")) {
        (Some(tip), _) => format!("tip: {tip}"),
        (None, Some(usage)) => format!("usage: {usage} (`--help` tells more)"),
        (None, None) => "see: cargo xtask --help".to_owned(),
    };
    format!("{}\n{how}", what.join(" "))
}

fn run(task: Task) -> ExitCode {
    let done = match task {
        Task::Arch => arch::run(),
        Task::Bed(command) => bed_command::run(command),
        Task::Bench(options) => bench::run(&options),
        Task::Crds(options) => crds::run(&options),
        Task::Deny => deny::run(),
        Task::Sim(options) => sim::run(&options),
        Task::Test(options) => test::run(&options),
    };
    // Printed here, and not by returning it: a backtrace tells nothing to whoever runs a task.
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Cli, two_lines};

    #[test]
    fn wrong_use_gets_one_line_what_and_one_line_how() {
        let wrong =
            ["", "tests", "bed", "bed upp", "bed up --members many", "sim --seed 1 --seeds 2"];
        for line in wrong {
            let arguments = std::iter::once("xtask").chain(line.split_whitespace());
            let page = Cli::try_parse_from(arguments).expect_err(line).render().to_string();
            let told = two_lines(&page);
            let lines: Vec<&str> = told.lines().collect();
            let [what, how] = lines[..] else { panic!("{line}: {told}") };
            assert!(what.starts_with("error: "), "{line}: {told}");
            let is_advice = ["usage: ", "tip: ", "see: "].iter().any(|it| how.starts_with(it));
            assert!(is_advice, "{line}: {told}");
        }
    }
}
