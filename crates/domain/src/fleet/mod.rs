//! The fleet: founded once, when the first hub starts on an empty log.

mod command;
mod decide;
#[cfg(test)]
mod tests;

pub use command::{FleetCommand, FleetRefusal, FoundFleet, HandOverFleet};
pub use decide::{Fleet, FleetState};
