//! Acceptance tests against the real parts.
