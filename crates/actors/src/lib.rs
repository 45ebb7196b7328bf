//! The actors: what keeps the decisions going.
//!
//! Each shell (left) does the waiting, the mailboxes and the threads for a core (right) that does
//! none of that and is what the simulation drives as well.
//!
//! | shell | core |
//! |---|---|
//! | [`entity::EntityActor`]: a mailbox | [`entity::EntityCore`]: commands → proposal; accepted events → state, effects, wake-up |
//! | [`shard::ShardActor`]: entities, appends, alarms, who waits for answers | [`shard::ShardCore`]: claims, frames, which ask is where, what is taken in, who is woken up |
//! | [`fold::Folder`]: reads all partitions, writes the projections | [`fold::FoldCore`]: acceptance rule and model |
//! | [`effects::Runner`]: performs, with bounded concurrency | [`effects::EffectQueue`]: what is due, latest wins, backoff |
//! | [`node::Node`]: starts and stops all of it | `event_log::lease`: who should own what |
//!
//! **Invariants.** Nothing leaves the process before the event that implies it was read back
//! accepted. An entity has at most one proposal in the log. A shard that lost its partition acts
//! on nothing any more.

pub mod ask;
pub mod concerns;
pub mod effects;
pub mod entity;
pub mod fold;
pub mod node;
pub mod replay;
pub mod set_aside;
pub mod shard;
pub mod supervised;
pub mod trace;
