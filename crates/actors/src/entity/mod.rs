//! One aggregate at work: decides one batch of commands at a time.

mod actor;
mod core;
#[cfg(test)]
mod tests;

pub use actor::{Decide, EntityActor, Settle, Settled};
pub use core::{
    COMMANDS_PER_PROPOSAL_MAX, DecisionDraft, EntityCore, Immediate, Proposal, Proposed, Request,
    Ticket,
};
