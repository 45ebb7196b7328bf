//! `cargo xtask crds`: the CRDs in `deploy/crds`, made from the types of the crate `api`.
//!
//! The crate makes them itself; this calls it, so that xtask does not have to be built with the
//! Kubernetes client.

use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::workspace;

#[derive(Debug, Args)]
pub(crate) struct Crds {
    /// Write nothing; fail when a file is not what it should be.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(options: &Crds) -> Result<()> {
    let folder = workspace::root().join("deploy/crds");
    let what = if options.check { "--check" } else { "--write" };
    // Built with the whole workspace: alone, its dependencies would be built once more.
    let built = workspace::cargo()
        .args(["build", "--locked", "--workspace", "--example", "crds"])
        .current_dir(workspace::root())
        .status()
        .context("run cargo")?;
    if !built.success() {
        bail!("what makes the CRDs does not compile");
    }
    let status = Command::new(workspace::target_dir().join("debug/examples/crds"))
        .arg(what)
        .arg(folder)
        .status()
        .context("make the CRDs")?;
    if !status.success() {
        bail!("the CRDs are not current, or could not be made");
    }
    Ok(())
}
