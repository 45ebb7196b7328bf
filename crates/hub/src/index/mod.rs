//! The objects of the hub that placements may select, kept current by one watch for each kind.
//!
//! Nothing is listed again after the start: a change of an object marks the placements that it
//! concerns, and only those are resolved again.
//!
//! | the shell does ([`watches`]) | the core provides |
//! |---|---|
//! | asks for the kinds, and when it is told to | [`discovery`]: what that means; [`looks`]: when |
//! | watches each kind, asks for kinds that are not mentioned any more | [`objects`]: what is known, and what is not ([`Gap`]) |
//! | tells about changes | [`interest`]: whom they concern |

mod departed;
mod discovery;
mod gap;
mod interest;
mod looks;
mod objects;
#[cfg(test)]
pub(crate) mod testing;
mod watches;

pub use discovery::{Discovered, DiscoveredKind, GroupVersion, discover, is_served};
pub use gap::{Gap, Unknown};
pub use interest::Interest;
pub use objects::{Adjustment, Objects, ObjectsChange};
pub use watches::{Index, IndexConfig, IndexStatus};
