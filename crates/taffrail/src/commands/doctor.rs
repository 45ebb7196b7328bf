//! `taffrail doctor`: what keeps a hub from its work, and how to mend it. Changes nothing.

mod log;

use std::path::PathBuf;

use anyhow::{Result, bail};
use api::http::{HubStatus, Readiness};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, ResourceExt};
use serde::Serialize;

use crate::cli::{Global, chain, configuration};
use crate::client::{HubClient, Unreached};
use crate::kubernetes::{HubArgs, connect, is_established};
use crate::output::{self, Table};
use crate::serve::HubAccess;

/// Find what keeps a hub from its work, and how to mend it.
///
/// Exits with 1 when something has to be mended.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The hub's configuration file, to look at its log and its API server
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    hub: HubArgs,
}

/// How a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warning,
    Failed,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    part: &'static str,
    verdict: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Finding {
    fn ok(part: &'static str, found: impl Into<String>) -> Self {
        Self { part, verdict: Verdict::Ok, found: found.into(), remedy: None }
    }

    fn warning(part: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { part, verdict: Verdict::Warning, found: found.into(), remedy: Some(remedy.into()) }
    }

    fn failed(part: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { part, verdict: Verdict::Failed, found: found.into(), remedy: Some(remedy.into()) }
    }
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let hub = HubClient::new(&global.server)?;
    let config = args.config.as_deref().map(configuration).transpose()?;
    let mut findings = vec![];
    if let Some(config) = &config {
        findings.push(Finding::ok("configuration", "can be read"));
        findings.extend(log::examine(&config.log, &config.data_dir).await);
    }
    let access = match config {
        Some(config) if args.hub.hub_kubeconfig.is_none() && args.hub.hub_context.is_none() => {
            config.hub
        }
        Some(_) | None => HubAccess::Kubeconfig {
            path: args.hub.hub_kubeconfig.clone(),
            context: args.hub.hub_context.clone(),
        },
    };
    findings.extend(examine_hub_api(&access).await);
    findings.extend(examine_hub(&hub, &global.server).await);

    output::show(global.output, &findings, || text(&findings))?;
    let failed = findings.iter().filter(|finding| finding.verdict == Verdict::Failed).count();
    if failed > 0 {
        bail!("{failed} of {} things looked at have to be mended", findings.len());
    }
    Ok(())
}

/// The API server of the hub, and whether it knows our kinds.
async fn examine_hub_api(access: &HubAccess) -> Vec<Finding> {
    const PART: &str = "hub API server";
    let client = match connect(access).await {
        Ok(client) => client,
        Err(error) => {
            let remedy = "taffrail doctor --hub-kubeconfig FILE, or [hub] in taffrail.toml";
            return vec![Finding::failed(PART, chain(&error), remedy)];
        }
    };
    let remedy = "kubectl get namespaces, to see why";
    match client.apiserver_version().await {
        Ok(version) => vec![
            Finding::ok(PART, format!("answers, {}", version.git_version)),
            examine_crds(&client).await,
        ],
        Err(error) => vec![Finding::failed(PART, format!("does not answer: {error}"), remedy)],
    }
}

async fn examine_crds(client: &Client) -> Finding {
    const PART: &str = "definitions";
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut missing = vec![];
    for crd in api::crds::hub_crds() {
        let name = crd.name_any();
        match api.get_opt(&name).await {
            Ok(Some(found)) if is_established(&found) => {}
            Ok(_) => missing.push(name),
            Err(error) => {
                let found = format!("cannot be read: {error}");
                return Finding::failed(PART, found, "kubectl auth can-i get crd");
            }
        }
    }
    match missing.as_slice() {
        [] => Finding::ok(PART, "all are served"),
        [first, rest @ ..] => {
            let others =
                if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            let found = format!("{first}{others} not served");
            Finding::failed(PART, found, "taffrail crds install")
        }
    }
}

/// The hub itself, if one runs.
async fn examine_hub(client: &HubClient, server: &str) -> Vec<Finding> {
    const PART: &str = "hub";
    let readiness: Readiness = match client.get_any("/readyz").await {
        Ok(readiness) => readiness,
        Err(error) if error.is::<Unreached>() => {
            let found = format!("{server} does not answer: {}", error.root_cause());
            let remedy = "taffrail hub --config taffrail.toml, or --server URL";
            return vec![Finding::warning(PART, found, remedy)];
        }
        Err(error) => {
            let found = format!("{server} is not a hub: {}", error.root_cause());
            let remedy = "--server URL, or another [http] listen in taffrail.toml";
            return vec![Finding::failed(PART, found, remedy)];
        }
    };
    let mut findings: Vec<Finding> = readiness
        .not_ready
        .into_iter()
        .map(|obstacle| {
            let found = format!("{}: {}", obstacle.check, obstacle.message);
            Finding::failed(PART, found, "look at the hub's logs")
        })
        .collect();
    findings.extend(readiness.warnings.into_iter().map(|warning| {
        let found = format!("{}: {}", warning.check, warning.message);
        Finding::warning(PART, found, "look at the hub's logs")
    }));
    if let Ok(status) = client.get::<HubStatus>("/api/v1/status", &[]).await {
        let (owned, all) = (status.owned.len(), status.partitions);
        let found = format!(
            "{server} answers: node {}, {owned} of {all} partitions, deployment {}",
            status.node, status.deployment
        );
        findings.push(Finding::ok(PART, found));
    }
    findings
}

fn text(findings: &[Finding]) -> String {
    let mut table = Table::new(["PART", "STATE", "FOUND"]);
    for finding in findings {
        let state = match finding.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failed => "FAILED",
        };
        let mut lines = finding.found.lines();
        let first = lines.next().unwrap_or_default().to_owned();
        table.row([finding.part.to_owned(), state.to_owned(), first]);
        for line in lines {
            table.row([String::new(), String::new(), line.trim().to_owned()]);
        }
        for remedy in finding.remedy.iter().flat_map(|remedy| remedy.lines()) {
            table.row([String::new(), String::new(), format!("mend it with: {}", remedy.trim())]);
        }
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_has_a_line_and_its_remedy_another() {
        let findings = [
            Finding::ok("configuration", "can be read"),
            Finding::warning("hub", "http://127.0.0.1:8321 does not answer", "taffrail hub"),
            Finding::failed("definitions", "a and 3 more not served", "taffrail crds install"),
        ];
        insta::assert_snapshot!(text(&findings));
    }
}
