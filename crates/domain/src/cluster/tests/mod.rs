//! Tests of clusters: their membership, and the deliveries on them.

mod credential;
mod deliveries;
mod grace;
mod life;
mod link;
mod membership;
mod notes;
mod outcomes;

use std::collections::BTreeMap;

use events::AggregateId;
use events::cluster::{ApplyStrategy, LinkProblem};

use super::{
    AssignDelivery, Cluster, ClusterCommand, DeliveryOutcome, Notes, ObserveCluster, RemoveCluster,
    ReportDelivery, ReportHealth, ReportLink, ReportLinkProblem, ReportRemoval, WithdrawDelivery,
};
use crate::testing::Scene;
use crate::testing::make::{labels, revision, taints, web};

/// The name eu-1, of which nothing was ever heard.
fn eu_1() -> Scene<Cluster> {
    Scene::of(AggregateId::Cluster("eu-1".to_owned()))
}

/// The cluster eu-1, registered but not joined.
fn registered() -> Scene<Cluster> {
    eu_1().after(observe("u1", "env=prod", ""))
}

/// The member eu-1.
fn joined() -> Scene<Cluster> {
    registered().after(link("id-eu-1"))
}

fn observe(uid: &str, with_labels: &str, with_taints: &str) -> ClusterCommand {
    ClusterCommand::ObserveCluster(ObserveCluster {
        uid: uid.to_owned(),
        labels: labels(with_labels),
        taints: taints(with_taints),
        heartbeat_period_seconds: 60,
    })
}

fn remove(uid: &str) -> ClusterCommand {
    ClusterCommand::RemoveCluster(RemoveCluster { uid: uid.to_owned() })
}

fn link(identity: &str) -> ClusterCommand {
    ClusterCommand::ReportLink(seen(identity))
}

/// What a probe through a link says.
fn seen(identity: &str) -> ReportLink {
    ReportLink {
        cluster: "eu-1".to_owned(),
        identity: identity.to_owned(),
        hub_identity: "id-hub".to_owned(),
        kubernetes_version: "v1.36.4".to_owned(),
        confirmed: None,
        taken_from: None,
    }
}

fn link_problem(problem: LinkProblem) -> ClusterCommand {
    let message = "the link is broken".to_owned();
    ClusterCommand::ReportLinkProblem(ReportLinkProblem { problem, message, is_new_link: false })
}

fn well() -> ClusterCommand {
    health(true, "it answers", None)
}

fn unwell(message: &str) -> ClusterCommand {
    health(false, message, None)
}

fn health(healthy: bool, message: &str, properties: Option<&str>) -> ClusterCommand {
    let properties: Option<BTreeMap<_, _>> = properties.map(labels);
    ClusterCommand::ReportHealth(ReportHealth { healthy, message: message.to_owned(), properties })
}

/// Assigns revision `index` of the placement `web`.
fn assign(generation: u64, index: u32) -> ClusterCommand {
    assign_as(generation, index, ApplyStrategy::default())
}

fn assign_as(generation: u64, index: u32, apply: ApplyStrategy) -> ClusterCommand {
    let revision = revision(index, &format!("content {index}"));
    let placement = web();
    ClusterCommand::AssignDelivery(AssignDelivery { placement, generation, revision, apply })
}

fn withdraw(generation: u64) -> ClusterCommand {
    ClusterCommand::WithdrawDelivery(WithdrawDelivery { placement: web(), generation })
}

fn report(generation: u64, outcome: DeliveryOutcome) -> ClusterCommand {
    report_with(generation, outcome, Notes::default())
}

fn report_with(generation: u64, outcome: DeliveryOutcome, notes: Notes) -> ClusterCommand {
    ClusterCommand::ReportDelivery(ReportDelivery { placement: web(), generation, outcome, notes })
}

fn available(generation: u64) -> ClusterCommand {
    report(generation, DeliveryOutcome::Available { untracked: 0 })
}

fn removal(generation: u64) -> ClusterCommand {
    removal_with(generation, Notes::default())
}

fn removal_with(generation: u64, notes: Notes) -> ClusterCommand {
    ClusterCommand::ReportRemoval(ReportRemoval { placement: web(), generation, notes })
}
