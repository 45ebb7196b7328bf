//! Bad days of the hub's own API server: kinds that go, move, cannot be listed or are not mentioned
//! any more, and watches that break. Nothing leaves a member because the hub cannot see it.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use acceptance::ground::Ground;
use acceptance::scenarios::{self, place_as, stands};
use acceptance::wait::{come, eventually};
use acceptance::{hubs, in_a_system};
use actors::node::Ownership;
use event_log::{Log, MemoryLog};
use hub::Hub;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::client::Body;
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use simulator::{ClusterHandle, Fault, FaultRule, SimulatedBody, SimulatedService, TransportError};
use tower::Service;

const APP: &str = "app-watched";

/// A hub API server that serves a kind, as if another API server did, of which it may lose sight.
#[derive(Clone)]
struct Aggregator {
    hub: SimulatedService,
    gadgets: Arc<Mutex<Sight>>,
    /// How often the kinds were asked for since that changed.
    asked: Arc<AtomicUsize>,
}

/// What the hub's API server knows of the other one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sight {
    Well,
    /// It does not answer, and what it serves is marked as stale and not shown.
    Stale,
    /// It does not answer, and is not even mentioned.
    Unmentioned,
}

impl Aggregator {
    fn new(ground: &Ground) -> Self {
        let hub = ground.fleet.as_ref().expect("it is simulated").service("hub");
        Self { hub, gadgets: Arc::new(Mutex::new(Sight::Well)), asked: Arc::default() }
    }

    fn client(&self) -> Client {
        Client::new(self.clone(), "default")
    }

    fn sees(&self, sight: Sight) {
        *self.gadgets.lock().unwrap() = sight;
        self.asked.store(0, Ordering::SeqCst);
    }

    /// Has a hub ask for the kinds by making a new one, and waits until it has acted on what is
    /// served now. The first answer may be older; what the second one says is done before the third
    /// question.
    async fn is_noticed(&self, ground: &Ground) {
        let other = gadget_crd("others", &[("v1", true)]);
        let made = crds(&ground.hub.client).create(&PostParams::default(), &other).await;
        made.expect("it is new");
        eventually("the kinds are asked for", || async { self.asked.load(Ordering::SeqCst) > 2 })
            .await;
    }
}

impl Service<http::Request<Body>> for Aggregator {
    type Response = http::Response<SimulatedBody>;
    type Error = TransportError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let sight = *self.gadgets.lock().unwrap();
        let path = request.uri().path().to_owned();
        if sight != Sight::Well && path.starts_with("/apis/example.com") {
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 503,
                "reason": "ServiceUnavailable", "message": "the server is currently unable to \
                 handle the request",
            });
            let answer = http::Response::builder().status(503).body(body(&status)).unwrap();
            return Box::pin(std::future::ready(Ok(answer)));
        }
        let answer = self.hub.call(request);
        let asked = self.asked.clone();
        Box::pin(async move {
            let answer = answer.await?;
            if path != "/apis" {
                return Ok(answer);
            }
            let bytes = answer.into_body().into_whole().expect("it is a document");
            let mut groups: Value = serde_json::from_slice(&bytes).expect("it is JSON");
            shown(&mut groups, sight);
            asked.fetch_add(1, Ordering::SeqCst);
            Ok(http::Response::new(body(&groups)))
        })
    }
}

fn body(value: &Value) -> SimulatedBody {
    SimulatedBody::whole(value.to_string().into())
}

/// What the hub's API server tells about the other one.
fn shown(groups: &mut Value, sight: Sight) {
    let items = groups["items"].as_array_mut().expect("groups");
    let is_other = |group: &Value| group["metadata"]["name"] == "example.com";
    match sight {
        Sight::Well => {}
        Sight::Unmentioned => items.retain(|group| !is_other(group)),
        Sight::Stale => {
            for group in items.iter_mut().filter(|group| is_other(group)) {
                for version in group["versions"].as_array_mut().expect("versions") {
                    version["freshness"] = json!("Stale");
                    version["resources"] = json!([]);
                }
            }
        }
    }
}

async fn start(client: Client, log: &Arc<dyn Log>, data: &Path) -> Hub {
    hubs::start_with("hub-a", client, log.clone(), data, Ownership::Alone).await
}

