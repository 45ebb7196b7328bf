//! The program, as somebody runs it, and whole hubs in this process as it starts them.
#![allow(missing_docs, reason = "tests")]

mod common;
mod demo;
mod doctor;
mod full_disk;
mod identity;
mod join;
mod otlp;
mod serve;
mod topics;
mod trace;
mod verbs;
