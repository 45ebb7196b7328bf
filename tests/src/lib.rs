//! Acceptance tests against the real parts, and the ground that they stand on.
//!
//! A [`Ground`] is a hub API server and some members: simulated, or real ones of the test bed. The
//! scenarios do not know which.

pub mod ground;
pub mod hubs;
pub mod scenarios;
pub mod wait;
