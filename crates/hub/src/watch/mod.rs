//! The one way in which the hub watches its API server: everything is listed, then changes are
//! followed, and whenever they cannot be followed everything is listed again.
//!
//! | the shell does ([`follow`]) | the core provides ([`core`]) |
//! |---|---|
//! | lists pages, opens watches, waits | what to do next, and how long to wait before it |
//! | lists anew when the hub's etcd went back ([`revision`]) | |
//! | notes a concern while it does not work | what the consumer is told |
//!
//! **A complete list counts.** After it the consumer is told what was listed: what it knows besides
//! that went while nobody watched. What that means is for the consumer to say: for objects that
//! carry a finalizer of ours it is never normal.

mod core;
mod follow;
mod revision;
#[cfg(test)]
mod tests;

pub(crate) use core::{Names, Told};
pub use follow::Watcher;
pub(crate) use follow::{resource_name, said};
pub use revision::Revision;
