//! Member clusters: MemberCluster objects and links become commands, health checks become edges,
//! and what was decided becomes status.
//!
//! | file | what it does |
//! |---|---|
//! | `objects` | the MemberClusters that there are, and who has to know when one moves |
//! | `membership` | what they say becomes commands; deletions that were seen; finalizer and label |
//! | `belonging` | whose a member is: ours, nobody's, or another deployment's |
//! | `links` | link Secrets go to [`Links`] |
//! | `checks` | when each member is asked, so that the unwell ones do not keep the others waiting |
//! | `heartbeat` | one health check |
//! | `renewal` | tokens of links are replaced before they end |
//! | `statuses` | when each status is written |
//! | `status` | what it says: a plain function |
//! | `writer` | patches of MemberClusters |

mod belonging;
mod checks;
mod heartbeat;
mod links;
mod membership;
mod objects;
mod renewal;
mod status;
mod statuses;
mod writer;

use actors::concerns::Gravity;
use actors::node::Router;
use events::AggregateId;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use kube::{Client, ResourceExt};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use crate::held::Answers;
use crate::links::Links;
use crate::outcomes::Outcomes;
use crate::watch::Watcher;
pub use belonging::Ourselves;
use checks::Checks;
pub use heartbeat::{Heartbeats, LastProbe};
use membership::{Memberships, MembershipsConfig};
use objects::{Moved, Objects};
pub use renewal::{RenewalError, Renewals};
pub use status::{MemberStatusInputs, member_status};
use statuses::Statuses;

/// How many members are worked at at once, for each kind of work.
const WORKERS: usize = 16;

/// What the controller needs.
#[derive(Clone)]
pub struct MembersConfig {
    /// The hub's API server.
    pub client: Client,
    /// Who decides.
    pub router: Router,
    /// The links to fill.
    pub links: Links,
    /// The health checks to run.
    pub heartbeats: Heartbeats,
    /// What is to be forgotten of clusters that leave.
    pub outcomes: Outcomes,
    /// Where link Secrets are.
    pub system_namespace: String,
    /// Who we are to members.
    pub ourselves: Ourselves,
    /// What people said about what is held.
    pub answers: Answers,
    /// How objects are watched.
    pub watcher: Watcher,
}

/// The parts, each with its own queue.
#[derive(Clone)]
struct Controller {
    config: MembersConfig,
    objects: Objects,
    memberships: Memberships,
    checks: Checks,
    statuses: Statuses,
}

/// Starts all tasks; they run until they are aborted.
#[must_use]
pub fn start(config: MembersConfig) -> Vec<JoinHandle<()>> {
    let MembersConfig { client, router, heartbeats, links, ourselves, .. } = &config;
    let objects = Objects::default();
    let statuses =
        Statuses::new(client.clone(), router.clone(), objects.clone(), heartbeats.clone());
    let checks = Checks::new(objects.clone(), heartbeats.clone(), statuses.clone());
    let memberships = Memberships::new(MembershipsConfig {
        client: client.clone(),
        router: router.clone(),
        links: links.clone(),
        ourselves: ourselves.clone(),
        objects: objects.clone(),
        checks: checks.clone(),
        answers: config.answers.clone(),
        watcher: config.watcher.clone(),
    });
    let controller = Controller { config, objects, memberships, checks, statuses };
    let supervisor = controller.config.router.supervisor().clone();
    let keep = |what: &str, start: fn(Controller) -> BoxFuture<'static, ()>| {
        let name = format!("{what} of MemberClusters");
        supervisor.keep(name, Gravity::Warning, controller.clone(), start)
    };
    vec![
        keep("watch", |it| it.watch().boxed()),
        keep("links", |it| {
            let MembersConfig { client, system_namespace, links, watcher, .. } = it.config;
            links::watch(client, system_namespace, links, watcher).boxed()
        }),
        keep("memberships", |it| it.memberships.run().boxed()),
        keep("statuses", |it| it.statuses.run().boxed()),
        keep("health checks", |it| it.checks.run().boxed()),
        keep("log", |it| it.listen().boxed()),
    ]
}

impl Controller {
    /// Takes in what happens to MemberCluster objects.
    async fn watch(self) {
        let tell = |moved: Moved<'_>| match moved {
            Moved::Applied { object, is_news } => {
                let name = object.name_any();
                if is_news {
                    self.memberships.mark(&name);
                    self.checks.mark(&name);
                }
                self.statuses.mark(&name);
            }
            Moved::Deleted(object) => self.memberships.deleted(object),
            Moved::Listed => self.memberships.mark_absent(),
        };
        let MembersConfig { client, watcher, .. } = &self.config;
        self.objects.watch(client.clone(), watcher, tell).await;
    }

    /// Takes in what happens elsewhere.
    async fn listen(self) {
        let mut changes = self.config.router.fold().changes();
        let mut owning = self.config.router.owning();
        let mut links = self.config.links.moved();
        let mut answers = self.config.answers.changes();
        // What changed before this listens.
        self.mark_all();
        loop {
            tokio::select! {
                change = changes.recv() => match change {
                    Ok(change) => {
                        for aggregate in &change.aggregates {
                            self.cluster_moved(aggregate, change.fleet_moved);
                        }
                    }
                    Err(RecvError::Lagged(_)) => self.mark_all(),
                    Err(RecvError::Closed) => return,
                },
                moved = owning.changed() => match moved {
                    Ok(()) => self.mark_all(),
                    Err(_) => return,
                },
                answered = answers.changed() => match answered {
                    Ok(()) => self.memberships.mark_absent(),
                    Err(_) => return,
                },
                moved = links.recv() => match moved {
                    Ok(cluster) => self.checks.mark(&cluster),
                    Err(RecvError::Lagged(_)) => self.mark_all(),
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }

    /// Deliveries do not show in the status of a cluster; only what moves the fleet view, and a
    /// link that failed, does.
    fn cluster_moved(&self, aggregate: &AggregateId, fleet_moved: bool) {
        if *aggregate == AggregateId::Fleet {
            self.memberships.mark_absent();
        }
        let AggregateId::Cluster(name) = aggregate else { return };
        self.statuses.mark(name);
        self.hold(name);
        if !fleet_moved {
            return;
        }
        if self.objects.get(name).is_none_or(|it| it.metadata.deletion_timestamp.is_some()) {
            self.memberships.mark(name);
        }
        let is_member = {
            let model = self.config.router.fold().model();
            model.clusters.get(name).is_some_and(|known| known.state.member().is_some())
        };
        if !is_member {
            self.config.heartbeats.forget(name);
            self.config.outcomes.forget_cluster(name);
        }
    }

    /// A member that is held gets no orders.
    fn hold(&self, cluster: &str) {
        let is_held = {
            let model = self.config.router.fold().model();
            let member = model.clusters.get(cluster).and_then(|known| known.state.member());
            member.is_some_and(|member| member.held.is_some())
        };
        self.config.links.hold(cluster, is_held);
    }

    fn hold_all(&self) {
        let all: Vec<String> = self.config.router.fold().model().clusters.keys().cloned().collect();
        for cluster in all {
            self.hold(&cluster);
        }
    }

    fn mark_all(&self) {
        self.hold_all();
        self.memberships.mark_absent();
        self.memberships.mark_deleted();
        for name in self.objects.names() {
            self.memberships.mark(&name);
            self.statuses.mark(&name);
            self.checks.mark(&name);
        }
    }
}
