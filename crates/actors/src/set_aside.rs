//! Commands that are set aside: what would decide them fails, or what they lead to can never be
//! recorded.
//!
//! A durable command is decided exactly once, so one that cannot be decided must not be tried for
//! ever: it is refused, and the refusal is on record like any other. Its words say that it was no
//! decider that said no, so that a replay does not ask one. What was not durable is refused the
//! same way, and forgotten.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};

use events::AggregateId;
use serde_json::value::RawValue;

use crate::entity::Request;

const WORDS: &str = "set aside: ";

/// How many characters of a command's name are kept when its size is why it is set aside. No name
/// of ours is half as long.
const KIND_CHARS_MAX: usize = 64;

static COUNT: AtomicU64 = AtomicU64::new(0);

/// Whether a refusal on record says that the command was set aside.
#[must_use]
pub fn is_set_aside(refusal: &str) -> bool {
    refusal.starts_with(WORDS)
}

/// How many commands this process has set aside. Each is in its log as an error.
#[must_use]
pub fn commands_set_aside() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

/// The refusal of a command that is set aside.
pub(crate) fn because(aggregate: &AggregateId, kind: &str, reason: &str) -> String {
    COUNT.fetch_add(1, Ordering::Relaxed);
    tracing::error!(%aggregate, command = kind, reason, "a command is set aside");
    format!("{WORDS}{reason}")
}

/// The command without what makes it large: enough to know which it was.
pub(crate) fn shortened(mut request: Request) -> Request {
    let mut envelope = (*request.envelope).clone();
    envelope.data = RawValue::NULL.to_owned();
    envelope.kind = envelope.kind.chars().take(KIND_CHARS_MAX).collect();
    envelope.traceparent = None;
    request.envelope = envelope.into();
    request
}

/// What somebody said who panicked.
pub(crate) fn words_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it did not say why")
}
