//! What MemberClusters say becomes commands: who is a member, and who is none any more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actors::ask::AskError;
use actors::node::Router;
use api::MemberCluster;
use api::names::{finalizer, label};
use domain::cluster::{ClusterCommand, HoldCluster, ObserveCluster, RemoveCluster};
use events::cluster::Taint;
use events::{AggregateId, Principal};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use super::checks::Checks;
use super::objects::Objects;
use super::writer::write_metadata;
use super::{Ourselves, WORKERS};
use crate::held::{Answers, token, went_back};
use crate::links::Links;
use crate::watch::Watcher;
use crate::work_queue::{Next, WorkQueue};

/// How long to wait before something is asked again for the first time; it doubles from there.
const RETRY_FIRST: Duration = Duration::from_secs(1);

/// The longest wait between two attempts.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// How long a member that leaves may take to give its mark back. It is not waited for: without
/// that, it can be joined to another fleet only by whoever says that it is to be taken over.
const UNMARK_TIMEOUT: Duration = Duration::from_secs(5);

/// What memberships need.
#[derive(Clone)]
pub(super) struct MembershipsConfig {
    pub(super) client: Client,
    pub(super) router: Router,
    pub(super) links: Links,
    pub(super) ourselves: Ourselves,
    pub(super) objects: Objects,
    pub(super) checks: Checks,
    pub(super) answers: Answers,
    pub(super) watcher: Watcher,
}

/// The memberships of all clusters. Cheap to clone.
#[derive(Clone)]
pub(super) struct Memberships {
    config: MembershipsConfig,
    queue: WorkQueue<String>,
    /// Objects that were seen to go, until it is on record that their clusters have left. At most
    /// one for each name of a cluster.
    deleted: Arc<Mutex<BTreeMap<String, Deleted>>>,
}

/// An object that was seen to go.
#[derive(Debug, Clone)]
struct Deleted {
    uid: String,
    /// How often it was tried in vain to have it on record.
    attempts: u32,
}

impl Memberships {
    pub(super) fn new(config: MembershipsConfig) -> Self {
        Self { config, queue: WorkQueue::new(), deleted: Arc::default() }
    }

    /// Has a cluster looked at.
    pub(super) fn mark(&self, cluster: &str) {
        self.queue.mark(cluster.to_owned(), Duration::ZERO);
    }

    /// Has all clusters looked at whose objects were seen to go.
    pub(super) fn mark_deleted(&self) {
        for cluster in self.all_deleted().keys() {
            self.mark(cluster);
        }
    }

    /// Has all clusters looked at that are members on record and have no object, or are held.
    pub(super) fn mark_absent(&self) {
        let members: Vec<(String, bool)> = {
            let model = self.config.router.fold().model();
            let members = model.clusters.iter().filter_map(|(name, known)| {
                let is_held = known.state.member()?.held.is_some();
                Some((name.clone(), is_held))
            });
            members.collect()
        };
        for (cluster, is_held) in members {
            if is_held || self.config.objects.get(&cluster).is_none() {
                self.mark(&cluster);
            }
        }
    }

    /// An object was seen to go. Its finalizer keeps it until its cluster has left; this is for one
    /// whose finalizer somebody took away.
    pub(super) fn deleted(&self, object: &MemberCluster) {
        let deleted = Deleted { uid: object.uid().unwrap_or_default(), attempts: 0 };
        self.all_deleted().insert(object.name_any(), deleted);
        self.mark(&object.name_any());
    }

    fn all_deleted(&self) -> MutexGuard<'_, BTreeMap<String, Deleted>> {
        self.deleted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works for ever.
    pub(super) async fn run(self) {
        let queue = self.queue.clone();
        let look = move |cluster: String| {
            let memberships = self.clone();
            async move { memberships.look(&cluster).await }
        };
        queue.run(WORKERS, look).await;
    }

    /// The object that went before the one that is there: both may have had the same name.
    async fn look(&self, cluster: &str) -> Next {
        let deleted = self.all_deleted().get(cluster).cloned();
        if let Some(deleted) = deleted
            && let Some(next) = self.take_out(cluster, deleted).await
        {
            return next;
        }
        let Some(object) = self.config.objects.get(cluster) else {
            return self.absent(cluster).await;
        };
        if !self.config.router.owns(&AggregateId::Cluster(cluster.to_owned())) {
            return Next::Wait;
        }
        match object.metadata.deletion_timestamp {
            None => self.observe(cluster, &object).await,
            Some(_) => self.let_go(cluster, &object).await,
        }
    }

