//! A cluster's decisions.

use std::collections::BTreeMap;

use events::cluster::{
    ClusterCredentialChanged, ClusterCredentialExpiring, ClusterEvent, ClusterHealthGraceEnded,
    ClusterHealthLost, ClusterHealthRestored, ClusterHeartbeatPeriodChanged, ClusterHeld,
    ClusterHoldEnded, ClusterJoined, ClusterLabelsChanged, ClusterLeft, ClusterLinkFailed,
    ClusterPropertiesChanged, ClusterRegistered, ClusterTaintsChanged, DeliveryApplied,
    DeliveryAssigned, DeliveryAvailable, DeliveryDisturbed, DeliveryFailed, DeliveryNoted,
    DeliveryProgressed, DeliveryRemovalWaits, DeliveryRemoved, DeliveryUnavailable,
    DeliveryWithdrawn, FAILURES_PER_DELIVERY_MAX, LinkProblem, NOTES_PER_EVENT_MAX, Note,
    ORPHANS_PER_EVENT_MAX, ObjectFailure, ObjectNote, Orphaned,
};
use events::{AggregateId, Event, PlacementKey, Timestamp};

use super::command::{
    AssignDelivery, ClusterCommand, ClusterRefusal, DeliveryOutcome, HoldCluster, Notes,
    ObserveCluster, ReleaseOrphans, RemoveCluster, ReportCredential, ReportDelivery, ReportHealth,
    ReportLink, ReportLinkProblem, ReportRemoval, ReportRemovalWaits, WithdrawDelivery,
};
use super::react;
use super::state::{ClusterState, Delivery, DeliveryPhase, Member, Membership};
use crate::quantity::Quantity;
use crate::{Decider, DomainCommand, Effect, Inputs, Reaction, WakeUp};

/// The annotation on a MemberCluster that names the cluster which takes the place of the one that
/// joined, by the uid of its kube-system namespace.
pub const CONFIRMED_CLUSTER_ANNOTATION: &str = "taffrail.dev/confirmed-cluster";

/// The decider of clusters.
#[derive(Debug)]
pub struct Cluster;

impl Decider for Cluster {
    type State = ClusterState;
    type Command = ClusterCommand;
    type Event = ClusterEvent;
    type Refusal = ClusterRefusal;

    fn decide(
        state: &ClusterState,
        command: &ClusterCommand,
        inputs: &Inputs<'_>,
    ) -> Result<Vec<ClusterEvent>, ClusterRefusal> {
        match command {
            ClusterCommand::ObserveCluster(command) => Ok(observe(state, command)),
            ClusterCommand::RemoveCluster(command) => remove(state, command),
            ClusterCommand::HoldCluster(command) => hold(state, command),
            ClusterCommand::ReportLink(command) => report_link(state, command, inputs),
            ClusterCommand::ReportLinkProblem(command) => report_link_problem(state, command),
            ClusterCommand::ReportCredential(command) => report_credential(state, command),
            ClusterCommand::CheckCredential(_) => Ok(check_credential(state, inputs.now)),
            ClusterCommand::ReportHealth(command) => report_health(state, command),
            ClusterCommand::CheckHealthGrace(_) => Ok(check_health_grace(state, inputs.now)),
            ClusterCommand::AssignDelivery(command) => assign(state, command),
            ClusterCommand::WithdrawDelivery(command) => withdraw(state, command),
            ClusterCommand::ReportDelivery(command) => report_delivery(state, command),
            ClusterCommand::ReportRemovalWaits(command) => report_removal_waits(state, command),
            ClusterCommand::ReportRemoval(command) => report_removal(state, command),
            ClusterCommand::ReleaseOrphans(command) => Ok(release_orphans(state, command)),
        }
    }

    fn evolve(state: &mut ClusterState, event: &ClusterEvent, time: Timestamp) {
        state.evolve(event, time);
    }

    fn react(id: &AggregateId, state: &ClusterState, event: &ClusterEvent) -> Vec<Reaction> {
        react::react(id, state, event)
    }

    fn outstanding(id: &AggregateId, state: &ClusterState) -> Vec<Effect> {
        react::outstanding(id, state)
    }

