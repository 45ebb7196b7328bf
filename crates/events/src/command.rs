//! Commands as they travel: in the log's inbox and in the frames that cause them.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{AggregateId, CommandId, CorrelationId, EventId, Position, Principal, Timestamp};

/// A request to one aggregate. The payload is the domain's; here it is opaque JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CommandEnvelope {
    /// Decided at most once.
    pub id: CommandId,
    /// Whom it asks.
    pub aggregate: AggregateId,
    /// What it asks: the name of the domain's command, such as `AssignDelivery`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Who asks.
    pub principal: Principal,
    /// When it was issued.
    pub time: Timestamp,
    /// The event that led to it, for follow-ups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation: Option<EventId>,
    /// Where that event stands in the log: the evidence for what a follow-up says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Position>,
    /// The input that started it all.
    pub correlation: CorrelationId,
    /// W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The domain's payload.
    pub data: Box<RawValue>,
}

impl PartialEq for CommandEnvelope {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
            && self.aggregate == other.aggregate
            && self.kind == other.kind
            && self.principal == other.principal
            && self.time == other.time
            && self.causation == other.causation
            && self.origin == other.origin
            && self.correlation == other.correlation
            && self.traceparent == other.traceparent
            && self.data.get() == other.data.get()
    }
}
