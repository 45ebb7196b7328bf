//! A placement's decisions.

use std::collections::{BTreeMap, BTreeSet};

use events::placement::{
    HoldReason, MovesRaised, PlacementDeleted, PlacementDeletionRequested, PlacementEvent,
    PlacementHeld, PlacementHoldEnded, PlacementRefused, PlacementScheduled, PlacementSpecified,
    RevisionRecorded, SelectionNoted, TargetMove, TargetPhase, TargetProgressed, TargetsMoved,
};
use events::{AggregateId, Event, Timestamp};

use super::command::{
    AcceptOlder, DeletePlacement, HoldPlacement, PlacementCommand, PlacementRefusal, RaiseMoves,
    RefusePlacement, ReportTarget, SubmitPlacement,
};
use super::react;
use super::state::{Hold, PlacementState, Problem, Scheduled, Target};
use crate::scheduler::{self, Request};
use crate::{Decider, DomainCommand, Effect, Inputs, Reaction, WakeUp};

/// How many targets one decision moves. Each move is a follow-up command of some 600 bytes, so 500
/// of them take a third of a frame; twice as many would leave no room for the decision record.
/// What remains is moved by a follow-up of the placement to itself.
pub const TARGETS_PER_MOVE_MAX: usize = 500;

/// The decider of placements.
#[derive(Debug)]
pub struct Placement;

impl Decider for Placement {
    type State = PlacementState;
    type Command = PlacementCommand;
    type Event = PlacementEvent;
    type Refusal = PlacementRefusal;

    fn decide(
        state: &PlacementState,
        command: &PlacementCommand,
        inputs: &Inputs<'_>,
    ) -> Result<Vec<PlacementEvent>, PlacementRefusal> {
        let draft = || Draft { state: state.clone(), events: vec![], inputs };
        match command {
            PlacementCommand::SubmitPlacement(command) => submit(draft(), command),
            PlacementCommand::RefusePlacement(command) => refuse(draft(), command),
            PlacementCommand::DeletePlacement(command) => delete(draft(), command),
            PlacementCommand::HoldPlacement(command) => hold(state, command),
            PlacementCommand::AcceptOlder(command) => accept_older(state, command),
            PlacementCommand::RaiseMoves(command) => raise(draft(), command),
            PlacementCommand::Reschedule(_) => Ok(reschedule(draft()).events),
            PlacementCommand::ReportTarget(command) => {
                let progressed = progress(state, command, inputs)?;
                match command.phase {
                    TargetPhase::Removed => Ok(let_go(draft(), progressed)),
                    // Most of what a placement hears: it is not worth a copy of the state.
                    TargetPhase::Moving
                    | TargetPhase::Assigned
                    | TargetPhase::Applied
                    | TargetPhase::ApplyFailed
                    | TargetPhase::Available
                    | TargetPhase::AvailableUntracked
                    | TargetPhase::Removing => Ok(progressed.into_iter().collect()),
                }
            }
        }
    }

    fn evolve(state: &mut PlacementState, event: &PlacementEvent, time: Timestamp) {
        state.evolve(event, time);
    }

    fn react(id: &AggregateId, state: &PlacementState, event: &PlacementEvent) -> Vec<Reaction> {
        react::react(id, state, event)
    }

    fn outstanding(_id: &AggregateId, _state: &PlacementState) -> Vec<Effect> {
        vec![]
    }

    fn settled(_id: &AggregateId, _state: &PlacementState) -> Vec<Effect> {
        vec![]
    }

    fn wake_up(_state: &PlacementState) -> Option<WakeUp> {
        None
    }

    fn uses_view(command: &PlacementCommand) -> bool {
        match command {
            PlacementCommand::SubmitPlacement(_)
            | PlacementCommand::Reschedule(_)
            | PlacementCommand::RaiseMoves(_) => true,
            PlacementCommand::ReportTarget(report) => report.phase == TargetPhase::Removed,
            PlacementCommand::RefusePlacement(_)
            | PlacementCommand::DeletePlacement(_)
            | PlacementCommand::HoldPlacement(_)
            | PlacementCommand::AcceptOlder(_) => false,
        }
    }

    fn own_event(event: &Event) -> Option<&PlacementEvent> {
        match event {
            Event::Placement(event) => Some(event),
            Event::Cluster(_) | Event::Fleet(_) => None,
        }
    }

