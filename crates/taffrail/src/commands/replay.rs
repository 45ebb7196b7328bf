//! `taffrail replay --verify`: proves that what is on record is what was decided.

use anyhow::{Result, bail};
use api::http::{ReplayDifference, ReplayReport};

use crate::cli::Global;
use crate::client::HubClient;
use crate::output;

/// Fold the whole log, decide every decision again, and compare.
///
/// Exits with 1 when a decision comes out differently.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Decide again and compare: the only thing that a replay is for
    #[arg(long, required = true)]
    verify: bool,
}

pub(crate) async fn run(_: Args, global: &Global) -> Result<()> {
    let client = HubClient::new(&global.server)?;
    let report: ReplayReport = client.get("/api/v1/replay", &[]).await?;
    output::show(global.output, &report, || text(&report))?;
    match &report.first_difference {
        None => Ok(()),
        Some(difference) => bail!(
            "the decision at {} on {} comes out differently",
            difference.position,
            difference.aggregate
        ),
    }
}

fn text(report: &ReplayReport) -> String {
    let seconds = std::time::Duration::from_millis(report.took_ms).as_secs_f64();
    let counts = format!(
        "{} records, {} events, {} follow-up commands compared; {} records rejected, {} \
         follow-up commands not decided yet; {seconds:.1} s\n",
        report.records, report.events, report.follow_ups, report.rejected, report.undecided
    );
    let verdict = match &report.first_difference {
        None => format!("{} decisions decided again: all come out the same.\n", report.decisions),
        Some(difference) => {
            format!("{} decisions decided again. {}", report.decisions, difference_text(difference))
        }
    };
    format!("{verdict}{counts}")
}

fn difference_text(difference: &ReplayDifference) -> String {
    let ReplayDifference { position, decision, aggregate, what, recorded, decided } = difference;
    format!(
        "The first that differs stands at {position}, decision {decision}, on {aggregate}: \
         {what}.\n  on record:   {recorded}\n  decided now: {decided}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> ReplayReport {
        ReplayReport {
            clean: true,
            records: 12,
            events: 40,
            decisions: 31,
            follow_ups: 9,
            took_ms: 1_260,
            ..ReplayReport::default()
        }
    }

    #[test]
    fn a_clean_replay_is_told_with_its_counts() {
        insta::assert_snapshot!(text(&report()));
    }

    #[test]
    fn the_first_difference_is_shown() {
        let difference = ReplayDifference {
            position: "22:7".to_owned(),
            decision: 0,
            aggregate: "placement/cluster/web".to_owned(),
            what: "events".to_owned(),
            recorded: "PlacementScheduled {..}".to_owned(),
            decided: "PlacementScheduled {...}".to_owned(),
        };
        let report = ReplayReport { clean: false, first_difference: Some(difference), ..report() };
        insta::assert_snapshot!(text(&report));
    }
}