    fn settled(id: &AggregateId, state: &ClusterState) -> Vec<Effect> {
        react::settled(id, state)
    }

    fn wake_up(state: &ClusterState) -> Option<WakeUp> {
        react::wake_up(state)
    }

    fn uses_view(command: &ClusterCommand) -> bool {
        matches!(command, ClusterCommand::ReportLink(_))
    }

    fn own_event(event: &Event) -> Option<&ClusterEvent> {
        match event {
            Event::Cluster(event) => Some(event),
            Event::Placement(_) | Event::Fleet(_) => None,
        }
    }

    fn own_command(command: DomainCommand) -> Option<ClusterCommand> {
        match command {
            DomainCommand::Cluster(command) => Some(command),
            DomainCommand::Placement(_) | DomainCommand::Fleet(_) => None,
        }
    }
}

/// Registers a new member, or records what moved on a known one.
fn observe(state: &ClusterState, command: &ObserveCluster) -> Vec<ClusterEvent> {
    match &state.membership {
        Membership::Member(member) if member.uid == command.uid => {
            let mut events = vec![];
            if member.held.is_some() {
                events.push(ClusterHoldEnded {}.into());
            }
            if member.labels != command.labels {
                events.push(ClusterLabelsChanged { labels: command.labels.clone() }.into());
            }
            if member.taints != command.taints {
                events.push(ClusterTaintsChanged { taints: command.taints.clone() }.into());
            }
            let heartbeat_period_seconds = command.heartbeat_period_seconds;
            if member.heartbeat_period_seconds != heartbeat_period_seconds {
                events.push(ClusterHeartbeatPeriodChanged { heartbeat_period_seconds }.into());
            }
            events
        }
        // Another object under the name of one whose deletion was never seen: another membership.
        Membership::Member(_) => vec![left(state), registered(command)],
        Membership::Unknown | Membership::Left => vec![registered(command)],
    }
}

fn registered(command: &ObserveCluster) -> ClusterEvent {
    ClusterEvent::ClusterRegistered(ClusterRegistered {
        uid: command.uid.clone(),
        labels: command.labels.clone(),
        taints: command.taints.clone(),
        heartbeat_period_seconds: command.heartbeat_period_seconds,
    })
}

fn left(state: &ClusterState) -> ClusterEvent {
    let orphan = |(placement, delivery): (&PlacementKey, &Delivery)| Orphaned {
        placement: placement.clone(),
        generation: delivery.generation,
    };
    ClusterEvent::ClusterLeft(ClusterLeft {
        orphaned: state.deliveries.iter().take(ORPHANS_PER_EVENT_MAX).map(orphan).collect(),
    })
}

fn release_orphans(state: &ClusterState, command: &ReleaseOrphans) -> Vec<ClusterEvent> {
    let orphans = state.orphans.range(..=&command.through);
    orphans.map(|(placement, generation)| removed(placement, *generation)).collect()
}

/// The cluster leaves at once: nothing on it is touched, so there is nothing to wait for.
fn remove(
    state: &ClusterState,
    command: &RemoveCluster,
) -> Result<Vec<ClusterEvent>, ClusterRefusal> {
    match &state.membership {
        Membership::Member(member) if member.uid == command.uid => Ok(vec![left(state)]),
        Membership::Member(_) => Err(ClusterRefusal::ReasonOtherObject),
        Membership::Unknown | Membership::Left => Ok(vec![]),
    }
}

