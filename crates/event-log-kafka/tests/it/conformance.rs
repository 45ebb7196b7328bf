//! The suite that every backend passes, on real Kafka.

use std::sync::Arc;

use async_trait::async_trait;
use event_log::Log;
use event_log::conformance::{self, Arm};
use uuid::Uuid;

use crate::bed::{broker, named, open};

/// Logs on one broker, each with topics of its own. A restart and another node are new clients.
struct Brokers {
    bootstrap: &'static str,
    /// Sets this run apart from others on the same broker.
    run: Uuid,
}

#[async_trait]
impl Arm for Brokers {
    async fn open(&self, name: &str) -> Arc<dyn Log> {
        Arc::new(open(&named(self.bootstrap, &format!("{}.{name}", self.run))).await)
    }

    async fn another_handle(&self, name: &str, _log: &Arc<dyn Log>) -> Arc<dyn Log> {
        self.open(name).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka() {
    let Some(bootstrap) = broker() else { return };
    conformance::run_all(Arc::new(Brokers { bootstrap, run: Uuid::new_v4() })).await;
}
