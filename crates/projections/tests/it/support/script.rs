//! What people, members and time do to a fleet, at random.

use domain::cluster::{
    CheckCredential, CheckHealthGrace, DeliveryOutcome, HEALTH_GRACE, HoldCluster, Notes,
    ObserveCluster, RemoveCluster, ReportCredential, ReportDelivery, ReportHealth, ReportLink,
    ReportLinkProblem, ReportRemoval, ReportRemovalWaits,
};
use domain::cluster::{ClusterCommand, DeliveryPhase};
use domain::fleet::{AcceptHub, FleetCommand, FoundFleet, HandOverFleet, ReportHubRevision};
use domain::placement::{
    DeletePlacement, HoldPlacement, PlacementCommand, RaiseMoves, RefusePlacement, Reschedule,
    RevisionInput, SubmitPlacement,
};
use events::cluster::{
    ApplyStrategy, LinkProblem, Note, ObjectFailure, ObjectNote, Progress, Taint,
};
use events::placement::{HoldReason, LabelSelector, PlacementSpec, Policy, RefusalReason};
use events::{AggregateId, ContentHash, ObjectId, Partition, PlacementKey};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{Ask, MiniHub};

/// Something that happens. Numbers choose among what there is.
#[derive(Debug, Clone)]
pub enum Act {
    Cluster {
        name: u8,
        labels: u8,
        taint: bool,
    },
    Link {
        name: u8,
    },
    Health {
        name: u8,
        healthy: bool,
        nodes: u8,
    },
    LinkProblem {
        name: u8,
    },
    Leave {
        name: u8,
    },
    Place {
        name: u8,
        generation: i64,
        region: Option<u8>,
        manifests: u8,
        submitted: bool,
    },
    Refuse {
        name: u8,
        generation: i64,
    },
    Reschedule {
        name: u8,
    },
    Delete {
        name: u8,
    },
    /// The hub's etcd has this revision; what is confirmed is that it went back from 9 to 3.
    Revision {
        revision: u64,
    },
    /// Members hold moves of a placement up to this one.
    Raise {
        name: u8,
        above: u64,
    },
    /// The objects of a cluster and of a placement are not there.
    Hold {
        name: u8,
    },
    Found,
    /// Another hub cluster is that of the fleet.
    HandOver,
    /// The credential of a member's link is another one; somebody looks whether it ends soon.
    Credential {
        name: u8,
        minutes: i64,
    },
    /// Some of what waits for a partition is decided, in one frame.
    FollowUps {
        partition: u16,
        count: u8,
    },
    /// A member reports on one of its deliveries.
    Outcome {
        name: u8,
        delivery: u8,
        outcome: u8,
    },
    Claim {
        partition: u16,
    },
    /// Time passes; a negative number is a clock that was wrong before.
    Tick {
        seconds: i64,
    },
}

/// Histories of up to so many acts, on up to three clusters and three placements.
pub fn acts(partitions: u16, max: usize) -> impl Strategy<Value = Vec<Act>> {
    let name = 0..3_u8;
    let one = prop_oneof![
        3 => (name.clone(), 0..3_u8, any::<bool>())
            .prop_map(|(name, labels, taint)| Act::Cluster { name, labels, taint }),
        3 => name.clone().prop_map(|name| Act::Link { name }),
        2 => (name.clone(), any::<bool>(), 0..3_u8)
            .prop_map(|(name, healthy, nodes)| Act::Health { name, healthy, nodes }),
        1 => (name.clone(), 0..3_i64)
            .prop_map(|(name, minutes)| Act::Credential { name, minutes }),
        1 => name.clone().prop_map(|name| Act::LinkProblem { name }),
        1 => name.clone().prop_map(|name| Act::Leave { name }),
        1 => Just(Act::Found),
        1 => (name.clone(), 1..4_i64)
            .prop_map(|(name, generation)| Act::Refuse { name, generation }),
        4 => (name.clone(), 1..4_i64, proptest::option::of(0..3_u8), 0..4_u8, any::<bool>())
            .prop_map(|(name, generation, region, manifests, submitted)| {
                Act::Place { name, generation, region, manifests, submitted }
            }),
        2 => name.clone().prop_map(|name| Act::Reschedule { name }),
        1 => name.clone().prop_map(|name| Act::Delete { name }),
        1 => name.clone().prop_map(|name| Act::Hold { name }),
        1 => (name.clone(), 1..20_u64).prop_map(|(name, above)| Act::Raise { name, above }),
        1 => (1..12_u64).prop_map(|revision| Act::Revision { revision }),
        10 => (0..partitions, 1..5_u8)
            .prop_map(|(partition, count)| Act::FollowUps { partition, count }),
        8 => (name, 0..3_u8, 0..4_u8)
            .prop_map(|(name, delivery, outcome)| Act::Outcome { name, delivery, outcome }),
        1 => (0..partitions).prop_map(|partition| Act::Claim { partition }),
        3 => (-2..10_i64).prop_map(|seconds| Act::Tick { seconds }),
    ];
    vec(one, 0..max)
}

