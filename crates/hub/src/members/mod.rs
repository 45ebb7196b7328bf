//! Member clusters: MemberCluster objects and links become commands, health checks become edges,
//! and what was decided becomes status.

mod controller;
mod heartbeat;
mod status;

pub use controller::{MembersConfig, start};
pub use heartbeat::{Heartbeats, LastProbe};
pub use status::{MemberStatusInputs, member_status};