/// Joins the cluster, unless its link leads somewhere that it must not.
fn report_link(
    state: &ClusterState,
    command: &ReportLink,
    inputs: &Inputs<'_>,
) -> Result<Vec<ClusterEvent>, ClusterRefusal> {
    let member = state.member().ok_or(ClusterRefusal::ReasonNotAMember)?;
    if command.identity == command.hub_identity {
        let message = "the link leads to the hub's own cluster; give it the kubeconfig of the \
                       member";
        return Ok(link_failed(member, LinkProblem::IsHub, message.to_owned(), false));
    }
    let is_joined = member.identity.as_deref() == Some(command.identity.as_str());
    let duplicate = inputs.fleet.other_with_identity(&command.identity, &command.cluster);
    // Of two names for one cluster the first to join keeps its place, even if both did before
    // either could see the other.
    let is_first = |other| is_joined && (member.joined_at, command.cluster.as_str()) < other;
    if let Some(other) = duplicate.filter(|other| !is_first(*other)) {
        return Ok(duplicate_of(state, member, other.1));
    }
    if is_joined && member.link_failure.is_none() {
        return Ok(vec![]);
    }
    let joined = ClusterJoined {
        identity: command.identity.clone(),
        kubernetes_version: command.kubernetes_version.clone(),
        taken_from: command.taken_from.clone().filter(|_| !is_joined || is_given_away(member)),
    };
    match &member.identity {
        Some(known) if !is_joined && command.confirmed.as_ref() != Some(&command.identity) => {
            Ok(other_cluster(member, known, command))
        }
        // Behind the same object there is another cluster now, which holds nothing: another
        // membership.
        Some(_) if !is_joined => Ok(vec![left(state), registered_again(member), joined.into()]),
        Some(_) | None => Ok(vec![joined.into()]),
    }
}

/// Whether another deployment has the cluster, as far as is on record.
fn is_given_away(member: &Member) -> bool {
    let problem = member.link_failure.as_ref().map(|failure| &failure.problem);
    matches!(problem, Some(LinkProblem::OtherDeployment(_)))
}

/// A wrong kubeconfig, or a cluster that was rebuilt: only a person can tell. Nothing moves until
/// one does, since another membership gets everything that the old one has.
fn other_cluster(member: &Member, known: &str, command: &ReportLink) -> Vec<ClusterEvent> {
    let ReportLink { cluster, identity, .. } = command;
    let message = format!(
        "the link leads to the cluster {identity}, and {cluster} is the cluster {known}; correct the \
         link, or confirm that this one takes its place with: taffrail join {cluster} --replace \
         --member-kubeconfig FILE, or: kubectl annotate --overwrite membercluster {cluster} \
         {CONFIRMED_CLUSTER_ANNOTATION}={identity}"
    );
    link_failed(member, LinkProblem::OtherCluster(identity.clone()), message, false)
}

/// The name is not, or no longer, that of a member: what is on the cluster is the other one's.
fn duplicate_of(state: &ClusterState, member: &Member, other: &str) -> Vec<ClusterEvent> {
    let message = format!(
        "the link leads to a cluster that is already the member {other}; remove one of the two"
    );
    let problem = LinkProblem::DuplicateOf(other.to_owned());
    if member.identity.is_none() {
        return link_failed(member, problem, message, false);
    }
    let failed = ClusterLinkFailed { problem, message };
    vec![left(state), registered_again(member), failed.into()]
}

fn registered_again(member: &Member) -> ClusterEvent {
    ClusterEvent::ClusterRegistered(ClusterRegistered {
        uid: member.uid.clone(),
        labels: member.labels.clone(),
        taints: member.taints.clone(),
        heartbeat_period_seconds: member.heartbeat_period_seconds,
    })
}

/// Its object was lost: it stays a member until that is explained.
fn hold(state: &ClusterState, command: &HoldCluster) -> Result<Vec<ClusterEvent>, ClusterRefusal> {
    let member = state.member().ok_or(ClusterRefusal::ReasonNotAMember)?;
    if member.uid != command.uid {
        return Err(ClusterRefusal::ReasonOtherObject);
    }
    if member.held.as_ref().is_some_and(|held| held.token == command.token) {
        return Ok(vec![]);
    }
    let HoldCluster { uid, token, message } = command.clone();
    Ok(vec![ClusterHeld { uid, token, message }.into()])
}

fn report_link_problem(
    state: &ClusterState,
    command: &ReportLinkProblem,
) -> Result<Vec<ClusterEvent>, ClusterRefusal> {
    let member = state.member().ok_or(ClusterRefusal::ReasonNotAMember)?;
    let ReportLinkProblem { problem, message, is_new_link } = command.clone();
    Ok(link_failed(member, problem, message, is_new_link))
}

