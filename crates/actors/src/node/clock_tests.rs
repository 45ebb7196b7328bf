//! Nodes with wrong clocks on a log that they share.

use std::sync::Arc;
use std::time::Duration;

use domain::cluster::{ClusterCommand, HEALTH_GRACE, ReportHealth, ReportLinkProblem};
use event_log::lease::LeaseConfig;
use event_log::{LogClock, MemoryLog, NodeClock, Stream, partition_of};
use events::cluster::LinkProblem;
use events::placement::VerdictReason;
use events::{AggregateId, PlacementKey, Record, Timestamp};
use jiff::SignedDuration;
use projections::Model;

use super::tests::{PARTITIONS, ask, config, eventually, join, start, submit};
use super::{Node, Ownership, Router};
use crate::concerns::Gravity;
use crate::shard::ClaimIdentity;

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A node of this name and clock, on the log as it sees it.
async fn node(name: &str, log: &MemoryLog, clock: &NodeClock) -> Node {
    let leases = LeaseConfig { ttl_ms: 600, renew_every_ms: 200, clock_off_max_ms: 5_000 };
    let log = Arc::new(log.with_clock(LogClock::of_log(clock.clone())));
    let config = config(log, Ownership::Leased(leases));
    let identity = ClaimIdentity { node: name.to_owned(), ..config.identity.clone() };
    start(super::NodeConfig { identity, ..config }).await
}

async fn owns(router: &Router, count: u16) {
    let mut owning = router.owning();
    let wait = owning.wait_for(|owning| owning.len() == usize::from(count));
    if tokio::time::timeout(PATIENCE, wait).await.is_err() {
        panic!("it owns {:?}; {:?}", router.owning().borrow(), router.concerns().all());
    }
}

/// What is said of the clock.
fn told(router: &Router) -> Option<(Gravity, String)> {
    let mut concerns = router.concerns().all().into_iter();
    let clock = concerns.find(|concern| concern.check == "clock")?;
    Some((clock.gravity, clock.message))
}

#[actix::test]
async fn regression_a_node_whose_clock_is_off_owns_nothing_and_says_so() {
    let (log, clock) = (MemoryLog::new(), NodeClock::default());
    clock.set_ahead(SignedDuration::from_hours(1));
    let wrong = node("wrong", &log, &clock).await;
    let founded = wrong.genesis().time.duration_since(Timestamp::now());
    assert!(founded.abs() < SignedDuration::from_mins(1), "founded {founded} from now");
    let right = node("right", &log, &NodeClock::default()).await;
    owns(right.router(), PARTITIONS).await;
    let (gravity, message) = told(wrong.router()).unwrap();
    assert_eq!(gravity, Gravity::Blocking);
    assert!(message.contains("s ahead of the log's, and may be 5 s off"), "{message}");
    assert_eq!(told(right.router()), None);
    assert!(wrong.router().owning().borrow().is_empty());

    // Set right, it takes part; set wrong again, it hands over in order.
    clock.set_ahead(SignedDuration::from_secs(-2));
    let mut shared = wrong.router().owning();
    let takes_part = shared.wait_for(|owning| !owning.is_empty());
    tokio::time::timeout(PATIENCE, takes_part).await.unwrap().unwrap();
    assert_eq!(told(wrong.router()), None);
    clock.set_ahead(SignedDuration::from_secs(-6));
    owns(wrong.router(), 0).await;
    owns(right.router(), PARTITIONS).await;
    assert!(told(wrong.router()).unwrap().1.contains("6 s behind"));
    wrong.shutdown().await;
    right.shutdown().await;
}

/// Within the bound nobody steps back, and nobody's own clock gets into the record.
#[actix::test]
async fn what_is_recorded_has_the_logs_time() {
    let (log, clock) = (MemoryLog::new(), NodeClock::default());
    clock.set_ahead(SignedDuration::from_secs(4));
    let hub = node("hub", &log, &clock).await;
    owns(hub.router(), PARTITIONS).await;
    let before = Timestamp::now();
    join(hub.router(), "eu-1").await;
    let changed_at = hub.router().fold().model().clusters["eu-1"].changed_at;
    let late = changed_at.duration_since(before);
    assert!(late.abs() < SignedDuration::from_secs(2), "{late} by a clock that is 4 s ahead");
    hub.shutdown().await;
}

/// The clock of one owner may be behind that of the one before, as here of a single node whose clock
/// was set back.
#[actix::test]
async fn what_a_new_owner_decides_is_not_earlier_than_what_stands_in_its_partition() {
    let log = MemoryLog::new();
    let first = start(config(Arc::new(log.clone()), Ownership::Alone)).await;
    join(first.router(), "eu-1").await;
    first.shutdown().await;
    let times = |log: &MemoryLog| -> Vec<Timestamp> {
        let stream = Stream::Events(partition_of(&eu_1(), PARTITIONS));
        let records = log.dump(stream).into_iter();
        records.map(|record| Record::from_bytes(&record.bytes).unwrap().time()).collect()
    };
    let before = times(&log);

    let clock = NodeClock::default();
    clock.set_ahead(SignedDuration::from_secs(-3));
    let second =
        start(config(Arc::new(log.with_clock(LogClock::of_node(clock))), Ownership::Alone)).await;
    let problem = LinkProblem::Missing;
    let lost =
        ReportLinkProblem { problem, message: "the Secret is gone".to_owned(), is_new_link: false };
    ask(second.router(), eu_1(), ClusterCommand::ReportLinkProblem(lost)).await;
    second.shutdown().await;
    let after = times(&log);
    assert_eq!(after.len(), before.len() + 2, "a claim and a frame");
    assert!(after.is_sorted(), "{after:?}");
}

fn eu_1() -> AggregateId {
    AggregateId::Cluster("eu-1".to_owned())
}

/// From the wake-up of the cluster to what its placements say, with nothing else that moves.
#[actix::test]
async fn the_end_of_a_grace_period_reaches_the_placements() {
    let clock = NodeClock::default();
    let log = MemoryLog::new().with_clock(LogClock::of_node(clock.clone()));
    let hub = start(config(Arc::new(log), Ownership::Alone)).await;
    let router = hub.router();
    let web = PlacementKey::cluster("web");
    join(router, "eu-1").await;
    ask(router, AggregateId::Placement(web.clone()), submit(1, b"one")).await;
    let message = "no answer".to_owned();
    let lost = ReportHealth { healthy: false, message, properties: None };
    ask(router, eu_1(), ClusterCommand::ReportHealth(lost.clone())).await;
    let verdict = |model: &Model| {
        let scheduled = model.placements[&web].state.scheduled.as_ref();
        scheduled.and_then(|scheduled| scheduled.verdict("eu-1")).cloned()
    };
    assert_eq!(verdict(&router.fold().model()), Some(VerdictReason::Matches));

    clock.set_ahead(HEALTH_GRACE);
    // Alarms are set by a clock that cannot be set; what is said again moves nothing, and has the
    // shard look at its own.
    ask(router, eu_1(), ClusterCommand::ReportHealth(lost)).await;
    let despite = Some(Box::new(VerdictReason::Unhealthy));
    let stays = Some(VerdictReason::StaysPlaced { despite });
    eventually(router, "it stays, and says so", |model| verdict(model) == stays).await;
    assert!(router.fold().model().placements[&web].state.targets.contains_key("eu-1"));
    hub.shutdown().await;
}