    fn own_command(command: DomainCommand) -> Option<PlacementCommand> {
        match command {
            DomainCommand::Placement(command) => Some(command),
            DomainCommand::Cluster(_) | DomainCommand::Fleet(_) => None,
        }
    }
}

/// A decision in the making: the events so far, and the state after them.
struct Draft<'a> {
    state: PlacementState,
    events: Vec<PlacementEvent>,
    inputs: &'a Inputs<'a>,
}

impl Draft<'_> {
    fn record(&mut self, event: impl Into<PlacementEvent>) {
        let event = event.into();
        self.state.evolve(&event, self.inputs.now);
        self.events.push(event);
    }
}

fn submit(
    mut draft: Draft<'_>,
    command: &SubmitPlacement,
) -> Result<Vec<PlacementEvent>, PlacementRefusal> {
    check_is_current(&draft.state, &command.uid, command.generation)?;
    end_hold(&mut draft);
    specify(&mut draft, command);

    let latest = draft.state.revision.as_ref().map(|revision| revision.reference.manifests);
    if latest != Some(command.revision.manifests) {
        draft.record(RevisionRecorded {
            index: draft.state.next_revision_index(),
            manifests: command.revision.manifests,
            objects: command.revision.objects,
        });
    }
    if draft.state.notes != command.notes {
        draft.record(SelectionNoted { notes: command.notes.clone() });
    }
    schedule(&mut draft);
    Ok(draft.events)
}

/// Records the specification when it is new, or when it was refused at this generation before.
fn specify(draft: &mut Draft<'_>, command: &SubmitPlacement) {
    let before = draft.state.specified.as_ref();
    let is_known = before.is_some_and(|specified| {
        (&specified.uid, specified.generation) == (&command.uid, command.generation)
    });
    if is_known && draft.state.problem.is_none() {
        return;
    }
    let policy_index = match before {
        None => 0,
        Some(specified) if specified.uid != command.uid => 0,
        Some(specified) if specified.spec.policy == command.spec.policy => specified.policy_index,
        Some(specified) => specified.policy_index + 1,
    };
    draft.record(PlacementSpecified {
        uid: command.uid.clone(),
        generation: command.generation,
        spec: command.spec.clone(),
        policy_index,
    });
}

fn check_is_current(
    state: &PlacementState,
    uid: &str,
    generation: i64,
) -> Result<(), PlacementRefusal> {
    if state.deleting.as_deref() == Some(uid) {
        return Err(PlacementRefusal::ReasonBeingDeleted);
    }
    let specified = state.specified.iter().map(|s| (&s.uid, s.generation));
    let refused = state.problem.iter().map(|p| (&p.uid, p.generation));
    let of_object = specified.chain(refused).filter(|(of, _)| *of == uid);
    match of_object.map(|(_, recorded)| recorded).max() {
        Some(recorded) if recorded > generation => {
            Err(PlacementRefusal::ReasonStale { asked: generation, recorded })
        }
        Some(_) | None => Ok(()),
    }
}

/// Shows that the specification cannot be followed, and leaves everything as it is.
fn refuse(
    mut draft: Draft<'_>,
    command: &RefusePlacement,
) -> Result<Vec<PlacementEvent>, PlacementRefusal> {
    check_is_current(&draft.state, &command.uid, command.generation)?;
    end_hold(&mut draft);
    let is_shown = draft.state.problem.as_ref().is_some_and(|problem| {
        let Problem { uid, generation, reason, message, since: _ } = problem;
        (uid, *generation, *reason, message)
            == (&command.uid, command.generation, command.reason, &command.message)
    });
    if is_shown {
        return Ok(draft.events);
    }
    draft.record(PlacementRefused {
        uid: command.uid.clone(),
        generation: command.generation,
        reason: command.reason,
        message: command.message.clone(),
    });
    Ok(draft.events)
}

