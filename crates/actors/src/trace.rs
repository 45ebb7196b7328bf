//! Trace context: how the spans of one change find together, across the log and across nodes.
//!
//! A command carries the W3C `traceparent` of whoever asked; its events and follow-ups carry it on.
//! Spans about them *adopt* it. The binary knows the tracing backend and installs a bridge to it;
//! without one, nothing is carried and spans are on their own.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use events::{AggregateId, Record};
use tracing::Span;

/// What a tracing backend can do.
#[derive(Debug, Clone, Copy)]
pub struct TraceBridge {
    /// Gives the `traceparent` of the current span.
    pub current: fn() -> Option<String>,
    /// Makes a span a part of the trace that a `traceparent` names.
    pub adopt: fn(&Span, &str),
}

static BRIDGE: OnceLock<TraceBridge> = OnceLock::new();

/// Installs the bridge. The first call counts.
pub fn install(bridge: TraceBridge) {
    if BRIDGE.set(bridge).is_err() {
        tracing::debug!("a bridge to a tracing backend is installed already");
    }
}

/// The `traceparent` of the current span.
#[must_use]
pub fn current_traceparent() -> Option<String> {
    BRIDGE.get().and_then(|bridge| (bridge.current)())
}

/// The span, as a part of the trace that `traceparent` names.
#[must_use]
pub fn adopted(span: Span, traceparent: Option<&str>) -> Span {
    if let (Some(bridge), Some(traceparent)) = (BRIDGE.get(), traceparent)
        && !span.is_disabled()
    {
        (bridge.adopt)(&span, traceparent);
    }
    span
}

/// The trace context that each aggregate was last changed with in a record.
pub(crate) fn traceparents(record: &Record) -> BTreeMap<AggregateId, String> {
    let Record::Frame(frame) = record else { return BTreeMap::new() };
    let with_context = frame.events.iter().filter_map(|event| {
        let traceparent = event.traceparent.clone()?;
        Some((event.aggregate.clone(), traceparent))
    });
    with_context.collect()
}
