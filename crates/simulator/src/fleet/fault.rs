//! Troubles that tests can put between a client and a cluster.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::ApiError;
use crate::{Reply, Request};

/// What goes wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// 503 ServiceUnavailable. Nothing happens in the cluster.
    Unavailable,
    /// 401 Unauthorized. Nothing happens in the cluster.
    Unauthorized,
    /// 403 Forbidden. Nothing happens in the cluster.
    Forbidden,
    /// 429 TooManyRequests. Nothing happens in the cluster.
    Throttled,
    /// The connection fails before the request arrives.
    Unreachable,
    /// The request is carried out, and the connection fails before the answer arrives.
    LostReply,
    /// The answer takes so long; it is otherwise the usual one.
    Slow(Duration),
    /// There is never an answer.
    Hang,
}

type Rule = dyn Fn(&Request) -> Option<Fault> + Send + Sync;

/// Chooses the fault of each request.
#[derive(Clone)]
pub struct FaultRule(Arc<Rule>);

impl FaultRule {
    /// A rule that looks at the request.
    pub fn new(rule: impl Fn(&Request) -> Option<Fault> + Send + Sync + 'static) -> Self {
        Self(Arc::new(rule))
    }

    pub(super) fn fault_of(&self, request: &Request) -> Option<Fault> {
        (self.0)(request)
    }
}

impl From<Fault> for FaultRule {
    fn from(fault: Fault) -> Self {
        Self::new(move |_| Some(fault.clone()))
    }
}

impl fmt::Debug for FaultRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("FaultRule")
    }
}

impl Fault {
    /// The error that the server answers in place of handling the request.
    pub(super) fn refusal(&self) -> Option<Reply> {
        let error = match self {
            Self::Unavailable => {
                let message = "the server is currently unable to handle the request";
                ApiError::plain(503, "ServiceUnavailable", message)
            }
            Self::Unauthorized => ApiError::plain(401, "Unauthorized", "Unauthorized"),
            Self::Forbidden => ApiError::plain(403, "Forbidden", "access is denied"),
            Self::Throttled => {
                let message = "the server has received too many requests, please try again later";
                ApiError::plain(429, "TooManyRequests", message)
            }
            Self::Unreachable | Self::LostReply | Self::Slow(_) | Self::Hang => return None,
        };
        Some(error.into())
    }
}