/// Records a link failure once; a member that had joined is unwell with it. Of another link the same
/// problem is another one if it is said in other words.
fn link_failed(
    member: &Member,
    problem: LinkProblem,
    message: String,
    is_new_link: bool,
) -> Vec<ClusterEvent> {
    let mut events = vec![];
    let is_known = member.link_failure.as_ref().is_some_and(|failure| {
        let in_other_words = failure.message != message;
        let counts = is_new_link || says_what_to_mend(&problem);
        failure.problem == problem && !(in_other_words && counts)
    });
    if !is_known {
        events.push(ClusterLinkFailed { problem, message: message.clone() }.into());
    }
    if member.identity.is_some() && member.unhealthy.is_none() {
        events.push(ClusterHealthLost { message }.into());
    }
    events
}

fn report_credential(
    state: &ClusterState,
    command: &ReportCredential,
) -> Result<Vec<ClusterEvent>, ClusterRefusal> {
    let member = state.member().ok_or(ClusterRefusal::ReasonNotAMember)?;
    let ReportCredential { expires_at } = *command;
    if member.credential.map(|credential| credential.expires_at) == expires_at {
        return Ok(vec![]);
    }
    Ok(vec![ClusterCredentialChanged { expires_at }.into()])
}

/// Tells once that a credential ends soon.
fn check_credential(state: &ClusterState, now: Timestamp) -> Vec<ClusterEvent> {
    let credential = state.member().and_then(|member| member.credential);
    match credential {
        Some(credential) if !credential.is_told && credential.tell_at() <= now => {
            vec![ClusterCredentialExpiring { expires_at: credential.expires_at }.into()]
        }
        Some(_) | None => vec![],
    }
}

/// Whether the message of a problem is its substance and stays the same while it lasts. What is
/// said of an address that does not answer varies from one attempt to the next.
fn says_what_to_mend(problem: &LinkProblem) -> bool {
    match problem {
        LinkProblem::InvalidKubeconfig | LinkProblem::Forbidden | LinkProblem::Missing => true,
        LinkProblem::Unreachable
        | LinkProblem::Unauthorized
        | LinkProblem::IsHub
        | LinkProblem::DuplicateOf(_)
        | LinkProblem::OtherDeployment(_)
        | LinkProblem::OtherCluster(_) => false,
    }
}

/// Records edges only: heartbeats themselves are not events.
fn report_health(
    state: &ClusterState,
    command: &ReportHealth,
) -> Result<Vec<ClusterEvent>, ClusterRefusal> {
    let member = state.member().ok_or(ClusterRefusal::ReasonNotAMember)?;
    let mut events = vec![];
    match (&member.unhealthy, command.healthy) {
        (None, false) => {
            events.push(ClusterHealthLost { message: command.message.clone() }.into());
        }
        (Some(_), true) => events.push(ClusterHealthRestored {}.into()),
        (None, true) | (Some(_), false) => {}
    }
    if let Some(properties) = &command.properties
        && have_moved(&member.properties, properties)
    {
        events.push(ClusterPropertiesChanged { properties: properties.clone() }.into());
    }
    Ok(events)
}

/// Records once that an unwell member gets nothing new.
fn check_health_grace(state: &ClusterState, now: Timestamp) -> Vec<ClusterEvent> {
    let unhealthy = state.member().and_then(|member| member.unhealthy.as_ref());
    match unhealthy {
        Some(unhealthy) if !unhealthy.is_grace_over && unhealthy.grace_ends_at() <= now => {
            vec![ClusterHealthGraceEnded { unhealthy_since: unhealthy.since }.into()]
        }
        Some(_) | None => vec![],
    }
}

/// Amounts have to move by this part of themselves to be recorded: what is free on a member moves
/// with every pod, and each record costs every hub a look.
const PROPERTY_SHARE_MIN: i128 = 10;

/// Whether what is known of a member is too far from what it says now.
fn have_moved(known: &BTreeMap<String, String>, seen: &BTreeMap<String, String>) -> bool {
    !known.keys().eq(seen.keys())
        || known.values().zip(seen.values()).any(|(known, seen)| has_moved(known, seen))
}

fn has_moved(known: &str, seen: &str) -> bool {
    match (Quantity::parse(known), Quantity::parse(seen)) {
        (Some(known), Some(seen)) => known.is_off_by_a_share(seen, PROPERTY_SHARE_MIN),
        (None, _) | (_, None) => known != seen,
    }
}

