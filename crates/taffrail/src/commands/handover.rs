//! `taffrail handover`: hands a hub cluster over to the deployment of a configuration.

use std::path::PathBuf;

use actors::node;
use anyhow::{Context, Result, bail};
use event_log::{EmbeddedLog, Log, LogError};
use event_log_kafka::{Finding, KafkaLog, Severity};
use events::Genesis;
use hub::identity;
use serde::Serialize;

use crate::cli::{Global, configuration};
use crate::kubernetes::connect;
use crate::output;
use crate::serve::LogChoice;

/// Hand a hub cluster over to the deployment of a configuration.
///
/// For a hub that refuses to start since its cluster belongs to another deployment, or its log to
/// another hub cluster. End the hubs of the other side for good before: whichever of them still
/// runs lets go when it notices. With an empty log the next hub founds a new deployment.
///
/// The hub that starts next records the handover: taffrail history fleet.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The hub's configuration file, which names its log and its cluster
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// What was done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HandedOver {
    /// The hub cluster.
    cluster: String,
    /// The deployment that it belonged to.
    #[serde(skip_serializing_if = "Option::is_none")]
    from_deployment: Option<String>,
    /// The hub cluster that the deployment had.
    #[serde(skip_serializing_if = "Option::is_none")]
    from_cluster: Option<String>,
    /// The deployment that it belongs to; absent when it is the one that is founded next.
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment: Option<String>,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let config = configuration(&args.config)?;
    let genesis = genesis(&config.log).await?;
    let client = connect(&config.hub).await?;
    let cluster = identity::cluster_identity(&client)
        .await
        .context("the hub's API server cannot be read; check: kubectl get namespaces")?;
    let (before, now) = identity::hand_over(&client, &cluster, genesis.as_ref()).await?;
    let handover = now.handover;
    let handed_over = HandedOver {
        cluster,
        from_deployment: before.and_then(|mark| mark.deployment).map(|it| it.to_string()),
        from_cluster: handover.and_then(|handover| handover.from_hub),
        deployment: now.deployment.map(|deployment| deployment.to_string()),
    };
    output::show(global.output, &handed_over, || text(&handed_over))?;
    Ok(())
}

/// How the log begins; nothing is made where there is none yet.
async fn genesis(choice: &LogChoice) -> Result<Option<Genesis>> {
    let log: Box<dyn Log> = match choice {
        LogChoice::Embedded { path } if !path.exists() => return Ok(None),
        LogChoice::Embedded { path } => {
            let opened = tokio::task::spawn_blocking({
                let path = path.clone();
                move || EmbeddedLog::open(path)
            });
            match opened.await? {
                Ok(log) => Box::new(log),
                Err(error @ LogError::InUse { .. }) => {
                    return Err(error).context("end the hub that uses the log first");
                }
                Err(error) => return Err(error).context("the log cannot be opened"),
            }
        }
        LogChoice::Kafka(config) => {
            let examined = event_log_kafka::examine(config, config.mode).await;
            // Topics that nobody can see are not taken for ones that are not there.
            let refused = examined.findings.iter().find(|it| it.severity == Severity::Refuse);
            if let Some(Finding { problem, remedy, .. }) = refused {
                bail!("{problem}; {remedy}");
            }
            if !examined.are_topics_there {
                return Ok(None);
            }
            let log = KafkaLog::connect(config.as_ref().clone()).await;
            Box::new(log.context("the log cannot be opened")?)
        }
    };
    Ok(node::look(&*log).await?)
}

fn text(handed_over: &HandedOver) -> String {
    let HandedOver { cluster, from_deployment, from_cluster, deployment } = handed_over;
    let to = match deployment {
        Some(deployment) => format!("deployment {deployment}"),
        None => "the deployment that is founded next".to_owned(),
    };
    let mut text = format!("the hub cluster {cluster} belongs to {to} now\n");
    if let Some(from) = from_deployment.as_ref().filter(|from| Some(*from) != deployment.as_ref()) {
        text += &format!("it belonged to deployment {from}\n");
    }
    if let Some(from) = from_cluster {
        text += &format!("the hub cluster of that deployment was {from}\n");
    }
    text + "next: start the hub; it records this: taffrail history fleet\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_handed_over_from_whom_to_whom_is_told() {
        let some = |text: &str| Some(text.to_owned());
        let moved = HandedOver {
            cluster: "here".to_owned(),
            from_deployment: some("theirs"),
            from_cluster: some("there"),
            deployment: some("ours"),
        };
        let said = text(&moved);
        assert!(
            said.starts_with("the hub cluster here belongs to deployment ours now\n"),
            "{said}"
        );
        assert!(said.contains("it belonged to deployment theirs"), "{said}");
        assert!(said.contains("the hub cluster of that deployment was there"), "{said}");
        let founded = HandedOver { from_cluster: None, deployment: None, ..moved };
        assert!(text(&founded).contains("belongs to the deployment that is founded next now"));
    }
}
