//! One partition at work: claims it, puts decisions into frames, learns what counts.

mod actor;
mod core;

pub use actor::{
    Folded, InboxMoved, ProposalOutcome, Propose, Rejected, Route, ShardActor, ShardConfig, Start,
    Stop,
};
pub use core::{Appended, ClaimIdentity, ShardCore, ShardState, Step};
