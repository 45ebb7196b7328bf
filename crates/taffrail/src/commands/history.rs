//! `taffrail history`: everything that happened to one thing.

use anyhow::Result;

use super::events::{collect, show};
use crate::cli::Global;
use crate::client::HubClient;
use crate::names;

/// Show everything that happened to one thing, from the beginning.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// cluster/NAME, placement/NAME, placement/NAMESPACE/NAME, crp/NAME, rp/NAMESPACE/NAME, fleet
    name: String,
    /// How many events at most
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    limit: usize,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let aggregate = names::aggregate(&args.name)?;
    let client = HubClient::new(&global.server)?;
    let path = format!("/api/v1/history/{aggregate}");
    let page = collect(&client, &path, &[], args.limit).await?;
    show(global.output, &page)
}
