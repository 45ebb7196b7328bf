//! Commands that are durable but not decided yet, for all partitions: a pure fold of frames.
//!
//! A frame of partition `p` asks other aggregates for something by its follow-ups; the frame of
//! partition `q` that decides such a follow-up names it. Between the two it is *pending* in `q`.
//! Partitions are read independently, so the answer may be folded before the question: it is
//! remembered as *early* until the question comes, and then both are forgotten.
//!
//! Commands that were submitted to a partition are counted by their offset in its command stream,
//! and the last of their ids are remembered, so that the same command is decided once.
//!
//! **Invariants.** The order in which the frames of different partitions are folded does not
//! matter. What is pending was asked for and not decided; nothing is ever dropped to make room.
//! The inbox is small as long as the partitions are read about evenly: whoever reads one partition
//! to its end before the next holds everything that they ask of each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use events::{
    AggregateId, CommandEnvelope, CommandId, CommandSource, FollowUpRef, Frame, Partition, Position,
};

/// How many ids of decided submitted commands are remembered for each partition: the promise that
/// the same id is decided once reaches this far, and no further. Producers retry for seconds, not
/// for days: at 1,000 commands a second this is ten seconds. At twice this, 32 partitions would
/// hold 20 MB of ids. What was forgotten is told by its offset alone, so an entry of the command
/// stream is decided once for ever; only a producer that submits the same id again, more than this
/// many commands later, is taken for a new one. Every reader forgets at the same place.
pub const DECIDED_IDS_PER_PARTITION_MAX: usize = 10_000;

/// Commands that are durable but not decided yet, and what is needed to decide each of them once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inbox {
    pending: BTreeMap<(Partition, FollowUpRef), CommandEnvelope>,
    early: BTreeSet<FollowUpRef>,
    submitted: BTreeMap<Partition, Submitted>,
}

/// What was decided of the commands submitted to one partition.
#[derive(Debug, Clone, Default, PartialEq)]
struct Submitted {
    /// Everything before this offset is decided.
    before: u64,
    /// Offsets from `before` on that are decided as well.
    decided: BTreeSet<u64>,
    recent: RecentIds,
}

/// A ring of the last ids, in the order in which they were decided.
#[derive(Debug, Clone, Default, PartialEq)]
struct RecentIds {
    ring: VecDeque<CommandId>,
    known: BTreeSet<CommandId>,
    /// How many were ever remembered: the number that the next one gets.
    next: u64,
}

/// One step of an inbox, for those who keep a copy of it elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InboxChange {
    /// A follow-up became pending.
    Asked(FollowUpRef),
    /// A pending follow-up was decided.
    Decided(FollowUpRef),
    /// A follow-up was decided whose frame was not folded yet.
    DecidedEarly(FollowUpRef),
    /// The frame of a follow-up came that was decided early: nothing is left of it.
    Paired(FollowUpRef),
    /// A submitted command was decided.
    OffsetDecided(Partition, u64),
    /// The offset lies before `commands_before` now.
    OffsetForgotten(Partition, u64),
    /// Everything submitted before this offset is decided.
    CommandsBefore(Partition, u64),
    /// The id of a submitted command is remembered under this number.
    IdRemembered(Partition, u64, CommandId),
    /// The id of this number is no longer remembered.
    IdForgotten(Partition, u64),
}

impl Inbox {
    /// Folds an accepted frame of `partition`. Says what changed.
    pub fn apply(
        &mut self,
        partition: Partition,
        frame: &Frame,
        partition_of: impl Fn(&AggregateId) -> Partition,
    ) -> Vec<InboxChange> {
        let mut changes = Vec::new();
        let at = Position { partition, sequence: frame.first };
        for (ordinal, command) in (0..).zip(&frame.follow_ups) {
            let reference = FollowUpRef { frame: at, ordinal };
            let to = partition_of(&command.aggregate);
            changes.push(self.ask(to, reference, || command.clone()));
        }
        for decision in &frame.decisions {
            match &decision.command {
                CommandSource::Direct(_) => {}
                CommandSource::FollowUp(reference) => {
                    changes.push(self.decide(partition, *reference));
                }
                CommandSource::Submitted { offset, command } => {
                    self.submitted(partition).decide(partition, *offset, command.id, &mut changes);
                }
            }
        }
        if let Some(before) = frame.commands_before
            && before > self.commands_before(partition)
        {
            self.submitted(partition).move_before(partition, before, &mut changes);
        }
        changes
    }

