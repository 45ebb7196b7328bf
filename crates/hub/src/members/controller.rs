//! The loop of MemberClusters: watch objects and link Secrets, check health, write status.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use actors::ask::AskError;
use actors::node::Router;
use api::MemberCluster;
use api::names::finalizer;
use domain::cluster::{ClusterCommand, ObserveCluster, RemoveCluster};
use events::cluster::Taint;
use events::{AggregateId, Principal, Timestamp};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_objects};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use super::heartbeat::Heartbeats;
use super::status::{MemberStatusInputs, member_status};
use crate::links::Links;
use crate::placements::FIELD_MANAGER;
use crate::work_queue::{Next, WorkQueue};

/// How long changes are collected before a status is written.
const COLLECT_STATUS: Duration = Duration::from_millis(20);

/// How much longer for each status that waits to be written.
const COLLECT_PER_STATUS: Duration = Duration::from_millis(2);

/// How many members are worked at at once, for each kind of work.
const WORKERS: usize = 16;

/// How long to wait after something did not work.
const RETRY: Duration = Duration::from_secs(1);

/// How long to wait for the newer version of an object that somebody else wrote in between.
const NEWER_VERSION: Duration = Duration::from_millis(50);

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
    /// Where link Secrets are.
    pub system_namespace: String,
}

#[derive(Clone)]
struct Controller {
    config: MembersConfig,
    objects: Arc<RwLock<BTreeMap<String, Arc<MemberCluster>>>>,
    submits: WorkQueue<String>,
    statuses: WorkQueue<String>,
    checks: WorkQueue<String>,
}

/// Starts all tasks; they run until they are aborted.
#[must_use]
pub fn start(config: MembersConfig) -> Vec<JoinHandle<()>> {
    let controller = Controller {
        config,
        objects: Arc::default(),
        submits: WorkQueue::new(),
        statuses: WorkQueue::new(),
        checks: WorkQueue::new(),
    };
    let (submitting, writing, checking) =
        (controller.clone(), controller.clone(), controller.clone());
    vec![
        tokio::spawn(controller.clone().watch_members()),
        tokio::spawn(controller.clone().watch_links()),
        tokio::spawn(controller.clone().listen()),
        tokio::spawn(controller.submits.clone().run(WORKERS, move |name: String| {
            let controller = submitting.clone();
            async move { controller.submit(&name).await }
        })),
        tokio::spawn(controller.statuses.clone().run(WORKERS, move |name: String| {
            let controller = writing.clone();
            async move { controller.show(&name).await }
        })),
        tokio::spawn(controller.checks.clone().run(WORKERS * 4, move |name: String| {
            let controller = checking.clone();
            async move { controller.check(&name).await }
        })),
    ]
}

impl Controller {
    fn known(&self, name: &str) -> Option<Arc<MemberCluster>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn mark_all(&self) {
        for name in self.objects.read().unwrap_or_else(PoisonError::into_inner).keys() {
            self.submits.mark(name.clone(), Duration::ZERO);
            self.statuses.mark(name.clone(), Duration::ZERO);
            self.checks.mark(name.clone(), Duration::ZERO);
        }
    }

    async fn watch_members(self) {
        let api: Api<MemberCluster> = Api::all(self.config.client.clone());
        let mut stream = Box::pin(watch_objects(api, watcher::Config::default()).default_backoff());
        loop {
            match stream.try_next().await {
                Ok(Some(Event::Init | Event::InitDone)) => {}
                Ok(Some(Event::InitApply(object) | Event::Apply(object))) => {
                    let name = object.name_any();
                    let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
                    let before = objects.insert(name.clone(), Arc::new(object.clone()));
                    drop(objects);
                    if before.is_none_or(|before| is_news(&before, &object)) {
                        self.submits.mark(name.clone(), Duration::ZERO);
                        self.checks.mark(name.clone(), Duration::ZERO);
                    }
                    self.statuses.mark_coalesced(name, COLLECT_STATUS, COLLECT_PER_STATUS);
                }
                Ok(Some(Event::Delete(object))) => self.deleted(&object).await,
                Ok(None) => return,
                Err(error) => tracing::warn!(%error, "the watch of MemberClusters is tried again"),
            }
        }
    }

