//! The fleet: founded once, when the first hub starts on an empty log. It also knows how far the
//! hub's etcd had come, and so that it went back.

mod command;
mod decide;
#[cfg(test)]
mod tests;

pub use command::{
    AcceptHub, FleetCommand, FleetRefusal, FoundFleet, HandOverFleet, ReportHubRevision,
};
pub use decide::{Fleet, FleetState, WentBack};
