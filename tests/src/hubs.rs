//! Hubs inside the test process.

use std::path::Path;
use std::sync::Arc;

use actors::node::Ownership;
use actors::shard::ClaimIdentity;
use domain::selection::SelectionRules;
use event_log::{Log, MemoryLog, PARTITIONS, partition_of};
use hub::{Hub, HubConfig};
use kube::Client;
use projections::Store;
use uuid::Uuid;

use crate::ground::{Ground, client_of_a_hub};
use crate::in_a_system;

/// Shows what hubs log, as far as `RUST_LOG` asks for it.
fn init_tracing() {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer();
    // Another test of this process may have done it already.
    drop(subscriber.try_init());
}

/// Starts a hub on a ground. Its projections are kept in `data`.
pub async fn start(
    name: &str,
    ground: &Ground,
    log: Arc<dyn Log>,
    data: &Path,
    ownership: Ownership,
) -> Hub {
    let client = client_of_a_hub(&ground.hub.kubeconfig).await;
    start_with(name, client, log, data, ownership).await
}

/// Starts a hub on the API server of a client.
pub async fn start_with(
    name: &str,
    client: Client,
    log: Arc<dyn Log>,
    data: &Path,
    ownership: Ownership,
) -> Hub {
    start_under(SelectionRules::default(), name, client, log, data, ownership).await
}

/// Starts a hub that places what rules allow.
pub async fn start_under(
    rules: SelectionRules,
    name: &str,
    client: Client,
    log: Arc<dyn Log>,
    data: &Path,
    ownership: Ownership,
) -> Hub {
    init_tracing();
    let opened = Store::open(data, partition_of).expect("the projections can be opened");
    let config = HubConfig {
        client,
        log,
        partitions: PARTITIONS,
        model: opened.model,
        store: Some(opened.store),
        identity: ClaimIdentity {
            node: name.to_owned(),
            incarnation: Uuid::new_v4(),
            version: "test".to_owned(),
        },
        ownership,
        rules,
        adopted: Default::default(),
        system_namespace: "fleet-system".to_owned(),
        threads: 2,
    };
    Hub::start(config).await.expect("the hub starts")
}

/// Plays a scene on a hub with simulated members.
pub fn scene(members: usize, play: impl AsyncFnOnce(&Ground)) {
    in_a_system(async {
        let ground = Ground::simulated(members).await;
        let dir = tempfile::tempdir().expect("a directory can be made");
        let log = Arc::new(MemoryLog::new());
        let hub = start("hub-a", &ground, log, dir.path(), Ownership::Alone).await;
        play(&ground).await;
        hub.shutdown().await;
        ground.stop();
    });
}