    async fn deleted(&self, object: &MemberCluster) {
        let name = object.name_any();
        self.objects.write().unwrap_or_else(PoisonError::into_inner).remove(&name);
        let id = AggregateId::Cluster(name);
        if self.config.router.owns(&id) {
            let remove = RemoveCluster { uid: object.uid().unwrap_or_default() };
            if let Err(error) = self.ask(id, ClusterCommand::RemoveCluster(remove)).await {
                tracing::debug!(%error, "a removal that was decided before");
            }
        }
    }

    async fn watch_links(self) {
        let namespace = &self.config.system_namespace;
        let api: Api<Secret> = Api::namespaced(self.config.client.clone(), namespace);
        let mut stream = Box::pin(watch_objects(api, watcher::Config::default()).default_backoff());
        loop {
            match stream.try_next().await {
                Ok(Some(Event::Init | Event::InitDone)) => {}
                Ok(Some(Event::InitApply(secret) | Event::Apply(secret))) => {
                    self.config.links.apply(&secret).await;
                }
                Ok(Some(Event::Delete(secret))) => self.config.links.delete(&secret),
                Ok(None) => return,
                Err(error) => tracing::warn!(%error, "the watch of links is tried again"),
            }
        }
    }

    async fn listen(self) {
        let mut changes = self.config.router.fold().changes();
        let mut owning = self.config.router.owning();
        let mut links = self.config.links.moved();
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
                moved = links.changed() => match moved {
                    Ok(()) => self.mark_checks(),
                    Err(_) => return,
                },
            }
        }
    }

    fn mark_checks(&self) {
        for name in self.objects.read().unwrap_or_else(PoisonError::into_inner).keys() {
            self.checks.mark(name.clone(), Duration::ZERO);
        }
    }

    /// Deliveries do not show in the status of a cluster; only what moves the fleet view, and a
    /// link that failed, does.
    fn cluster_moved(&self, aggregate: &AggregateId, fleet_moved: bool) {
        let AggregateId::Cluster(name) = aggregate else { return };
        self.statuses.mark_coalesced(name.clone(), COLLECT_STATUS, COLLECT_PER_STATUS);
        if fleet_moved && self.known(name).is_some_and(|o| o.metadata.deletion_timestamp.is_some())
        {
            self.submits.mark(name.clone(), Duration::ZERO);
        }
    }

    async fn ask(&self, id: AggregateId, command: ClusterCommand) -> Result<(), AskError> {
        self.config.router.ask(id, command.into(), Principal::System).await.map(drop)
    }

    async fn submit(&self, name: &str) -> Next {
        let Some(object) = self.known(name) else { return Next::Wait };
        let id = AggregateId::Cluster(name.to_owned());
        if !self.config.router.owns(&id) {
            return Next::Wait;
        }
        let uid = object.uid().unwrap_or_default();
        if object.metadata.deletion_timestamp.is_some() {
            let remove = ClusterCommand::RemoveCluster(RemoveCluster { uid });
            return match self.ask(id, remove).await {
                Ok(()) => self.let_go(&object).await,
                Err(error) => retry(name, &error),
            };
        }
        let has_finalizer = object.finalizers().iter().any(|own| own == finalizer::MEMBER_CLUSTER);
        if !has_finalizer {
            let mut kept = object.finalizers().to_vec();
            kept.push(finalizer::MEMBER_CLUSTER.to_owned());
            return self.patch_finalizers(&object, &kept).await;
        }
        let observe = ObserveCluster {
            uid,
            labels: object.labels().clone(),
            taints: object.spec.taints.iter().map(taint).collect(),
            heartbeat_period_seconds: u32::try_from(object.spec.heartbeat_period_seconds)
                .unwrap_or(60),
        };
        match self.ask(id, ClusterCommand::ObserveCluster(observe)).await {
            Ok(()) => {
                self.checks.mark(name.to_owned(), Duration::ZERO);
                Next::Wait
            }
            Err(error) => retry(name, &error),
        }
    }

    async fn let_go(&self, object: &MemberCluster) -> Next {
        let mut kept = object.finalizers().to_vec();
        kept.retain(|own| own != finalizer::MEMBER_CLUSTER);
        if kept.len() == object.finalizers().len() {
            return Next::Wait;
        }
        self.patch_finalizers(object, &kept).await
    }

    async fn patch_finalizers(&self, object: &MemberCluster, finalizers: &[String]) -> Next {
        let patch = json!({ "metadata": {
            "finalizers": finalizers,
            "resourceVersion": object.resource_version(),
        }});
        self.patched(object, |api, name, params| async move {
            api.patch_metadata(&name, &params, &Patch::Merge(patch)).await.map(drop)
        })
        .await
    }

    async fn patched<F>(
        &self,
        object: &MemberCluster,
        patch: impl FnOnce(Api<MemberCluster>, String, PatchParams) -> F,
    ) -> Next
    where
        F: Future<Output = Result<(), kube::Error>>,
    {
        let api: Api<MemberCluster> = Api::all(self.config.client.clone());
        let field_manager = Some(FIELD_MANAGER.to_owned());
        let params = PatchParams { field_manager, ..PatchParams::default() };
        match patch(api, object.name_any(), params).await {
            Ok(()) => Next::Wait,
            Err(kube::Error::Api(status)) if status.code == 404 => Next::Wait,
            Err(kube::Error::Api(status)) if status.code == 409 => Next::After(NEWER_VERSION),
            Err(error) => {
                let cluster = object.name_any();
                tracing::warn!(%cluster, %error, "the MemberCluster is written later");
                Next::After(RETRY)
            }
        }
    }

    async fn check(&self, name: &str) -> Next {
        if self.known(name).is_none() {
            return Next::Wait;
        }
        let next = self.config.heartbeats.check(name).await;
        self.statuses.mark_coalesced(name.to_owned(), COLLECT_STATUS, COLLECT_PER_STATUS);
        next
    }

    async fn show(&self, name: &str) -> Next {
        let Some(object) = self.known(name) else { return Next::Wait };
        if !self.config.router.owns(&AggregateId::Cluster(name.to_owned())) {
            return Next::Wait;
        }
        let probe = self.config.heartbeats.last(name);
        let status = {
            let model = self.config.router.fold().model();
            let Some(known) = model.clusters.get(name) else { return Next::Wait };
            member_status(&MemberStatusInputs {
                generation: object.metadata.generation.unwrap_or_default(),
                state: &known.state,
                probe: probe.as_ref(),
                shown: object.status.as_ref(),
                now: Timestamp::now(),
            })
        };
        if object.status.as_ref() == Some(&status) {
            return Next::Wait;
        }
        let patch = json!({ "status": status });
        self.patched(&object, |api, name, params| async move {
            api.patch_status(&name, &params, &Patch::Merge(patch)).await.map(drop)
        })
        .await
    }
}

fn is_news(before: &MemberCluster, after: &MemberCluster) -> bool {
    before.uid() != after.uid()
        || before.metadata.generation != after.metadata.generation
        || before.metadata.deletion_timestamp != after.metadata.deletion_timestamp
        || before.labels() != after.labels()
        || before.finalizers() != after.finalizers()
}

fn taint(taint: &api::member_cluster::Taint) -> Taint {
    Taint { key: taint.key.clone(), value: taint.value.clone() }
}

fn retry(cluster: &str, error: &AskError) -> Next {
    match error {
        AskError::NotOwner { .. } => Next::Wait,
        AskError::Refused(_)
        | AskError::Busy { .. }
        | AskError::TooLarge { .. }
        | AskError::Unreadable(_) => {
            tracing::warn!(%cluster, %error, "the MemberCluster is submitted again later");
            Next::After(RETRY)
        }
    }
}
