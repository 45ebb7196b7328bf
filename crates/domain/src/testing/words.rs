//! Events, follow-ups and effects in words, one line each.

use events::cluster::{
    ApplyStrategy, ClusterEvent, Labels, LinkProblem, ObjectFailure, ObjectNote, RevisionRef, Taint,
};
use events::placement::{PlacementEvent, TargetMove, Verdict, VerdictReason};
use events::{Event, ObjectId, PlacementKey, fleet::FleetFounded};

use crate::cluster::ClusterCommand;
use crate::placement::PlacementCommand;
use crate::{DomainCommand, Effect, EffectKey, FollowUp, Reaction};
use events::event::FleetEvent;

pub(crate) fn event(event: &Event) -> String {
    match event {
        Event::Cluster(event) => cluster_event(event),
        Event::Placement(event) => placement_event(event),
        Event::Fleet(event) => fleet_event(event),
    }
}

fn fleet_event(event: &FleetEvent) -> String {
    match event {
        FleetEvent::FleetFounded(FleetFounded { deployment, .. }) => {
            format!("FleetFounded {deployment}")
        }
        FleetEvent::FleetHandedOver(e) => format!("FleetHandedOver to {}", e.hub),
        FleetEvent::HubRevisionSeen(e) => format!("HubRevisionSeen {}", e.revision),
        FleetEvent::HubWentBack(e) => format!("HubWentBack from {} to {}", e.from, e.to),
        FleetEvent::HubAccepted(_) => "HubAccepted".to_owned(),
    }
}

pub(crate) fn cluster_event(event: &ClusterEvent) -> String {
    match event {
        ClusterEvent::ClusterRegistered(e) => format!(
            "ClusterRegistered {} labels [{}] taints [{}]",
            e.uid,
            labels(&e.labels),
            taints(&e.taints)
        ),
        ClusterEvent::ClusterLabelsChanged(e) => {
            format!("ClusterLabelsChanged [{}]", labels(&e.labels))
        }
        ClusterEvent::ClusterTaintsChanged(e) => {
            format!("ClusterTaintsChanged [{}]", taints(&e.taints))
        }
        ClusterEvent::ClusterHeartbeatPeriodChanged(e) => {
            format!("ClusterHeartbeatPeriodChanged {} s", e.heartbeat_period_seconds)
        }
        ClusterEvent::ClusterCredentialChanged(e) => match e.expires_at {
            None => "ClusterCredentialChanged, without an end".to_owned(),
            Some(end) => format!("ClusterCredentialChanged, ends {end}"),
        },
        ClusterEvent::ClusterCredentialExpiring(e) => {
            format!("ClusterCredentialExpiring, ends {}", e.expires_at)
        }
        ClusterEvent::ClusterJoined(e) => {
            let from = e.taken_from.as_ref().map(|from| format!(" from {from}"));
            format!(
                "ClusterJoined {} {}{}",
                e.identity,
                e.kubernetes_version,
                from.unwrap_or_default()
            )
        }
        ClusterEvent::ClusterLinkFailed(e) => {
            format!("ClusterLinkFailed {}", link_problem(&e.problem))
        }
        ClusterEvent::ClusterHealthLost(e) => format!("ClusterHealthLost: {}", e.message),
        ClusterEvent::ClusterHealthGraceEnded(e) => {
            format!("ClusterHealthGraceEnded, unwell since {}", e.unhealthy_since)
        }
        ClusterEvent::ClusterHealthRestored(_) => "ClusterHealthRestored".to_owned(),
        ClusterEvent::ClusterPropertiesChanged(e) => {
            format!("ClusterPropertiesChanged [{}]", labels(&e.properties))
        }
        ClusterEvent::ClusterLeft(e) => {
            let orphaned = e.orphaned.iter().map(|o| delivery(&o.placement, o.generation));
            format!("ClusterLeft, orphaned [{}]", join(orphaned))
        }
        ClusterEvent::DeliveryAssigned(e) => format!(
            "DeliveryAssigned {} r{}{}",
            delivery(&e.placement, e.generation),
            e.revision.index,
            apply(&e.apply)
        ),
        ClusterEvent::DeliveryApplied(e) => {
            format!("DeliveryApplied {}", delivery(&e.placement, e.generation))
        }
        ClusterEvent::DeliveryFailed(e) => format!(
            "DeliveryFailed {}{}",
            delivery(&e.placement, e.generation),
            failures(&e.failures)
        ),
        ClusterEvent::DeliveryAvailable(e) => format!(
            "DeliveryAvailable {}, {} untracked",
            delivery(&e.placement, e.generation),
            e.untracked
        ),
        ClusterEvent::DeliveryUnavailable(e) => format!(
            "DeliveryUnavailable {}{}",
            delivery(&e.placement, e.generation),
            failures(&e.waiting)
        ),
        ClusterEvent::DeliveryProgressed(e) => {
            format!("DeliveryProgressed {}, {}", delivery(&e.placement, e.generation), e.progress)
        }
        ClusterEvent::DeliveryDisturbed(e) => format!(
            "DeliveryDisturbed {}{}",
            delivery(&e.placement, e.generation),
            failures(&e.missing)
        ),
        ClusterEvent::DeliveryRemovalWaits(e) => format!(
            "DeliveryRemovalWaits {}{}",
            delivery(&e.placement, e.generation),
            failures(&e.remaining)
        ),
        ClusterEvent::DeliveryWithdrawn(e) => {
            format!("DeliveryWithdrawn {}", delivery(&e.placement, e.generation))
        }
        ClusterEvent::DeliveryNoted(e) => {
            let note = |one: &ObjectNote| format!("{} {}", one.object, one.note);
            let delivery = delivery(&e.placement, e.generation);
            format!("DeliveryNoted {delivery}: {}", join(e.notes.iter().map(note)))
        }
        ClusterEvent::DeliveryRemoved(e) => {
            format!("DeliveryRemoved {}", delivery(&e.placement, e.generation))
        }
        ClusterEvent::ClusterHeld(e) => format!("ClusterHeld {}", e.uid),
        ClusterEvent::ClusterHoldEnded(_) => "ClusterHoldEnded".to_owned(),
    }
}

