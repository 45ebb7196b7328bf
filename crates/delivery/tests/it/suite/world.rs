//! A member with a link to it, and shorthands for looking at it as somebody else would.

use std::sync::Arc;
use std::time::Duration;

use delivery::{
    AdoptedRemoval, Alone, DeliverOrder, DeliveryReport, Fence, Link as _, Manifest, Observation,
    PushLink, WithdrawOrder, WithdrawReport,
};
use events::cluster::{ApplyStrategy, ObjectFailure};
use events::{Epoch, ObjectId, PlacementKey};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// How long a case waits for a member to do its part before it fails.
pub const DEADLINE: Duration = Duration::from_secs(60);

pub const SPEC_HASH: &str = "kubernetes-fleet.io/spec-hash";

/// A member, a link to it, and a name of its own for everything that a case makes.
pub struct World {
    pub client: Client,
    pub link: PushLink,
    pub observed: mpsc::Receiver<Observation>,
    /// Names everything that is cluster-scoped.
    pub tag: String,
}

impl World {
    pub fn new(client: Client, tag: String) -> Self {
        let (sender, observed) = mpsc::channel(16);
        let link = PushLink::from_client("member", client.clone(), sender);
        Self { client, link, observed, tag }
    }

    /// Another link to the same member, as another owner of the hub would have.
    pub fn other_link(&self) -> PushLink {
        PushLink::from_client("member", self.client.clone(), mpsc::channel(16).0)
    }

    /// An order of this generation.
    pub fn order(&self, placement: &str, generation: u64, bodies: Vec<Value>) -> DeliverOrder {
        DeliverOrder {
            cluster: "member".to_owned(),
            placement: PlacementKey::cluster(placement),
            work: self.work(placement),
            fence: Fence { generation, epoch: Epoch(1) },
            manifests: bodies.into_iter().map(|body| Manifest { id: id_of(&body), body }).collect(),
            is_first: generation == 1,
            leftovers: Vec::new(),
            apply: ApplyStrategy::default(),
            adopted: AdoptedRemoval::default(),
            neighbours: Arc::new(Alone),
        }
    }

    pub fn withdrawal(&self, placement: &str, generation: u64, of: &DeliverOrder) -> WithdrawOrder {
        WithdrawOrder {
            cluster: "member".to_owned(),
            placement: PlacementKey::cluster(placement),
            work: self.work(placement),
            fence: Fence { generation, epoch: Epoch(1) },
            inventory: of.manifests.iter().map(|manifest| manifest.id.clone()).collect(),
            adopted: AdoptedRemoval::default(),
            neighbours: Arc::new(Alone),
        }
    }

    pub fn work(&self, placement: &str) -> String {
        format!("{}-{placement}-work", self.tag)
    }

    /// Delivers and expects that all of it is applied.
    pub async fn deliver(&self, order: &DeliverOrder) -> DeliveryReport {
        let report = self.link.deliver(order).await.expect("the link works");
        assert_eq!(report.failures, [], "of {}", order.work);
        report
    }

    /// Delivers and expects that one object fails.
    pub async fn deliver_with_failure(&self, order: &DeliverOrder) -> ObjectFailure {
        let report = self.link.deliver(order).await.expect("the link works");
        assert_eq!(report.failures.len(), 1, "{:?}", report.failures);
        report.failures.into_iter().next().expect("there is one")
    }

    /// Withdraws until nothing is left: what goes away by itself may take its time.
    pub async fn withdraw(&self, order: &WithdrawOrder) -> WithdrawReport {
        let until = tokio::time::Instant::now() + DEADLINE;
        loop {
            let report = self.link.withdraw(order).await.expect("the link works");
            if report.remaining.is_empty() {
                return report;
            }
            assert!(tokio::time::Instant::now() < until, "still there: {:?}", report.remaining);
        }
    }

