//! What a shard is told.

use std::sync::Arc;

use actix::prelude::*;
use bytes::Bytes;
use event_log::{Accepted, Acceptor};
use events::{CommandEnvelope, FollowUpRef};

use crate::ask::Ask;

/// The folder tells a new shard where the partition stands.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Start {
    /// What is folded so far.
    pub acceptor: Acceptor,
}

/// A record of the partition counts.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Folded {
    /// The record.
    pub accepted: Arc<Accepted>,
}

/// A record of the partition does not count.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Rejected {
    /// The record.
    pub bytes: Bytes,
}

/// Follow-ups for this partition were folded.
#[derive(Message)]
#[rtype(result = "()")]
pub struct InboxMoved {
    /// The commands, in order.
    pub commands: Vec<(FollowUpRef, CommandEnvelope)>,
}

/// A command for an entity of this partition.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Route(pub Ask);

/// Ends the shard: nothing new is taken in; what is in the log is waited for.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Stop;

/// There may be something to do. It stands behind what is in the mailbox already, so commands that
/// arrive together are decided together.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Flush;

/// An entry of the command stream was read. Answered when the next one may be.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Submitted {
    pub(super) offset: u64,
    pub(super) bytes: Bytes,
}