pub(crate) fn placement_event(event: &PlacementEvent) -> String {
    match event {
        PlacementEvent::PlacementSpecified(e) => {
            format!("PlacementSpecified {}/{} policy {}", e.uid, e.generation, e.policy_index)
        }
        PlacementEvent::PlacementRefused(e) => {
            format!("PlacementRefused {}/{} {:?}: {}", e.uid, e.generation, e.reason, e.message)
        }
        PlacementEvent::RevisionRecorded(e) => {
            format!("RevisionRecorded r{} of {} objects", e.index, e.objects)
        }
        PlacementEvent::SelectionNoted(e) => format!("SelectionNoted [{}]", e.notes.join("; ")),
        PlacementEvent::PlacementScheduled(e) => format!(
            "PlacementScheduled {} policy {}: {}: [{}]",
            e.generation,
            e.policy_index,
            e.message,
            join(e.verdicts.iter().map(verdict))
        ),
        PlacementEvent::TargetsMoved(e) => {
            format!("TargetsMoved [{}]", join(e.moves.iter().map(target_move)))
        }
        PlacementEvent::TargetProgressed(e) => format!(
            "TargetProgressed {} g{} {:?}{} ({})",
            e.cluster,
            e.generation,
            e.phase,
            failures(&e.failures),
            e.evidence
        ),
        PlacementEvent::PlacementDeletionRequested(e) => {
            format!("PlacementDeletionRequested {}", e.uid)
        }
        PlacementEvent::PlacementDeleted(e) => format!("PlacementDeleted {}", e.uid),
        PlacementEvent::MovesRaised(e) => format!("MovesRaised above g{}", e.above),
        PlacementEvent::PlacementHeld(e) => format!("PlacementHeld {} {:?}", e.uid, e.reason),
        PlacementEvent::PlacementHoldEnded(e) => {
            let older = if e.older_counts { ", older counts" } else { "" };
            format!("PlacementHoldEnded {}{older}", e.uid)
        }
    }
}

pub(crate) fn reaction(reaction: &Reaction) -> String {
    match reaction {
        Reaction::FollowUp(told) => follow_up(told),
        Reaction::Effect(done) => effect(done),
    }
}

pub(crate) fn follow_up(follow_up: &FollowUp) -> String {
    format!("-> {}: {}", follow_up.to, command(&follow_up.command))
}

pub(crate) fn effect(effect: &Effect) -> String {
    let at = |key: &EffectKey| format!("{} on {}", key.placement, key.cluster);
    match effect {
        Effect::Deliver(e) => format!(
            "=> deliver {} g{} r{}{}{}{}",
            at(&e.key),
            e.generation,
            e.revision.index,
            held(&e.held),
            kept(&e.kept),
            apply(&e.apply)
        ),
        Effect::Withdraw(e) => {
            let (held, kept) = (held(&e.held), kept(&e.kept));
            format!("=> withdraw {} g{}{held}{kept}", at(&e.key), e.generation)
        }
        Effect::Observe(e) => format!("=> look after {} g{}", at(&e.key), e.generation),
        Effect::Cancel(key) => format!("=> forget {}", at(key)),
    }
}

