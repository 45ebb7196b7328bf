//! What does not happen is said: an API server that does not answer, a change that nobody decides on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use acceptance::ground::Ground;
use acceptance::scenarios::{self, stands};
use acceptance::wait::eventually;
use acceptance::{hubs, in_a_system};
use actors::node::Ownership;
use event_log::lease::{LeaseConfig, LeaseRecord, NodeSeen};
use event_log::{Log, MemoryLog, PARTITIONS, Stream, partition_of};
use events::{AggregateId, PlacementKey};
use hub::Hub;
use simulator::Fault;
use uuid::Uuid;

/// How soon people have to be told that the hub's API server does not answer.
const NAMED_WITHIN: Duration = Duration::from_secs(10);

/// What is said under a check.
fn said(hub: &Hub, check: &str) -> Vec<(String, String)> {
    let concerns = hub.router().concerns().all().into_iter();
    let of_check = concerns.filter(|concern| concern.check == check);
    of_check.map(|concern| (concern.about, concern.message)).collect()
}

#[test]
fn regression_an_api_server_that_hangs_is_named_within_seconds() {
    in_a_system(async {
        let ground = Ground::simulated(0).await;
        let (dir, log) = (tempfile::tempdir().unwrap(), Arc::new(MemoryLog::new()));
        let hub = hubs::start("hub-a", &ground, log, dir.path(), Ownership::Alone).await;
        let is_named = || async { !said(&hub, "hub-api").is_empty() };
        assert!(!is_named().await);

        let api_server = ground.fleet.as_ref().unwrap().cluster("hub").unwrap();
        api_server.set_fault(Fault::Hang);
        let since = Instant::now();
        eventually("it is named", is_named).await;
        assert!(since.elapsed() < NAMED_WITHIN, "{:?}", since.elapsed());
        let (_, message) = said(&hub, "hub-api").remove(0);
        assert!(message.contains("does not answer within 4 s, since "), "{message}");

        api_server.clear_fault();
        eventually("it answers again", || async { !is_named().await }).await;
        hub.shutdown().await;
        ground.stop();
    });
}

/// A hub that renews its lease and does nothing else, as one of another hub cluster on the same
/// topics does, or one that hangs.
async fn idle_hub(log: Arc<dyn Log>) {
    let (incarnation, ttl_ms) = (Uuid::new_v4(), LeaseConfig::default().ttl_ms);
    for renewal in 1.. {
        let node = "hub-idle".to_owned();
        let seen = NodeSeen { node, generation: 1, incarnation, renewal, ttl_ms };
        let seen = LeaseRecord::NodeSeen(seen).to_bytes();
        log.append(Stream::Membership, seen).await.unwrap();
        tokio::time::sleep(Duration::from_millis(ttl_ms / 4)).await;
    }
}

#[test]
fn regression_a_change_that_nobody_decides_on_is_said_not_to_be_observed() {
    in_a_system(async {
        let ground = Ground::simulated(1).await;
        let (dir, log) = (tempfile::tempdir().unwrap(), Arc::new(MemoryLog::new()));
        let idle = tokio::spawn(idle_hub(log.clone()));
        let ownership = Ownership::Leased(LeaseConfig::default());
        let hub = hubs::start("hub-a", &ground, log, dir.path(), ownership).await;
        let router = hub.router();
        eventually("both have a share", || async {
            let owned = router.owning().borrow().len();
            owned > 0 && owned < usize::from(PARTITIONS)
        })
        .await;
        let names = (0..).map(|n| format!("web-{n}"));
        let is_ours = |name: &String| {
            let id = AggregateId::Placement(PlacementKey::cluster(name.clone()));
            router.owning().borrow().contains_key(&partition_of(&id, PARTITIONS))
        };
        let (ours, theirs): (Vec<String>, Vec<String>) = names.take(64).partition(is_ours);
        let (ours, theirs) = (&ours[0], &theirs[0]);

        scenarios::write_app(&ground, "app", "hello").await;
        scenarios::place(&ground, theirs, "app", &["eu"]).await;
        scenarios::place(&ground, ours, "app", &["eu"]).await;
        let message = stands(&ground, theirs, "Scheduled", "Unknown", "SchedulePending").await;
        assert!(
            message.contains("generation 1 of this placement is not observed since"),
            "{message}"
        );
        assert!(message.contains("no hub has ever claimed partition"), "{message}");
        let told = said(&hub, "placements");
        assert_eq!(told.len(), 1, "the other one is decided on: {told:?}");
        assert_eq!((&*told[0].0, &told[0].1), (&*format!("cluster/{theirs}"), &message));

        // When the other one is gone, it is decided.
        idle.abort();
        stands(&ground, theirs, "Scheduled", "True", "SchedulingPolicyFulfilled").await;
        eventually("nothing is said any more", || async { said(&hub, "placements").is_empty() })
            .await;
        hub.shutdown().await;
        ground.stop();
    });
}
