//! What a cluster's events set in motion.

use std::collections::BTreeSet;

use events::cluster::{
    ClusterEvent, DeliveryDisturbed, ORPHANS_PER_EVENT_MAX, ObjectFailure, Orphaned,
};
use events::placement::TargetPhase;
use events::{AggregateId, ObjectId, PlacementKey};

use super::command::{CheckCredential, CheckHealthGrace, ClusterCommand, ReleaseOrphans};
use super::state::{ClusterState, Delivery, DeliveryPhase};
use crate::placement::{PlacementCommand, ReportTarget};
use crate::{DeliverEffect, Effect, EffectKey, FollowUp, Reaction, WakeUp, WithdrawEffect};

pub(super) fn react(id: &AggregateId, state: &ClusterState, event: &ClusterEvent) -> Vec<Reaction> {
    let AggregateId::Cluster(cluster) = id else { return vec![] };
    let tell = |placement: &PlacementKey, generation, phase, failures: &[ObjectFailure]| {
        let remark = state.deliveries.get(placement).map(remark).unwrap_or_default();
        report(cluster, placement, generation, phase, failures, remark)
    };
    match event {
        ClusterEvent::DeliveryAssigned(assigned) => {
            let told = tell(&assigned.placement, assigned.generation, TargetPhase::Assigned, &[]);
            with_effect(vec![told], cluster, &assigned.placement, state)
        }
        ClusterEvent::DeliveryWithdrawn(withdrawn) => {
            with_effect(vec![], cluster, &withdrawn.placement, state)
        }
        ClusterEvent::DeliveryProgressed(progressed) => {
            let delivery = state.deliveries.get(&progressed.placement);
            let (phase, failures) = match delivery.map(|delivery| &delivery.phase) {
                Some(DeliveryPhase::Failed(failures)) => {
                    (TargetPhase::ApplyFailed, failures.as_slice())
                }
                Some(
                    DeliveryPhase::Assigned
                    | DeliveryPhase::Applied(_)
                    | DeliveryPhase::Available { .. }
                    | DeliveryPhase::Withdrawn(_),
                )
                | None => (TargetPhase::Assigned, &[][..]),
            };
            vec![tell(&progressed.placement, progressed.generation, phase, failures)]
        }
        ClusterEvent::DeliveryDisturbed(disturbed) => {
            let DeliveryDisturbed { placement, generation, missing } = disturbed;
            let told = tell(placement, *generation, TargetPhase::ApplyFailed, missing);
            with_effect(vec![told], cluster, placement, state)
        }
        ClusterEvent::DeliveryRemovalWaits(waits) => {
            vec![tell(&waits.placement, waits.generation, TargetPhase::Removing, &waits.remaining)]
        }
        ClusterEvent::DeliveryFailed(failed) => vec![tell(
            &failed.placement,
            failed.generation,
            TargetPhase::ApplyFailed,
            &failed.failures,
        )],
        ClusterEvent::DeliveryUnavailable(unavailable) => vec![tell(
            &unavailable.placement,
            unavailable.generation,
            TargetPhase::Applied,
            &unavailable.waiting,
        )],
        ClusterEvent::DeliveryAvailable(available) => {
            let phase = match available.untracked {
                0 => TargetPhase::Available,
                _ => TargetPhase::AvailableUntracked,
            };
            vec![tell(&available.placement, available.generation, phase, &[])]
        }
        ClusterEvent::DeliveryRemoved(removed) => {
            let key = EffectKey { cluster: cluster.clone(), placement: removed.placement.clone() };
            let told = tell(&removed.placement, removed.generation, TargetPhase::Removed, &[]);
            // What an earlier membership held is let go of while this one may hold it too.
            let is_held = state.deliveries.contains_key(&removed.placement);
            let forget = (!is_held).then_some(Reaction::Effect(Effect::Cancel(key)));
            std::iter::once(told).chain(forget).collect()
        }
        // Placements cannot rely on the fleet view for this: a cluster that comes back under its
        // name before they look would seem to hold what it held.
        ClusterEvent::ClusterLeft(left) => {
            let let_go = |orphan: &Orphaned| {
                let Orphaned { placement, generation } = orphan;
                let told = tell(placement, *generation, TargetPhase::Removed, &[]);
                let key = EffectKey { cluster: cluster.clone(), placement: placement.clone() };
                [told, Reaction::Effect(Effect::Cancel(key))]
            };
            let named = left.orphaned.iter().flat_map(let_go);
            named.chain(let_go_of_the_others(id, cluster, state)).collect()
        }
        // The step to *applied* is always followed by what is known of availability.
        ClusterEvent::DeliveryApplied(_)
        | ClusterEvent::DeliveryNoted(_)
        | ClusterEvent::ClusterRegistered(_)
        | ClusterEvent::ClusterLabelsChanged(_)
        | ClusterEvent::ClusterTaintsChanged(_)
        | ClusterEvent::ClusterHeartbeatPeriodChanged(_)
        | ClusterEvent::ClusterCredentialChanged(_)
        | ClusterEvent::ClusterCredentialExpiring(_)
        | ClusterEvent::ClusterLinkFailed(_)
        | ClusterEvent::ClusterHealthLost(_)
        | ClusterEvent::ClusterHealthGraceEnded(_)
        | ClusterEvent::ClusterPropertiesChanged(_)
        | ClusterEvent::ClusterHeld(_)
        | ClusterEvent::ClusterHoldEnded(_) => vec![],
        // What could not be done while the member was away is worth a try at once.
        ClusterEvent::ClusterJoined(_) | ClusterEvent::ClusterHealthRestored(_) => {
            outstanding(id, state).into_iter().map(Reaction::Effect).collect()
        }
    }
}

