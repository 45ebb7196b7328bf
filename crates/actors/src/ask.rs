//! Asking an aggregate for something: the request, and what comes back.

use domain::{CommandError, DomainCommand};
use events::{
    CommandEnvelope, CommandId, CorrelationId, Envelope, FollowUpRef, Principal, Timestamp,
};
use tokio::sync::oneshot;
use uuid::Uuid;

/// A command of somebody who waits for the answer.
#[derive(Debug)]
pub struct Ask {
    /// The command.
    pub envelope: CommandEnvelope,
    /// Who waits for the answer.
    pub reply: oneshot::Sender<Answer>,
}

/// How a command came to the owner of its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskSource {
    /// Directly. Its sender still knows it, and asks again after a crash.
    Direct,
    /// From the partition's command stream, where it stands at this offset.
    Submitted(u64),
    /// From a frame.
    FollowUp(FollowUpRef),
}

impl AskSource {
    /// Whether the command is durable: its decision must then be recorded even when nothing
    /// follows from it, so that it is not decided again.
    #[must_use]
    pub fn is_durable(self) -> bool {
        match self {
            Self::Direct => false,
            Self::Submitted(_) | Self::FollowUp(_) => true,
        }
    }
}

/// What came of a command.
pub type Answer = Result<Vec<Envelope>, AskError>;

/// Why a command was not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The aggregate said no.
    #[error("{0}")]
    Refused(String),
    /// Too many commands wait for this aggregate. Nothing happened; ask again later.
    #[error("too many commands wait for {aggregate}; try again")]
    Busy {
        /// Which.
        aggregate: String,
    },
    /// This node does not own the aggregate's partition (any more). What was asked may or may not
    /// have happened; the new owner sees the same inputs.
    #[error("this hub does not own {aggregate} now")]
    NotOwner {
        /// Which.
        aggregate: String,
    },
    /// The decision does not fit a record.
    #[error("the decision on {aggregate} takes {bytes} bytes, more than a record may have")]
    TooLarge {
        /// Which.
        aggregate: String,
        /// How many.
        bytes: usize,
    },
    /// The command cannot be read.
    #[error("{0}")]
    Unreadable(String),
}

/// Puts a command of this node's own into an envelope.
///
/// # Errors
/// When the command cannot be written as JSON; no command of ours is of that kind.
pub fn envelope(
    aggregate: events::AggregateId,
    command: &DomainCommand,
    origin: &Origin,
) -> Result<CommandEnvelope, CommandError> {
    let (kind, data) = command.to_parts()?;
    Ok(CommandEnvelope {
        id: CommandId(origin.id),
        aggregate,
        kind,
        principal: origin.principal.clone(),
        time: origin.time,
        causation: None,
        origin: None,
        correlation: CorrelationId(origin.id),
        traceparent: origin.traceparent.clone(),
        data,
    })
}

/// Where a command comes from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Names the command, and with it everything that follows.
    pub id: Uuid,
    /// Who.
    pub principal: Principal,
    /// When.
    pub time: Timestamp,
    /// W3C trace context.
    pub traceparent: Option<String>,
}
