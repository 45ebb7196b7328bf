//! What is known of a cluster, and how events change it.

use std::collections::{BTreeMap, BTreeSet};

use events::cluster::{
    ApplyStrategy, ClusterEvent, DeliveryNoted, Labels, LinkProblem, Note, ObjectFailure, Progress,
    RevisionRef, Taint,
};
use events::{ObjectId, PlacementKey, Timestamp};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// How long before its end a credential is called expiring, at most.
const CREDENTIAL_LEAD_MAX: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The last part of its life in which a credential that lives shorter is called expiring: the last
/// third.
const CREDENTIAL_LEAD_SHARE: i32 = 3;

/// How long a member may be unwell before it gets nothing new (reference §2.4, Eligibility).
pub const HEALTH_GRACE: SignedDuration = SignedDuration::from_mins(5);

/// A cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterState {
    /// Where it stands with the fleet.
    pub membership: Membership,
    /// What it should and does hold, by placement.
    pub deliveries: BTreeMap<PlacementKey, Delivery>,
    /// Deliveries of memberships that ended, by generation, of which their placements are yet to
    /// be told.
    pub orphans: BTreeMap<PlacementKey, u64>,
}

/// Where a cluster stands with the fleet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Membership {
    /// Never heard of.
    #[default]
    Unknown,
    /// It has a MemberCluster object. It has joined when `identity` is set.
    Member(Box<Member>),
    /// It was a member once.
    Left,
}

/// A cluster that has a MemberCluster object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The object's uid.
    pub uid: String,
    /// Its labels.
    pub labels: Labels,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// How often its health is checked.
    pub heartbeat_period_seconds: u32,
    /// Which cluster it really is; set when it joined.
    pub identity: Option<String>,
    /// The API server's version when it joined.
    pub kubernetes_version: String,
    /// When it joined.
    pub joined_at: Option<Timestamp>,
    /// What is wrong with its link, if something is.
    pub link_failure: Option<LinkFailure>,
    /// How it is unwell, if it is.
    pub unhealthy: Option<Unhealthy>,
    /// What is known of the credential of its link.
    pub credential: Option<Credential>,
    /// What it offers.
    pub properties: BTreeMap<String, String>,
    /// Why it gets no orders, if its object was lost.
    pub held: Option<ClusterHold>,
}

/// A member whose MemberCluster object the hub's Kubernetes API has lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterHold {
    /// Stands for this membership.
    pub token: String,
    /// In words, with what to do.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}

/// A member that does not answer, or answers that it is unwell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unhealthy {
    /// Since when.
    pub since: Timestamp,
    /// What was seen.
    pub message: String,
    /// Whether that is longer than the grace period, so that it gets nothing new.
    pub is_grace_over: bool,
}

/// A credential that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// When it ends.
    pub expires_at: Timestamp,
    /// Since when it is used.
    pub since: Timestamp,
    /// Whether somebody was told that it ends soon.
    pub is_told: bool,
}

/// What is wrong with a link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkFailure {
    /// What.
    pub problem: LinkProblem,
    /// In words.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}

/// One placement on this cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// The latest assignment or withdrawal.
    pub generation: u64,
    /// How far it is.
    pub phase: DeliveryPhase,
    /// What it should hold; `None` once withdrawn.
    pub revision: Option<RevisionRef>,
    /// Earlier revisions of which objects may still be on the member.
    pub held: Vec<RevisionRef>,
    /// How to write it.
    pub apply: ApplyStrategy,
    /// Objects that were on the member before and outlive the placement, as far as they were named.
    pub adopted: BTreeSet<ObjectId>,
    /// Objects that are not part of the revision any more and cannot go yet.
    pub kept: BTreeSet<ObjectId>,
    /// How many objects are applied, while that is counted.
    pub progress: Option<Progress>,
}

/// How far a delivery is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum DeliveryPhase {
    /// Not written yet.
    Assigned,
    /// Some objects could not be applied, or are not there any more.
    Failed(Vec<ObjectFailure>),
    /// Applied; some objects are not available, or nothing is known about that yet.
    Applied(Vec<ObjectFailure>),
    /// Applied, and all that can be tracked is available.
    Available {
        /// How many objects cannot be tracked.
        untracked: u32,
    },
    /// Being removed; these are still there, as far as somebody looked.
    Withdrawn(Vec<ObjectFailure>),
}