/// What runs for the others is stopped at once; their placements are told in portions.
fn let_go_of_the_others<'a>(
    id: &'a AggregateId,
    cluster: &'a str,
    state: &'a ClusterState,
) -> impl Iterator<Item = Reaction> + 'a {
    let forget = |placement: &PlacementKey| {
        let key = EffectKey { cluster: cluster.to_owned(), placement: placement.clone() };
        Reaction::Effect(Effect::Cancel(key))
    };
    let release = |portion: &[&PlacementKey]| {
        let through = (*portion.last().expect("a portion is not empty")).clone();
        let command = ClusterCommand::ReleaseOrphans(ReleaseOrphans { through }).into();
        Reaction::FollowUp(FollowUp { to: id.clone(), command })
    };
    let orphans: Vec<&PlacementKey> = state.orphans.keys().collect();
    let releases: Vec<Reaction> = orphans.chunks(ORPHANS_PER_EVENT_MAX).map(release).collect();
    state.orphans.keys().map(forget).chain(releases)
}

fn report(
    cluster: &str,
    placement: &PlacementKey,
    generation: u64,
    phase: TargetPhase,
    failures: &[ObjectFailure],
    remark: String,
) -> Reaction {
    Reaction::FollowUp(FollowUp {
        to: AggregateId::Placement(placement.clone()),
        command: PlacementCommand::ReportTarget(ReportTarget {
            cluster: cluster.to_owned(),
            generation,
            phase,
            failures: failures.to_vec(),
            remark,
        })
        .into(),
    })
}

/// What is to be known of a delivery besides its phase.
fn remark(delivery: &Delivery) -> String {
    let adopted = some_of(&delivery.adopted, "was on the member before and is adopted");
    let kept = some_of(
        &delivery.kept,
        "is not selected any more and is kept while its objects are placed",
    );
    let progress = delivery.progress.map(|progress| progress.to_string());
    progress.into_iter().chain(adopted).chain(kept).collect::<Vec<_>>().join("; ")
}

