//! The log on real Apache Kafka. Without a test bed these tests say that they are skipped; see
//! `xtask::bed`.

mod bed;
mod conformance;