    /// The object of a member on record is not there, although all objects were told of. It carried our
    /// finalizer: its absence alone says nothing.
    async fn absent(&self, cluster: &str) -> Next {
        let id = AggregateId::Cluster(cluster.to_owned());
        if !self.config.objects.is_listed() || !self.config.router.owns(&id) {
            return Next::Wait;
        }
        let on_record = {
            let model = self.config.router.fold().model();
            let member = model.clusters.get(cluster).and_then(|known| known.state.member());
            member.map(|member| (member.uid.clone(), member.held.clone()))
        };
        let Some((uid, held)) = on_record else { return Next::Wait };
        let token = token(["object gone", &id.to_string(), &uid]);
        if self.config.answers.is_confirmed(&token) {
            return match self.remove(cluster, uid).await {
                Ok(()) => Next::Wait,
                Err(error) => retry(cluster, &error),
            };
        }
        if held.is_some_and(|held| held.token == token) {
            return Next::Wait;
        }
        let api: Api<MemberCluster> = Api::all(self.config.client.clone());
        match api.get_opt(cluster).await {
            Ok(None) => {}
            // It is there: the watch is about to say so.
            Ok(Some(_)) | Err(_) => return Next::After(RETRY_FIRST),
        }
        let message = format!(
            "the MemberCluster is not on the hub, and nobody deleted it, as after a restore of the \
             hub's etcd: it stays a member and gets no orders; write the object again, or have it \
             leave with: taffrail held confirm {id}"
        );
        self.hold(cluster, HoldCluster { uid, token, message }).await
    }

    /// Has it on record that a cluster has left. `None` when it is; otherwise when to look again.
    async fn take_out(&self, cluster: &str, deleted: Deleted) -> Option<Next> {
        let is_member = {
            let model = self.config.router.fold().model();
            let member = model.clusters.get(cluster).and_then(|known| known.state.member());
            member.is_some_and(|member| member.uid == deleted.uid)
        };
        let outcome = match is_member {
            true => self.remove(cluster, deleted.uid.clone()).await,
            false => Ok(()),
        };
        let mut all = self.all_deleted();
        match outcome {
            Ok(()) | Err(AskError::Refused(_)) => {
                // Another object of the name may have gone meanwhile.
                if all.get(cluster).is_some_and(|now| now.uid == deleted.uid) {
                    all.remove(cluster);
                }
                None
            }
            // Whoever owns it has seen the same. It is kept for the case that this hub comes to.
            Err(AskError::NotOwner { .. }) => Some(Next::Wait),
            Err(error) => {
                tracing::warn!(%cluster, %error, "a cluster whose MemberCluster is gone leaves later");
                let attempts = deleted.attempts.saturating_add(1);
                if let Some(now) = all.get_mut(cluster).filter(|now| now.uid == deleted.uid) {
                    now.attempts = attempts;
                }
                Some(Next::After(backoff(attempts)))
            }
        }
    }

    async fn observe(&self, cluster: &str, object: &MemberCluster) -> Next {
        if let Some(metadata) = missing_metadata(object) {
            return write_metadata(&self.config.client, object, metadata).await;
        }
        let observe = ObserveCluster {
            uid: object.uid().unwrap_or_default(),
            labels: object.labels().clone(),
            taints: object.spec.taints.iter().map(taint).collect(),
            heartbeat_period_seconds: u32::try_from(object.spec.heartbeat_period_seconds)
                .unwrap_or(60),
        };
        if let Some(next) = self.went_back(cluster, &observe).await {
            return next;
        }
        match self.ask(cluster, ClusterCommand::ObserveCluster(observe)).await {
            Ok(()) => {
                self.config.checks.mark(cluster);
                Next::Wait
            }
            Err(error) => retry(cluster, &error),
        }
    }

    /// While the hub's etcd is an older copy of itself, other labels and taints than those on record are
    /// likely older ones: they would move placements away. `None` if they count.
    async fn went_back(&self, cluster: &str, observe: &ObserveCluster) -> Option<Next> {
        let (differs, held) = {
            let model = self.config.router.fold().model();
            let member = model.clusters.get(cluster)?.state.member()?;
            let differs = member.uid == observe.uid
                && (member.labels != observe.labels || member.taints != observe.taints);
            (differs, member.held.clone())
        };
        if !differs
            || !went_back(&self.config.router, &self.config.client, self.config.watcher.revision())
                .await
        {
            return None;
        }
        let id = AggregateId::Cluster(cluster.to_owned());
        let seen = serde_json::to_string(&(&observe.labels, &observe.taints));
        let seen = seen.expect("labels and taints are plain data");
        let token = token(["object went back", &id.to_string(), &observe.uid, &seen]);
        if self.config.answers.is_confirmed(&token) {
            return None;
        }
        if held.is_some_and(|held| held.token == token) {
            return Some(Next::Wait);
        }
        let message = format!(
            "its labels or taints are not those on record, and the hub's etcd went back: it stays as \
             it was and gets no orders; have them count with: taffrail held confirm {id}, and the \
             whole hub with: taffrail held confirm fleet"
        );
        Some(self.hold(cluster, HoldCluster { uid: observe.uid.clone(), token, message }).await)
    }

