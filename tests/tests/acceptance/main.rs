//! Acceptance tests of the whole: hubs, logs and members together.
//!
//! One program, since each that links the hub takes its time to build. A test that needs the real
//! clusters of the test bed has them to itself for as long as it holds its `Ground`.

mod bad_days;
mod chaos;
mod comes_back;
mod expired;
mod hub_watches;
mod journey;
mod kill;
mod members;
mod ownership;
mod published;
mod restart;
mod restored_hub;
mod selection;
mod silence;
mod simulation;
mod slow_members;
mod submitted;
mod tasks;
mod two_hubs;
