//! A node on the log in memory, with members that take whatever they are told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::cluster::{
    ClusterCommand, DeliveryOutcome, Notes, ObserveCluster, RemoveCluster, ReportDelivery,
    ReportLink, ReportRemoval,
};
use domain::placement::{DeletePlacement, PlacementCommand, RevisionInput, SubmitPlacement};
use domain::{DomainCommand, Effect};
use event_log::{Log, MemoryLog, partition_of};
use events::cluster::ApplyStrategy;
use events::placement::{PlacementSpec, Policy, TargetPhase};
use events::{AggregateId, ContentHash, Epoch, PlacementKey, Principal};
use projections::Model;
use uuid::Uuid;

use super::{HubCluster, Node, NodeConfig, Ownership, Router};
use crate::ask::AskError;
use crate::effects::{Again, Performed, Performer};
use crate::shard::ClaimIdentity;

pub(crate) const PARTITIONS: u16 = 4;

/// Every order succeeds at once.
struct Obedient;

#[async_trait]
impl Performer for Obedient {
    async fn perform(&self, effect: &Effect, _epoch: Epoch, _attempt: u32) -> Performed {
        let report = match effect {
            Effect::Deliver(deliver) => ClusterCommand::ReportDelivery(ReportDelivery {
                placement: deliver.key.placement.clone(),
                generation: deliver.generation,
                outcome: DeliveryOutcome::Available { untracked: 0 },
                notes: Notes::default(),
            }),
            Effect::Withdraw(withdraw) => ClusterCommand::ReportRemoval(ReportRemoval {
                placement: withdraw.key.placement.clone(),
                generation: withdraw.generation,
                notes: Notes::default(),
            }),
            Effect::Observe(_) | Effect::Cancel(_) => {
                return Performed { report: None, again: Again::No };
            }
        };
        Performed { report: Some(report.into()), again: Again::No }
    }
}

pub(crate) async fn node(log: &MemoryLog) -> Node {
    start(config(Arc::new(log.clone()), Ownership::Alone)).await
}

pub(crate) async fn start(config: NodeConfig) -> Node {
    Node::start(config).await.unwrap()
}

pub(crate) fn config(log: Arc<dyn Log>, ownership: Ownership) -> NodeConfig {
    let identity = ClaimIdentity {
        node: "test".to_owned(),
        incarnation: Uuid::new_v4(),
        version: "0".to_owned(),
    };
    NodeConfig {
        identity,
        log,
        partitions: PARTITIONS,
        hub: HubCluster::of("hub"),
        model: Model::new(partition_of),
        store: None,
        performer: Arc::new(Obedient),
        ownership,
        threads: 2,
    }
}

/// Asks until this node owns the aggregate.
pub(crate) async fn ask(
    router: &Router,
    aggregate: AggregateId,
    command: impl Into<DomainCommand>,
) {
    let command = command.into();
    let mut owning = router.owning();
    let partition = router.partition_of(&aggregate);
    owning.wait_for(|owning| owning.contains_key(&partition)).await.unwrap();
    router.ask(aggregate, command, Principal::System).await.unwrap();
}

pub(crate) async fn join(router: &Router, name: &str) {
    let observe = ObserveCluster {
        uid: format!("uid-{name}"),
        labels: BTreeMap::new(),
        taints: vec![],
        heartbeat_period_seconds: 60,
    };
    let link = ReportLink {
        cluster: name.to_owned(),
        identity: format!("identity-{name}"),
        hub_identity: "hub".to_owned(),
        kubernetes_version: "v1.36.4".to_owned(),
        confirmed: None,
        taken_from: None,
    };
    let id = AggregateId::Cluster(name.to_owned());
    ask(router, id.clone(), ClusterCommand::ObserveCluster(observe)).await;
    ask(router, id, ClusterCommand::ReportLink(link)).await;
}

pub(crate) fn submit(generation: i64, content: &[u8]) -> PlacementCommand {
    PlacementCommand::SubmitPlacement(SubmitPlacement {
        uid: "uid-web".to_owned(),
        generation,
        spec: PlacementSpec {
            selectors: vec![],
            policy: Policy::PickAll { terms: vec![], tolerations: vec![] },
            apply: ApplyStrategy::default(),
        },
        revision: RevisionInput { manifests: ContentHash::of(content), objects: 1 },
        notes: vec![],
    })
}

