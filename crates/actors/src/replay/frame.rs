//! One frame, decided again: everything that it holds has to follow from its commands, and nothing
//! may be left over.

use std::collections::BTreeSet;

use domain::FollowUp;
use event_log::partition_of;
use events::{
    CommandEnvelope, CommandId, CommandSource, DecisionRecord, Envelope, EventId, FollowUpRef,
    Frame, Partition, Position, Sequence,
};
use projections::Inbox;

use super::Difference;
use super::decide::{Decided, States};
use super::views::ViewHistory;
use crate::set_aside::is_set_aside;

/// What was folded of the log so far.
pub(super) struct Folded {
    partitions: u16,
    states: States,
    views: ViewHistory,
    inbox: Inbox,
}

/// How much a frame held.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) decisions: u64,
    pub(super) events: u64,
    pub(super) follow_ups: u64,
}

impl Folded {
    pub(super) fn new(partitions: u16) -> Self {
        Self {
            partitions,
            states: States::default(),
            views: ViewHistory::default(),
            inbox: Inbox::default(),
        }
    }

    /// How many follow-ups no decision has consumed yet.
    pub(super) fn undecided(&self) -> u64 {
        let partitions = (0..self.partitions).map(Partition);
        partitions.map(|partition| self.inbox.pending(partition).count() as u64).sum()
    }

    /// A record without decisions.
    pub(super) fn advance(&mut self, position: Position) {
        self.views.advance(position);
    }

    /// Whether everything that the frame's decisions need was read.
    pub(super) fn can_take(&self, partition: Partition, frame: &Frame) -> bool {
        frame.decisions.iter().all(|decision| {
            let has_command = match &decision.command {
                CommandSource::FollowUp(reference) => {
                    self.inbox.get(partition, *reference).is_some()
                }
                CommandSource::Direct(_) | CommandSource::Submitted { .. } => true,
            };
            let watermark = decision.watermark.as_ref();
            let has_view =
                watermark.is_none_or(|watermark| self.views.has_reached(watermark, partition));
            has_command && has_view
        })
    }

    /// Decides everything in a frame again, and folds it.
    ///
    /// # Errors
    /// The first difference.
    pub(super) fn take(
        &mut self,
        partition: Partition,
        frame: &Frame,
    ) -> Result<Counts, Box<Difference>> {
        let position = Position { partition, sequence: frame.first };
        let mut rest = Rest {
            position,
            sequence: frame.first,
            events: &frame.events,
            follow_ups: &frame.follow_ups,
            decided: BTreeSet::new(),
            ids: BTreeSet::new(),
        };
        for (index, decision) in frame.decisions.iter().enumerate() {
            self.decide(&mut rest, index, decision)?;
        }
        rest.is_empty(frame.decisions.len())?;
        let partitions = self.partitions;
        self.inbox.apply(partition, frame, |aggregate| partition_of(aggregate, partitions));
        if frame.events.is_empty() {
            self.views.advance(position);
        }
        Ok(Counts {
            decisions: frame.decisions.len() as u64,
            events: frame.events.len() as u64,
            follow_ups: frame.follow_ups.len() as u64,
        })
    }

    fn decide(
        &mut self,
        rest: &mut Rest<'_>,
        index: usize,
        decision: &DecisionRecord,
    ) -> Result<(), Box<Difference>> {
        let command = self.command(rest, index, &decision.command)?;
        if decision.events == 0 && decision.refusal.as_deref().is_some_and(is_set_aside) {
            // No decider said so, and none can be asked again.
            return Ok(());
        }
        let view = self.views.at(decision.watermark.as_ref());
        let decided = self.states.decide(&command, decision.time, &view);
        let differs = |what: &str, recorded: String, now: String| {
            Err(rest.difference(index, &command.aggregate.to_string(), what, recorded, now))
        };
        if decided.refusal != decision.refusal {
            return differs("refusal", text(&decision.refusal), text(&decided.refusal));
        }
        if decided.uses_view != decision.watermark.is_some() {
            let says = |is_used: bool| if is_used { "used" } else { "not used" }.to_owned();
            return differs("view", says(decision.watermark.is_some()), says(decided.uses_view));
        }
        let partition = rest.position.partition;
        let own = partition_of(&command.aggregate, self.partitions);
        if own != partition && !decided.events.is_empty() {
            return differs("partition", partition.to_string(), own.to_string());
        }

        let first = self.states.sequence(&command.aggregate) + 1;
        let events = envelopes(&command, decision, &decided, first, rest.sequence);
        let recorded = front(rest.events, decision.events as usize);
        if recorded != events || decision.events as usize != events.len() {
            return differs("events", lines(recorded), lines(&events));
        }
        let follow_ups = follow_ups(&command, decision, &decided.follow_ups, &events, partition);
        let asked = front(rest.follow_ups, follow_ups.len());
        if asked != follow_ups {
            return differs("follow-ups", lines(asked), lines(&follow_ups));
        }
        rest.pass(events.len(), follow_ups.len());
        for envelope in recorded {
            self.states.evolve(envelope);
            self.views.apply(Position { partition, sequence: envelope.sequence }, envelope);
        }
        Ok(())
    }

