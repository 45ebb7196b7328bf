//! The inbox is a function of the records, not of the order in which partitions are read.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::support::{
    Ask, MiniHub, Step, acts, behind_the_back, cluster, fold, partition_of, perform, refold, write,
};
use domain::cluster::{ClusterCommand, RemoveCluster};
use events::{CommandId, CommandSource, FollowUpRef, Partition, Position};
use projections::{DECIDED_IDS_PER_PARTITION_MAX, Inbox, Model, Store};
use proptest::collection::vec;
use proptest::prelude::*;

const PARTITIONS: u16 = 4;

/// Merges the partitions in another order: each number says which of them goes on.
fn interleave(steps: &[Step], choices: &[usize]) -> Vec<Step> {
    let mut queues: BTreeMap<Partition, VecDeque<Step>> = BTreeMap::new();
    for step in steps {
        queues.entry(step.partition).or_default().push_back(step.clone());
    }
    let mut merged = vec![];
    for choice in choices.iter().cycle() {
        let Some(partition) = queues.keys().nth(choice % queues.len().max(1)).copied() else {
            break;
        };
        let queue = queues.get_mut(&partition).unwrap();
        // Several in a row, so that partitions drift apart.
        let some = queue.len().min(1 + choice / 8);
        merged.extend(queue.drain(..some));
        if queue.is_empty() {
            queues.remove(&partition);
        }
    }
    merged
}

/// What is pending, from first principles: asked and not decided.
fn pending_by_sets(steps: &[Step]) -> BTreeSet<(Partition, FollowUpRef, CommandId)> {
    let frames = steps.iter().filter_map(|step| Some((step.partition, step.frame()?)));
    let mut asked = BTreeSet::new();
    let mut decided = BTreeSet::new();
    for (partition, frame) in frames {
        let frame_at = Position { partition, sequence: frame.first };
        for (ordinal, command) in (0..).zip(&frame.follow_ups) {
            let reference = FollowUpRef { frame: frame_at, ordinal };
            asked.insert((partition_of(&command.aggregate, PARTITIONS), reference, command.id));
        }
        for decision in &frame.decisions {
            if let CommandSource::FollowUp(reference) = &decision.command {
                decided.insert(*reference);
            }
        }
    }
    asked.retain(|(_, reference, _)| !decided.contains(reference));
    asked
}

fn pending(inbox: &Inbox) -> BTreeSet<(Partition, FollowUpRef, CommandId)> {
    let of = |partition| {
        inbox
            .pending(partition)
            .map(move |(reference, command)| (partition, *reference, command.id))
    };
    (0..PARTITIONS).map(Partition).flat_map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// The genesis is in partition 0, which may come last as well.
    #[test]
    fn any_interleaving_gives_the_same_model(
        acts in acts(PARTITIONS, 120),
        choices in vec(0..64_usize, 1..50),
    ) {
        let mut hub = MiniHub::new(PARTITIONS);
        perform(&mut hub, &acts);
        let reordered = interleave(&hub.steps, &choices);
        prop_assert_eq!(reordered.len(), hub.steps.len());

        let model = fold(&reordered);
        prop_assert_eq!(&model, &hub.model);
        prop_assert_eq!(pending(&model.inbox), pending_by_sets(&hub.steps));
        prop_assert_eq!(model.inbox.early(), 0);
    }

    /// What is half known (decided early, not routed yet) survives a restart as well.
    #[test]
    fn any_interleaving_can_be_cut_by_restarts(
        acts in acts(PARTITIONS, 80),
        choices in vec(0..64_usize, 1..50),
        cuts in vec(0..1_000_usize, 1..4),
    ) {
        let mut hub = MiniHub::new(PARTITIONS);
        perform(&mut hub, &acts);
        let (steps, _) = refold(interleave(&hub.steps, &choices));
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % steps.len()).collect();
        cuts.push(steps.len());
        cuts.sort_unstable();

        let dir = tempfile::tempdir().unwrap();
        let mut written = 0;
        for cut in cuts {
            let mut store = Store::open(&dir.path().join("rows"), partition_of).unwrap().store;
            // Some steps share a batch, some do not.
            for some in steps[written..cut].chunks(5) {
                write(&mut store, some);
            }
            written = cut;
            drop(store);
            let loaded = Store::open(&dir.path().join("rows"), partition_of).unwrap().model;
            prop_assert_eq!(&loaded, &fold(&steps[..cut]));
        }
    }
}

/// A hub whose partition 0 decides submitted commands on a cluster that is not there.
fn submit(hub: &mut MiniHub, count: usize) {
    let id = (0..).map(cluster).find(|id| partition_of(id, 1) == Partition(0)).unwrap();
    let command = ClusterCommand::RemoveCluster(RemoveCluster { uid: "uid".to_owned() });
    let ask = Ask::Submitted(id, command.into());
    let mut left = count;
    while left > 0 {
        let some = left.min(500);
        hub.frame(Partition(0), &vec![ask.clone(); some]);
        left -= some;
    }
}