/// Waits for the model to look as it should.
pub(crate) async fn eventually(router: &Router, what: &str, holds: impl Fn(&Model) -> bool) {
    let mut changes = router.fold().changes();
    let wait = async {
        while !holds(&router.fold().model()) {
            changes.recv().await.unwrap();
        }
    };
    if tokio::time::timeout(Duration::from_secs(10), wait).await.is_err() {
        panic!("never: {what}; the model is {:#?}", router.fold().model().placements);
    }
}

fn phases(model: &Model, key: &PlacementKey) -> Vec<(String, TargetPhase, Option<u32>)> {
    let placement = model.placements.get(key);
    let targets = placement.into_iter().flat_map(|placement| &placement.state.targets);
    targets.map(|(name, target)| (name.clone(), target.phase, target.revision)).collect()
}

#[actix::test]
async fn a_placement_travels_to_every_member_and_back() {
    let log = MemoryLog::new();
    let node = node(&log).await;
    let router = node.router();
    let key = PlacementKey::cluster("web");
    let id = AggregateId::Placement(key.clone());
    join(router, "eu-1").await;
    join(router, "us-1").await;

    ask(router, id.clone(), submit(1, b"one")).await;
    let on = |names: &[&str], revision| -> Vec<_> {
        let on = |name: &&str| ((*name).to_owned(), TargetPhase::Available, Some(revision));
        names.iter().map(on).collect()
    };
    eventually(router, "both hold it", |m| phases(m, &key) == on(&["eu-1", "us-1"], 0)).await;

    ask(router, id.clone(), submit(1, b"two")).await;
    eventually(router, "both moved", |m| phases(m, &key) == on(&["eu-1", "us-1"], 1)).await;

    join(router, "ap-1").await;
    let all = ["ap-1", "eu-1", "us-1"];
    eventually(router, "a new member gets it too", |m| phases(m, &key) == on(&all, 1)).await;

    let remove = RemoveCluster { uid: "uid-us-1".to_owned() };
    let left = AggregateId::Cluster("us-1".to_owned());
    ask(router, left, ClusterCommand::RemoveCluster(remove)).await;
    eventually(router, "it leaves", |m| phases(m, &key) == on(&["ap-1", "eu-1"], 1)).await;

    let delete = DeletePlacement { uid: "uid-web".to_owned() };
    ask(router, id, PlacementCommand::DeletePlacement(delete)).await;
    eventually(router, "it is deleted", |model| {
        model.placements[&key].state.specified.is_none()
            && model.clusters["eu-1"].state.deliveries.is_empty()
    })
    .await;
    assert_eq!(router.status().effects, 0);
    node.shutdown().await;

    let report = crate::replay::verify(&log, 4).await.unwrap();
    assert_eq!(report.first_difference, None);
    assert!(report.decisions > 20 && report.follow_ups > 10, "{report:?}");
    assert_eq!(report.undecided, 0);
}

#[actix::test]
async fn a_restarted_node_goes_on_where_the_log_ends() {
    let log = MemoryLog::new();
    let key = PlacementKey::cluster("web");
    let id = AggregateId::Placement(key.clone());
    let first = node(&log).await;
    join(first.router(), "eu-1").await;
    ask(first.router(), id.clone(), submit(1, b"one")).await;
    first.shutdown().await;

    let second = node(&log).await;
    ask(second.router(), id, submit(2, b"two")).await;
    eventually(second.router(), "it moved", |model| {
        phases(model, &key) == [("eu-1".to_owned(), TargetPhase::Available, Some(1))]
    })
    .await;
    second.shutdown().await;
}

#[actix::test]
async fn a_refusal_says_why_and_leaves_no_trace() {
    let log = MemoryLog::new();
    let node = node(&log).await;
    let router = node.router();
    let id = AggregateId::Placement(PlacementKey::cluster("web"));
    ask(router, id.clone(), submit(2, b"one")).await;
    let before = router.fold().model().placements.clone();

    let refused = router.ask(id, submit(1, b"two").into(), Principal::System).await;
    let reason = "generation 1 of the object is older than 2".to_owned();
    assert_eq!(refused, Err(AskError::Refused(reason)));
    assert_eq!(router.fold().model().placements, before);
    node.shutdown().await;
}
