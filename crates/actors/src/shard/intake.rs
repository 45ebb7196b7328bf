//! The durable commands of a partition: which of them an entity has to be given, each once.
//!
//! A command is durable as a follow-up in some frame, or because it was submitted to the
//! partition's command stream. It is *taken in* when an entity gets it, and done with when a frame
//! of this partition decides it. In between, the same command may be seen again: by reading on
//! after a take-over, or because it was stored twice. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use event_log::Accepted;
use events::{CommandEnvelope, CommandId, CommandSource, FollowUpRef, Partition, Record};
use projections::Inbox;

use crate::ask::{Ask, AskSource};

/// What was taken in and is not decided yet.
#[derive(Debug)]
pub struct Intake {
    partition: Partition,
    follow_ups: BTreeSet<FollowUpRef>,
    submitted: BTreeMap<u64, CommandId>,
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
            submitted: BTreeMap::new(),
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

    /// The next entry of the command stream was read. `None` when it is decided already, or is the
    /// same command as one that is being decided: whoever submits may do so until it is answered.
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
        // Should this owner not decide the first of two, the next one reads both again.
        let is_repeated = self.submitted.values().any(|id| *id == envelope.id);
        if is_decided || is_repeated {
            return Ok(None);
        }
        self.submitted.insert(offset, envelope.id);
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
        let first = self.submitted.first_key_value().map(|(offset, _)| *offset);
        first.or(self.next_offset)
    }
}

#[cfg(test)]
mod tests {
    use events::{AggregateId, CorrelationId, Principal, Timestamp};
    use serde_json::value::RawValue;

    use super::*;

    const HERE: Partition = Partition(0);

    fn submitted(name: &str) -> Vec<u8> {
        let id = CommandId::of_input(name);
        let command = CommandEnvelope {
            id,
            aggregate: AggregateId::Fleet,
            kind: "FoundFleet".to_owned(),
            principal: Principal::System,
            time: Timestamp::UNIX_EPOCH,
            causation: None,
            origin: None,
            correlation: CorrelationId(id.0),
            traceparent: None,
            data: RawValue::from_string("{}".to_owned()).unwrap(),
        };
        serde_json::to_vec(&command).unwrap()
    }

    /// Which of these entries are taken in, by offset.
    fn taken(intake: &mut Intake, entries: &[&str]) -> Vec<u64> {
        let inbox = Inbox::default();
        let take = |(offset, name): (u64, &&str)| {
            let ask = intake.submitted(offset, &submitted(name), &inbox).unwrap()?;
            assert_eq!(ask.source, AskSource::Submitted(offset));
            Some(offset)
        };
        (0..).zip(entries).filter_map(take).collect()
    }

    #[test]
    fn regression_a_command_that_stands_in_the_stream_twice_is_taken_in_once() {
        let mut intake = Intake::new(HERE);
        assert_eq!(taken(&mut intake, &["one", "two", "one", "one"]), [0, 1]);
    }
}
