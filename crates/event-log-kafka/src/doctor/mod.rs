//! The doctor: whether the topics are set up so that nothing is lost, and how to mend it.
//!
//! The commonest way to lose an event-sourced history is a topic with the broker's defaults, which
//! keep seven days. The doctor looks before the first record is written and at every start.

mod check;
mod observe;
mod remedy;

use std::fmt;

use event_log::LogError;
use serde::Serialize;

pub(crate) use self::check::{check, check_brokers, copies};
pub(crate) use self::observe::{Observed, observe};
pub(crate) use self::remedy::{Tools, settings_of};
use crate::config::{KafkaConfig, Mode, misconfigured};
use crate::topics::{Topic, Topics};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The log is not opened like this.
    Refuse,
    /// It works, as long as nothing happens.
    Warn,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, and what may come of it.
    pub problem: String,
    /// The exact command that mends it, or what to change.
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  mend it with: {}", self.problem, self.remedy)
    }
}

/// What an examination has shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Examined {
    /// What is not as it should be. The worst comes first.
    pub findings: Vec<Finding>,
    /// Whether all topics exist, so that to open the log creates none.
    pub are_topics_there: bool,
}

/// The findings of [`examine`].
pub async fn doctor(config: &KafkaConfig, mode: Mode) -> Vec<Finding> {
    examine(config, mode).await.findings
}

/// Examines the log at these brokers as strictly as `mode` asks; changes nothing.
///
/// It does not look at the brokers' versions: they tell which requests they understand, and the
/// driver keeps that to itself; a broker that is too old for an idempotent producer (before 0.11) is
/// refused by the driver. It does not compare clocks either: a broker tells its time only with an
/// entry that it stores, and nothing is written here. A log that is open compares them with every
/// lease (see [`event_log::clock`]), for which the topics must be set up.
pub async fn examine(config: &KafkaConfig, mode: Mode) -> Examined {
    let seen = match config.check() {
        Ok(()) => observe(config, &Topics::new(config)).await,
        Err(error) => Err(error),
    };
    let (mut findings, are_topics_there) = match seen {
        Ok(observed) => {
            let are_topics_there = observed.topics.len() == Topic::ALL.len();
            (check(&observed, config, mode), are_topics_there)
        }
        Err(error) => (vec![unseen(config, error)], false),
    };
    findings.sort_by_key(|finding| finding.severity);
    Examined { findings, are_topics_there }
}

/// What a log that cannot be looked at is told.
fn unseen(config: &KafkaConfig, error: LogError) -> Finding {
    let (problem, remedy) = match error {
        LogError::Misconfigured { problem, remedy } => (problem, remedy),
        LogError::Unavailable { stage, source, .. } => (
            format!("the brokers cannot be asked ({stage}): {source}"),
            Tools::new(config).is_anybody_there(),
        ),
        error @ (LogError::Full { .. }
        | LogError::TooLarge { .. }
        | LogError::Corrupt { .. }
        | LogError::InUse { .. }) => (error.to_string(), Tools::new(config).is_anybody_there()),
    };
    Finding { severity: Severity::Refuse, problem, remedy }
}

/// Refuses a log with findings that are too bad.
pub(crate) fn refuse(findings: &[Finding]) -> Result<(), LogError> {
    let bad = findings.iter().filter(|finding| finding.severity == Severity::Refuse);
    let (problems, remedies): (Vec<_>, Vec<_>) =
        bad.map(|finding| (finding.problem.as_str(), finding.remedy.as_str())).unzip();
    if problems.is_empty() {
        return Ok(());
    }
    Err(misconfigured(problems.join("\n"), remedies.join("\n  ")))
}