/// Plays a scene on a hub with one member, where a namespace with a ConfigMap and a Gadget is
/// placed and available. The hub is seen through an [`Aggregator`].
fn scene(play: impl AsyncFnOnce(&Ground, &Aggregator, Hub, &Arc<dyn Log>)) {
    in_a_system(async {
        let ground = Ground::simulated(1).await;
        let (dir, log) = (tempfile::tempdir().unwrap(), Arc::new(MemoryLog::new()) as Arc<dyn Log>);
        let aggregator = Aggregator::new(&ground);
        for cluster in [&ground.hub, &ground.members[0]] {
            install_gadgets(&cluster.client, "v1").await;
        }
        let hub = start(aggregator.client(), &log, dir.path()).await;
        ground.join(&ground.members[0], &[("region", "eu")]).await;
        scenarios::write_app(&ground, APP, "hello").await;
        write_lamp(&ground).await;
        scenarios::place(&ground, "watched", APP, &["eu"]).await;
        eventually("the member holds the lamp", || holds_lamp(&ground)).await;
        scenarios::shows(&ground, "watched", &scenarios::available(1)).await;
        play(&ground, &aggregator, hub, &log).await;
        ground.stop();
    });
}

fn gadget_crd(plural: &str, versions: &[(&str, bool)]) -> CustomResourceDefinition {
    let schema = json!({ "openAPIV3Schema": { "type": "object", "properties": {
        "spec": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
    }}});
    let version = |(name, storage): &(&str, bool)| json!({ "name": name, "served": true, "storage": storage, "schema": schema });
    let versions: Vec<Value> = versions.iter().map(version).collect();
    let kind = match plural {
        "gadgets" => "Gadget",
        _ => "Other",
    };
    serde_json::from_value(json!({
        "metadata": { "name": format!("{plural}.example.com") },
        "spec": {
            "group": "example.com",
            "names": { "kind": kind, "plural": plural, "singular": kind.to_lowercase() },
            "scope": "Namespaced",
            "versions": versions,
        },
    }))
    .unwrap()
}

fn crds(client: &Client) -> Api<CustomResourceDefinition> {
    Api::all(client.clone())
}

/// Installs the kind and waits until it is served.
async fn install_gadgets(client: &Client, version: &str) {
    let crd = gadget_crd("gadgets", &[(version, true)]);
    crds(client).create(&PostParams::default(), &crd).await.expect("it is new");
    eventually("gadgets are served", || async {
        gadgets(client, version).list(&Default::default()).await.is_ok()
    })
    .await;
}

fn gadgets(client: &Client, version: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("example.com", version, "Gadget");
    let resource = ApiResource::from_gvk_with_plural(&kind, "gadgets");
    Api::namespaced_with(client.clone(), APP, &resource)
}

async fn write_lamp(ground: &Ground) {
    let lamp: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "example.com/v1", "kind": "Gadget",
        "metadata": { "name": "lamp", "namespace": APP }, "spec": { "watts": 7 },
    }))
    .unwrap();
    let api = gadgets(&ground.hub.client, "v1");
    api.create(&PostParams::default(), &lamp).await.expect("it is new");
}

/// Places a namespace without what is in it.
async fn place_alone(ground: &Ground, name: &str, namespace: &str) {
    scenarios::write_app(ground, namespace, "hello").await;
    let namespace = json!({ "group": "", "version": "v1", "kind": "Namespace",
        "name": namespace, "selectionScope": "NamespaceOnly" });
    place_as(ground, name, json!({ "resourceSelectors": [namespace] })).await;
}

async fn lamp_on_member(ground: &Ground) -> Option<DynamicObject> {
    gadgets(&ground.members[0].client, "v1").get_opt("lamp").await.expect("the member answers")
}

async fn holds_lamp(ground: &Ground) -> bool {
    lamp_on_member(ground).await.is_some()
}

async fn greets(ground: &Ground, wanted: &str) {
    eventually(&format!("the member holds {wanted}"), || async {
        let greeting = scenarios::greeting_on(&ground.members[0], APP).await;
        greeting.as_deref() == Some(wanted)
    })
    .await;
}

fn api_server(ground: &Ground) -> ClusterHandle {
    ground.fleet.as_ref().and_then(|fleet| fleet.cluster("hub")).expect("it is simulated")
}

