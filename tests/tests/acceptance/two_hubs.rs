//! Two hubs share the partitions of one real Kafka.
#![expect(clippy::print_stdout, reason = "the measured time is worth reading")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use acceptance::ground::Ground;
use acceptance::wait::eventually;
use acceptance::{hubs, scenarios};
use actors::node::Ownership;
use event_log::lease::LeaseConfig;
use event_log::{Log, NodeClock, PARTITIONS};
use event_log_kafka::{KafkaConfig, KafkaLog, Mode};
use events::Timestamp;
use jiff::SignedDuration;
use xtask::bed::Bed;

/// How soon the other hub owns everything after one has ended in order. The budget is 300 ms on an
/// idle machine; this bound is what a busy one may take before something must be wrong, and below
/// the time that a lease takes to run out.
const HAND_OVER_MAX: Duration = Duration::from_secs(2);

async fn connect(bootstrap: &str, prefix: &str) -> Arc<dyn Log> {
    connect_with(bootstrap, prefix, NodeClock::default()).await
}

async fn connect_with(bootstrap: &str, prefix: &str, clock: NodeClock) -> Arc<dyn Log> {
    let config = KafkaConfig {
        topic_prefix: prefix.to_owned(),
        mode: Mode::Development,
        clock,
        ..KafkaConfig::new(bootstrap)
    };
    Arc::new(KafkaLog::connect(config).await.unwrap())
}

#[test]
fn share_the_work_and_take_over_from_each_other() {
    acceptance::in_a_system(async {
        let Some(bed) = Bed::shared() else { return };
        let bootstrap = bed.kafka().bootstrap();
        let prefix = format!("two-hubs-{}.", uuid::Uuid::new_v4().simple());
        let ground = Ground::simulated(3).await;
        let dir = tempfile::tempdir().unwrap();
        let ownership = Ownership::Leased(LeaseConfig::default());

        let log = connect(bootstrap, &prefix).await;
        let data = dir.path().join("a");
        let first = hubs::start("hub-a", &ground, log.clone(), &data, ownership).await;
        let data = dir.path().join("b");
        let other_log = connect(bootstrap, &prefix).await;
        let second = hubs::start("hub-b", &ground, other_log, &data, ownership).await;
        let share = |hub: &hub::Hub| hub.router().status().owning.len();
        eventually("both own something, and all is owned", || async {
            let (a, b) = (share(&first), share(&second));
            a > 0 && b > 0 && a + b == usize::from(PARTITIONS)
        })
        .await;
        scenarios::journey(&ground).await;

        let stopped = Instant::now();
        first.shutdown().await;
        eventually("the other owns everything", || async {
            share(&second) == usize::from(PARTITIONS)
        })
        .await;
        let took = stopped.elapsed();
        println!("planned hand-over took {took:?}");
        assert!(took < HAND_OVER_MAX, "{took:?}");
        scenarios::write_app(&ground, "app-later", "still here").await;
        scenarios::place(&ground, "later", "app-later", &["eu", "ap"]).await;
        scenarios::shows(&ground, "later", &scenarios::available(1)).await;

        second.shutdown().await;
        let report = actors::replay::verify(&*log, PARTITIONS).await.unwrap();
        assert_eq!(report.first_difference, None);
        ground.stop();
    });
}

/// What is said of a hub's clock.
fn clock_of(hub: &hub::Hub) -> Option<String> {
    let mut concerns = hub.router().concerns().all().into_iter();
    concerns.find(|concern| concern.check == "clock").map(|concern| concern.message)
}

/// By the brokers' clock: a hub that is an hour ahead owns nothing and says so, takes part when its
/// clock is right, and hands over when it is wrong again. What is recorded has the brokers' time
/// throughout.
#[test]
fn regression_a_hub_whose_clock_is_wrong_owns_nothing() {
    acceptance::in_a_system(async {
        let Some(bed) = Bed::shared() else { return };
        let bootstrap = bed.kafka().bootstrap();
        let prefix = format!("wrong-clock-{}.", uuid::Uuid::new_v4().simple());
        let ground = Ground::simulated(1).await;
        let dir = tempfile::tempdir().unwrap();
        let ownership = Ownership::Leased(LeaseConfig::default());
        let all = usize::from(PARTITIONS);
        let owns = |hub: &hub::Hub| hub.router().status().owning.len();

        let clock = NodeClock::default();
        clock.set_ahead(SignedDuration::from_hours(1));
        let log = connect_with(bootstrap, &prefix, clock.clone()).await;
        let data = dir.path().join("wrong");
        let wrong = hubs::start("hub-wrong", &ground, log.clone(), &data, ownership).await;
        eventually("it says what both clocks show", || async {
            clock_of(&wrong).is_some_and(|told| told.contains("s ahead of the log's"))
        })
        .await;
        assert_eq!(owns(&wrong), 0);

        let other_log = connect(bootstrap, &prefix).await;
        let data = dir.path().join("right");
        let right = hubs::start("hub-right", &ground, other_log, &data, ownership).await;
        eventually("the other owns everything", || async { owns(&right) == all }).await;
        assert_eq!((owns(&wrong), clock_of(&right)), (0, None));

        clock.set_ahead(SignedDuration::ZERO);
        eventually("they share", || async {
            owns(&wrong) > 0 && owns(&wrong) + owns(&right) == all
        })
        .await;
        assert_eq!(clock_of(&wrong), None);
        clock.set_ahead(SignedDuration::from_secs(-7));
        eventually("it hands over", || async { owns(&wrong) == 0 && owns(&right) == all }).await;
        assert!(clock_of(&wrong).is_some_and(|told| told.contains("7 s behind")));

        // Both are on this machine, so nothing can be recorded that is later than now.
        let latest = {
            let model = right.router().fold().model();
            model.checkpoints.values().map(|checkpoint| checkpoint.time).max().unwrap()
        };
        let ahead = latest.duration_since(Timestamp::now());
        assert!(ahead < SignedDuration::from_secs(2), "{ahead}");
        wrong.shutdown().await;
        right.shutdown().await;
        let report = actors::replay::verify(&*log, PARTITIONS).await.unwrap();
        assert_eq!(report.first_difference, None);
        ground.stop();
    });
}
