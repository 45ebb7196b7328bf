//! `taffrail version`

use anyhow::Result;
use serde::Serialize;

use crate::output::{self, Format};

#[derive(Serialize)]
struct Version {
    taffrail: &'static str,
}

pub(crate) fn run(format: Format) -> Result<()> {
    let version = Version { taffrail: env!("CARGO_PKG_VERSION") };
    output::show(format, &version, || format!("taffrail {}\n", version.taffrail))?;
    Ok(())
}
