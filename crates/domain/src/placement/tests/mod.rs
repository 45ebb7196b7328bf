//! Tests of placements: what they ask for, where they go, and how far they are.

mod deletion;
mod held;
mod life;
mod raised;
mod refuse;
mod schedule;
mod submit;
mod targets;

use events::AggregateId;
use events::placement::{Policy, RefusalReason, TargetPhase};

use super::{
    DeletePlacement, Placement, PlacementCommand, RefusePlacement, ReportTarget, Reschedule,
    SubmitPlacement,
};
use crate::testing::make::{content, everywhere, failure, labels, spec, taints, web};
use crate::testing::{Scene, evidence};
use crate::{ClusterView, FleetView};

/// The placement `web`, of which nothing was ever heard, in a fleet of these members.
fn web_in(members: &[(&str, &str)]) -> Scene<Placement> {
    let mut scene = Scene::of(AggregateId::Placement(web()));
    scene.fleet = fleet(members);
    scene
}

/// The placement `web` on all of eu-1 and eu-2, before anything was reported.
fn placed() -> Scene<Placement> {
    web_in(&[("eu-1", "env=prod"), ("eu-2", "env=test")]).after(submit("p1", 1, "a", everywhere()))
}

/// A fleet of joined members with these labels.
fn fleet(members: &[(&str, &str)]) -> FleetView {
    let mut fleet = FleetView::default();
    for (name, with_labels) in members {
        let view = ClusterView {
            labels: labels(with_labels),
            identity: Some(format!("id-{name}")),
            ..ClusterView::default()
        };
        fleet.clusters.insert((*name).to_owned(), view);
    }
    fleet.watermark.advance(evidence(100));
    fleet
}

fn taint(scene: &mut Scene<Placement>, cluster: &str, with: &str) {
    scene.fleet.clusters.get_mut(cluster).unwrap().taints = taints(with);
}

fn relabel(scene: &mut Scene<Placement>, cluster: &str, with: &str) {
    scene.fleet.clusters.get_mut(cluster).unwrap().labels = labels(with);
}

fn submit(uid: &str, generation: i64, selected: &str, policy: Policy) -> PlacementCommand {
    submit_noting(uid, generation, selected, policy, &[])
}

fn submit_noting(
    uid: &str,
    generation: i64,
    selected: &str,
    policy: Policy,
    notes: &[&str],
) -> PlacementCommand {
    PlacementCommand::SubmitPlacement(SubmitPlacement {
        uid: uid.to_owned(),
        generation,
        spec: spec(policy),
        revision: content(selected),
        notes: notes.iter().map(|&note| note.to_owned()).collect(),
    })
}

fn refuse(uid: &str, generation: i64, message: &str) -> PlacementCommand {
    PlacementCommand::RefusePlacement(RefusePlacement {
        uid: uid.to_owned(),
        generation,
        reason: RefusalReason::InvalidResourceSelectors,
        message: message.to_owned(),
    })
}

fn delete(uid: &str) -> PlacementCommand {
    PlacementCommand::DeletePlacement(DeletePlacement { uid: uid.to_owned() })
}

fn reschedule() -> PlacementCommand {
    PlacementCommand::Reschedule(Reschedule {})
}

fn report(cluster: &str, generation: u64, phase: TargetPhase) -> PlacementCommand {
    let failures = match phase {
        TargetPhase::ApplyFailed => vec![failure("settings")],
        TargetPhase::Moving
        | TargetPhase::Assigned
        | TargetPhase::Applied
        | TargetPhase::Available
        | TargetPhase::AvailableUntracked
        | TargetPhase::Removed
        | TargetPhase::Removing => vec![],
    };
    let cluster = cluster.to_owned();
    PlacementCommand::ReportTarget(ReportTarget {
        cluster,
        generation,
        phase,
        failures,
        remark: String::new(),
    })
}
