//! What looks: at placement and cluster objects, and at the health of members.

use std::collections::BTreeMap;

use actors::ask::AskError;
use domain::cluster::{
    ClusterCommand, ObserveCluster, RemoveCluster, ReportCredential, ReportHealth, ReportLink,
    ReportLinkProblem,
};
use domain::fleet::{FleetCommand, FoundFleet};
use domain::placement::Reschedule;
use domain::placement::{DeletePlacement, PlacementCommand, PlacementState, SubmitPlacement};
use events::cluster::LinkProblem;
use events::{AggregateId, PlacementKey, Principal};

use super::{Asker, Life, VERSION};
use crate::simulation::Shared;
use crate::simulation::oracle::Checked;

/// How long a controller waits after something did not work.
const LOOK_RETRY_MS: u64 = 1_000;

/// How often a member is checked.
const CHECK_MS: u64 = 10_000;

/// How long the credentials of all members last: about as long as a history.
const CREDENTIAL_LIFE: std::time::Duration = std::time::Duration::from_secs(60);

/// Something that a node has to look at: level-triggered, so marks that come together are one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// Whether the fleet was founded.
    Fleet,
    /// A placement object.
    Placement(PlacementKey),
    /// A placement object of this uid that is gone.
    PlacementGone(PlacementKey, String),
    /// A MemberCluster object.
    Cluster(String),
    /// A MemberCluster object of this uid that is gone.
    ClusterGone(String, String),
    /// The health of a member.
    Check(String),
    /// All placements, because the fleet has moved.
    Reschedule,
    /// A placement that has come to be, because the fleet may have moved before.
    Newcomer(AggregateId),
}

impl Life {
    pub(super) fn changed(
        &mut self,
        aggregates: &[AggregateId],
        fleet_moved: bool,
        shared: &Shared,
    ) {
        if fleet_moved {
            self.mark(Mark::Reschedule, shared.now_ms + 10);
        }
        for newcomer in self.lookout.newcomers(aggregates, &self.model) {
            self.mark(Mark::Newcomer(newcomer), shared.now_ms + 10);
        }
        for id in aggregates {
            match id {
                AggregateId::Placement(key)
                    if shared.user.placements.get(key).is_some_and(|object| object.deleting) =>
                {
                    self.mark(Mark::Placement(key.clone()), shared.now_ms);
                }
                AggregateId::Cluster(name)
                    if fleet_moved
                        && shared.user.clusters.get(name).is_some_and(|object| object.deleting) =>
                {
                    self.mark(Mark::Cluster(name.clone()), shared.now_ms);
                }
                AggregateId::Placement(_) | AggregateId::Cluster(_) | AggregateId::Fleet => {}
            }
        }
    }

    /// Has something looked at. An earlier mark stands.
    pub fn mark(&mut self, mark: Mark, at_ms: u64) {
        let due = self.marks.entry(mark).or_insert(at_ms);
        *due = at_ms.min(*due);
    }

    pub(super) fn mark_all(&mut self, shared: &Shared) {
        self.mark(Mark::Fleet, shared.now_ms);
        self.mark(Mark::Reschedule, shared.now_ms + 10);
        for key in shared.user.placements.keys() {
            self.mark(Mark::Placement(key.clone()), shared.now_ms);
        }
        for name in shared.user.clusters.keys() {
            self.mark(Mark::Cluster(name.clone()), shared.now_ms);
            self.mark(Mark::Check(name.clone()), shared.now_ms);
        }
    }

    /// What is to be looked at now.
    #[must_use]
    pub fn due_marks(&self, now_ms: u64) -> Vec<Mark> {
        let due = self.marks.iter().filter(|(_, at)| **at <= now_ms);
        due.map(|(mark, _)| mark.clone()).collect()
    }

    /// What is to be looked at later, besides health checks.
    #[must_use]
    pub fn has_marks(&self) -> bool {
        self.marks.keys().any(|mark| !matches!(mark, Mark::Check(_)))
    }

