//! `cargo xtask sim`: the deterministic simulation of whole hubs, with many seeds.
//!
//! The package `acceptance` holds it; this calls its program, so that xtask does not have to be
//! built with everything that is simulated.

use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::workspace;

#[derive(Debug, Args)]
pub(crate) struct Sim {
    /// How many histories to run.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Tell the history of this seed only.
    #[arg(long, conflicts_with_all = ["seeds", "first"])]
    seed: Option<u64>,
}

pub(crate) fn run(options: &Sim) -> Result<()> {
    let built = workspace::cargo()
        .args(["build", "--locked", "--workspace", "--bin", "simulate"])
        .current_dir(workspace::root())
        .status()
        .context("run cargo")?;
    if !built.success() {
        bail!("the simulation does not compile");
    }
    let mut command = Command::new(workspace::target_dir().join("debug/simulate"));
    match options.seed {
        Some(seed) => command.args(["--seed", &seed.to_string()]),
        None => {
            let (seeds, first) = (options.seeds.to_string(), options.first.to_string());
            command.args(["--seeds", &seeds, "--first", &first])
        }
    };
    let status = command.status().context("run the simulation")?;
    if !status.success() {
        bail!("a history was violated, or could not be run");
    }
    Ok(())
}