impl ClusterState {
    /// The member, if it is one.
    #[must_use]
    pub fn member(&self) -> Option<&Member> {
        match &self.membership {
            Membership::Member(member) => Some(member),
            Membership::Unknown | Membership::Left => None,
        }
    }

    /// Whether it has joined and not left.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.member().is_some_and(|member| member.identity.is_some())
    }

    /// How many orders to it are not done: what it does not hold yet as it should, or holds still.
    #[must_use]
    pub fn orders_waiting(&self) -> usize {
        let is_waiting = |delivery: &&Delivery| match delivery.phase {
            DeliveryPhase::Assigned
            | DeliveryPhase::Failed(_)
            | DeliveryPhase::Applied(_)
            | DeliveryPhase::Withdrawn(_) => true,
            DeliveryPhase::Available { .. } => false,
        };
        self.deliveries.values().filter(is_waiting).count()
    }

    pub(super) fn evolve(&mut self, event: &ClusterEvent, time: Timestamp) {
        match event {
            ClusterEvent::ClusterRegistered(registered) => {
                self.membership = Membership::Member(Box::new(Member {
                    uid: registered.uid.clone(),
                    labels: registered.labels.clone(),
                    taints: registered.taints.clone(),
                    heartbeat_period_seconds: registered.heartbeat_period_seconds,
                    identity: None,
                    kubernetes_version: String::new(),
                    joined_at: None,
                    link_failure: None,
                    unhealthy: None,
                    credential: None,
                    properties: BTreeMap::new(),
                    held: None,
                }));
            }
            ClusterEvent::ClusterLeft(left) => {
                self.membership = Membership::Left;
                for orphan in &left.orphaned {
                    self.deliveries.remove(&orphan.placement);
                }
                let others = std::mem::take(&mut self.deliveries).into_iter();
                self.orphans.extend(others.map(|(key, delivery)| (key, delivery.generation)));
            }
            ClusterEvent::ClusterLabelsChanged(_)
            | ClusterEvent::ClusterTaintsChanged(_)
            | ClusterEvent::ClusterHeartbeatPeriodChanged(_)
            | ClusterEvent::ClusterCredentialChanged(_)
            | ClusterEvent::ClusterCredentialExpiring(_)
            | ClusterEvent::ClusterJoined(_)
            | ClusterEvent::ClusterLinkFailed(_)
            | ClusterEvent::ClusterHealthLost(_)
            | ClusterEvent::ClusterHealthGraceEnded(_)
            | ClusterEvent::ClusterHealthRestored(_)
            | ClusterEvent::ClusterPropertiesChanged(_)
            | ClusterEvent::ClusterHeld(_)
            | ClusterEvent::ClusterHoldEnded(_) => {
                if let Membership::Member(member) = &mut self.membership {
                    member.evolve(event, time);
                }
            }
            ClusterEvent::DeliveryAssigned(_)
            | ClusterEvent::DeliveryApplied(_)
            | ClusterEvent::DeliveryFailed(_)
            | ClusterEvent::DeliveryAvailable(_)
            | ClusterEvent::DeliveryUnavailable(_)
            | ClusterEvent::DeliveryProgressed(_)
            | ClusterEvent::DeliveryDisturbed(_)
            | ClusterEvent::DeliveryWithdrawn(_)
            | ClusterEvent::DeliveryNoted(_)
            | ClusterEvent::DeliveryRemovalWaits(_)
            | ClusterEvent::DeliveryRemoved(_) => self.evolve_delivery(event),
        }
    }

    fn evolve_delivery(&mut self, event: &ClusterEvent) {
        match event {
            ClusterEvent::DeliveryAssigned(assigned) => {
                let before = self.deliveries.remove(&assigned.placement);
                let mut delivery = Delivery {
                    generation: assigned.generation,
                    phase: DeliveryPhase::Assigned,
                    revision: Some(assigned.revision.clone()),
                    held: vec![],
                    apply: assigned.apply.clone(),
                    adopted: BTreeSet::new(),
                    kept: BTreeSet::new(),
                    progress: None,
                };
                if let Some(before) = before {
                    delivery.follow(before);
                }
                self.deliveries.insert(assigned.placement.clone(), delivery);
            }
            ClusterEvent::DeliveryWithdrawn(withdrawn) => {
                if let Some(before) = self.deliveries.remove(&withdrawn.placement) {
                    let mut delivery = Delivery {
                        generation: withdrawn.generation,
                        phase: DeliveryPhase::Withdrawn(vec![]),
                        revision: None,
                        held: vec![],
                        apply: before.apply.clone(),
                        adopted: BTreeSet::new(),
                        kept: BTreeSet::new(),
                        progress: None,
                    };
                    delivery.follow(before);
                    self.deliveries.insert(withdrawn.placement.clone(), delivery);
                }
            }
            ClusterEvent::DeliveryRemoved(removed) => {
                if self.orphans.get(&removed.placement) == Some(&removed.generation) {
                    self.orphans.remove(&removed.placement);
                } else {
                    self.deliveries.remove(&removed.placement);
                }
            }
            ClusterEvent::DeliveryApplied(applied) => {
                if let Some(delivery) = self.deliveries.get_mut(&applied.placement) {
                    delivery.held.clear();
                    delivery.kept.clear();
                    delivery.progress = None;
                    delivery.phase = DeliveryPhase::Applied(vec![]);
                }
            }
            ClusterEvent::DeliveryNoted(noted) => {
                if let Some(delivery) = self.deliveries.get_mut(&noted.placement) {
                    delivery.note(noted);
                }
            }
            ClusterEvent::DeliveryProgressed(progressed) => {
                if let Some(delivery) = self.deliveries.get_mut(&progressed.placement) {
                    delivery.progress = Some(progressed.progress);
                }
            }
            ClusterEvent::DeliveryDisturbed(disturbed) => {
                if let Some(delivery) = self.deliveries.get_mut(&disturbed.placement) {
                    delivery.phase = DeliveryPhase::Failed(disturbed.missing.clone());
                }
            }
            ClusterEvent::DeliveryRemovalWaits(waits) => {
                if let Some(delivery) = self.deliveries.get_mut(&waits.placement) {
                    delivery.phase = DeliveryPhase::Withdrawn(waits.remaining.clone());
                }
            }
            ClusterEvent::DeliveryFailed(failed) => {
                if let Some(delivery) = self.deliveries.get_mut(&failed.placement) {
                    delivery.phase = DeliveryPhase::Failed(failed.failures.clone());
                }
            }
            ClusterEvent::DeliveryAvailable(available) => {
                if let Some(delivery) = self.deliveries.get_mut(&available.placement) {
                    delivery.phase = DeliveryPhase::Available { untracked: available.untracked };
                }
            }
            ClusterEvent::DeliveryUnavailable(unavailable) => {
                if let Some(delivery) = self.deliveries.get_mut(&unavailable.placement) {
                    delivery.phase = DeliveryPhase::Applied(unavailable.waiting.clone());
                }
            }
            ClusterEvent::ClusterRegistered(_)
            | ClusterEvent::ClusterLeft(_)
            | ClusterEvent::ClusterLabelsChanged(_)
            | ClusterEvent::ClusterTaintsChanged(_)
            | ClusterEvent::ClusterHeartbeatPeriodChanged(_)
            | ClusterEvent::ClusterCredentialChanged(_)
            | ClusterEvent::ClusterCredentialExpiring(_)
            | ClusterEvent::ClusterJoined(_)
            | ClusterEvent::ClusterLinkFailed(_)
            | ClusterEvent::ClusterHealthLost(_)
            | ClusterEvent::ClusterHealthGraceEnded(_)
            | ClusterEvent::ClusterHealthRestored(_)
            | ClusterEvent::ClusterPropertiesChanged(_)
            | ClusterEvent::ClusterHeld(_)
            | ClusterEvent::ClusterHoldEnded(_) => {}
        }
    }
}

