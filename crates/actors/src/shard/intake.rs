//! The durable commands of a partition: which of them have to be decided here, each once.
//!
//! A command is durable as a follow-up in some frame, or because it was submitted to the
//! partition's command stream. It is *taken in* when it is put before its aggregate, and done with
//! when a frame of this partition decides it. In between, the same command may be seen again: by
//! reading on after a take-over, or because it was stored twice.
//!
//! Only so many are taken in at once. The others stay where they are, in the inbox or in the
//! stream, and are fetched from there in the order of their references when there is room: so the
//! follow-ups of one partition to one aggregate never overtake each other. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use event_log::Accepted;
use events::{CommandEnvelope, CommandId, CommandSource, FollowUpRef, Partition, Record};
use projections::Inbox;

use super::bounds::Bounds;
use crate::ask::AskSource;

/// A command, and how it came here.
pub(super) type Taken = (CommandEnvelope, AskSource);

/// What was taken in and is not decided yet.
#[derive(Debug)]
pub(super) struct Intake {
    partition: Partition,
    bounds: Bounds,
    follow_ups: BTreeSet<FollowUpRef>,
    /// Whether the inbox holds follow-ups for which there was no room.
    has_more: bool,
    submitted: BTreeMap<u64, CommandId>,
    submitted_ids: BTreeSet<CommandId>,
    /// Where the command stream was read up to; `None` before the partition is owned.
    next_offset: Option<u64>,
}

impl Intake {
    /// Nothing was taken in yet.
    pub(super) fn new(partition: Partition, bounds: Bounds) -> Self {
        Self {
            partition,
            bounds,
            follow_ups: BTreeSet::new(),
            has_more: false,
            submitted: BTreeMap::new(),
            submitted_ids: BTreeSet::new(),
            next_offset: None,
        }
    }

    /// What waits in the partition's inbox and was not taken in, as far as there is room. Only an
    /// owner may ask.
    pub(super) fn pending(&mut self, inbox: &Inbox) -> Vec<Taken> {
        self.has_more = false;
        let mut taken = vec![];
        for (reference, command) in inbox.pending(self.partition) {
            if self.follow_ups.contains(reference) {
                continue;
            }
            if !self.has_room() {
                self.has_more = true;
                break;
            }
            self.follow_ups.insert(*reference);
            taken.push((command.clone(), AskSource::FollowUp(*reference)));
        }
        taken
    }

    /// Whether more of the inbox should be taken in now.
    pub(super) fn wants_pending(&self) -> bool {
        self.has_more && self.follow_ups.len() <= self.bounds.follow_ups / 2
    }

    fn has_room(&self) -> bool {
        self.follow_ups.len() < self.bounds.follow_ups
    }

    /// Follow-ups to this partition were folded. Only an owner may take them in. Those for which
    /// there is no room wait in the inbox, and so does everything behind them.
    pub(super) fn follow_ups(
        &mut self,
        commands: Vec<(FollowUpRef, CommandEnvelope)>,
    ) -> Vec<Taken> {
        let mut taken = vec![];
        for (reference, command) in commands {
            self.has_more |= !self.has_room();
            if !self.has_more && self.follow_ups.insert(reference) {
                taken.push((command, AskSource::FollowUp(reference)));
            }
        }
        taken
    }

    /// From which offset on the command stream has to be read, the first time that this is asked.
    pub(super) fn start_reading(&mut self, inbox: &Inbox) -> Option<u64> {
        if self.next_offset.is_some() {
            return None;
        }
        let from = inbox.commands_before(self.partition);
        self.next_offset = Some(from);
        Some(from)
    }

    /// Whether the next entry of the command stream may be read.
    pub(super) fn wants_submitted(&self) -> bool {
        self.submitted.len() < self.bounds.submitted
    }

    /// The next entry of the command stream was read. `None` when it is decided already, or is the
    /// same command as one that is being decided: whoever submits may do so until it is answered.
    ///
    /// # Errors
    /// When it is no command; it is passed over.
    pub(super) fn submitted(
        &mut self,
        offset: u64,
        bytes: &[u8],
        inbox: &Inbox,
    ) -> Result<Option<Taken>, serde_json::Error> {
        self.next_offset = Some(offset.saturating_add(1));
        let envelope: CommandEnvelope = serde_json::from_slice(bytes)?;
        let is_decided = inbox.is_submitted_decided(self.partition, offset)
            || inbox.was_decided(self.partition, envelope.id);
        // Should this owner not decide the first of two, the next one reads both again.
        if is_decided || !self.submitted_ids.insert(envelope.id) {
            return Ok(None);
        }
        self.submitted.insert(offset, envelope.id);
        Ok(Some((envelope, AskSource::Submitted(offset))))
    }

    /// A record of this partition counts: what it decided is no longer waited for. Answers with
    /// the offset before which all submitted commands are decided, once that is known.
    pub(super) fn decided(&mut self, accepted: &Accepted) -> Option<u64> {
        let Record::Frame(frame) = &accepted.record else { return None };
        for decision in &frame.decisions {
            match &decision.command {
                CommandSource::FollowUp(reference) => self.forget(AskSource::FollowUp(*reference)),
                CommandSource::Submitted { offset, .. } => {
                    self.forget(AskSource::Submitted(*offset));
                }
                CommandSource::Direct(_) => {}
            }
        }
        let first = self.submitted.first_key_value().map(|(offset, _)| *offset);
        first.or(self.next_offset)
    }

    /// A command is not waited for any more.
    pub(super) fn forget(&mut self, source: AskSource) {
        match source {
            AskSource::FollowUp(reference) => {
                self.follow_ups.remove(&reference);
            }
            AskSource::Submitted(offset) => {
                if let Some(id) = self.submitted.remove(&offset) {
                    self.submitted_ids.remove(&id);
                }
            }
            AskSource::Direct => {}
        }
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
            let (_, source) = intake.submitted(offset, &submitted(name), &inbox).unwrap()?;
            assert_eq!(source, AskSource::Submitted(offset));
            Some(offset)
        };
        (0..).zip(entries).filter_map(take).collect()
    }

    #[test]
    fn regression_a_command_that_stands_in_the_stream_twice_is_taken_in_once() {
        let mut intake = Intake::new(HERE, Bounds::default());
        assert_eq!(taken(&mut intake, &["one", "two", "one", "one"]), [0, 1]);
    }
}
