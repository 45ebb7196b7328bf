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
    /// Check licences, sources and advisories of all dependencies against deny.toml.
    Deny,
    /// Simulate whole hubs: crashes, lost answers, two owners; one seed is one history.
    Sim(sim::Sim),
    /// Run all tests against one shared test bed and print the sum.
    Test(test::Test),
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
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