impl Member {
    fn evolve(&mut self, event: &ClusterEvent, time: Timestamp) {
        match event {
            ClusterEvent::ClusterLabelsChanged(changed) => self.labels.clone_from(&changed.labels),
            ClusterEvent::ClusterTaintsChanged(changed) => self.taints.clone_from(&changed.taints),
            ClusterEvent::ClusterHeartbeatPeriodChanged(changed) => {
                self.heartbeat_period_seconds = changed.heartbeat_period_seconds;
            }
            ClusterEvent::ClusterCredentialChanged(changed) => {
                self.credential = changed.expires_at.map(|expires_at| Credential {
                    expires_at,
                    since: time,
                    is_told: false,
                });
            }
            ClusterEvent::ClusterCredentialExpiring(_) => {
                if let Some(credential) = &mut self.credential {
                    credential.is_told = true;
                }
            }
            ClusterEvent::ClusterJoined(joined) => {
                // A link that works again is no new membership.
                let is_back = self.identity.as_ref() == Some(&joined.identity);
                self.joined_at = self.joined_at.filter(|_| is_back).or(Some(time));
                self.identity = Some(joined.identity.clone());
                self.kubernetes_version.clone_from(&joined.kubernetes_version);
                self.link_failure = None;
                self.unhealthy = None;
            }
            ClusterEvent::ClusterLinkFailed(failed) => {
                self.link_failure = Some(LinkFailure {
                    problem: failed.problem.clone(),
                    message: failed.message.clone(),
                    since: time,
                });
            }
            ClusterEvent::ClusterHealthLost(lost) => {
                self.unhealthy = Some(Unhealthy {
                    since: time,
                    message: lost.message.clone(),
                    is_grace_over: false,
                });
            }
            ClusterEvent::ClusterHealthGraceEnded(_) => {
                if let Some(unhealthy) = &mut self.unhealthy {
                    unhealthy.is_grace_over = true;
                }
            }
            ClusterEvent::ClusterHealthRestored(_) => {
                self.unhealthy = None;
                self.link_failure = None;
            }
            ClusterEvent::ClusterPropertiesChanged(changed) => {
                self.properties.clone_from(&changed.properties);
            }
            ClusterEvent::ClusterHeld(held) => {
                self.held = Some(ClusterHold {
                    token: held.token.clone(),
                    message: held.message.clone(),
                    since: time,
                });
            }
            ClusterEvent::ClusterHoldEnded(_) => self.held = None,
            ClusterEvent::ClusterRegistered(_)
            | ClusterEvent::ClusterLeft(_)
            | ClusterEvent::DeliveryAssigned(_)
            | ClusterEvent::DeliveryApplied(_)
            | ClusterEvent::DeliveryFailed(_)
            | ClusterEvent::DeliveryAvailable(_)
            | ClusterEvent::DeliveryUnavailable(_)
            | ClusterEvent::DeliveryProgressed(_)
            | ClusterEvent::DeliveryDisturbed(_)
            | ClusterEvent::DeliveryWithdrawn(_)
            | ClusterEvent::DeliveryNoted(_)
            | ClusterEvent::DeliveryRemovalWaits(_)
            | ClusterEvent::DeliveryRemoved(_) => {}
        }
    }
}