/// What holds of the first of some objects, and how many others it holds of.
fn some_of(objects: &BTreeSet<ObjectId>, what: &str) -> Option<String> {
    let first = objects.first()?;
    Some(match objects.len() - 1 {
        0 => format!("{first} {what}"),
        others => format!("{first} {what}, as are {others} more objects"),
    })
}

fn with_effect(
    mut reactions: Vec<Reaction>,
    cluster: &str,
    placement: &PlacementKey,
    state: &ClusterState,
) -> Vec<Reaction> {
    let delivery = state.deliveries.get(placement);
    let effect = delivery.and_then(|delivery| effect(cluster, placement, delivery));
    reactions.extend(effect.map(Reaction::Effect));
    reactions
}

/// Everything that the member does not hold yet, or still holds.
///
/// Deliveries that were applied but are not all available count too: whoever performs effects
/// watches them until they are.
pub(super) fn outstanding(id: &AggregateId, state: &ClusterState) -> Vec<Effect> {
    let AggregateId::Cluster(cluster) = id else { return vec![] };
    let deliveries = state.deliveries.iter();
    deliveries.filter_map(|(placement, delivery)| effect(cluster, placement, delivery)).collect()
}

/// Everything that the member holds, for whoever has to notice when it becomes available, or is not
/// any more.
pub(super) fn settled(id: &AggregateId, state: &ClusterState) -> Vec<Effect> {
    let AggregateId::Cluster(cluster) = id else { return vec![] };
    let held = state.deliveries.iter().filter(|(_, delivery)| match delivery.phase {
        DeliveryPhase::Applied(_) | DeliveryPhase::Available { .. } => true,
        DeliveryPhase::Assigned | DeliveryPhase::Failed(_) | DeliveryPhase::Withdrawn(_) => false,
    });
    held.filter_map(|(placement, delivery)| order(cluster, placement, delivery))
        .map(Effect::Observe)
        .collect()
}

/// When to look at the member again: what comes first.
pub(super) fn wake_up(state: &ClusterState) -> Option<WakeUp> {
    let member = state.member()?;
    let credential = member.credential.filter(|credential| !credential.is_told);
    let unhealthy = member.unhealthy.as_ref().filter(|unhealthy| !unhealthy.is_grace_over);
    let credential_ends = credential.map(|credential| WakeUp {
        at: credential.tell_at(),
        command: ClusterCommand::CheckCredential(CheckCredential {}).into(),
    });
    let grace_ends = unhealthy.map(|unhealthy| WakeUp {
        at: unhealthy.grace_ends_at(),
        command: ClusterCommand::CheckHealthGrace(CheckHealthGrace {}).into(),
    });
    credential_ends.into_iter().chain(grace_ends).min_by_key(|wake_up| wake_up.at)
}

/// What is still to be done for one delivery.
fn effect(cluster: &str, placement: &PlacementKey, delivery: &Delivery) -> Option<Effect> {
    match &delivery.phase {
        DeliveryPhase::Withdrawn(_) => {
            let key = EffectKey { cluster: cluster.to_owned(), placement: placement.clone() };
            let (generation, held) = (delivery.generation, delivery.held.clone());
            let kept = delivery.kept.iter().cloned().collect();
            Some(Effect::Withdraw(WithdrawEffect { key, generation, held, kept }))
        }
        DeliveryPhase::Assigned | DeliveryPhase::Failed(_) | DeliveryPhase::Applied(_) => {
            order(cluster, placement, delivery).map(Effect::Deliver)
        }
        DeliveryPhase::Available { .. } => None,
    }
}

fn order(cluster: &str, placement: &PlacementKey, delivery: &Delivery) -> Option<DeliverEffect> {
    Some(DeliverEffect {
        key: EffectKey { cluster: cluster.to_owned(), placement: placement.clone() },
        generation: delivery.generation,
        revision: delivery.revision.clone()?,
        held: delivery.held.clone(),
        kept: delivery.kept.iter().cloned().collect(),
        apply: delivery.apply.clone(),
    })
}