    async fn hold(&self, cluster: &str, hold: HoldCluster) -> Next {
        tracing::warn!(%cluster, message = hold.message, "a member is held");
        match self.ask(cluster, ClusterCommand::HoldCluster(hold)).await {
            Ok(()) => Next::Wait,
            Err(error) => retry(cluster, &error),
        }
    }

    /// Takes the finalizer off when it is on record that the cluster has left.
    async fn let_go(&self, cluster: &str, object: &MemberCluster) -> Next {
        if let Err(error) = self.remove(cluster, object.uid().unwrap_or_default()).await {
            return retry(cluster, &error);
        }
        let mut kept = object.finalizers().to_vec();
        kept.retain(|own| own != finalizer::MEMBER_CLUSTER);
        if kept.len() == object.finalizers().len() {
            return Next::Wait;
        }
        self.unmark(cluster).await;
        write_metadata(&self.config.client, object, json!({ "finalizers": kept })).await
    }

    /// Takes our mark off a member that has left, as far as it answers.
    async fn unmark(&self, cluster: &str) {
        let Ok(link) = self.config.links.get(cluster) else { return };
        let unmark = link.unmark(&self.config.ourselves.deployment, cluster);
        let reason = match tokio::time::timeout(UNMARK_TIMEOUT, unmark).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", UNMARK_TIMEOUT.as_secs()),
        };
        tracing::warn!(
            %cluster,
            reason,
            "the cluster has left, and still carries the mark of this deployment; take it off with: \
             kubectl delete configmap -n {} {} (there)",
            delivery::mark::MARK_NAMESPACE,
            delivery::mark::MEMBER_MARK,
        );
    }

    async fn remove(&self, cluster: &str, uid: String) -> Result<(), AskError> {
        self.ask(cluster, ClusterCommand::RemoveCluster(RemoveCluster { uid })).await
    }

    async fn ask(&self, cluster: &str, command: ClusterCommand) -> Result<(), AskError> {
        let id = AggregateId::Cluster(cluster.to_owned());
        self.config.router.ask(id, command.into(), Principal::System).await.map(drop)
    }
}

/// The finalizer, and the label by which selectors can name one cluster, unless both are there.
fn missing_metadata(object: &MemberCluster) -> Option<serde_json::Value> {
    let name = object.name_any();
    let has_finalizer = object.finalizers().iter().any(|own| own == finalizer::MEMBER_CLUSTER);
    if has_finalizer && object.labels().get(label::MEMBER_NAME) == Some(&name) {
        return None;
    }
    let mut finalizers = object.finalizers().to_vec();
    if !has_finalizer {
        finalizers.push(finalizer::MEMBER_CLUSTER.to_owned());
    }
    Some(json!({ "finalizers": finalizers, "labels": { label::MEMBER_NAME: name } }))
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
            Next::After(RETRY_FIRST)
        }
    }
}

fn backoff(attempts: u32) -> Duration {
    let doubled = RETRY_FIRST.saturating_mul(1 << attempts.saturating_sub(1).min(16));
    doubled.min(RETRY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(metadata: serde_json::Value) -> MemberCluster {
        let identity = json!({ "kind": "ServiceAccount", "name": "hub" });
        let object = json!({ "metadata": metadata, "spec": { "identity": identity } });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_member_gets_a_finalizer_and_the_label_of_its_name() {
        let both = json!({
            "finalizers": ["theirs", finalizer::MEMBER_CLUSTER],
            "labels": { label::MEMBER_NAME: "eu" },
        });
        let new = object(json!({ "name": "eu", "finalizers": ["theirs"] }));
        assert_eq!(missing_metadata(&new), Some(both.clone()));
        let mut complete = both.clone();
        complete["name"] = json!("eu");
        assert_eq!(missing_metadata(&object(complete.clone())), None);
        complete["labels"] = json!({ "region": "eu" });
        assert_eq!(missing_metadata(&object(complete)), Some(both), "of one from before");
    }

    #[test]
    fn attempts_are_further_and_further_apart() {
        let seconds = [1, 2, 7, 99].map(|attempts| backoff(attempts).as_secs());
        assert_eq!(seconds, [1, 2, 60, 60]);
    }
}
