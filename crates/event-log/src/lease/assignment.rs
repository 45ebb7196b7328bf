//! Which of the nodes that are there should own a partition: rendezvous hashing.
//!
//! Every node computes the same from the same names. When a node comes or goes, only partitions
//! that it gets or had change hands; when it comes back under its name, it gets the same again.

use events::Partition;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The owner of a partition among `nodes`; `None` when there are none.
pub fn owner<'a>(
    partition: Partition,
    nodes: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    nodes.into_iter().max_by_key(|node| (weight(partition, node), *node))
}

/// Nodes of one version must agree with those of the next: this never changes.
fn weight(partition: Partition, node: &str) -> u64 {
    xxh3_64_with_seed(node.as_bytes(), u64::from(partition.0))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::PARTITIONS;

    fn owners<'a>(nodes: &[&'a str]) -> BTreeMap<u16, &'a str> {
        let owner_of = |partition| owner(Partition(partition), nodes.iter().copied());
        (0..PARTITIONS).filter_map(|partition| Some((partition, owner_of(partition)?))).collect()
    }

    #[test]
    fn assignments_are_what_they_always_were() {
        let of_first = owners(&["hub-0", "hub-1", "hub-2"]);
        assert_eq!(
            (0..8).map(|partition| of_first[&partition]).collect::<Vec<_>>(),
            ["hub-0", "hub-1", "hub-0", "hub-0", "hub-1", "hub-2", "hub-0", "hub-0"]
        );
    }

    #[test]
    fn only_partitions_of_the_node_that_comes_or_goes_change_hands() {
        let names: Vec<String> = (0..6).map(|n| format!("hub-{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for count in 1..names.len() {
            let (before, after) = (owners(&names[..count]), owners(&names[..=count]));
            let newcomer = names[count];
            for (partition, owner) in &after {
                assert!(*owner == before[partition] || *owner == newcomer);
            }
            assert!(after.values().any(|owner| *owner == newcomer), "everybody gets something");
        }
        assert_eq!(owner(Partition(0), []), None);
    }
}