    /// Looks at something, as the controllers of the hub do.
    pub async fn look(&mut self, mark: Mark, shared: &mut Shared) -> Checked {
        self.marks.remove(&mark);
        match &mark {
            Mark::Fleet => {
                if self.owns(&AggregateId::Fleet, shared) {
                    let found = FleetCommand::FoundFleet(FoundFleet {
                        deployment: shared.deployment,
                        partitions: shared.partitions,
                        version: VERSION.to_owned(),
                    });
                    let asker = Asker::Look(mark);
                    self.ask(AggregateId::Fleet, found, Principal::System, asker, shared);
                }
            }
            Mark::Placement(key) => self.look_at_placement(key.clone(), shared).await,
            Mark::PlacementGone(key, uid) => {
                let id = AggregateId::Placement(key.clone());
                if self.owns(&id, shared) {
                    let delete = DeletePlacement { uid: uid.clone() };
                    let delete = PlacementCommand::DeletePlacement(delete);
                    self.ask(id, delete, Principal::System, Asker::Nobody, shared);
                }
            }
            Mark::Cluster(name) => self.look_at_cluster(name.clone(), shared),
            Mark::ClusterGone(name, uid) => {
                let id = AggregateId::Cluster(name.clone());
                if self.owns(&id, shared) {
                    let remove = RemoveCluster { uid: uid.clone() };
                    let remove = ClusterCommand::RemoveCluster(remove);
                    self.ask(id, remove, Principal::System, Asker::Nobody, shared);
                }
            }
            Mark::Check(name) => self.check(name.clone(), shared),
            Mark::Reschedule => {
                for id in self.lookout.all(&self.model) {
                    self.reschedule(id, shared);
                }
            }
            Mark::Newcomer(id) => self.reschedule(id.clone(), shared),
        }
        self.settle(shared)
    }

    fn reschedule(&mut self, id: AggregateId, shared: &mut Shared) {
        if self.owns(&id, shared) {
            let look = PlacementCommand::Reschedule(Reschedule {});
            self.ask(id, look, Principal::System, Asker::Nobody, shared);
        }
    }

    async fn look_at_placement(&mut self, key: PlacementKey, shared: &mut Shared) {
        let Some(object) = shared.user.placements.get(&key).cloned() else { return };
        let id = AggregateId::Placement(key.clone());
        if !self.owns(&id, shared) {
            return;
        }
        let principal = Principal::User("alice".to_owned());
        let asker = Asker::Look(Mark::Placement(key.clone()));
        if object.deleting {
            let asker = Asker::Deletion(Mark::Placement(key), object.uid.clone());
            let delete = DeletePlacement { uid: object.uid };
            self.ask(id, PlacementCommand::DeletePlacement(delete), principal, asker, shared);
            return;
        }
        let draft = self.contents.draft(&object.objects(&key));
        let Ok(revision) = self.contents.put_revision(draft).await else {
            self.mark(Mark::Placement(key), shared.now_ms + LOOK_RETRY_MS);
            return;
        };
        let submit = SubmitPlacement {
            uid: object.uid.clone(),
            generation: object.generation,
            spec: object.spec(),
            revision,
            notes: vec![],
        };
        self.ask(id, PlacementCommand::SubmitPlacement(submit), principal, asker, shared);
    }

    fn look_at_cluster(&mut self, name: String, shared: &mut Shared) {
        let Some(object) = shared.user.clusters.get(&name).cloned() else { return };
        let id = AggregateId::Cluster(name.clone());
        if !self.owns(&id, shared) {
            return;
        }
        let mark = Mark::Cluster(name);
        if object.deleting {
            let asker = Asker::Deletion(mark, object.uid.clone());
            let remove = ClusterCommand::RemoveCluster(RemoveCluster { uid: object.uid });
            self.ask(id, remove, Principal::System, asker, shared);
            return;
        }
        let observe = ClusterCommand::ObserveCluster(ObserveCluster {
            uid: object.uid,
            labels: BTreeMap::from([("region".to_owned(), object.region.to_owned())]),
            taints: vec![],
            heartbeat_period_seconds: 10,
        });
        self.ask(id, observe, Principal::System, Asker::Look(mark), shared);
    }

