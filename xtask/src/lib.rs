//! The part of the workspace's tasks that tests use too: the test bed, and how hard a test tries.
//! The tasks themselves are modules of the program, one for each subcommand of `cargo xtask`.

pub mod bed;
pub mod trial;

use std::{
    env,
    path::{Path, PathBuf},
};

/// The workspace's directory.
pub fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().expect("xtask is a directory of the workspace").to_owned()
}

/// Where Cargo puts what it builds: `CARGO_TARGET_DIR`, which may be relative to the workspace's
/// directory, or `target` there.
pub fn target_dir() -> PathBuf {
    root().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}
