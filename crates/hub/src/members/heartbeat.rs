//! Health checks of push members: the hub asks, at the period that the MemberCluster says.
//!
//! A check is not an event; only what changes by it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actors::ask::AskError;
use actors::node::Router;
use delivery::{Link, LinkError, Probe};
use domain::Decider as _;
use domain::cluster::{
    Cluster, ClusterCommand, Member, ReportCredential, ReportHealth, ReportLink, ReportLinkProblem,
};
use events::cluster::LinkProblem;
use events::{AggregateId, Principal, Timestamp};

use super::belonging::{self, Belonging, Ourselves};
use super::renewal::Renewals;
use crate::links::{Answered, Links, NoLink};
use crate::work_queue::Next;

/// How soon a member that does not answer, or has not joined, is asked again, at most.
const RETRY: Duration = Duration::from_secs(5);

/// How soon a member that just joined is asked how it is.
const FIRST_HEALTH: Duration = Duration::from_millis(50);

/// How long a member is left alone that has just answered, and whose next order got no answer: it
/// must not be asked once for every order that fails.
const DOUBTED_AGAIN: Duration = Duration::from_secs(1);

/// When a member is asked again that somebody else has just marked.
const RACED_AGAIN: Duration = Duration::from_millis(200);

/// What a member said when it last answered a health check.
#[derive(Debug, Clone)]
pub struct LastProbe {
    /// When.
    pub at: Timestamp,
    /// What.
    pub seen: Probe,
}

/// The health checks. Cheap to clone.
#[derive(Clone)]
pub struct Heartbeats {
    router: Router,
    links: Links,
    ourselves: Ourselves,
    renewals: Renewals,
    last: Arc<Mutex<BTreeMap<String, LastProbe>>>,
}

impl Heartbeats {
    /// Health checks that tell the owner of each member what they see.
    #[must_use]
    pub fn new(router: Router, links: Links, ourselves: Ourselves, renewals: Renewals) -> Self {
        Self { router, links, ourselves, renewals, last: Arc::default() }
    }

    /// What a member last said. `None` before it first answered this hub.
    #[must_use]
    pub fn last(&self, cluster: &str) -> Option<LastProbe> {
        self.all().get(cluster).cloned()
    }

