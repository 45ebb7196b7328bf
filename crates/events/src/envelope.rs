//! The envelope around an event, and its wire form: a CloudEvent in JSON.

use std::borrow::Cow;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::event::Data;
use crate::{
    AggregateId, CommandId, CorrelationId, Event, EventId, Principal, Sequence, Timestamp,
};

/// The CloudEvents `source` of everything that Taffrail records.
pub const SOURCE: &str = "/taffrail";

/// The prefix of the CloudEvents `type`; the event's name follows.
pub const TYPE_PREFIX: &str = "dev.taffrail.";

/// An event with everything that is known about it. Its partition is that of its log.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// Names the event.
    pub id: EventId,
    /// What it happened to.
    pub aggregate: AggregateId,
    /// The number of the event within its aggregate, from 1, without holes.
    pub aggregate_sequence: u64,
    /// The number of the event within its partition, from 1, without holes.
    pub sequence: Sequence,
    /// When it was decided.
    pub time: Timestamp,
    /// Who caused it.
    pub principal: Principal,
    /// The command that was decided.
    pub command: CommandId,
    /// The index of the event in the decision.
    pub index: u32,
    /// The event that led to the command.
    pub causation: Option<EventId>,
    /// The input that started it all.
    pub correlation: CorrelationId,
    /// W3C trace context of the decision.
    pub traceparent: Option<String>,
    /// What happened.
    pub event: Event,
}

/// The CloudEvents JSON form, as it is written. Extension attributes are lower-case alphanumerics,
/// as the specification demands.
#[derive(Serialize)]
struct Written<'a> {
    specversion: &'static str,
    id: EventId,
    source: &'static str,
    #[serde(rename = "type")]
    kind: Kind,
    subject: &'a AggregateId,
    time: Timestamp,
    schemaversion: u32,
    sequence: Sequence,
    aggregatesequence: u64,
    principal: &'a Principal,
    commandid: CommandId,
    decisionindex: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    causationid: Option<EventId>,
    correlationid: CorrelationId,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    data: Data<'a>,
}

/// The same, as it is read: whatever can stays where it stands.
#[derive(Deserialize)]
struct Read<'a> {
    id: EventId,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    subject: AggregateId,
    time: Timestamp,
    schemaversion: u32,
    sequence: Sequence,
    aggregatesequence: u64,
    principal: Principal,
    commandid: CommandId,
    decisionindex: u32,
    #[serde(default)]
    causationid: Option<EventId>,
    correlationid: CorrelationId,
    #[serde(default)]
    traceparent: Option<String>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// The CloudEvents `type` of an event of this name.
struct Kind(&'static str);

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{TYPE_PREFIX}{}", self.0))
    }
}

impl Serialize for Envelope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event_type = self.event.event_type();
        Written {
            specversion: "1.0",
            id: self.id,
            source: SOURCE,
            kind: Kind(event_type.name),
            subject: &self.aggregate,
            time: self.time,
            schemaversion: event_type.version,
            sequence: self.sequence,
            aggregatesequence: self.aggregate_sequence,
            principal: &self.principal,
            commandid: self.command,
            decisionindex: self.index,
            causationid: self.causation,
            correlationid: self.correlation,
            traceparent: self.traceparent.as_deref(),
            data: Data(&self.event),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Read::deserialize(deserializer)?;
        let kind = wire.kind.strip_prefix(TYPE_PREFIX).unwrap_or(&wire.kind);
        let event =
            Event::from_data(kind, wire.schemaversion, wire.data).map_err(D::Error::custom)?;
        Ok(Self {
            id: wire.id,
            aggregate: wire.subject,
            aggregate_sequence: wire.aggregatesequence,
            sequence: wire.sequence,
            time: wire.time,
            principal: wire.principal,
            command: wire.commandid,
            index: wire.decisionindex,
            causation: wire.causationid,
            correlation: wire.correlationid,
            traceparent: wire.traceparent,
            event,
        })
    }
}