fn assign(
    state: &ClusterState,
    command: &AssignDelivery,
) -> Result<Vec<ClusterEvent>, ClusterRefusal> {
    check_newer(state, &command.placement, command.generation)?;
    if !state.is_joined() {
        return Ok(vec![removed(&command.placement, command.generation)]);
    }
    Ok(vec![
        DeliveryAssigned {
            placement: command.placement.clone(),
            generation: command.generation,
            revision: command.revision.clone(),
            apply: command.apply.clone(),
        }
        .into(),
    ])
}

fn withdraw(
    state: &ClusterState,
    command: &WithdrawDelivery,
) -> Result<Vec<ClusterEvent>, ClusterRefusal> {
    check_newer(state, &command.placement, command.generation)?;
    if !state.deliveries.contains_key(&command.placement) {
        return Ok(vec![removed(&command.placement, command.generation)]);
    }
    Ok(vec![
        DeliveryWithdrawn { placement: command.placement.clone(), generation: command.generation }
            .into(),
    ])
}

fn check_newer(
    state: &ClusterState,
    placement: &PlacementKey,
    asked: u64,
) -> Result<(), ClusterRefusal> {
    match state.deliveries.get(placement) {
        Some(delivery) if delivery.generation >= asked => {
            Err(ClusterRefusal::ReasonSuperseded { asked, recorded: delivery.generation })
        }
        Some(_) | None => Ok(()),
    }
}

fn removed(placement: &PlacementKey, generation: u64) -> ClusterEvent {
    DeliveryRemoved { placement: placement.clone(), generation }.into()
}

fn report_delivery(
    state: &ClusterState,
    command: &ReportDelivery,
) -> Result<Vec<ClusterEvent>, ClusterRefusal> {
    let delivery = current(state, &command.placement, command.generation)?;
    if delivery.revision.is_none() {
        return Err(ClusterRefusal::ReasonNoDelivery);
    }
    let placement = command.placement.clone();
    let generation = command.generation;
    let noted = |is_applied| noted(delivery, &placement, is_applied, &command.notes);
    match &command.outcome {
        DeliveryOutcome::Applying(progress) => match delivery.phase {
            DeliveryPhase::Assigned | DeliveryPhase::Failed(_)
                if delivery.progress != Some(*progress) =>
            {
                Ok(vec![DeliveryProgressed { placement, generation, progress: *progress }.into()])
            }
            DeliveryPhase::Assigned
            | DeliveryPhase::Failed(_)
            | DeliveryPhase::Applied(_)
            | DeliveryPhase::Available { .. }
            | DeliveryPhase::Withdrawn(_) => Ok(vec![]),
        },
        // Of what is not applied as a whole, nothing more is missing than that.
        DeliveryOutcome::Missing(missing) => match delivery.phase {
            DeliveryPhase::Applied(_) | DeliveryPhase::Available { .. } => {
                let missing = bounded(missing);
                Ok(vec![DeliveryDisturbed { placement, generation, missing }.into()])
            }
            DeliveryPhase::Assigned | DeliveryPhase::Failed(_) | DeliveryPhase::Withdrawn(_) => {
                Ok(vec![])
            }
        },
        DeliveryOutcome::Failed(failures) => {
            let failures = bounded(failures);
            let mut events: Vec<ClusterEvent> = noted(false).into_iter().collect();
            if delivery.phase != DeliveryPhase::Failed(failures.clone()) {
                events.push(DeliveryFailed { placement, generation, failures }.into());
            }
            Ok(events)
        }
        DeliveryOutcome::Unavailable(waiting) => {
            let waiting = bounded(waiting);
            let mut events = applied(delivery, &placement);
            events.extend(noted(!events.is_empty()));
            if delivery.phase != DeliveryPhase::Applied(waiting.clone()) {
                events.push(DeliveryUnavailable { placement, generation, waiting }.into());
            }
            Ok(events)
        }
        DeliveryOutcome::Available { untracked } => {
            let untracked = *untracked;
            let mut events = applied(delivery, &placement);
            events.extend(noted(!events.is_empty()));
            if delivery.phase != (DeliveryPhase::Available { untracked }) {
                events.push(DeliveryAvailable { placement, generation, untracked }.into());
            }
            Ok(events)
        }
    }
}

