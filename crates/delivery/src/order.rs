//! What a link is told to do. An order leaves no choices: it names every object that it may write
//! and every object that it may remove.

use std::fmt;
use std::sync::Arc;

use events::cluster::ApplyStrategy;
use events::{Epoch, ObjectId, PlacementKey};
use serde_json::Value;

use crate::Neighbours;

/// Which of two orders about the same placement is the newer one. A member never moves backwards:
/// an order with a lower fence than the one that the member holds is refused.
///
/// Generations come first, because they rise with every recorded assignment. The epoch settles
/// between two owners that carry out the same assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fence {
    /// The number of the assignment or withdrawal.
    pub generation: u64,
    /// The number of the ownership of the partition that sends the order.
    pub epoch: Epoch,
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "generation {}, epoch {}", self.generation, self.epoch)
    }
}

/// One object as it should be on the member.
#[derive(Clone, PartialEq)]
pub struct Manifest {
    /// Which object.
    pub id: ObjectId,
    /// The whole object, with apiVersion, kind and metadata.
    pub body: Value,
}

impl fmt::Debug for Manifest {
    /// Never the body: it may be a Secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Manifest({})", self.id)
    }
}

/// What becomes of objects that were on the member before their placement, when it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AdoptedRemoval {
    /// They stay, without our marks.
    #[default]
    Release,
    /// They are deleted like everything else, as KubeFleet does.
    Delete,
}

/// Make this member hold exactly these manifests for this placement.
#[derive(Debug, Clone)]
pub struct DeliverOrder {
    /// The member, by the name of its MemberCluster object.
    pub cluster: String,
    /// Whose objects.
    pub placement: PlacementKey,
    /// The name of the AppliedWork that owns them on the member.
    pub work: String,
    /// Which of two orders is newer.
    pub fence: Fence,
    /// Everything that the member should hold for the placement.
    pub manifests: Vec<Manifest>,
    /// Whether no earlier order for the work is on record, so that its AppliedWork is most likely
    /// not there yet. A guess: it spares a request when it is right, and costs one when it is not.
    pub is_first: bool,
    /// Objects of earlier revisions that may still be on the member: the only ones that this order
    /// may remove. Those that are in `manifests` too are kept.
    pub leftovers: Vec<ObjectId>,
    /// How to write.
    pub apply: ApplyStrategy,
    /// What becomes of leftovers that were on the member before.
    pub adopted: AdoptedRemoval,
    /// The other deliveries of the member.
    pub neighbours: Arc<dyn Neighbours>,
}

/// Remove what this member holds for this placement.
#[derive(Debug, Clone)]
pub struct WithdrawOrder {
    /// The member, by the name of its MemberCluster object.
    pub cluster: String,
    /// Whose objects.
    pub placement: PlacementKey,
    /// The name of the AppliedWork that owns them on the member.
    pub work: String,
    /// Which of two orders is newer. A withdrawal counts like an assignment.
    pub fence: Fence,
    /// All objects that may be on the member for the placement: the only ones that are removed.
    pub inventory: Vec<ObjectId>,
    /// What becomes of objects that were on the member before.
    pub adopted: AdoptedRemoval,
    /// The other deliveries of the member.
    pub neighbours: Arc<dyn Neighbours>,
}