    /// A health check. What the member would say is asked of the world: probes are requests like
    /// others, and there are enough of those.
    fn check(&mut self, name: String, shared: &mut Shared) {
        let id = AggregateId::Cluster(name.clone());
        let is_known = shared.user.clusters.contains_key(&name)
            && self.model.clusters.get(&name).is_some_and(|known| known.state.member().is_some());
        if !is_known || !self.owns(&id, shared) {
            return;
        }
        self.mark(Mark::Check(name.clone()), shared.now_ms + CHECK_MS);
        let principal = Principal::Member(name.clone());
        if shared.members.away.contains(&name) {
            let report = ReportLinkProblem {
                problem: LinkProblem::Unreachable,
                message: "it does not answer".to_owned(),
                is_new_link: false,
            };
            let report = ClusterCommand::ReportLinkProblem(report);
            self.ask(id, report, principal, Asker::Nobody, shared);
            return;
        }
        let report = ClusterCommand::ReportLink(ReportLink {
            cluster: name.clone(),
            identity: format!("identity-{name}"),
            hub_identity: "hub".to_owned(),
            kubernetes_version: "v1.36.4".to_owned(),
            confirmed: None,
            taken_from: None,
        });
        self.ask(id, report, principal, Asker::Link(name), shared);
    }

    /// The link of a member works: what it says of itself.
    pub(super) fn linked(&mut self, name: &str, shared: &mut Shared) {
        let health = ClusterCommand::ReportHealth(ReportHealth {
            healthy: true,
            message: String::new(),
            properties: Some(BTreeMap::new()),
        });
        let expires_at = Some(shared.start + CREDENTIAL_LIFE);
        let credential = ClusterCommand::ReportCredential(ReportCredential { expires_at });
        for report in [health, credential] {
            let (id, principal) =
                (AggregateId::Cluster(name.to_owned()), Principal::Member(name.to_owned()));
            self.ask(id, report, principal, Asker::Nobody, shared);
        }
    }

    pub(super) fn looked(
        &mut self,
        mark: Mark,
        answer: &Result<(), AskError>,
        shared: &mut Shared,
    ) {
        match (&mark, answer) {
            (Mark::Cluster(name), Ok(())) => self.mark(Mark::Check(name.clone()), shared.now_ms),
            (_, Ok(()) | Err(AskError::NotOwner { .. })) => {}
            (Mark::Placement(_) | Mark::Fleet, Err(AskError::Refused(_))) => {}
            (_, Err(_)) => self.mark(mark, shared.now_ms + LOOK_RETRY_MS),
        }
    }

    /// What is being deleted is done with here: its object may go, if it is still that one.
    pub(super) fn let_go(&mut self, mark: &Mark, uid: &str, shared: &mut Shared) {
        match mark {
            Mark::Placement(key) => {
                let is_gone = self.model.placements.get(key).is_none_or(|p| is_gone(&p.state));
                if is_gone && shared.user.placements.get(key).is_some_and(|o| o.uid == uid) {
                    shared.let_go_of_placement(key);
                }
            }
            Mark::Cluster(name) => {
                if shared.user.clusters.get(name).is_some_and(|object| object.uid == uid) {
                    shared.let_go_of_cluster(name);
                }
            }
            Mark::PlacementGone(..)
            | Mark::ClusterGone(..)
            | Mark::Check(_)
            | Mark::Reschedule
            | Mark::Newcomer(_)
            | Mark::Fleet => {}
        }
    }
}

/// Whether nothing of a placement is left anywhere.
fn is_gone(state: &PlacementState) -> bool {
    state.specified.is_none() && state.deleting.is_none() && state.targets.is_empty()
}
