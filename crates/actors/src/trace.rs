//! Trace context: where the W3C `traceparent` of the current span comes from. The binary knows the
//! tracing backend and installs its source; without one, commands carry none.

use std::sync::OnceLock;

/// Gives the `traceparent` of the current span.
pub type TraceparentSource = fn() -> Option<String>;

static SOURCE: OnceLock<TraceparentSource> = OnceLock::new();

/// Installs the source. The first call counts.
pub fn install(source: TraceparentSource) {
    if SOURCE.set(source).is_err() {
        tracing::debug!("a source of trace context is installed already");
    }
}

/// The `traceparent` of the current span.
#[must_use]
pub fn current_traceparent() -> Option<String> {
    SOURCE.get().and_then(|source| source())
}
