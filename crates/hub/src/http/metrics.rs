//! Metrics for Prometheus, read from the present whenever somebody asks.

use actix_web::{HttpResponse, get, web};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::error::Problem;
use super::health::readiness;
use super::state::HttpState;
use super::status::{cluster_counts, index, placement_counts};

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Metrics in the OpenMetrics text format.
#[utoipa::path(
    get, path = "/metrics", tag = "health",
    responses((status = 200, description = "Metrics in the OpenMetrics text format", body = String)),
)]
#[get("/metrics")]
pub(super) async fn metrics(state: web::Data<HttpState>) -> Result<HttpResponse, Problem> {
    let mut text = String::new();
    encode(&mut text, &registry(&state)).map_err(|error| Problem::internal(error.to_string()))?;
    Ok(HttpResponse::Ok().content_type(CONTENT_TYPE).body(text))
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PartitionLabel {
    partition: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

fn registry(state: &HttpState) -> Registry {
    let node = state.node();
    let (clusters, placements) =
        state.look(|model| (cluster_counts(model), placement_counts(model)));
    let index = index(state);
    let mut registry = Registry::with_prefix("taffrail");

    let folded = Family::<PartitionLabel, Gauge>::default();
    let mut decisions = 0;
    for (partition, sequence) in &node.watermark.0 {
        folded.get_or_create(&PartitionLabel { partition: partition.0 }).set(number(sequence.0));
        decisions += sequence.0;
    }
    registry.register("log_folded_sequence", "The last sequence folded of a partition", folded);
    let positions = Counter::<u64>::default();
    positions.inc_by(decisions);
    registry.register("log_positions", "Events, claims and empty frames folded", positions);
    let rejected = Counter::<u64>::default();
    rejected.inc_by(state.records_rejected());
    registry.register("log_records_rejected", "Records that do not count", rejected);
    let set_aside = Counter::<u64>::default();
    set_aside.inc_by(actors::set_aside::commands_set_aside());
    let help = "Commands that could not be decided or recorded, since start; the log names each";
    registry.register("commands_set_aside", help, set_aside);

    let epochs = Family::<PartitionLabel, Gauge>::default();
    for (partition, epoch) in &node.owning {
        epochs.get_or_create(&PartitionLabel { partition: partition.0 }).set(number(epoch.0));
    }
    registry.register("partition_epoch", "The ownership of each partition owned here", epochs);
    let mut gauge = |name: &str, help: &str, value: usize| {
        let gauge = Gauge::<i64>::default();
        gauge.set(number(value as u64));
        registry.register(name, help, gauge);
    };
    gauge("partitions_owned", "Partitions that this hub owns", node.owning.len());
    gauge("effects_waiting", "Orders to members that are not done", node.effects);
    gauge("index_objects", "Objects on the hub that may be selected", index.objects);
    gauge("index_kinds", "Kinds on the hub that are watched", index.kinds);
    gauge(
        "index_kinds_unsynced",
        "Kinds that are not listed, and groups that do not answer",
        index.unsynced.len(),
    );
    gauge("placements", "Placements that exist", placements.placements);
    gauge("ready", "Whether nothing is in the way", usize::from(readiness(state).ready));

    let members = Family::<StateLabel, Gauge>::default();
    for (state, count) in [
        ("joining", clusters.members - clusters.joined),
        ("healthy", clusters.joined - clusters.unhealthy),
        ("unhealthy", clusters.unhealthy),
    ] {
        members.get_or_create(&StateLabel { state }).set(number(count as u64));
    }
    registry.register("clusters", "Member clusters", members);
    let targets = Family::<StateLabel, Gauge>::default();
    for (state, count) in [
        ("available", placements.available),
        ("failed", placements.failed),
        ("other", placements.targets - placements.available - placements.failed),
    ] {
        targets.get_or_create(&StateLabel { state }).set(number(count as u64));
    }
    registry.register("targets", "Placements on clusters", targets);

    if let Some(bytes) = resident_bytes() {
        let resident = Gauge::<i64>::default();
        resident.set(number(bytes));
        let help = "Memory of this process that is in RAM";
        registry.register_with_unit("process_resident_memory", help, Unit::Bytes, resident);
    }
    registry
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// From Linux's /proc; unknown elsewhere.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