/// What is not known yet of single objects. With the step to *applied*, nothing is known to be kept.
fn noted(
    delivery: &Delivery,
    placement: &PlacementKey,
    is_applied: bool,
    notes: &Notes,
) -> Option<ClusterEvent> {
    let is_news = |one: &&ObjectNote| match one.note {
        Note::Adopted => !delivery.adopted.contains(&one.object),
        Note::Kept { .. } => is_applied || !delivery.kept.contains(&one.object),
        Note::Finished => is_applied,
        Note::Released { .. } | Note::HandedOver { .. } => true,
    };
    let mut news: Vec<ObjectNote> = notes.notes.iter().filter(is_news).cloned().collect();
    let beyond = news.len().saturating_sub(NOTES_PER_EVENT_MAX);
    news.truncate(NOTES_PER_EVENT_MAX);
    let more = notes.more.saturating_add(u32::try_from(beyond).unwrap_or(u32::MAX));
    let generation = delivery.generation;
    let noted = DeliveryNoted { placement: placement.clone(), generation, notes: news, more };
    (!noted.notes.is_empty()).then(|| noted.into())
}

/// The step to *applied*, if it was not taken yet.
fn applied(delivery: &Delivery, placement: &PlacementKey) -> Vec<ClusterEvent> {
    match &delivery.phase {
        DeliveryPhase::Assigned | DeliveryPhase::Failed(_) => {
            let generation = delivery.generation;
            vec![DeliveryApplied { placement: placement.clone(), generation }.into()]
        }
        DeliveryPhase::Applied(_)
        | DeliveryPhase::Available { .. }
        | DeliveryPhase::Withdrawn(_) => vec![],
    }
}

/// Records what a removal waits for, whenever that is something else.
fn report_removal_waits(
    state: &ClusterState,
    command: &ReportRemovalWaits,
) -> Result<Vec<ClusterEvent>, ClusterRefusal> {
    let delivery = current(state, &command.placement, command.generation)?;
    let DeliveryPhase::Withdrawn(known) = &delivery.phase else {
        return Err(ClusterRefusal::ReasonNoDelivery);
    };
    let remaining = bounded(&command.remaining);
    if *known == remaining {
        return Ok(vec![]);
    }
    let (placement, generation) = (command.placement.clone(), command.generation);
    Ok(vec![DeliveryRemovalWaits { placement, generation, remaining }.into()])
}

fn report_removal(
    state: &ClusterState,
    command: &ReportRemoval,
) -> Result<Vec<ClusterEvent>, ClusterRefusal> {
    let delivery = current(state, &command.placement, command.generation)?;
    if !matches!(delivery.phase, DeliveryPhase::Withdrawn(_)) {
        return Err(ClusterRefusal::ReasonNoDelivery);
    }
    let noted = noted(delivery, &command.placement, false, &command.notes);
    Ok(noted.into_iter().chain([removed(&command.placement, command.generation)]).collect())
}

/// The delivery of exactly this generation.
fn current<'a>(
    state: &'a ClusterState,
    placement: &PlacementKey,
    asked: u64,
) -> Result<&'a Delivery, ClusterRefusal> {
    let delivery = state.deliveries.get(placement).ok_or(ClusterRefusal::ReasonNoDelivery)?;
    if delivery.generation != asked {
        let recorded = delivery.generation;
        return Err(ClusterRefusal::ReasonSuperseded { asked, recorded });
    }
    Ok(delivery)
}

/// The first failures, the last of which says how many more there are.
fn bounded(failures: &[ObjectFailure]) -> Vec<ObjectFailure> {
    let mut kept = failures[..failures.len().min(FAILURES_PER_DELIVERY_MAX)].to_vec();
    let beyond = failures.len() - kept.len();
    if beyond > 0
        && let Some(last) = kept.last_mut()
    {
        last.message = format!("{} (and {beyond} more objects)", last.message);
    }
    kept
}
