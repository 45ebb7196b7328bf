//! The decisions: what Taffrail does when somebody asks for something or something happens.
//!
//! Every aggregate is a folder with the same files: `mod.rs` (the story), `command.rs` (what may
//! be asked, and why it may be refused), `state.rs` (the state, and how events change it),
//! `decide.rs` (command → events) and `react.rs` (event → follow-ups and effects).
//!
//! **Invariants.** No async, no clock, no I/O, no randomness, no hash-ordered maps: the same
//! state, command and inputs give the same decision for ever, which is what makes a replay a
//! proof.

pub mod cluster;
mod command;
mod decider;
pub mod fleet;
pub mod placement;
pub mod quantity;
pub mod scheduler;
pub mod selection;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod view;

pub use command::{CommandError, DomainCommand};
pub use decider::{
    Decider, DeliverEffect, Effect, EffectKey, FollowUp, Inputs, Reaction, WakeUp, WithdrawEffect,
};
pub use view::{ClusterView, FleetView, ViewChange};
