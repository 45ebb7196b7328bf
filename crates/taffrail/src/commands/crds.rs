//! `taffrail crds install|print`

use anyhow::Result;
use clap::Subcommand;
use kube::ResourceExt;

use crate::cli::Global;
use crate::kubernetes::{HubArgs, install_crds};
use crate::output;

#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = false)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Install them on the hub, and wait until they are served
    Install(HubArgs),
    /// Print them, for those who install them in another way
    Print,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let crds = api::crds::hub_crds();
    match args.action {
        Action::Install(hub) => {
            let client = hub.connect().await?;
            install_crds(&client, &crds, |_| ()).await?;
            let names: Vec<String> = crds.iter().map(ResourceExt::name_any).collect();
            output::show(global.output, &names, || {
                let lines: String =
                    names.iter().map(|name| format!("{name} is served\n")).collect();
                format!("{lines}next: taffrail hub --config taffrail.toml\n")
            })?;
        }
        Action::Print => output::show(global.output, &crds, || {
            let documents = crds.iter().map(|crd| {
                let yaml = serde_yaml_ng::to_string(crd).expect("a CRD is plain data");
                format!("---\n{yaml}")
            });
            documents.collect()
        })?,
    }
    Ok(())
}
