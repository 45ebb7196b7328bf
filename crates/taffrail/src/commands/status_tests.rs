//! What the status looks like.

use std::collections::BTreeMap;

use api::http::{
    ClusterCounts, IndexView, NotReady, OwnedPartition, PlacementCounts, PlacementPhase, Readiness,
};

use super::*;

fn cluster(name: &str, phase: ClusterPhase, message: &str) -> ClusterSummary {
    ClusterSummary {
        name: name.to_owned(),
        phase,
        labels: BTreeMap::from([("region".to_owned(), "eu".to_owned())]),
        taints: vec![],
        kubernetes_version: "v1.36.4".to_owned(),
        joined_at: Some("2026-01-01T23:00:00Z".to_owned()),
        deliveries: 2,
        message: message.to_owned(),
    }
}

fn placement(scope: &str, name: &str, phase: PlacementPhase) -> PlacementSummary {
    PlacementSummary {
        scope: scope.to_owned(),
        name: name.to_owned(),
        phase,
        generation: Some(1),
        revision: Some(3),
        objects: 7,
        chosen: 2,
        available: 1,
        failed: 0,
        message: "2 of 3 clusters match the policy".to_owned(),
        changed_at: "2026-01-01T23:59:30Z".to_owned(),
    }
}

fn hub(not_ready: Vec<NotReady>) -> HubStatus {
    HubStatus {
        node: "hub-0".to_owned(),
        version: "0.1.0".to_owned(),
        started_at: "2026-01-01T12:00:00Z".to_owned(),
        deployment: "0192f1a0-0000-7000-8000-000000000000".to_owned(),
        readiness: Readiness { ready: not_ready.is_empty(), not_ready, warnings: vec![] },
        partitions: 2,
        owned: vec![OwnedPartition { partition: 0, epoch: 4 }],
        watermark: BTreeMap::from([("0".to_owned(), 40), ("1".to_owned(), 2)]),
        records_rejected: 0,
        rejections: vec![],
        effects_waiting: 1,
        index: IndexView { kinds: 30, objects: 120, unsynced: vec![] },
        clusters: ClusterCounts { members: 2, joined: 2, unhealthy: 1 },
        placements: PlacementCounts { placements: 2, targets: 4, available: 2, failed: 0 },
    }
}

fn shown(status: &Status) -> String {
    text(status, "2026-01-02T00:00:00Z".parse().unwrap())
}

#[test]
fn a_fleet_at_work() {
    let rejected =
        RejectedRecord { offset: 40, reason: "its epoch is 3, the current one is 4".to_owned() };
    let rejections = vec![PartitionRejections { partition: 1, count: 7, newest: vec![rejected] }];
    let status = Status {
        hub: HubStatus { records_rejected: 7, rejections, ..hub(vec![]) },
        clusters: vec![
            cluster("eu-1", ClusterPhase::Healthy, ""),
            cluster("eu-2", ClusterPhase::Unhealthy, "it does not answer"),
        ],
        placements: vec![
            placement("cluster", "web", PlacementPhase::Progressing),
            placement("ns.team-a", "cache", PlacementPhase::Available),
        ],
    };
    insta::assert_snapshot!(shown(&status));
}

#[test]
fn a_hub_that_has_just_started() {
    let index = NotReady {
        check: "index".to_owned(),
        message: "the kinds of the hub's API server are not known yet".to_owned(),
    };
    let status = Status { hub: hub(vec![index]), clusters: vec![], placements: vec![] };
    insta::assert_snapshot!(shown(&status));
}