/// Has everything stay as it is until what was lost is there again, or was confirmed.
fn hold(
    state: &PlacementState,
    command: &HoldPlacement,
) -> Result<Vec<PlacementEvent>, PlacementRefusal> {
    if state.deleting.is_some() {
        return Err(PlacementRefusal::ReasonBeingDeleted);
    }
    let specified = state.specified.as_ref().map(|specified| &specified.uid);
    let refused = state.problem.as_ref().map(|problem| &problem.uid);
    if specified != Some(&command.uid) && refused != Some(&command.uid) {
        return Err(PlacementRefusal::ReasonOtherObject);
    }
    let HoldPlacement { uid, reason, token, message } = command.clone();
    if state.held.as_ref().is_some_and(|held| (held.reason, &held.token) == (reason, &token)) {
        return Ok(vec![]);
    }
    Ok(vec![PlacementHeld { uid, reason, token, message }.into()])
}

/// The object is there, and what it says counts.
fn end_hold(draft: &mut Draft<'_>) {
    if let Some(held) = &draft.state.held {
        let uid = held.uid.clone();
        draft.record(PlacementHoldEnded { uid, older_counts: false });
    }
}

/// Has the object count as it is. What it asks for comes with the next submission.
fn accept_older(
    state: &PlacementState,
    command: &AcceptOlder,
) -> Result<Vec<PlacementEvent>, PlacementRefusal> {
    let held = state
        .held
        .as_ref()
        .filter(|held| held.reason == HoldReason::ObjectWentBack && held.token == command.token);
    let Some(Hold { uid, .. }) = held else {
        return Err(PlacementRefusal::ReasonNotHeld { asked: command.token.clone() });
    };
    Ok(vec![PlacementHoldEnded { uid: uid.clone(), older_counts: true }.into()])
}

fn delete(
    mut draft: Draft<'_>,
    command: &DeletePlacement,
) -> Result<Vec<PlacementEvent>, PlacementRefusal> {
    if draft.state.deleting.is_some() {
        return Ok(vec![]);
    }
    let specified = draft.state.specified.as_ref().map(|specified| &specified.uid);
    let refused = draft.state.problem.as_ref().map(|problem| &problem.uid);
    if specified.is_none() && refused.is_none() {
        return Ok(vec![]);
    }
    if specified != Some(&command.uid) && refused != Some(&command.uid) {
        return Err(PlacementRefusal::ReasonOtherObject);
    }
    draft.record(PlacementDeletionRequested { uid: command.uid.clone() });
    withdraw_all(&mut draft);
    finish_deletion(&mut draft);
    Ok(draft.events)
}

/// Numbers further moves above those that members hold, and has every target move again.
fn raise(
    mut draft: Draft<'_>,
    command: &RaiseMoves,
) -> Result<Vec<PlacementEvent>, PlacementRefusal> {
    if draft.state.targets.is_empty() {
        return Err(PlacementRefusal::ReasonNoPlacement);
    }
    if command.above > draft.state.moved_again_through {
        draft.record(MovesRaised { above: command.above });
    }
    Ok(reschedule(draft).events)
}

fn withdraw_all(draft: &mut Draft<'_>) {
    let again = draft.state.moved_again_through;
    let placed = draft.state.targets.iter();
    let placed = placed.filter(|(_, it)| it.revision.is_some() || it.generation <= again);
    let moves = placed
        .zip(draft.state.moves.saturating_add(1)..)
        .map(|((cluster, _), generation)| TargetMove {
            cluster: cluster.clone(),
            generation,
            revision: None,
        })
        .collect();
    record_moves(draft, moves);
}

fn finish_deletion(draft: &mut Draft<'_>) {
    if draft.state.targets.is_empty()
        && let Some(uid) = draft.state.deleting.clone()
    {
        draft.record(PlacementDeleted { uid });
    }
}

