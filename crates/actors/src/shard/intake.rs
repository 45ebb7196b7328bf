//! The durable commands of a partition: which of them an entity has to be given, each once.
//!
//! A command is durable as a follow-up in some frame, or because it was submitted to the
//! partition's command stream. It is *taken in* when an entity gets it, and done with when a frame
//! of this partition decides it. In between, the same command may be seen again: by reading on
//! after a take-over, or because it was stored twice. No I/O.

use std::collections::BTreeSet;

use event_log::Accepted;
use events::{CommandEnvelope, CommandSource, FollowUpRef, Partition, Record};
use projections::Inbox;

use crate::ask::{Ask, AskSource};

/// What was taken in and is not decided yet.
#[derive(Debug)]
pub struct Intake {
    partition: Partition,
    follow_ups: BTreeSet<FollowUpRef>,
    submitted: BTreeSet<u64>,
    /// Where the command stream was read up to; `None` before the partition is owned.
    next_offset: Option<u64>,
}

impl Intake {
    /// Nothing was taken in yet.
    #[must_use]
    pub fn new(partition: Partition) -> Self {
        Self {
            partition,
            follow_ups: BTreeSet::new(),
            submitted: BTreeSet::new(),
            next_offset: None,
        }
    }

    /// The partition is owned from now on: everything that waits in its inbox.
    pub fn owned(&mut self, inbox: &Inbox) -> Vec<Ask> {
        let pending = inbox.pending(self.partition);
        let pending = pending.map(|(reference, command)| (*reference, command.clone())).collect();
        self.follow_ups(pending)
    }

    /// From which offset on the command stream has to be read, the first time that this is asked.
    pub fn start_reading(&mut self, inbox: &Inbox) -> Option<u64> {
        if self.next_offset.is_some() {
            return None;
        }
        let from = inbox.commands_before(self.partition);
        self.next_offset = Some(from);
        Some(from)
    }

    /// Follow-ups to this partition were folded. Only an owner may take them in.
    pub fn follow_ups(&mut self, commands: Vec<(FollowUpRef, CommandEnvelope)>) -> Vec<Ask> {
        let new = commands.into_iter().filter(|(reference, _)| self.follow_ups.insert(*reference));
        new.map(|(reference, envelope)| Ask {
            envelope,
            source: AskSource::FollowUp(reference),
            reply: None,
        })
        .collect()
    }

    /// The next entry of the command stream was read. `None` when it is decided already.
    ///
    /// # Errors
    /// When it is no command; it is passed over.
    pub fn submitted(
        &mut self,
        offset: u64,
        bytes: &[u8],
        inbox: &Inbox,
    ) -> Result<Option<Ask>, serde_json::Error> {
        self.next_offset = Some(offset + 1);
        let envelope: CommandEnvelope = serde_json::from_slice(bytes)?;
        let is_decided = inbox.is_submitted_decided(self.partition, offset)
            || inbox.was_decided(self.partition, envelope.id);
        if is_decided {
            return Ok(None);
        }
        self.submitted.insert(offset);
        Ok(Some(Ask { envelope, source: AskSource::Submitted(offset), reply: None }))
    }

    /// A record of this partition counts: what it decided is no longer waited for. Answers with
    /// the offset before which all submitted commands are decided, once that is known.
    pub fn decided(&mut self, accepted: &Accepted) -> Option<u64> {
        let Record::Frame(frame) = &accepted.record else { return None };
        for decision in &frame.decisions {
            match &decision.command {
                CommandSource::FollowUp(reference) => {
                    self.follow_ups.remove(reference);
                }
                CommandSource::Submitted { offset, .. } => {
                    self.submitted.remove(offset);
                }
                CommandSource::Direct(_) => {}
            }
        }
        self.submitted.first().copied().or(self.next_offset)
    }
}