/// Does all of it.
pub fn perform(hub: &mut MiniHub, acts: &[Act]) {
    for act in acts {
        hub.act(act);
    }
}

pub fn cluster(name: u8) -> AggregateId {
    AggregateId::Cluster(format!("member-{name}"))
}

pub fn placement(name: u8) -> AggregateId {
    let key = match name {
        0 => PlacementKey::cluster("web"),
        n => PlacementKey::namespaced(format!("team-{n}"), "web"),
    };
    AggregateId::Placement(key)
}

impl MiniHub {
    fn act(&mut self, act: &Act) {
        match act {
            Act::Tick { seconds } => {
                self.now = self.now.checked_add(jiff::SignedDuration::from_secs(*seconds)).unwrap();
            }
            Act::Claim { partition } => self.claim(Partition(*partition)),
            Act::FollowUps { partition, count } => {
                let pending = self.pending(Partition(*partition));
                let asks: Vec<Ask> =
                    pending.into_iter().take(usize::from(*count)).map(Ask::FollowUp).collect();
                if !asks.is_empty() {
                    self.frame(Partition(*partition), &asks);
                }
            }
            Act::Cluster { name, labels, taint } => {
                self.direct(cluster(*name), observe(*name, *labels, *taint));
            }
            Act::Link { name } => self.direct(cluster(*name), link(*name)),
            Act::Credential { name, minutes } => {
                let life = jiff::SignedDuration::from_mins(*minutes);
                let report = ReportCredential { expires_at: self.now.checked_add(life).ok() };
                self.direct(cluster(*name), ClusterCommand::ReportCredential(report));
                let check = ClusterCommand::CheckCredential(CheckCredential {});
                self.direct(cluster(*name), check);
            }
            Act::Health { name, healthy, nodes } => {
                let properties = [("node-count".to_owned(), nodes.to_string())].into();
                let report = ReportHealth {
                    healthy: *healthy,
                    message: "seen".to_owned(),
                    properties: Some(properties),
                };
                self.direct(cluster(*name), ClusterCommand::ReportHealth(report));
                if !healthy {
                    self.now = self.now.checked_add(HEALTH_GRACE).unwrap();
                    let check = ClusterCommand::CheckHealthGrace(CheckHealthGrace {});
                    self.direct(cluster(*name), check);
                }
            }
            Act::LinkProblem { name } => {
                let problem = ReportLinkProblem {
                    problem: LinkProblem::DuplicateOf("member-9".to_owned()),
                    message: "in words".to_owned(),
                    is_new_link: false,
                };
                self.direct(cluster(*name), ClusterCommand::ReportLinkProblem(problem));
            }
            Act::Found => {
                let deployment = uuid::Uuid::from_u128(1);
                let version = "0.1.0".to_owned();
                let founded = FoundFleet { deployment, partitions: 4, version };
                self.direct(AggregateId::Fleet, FleetCommand::FoundFleet(founded));
            }
            Act::HandOver => {
                let handed = HandOverFleet {
                    handover: uuid::Uuid::from_u128(2),
                    hub: "hub-2".to_owned(),
                    from_hub: Some("hub-1".to_owned()),
                    from_deployment: Some(uuid::Uuid::from_u128(3)),
                };
                self.direct(AggregateId::Fleet, FleetCommand::HandOverFleet(handed));
            }
            Act::Refuse { name, generation } => {
                let refuse = RefusePlacement {
                    uid: format!("uid-{name}"),
                    generation: *generation,
                    reason: RefusalReason::InvalidResourceSelectors,
                    message: "in words".to_owned(),
                };
                self.direct(placement(*name), PlacementCommand::RefusePlacement(refuse));
            }
            Act::Leave { name } => {
                let uid = format!("uid-{name}");
                self.direct(cluster(*name), ClusterCommand::RemoveCluster(RemoveCluster { uid }));
            }
            Act::Revision { revision } => {
                let seen = ReportHubRevision { revision: *revision };
                self.direct(AggregateId::Fleet, FleetCommand::ReportHubRevision(seen));
                let accept = AcceptHub { token: "went-back-9-3".to_owned() };
                self.direct(AggregateId::Fleet, FleetCommand::AcceptHub(accept));
            }
            Act::Raise { name, above } => {
                let raise = PlacementCommand::RaiseMoves(RaiseMoves { above: *above });
                self.direct(placement(*name), raise);
            }
            Act::Hold { name } => {
                let (uid, token) = (format!("uid-{name}"), "token".to_owned());
                let message = "in words".to_owned();
                let hold = HoldPlacement {
                    uid: uid.clone(),
                    reason: HoldReason::ObjectGone,
                    token: token.clone(),
                    message: message.clone(),
                };
                self.direct(placement(*name), PlacementCommand::HoldPlacement(hold));
                let hold = HoldCluster { uid, token, message };
                self.direct(cluster(*name), ClusterCommand::HoldCluster(hold));
            }
            Act::Place { name, generation, region, manifests, submitted } => {
                let id = placement(*name);
                let command = place(*name, *generation, *region, *manifests);
                if *submitted {
                    self.frame(self.partition(&id), &[Ask::Submitted(id.clone(), command.into())]);
                } else {
                    self.direct(id, command);
                }
            }
            Act::Reschedule { name } => {
                self.direct(placement(*name), PlacementCommand::Reschedule(Reschedule {}));
            }
            Act::Delete { name } => {
                let uid = format!("uid-{name}");
                self.direct(
                    placement(*name),
                    PlacementCommand::DeletePlacement(DeletePlacement { uid }),
                );
            }
            Act::Outcome { name, delivery, outcome } => self.report(*name, *delivery, *outcome),
        }
    }

