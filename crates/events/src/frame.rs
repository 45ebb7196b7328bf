//! Records: what one entry of a partition holds. A commit is one record.
//!
//! A partition consists of frames, each with whole decisions, and claims, each of which starts an
//! ownership. The first record of partition 0 is the genesis. Which of the records that stand in
//! a log *count* is for the acceptance rule to say (crate `event-log`).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    ChainHash, CommandEnvelope, Envelope, Epoch, Position, Sequence, Timestamp, Watermark,
};

/// The most bytes that a record may have. Brokers are set up for 2 MiB; twice this would still
/// fit one, but no longer the default of clients that read along.
pub const RECORD_BYTES_MAX: usize = 900_000;

/// The most events that a frame may hold, so that a reader's step stays short. Decisions beyond it
/// go into the next frame.
pub const EVENTS_PER_FRAME_MAX: usize = 1_000;

/// The version of the record format that this version writes.
pub const RECORD_FORMAT: u32 = 1;

/// One entry of a partition. UTF-8 JSON on the wire, readable with any tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// The birth of a log.
    Genesis(Genesis),
    /// The start of an ownership.
    Claim(Claim),
    /// Decisions.
    Frame(Box<Frame>),
}

impl Record {
    /// The record as it stands in the log. The hash chain runs over exactly these bytes.
    ///
    /// # Errors
    /// Only when an event cannot be written as JSON; no event of ours is of that kind.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// The latest time in it.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        match self {
            Self::Genesis(genesis) => genesis.time,
            Self::Claim(claim) => claim.time,
            Self::Frame(frame) => {
                frame.decisions.iter().map(|decision| decision.time).max().unwrap_or_default()
            }
        }
    }

    /// Reads a record.
    ///
    /// # Errors
    /// When the bytes are no record, or hold an event that this version does not know.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => serde_json::from_str(text),
            // It says where the text ends that can be read.
            Err(_) => serde_json::from_slice(bytes),
        }
    }
}

/// The first record of partition 0: what this log is, for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Genesis {
    /// Names the deployment.
    pub deployment: Uuid,
    /// How many partitions there are.
    pub partitions: u16,
    /// The record format.
    pub format: u32,
    /// When it was founded.
    pub time: Timestamp,
    /// The hub cluster that it was founded for: the uid of its kube-system namespace. Logs from
    /// before this was written down do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<String>,
}

/// A node takes a partition over. It has no sequence and no previous hash of its own, since the
/// owner before it may still be writing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The epoch that starts: accepted only if it is the current one + 1.
    pub epoch: Epoch,
    /// Who claims.
    pub node: String,
    /// Which run of that node, so that it knows its own claim from that of a former life.
    pub incarnation: Uuid,
    /// The version of Taffrail that claims.
    pub version: String,
    /// When.
    pub time: Timestamp,
}

/// Whole decisions of one owner: their events, the follow-ups that they cause, and by the
/// decisions the commands that they consumed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// The owner's epoch.
    pub epoch: Epoch,
    /// The sequence of the first event. A frame without events takes one sequence.
    pub first: Sequence,
    /// The chain hash of everything accepted before.
    pub previous: ChainHash,
    /// The decisions, in order; their events follow in the same order.
    pub decisions: Vec<DecisionRecord>,
    /// All events.
    pub events: Vec<Envelope>,
    /// Commands to other aggregates that the events cause, durable with them.
    pub follow_ups: Vec<CommandEnvelope>,
    /// All submitted commands of this partition that stand before this place in the command
    /// stream are decided. `None`: as before.
    pub commands_before: Option<u64>,
}

impl Frame {
    /// How many sequences the frame takes.
    #[must_use]
    pub fn span(&self) -> u64 {
        (self.events.len() as u64).max(1)
    }

    /// The sequence after which the next record continues.
    #[must_use]
    pub fn last(&self) -> Sequence {
        self.first.plus(self.span() - 1)
    }
}

/// One decided command. Together with the log before it, it is everything that is needed to decide
/// it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecisionRecord {
    /// What was decided.
    pub command: CommandSource,
    /// The time that the decider was given.
    pub time: Timestamp,
    /// What of the log the decider's views had seen; absent when the decision used none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<Watermark>,
    /// How many of the frame's events it produced.
    pub events: u32,
    /// Why it was refused, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
}

/// Where a decided command came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandSource {
    /// Given to the owner directly.
    Direct(CommandEnvelope),
    /// From the partition's command stream.
    Submitted {
        /// Where it stands in that stream.
        offset: u64,
        /// The command; the stream is not kept for ever.
        command: CommandEnvelope,
    },
    /// A follow-up that stands in an earlier frame of some partition.
    FollowUp(FollowUpRef),
}

/// Names one follow-up command: the frame that holds it and its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FollowUpRef {
    /// The partition of the frame and its first sequence.
    pub frame: Position,
    /// The index within the frame's follow-ups.
    pub ordinal: u32,
}