#[test]
fn a_kind_that_goes_takes_its_objects_along_and_nothing_else() {
    scene(async |ground, _, hub, _| {
        let name = "gadgets.example.com";
        crds(&ground.hub.client).delete(name, &DeleteParams::default()).await.expect("it is there");
        eventually("the lamp leaves the member", || async { !holds_lamp(ground).await }).await;
        scenarios::write_app(ground, APP, "hello again").await;
        greets(ground, "hello again").await;
        let status = hub.index().status();
        eventually("the index lets go of the kind", || async {
            let kind = domain::selection::GroupVersionKind::new("example.com", "v1", "Gadget");
            domain::selection::Catalogue::kind(&*hub.index().objects(), &kind).is_none()
        })
        .await;
        assert!(status.borrow().gaps.is_empty());
        scenarios::shows(ground, "watched", &scenarios::available(1)).await;
        hub.shutdown().await;
    });
}

#[test]
fn a_kind_that_moves_to_another_version_never_leaves_the_member() {
    scene(async |ground, _, hub, _| {
        let before = lamp_on_member(ground).await.and_then(|lamp| lamp.uid());
        for cluster in [&ground.members[0], &ground.hub] {
            let mut crd = gadget_crd("gadgets", &[("v1", false), ("v2", true)]);
            // As long as the hub serves it, what is placed stays in it.
            crd.spec.versions[0].served = cluster.name != ground.hub.name;
            let known =
                crds(&cluster.client).get("gadgets.example.com").await.expect("it is there");
            crd.metadata.resource_version = known.metadata.resource_version;
            let params = PostParams::default();
            crds(&cluster.client)
                .replace(&crd.name_any(), &params, &crd)
                .await
                .expect("it is right");
        }
        let api: Api<api::ClusterResourcePlacement> = Api::all(ground.hub.client.clone());
        come("the new version is selected", || async {
            let status = api.get("watched").await.expect("the hub answers").status?;
            let lamp = status.selected_resources.into_iter().find(|it| it.name == "lamp")?;
            (lamp.version == "v2").then_some(())
        })
        .await;
        scenarios::shows(ground, "watched", &scenarios::available(1)).await;
        let after = lamp_on_member(ground).await.and_then(|lamp| lamp.uid());
        assert!(before.is_some() && before == after, "it is still the same lamp");
        hub.shutdown().await;
    });
}

/// The hub loses sight of what serves the kind, and goes on with what it saw last.
fn loses_sight(sight: Sight) {
    scene(async |ground, aggregator, hub, _| {
        aggregator.sees(sight);
        api_server(ground).drop_watches();
        aggregator.is_noticed(ground).await;
        scenarios::write_app(ground, APP, "hello again").await;
        greets(ground, "hello again").await;
        scenarios::shows(ground, "watched", &scenarios::available(1)).await;
        assert!(holds_lamp(ground).await, "what the hub cannot see stays");

        aggregator.sees(Sight::Well);
        let api = gadgets(&ground.hub.client, "v1");
        api.delete("lamp", &DeleteParams::default()).await.expect("it is there");
        eventually("the lamp leaves the member", || async { !holds_lamp(ground).await }).await;
        hub.shutdown().await;
    });
}

#[test]
fn regression_a_kind_whose_server_is_silent_stays_on_the_members() {
    loses_sight(Sight::Stale);
}

#[test]
fn regression_a_kind_that_is_not_mentioned_stays_on_the_members() {
    loses_sight(Sight::Unmentioned);
}

/// A hub starts that cannot see who serves the kind: it says so, and changes nothing.
fn starts_blind(sight: Sight, names: &str) {
    scene(async |ground, aggregator, hub, log| {
        hub.shutdown().await;
        aggregator.sees(sight);
        scenarios::write_app(ground, APP, "hello again").await;
        let dir = tempfile::tempdir().unwrap();
        let hub = start(aggregator.client(), log, dir.path()).await;
        let said = stands(ground, "watched", "Scheduled", "Unknown", "SchedulePending").await;
        assert!(said.contains(names), "{said}");
        assert!(holds_lamp(ground).await, "what the hub cannot see stays");
        let greeting = scenarios::greeting_on(&ground.members[0], APP).await;
        assert_eq!(greeting.as_deref(), Some("hello"), "the revision before stays whole");

        // What does not need the kind goes on.
        place_alone(ground, "other", "app-other").await;
        scenarios::shows(ground, "other", &scenarios::available(1)).await;

        aggregator.sees(Sight::Well);
        aggregator.is_noticed(ground).await;
        greets(ground, "hello again").await;
        scenarios::shows(ground, "watched", &scenarios::available(1)).await;
        assert!(holds_lamp(ground).await);
        hub.shutdown().await;
    });
}

