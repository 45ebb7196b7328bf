//! What a node is given to do when no Kubernetes is there: placements, and members that take
//! everything at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actors::node::{HubCluster, Node, NodeConfig, Ownership, Router};
use actors::shard::ClaimIdentity;
use anyhow::{Context, Result, anyhow};
use domain::DomainCommand;
use domain::cluster::{ClusterCommand, ObserveCluster, ReportLink};
use domain::placement::{PlacementCommand, RefusePlacement, RevisionInput, SubmitPlacement};
use event_log::{Log, partition_of};
use events::cluster::ApplyStrategy;
use events::placement::{PlacementSpec, Policy, RefusalReason, TargetPhase};
use events::{AggregateId, ContentHash, PlacementKey, Principal};
use futures::{StreamExt, TryStreamExt};
use projections::{Model, Store};
use uuid::Uuid;

use super::samples::Samples;
use crate::obedient::Obedient;

/// How long the load runs before it is counted.
const WARM_UP: Duration = Duration::from_secs(1);

/// For how long it is counted.
const COUNTED: Duration = Duration::from_secs(5);

/// How many commands are under way at once. Fewer leave frames half empty, more wait in mailboxes.
const UNDER_WAY: usize = 2_048;

/// How many commands of a fleet at work are under way at once.
const SUBMITS_UNDER_WAY: usize = 64;

/// How long a fleet may take to come to rest.
const REST: Duration = Duration::from_secs(120);

/// Starts a node as a hub has it, with members that take everything at once. Returns when it owns
/// all partitions. Without a store, nothing is written beside the log.
pub(super) async fn start(
    log: Arc<dyn Log>,
    store: Option<Store>,
    partitions: u16,
) -> Result<Node> {
    let identity = ClaimIdentity {
        node: "bench".to_owned(),
        incarnation: Uuid::new_v4(),
        version: "bench".to_owned(),
    };
    let node = Node::start(NodeConfig {
        identity,
        log,
        partitions,
        hub: HubCluster::of("hub"),
        model: Model::new(partition_of),
        store,
        performer: Arc::new(Obedient),
        ownership: Ownership::Alone,
        threads: 2,
    })
    .await?;
    let mut owning = node.router().owning();
    owning.wait_for(|owning| owning.len() == usize::from(partitions)).await?;
    Ok(node)
}

/// The smallest decision: one command, one event, nothing that follows from it. Each is another
/// decision than the one before.
fn smallest(n: u64) -> DomainCommand {
    PlacementCommand::RefusePlacement(RefusePlacement {
        uid: "0a1b2c3d-0000-4000-8000-000000000001".to_owned(),
        generation: 1,
        reason: RefusalReason::SchedulingPolicyUnfulfilled,
        message: format!("the policy cannot be followed, for the {n}th time"),
    })
    .into()
}

fn placement(n: usize) -> AggregateId {
    AggregateId::Placement(PlacementKey::namespaced(format!("team-{}", n % 50), format!("app-{n}")))
}

async fn ask(router: &Router, id: AggregateId, command: DomainCommand) -> Result<()> {
    let name = id.to_string();
    let answer = router.ask(id, command, Principal::System).await;
    answer.map(drop).with_context(|| format!("ask {name}"))
}

/// One command after the other, each answered before the next is asked: accepted and read back.
pub(super) async fn hops(router: &Router, count: usize) -> Result<Samples> {
    let mut times = vec![];
    for n in 0..count {
        let since = Instant::now();
        ask(router, placement(n), smallest(n as u64)).await?;
        times.push(since.elapsed());
    }
    Ok(Samples::of(times))
}

/// How many of the smallest decisions a second are accepted and read back, with many under way.
pub(super) async fn decisions_per_second(router: &Router) -> Result<(f64, String)> {
    let (ended, decided) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let askers = (0..UNDER_WAY).map(|n| {
        let (router, ended, decided) = (router.clone(), ended.clone(), decided.clone());
        tokio::spawn(async move {
            let id = placement(n);
            // Above what the hops have said to the same placements.
            for n in 1_000_000.. {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                ask(&router, id.clone(), smallest(n)).await?;
                decided.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        })
    });
    let askers: Vec<_> = askers.collect();
    tokio::time::sleep(WARM_UP).await;
    let (since, before) = (Instant::now(), decided.load(Ordering::Relaxed));
    tokio::time::sleep(COUNTED).await;
    let count = decided.load(Ordering::Relaxed) - before;
    let took = since.elapsed();
    ended.store(true, Ordering::Relaxed);
    for asker in askers {
        asker.await??;
    }
    let how = format!(
        "{count} commands of one event each, accepted and read back in {:.1} s, {UNDER_WAY} under \
         way at once, projections written",
        took.as_secs_f64()
    );
    Ok((count as f64 / took.as_secs_f64(), how))
}

/// Members join, and placements move on all of them, until everything is available; then again
/// with another revision. Answers with the time from the first placement on.
pub(super) async fn fleet_at_work(
    router: &Router,
    members: usize,
    placements: usize,
) -> Result<Duration> {
    for n in 0..members {
        join(router, n).await?;
    }
    let since = Instant::now();
    for round in 0..2_i64 {
        futures::stream::iter(0..placements)
            .map(|n| ask(router, placement(n), submit(n, round)))
            .buffer_unordered(SUBMITS_UNDER_WAY)
            .try_collect::<Vec<()>>()
            .await?;
        at_rest(router, placements, members, round).await?;
    }
    Ok(since.elapsed())
}

async fn join(router: &Router, n: usize) -> Result<()> {
    let name = format!("member-{n:03}");
    let id = AggregateId::Cluster(name.clone());
    let observe = ObserveCluster {
        uid: format!("0a1b2c3d-0000-4000-8000-{n:012}"),
        labels: BTreeMap::from([("region".to_owned(), format!("region-{}", n % 7))]),
        taints: vec![],
        heartbeat_period_seconds: 15,
    };
    let link = ReportLink {
        cluster: name,
        identity: format!("1a1b2c3d-0000-4000-8000-{n:012}"),
        hub_identity: "hub".to_owned(),
        kubernetes_version: "v1.36.4".to_owned(),
        confirmed: None,
        taken_from: None,
    };
    ask(router, id.clone(), ClusterCommand::ObserveCluster(observe).into()).await?;
    ask(router, id, ClusterCommand::ReportLink(link).into()).await
}

fn submit(n: usize, round: i64) -> DomainCommand {
    PlacementCommand::SubmitPlacement(SubmitPlacement {
        uid: format!("2a1b2c3d-0000-4000-8000-{n:012}"),
        generation: round + 1,
        spec: PlacementSpec {
            selectors: vec![],
            policy: Policy::PickAll { terms: vec![], tolerations: vec![] },
            apply: ApplyStrategy::default(),
        },
        revision: RevisionInput {
            manifests: ContentHash::of(format!("{n} {round}").as_bytes()),
            objects: 3,
        },
        notes: vec![],
    })
    .into()
}

/// Waits until every placement is available everywhere in the revision of this round.
async fn at_rest(router: &Router, placements: usize, members: usize, round: i64) -> Result<()> {
    let revision = u32::try_from(round).ok();
    let is_at_rest = || {
        let model = router.fold().model();
        model.placements.len() == placements
            && model.placements.values().all(|placement| {
                let targets = &placement.state.targets;
                targets.len() == members
                    && targets.values().all(|target| {
                        target.phase == TargetPhase::Available && target.revision == revision
                    })
            })
    };
    let wait = async {
        while !is_at_rest() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(REST, wait).await;
    waited.map_err(|_| anyhow!("the fleet did not come to rest within {REST:?}"))
}
