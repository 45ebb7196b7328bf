//! The log from outside: one rule of acceptance, one conformance suite for every backend, faults,
//! and leases in a simulation. Kills have a program of their own, `kill`.

mod acceptance;
mod conformance;
mod faults;
mod lease;