    /// The command that was decided, unless it was decided before.
    fn command(
        &self,
        rest: &mut Rest<'_>,
        index: usize,
        source: &CommandSource,
    ) -> Result<CommandEnvelope, Box<Difference>> {
        let partition = rest.position.partition;
        let (command, is_new) = match source {
            CommandSource::Direct(command) => (command.clone(), true),
            CommandSource::Submitted { offset, command } => {
                let was_decided = self.inbox.is_submitted_decided(partition, *offset)
                    || self.inbox.was_decided(partition, command.id);
                (command.clone(), rest.ids.insert(command.id) && !was_decided)
            }
            CommandSource::FollowUp(reference) => {
                let pending = self.inbox.get(partition, *reference).cloned();
                let Some(command) = pending else {
                    let recorded = format!("a decision on {reference:?}");
                    return Err(rest.difference(index, "", "causes", recorded, String::new()));
                };
                (command, rest.decided.insert(*reference))
            }
        };
        if is_new {
            return Ok(command);
        }
        let (aggregate, id) = (command.aggregate.to_string(), command.id);
        let recorded = format!("command {id:?} is decided once more");
        Err(rest.difference(index, &aggregate, "commands", recorded, String::new()))
    }
}

/// What no decision of a frame has claimed yet.
struct Rest<'a> {
    position: Position,
    /// That of the next event.
    sequence: Sequence,
    events: &'a [Envelope],
    follow_ups: &'a [CommandEnvelope],
    /// The follow-ups that the frame has decided already.
    decided: BTreeSet<FollowUpRef>,
    /// The submitted commands that it has decided already.
    ids: BTreeSet<CommandId>,
}

impl Rest<'_> {
    fn pass(&mut self, events: usize, follow_ups: usize) {
        self.sequence = self.sequence.plus(events as u64);
        self.events = &self.events[events..];
        self.follow_ups = &self.follow_ups[follow_ups..];
    }

    /// Whatever stands in a frame is folded, so nothing may be left that nobody has decided.
    fn is_empty(&self, decisions: usize) -> Result<(), Box<Difference>> {
        let left_over = |aggregate: String, what: &str, lines: String| {
            Err(self.difference(decisions, &aggregate, what, lines, String::new()))
        };
        if let Some(first) = self.events.first() {
            return left_over(first.aggregate.to_string(), "events", lines(self.events));
        }
        if let Some(first) = self.follow_ups.first() {
            return left_over(first.aggregate.to_string(), "follow-ups", lines(self.follow_ups));
        }
        Ok(())
    }

    fn difference(
        &self,
        decision: usize,
        aggregate: &str,
        what: &str,
        recorded: String,
        decided: String,
    ) -> Box<Difference> {
        let (aggregate, what) = (aggregate.to_owned(), what.to_owned());
        Box::new(Difference {
            position: self.position,
            decision,
            aggregate,
            what,
            recorded,
            decided,
        })
    }
}

/// The events of a decision as they have to stand in the log.
fn envelopes(
    command: &CommandEnvelope,
    decision: &DecisionRecord,
    decided: &Decided,
    first: u64,
    sequence: Sequence,
) -> Vec<Envelope> {
    let envelope = |(index, event): (usize, &events::Event)| Envelope {
        id: EventId::derive(decision.time, command.id, index),
        aggregate: command.aggregate.clone(),
        aggregate_sequence: first + index as u64,
        sequence: sequence.plus(index as u64),
        time: decision.time,
        principal: command.principal.clone(),
        command: command.id,
        index: u32::try_from(index).expect("a decision has fewer events"),
        causation: command.causation,
        correlation: command.correlation,
        traceparent: command.traceparent.clone(),
        event: event.clone(),
    };
    decided.events.iter().enumerate().map(envelope).collect()
}

/// The follow-ups of a decision as they have to stand in the log.
fn follow_ups(
    command: &CommandEnvelope,
    decision: &DecisionRecord,
    decided: &[(usize, FollowUp)],
    events: &[Envelope],
    partition: Partition,
) -> Vec<CommandEnvelope> {
    let follow_up = |(ordinal, (index, follow_up)): (usize, &(usize, FollowUp))| {
        let cause = &events[*index];
        let (kind, data) = follow_up.command.to_parts().expect("follow-ups are plain data");
        CommandEnvelope {
            id: CommandId::follow_up(cause.id, ordinal),
            aggregate: follow_up.to.clone(),
            kind,
            principal: command.principal.clone(),
            time: decision.time,
            causation: Some(cause.id),
            origin: Some(Position { partition, sequence: cause.sequence }),
            correlation: command.correlation,
            traceparent: command.traceparent.clone(),
            data,
        }
    };
    decided.iter().enumerate().map(follow_up).collect()
}

/// The first of them, or as many as there are.
fn front<T>(all: &[T], count: usize) -> &[T] {
    &all[..count.min(all.len())]
}

/// As they stand in the log, one a line.
fn lines<T: serde::Serialize>(all: &[T]) -> String {
    let line = |one| serde_json::to_string(one).unwrap_or_else(|error| error.to_string());
    all.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn text(refusal: &Option<String>) -> String {
    refusal.clone().unwrap_or_else(|| "none".to_owned())
}
