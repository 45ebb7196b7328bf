//! What only a simulated member can be made to do: answers that get lost, writers that come in
//! between, credentials that end, time that passes.

mod lies;
mod races;
mod requests;
mod watches;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use delivery::DeliverOrder;
use http::Method;
use serde_json::Value;
use simulator::{ClusterHandle, ClusterOptions, Fault, FaultRule, Fleet, Request, Ticker};

use crate::suite::World;

/// A simulated member that can be troubled.
pub(crate) struct Troubled {
    pub(crate) fleet: Fleet,
    pub(crate) member: ClusterHandle,
    pub(crate) world: World,
    _ticker: Ticker,
}

impl Troubled {
    pub(crate) fn new() -> Self {
        let fleet = Fleet::new();
        let member = fleet
            .add_cluster("member", ClusterOptions::default().with_nodes(2, 4, 16))
            .expect("the fleet was empty");
        let client = kube::Client::new(fleet.service("member"), "default");
        let ticker = fleet.spawn_ticker();
        let world = World::new(client, "t".to_owned());
        Self { fleet, member, world, _ticker: ticker }
    }

    /// The order that most cases here carry out.
    pub(crate) fn order(&self, generation: u64, value: &str) -> DeliverOrder {
        let bodies = vec![self.world.namespace(), self.world.config_map("settings", value)];
        self.world.order("web", generation, bodies)
    }

    /// The value that the member holds.
    pub(crate) async fn value(&self) -> Option<Value> {
        Some(self.world.live_config_map("settings").await?["data"]["key"].clone())
    }

    /// Troubles the request of this number, counted from now and from zero. Returns the count.
    pub(crate) fn trouble_request(&self, number: usize, fault: Fault) -> Arc<AtomicUsize> {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        self.member.set_fault(FaultRule::new(move |request| {
            // Watches come when they like.
            if request.query.contains("labelSelector") {
                return None;
            }
            (counted.fetch_add(1, Ordering::SeqCst) == number).then(|| fault.clone())
        }));
        count
    }

    /// Does something on the member when a request arrives, the first time, before it is served;
    /// the request may be troubled too.
    pub(crate) fn on_first(
        &self,
        method: Method,
        path: &'static str,
        act: impl Fn(&Fleet) + Send + Sync + 'static,
        fault: Option<Fault>,
    ) {
        let (fleet, count) = (self.fleet.clone(), AtomicUsize::new(0));
        self.member.set_fault(FaultRule::new(move |request| {
            let is_it = request.method == method && request.path == path;
            if is_it && count.fetch_add(1, Ordering::SeqCst) == 0 {
                act(&fleet);
                return fault.clone();
            }
            None
        }));
    }
}

/// The path of the ConfigMap that cases here deliver.
pub(crate) const SETTINGS: &str = "/api/v1/namespaces/t/configmaps/settings";

/// Writes to the member as somebody else, without trouble.
pub(crate) fn merge(fleet: &Fleet, path: &str, manager: &str, patch: &Value) {
    let target = format!("{path}?fieldManager={manager}");
    let request = Request::patch(&target, "application/merge-patch+json", patch);
    let reply = fleet.request("member", &request).expect("it is no watch");
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
}
