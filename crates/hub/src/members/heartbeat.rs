//! Health checks of push members: the hub asks, at the period that the MemberCluster says.
//!
//! A check is not an event; only what changes by it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actors::ask::AskError;
use actors::node::Router;
use delivery::{Link, LinkError, Probe};
use domain::cluster::{ClusterCommand, Member, ReportHealth, ReportLink, ReportLinkProblem};
use events::cluster::LinkProblem;
use events::{AggregateId, Principal, Timestamp};
use tokio::sync::Semaphore;

use crate::links::{Links, NoLink};
use crate::work_queue::Next;

/// How many members are asked at once: a restart must not open thousands of connections in one
/// moment. Twice as many would only wait for the same two cores.
const PROBES_AT_ONCE_MAX: usize = 64;

/// How soon a member that does not answer, or has not joined, is asked again, at most.
const RETRY: Duration = Duration::from_secs(5);

/// What the last health check of a member saw.
#[derive(Debug, Clone)]
pub struct LastProbe {
    /// When.
    pub at: Timestamp,
    /// What the member said, if it answered.
    pub seen: Option<Probe>,
}

/// The health checks. Cheap to clone.
#[derive(Clone)]
pub struct Heartbeats {
    router: Router,
    links: Links,
    hub_identity: String,
    last: Arc<Mutex<BTreeMap<String, LastProbe>>>,
    room: Arc<Semaphore>,
}

impl Heartbeats {
    /// Health checks that tell the owner of each member what they see.
    #[must_use]
    pub fn new(router: Router, links: Links, hub_identity: String) -> Self {
        let room = Arc::new(Semaphore::new(PROBES_AT_ONCE_MAX));
        Self { router, links, hub_identity, last: Arc::default(), room }
    }

    /// What the last check of a member saw.
    #[must_use]
    pub fn last(&self, cluster: &str) -> Option<LastProbe> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).get(cluster).cloned()
    }

    /// Checks one member and reports what changed. Says when to check again.
    pub(crate) async fn check(&self, cluster: &str) -> Next {
        let id = AggregateId::Cluster(cluster.to_owned());
        let period = {
            let model = self.router.fold().model();
            let member = model.clusters.get(cluster).and_then(|known| known.state.member());
            member.map(|member| (member.heartbeat_period_seconds, member.identity.is_some()))
        };
        let Some((period, is_joined)) = period else { return Next::Wait };
        if !self.router.owns(&id) {
            return Next::Wait;
        }
        let link = self.links.get(cluster);
        let probed = match &link {
            Ok(link) => self.probe(cluster, &**link).await,
            Err(no_link) => Err(no_link.clone()),
        };
        let is_well = matches!(&probed, Ok(probe) if probe.ready);
        if let Err(NoLink { message, .. }) = &probed {
            tracing::debug!(%cluster, message, "a health check failed");
        }
        let identity = probed.as_ref().ok().map(|probe| probe.identity.clone());
        let reported = self.report(cluster, id, probed).await;
        if let (Ok(link), Some(identity)) = (&link, identity)
            && self.is_member(cluster, &identity)
            && self.links.identified(cluster, link)
        {
            self.router.effects().hurry(cluster);
        }
        match reported {
            Err(AskError::NotOwner { .. }) => Next::Wait,
            Ok(()) if is_well && is_joined => Next::After(jittered(u64::from(period))),
            // The first answer of a member that just joined is taken up at once.
            Ok(()) if is_well => Next::After(Duration::from_millis(50)),
            Ok(()) | Err(_) => Next::After(RETRY.min(Duration::from_secs(u64::from(period)))),
        }
    }

    async fn probe(&self, cluster: &str, link: &dyn Link) -> Result<Probe, NoLink> {
        let _room = self.room.acquire().await.expect("the semaphore is never closed");
        let probed = link.probe().await.map_err(|error| match error {
            LinkError::Unusable { problem, message, .. } => NoLink { problem, message },
            LinkError::Busy { message, .. } => {
                NoLink { problem: LinkProblem::Unreachable, message }
            }
            error @ LinkError::Superseded { .. } => {
                NoLink { problem: LinkProblem::Unreachable, message: error.to_string() }
            }
        });
        let seen = LastProbe { at: Timestamp::now(), seen: probed.as_ref().ok().cloned() };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match last.get_mut(cluster) {
            // A member that does not answer keeps what it last said.
            Some(known) if seen.seen.is_none() => known.at = seen.at,
            _ => drop(last.insert(cluster.to_owned(), seen)),
        }
        probed
    }

    async fn report(
        &self,
        cluster: &str,
        id: AggregateId,
        probed: Result<Probe, NoLink>,
    ) -> Result<(), AskError> {
        let principal = Principal::Member(cluster.to_owned());
        let ask = |command: ClusterCommand| {
            let (id, principal) = (id.clone(), principal.clone());
            async move { self.router.ask(id, command.into(), principal).await.map(drop) }
        };
        let probe = match probed {
            Ok(probe) => probe,
            Err(NoLink { problem, message }) => {
                let report = ReportLinkProblem { problem, message };
                return ask(ClusterCommand::ReportLinkProblem(report)).await;
            }
        };
        ask(ClusterCommand::ReportLink(ReportLink {
            cluster: cluster.to_owned(),
            identity: probe.identity.clone(),
            hub_identity: self.hub_identity.clone(),
            kubernetes_version: probe.kubernetes_version.clone(),
        }))
        .await?;
        if self.is_usable(cluster) {
            ask(ClusterCommand::ReportHealth(ReportHealth {
                healthy: probe.ready,
                message: probe.message,
                properties: Some(probe.properties),
            }))
            .await?;
        }
        Ok(())
    }

    /// Whether this is the cluster that joined under the name.
    fn is_member(&self, cluster: &str, identity: &str) -> bool {
        let model = self.router.fold().model();
        let member = model.clusters.get(cluster).and_then(|known| known.state.member());
        member.is_some_and(|member| {
            member.identity.as_deref() == Some(identity) && leads_home(member)
        })
    }

    /// Whether the link that was just reported leads where it should.
    fn is_usable(&self, cluster: &str) -> bool {
        let model = self.router.fold().model();
        let member = model.clusters.get(cluster).and_then(|known| known.state.member());
        member.is_some_and(leads_home)
    }
}

/// Whether nothing is known against where the link of a member leads.
fn leads_home(member: &Member) -> bool {
    !matches!(
        member.link_failure.as_ref().map(|failure| &failure.problem),
        Some(LinkProblem::IsHub | LinkProblem::DuplicateOf(_))
    )
}

/// A period ± 5 %, so that a fleet's checks spread out.
fn jittered(period_seconds: u64) -> Duration {
    Duration::from_secs(period_seconds).mul_f64(0.95 + 0.1 * fastrand::f64())
}