fn submitted(model_of: &MiniHub) -> Vec<(u64, CommandId)> {
    let frames = model_of.steps.iter().filter_map(Step::frame);
    let decisions = frames.flat_map(|frame| &frame.decisions);
    let submitted = decisions.filter_map(|decision| match &decision.command {
        CommandSource::Submitted { offset, command } => Some((*offset, command.id)),
        CommandSource::Direct(_) | CommandSource::FollowUp(_) => None,
    });
    submitted.collect()
}

#[test]
fn ids_of_submitted_commands_are_remembered_up_to_the_bound() {
    let mut hub = MiniHub::new(1);
    submit(&mut hub, DECIDED_IDS_PER_PARTITION_MAX + 3);
    let submitted = submitted(&hub);
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), partition_of).unwrap().store;
    for some in hub.steps.chunks(2) {
        write(&mut store, some);
    }
    drop(store);
    let loaded = Store::open(dir.path(), partition_of).unwrap().model;

    for model in [&hub.model, &loaded] {
        let known = |(_, id): &(u64, CommandId)| model.inbox.was_decided(Partition(0), *id);
        assert_eq!(submitted.iter().take_while(|one| !known(one)).count(), 3);
        assert_eq!(submitted.iter().filter(|one| known(one)).count(), 10_000);
    }
    assert_eq!(loaded, hub.model);
}

/// The next id to be forgotten after a restart is the oldest one.
#[test]
fn the_ring_goes_on_after_a_restart() {
    let mut hub = MiniHub::new(1);
    submit(&mut hub, DECIDED_IDS_PER_PARTITION_MAX + 700);
    let dir = tempfile::tempdir().unwrap();
    let half = hub.steps.len() / 2;
    for steps in [&hub.steps[..half], &hub.steps[half..]] {
        let opened = Store::open(dir.path(), partition_of).unwrap();
        let (mut store, mut model) = (opened.store, opened.model);
        for step in steps {
            assert_eq!(model.apply(&step.fold()), step.changes);
        }
        write(&mut store, steps);
    }
    let loaded: Model = Store::open(dir.path(), partition_of).unwrap().model;
    assert_eq!(loaded, hub.model);
    assert!(!loaded.inbox.was_decided(Partition(0), submitted(&hub)[699].1));
    assert!(loaded.inbox.was_decided(Partition(0), submitted(&hub)[700].1));
}

/// Whole rows of ids are deleted when their last id is forgotten: not before, and not without
/// anything else.
#[test]
fn the_ring_survives_restarts_at_any_place() {
    let mut hub = MiniHub::new(1);
    submit(&mut hub, DECIDED_IDS_PER_PARTITION_MAX);
    let dir = tempfile::tempdir().unwrap();
    let mut written = 0;
    for more in [1, 497, 1, 1, 1, 498, 1, 1, 1] {
        submit(&mut hub, more);
        let opened = Store::open(dir.path(), partition_of).unwrap();
        assert_eq!(opened.rebuilt, None);
        let mut store = opened.store;
        for step in &hub.steps[written..] {
            write(&mut store, std::slice::from_ref(step));
        }
        written = hub.steps.len();
        drop(store);
        let loaded = Store::open(dir.path(), partition_of).unwrap();
        assert_eq!(loaded.rebuilt, None);
        assert_eq!(loaded.model, hub.model);
    }
    let first_rows = behind_the_back(dir.path()).scan_prefix(b"r").keys().next();
    let first = first_rows.unwrap().unwrap();
    assert!(first.ends_with(&1_000_u64.to_be_bytes()), "{first:?}");
}

#[test]
fn offsets_are_remembered_until_the_cursor_passes_them() {
    let mut hub = MiniHub::new(1);
    // Offsets 0, 2, 4, 6, 8; the cursor moves with 0 and 6.
    submit(&mut hub, 1);
    let at = |hub: &MiniHub, offset| hub.model.inbox.is_submitted_decided(Partition(0), offset);
    assert_eq!(hub.model.inbox.commands_before(Partition(0)), 1);
    submit(&mut hub, 2);
    assert_eq!(hub.model.inbox.commands_before(Partition(0)), 1);
    assert_eq!(
        [0, 1, 2, 3, 4, 5].map(|offset| at(&hub, offset)),
        [true, false, true, false, true, false]
    );
    submit(&mut hub, 2);
    assert_eq!(hub.model.inbox.commands_before(Partition(0)), 7);
    assert_eq!([5, 6, 7, 8, 9].map(|offset| at(&hub, offset)), [true, true, false, true, false]);
}
