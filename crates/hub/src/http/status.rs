//! The hub at a glance.

use std::collections::BTreeMap;

use actix_web::{get, web};
use api::http::{
    ClusterCounts, ClusterPhase, HubStatus, IndexView, OwnedPartition, PartitionRejections,
    PlacementCounts, RejectedRecord,
};
use events::{Partition, Watermark};
use projections::{Checkpoint, Model};

use super::clusters::phase_of;
use super::health::readiness;
use super::placements::{is_available, is_failed};
use super::state::HttpState;

/// The hub at a glance.
#[utoipa::path(
    get, path = "/api/v1/status", tag = "fleet",
    responses((status = 200, description = "The hub", body = HubStatus)),
)]
#[get("/api/v1/status")]
pub(super) async fn status(state: web::Data<HttpState>) -> web::Json<HubStatus> {
    let node = state.node();
    let genesis = &state.config.genesis;
    let (clusters, placements, orders_waiting) = state.look(|model| {
        // Those of all hubs: this one may own none of the members that do not answer.
        let orders = model.clusters.values().map(|cluster| cluster.state.orders_waiting());
        (cluster_counts(model), placement_counts(model), orders.sum())
    });
    let owned = node.owning.iter();
    web::Json(HubStatus {
        node: state.config.node.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: state.started_at.to_string(),
        deployment: genesis.deployment.to_string(),
        readiness: readiness(&state),
        partitions: genesis.partitions,
        owned: owned
            .map(|(partition, epoch)| OwnedPartition { partition: partition.0, epoch: epoch.0 })
            .collect(),
        watermark: watermark(&node.watermark),
        records_rejected: state.records_rejected(),
        rejections: state.look(rejections),
        effects_waiting: orders_waiting,
        index: index(&state),
        clusters,
        placements,
    })
}

fn rejections(model: &Model) -> Vec<PartitionRejections> {
    let with_some = model.checkpoints.iter().filter(|(_, at)| at.rejections.count > 0);
    let shown = |(partition, at): (&Partition, &Checkpoint)| PartitionRejections {
        partition: partition.0,
        count: at.rejections.count,
        newest: at.rejections.newest.iter().map(rejected).collect(),
    };
    with_some.map(shown).collect()
}

fn rejected(record: &projections::RejectedRecord) -> RejectedRecord {
    RejectedRecord { offset: record.offset, reason: record.reason.clone() }
}

/// A watermark with partitions as text, since keys of JSON objects are.
pub(super) fn watermark(watermark: &Watermark) -> BTreeMap<String, u64> {
    let entries = watermark.0.iter();
    entries.map(|(partition, sequence)| (partition.to_string(), sequence.0)).collect()
}

pub(super) fn index(state: &HttpState) -> IndexView {
    let objects = state.config.index.objects();
    IndexView {
        kinds: objects.kinds(),
        objects: objects.len(),
        unsynced: objects.gaps().iter().map(ToString::to_string).collect(),
    }
}

pub(super) fn cluster_counts(model: &Model) -> ClusterCounts {
    let mut counts = ClusterCounts::default();
    for cluster in model.clusters.values() {
        match phase_of(&cluster.state) {
            ClusterPhase::Left => continue,
            ClusterPhase::Joining => {}
            ClusterPhase::Healthy => counts.joined += 1,
            ClusterPhase::Unhealthy => {
                counts.joined += 1;
                counts.unhealthy += 1;
            }
        }
        counts.members += 1;
    }
    counts
}

pub(super) fn placement_counts(model: &Model) -> PlacementCounts {
    let mut counts = PlacementCounts::default();
    for placement in model.placements.values() {
        let state = &placement.state;
        if state.specified.is_none() && state.problem.is_none() && state.deleting.is_none() {
            continue;
        }
        counts.placements += 1;
        for target in state.targets.values() {
            counts.targets += 1;
            counts.available += usize::from(is_available(target));
            counts.failed += usize::from(is_failed(target));
        }
    }
    counts
}
