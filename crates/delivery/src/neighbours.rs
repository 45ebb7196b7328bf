//! The port through which an order sees the other deliveries of its member.
//!
//! Orders of one member meet on it: two want one object, one brings the kind or the namespace of
//! another. What the member itself shows tells only half of that, so the record is asked.

use std::fmt;

use async_trait::async_trait;
use events::{ObjectId, PlacementKey};

/// Another delivery of the same member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Whose objects.
    pub placement: PlacementKey,
    /// The name of its AppliedWork.
    pub work: String,
}

/// The other deliveries of the member of an order, as they are on record when it asks.
///
/// # Guarantees
///
/// What is answered is at least as new as the order that asks: a delivery that was recorded before
/// it, and is still wanted, is known.
#[async_trait]
pub trait Neighbours: fmt::Debug + Send + Sync {
    /// Whether a delivery with an AppliedWork of this name is on record. One that is not, and that
    /// bears a fence of ours, is left over from a delivery that is over.
    fn has_work(&self, work: &str) -> bool;

    /// Another delivery that should hold this object and does not yet: it takes it over.
    async fn heir_of(&self, object: &ObjectId) -> Option<Neighbour>;

    /// Another delivery with objects in this namespace.
    async fn tenant_of(&self, namespace: &str) -> Option<Neighbour>;
}

/// A member with one delivery only, or of which nothing is known: every other AppliedWork counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

#[async_trait]
impl Neighbours for Alone {
    fn has_work(&self, _: &str) -> bool {
        true
    }

    async fn heir_of(&self, _: &ObjectId) -> Option<Neighbour> {
        None
    }

    async fn tenant_of(&self, _: &str) -> Option<Neighbour> {
        None
    }
}
