//! The version of all rows, and a fingerprint of how events become states.
//!
//! Rows of another version are built anew from the log. The version is raised by hand when keys or
//! codecs change. What is easily forgotten is noticed by itself: a field more in a state, an event
//! that is folded in another way. So a small history is folded at each start, and what comes out of
//! it, as bytes, is part of the version.

use std::sync::LazyLock;

use events::{AggregateId, Partition, Position, Record};
use xxhash_rust::xxh3::Xxh3;

use super::batch::ViewRow;
use super::values::{self, ROWS_VERSION};
use crate::model::{ChangedView, Changes, Model};
use crate::step::FoldStep;

/// A record in each line; together they have every type of event. Nothing depends on what it says.
const SAMPLE: &str = include_str!("sample.jsonl");

/// The version that is written into a new directory, and that an old one must have.
pub(crate) static VERSION: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut version = vec![ROWS_VERSION];
    version.extend(fingerprint(SAMPLE).to_be_bytes());
    version
});

/// A digest of every state and view that a history leads to.
fn fingerprint(history: &str) -> u64 {
    let mut digest = Xxh3::new();
    let mut model = Model::new(|_, _| Partition(0));
    for line in history.lines() {
        // A history that cannot be read any more has a fingerprint as well.
        let record = match Record::from_bytes(line.as_bytes()) {
            Ok(record) => record,
            Err(error) => {
                digest.update(error.to_string().as_bytes());
                continue;
            }
        };
        let first = model.checkpoint(Partition(0)).last.plus(1);
        let checkpoint = model.checkpoint(Partition(0)).after(0, &record, Default::default());
        digest.update(&values::to_bincode(&checkpoint));
        let position = Position { partition: Partition(0), sequence: first };
        let step = FoldStep { partition: Partition(0), position, record: &record, checkpoint };
        let changes = model.apply(&step);
        add(&mut digest, &model, &changes);
    }
    digest.digest()
}

/// Adds the states and views that changed.
fn add(digest: &mut Xxh3, model: &Model, changes: &Changes) {
    for changed in &changes.aggregates {
        let state = match &changed.aggregate {
            AggregateId::Cluster(name) => values::to_bincode(&model.clusters[name].state),
            AggregateId::Placement(key) => values::to_bincode(&model.placements[key].state),
            AggregateId::Fleet => values::to_bincode(&model.fleet.state),
        };
        digest.update(&state);
    }
    for ChangedView { position, view, .. } in &changes.views {
        let row = ViewRow { partition: position.partition, view: view.clone() };
        digest.update(&values::to_bincode(&row));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_same_each_time() {
        assert_eq!(fingerprint(SAMPLE), fingerprint(SAMPLE));
        assert_eq!(VERSION.len(), 9);
    }

    /// Any line that is missing or different shows: so does a state that is folded differently.
    #[test]
    fn a_fingerprint_shows_every_difference() {
        let whole = fingerprint(SAMPLE);
        let with_events = SAMPLE.lines().filter(|line| line.contains("dev.taffrail."));
        assert!(with_events.clone().count() > 20);
        for line in with_events {
            assert_ne!(fingerprint(&SAMPLE.replace(line, "")), whole);
        }
        assert_ne!(fingerprint(&SAMPLE.replace("kube-system-0", "kube-system-x")), whole);
        assert_ne!(fingerprint(&SAMPLE.replace("ManifestApplyFailed", "Other")), whole);
    }
}