#[test]
fn regression_a_hub_that_starts_while_a_server_is_silent_removes_nothing() {
    starts_blind(Sight::Stale, "kubectl describe apiservice v1.example.com");
}

#[test]
fn regression_a_hub_that_starts_without_hearing_of_a_kind_removes_nothing() {
    starts_blind(Sight::Unmentioned, "Gadget (example.com/v1)");
}

#[test]
fn regression_a_kind_that_cannot_be_listed_stops_only_who_may_select_it() {
    in_a_system(async {
        let ground = Ground::simulated(1).await;
        let api_server = api_server(&ground);
        api_server.set_fault(FaultRule::new(|request| {
            (request.path == "/apis/example.com/v1/gadgets").then_some(Fault::Forbidden)
        }));
        let crd = gadget_crd("gadgets", &[("v1", true)]);
        crds(&ground.hub.client).create(&PostParams::default(), &crd).await.expect("it is new");
        let (dir, log) = (tempfile::tempdir().unwrap(), Arc::new(MemoryLog::new()) as Arc<dyn Log>);
        let hub = start(ground.hub.client.clone(), &log, dir.path()).await;
        ground.join(&ground.members[0], &[("region", "eu")]).await;
        scenarios::write_app(&ground, APP, "hello").await;
        scenarios::place(&ground, "whole", APP, &["eu"]).await;
        place_alone(&ground, "alone", "app-other").await;

        scenarios::shows(&ground, "alone", &scenarios::available(1)).await;
        let said = stands(&ground, "whole", "Scheduled", "Unknown", "SchedulePending").await;
        for part in ["Gadget (example.com/v1)", "access is denied (403)", "skipped_apis"] {
            assert!(said.contains(part), "{said}");
        }
        let greeting = scenarios::greeting_on(&ground.members[0], APP).await;
        assert_eq!(greeting, None, "nothing is placed in part");

        api_server.clear_fault();
        scenarios::shows(&ground, "whole", &scenarios::available(1)).await;
        greets(&ground, "hello").await;
        hub.shutdown().await;
        ground.stop();
    });
}

#[test]
fn a_watch_that_expired_is_followed_by_a_list() {
    scene(async |ground, _, hub, _| {
        let api_server = api_server(ground);
        api_server.set_fault(FaultRule::new(|request| {
            request.query.contains("watch=true").then_some(Fault::Unavailable)
        }));
        api_server.drop_watches();
        // Changed, gone and new while nobody watches; and the history of it is lost.
        scenarios::write_app(ground, APP, "hello again").await;
        let api = gadgets(&ground.hub.client, "v1");
        api.delete("lamp", &DeleteParams::default()).await.expect("it is there");
        let maps: Api<ConfigMap> = Api::namespaced(ground.hub.client.clone(), APP);
        let mut map = ConfigMap::default();
        map.metadata.name = Some("late".to_owned());
        maps.create(&PostParams::default(), &map).await.expect("it is new");
        api_server.forget_watch_history();
        api_server.clear_fault();

        greets(ground, "hello again").await;
        eventually("the lamp leaves the member", || async { !holds_lamp(ground).await }).await;
        let held: Api<ConfigMap> = Api::namespaced(ground.members[0].client.clone(), APP);
        eventually("what is new comes", || async {
            held.get_opt("late").await.expect("the member answers").is_some()
        })
        .await;
        scenarios::shows(ground, "watched", &scenarios::available(1)).await;
        hub.shutdown().await;
    });
}

#[test]
fn a_placement_that_is_gone_without_its_finalizer_is_still_removed() {
    scene(async |ground, _, hub, _| {
        let api_server = api_server(ground);
        // The hub neither sees nor writes placements while it is torn away.
        let torn = "/clusterresourceplacements";
        api_server.set_fault(FaultRule::new(move |request| {
            let is_hub = request.path.contains(torn) && request.query.contains("watch=true");
            is_hub.then_some(Fault::Unavailable)
        }));
        api_server.drop_watches();
        let api: Api<api::ClusterResourcePlacement> = Api::all(ground.hub.client.clone());
        let patch = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
        api.patch_metadata("watched", &PatchParams::default(), &patch).await.expect("it is there");
        api.delete("watched", &DeleteParams::default()).await.expect("it is there");
        api_server.clear_fault();
        eventually("the lamp leaves the member", || async { !holds_lamp(ground).await }).await;
        eventually("the rest leaves too", || async {
            scenarios::greeting_on(&ground.members[0], APP).await.is_none()
        })
        .await;
        hub.shutdown().await;
    });
}