/// The commands that follow from events; what comes from outside is named only.
fn command(command: &DomainCommand) -> String {
    match command {
        DomainCommand::Cluster(ClusterCommand::AssignDelivery(c)) => {
            let delivery = delivery(&c.placement, c.generation);
            format!("AssignDelivery {delivery} r{}{}", c.revision.index, apply(&c.apply))
        }
        DomainCommand::Cluster(ClusterCommand::WithdrawDelivery(c)) => {
            format!("WithdrawDelivery {}", delivery(&c.placement, c.generation))
        }
        DomainCommand::Cluster(ClusterCommand::ReleaseOrphans(c)) => {
            format!("ReleaseOrphans through {}", c.through)
        }
        DomainCommand::Placement(PlacementCommand::ReportTarget(c)) => format!(
            "ReportTarget {} g{} {:?}{}{}",
            c.cluster,
            c.generation,
            c.phase,
            failures(&c.failures),
            remark(&c.remark)
        ),
        DomainCommand::Placement(PlacementCommand::Reschedule(_)) => "Reschedule".to_owned(),
        DomainCommand::Cluster(_) | DomainCommand::Placement(_) | DomainCommand::Fleet(_) => {
            command.to_parts().expect("commands can be written").0
        }
    }
}

fn verdict(verdict: &Verdict) -> String {
    let mark = if verdict.chosen { '+' } else { '-' };
    format!("{mark}{} {}", verdict.cluster, verdict_reason(&verdict.reason))
}

pub(crate) fn verdict_reason(reason: &VerdictReason) -> String {
    match reason {
        VerdictReason::TaintNotTolerated { key, value } => format!("Taint {key}={value}"),
        VerdictReason::StaysPlaced { despite: Some(reason) } => {
            format!("StaysPlaced despite {}", verdict_reason(reason))
        }
        VerdictReason::StaysPlaced { despite: None } => "StaysPlaced".to_owned(),
        VerdictReason::Matches
        | VerdictReason::Named
        | VerdictReason::NotFound
        | VerdictReason::NotJoined
        | VerdictReason::Unhealthy
        | VerdictReason::LabelsDoNotMatch => format!("{reason:?}"),
    }
}

fn target_move(step: &TargetMove) -> String {
    let to = step.revision.map_or("nothing".to_owned(), |index| format!("r{index}"));
    format!("{} g{} {to}", step.cluster, step.generation)
}

fn delivery(placement: &PlacementKey, generation: u64) -> String {
    format!("{placement} g{generation}")
}

fn apply(apply: &ApplyStrategy) -> &'static str {
    match (apply.force, apply.allow_co_ownership) {
        (false, false) => "",
        (true, false) => " by force",
        (false, true) => " shared",
        (true, true) => " by force, shared",
    }
}

fn held(held: &[RevisionRef]) -> String {
    match held {
        [] => String::new(),
        _ => {
            format!(" after [{}]", join(held.iter().map(|revision| format!("r{}", revision.index))))
        }
    }
}

fn kept(kept: &[ObjectId]) -> String {
    match kept {
        [] => String::new(),
        _ => format!(" and [{}]", join(kept.iter().map(ToString::to_string))),
    }
}

/// A remark, in brackets.
fn remark(remark: &str) -> String {
    if remark.is_empty() { String::new() } else { format!(" ({remark})") }
}

fn failures(failures: &[ObjectFailure]) -> String {
    match failures {
        [] => String::new(),
        _ => format!(" [{}]", join(failures.iter().map(|f| f.object.name.clone()))),
    }
}

fn link_problem(problem: &LinkProblem) -> String {
    match problem {
        LinkProblem::DuplicateOf(other) => format!("DuplicateOf {other}"),
        LinkProblem::OtherDeployment(other) => format!("OtherDeployment {other}"),
        LinkProblem::OtherCluster(other) => format!("OtherCluster {other}"),
        LinkProblem::InvalidKubeconfig
        | LinkProblem::Unreachable
        | LinkProblem::Unauthorized
        | LinkProblem::Forbidden
        | LinkProblem::IsHub
        | LinkProblem::Missing => format!("{problem:?}"),
    }
}

fn labels(labels: &Labels) -> String {
    join(labels.iter().map(|(key, value)| format!("{key}={value}")))
}

fn taints(taints: &[Taint]) -> String {
    join(taints.iter().map(|taint| format!("{}={}", taint.key, taint.value)))
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}
