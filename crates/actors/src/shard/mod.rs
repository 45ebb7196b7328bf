//! One partition at work: claims it, puts decisions into frames, learns what counts.

mod actor;
mod bounds;
mod commands;
mod core;
mod dispatch;
mod entities;
mod frames;
mod intake;
mod messages;
#[cfg(test)]
mod tests;
mod time;
mod timers;

pub use actor::{ShardActor, ShardConfig};
pub use bounds::Bounds;
pub use core::{Recorded, ShardCore, Step, Told};
pub use dispatch::Answered;
pub use frames::ClaimIdentity;
pub use messages::{Folded, InboxMoved, Rejected, Route, Start, Stop};
pub use timers::{wake_up_of, wake_ups};