impl Unhealthy {
    /// When the grace period ends.
    pub(super) fn grace_ends_at(&self) -> Timestamp {
        self.since.saturating_add(HEALTH_GRACE).unwrap_or(Timestamp::MAX)
    }
}

impl Credential {
    /// When somebody has to be told that it ends: in time to renew it, and not for most of its
    /// life.
    pub(super) fn tell_at(&self) -> Timestamp {
        let life = self.expires_at.duration_since(self.since);
        let lead = (life / CREDENTIAL_LEAD_SHARE).min(CREDENTIAL_LEAD_MAX);
        self.expires_at.checked_sub(lead.max(SignedDuration::ZERO)).unwrap_or(self.expires_at)
    }
}

impl Delivery {
    /// Takes over what an earlier assignment may have left on the member: every revision of which
    /// an object may be there, the oldest first, and what is known of single objects.
    fn follow(&mut self, before: Self) {
        self.held = before.held;
        self.held.extend(before.revision);
        self.held.dedup();
        (self.adopted, self.kept) = (before.adopted, before.kept);
    }

    fn note(&mut self, noted: &DeliveryNoted) {
        for one in &noted.notes {
            let object = &one.object;
            match one.note {
                Note::Adopted => drop(self.adopted.insert(object.clone())),
                Note::Kept { .. } => drop(self.kept.insert(object.clone())),
                Note::Finished => {}
                Note::Released { .. } | Note::HandedOver { .. } => {
                    self.adopted.remove(object);
                    self.kept.remove(object);
                }
            }
        }
    }
}
