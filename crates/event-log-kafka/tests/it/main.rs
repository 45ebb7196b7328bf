//! The log on real Apache Kafka. Without a test bed these tests say that they are skipped; see
//! `xtask::bed`.
//!
//! | module | what |
//! |---|---|
//! | `conformance` | the suite that every backend passes |
//! | `crashes` | brokers that are killed during appends |
//! | `streams` | slow readers, holes, logs that went backwards |
//! | `contents` | what others write to the content topic |
//! | `doctors` | topics that endanger the history, and the commands that mend them |
//! | `unreachable` | nobody there (needs no bed) |
mod bed;
mod conformance;
mod contents;
mod crashes;
mod doctors;
mod streams;
mod unreachable;
