//! `cargo xtask`: the tasks of this workspace. One module for each subcommand.
#![allow(clippy::print_stdout, reason = "a command line tool prints its results")]

mod arch;
mod bed_command;
mod deny;
mod test;
mod workspace;

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
    /// Check licences, sources and advisories of all dependencies against deny.toml.
    Deny,
    /// Run all tests against one shared test bed and print the sum.
    Test(test::Test),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().task {
        Task::Arch => arch::run(),
        Task::Bed(command) => bed_command::run(command),
        Task::Deny => deny::run(),
        Task::Test(options) => test::run(&options),
    }
}
