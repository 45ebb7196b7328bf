//! What Cargo knows about this workspace: its packages, what they depend on, where that is from.

use std::{env, ffi::OsStr, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
pub(crate) use xtask::{root, target_dir};

/// The part of `cargo metadata` that the checks need.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// An SPDX expression.
    pub(crate) license: Option<String>,
    /// Where it comes from; `None` for the packages of this workspace.
    pub(crate) source: Option<String>,
    #[serde(default)]
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None` for a normal dependency, else `dev` or `build`.
    pub(crate) kind: Option<String>,
}

/// The Cargo that runs this task.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| OsStr::new("cargo").to_owned()))
}

/// Asks Cargo for this workspace's packages, and with `all` for everything they depend on too.
pub(crate) fn metadata(all: bool) -> Result<Metadata> {
    let mut command = cargo();
    command.args(["metadata", "--format-version", "1"]).current_dir(root());
    if !all {
        command.arg("--no-deps");
    }
    let output = command.output().context("run `cargo metadata`")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).context("read what `cargo metadata` prints")
}
