//! The log port on Apache Kafka.
//!
//! ```text
//!   append, put ──► producer (one, idempotent) ──────────────► brokers
//!                                                                 │
//!   Reader ◄── feed ◄──┐                                          │
//!   Reader ◄── feed ◄──┤ by partition ── lane (one poll thread) ◄─┘
//!   content index ◄────┘
//! ```
//!
//! | module | what |
//! |---|---|
//! | `config` | what a deployment says, and the measured client settings |
//! | `topics` | names of the topics, and which stream is where |
//! | `setup`, [`mod@doctor`] | topics are created and examined before anything is written |
//! | `producer`, `error` | entries on their way; whether what failed happened |
//! | `lane`, `lanes`, `slots`, `feed` | streams on their way back; a slow reader pauses only itself |
//! | `examine` | a log that went backwards is found out |
//! | `content` | bytes by their SHA-256: chunks, an index, a cache |
//!
//! **Invariants.** Kafka is asked for nothing but ordered, replicated, retained partitions: no
//! transactions, no consumer groups, no compaction. Nothing here decides who may write; the
//! acceptance rule does. What the driver reports late, never, or as a success without an offset is
//! an *indeterminate* failure, which a claim settles.

mod aside;
mod config;
mod content;
mod context;
pub mod doctor;
mod error;
mod examine;
mod feed;
mod lane;
mod lanes;
mod log;
mod producer;
mod setup;
mod slots;
mod topics;

pub use config::{CONTENT_CACHE_BYTES, CONTENT_PARTITIONS, KafkaConfig, Mode, QUESTION_TIMEOUT};
pub use doctor::{Examined, Finding, Severity, doctor, examine};
pub use log::{KafkaLog, Stats};
