//! The past: events as they stand in the log, and what a replay of all of them found.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Some events, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventsPage {
    /// The events.
    pub events: Vec<RecordedEvent>,
    /// What to pass as `after` to ask on. Absent when there is no more; otherwise there may be
    /// more, even when this page is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An event and where it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecordedEvent {
    /// Where, as `partition:sequence`.
    pub position: String,
    /// What.
    pub event: CloudEvent,
}

/// An event, in the JSON form of CloudEvents 1.0, as it stands in the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CloudEvent {
    /// Always `1.0`.
    pub specversion: String,
    /// Names the event.
    pub id: String,
    /// Always `/taffrail`.
    pub source: String,
    /// `dev.taffrail.` and the name of the event.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The aggregate that it happened to.
    pub subject: String,
    /// When it was decided.
    pub time: String,
    /// The version of the data's schema.
    pub schemaversion: u32,
    /// The number of the event within its partition.
    pub sequence: u64,
    /// The number of the event within its aggregate.
    pub aggregatesequence: u64,
    /// Who caused it.
    pub principal: String,
    /// The command that was decided.
    pub commandid: String,
    /// The index of the event in the decision.
    pub decisionindex: u32,
    /// The event that led to the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causationid: Option<String>,
    /// Ties together everything that one input set in motion.
    pub correlationid: String,
    /// W3C trace context of the decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// What happened.
    pub data: Value,
}

impl CloudEvent {
    /// The name of the event, such as `PlacementScheduled`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.event_type.rsplit('.').next().unwrap_or(&self.event_type)
    }
}

/// What came of deciding everything on record again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplayReport {
    /// Whether everything came out the same.
    pub clean: bool,
    /// Records that count.
    pub records: u64,
    /// Records that do not.
    pub rejected: u64,
    /// Events that were folded.
    pub events: u64,
    /// Decisions that were decided again.
    pub decisions: u64,
    /// Follow-up commands that were compared.
    pub follow_ups: u64,
    /// Follow-up commands that no decision has consumed yet.
    pub undecided: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// The first decision that came out differently.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_difference: Option<ReplayDifference>,
}

/// A decision that came out differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayDifference {
    /// The frame that it stands in.
    pub position: String,
    /// Its place in that frame.
    pub decision: usize,
    /// What it was about.
    pub aggregate: String,
    /// What differs: `events`, `refusal`, `follow-ups` or `causes`.
    pub what: String,
    /// What is on record.
    pub recorded: String,
    /// What was decided now.
    pub decided: String,
}
