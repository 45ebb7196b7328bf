//! The conformance suite on the backends of this crate.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use event_log::conformance::{self, Arm};
use event_log::{EmbeddedLog, FaultyLog, Log, MemoryLog};
use tempfile::TempDir;

/// Logs in memory; a restart finds the same log under its name.
struct Memory {
    stride: u64,
    logs: Mutex<BTreeMap<String, MemoryLog>>,
}

impl Memory {
    fn with_holes(stride: u64) -> Arc<Self> {
        Arc::new(Self { stride, logs: Mutex::default() })
    }

    fn log(&self, name: &str) -> MemoryLog {
        let mut logs = self.logs.lock().unwrap();
        let log = logs.entry(name.to_owned()).or_insert_with(|| MemoryLog::with_holes(self.stride));
        log.clone()
    }
}

#[async_trait]
impl Arm for Memory {
    async fn open(&self, name: &str) -> Arc<dyn Log> {
        Arc::new(self.log(name))
    }
}

/// Logs in one directory, a file each.
struct Embedded(TempDir);

#[async_trait]
impl Arm for Embedded {
    async fn open(&self, name: &str) -> Arc<dyn Log> {
        let path = self.0.path().join(name).with_extension("redb");
        Arc::new(EmbeddedLog::open(path).unwrap())
    }
}

/// The decorator of tests, when it injects nothing.
struct Faultless(Arc<Memory>);

#[async_trait]
impl Arm for Faultless {
    async fn open(&self, name: &str) -> Arc<dyn Log> {
        let log = self.0.log(name);
        Arc::new(FaultyLog::scripted(log, []))
    }
}

#[tokio::test]
async fn memory_behind_a_decorator_without_faults() {
    conformance::run_all(Arc::new(Faultless(Memory::with_holes(1)))).await;
}

#[tokio::test]
async fn embedded() {
    conformance::run_all(Arc::new(Embedded(TempDir::new().unwrap()))).await;
}

#[tokio::test]
async fn memory() {
    conformance::run_all(Memory::with_holes(1)).await;
}

#[tokio::test]
async fn memory_with_holes_between_the_offsets() {
    conformance::run_all(Memory::with_holes(3)).await;
}
