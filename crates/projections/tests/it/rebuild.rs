//! Rows and model say the same, however the records came to them.

use crate::support::{MiniHub, acts, dirty, fold, partition_of, perform, write};
use projections::{Model, Store};
use proptest::collection::vec;
use proptest::prelude::*;

const PARTITIONS: u16 = 4;

fn open(dir: &std::path::Path) -> (Store, Model) {
    let opened = Store::open(dir, partition_of).unwrap();
    assert_eq!(opened.rebuilt, None);
    (opened.store, opened.model)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Written in batches of any size, with states written or not, closed and opened anywhere: the
    /// model that is loaded is the model that was folded.
    #[test]
    fn what_is_loaded_is_what_was_folded(
        acts in acts(PARTITIONS, 120),
        batches in vec((1..40_usize, any::<bool>(), prop::bool::weighted(0.2)), 1..40),
    ) {
        let mut hub = MiniHub::new(PARTITIONS);
        perform(&mut hub, &acts);
        let dir = tempfile::tempdir().unwrap();
        let rows = dir.path().join("rows");
        let (mut store, mut model) = open(&rows);

        let mut left = &hub.steps[..];
        for (size, with_states, reopen) in batches.into_iter().cycle() {
            let (batch, rest) = left.split_at(size.min(left.len()));
            write(&mut store, batch);
            for step in batch {
                prop_assert_eq!(&model.apply(&step.fold()), &step.changes);
            }
            if with_states {
                store.snapshot(&model, &dirty(batch)).unwrap();
            }
            if reopen {
                drop(store);
                let (again, loaded) = open(&rows);
                prop_assert_eq!(&loaded, &model);
                (store, model) = (again, loaded);
            }
            left = rest;
            if left.is_empty() {
                break;
            }
        }
        drop(store);
        let (store, loaded) = open(&rows);
        prop_assert_eq!(&loaded, &hub.model);
        prop_assert_eq!(&loaded, &fold(&hub.steps));

        // The records themselves come back as they were.
        let queries = store.queries();
        for partition in (0..PARTITIONS).map(events::Partition) {
            let expected: Vec<_> = hub
                .steps
                .iter()
                .filter(|step| step.partition == partition)
                .filter(|step| !matches!(step.record, events::Record::Genesis(_)))
                .map(|step| (step.position, step.record.clone()))
                .collect();
            let mut found = vec![];
            let mut from = Some(events::Sequence(1));
            while let Some(start) = from {
                let page = queries.records(partition, start, 7).unwrap();
                found.extend(page.items);
                from = page.next;
            }
            prop_assert_eq!(found, expected);
        }
    }
}