    /// Routes what was asked while nobody knew how many partitions there are. Says what changed.
    pub(crate) fn route(
        &mut self,
        from: Partition,
        partition_of: impl Fn(&AggregateId) -> Partition,
    ) -> Vec<InboxChange> {
        let unrouted: Vec<FollowUpRef> =
            self.pending(from).map(|(reference, _)| *reference).collect();
        let mut changes = Vec::new();
        for reference in unrouted {
            let Some(command) = self.pending.remove(&(from, reference)) else { continue };
            let to = partition_of(&command.aggregate);
            let change = self.ask(to, reference, || command);
            if change == InboxChange::Paired(reference) {
                changes.extend([InboxChange::Decided(reference), change]);
            }
        }
        changes
    }

    /// Puts a pending follow-up back that was kept elsewhere. So do the others.
    pub(crate) fn restore_pending(
        &mut self,
        to: Partition,
        reference: FollowUpRef,
        command: CommandEnvelope,
    ) {
        self.pending.insert((to, reference), command);
    }

    pub(crate) fn restore_early(&mut self, reference: FollowUpRef) {
        self.early.insert(reference);
    }

    pub(crate) fn restore_commands_before(&mut self, partition: Partition, before: u64) {
        self.submitted(partition).before = before;
    }

    pub(crate) fn restore_decided(&mut self, partition: Partition, offset: u64) {
        self.submitted(partition).decided.insert(offset);
    }

    /// Ids come in the order of their numbers. More than are kept may come: answers with the
    /// numbers of those that are not.
    pub(crate) fn restore_ids(
        &mut self,
        partition: Partition,
        first: u64,
        ids: Vec<CommandId>,
    ) -> Vec<u64> {
        let recent = &mut self.submitted(partition).recent;
        recent.next = first;
        let forgotten = ids.into_iter().filter_map(|id| {
            recent.remember(id);
            recent.forget_beyond(DECIDED_IDS_PER_PARTITION_MAX)
        });
        forgotten.collect()
    }

    fn ask(
        &mut self,
        to: Partition,
        reference: FollowUpRef,
        command: impl FnOnce() -> CommandEnvelope,
    ) -> InboxChange {
        if self.early.remove(&reference) {
            return InboxChange::Paired(reference);
        }
        self.pending.insert((to, reference), command());
        InboxChange::Asked(reference)
    }

    fn decide(&mut self, partition: Partition, reference: FollowUpRef) -> InboxChange {
        if self.pending.remove(&(partition, reference)).is_some() {
            return InboxChange::Decided(reference);
        }
        self.early.insert(reference);
        InboxChange::DecidedEarly(reference)
    }

    fn submitted(&mut self, partition: Partition) -> &mut Submitted {
        self.submitted.entry(partition).or_default()
    }

    /// The follow-ups that wait for a decision of `partition`, in the order of their references.
    pub fn pending(
        &self,
        partition: Partition,
    ) -> impl Iterator<Item = (&FollowUpRef, &CommandEnvelope)> {
        let first = FollowUpRef { frame: Position::default(), ordinal: 0 };
        self.pending
            .range((partition, first)..)
            .take_while(move |((to, _), _)| *to == partition)
            .map(|((_, reference), command)| (reference, command))
    }

    /// A follow-up that waits for a decision of `partition`.
    #[must_use]
    pub fn get(&self, partition: Partition, reference: FollowUpRef) -> Option<&CommandEnvelope> {
        self.pending.get(&(partition, reference))
    }

    /// Everything submitted to `partition` before this offset is decided.
    #[must_use]
    pub fn commands_before(&self, partition: Partition) -> u64 {
        self.submitted.get(&partition).map_or(0, |submitted| submitted.before)
    }

    /// Whether the command at this offset of the partition's command stream is decided.
    #[must_use]
    pub fn is_submitted_decided(&self, partition: Partition, offset: u64) -> bool {
        self.submitted.get(&partition).is_some_and(|submitted| {
            offset < submitted.before || submitted.decided.contains(&offset)
        })
    }

    /// Whether a submitted command with this id was decided by `partition`, as far as it is
    /// remembered: see [`DECIDED_IDS_PER_PARTITION_MAX`].
    #[must_use]
    pub fn was_decided(&self, partition: Partition, command: CommandId) -> bool {
        self.submitted
            .get(&partition)
            .is_some_and(|submitted| submitted.recent.known.contains(&command))
    }

    /// How many follow-ups were decided in frames that were folded before those that ask for them.
    /// It rises only while the partitions are read unevenly.
    #[must_use]
    pub fn early(&self) -> usize {
        self.early.len()
    }
}