    fn report(&mut self, name: u8, delivery: u8, outcome: u8) {
        let AggregateId::Cluster(member) = cluster(name) else { return };
        let Some(known) = self.model.clusters.get(&member) else { return };
        let Some((placement, known)) = known.state.deliveries.iter().nth(usize::from(delivery))
        else {
            return;
        };
        let (placement, generation) = (placement.clone(), known.generation);
        let is_withdrawn = matches!(known.phase, DeliveryPhase::Withdrawn(_));
        let command = if is_withdrawn && outcome == 0 {
            let remaining = vec![failure("ManifestApplyFailed")];
            ClusterCommand::ReportRemovalWaits(ReportRemovalWaits {
                placement,
                generation,
                remaining,
            })
        } else if is_withdrawn {
            let notes = Notes::default();
            ClusterCommand::ReportRemoval(ReportRemoval { placement, generation, notes })
        } else {
            let adopted = ObjectNote { object: failure("").object, note: Note::Adopted };
            let notes = match outcome {
                1 => Notes { notes: vec![adopted], more: 0 },
                _ => Notes::default(),
            };
            let outcome = match outcome {
                0 => DeliveryOutcome::Failed(vec![failure("ManifestApplyFailed")]),
                1 => DeliveryOutcome::Unavailable(vec![failure("ManifestNotAvailableYet")]),
                MISSING => {
                    DeliveryOutcome::Missing(vec![failure("FailedToFindObjInMemberCluster")])
                }
                APPLYING => DeliveryOutcome::Applying(Progress { applied: 412, of: 494 }),
                n => DeliveryOutcome::Available { untracked: u32::from(n) - 2 },
            };
            ClusterCommand::ReportDelivery(ReportDelivery { placement, generation, outcome, notes })
        };
        self.direct(cluster(name), command);
    }
}

/// The outcome that objects are missing.
pub const MISSING: u8 = 200;
/// The outcome that not all is applied yet.
pub const APPLYING: u8 = 201;

pub fn observe(name: u8, labels: u8, taint: bool) -> ClusterCommand {
    let taints = match taint {
        true => vec![Taint { key: "gpu".to_owned(), value: "only".to_owned() }],
        false => vec![],
    };
    ClusterCommand::ObserveCluster(ObserveCluster {
        uid: format!("uid-{name}"),
        labels: [("region".to_owned(), format!("r{labels}"))].into(),
        taints,
        heartbeat_period_seconds: 15 + u32::from(labels),
    })
}

pub fn link(name: u8) -> ClusterCommand {
    ClusterCommand::ReportLink(ReportLink {
        cluster: format!("member-{name}"),
        identity: format!("kube-system-{name}"),
        hub_identity: "kube-system-of-the-hub".to_owned(),
        kubernetes_version: "v1.36.4".to_owned(),
        confirmed: None,
        taken_from: None,
    })
}

pub fn place(name: u8, generation: i64, region: Option<u8>, manifests: u8) -> PlacementCommand {
    let term = region.map(|region| LabelSelector {
        match_labels: [("region".to_owned(), format!("r{region}"))].into(),
        match_expressions: vec![],
    });
    PlacementCommand::SubmitPlacement(SubmitPlacement {
        uid: format!("uid-{name}"),
        generation,
        spec: PlacementSpec {
            selectors: vec![],
            policy: Policy::PickAll { terms: term.into_iter().collect(), tolerations: vec![] },
            apply: ApplyStrategy::default(),
        },
        revision: RevisionInput { manifests: ContentHash::of(&[manifests]), objects: 2 },
        notes: (0..manifests / 3)
            .map(|n| format!("resource selector {n} selects nothing"))
            .collect(),
    })
}

fn failure(reason: &str) -> ObjectFailure {
    ObjectFailure {
        object: ObjectId {
            group: String::new(),
            version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            namespace: "default".to_owned(),
            name: "settings".to_owned(),
        },
        reason: reason.to_owned(),
        message: "in words".to_owned(),
        generation: Some(1),
    }
}
