//! One partition at work: claims it, puts decisions into frames, learns what counts.

mod actor;
mod core;
mod intake;

pub use actor::{
    Folded, InboxMoved, ProposalOutcome, Propose, Rejected, Route, ShardActor, ShardConfig, Start,
    Stop,
};
pub use core::{Appended, ClaimIdentity, ShardCore, ShardState, Step};
pub use intake::Intake;