fn reschedule(mut draft: Draft<'_>) -> Draft<'_> {
    if draft.state.deleting.is_some() {
        withdraw_all(&mut draft);
    } else if draft.state.held.is_none() {
        schedule(&mut draft);
    }
    draft
}

/// Decides where the placement goes, and moves the targets that this leaves in another place.
fn schedule(draft: &mut Draft<'_>) {
    let Some(specified) = &draft.state.specified else { return };
    let (generation, policy_index) = (specified.generation, specified.policy_index);
    let same_policy = |scheduled: &&Scheduled| scheduled.policy_index == policy_index;
    let targets = draft.state.targets.iter();
    let held: BTreeSet<String> = targets
        .filter(|(_, target)| target.revision.is_some())
        .map(|(cluster, _)| cluster.clone())
        .collect();
    // What was chosen and let go by itself, because its membership ended, is not placed any more.
    let placed = match draft.state.scheduled.as_ref().filter(same_policy) {
        Some(scheduled) => scheduled
            .chosen()
            .filter(|cluster| held.contains(*cluster))
            .map(str::to_owned)
            .collect(),
        None => BTreeSet::new(),
    };
    let outcome = scheduler::schedule(&Request {
        policy: &specified.spec.policy,
        placed: &placed,
        held: &held,
        fleet: draft.inputs.fleet,
    });

    let is_known = draft.state.scheduled.as_ref().is_some_and(|scheduled| {
        (scheduled.generation, scheduled.policy_index) == (generation, policy_index)
            && scheduled.fulfilled == outcome.fulfilled
            && scheduled.message == outcome.message
            && scheduled.verdicts == outcome.verdicts
    });
    if !is_known {
        draft.record(PlacementScheduled {
            generation,
            policy_index,
            watermark: draft.inputs.fleet.watermark.clone(),
            algorithm: scheduler::ALGORITHM,
            fulfilled: outcome.fulfilled,
            message: outcome.message,
            verdicts: outcome.verdicts,
        });
    }
    move_targets(draft);
}

/// Every chosen cluster gets the latest revision, every other target gets nothing.
fn move_targets(draft: &mut Draft<'_>) {
    let state = &draft.state;
    let (Some(specified), Some(scheduled), Some(revision)) =
        (&state.specified, &state.scheduled, &state.revision)
    else {
        return;
    };
    let latest = revision.reference.index;
    let mut wanted: BTreeMap<&str, Option<u32>> =
        state.targets.keys().map(|cluster| (cluster.as_str(), None)).collect();
    wanted.extend(scheduled.chosen().map(|cluster| (cluster, Some(latest))));

    let is_there = |target: &Target, revision: Option<u32>| {
        target.generation > state.moved_again_through
            && target.revision == revision
            && (revision.is_none() || target.apply == specified.spec.apply)
    };
    let moved = wanted.into_iter().filter(|(cluster, revision)| {
        !state.targets.get(*cluster).is_some_and(|target| is_there(target, *revision))
    });
    let moves = moved
        .zip(state.moves.saturating_add(1)..)
        .map(|((cluster, revision), generation)| TargetMove {
            cluster: cluster.to_owned(),
            generation,
            revision,
        })
        .collect();
    record_moves(draft, moves);
}

fn record_moves(draft: &mut Draft<'_>, mut moves: Vec<TargetMove>) {
    moves.truncate(TARGETS_PER_MOVE_MAX);
    if !moves.is_empty() {
        draft.record(TargetsMoved { moves });
    }
}

/// What a report about a target says that is not known yet.
fn progress(
    state: &PlacementState,
    command: &ReportTarget,
    inputs: &Inputs<'_>,
) -> Result<Option<PlacementEvent>, PlacementRefusal> {
    let cluster = command.cluster.clone();
    let target = state.targets.get(&cluster);
    let Some(target) = target.filter(|target| target.generation == command.generation) else {
        return Err(PlacementRefusal::ReasonOtherMove { cluster });
    };
    let Some(evidence) = inputs.origin else {
        return Err(PlacementRefusal::ReasonNoEvidence { cluster });
    };
    if target.evidence > Some(evidence) {
        return Err(PlacementRefusal::ReasonOldEvidence { cluster });
    }
    let known = (target.phase, &target.failures, &target.remark);
    if known == (command.phase, &command.failures, &command.remark) {
        return Ok(None);
    }
    let progressed = TargetProgressed {
        cluster,
        generation: command.generation,
        phase: command.phase,
        evidence,
        failures: command.failures.clone(),
        remark: command.remark.clone(),
    };
    Ok(Some(progressed.into()))
}

/// A target holds nothing any more.
fn let_go(mut draft: Draft<'_>, progressed: Option<PlacementEvent>) -> Vec<PlacementEvent> {
    let Some(progressed) = progressed else { return vec![] };
    draft.record(progressed);
    finish_deletion(&mut draft);
    // A member that let go by itself is looked at again, once the view knows why it did.
    let evidence = draft.inputs.origin;
    if evidence.is_some_and(|evidence| draft.inputs.fleet.watermark.covers(evidence)) {
        draft = reschedule(draft);
    }
    draft.events
}
