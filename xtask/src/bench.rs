//! `cargo xtask bench`: measures what the budgets of the design are about.
//!
//! A release build of the benchmarks does the work. Not part of the tests: figures of a machine
//! that does other things as well say little.

use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::workspace;

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Which parts to measure [default: all]
    names: Vec<String>,
    /// What to print; target/bench.json has the JSON in any case.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Output {
    #[default]
    Table,
    Json,
}

pub(crate) fn run(options: &Bench) -> Result<()> {
    let built = workspace::cargo()
        .args(["build", "--locked", "--release", "--workspace"])
        .args(["--bin", "bench", "--bin", "hub_process"])
        .current_dir(workspace::root())
        .status()
        .context("run cargo")?;
    if !built.success() {
        bail!("the benchmarks do not compile");
    }
    let target = workspace::target_dir();
    let output = match options.output {
        Output::Table => "table",
        Output::Json => "json",
    };
    let status = Command::new(target.join("release/bench"))
        .args(&options.names)
        .args(["-o", output, "--file"])
        .arg(target.join("bench.json"))
        .status()
        .context("run the benchmarks")?;
    if !status.success() {
        bail!("something could not be measured: the report says what");
    }
    Ok(())
}
