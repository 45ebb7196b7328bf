//! `taffrail doctor`: what keeps a hub from its work, and how to mend it. Changes nothing.

mod belonging;
mod log;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Result, bail};
use api::http::{HubStatus, Readiness};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, ResourceExt};
use serde::Serialize;

use crate::cli::{Global, chain, configuration};
use crate::client::{DEFAULT_SERVER, HubClient, Unreached};
use crate::config::DEFAULT_LISTEN;
use crate::kubernetes::{HubArgs, connect, is_established};
use crate::output::{self, Table};
use crate::serve::{HubAccess, ServeConfig};

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

/// Of how many partitions the rejected records are told.
const REJECTIONS_SHOWN_MAX: usize = 8;

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
    let config = args.config.as_deref().map(configuration).transpose()?;
    let server = server(global, config.as_ref());
    let hub = HubClient::new(&server)?;
    let mut findings = vec![];
    let mut begins = log::Begins::Unknown;
    if let Some(config) = &config {
        findings.push(Finding::ok("configuration", "can be read"));
        let (found, beginning) = log::examine(&config.log, &config.data_dir).await;
        findings.extend(found);
        begins = beginning;
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
    let (found, running) = examine_hub(&hub, &server).await;
    findings.extend(examine_hub_api(&access, &begins, running.as_ref()).await);
    findings.extend(found);

    output::show(global.output, &findings, || text(&findings))?;
    let failed = findings.iter().filter(|finding| finding.verdict == Verdict::Failed).count();
    if failed > 0 {
        bail!("{failed} of {} things looked at have to be mended", findings.len());
    }
    Ok(())
}

/// Where the hub is: the one of the configuration, unless somebody names another one.
fn server(global: &Global, config: Option<&ServeConfig>) -> String {
    match config {
        Some(config) if global.server == DEFAULT_SERVER => {
            let mut address = config.http;
            if address.ip().is_unspecified() {
                let port = address.port();
                address = SocketAddr::new(DEFAULT_LISTEN.ip(), port);
            }
            format!("http://{address}")
        }
        Some(_) | None => global.server.clone(),
    }
}

/// The API server of the hub, whether it knows our kinds, and whose it is.
async fn examine_hub_api(
    access: &HubAccess,
    begins: &log::Begins,
    running: Option<&HubStatus>,
) -> Vec<Finding> {
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
        Ok(version) => {
            let mut findings = vec![
                Finding::ok(PART, format!("answers, {}", version.git_version)),
                examine_crds(&client).await,
            ];
            findings.extend(belonging::examine(&client, begins, running).await);
            findings
        }
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
async fn examine_hub(client: &HubClient, server: &str) -> (Vec<Finding>, Option<HubStatus>) {
    const PART: &str = "hub";
    let readiness: Readiness = match client.get_any("/readyz").await {
        Ok(readiness) => readiness,
        Err(error) if error.is::<Unreached>() => {
            let found = format!("{server} does not answer: {}", error.root_cause());
            let remedy = "taffrail hub --config taffrail.toml, or --server URL";
            return (vec![Finding::warning(PART, found, remedy)], None);
        }
        Err(error) => {
            let found = format!("{server} is not a hub: {}", error.root_cause());
            let remedy = "--server URL, or another [http] listen in taffrail.toml";
            return (vec![Finding::failed(PART, found, remedy)], None);
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
    let status = client.get::<HubStatus>("/api/v1/status", &[]).await.ok();
    if let Some(status) = &status {
        let (owned, all) = (status.owned.len(), status.partitions);
        let found = format!(
            "{server} answers: node {}, {owned} of {all} partitions, deployment {}",
            status.node, status.deployment
        );
        findings.push(Finding::ok(PART, found));
        findings.extend(rejected(status));
    }
    (findings, status)
}

/// The records of the log that did not count. Some are normal where hubs took over from each other.
fn rejected(status: &HubStatus) -> Option<Finding> {
    let mut lines = vec![format!("{} records of the log did not count", status.records_rejected)];
    for rejections in status.rejections.iter().take(REJECTIONS_SHOWN_MAX) {
        let partition = rejections.partition;
        lines.extend(rejections.newest.iter().map(|record| {
            format!("partition {partition}, offset {}: {}", record.offset, record.reason)
        }));
    }
    (status.records_rejected > 0).then(|| Finding::ok("log", lines.join("\n")))
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
    fn the_hub_of_the_configuration_is_asked_unless_another_one_is_named() {
        let asked = |listen: &str, named: &str| {
            let text = format!("data_dir = \"d\"\n[http]\nlisten = \"{listen}\"");
            let config = crate::config::parse("t.toml".as_ref(), &text).unwrap();
            let (output, log_format) = Default::default();
            let global = Global { output, log_format, server: named.to_owned() };
            server(&global, Some(&config))
        };
        assert_eq!(asked("10.0.0.7:9000", DEFAULT_SERVER), "http://10.0.0.7:9000");
        assert_eq!(asked("0.0.0.0:9000", DEFAULT_SERVER), "http://127.0.0.1:9000");
        assert_eq!(asked("10.0.0.7:9000", "http://other:1"), "http://other:1");
    }

    #[test]
    fn records_that_did_not_count_are_told_with_place_and_reason() {
        let status: HubStatus = serde_json::from_value(serde_json::json!({
            "node": "hub-0", "version": "0", "startedAt": "", "deployment": "d",
            "readiness": { "ready": true, "notReady": [] }, "partitions": 4, "owned": [],
            "watermark": {}, "recordsRejected": 7,
            "rejections": [{ "partition": 3, "count": 7, "newest": [
                { "offset": 40, "reason": "its epoch is 1, the current one is 2" },
            ] }],
            "effectsWaiting": 0, "index": { "kinds": 0, "objects": 0, "unsynced": [] },
            "clusters": { "members": 0, "joined": 0, "unhealthy": 0 },
            "placements": { "placements": 0, "targets": 0, "available": 0, "failed": 0 },
        }))
        .unwrap();
        let found = rejected(&status).unwrap().found;
        assert!(found.starts_with("7 records of the log did not count"), "{found}");
        assert!(found.contains("partition 3, offset 40: its epoch is 1"), "{found}");
        assert_eq!(rejected(&HubStatus { records_rejected: 0, ..status }), None);
    }

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
