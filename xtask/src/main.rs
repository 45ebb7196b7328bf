//! `cargo xtask`: the tasks of this workspace. One module for each subcommand.
#![allow(clippy::print_stdout, reason = "a command line tool prints its results")]

mod bed_command;

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
    /// The test bed: real Apache Kafka, etcd and kube-apiservers on 127.0.0.1.
    #[command(subcommand)]
    Bed(bed_command::Command),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().task {
        Task::Bed(command) => bed_command::run(command),
    }
}