    /// A namespace, as a manifest.
    pub fn namespace(&self) -> Value {
        namespace(&self.tag)
    }

    /// A ConfigMap in the namespace of this world, as a manifest.
    pub fn config_map(&self, name: &str, value: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": name, "namespace": self.tag },
            "data": { "key": value },
        })
    }

    pub async fn live_config_map(&self, name: &str) -> Option<Value> {
        self.get(&format!("/api/v1/namespaces/{}/configmaps/{name}", self.tag)).await
    }

    pub async fn applied_work(&self, placement: &str) -> Option<Value> {
        self.get(&work_path(&self.work(placement))).await
    }

    /// Creates the namespace of this world without the link.
    pub async fn make_namespace(&self) {
        self.post("/api/v1/namespaces", &self.namespace(), "kubectl-create").await;
    }

    /// Removes what the case made without the link's help.
    pub async fn clean_up(&self) {
        self.delete(&format!("/api/v1/namespaces/{}", self.tag)).await;
    }

    pub async fn get(&self, path: &str) -> Option<Value> {
        let request = http::Request::get(path).body(Vec::new()).expect("a valid request");
        match self.client.request(request).await {
            Ok(value) => Some(value),
            Err(kube::Error::Api(status)) if status.code == 404 => None,
            Err(error) => panic!("GET {path}: {error}"),
        }
    }

    /// Creates an object as another manager.
    pub async fn post(&self, path: &str, body: &Value, manager: &str) -> Value {
        let path = format!("{path}?fieldManager={manager}");
        self.send("POST", &path, "application/json", body).await
    }

    /// Changes an object by JSON merge patch as another manager.
    pub async fn merge(&self, path: &str, patch: &Value, manager: &str) -> Value {
        let path = format!("{path}?fieldManager={manager}");
        self.send("PATCH", &path, "application/merge-patch+json", patch).await
    }

    pub async fn delete(&self, path: &str) {
        let request = http::Request::delete(path).body(Vec::new()).expect("a valid request");
        if let Err(error) = self.client.request::<Value>(request).await {
            assert!(
                matches!(&error, kube::Error::Api(status) if status.code == 404),
                "DELETE {path}: {error}"
            );
        }
    }

    async fn send(&self, method: &str, path: &str, content_type: &str, body: &Value) -> Value {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content_type)
            .body(body.to_string().into_bytes())
            .expect("a valid request");
        self.client
            .request(request)
            .await
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Waits on a watch until an AppliedWork is gone.
    pub async fn until_work_is_gone(&self, placement: &str) {
        let kind = GroupVersionKind::gvk("placement.kubernetes-fleet.io", "v1beta1", "AppliedWork");
        let kind = ApiResource::from_gvk_with_plural(&kind, "appliedworks");
        let works: Api<DynamicObject> = Api::all_with(self.client.clone(), &kind);
        let name = self.work(placement);
        let gone = await_condition(works, &name, |object: Option<&_>| object.is_none());
        tokio::time::timeout(DEADLINE, gone).await.expect("it goes").expect("it can be watched");
    }
}

pub fn work_path(work: &str) -> String {
    format!("/apis/placement.kubernetes-fleet.io/v1beta1/appliedworks/{work}")
}

pub fn namespace(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } })
}

pub fn id_of(body: &Value) -> ObjectId {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let api_version = text(&body["apiVersion"]);
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    ObjectId {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: text(&body["kind"]),
        namespace: text(&body["metadata"]["namespace"]),
        name: text(&body["metadata"]["name"]),
    }
}

pub fn version_of(object: &Value) -> String {
    object["metadata"]["resourceVersion"].as_str().expect("a live object").to_owned()
}

pub fn owners_of(object: &Value) -> Vec<String> {
    let references = object["metadata"]["ownerReferences"].as_array();
    references
        .into_iter()
        .flatten()
        .map(|reference| reference["name"].as_str().unwrap_or_default().to_owned())
        .collect()
}
