//! Effects: what is done on members, bounded, retried, fenced.

mod outstanding;
mod queue;
mod runner;
#[cfg(test)]
mod tests;

pub use outstanding::{after_take_over, effects_of};
pub use queue::{
    Due, EFFECTS_IN_FLIGHT_MAX, EFFECTS_PER_MEMBER_MAX, EffectQueue, Finished,
    LOOKS_PER_MEMBER_MAX, RETRY_FIRST_MS, RETRY_MAX_MS,
};
pub use runner::{Again, EffectSink, Performed, Performer, Runner, RunnerConfig, finished};
