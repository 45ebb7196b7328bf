//! The projections from outside: rows on disk, what a crash leaves, and what queries answer.

mod inbox;
mod quarantine;
mod queries;
mod rebuild;
mod sample;
mod states;
mod support;
