//! `taffrail why`: the decision record in plain words.

use std::fmt::Write as _;

use anyhow::Result;
use api::http::{ClusterWhy, DecisionView, TargetView, Why};

use crate::cli::Global;
use crate::client::HubClient;
use crate::names;
use crate::output::{self, Table, clock};

/// Show why a placement is on a cluster, or is not.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The placement: NAME, or NAMESPACE/NAME for a ResourcePlacement
    placement: String,
    /// The cluster; all that were considered when absent
    #[arg(short, long, value_name = "NAME")]
    cluster: Option<String>,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let placement = names::placement(&args.placement)?;
    let client = HubClient::new(&global.server)?;
    let query: Vec<_> = args.cluster.iter().map(|name| ("cluster", name.clone())).collect();
    let why: Why = client.get(&format!("/api/v1/why/{placement}"), &query).await?;
    output::show(global.output, &why, || text(&why, args.cluster.is_some()))?;
    Ok(())
}

fn text(why: &Why, is_one: bool) -> String {
    let name = names::short(&why.placement);
    let mut text = String::new();
    match (is_one, why.clusters.as_slice()) {
        (true, [cluster]) => text += &one(cluster, why.decision.is_some(), name),
        (_, clusters) => {
            if let Some(decision) = &why.decision {
                writeln!(text, "{name}: {}.\n", decision.message).expect("a String");
            }
            write!(text, "{}", all(clusters)).expect("a String takes it");
        }
    }
    text.push('\n');
    match &why.decision {
        Some(decision) => text += &decision_text(decision),
        None => text += "The placement was not scheduled yet.\n",
    }
    if let Some(problem) = &why.problem {
        writeln!(
            text,
            "\nWhat the placement asks for since generation {} cannot be followed ({}): {}. The \
             decision above stands.",
            problem.generation, problem.reason, problem.message
        )
        .expect("a String");
    }
    text
}

fn one(why: &ClusterWhy, is_scheduled: bool, placement: &str) -> String {
    let ClusterWhy { cluster, text, .. } = why;
    let verdict = match (why.chosen, is_scheduled) {
        (true, _) => format!("{placement} goes to {cluster}: {text}."),
        (false, true) => format!("{placement} does not go to {cluster}: {text}."),
        (false, false) => format!("Nothing is decided about {placement} on {cluster} yet."),
    };
    let holds = match &why.target {
        Some(target) => holds(cluster, target),
        None => format!("{cluster} holds nothing of it."),
    };
    format!("{verdict}\n{holds}\n")
}

fn holds(cluster: &str, target: &TargetView) -> String {
    let revision = target.revision.map(|revision| format!("revision {revision}"));
    let revision = revision.unwrap_or_else(|| "the revision".to_owned());
    let since = clock(&target.since);
    let text = match (target.revision, target.phase.as_str()) {
        (None, "Removed") => format!("Nothing of it is left on {cluster} since {since}"),
        (None, _) => format!("It is being removed from {cluster} since {since}"),
        (Some(_), "Moving" | "Assigned") => {
            format!("{cluster} was told to hold {revision} at {since}")
        }
        (Some(_), "ApplyFailed") => {
            format!("{cluster} could not take some objects of {revision} at {since}")
        }
        (Some(_), "Applied") => {
            format!("{cluster} holds {revision} since {since}; not everything is available yet")
        }
        (Some(_), "Available") => {
            format!("{cluster} holds {revision}, and all of it is available since {since}")
        }
        (Some(_), "AvailableUntracked") => format!(
            "{cluster} holds {revision}, and what can be tracked is available since {since}"
        ),
        (Some(_), other) => format!("{cluster}: {other} at {revision} since {since}"),
    };
    let mut text = format!("{text} (move {}", target.generation);
    if let Some(evidence) = &target.evidence {
        write!(text, ", on the evidence of {evidence}").expect("a String");
    }
    text.push_str(").");
    if !target.remark.is_empty() {
        write!(text, "\n  {}", target.remark).expect("a String");
    }
    for failure in &target.failures {
        write!(text, "\n  {}: {}: {}", failure.object, failure.reason, failure.message)
            .expect("a String");
    }
    text
}

fn all(clusters: &[ClusterWhy]) -> String {
    if clusters.is_empty() {
        return "No cluster was considered.\n".to_owned();
    }
    let mut table = Table::new(["CLUSTER", "CHOSEN", "HOLDS", "NOW", "WHY"]);
    for why in clusters {
        let target = why.target.as_ref();
        let revision = target.and_then(|target| target.revision);
        table.row([
            why.cluster.clone(),
            if why.chosen { "yes" } else { "no" }.to_owned(),
            revision.map(|revision| format!("revision {revision}")).unwrap_or_default(),
            target.map(|target| target.phase.clone()).unwrap_or_default(),
            why.text.clone(),
        ]);
    }
    table.to_string()
}

fn decision_text(decision: &DecisionView) -> String {
    let command = &decision.command;
    let kind = command.kind.as_deref().unwrap_or("a command");
    let cause = match &command.causation {
        Some(event) => format!(" after event {event}"),
        None => String::new(),
    };
    let seen: Vec<String> = decision
        .watermark
        .iter()
        .map(|(partition, sequence)| format!("{partition}:{sequence}"))
        .collect();
    let mut table = Table::new(["Decided", &format!("{} UTC", clock(&decision.time))]);
    table.row(["at".to_owned(), format!("position {} of the log", decision.position)]);
    table.row(["on".to_owned(), format!("{kind} {}{cause}", command.id)]);
    table.row(["asked by".to_owned(), command.principal.clone()]);
    table.row([
        "following".to_owned(),
        format!("generation {}, policy {}", decision.generation, decision.policy_index),
    ]);
    table.row(["having seen".to_owned(), seen.join(" ")]);
    table.row(["with".to_owned(), format!("scheduling algorithm {}", decision.algorithm)]);
    table.to_string()
}

#[cfg(test)]
#[path = "why_tests.rs"]
mod tests;
