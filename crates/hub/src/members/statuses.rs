//! When the status of each MemberCluster is written: collected, and only when it changes.

use std::time::Duration;

use actors::node::Router;
use api::MemberCluster;
use events::{AggregateId, Timestamp};
use kube::Client;
use serde_json::Value;

use super::WORKERS;
use super::heartbeat::Heartbeats;
use super::objects::Objects;
use super::status::{MemberStatusInputs, member_status};
use super::writer::{merge_patch, write_status};
use crate::work_queue::{Next, WorkQueue};

/// How long changes are collected before a status is written.
const COLLECT: Duration = Duration::from_millis(20);

/// How much longer for each status that waits to be written.
const COLLECT_PER_STATUS: Duration = Duration::from_millis(2);

/// How much longer at most because of others. Longer, and people would wonder.
const COLLECT_MAX: Duration = Duration::from_secs(5);

/// The statuses of all members. Cheap to clone.
#[derive(Clone)]
pub(super) struct Statuses {
    client: Client,
    router: Router,
    objects: Objects,
    heartbeats: Heartbeats,
    queue: WorkQueue<String>,
}

impl Statuses {
    pub(super) fn new(
        client: Client,
        router: Router,
        objects: Objects,
        heartbeats: Heartbeats,
    ) -> Self {
        Self { client, router, objects, heartbeats, queue: WorkQueue::new() }
    }

    /// Has a status looked at soon.
    pub(super) fn mark(&self, cluster: &str) {
        self.queue.mark_coalesced(cluster.to_owned(), COLLECT, COLLECT_PER_STATUS, COLLECT_MAX);
    }

    /// Writes what has to be, for ever.
    pub(super) async fn run(self) {
        let queue = self.queue.clone();
        let show = move |cluster: String| {
            let statuses = self.clone();
            async move { statuses.show(&cluster).await }
        };
        queue.run(WORKERS, show).await;
    }

    async fn show(&self, cluster: &str) -> Next {
        let Some(object) = self.objects.get(cluster) else { return Next::Wait };
        if !self.router.owns(&AggregateId::Cluster(cluster.to_owned())) {
            return Next::Wait;
        }
        match self.patch(cluster, &object) {
            Some(patch) => write_status(&self.client, &object, &patch).await,
            None => Next::Wait,
        }
    }

    /// What differs between what an object shows and what it should.
    fn patch(&self, cluster: &str, object: &MemberCluster) -> Option<Value> {
        let probe = self.heartbeats.last(cluster);
        let status = {
            let model = self.router.fold().model();
            member_status(&MemberStatusInputs {
                name: cluster,
                generation: object.metadata.generation.unwrap_or_default(),
                state: &model.clusters.get(cluster)?.state,
                probe: probe.as_ref(),
                shown: object.status.as_ref(),
                now: Timestamp::now(),
            })
        };
        if object.status.as_ref() == Some(&status) {
            return None;
        }
        let value = |status| serde_json::to_value(status).expect("a status is plain data");
        let shown = object.status.as_ref().map(value).unwrap_or_default();
        Some(merge_patch(&shown, &value(&status)))
    }
}