    /// Forgets a cluster that has left.
    pub(crate) fn forget(&self, cluster: &str) {
        belonging::doubted(self.router.concerns(), cluster, None);
        self.renewals.forget(cluster, self.router.concerns());
        self.all().remove(cluster);
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, LastProbe>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something is known to be wrong with a member, so that asking it may take long.
    pub(crate) fn is_unwell(&self, cluster: &str) -> bool {
        let is_unwell =
            |member: &Member| member.unhealthy.is_some() || member.link_failure.is_some();
        self.member(cluster, is_unwell).unwrap_or_default()
    }

    /// Checks one member, whose checks are this far apart, and reports what changed. `confirmed` is
    /// the cluster that somebody says takes the place of the one that joined. Says when to check
    /// again.
    pub(crate) async fn check(
        &self,
        cluster: &str,
        period: Duration,
        confirmed: Option<&String>,
    ) -> Next {
        let id = AggregateId::Cluster(cluster.to_owned());
        let Some(is_joined) = self.member(cluster, |member| member.identity.is_some()) else {
            return Next::Wait;
        };
        if !self.router.owns(&id) {
            return Next::Wait;
        }
        if self.links.is_doubted(cluster) && self.has_just_answered(cluster) {
            return Next::After(DOUBTED_AGAIN);
        }
        let link = self.links.get(cluster);
        let probed = match &link {
            Ok(link) => self.probe(cluster, link).await,
            Err(no_link) => Err(no_link.clone()),
        };
        let is_well = matches!(&probed, Ok(probe) if probe.ready);
        let identity = probed.as_ref().ok().map(|probe| probe.identity.clone());
        let belonging = match (&link, &probed) {
            (Ok(link), Ok(probe)) => self.belonging(cluster, link, probe, confirmed).await,
            (Ok(_), Err(no_link)) | (Err(no_link), _) => Belonging::NotOurs(no_link.clone()),
        };
        let reported = match (belonging, probed) {
            (Belonging::AskAgain, _) => return Next::After(RACED_AGAIN),
            (Belonging::Ours { taken_from, .. }, Ok(probe)) => {
                match self.prepared(&link, is_joined, probe).await {
                    Ok(probe) => {
                        let seen = Seen { probe, taken_from, confirmed: confirmed.cloned() };
                        self.report(cluster, &id, seen).await
                    }
                    Err(no_link) => self.report_problem(cluster, &id, no_link).await,
                }
            }
            (Belonging::NotOurs(no_link), _) | (Belonging::Ours { .. }, Err(no_link)) => {
                self.report_problem(cluster, &id, no_link).await
            }
        };
        if reported.is_ok() {
            self.links.told(cluster, &link);
        }
        if let (Ok(link), Some(identity)) = (&link, identity) {
            self.answered(cluster, &id, link, &identity);
        }
        let is_home = |member: &Member| member.identity.is_some() && leads_home(member);
        let standing = Standing {
            is_well: is_well && reported.is_ok(),
            is_home: self.member(cluster, is_home).unwrap_or_default(),
            was_joined: is_joined,
        };
        if standing.is_well && standing.is_home {
            self.renewals.look(cluster, &self.links, self.router.concerns()).await;
        }
        match reported {
            Err(AskError::NotOwner { .. }) => Next::Wait,
            Ok(()) | Err(_) => Next::After(standing.next_check(period)),
        }
    }

    fn has_just_answered(&self, cluster: &str) -> bool {
        let now = Timestamp::now();
        let since = self.last(cluster).map(|last| now.duration_since(last.at));
        since.is_some_and(|since| since.unsigned_abs() < DOUBTED_AGAIN)
    }

    /// Makes a cluster of ours ready for orders before it joins: its first placement need not wait
    /// for that. The hub's own cluster does not join, and gets nothing.
    async fn prepared(
        &self,
        link: &Result<Arc<dyn Link>, NoLink>,
        is_joined: bool,
        probe: Probe,
    ) -> Result<Probe, NoLink> {
        if let Ok(link) = link
            && !is_joined
            && probe.identity != self.ourselves.hub
        {
            link.prepare().await.map_err(no_link)?;
        }
        Ok(probe)
    }

    async fn probe(&self, cluster: &str, link: &Arc<dyn Link>) -> Result<Probe, NoLink> {
        let probed = link.probe().await.map_err(no_link);
        match &probed {
            Ok(seen) => {
                let probe = LastProbe { at: Timestamp::now(), seen: seen.clone() };
                self.all().insert(cluster.to_owned(), probe);
            }
            Err(NoLink { message, .. }) => {
                tracing::debug!(%cluster, message, "a health check failed");
                self.links.lost(cluster, link);
            }
        }
        probed
    }

    /// Whose the cluster is that has answered. One that is nobody's is marked as ours, if nothing
    /// else keeps it from being this member.
    async fn belonging(
        &self,
        cluster: &str,
        link: &Arc<dyn Link>,
        probe: &Probe,
        confirmed: Option<&String>,
    ) -> Belonging {
        let identity = &probe.identity;
        let may_be_member = |member: &Member| {
            let known = member.identity.as_ref();
            known.is_none_or(|known| known == identity || confirmed == Some(identity))
        };
        let is_other = {
            let model = self.router.fold().model();
            model.view.other_with_identity(identity, cluster).is_some()
        };
        let may_mark = *identity != self.ourselves.hub
            && !is_other
            && self.member(cluster, may_be_member).unwrap_or_default();
        let asked = self.ourselves.belonging(cluster, &**link, probe, may_mark).await;
        let belonging = asked.unwrap_or_else(|error| Belonging::NotOurs(no_link(error)));
        let doubt = match &belonging {
            Belonging::Ours { doubt, .. } => doubt.clone(),
            Belonging::NotOurs(_) | Belonging::AskAgain => None,
        };
        belonging::doubted(self.router.concerns(), cluster, doubt);
        belonging
    }

    async fn report_problem(
        &self,
        cluster: &str,
        id: &AggregateId,
        no_link: NoLink,
    ) -> Result<(), AskError> {
        let NoLink { problem, message } = no_link;
        let is_new_link = self.links.is_news(cluster);
        let report = ReportLinkProblem { problem, message, is_new_link };
        let report = ClusterCommand::ReportLinkProblem(report);
        let principal = Principal::Member(cluster.to_owned());
        self.router.ask(id.clone(), report.into(), principal).await.map(drop)
    }

    async fn report(&self, cluster: &str, id: &AggregateId, seen: Seen) -> Result<(), AskError> {
        let Seen { probe, confirmed, taken_from } = seen;
        let principal = Principal::Member(cluster.to_owned());
        let ask = |command: ClusterCommand| {
            let (id, principal) = (id.clone(), principal.clone());
            async move { self.router.ask(id, command.into(), principal).await.map(drop) }
        };
        ask(ClusterCommand::ReportLink(ReportLink {
            cluster: cluster.to_owned(),
            identity: probe.identity.clone(),
            hub_identity: self.ourselves.hub.clone(),
            kubernetes_version: probe.kubernetes_version.clone(),
            confirmed,
            taken_from,
        }))
        .await?;
        if self.member(cluster, leads_home).unwrap_or_default() {
            let expires_at = self.links.expires_at(cluster);
            let known = self.member(cluster, |member| member.credential.map(|it| it.expires_at));
            if known != Some(expires_at) {
                let report = ReportCredential { expires_at };
                ask(ClusterCommand::ReportCredential(report)).await?;
            }
            ask(ClusterCommand::ReportHealth(ReportHealth {
                healthy: probe.ready,
                message: probe.message,
                properties: Some(probe.properties),
            }))
            .await?;
        }
        Ok(())
    }

    /// A cluster has answered and it is on record which it is: orders may go on, or stop.
    fn answered(&self, cluster: &str, id: &AggregateId, link: &Arc<dyn Link>, identity: &str) {
        let is_it =
            |member: &Member| member.identity.as_deref() == Some(identity) && leads_home(member);
        if !self.member(cluster, is_it).unwrap_or_default() {
            self.links.astray(cluster, link);
            return;
        }
        match self.links.identified(cluster, link) {
            Answered::AsBefore => {}
            Answered::Again => self.router.effects().hurry(cluster),
            Answered::First => {
                self.look_after_settled(id, cluster);
                self.router.effects().hurry(cluster);
            }
        }
    }

    /// Has everything looked at that is available on a member: a new link watches nothing yet.
    fn look_after_settled(&self, id: &AggregateId, cluster: &str) {
        let settled = {
            let model = self.router.fold().model();
            let known = model.clusters.get(cluster);
            known.map(|known| Cluster::settled(id, &known.state)).unwrap_or_default()
        };
        for effect in settled {
            self.router.effects().send(id, effect, None);
        }
    }

    /// Looks at a member as it is on record; `None` if the cluster is none.
    fn member<T>(&self, cluster: &str, look: impl FnOnce(&Member) -> T) -> Option<T> {
        let model = self.router.fold().model();
        model.clusters.get(cluster).and_then(|known| known.state.member()).map(look)
    }
}

/// What is known of a member after a check.
#[derive(Debug, Clone, Copy)]
struct Standing {
    /// It says so, and that is on record.
    is_well: bool,
    /// It has joined, and its link leads to it.
    is_home: bool,
    /// It had joined before the check.
    was_joined: bool,
}

impl Standing {
    /// How soon to check again. A cluster that answers and is not the member is no more urgent than
    /// one that is silent.
    fn next_check(self, period: Duration) -> Duration {
        match self {
            Self { is_well: true, is_home: true, was_joined: true } => jittered(period),
            Self { is_well: true, is_home: true, was_joined: false } => FIRST_HEALTH,
            Self { .. } => RETRY.min(period),
        }
    }
}

/// What a member said, and what is known of whose it is.
struct Seen {
    probe: Probe,
    confirmed: Option<String>,
    taken_from: Option<String>,
}

/// Why a link cannot be used.
fn no_link(error: LinkError) -> NoLink {
    match error {
        LinkError::Unusable { problem, message, .. } => NoLink { problem, message },
        LinkError::Busy { message, .. } => NoLink { problem: LinkProblem::Unreachable, message },
        error @ LinkError::Superseded { .. } => {
            NoLink { problem: LinkProblem::Unreachable, message: error.to_string() }
        }
    }
}

/// Whether nothing is known against where the link of a member leads.
fn leads_home(member: &Member) -> bool {
    !matches!(
        member.link_failure.as_ref().map(|failure| &failure.problem),
        Some(
            LinkProblem::IsHub
                | LinkProblem::DuplicateOf(_)
                | LinkProblem::OtherDeployment(_)
                | LinkProblem::OtherCluster(_)
        )
    )
}

/// A period ± 5 %, so that a fleet's checks spread out.
fn jittered(period: Duration) -> Duration {
    period.mul_f64(0.95 + 0.1 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link to a cluster that is a member already was asked twenty times a second.
    #[test]
    fn regression_a_cluster_that_is_not_the_member_is_left_alone_for_a_while() {
        let period = Duration::from_secs(60);
        let next = |is_well, is_home, was_joined| {
            Standing { is_well, is_home, was_joined }.next_check(period)
        };
        assert_eq!(next(true, false, false), RETRY);
        assert_eq!(next(true, false, true), RETRY);
        assert_eq!(next(false, true, true), RETRY);
        assert_eq!(next(true, true, false), FIRST_HEALTH);
        assert!(next(true, true, true) > RETRY);
    }
}
