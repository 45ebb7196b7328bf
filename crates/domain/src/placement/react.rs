//! What a placement's events set in motion.

use events::placement::PlacementEvent;
use events::{AggregateId, PlacementKey, placement::TargetMove};

use super::command::{PlacementCommand, Reschedule};
use super::decide::TARGETS_PER_MOVE_MAX;
use super::state::PlacementState;
use crate::cluster::{AssignDelivery, ClusterCommand, WithdrawDelivery};
use crate::{FollowUp, Reaction};

pub(super) fn react(
    id: &AggregateId,
    state: &PlacementState,
    event: &PlacementEvent,
) -> Vec<Reaction> {
    let AggregateId::Placement(placement) = id else { return vec![] };
    match event {
        PlacementEvent::TargetsMoved(moved) => {
            let told = moved.moves.iter().filter_map(|step| tell(placement, state, step));
            let is_full = moved.moves.len() == TARGETS_PER_MOVE_MAX;
            let rest = is_full.then(|| FollowUp {
                to: id.clone(),
                command: PlacementCommand::Reschedule(Reschedule {}).into(),
            });
            told.chain(rest).map(Reaction::FollowUp).collect()
        }
        PlacementEvent::PlacementSpecified(_)
        | PlacementEvent::PlacementRefused(_)
        | PlacementEvent::RevisionRecorded(_)
        | PlacementEvent::SelectionNoted(_)
        | PlacementEvent::PlacementScheduled(_)
        | PlacementEvent::TargetProgressed(_)
        | PlacementEvent::PlacementDeletionRequested(_)
        | PlacementEvent::PlacementDeleted(_)
        | PlacementEvent::PlacementHeld(_)
        | PlacementEvent::PlacementHoldEnded(_)
        | PlacementEvent::MovesRaised(_) => vec![],
    }
}

fn tell(placement: &PlacementKey, state: &PlacementState, step: &TargetMove) -> Option<FollowUp> {
    let command = match step.revision {
        None => ClusterCommand::WithdrawDelivery(WithdrawDelivery {
            placement: placement.clone(),
            generation: step.generation,
        }),
        Some(index) => ClusterCommand::AssignDelivery(AssignDelivery {
            placement: placement.clone(),
            generation: step.generation,
            revision: state.revisions.get(&index)?.reference.clone(),
            apply: state.specified.as_ref()?.spec.apply.clone(),
        }),
    };
    Some(FollowUp { to: AggregateId::Cluster(step.cluster.clone()), command: command.into() })
}
