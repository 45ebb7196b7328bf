//! The objects of the hub that placements may select, kept current by one watch for each kind.
//!
//! Nothing is listed again after the start: a change of an object marks the placements that it
//! concerns, and only those are resolved again.

mod discovery;
mod interest;
mod objects;
mod watches;

pub use discovery::{DiscoveredKind, discover};
pub use interest::Interest;
pub use objects::{Objects, ObjectsChange};
pub use watches::{Index, IndexConfig, IndexStatus};