impl Submitted {
    fn decide(
        &mut self,
        partition: Partition,
        offset: u64,
        id: CommandId,
        changes: &mut Vec<InboxChange>,
    ) {
        if offset >= self.before && self.decided.insert(offset) {
            changes.push(InboxChange::OffsetDecided(partition, offset));
        }
        if let Some(number) = self.recent.remember(id) {
            changes.push(InboxChange::IdRemembered(partition, number, id));
        }
        if let Some(number) = self.recent.forget_beyond(DECIDED_IDS_PER_PARTITION_MAX) {
            changes.push(InboxChange::IdForgotten(partition, number));
        }
    }

    /// To a later offset.
    fn move_before(&mut self, partition: Partition, before: u64, changes: &mut Vec<InboxChange>) {
        self.before = before;
        let still = self.decided.split_off(&before);
        let passed = std::mem::replace(&mut self.decided, still);
        changes.extend(passed.iter().map(|at| InboxChange::OffsetForgotten(partition, *at)));
        changes.push(InboxChange::CommandsBefore(partition, before));
    }
}

impl RecentIds {
    /// Remembers an id. Answers with its number unless it is known already.
    fn remember(&mut self, id: CommandId) -> Option<u64> {
        if !self.known.insert(id) {
            return None;
        }
        self.ring.push_back(id);
        let number = self.next;
        self.next += 1;
        Some(number)
    }

    /// Forgets the oldest id when there are more than `max`. Answers with its number.
    fn forget_beyond(&mut self, max: usize) -> Option<u64> {
        if self.ring.len() <= max {
            return None;
        }
        let oldest = self.ring.pop_front()?;
        self.known.remove(&oldest);
        Some(self.next - self.ring.len() as u64 - 1)
    }
}

#[cfg(test)]
mod tests {
    use events::{ChainHash, CorrelationId, DecisionRecord, Epoch, Principal, Sequence, Timestamp};
    use serde_json::value::RawValue;

    use super::*;

    const HERE: Partition = Partition(0);

    /// A frame that decides commands submitted at these offsets.
    fn frame(offsets: &[u64], commands_before: Option<u64>) -> Frame {
        let decision = |offset: &u64| {
            let id = CommandId::of_input(&offset.to_string());
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
                data: RawValue::from_string("{}".to_owned()).expect("an empty object is JSON"),
            };
            DecisionRecord {
                command: CommandSource::Submitted { offset: *offset, command },
                time: Timestamp::UNIX_EPOCH,
                watermark: None,
                events: 0,
                refusal: None,
            }
        };
        Frame {
            epoch: Epoch(1),
            first: Sequence(1),
            previous: ChainHash::default(),
            decisions: offsets.iter().map(decision).collect(),
            events: vec![],
            follow_ups: vec![],
            commands_before,
        }
    }

    fn after(frames: &[Frame]) -> Inbox {
        let mut inbox = Inbox::default();
        for frame in frames {
            inbox.apply(HERE, frame, |_| HERE);
        }
        inbox
    }

    fn decided(inbox: &Inbox) -> Vec<u64> {
        (0..10).filter(|offset| inbox.is_submitted_decided(HERE, *offset)).collect()
    }

    #[test]
    fn the_cursor_passes_what_lies_before_it_and_nothing_else() {
        let inbox = after(&[frame(&[2, 5, 6, 7], None), frame(&[], Some(6))]);
        assert_eq!(decided(&inbox), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(inbox.submitted[&HERE].decided, BTreeSet::from([6, 7]));
    }

    /// As after a command that was stored twice: the second one is decided to be nothing.
    #[test]
    fn a_decision_behind_the_cursor_leaves_nothing() {
        let mut inbox = after(&[frame(&[3], Some(4))]);
        let before = inbox.clone();
        assert_eq!(inbox.apply(HERE, &frame(&[3], None), |_| HERE), []);
        assert_eq!(inbox, before);
    }

    #[test]
    fn the_cursor_never_falls() {
        let inbox = after(&[frame(&[], Some(6)), frame(&[], Some(4))]);
        assert_eq!(inbox.commands_before(HERE), 6);
        assert_eq!(after(&[frame(&[], Some(0))]), Inbox::default());
    }

    #[test]
    fn ids_are_forgotten_in_order_and_by_number() {
        let mut ids = RecentIds::default();
        let id = |n: u64| CommandId::of_input(&n.to_string());
        for n in 0..5 {
            assert_eq!(ids.remember(id(n)), Some(n));
        }
        assert_eq!(ids.remember(id(3)), None);
        assert_eq!(ids.forget_beyond(5), None);
        assert_eq!(ids.forget_beyond(4), Some(0));
        assert_eq!(ids.forget_beyond(3), Some(1));
        assert_eq!(ids.known, [2, 3, 4].map(id).into());
    }
}
