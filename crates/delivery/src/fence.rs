//! How an AppliedWork remembers which order holds it.

use std::collections::BTreeMap;

use events::Epoch;
use serde_json::Value;

use crate::Fence;

/// The annotation of an AppliedWork with the generation of the order that holds it.
pub const GENERATION_ANNOTATION: &str = "taffrail.dev/delivery-generation";
/// The annotation of an AppliedWork with the owner epoch of the order that holds it.
pub const EPOCH_ANNOTATION: &str = "taffrail.dev/owner-epoch";

/// What an order finds when it comes to an AppliedWork.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// An older order holds it, or none: it may be claimed.
    Open,
    /// This very order holds it.
    Held,
    /// A newer order holds it.
    Superseded(Fence),
}

/// Compares an order with what an AppliedWork remembers. An AppliedWork without a readable fence
/// (made by another tool, or edited) is open.
#[must_use]
pub fn claim(applied_work: &Value, order: Fence) -> Claim {
    match recorded(applied_work) {
        None => Claim::Open,
        Some(recorded) => match recorded.cmp(&order) {
            std::cmp::Ordering::Less => Claim::Open,
            std::cmp::Ordering::Equal => Claim::Held,
            std::cmp::Ordering::Greater => Claim::Superseded(recorded),
        },
    }
}

/// The annotations that record a fence.
#[must_use]
pub fn annotations(fence: Fence) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        (GENERATION_ANNOTATION, fence.generation.to_string()),
        (EPOCH_ANNOTATION, fence.epoch.to_string()),
    ])
}

/// Whether an AppliedWork was held by an order of ours once, and not only by other tools.
#[must_use]
pub fn is_fenced(applied_work: &Value) -> bool {
    recorded(applied_work).is_some()
}

fn recorded(applied_work: &Value) -> Option<Fence> {
    let annotation = |key: &str| -> Option<u64> {
        applied_work["metadata"]["annotations"][key].as_str()?.parse().ok()
    };
    Some(Fence {
        generation: annotation(GENERATION_ANNOTATION)?,
        epoch: Epoch(annotation(EPOCH_ANNOTATION)?),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fence(generation: u64, epoch: u64) -> Fence {
        Fence { generation, epoch: Epoch(epoch) }
    }

    #[test]
    fn a_member_never_moves_backwards() {
        let work = json!({ "metadata": { "annotations": annotations(fence(5, 2)) } });
        assert_eq!(claim(&work, fence(5, 2)), Claim::Held);
        assert_eq!(claim(&work, fence(6, 1)), Claim::Open);
        assert_eq!(claim(&work, fence(5, 3)), Claim::Open);
        assert_eq!(claim(&work, fence(5, 1)), Claim::Superseded(fence(5, 2)));
        assert_eq!(claim(&work, fence(4, 9)), Claim::Superseded(fence(5, 2)));
    }

    #[test]
    fn a_work_without_a_readable_fence_is_open() {
        assert_eq!(claim(&json!({ "metadata": {} }), fence(1, 1)), Claim::Open);
        let edited = json!({ "metadata": { "annotations": {
            GENERATION_ANNOTATION: "many", EPOCH_ANNOTATION: "1",
        } } });
        assert_eq!(claim(&edited, fence(1, 1)), Claim::Open);
    }
}
