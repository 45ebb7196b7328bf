//! The time that all clusters of a fleet share.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use tokio::time::Instant;

use crate::time::after;

/// Flows with tokio's clock, or stands until it is set.
#[derive(Debug)]
pub(super) enum Clock {
    Flowing { start: Timestamp, begun: Instant },
    Manual(Mutex<Timestamp>),
}

impl Clock {
    pub(super) fn flowing(start: Timestamp) -> Self {
        Self::Flowing { start, begun: Instant::now() }
    }

    pub(super) fn manual(start: Timestamp) -> Self {
        Self::Manual(Mutex::new(start))
    }

    pub(super) fn now(&self) -> Timestamp {
        match self {
            Self::Flowing { start, begun } => after(*start, begun.elapsed()),
            Self::Manual(now) => *now.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Sets manual time; flowing time cannot be set.
    pub(super) fn set(&self, time: Timestamp) {
        match self {
            Self::Flowing { .. } => {}
            Self::Manual(now) => *now.lock().unwrap_or_else(PoisonError::into_inner) = time,
        }
    }
}
