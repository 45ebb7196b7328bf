//! What a link does to a member: one suite for the simulator and for a real kube-apiserver, and the
//! troubles that only a simulated member can be made to have.
#![allow(missing_docs, reason = "tests")]

mod real;
mod simulator;
mod suite;
mod troubles;
