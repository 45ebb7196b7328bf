//! What a fleet is there to place: the install manifests of published components, whole, as their
//! projects ship them. They are placed, changed, upgraded and removed on real clusters, which are
//! afterwards what they were before, object by object: bootstrap roles, priority levels, service
//! accounts and whatever else a cluster has of its own.
//!
//! The hub is a cluster like others, and what is applied there acts there: webhooks without a
//! server, aggregated APIs that do not answer. Its configuration leaves the latter out of what is
//! placed, and lets single objects of kube-system be placed, where two of the components have some.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use acceptance::ground::{Cluster, Ground, client_of_a_hub};
use acceptance::inventory::{Inventory, Kinds, ObjectKey};
use acceptance::scenarios::{self, place_as};
use acceptance::wait::{PATIENCE, eventually};
use acceptance::{held, hubs, in_a_system, manifests, raw};
use actors::node::Ownership;
use domain::selection::{KindRules, NamespaceRules, SelectionRules};
use event_log::{MemoryLog, PARTITIONS};
use kube::Api;
use kube::api::DeleteParams;
use kube::core::DynamicObject;
use serde_json::{Value, json};
use tokio::time::Instant;
use xtask::bed::manifests::{
    Component, EXTERNAL_SECRETS, GATEWAY_API, GATEWAY_API_BEFORE, KUEUE, METRICS_SERVER,
};
use xtask::bed::{self, Bed};

/// The namespace of which placements take single objects only.
const SYSTEM: &str = "kube-system";

/// The aggregated APIs that nobody serves on the hub.
const NOT_SERVED: &str = "visibility.kueue.x-k8s.io;metrics.k8s.io";

/// How long between two looks at everything that a member holds.
const LOOK: Duration = Duration::from_millis(250);

/// What a placement selects: everything of a component.
struct Installed {
    placement: &'static str,
    objects: Vec<Value>,
}

impl Installed {
    fn of(component: &Component) -> Self {
        let text = component.manifests().expect("the manifests are there");
        Self { placement: component.name, objects: manifests::read(&text) }
    }

    /// Selectors for objects that are in no namespace, or for those that are in a given one.
    fn selectors(&self, namespace: Option<&str>) -> Vec<Value> {
        let is_there = |object: &&Value| object["metadata"]["namespace"].as_str() == namespace;
        let selector = |object: &Value| {
            let api_version = object["apiVersion"].as_str().expect("it has one");
            let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
            json!({
                "group": group, "version": version, "kind": object["kind"],
                "name": object["metadata"]["name"],
            })
        };
        self.objects.iter().filter(is_there).map(selector).collect()
    }

    /// The placement of its objects in kube-system, if it has some there.
    fn in_system(&self) -> Option<(String, Value)> {
        let selectors = self.selectors(Some(SYSTEM));
        let path = format!(
            "/apis/placement.kubernetes-fleet.io/v1beta1/namespaces/{SYSTEM}/resourceplacements/{}",
            self.placement
        );
        let placement = json!({
            "apiVersion": "placement.kubernetes-fleet.io/v1beta1", "kind": "ResourcePlacement",
            "metadata": { "name": self.placement, "namespace": SYSTEM },
            "spec": { "resourceSelectors": selectors, "policy": { "placementType": "PickAll" } },
        });
        (!selectors.is_empty()).then_some((path, placement))
    }

    async fn apply(&self, ground: &Ground) {
        manifests::apply(&ground.hub.client, &self.objects).await;
    }

    async fn place(&self, ground: &Ground) {
        let policy = json!({ "placementType": "PickAll" });
        let spec = json!({ "resourceSelectors": self.selectors(None), "policy": policy });
        place_as(ground, self.placement, spec).await;
        if let Some((path, placement)) = self.in_system() {
            raw::apply(&ground.hub.client, &path, &placement).await;
        }
    }

    /// Waits until every member has every object as the hub has it, and the placement says so.
    async fn arrives(&self, ground: &Ground) {
        let until = Instant::now() + PATIENCE;
        while let Err(why) = self.has_arrived(ground).await {
            assert!(Instant::now() < until, "{}: {why}", self.placement);
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn has_arrived(&self, ground: &Ground) -> Result<(), String> {
        for member in &ground.members {
            let compared = self.compare(&ground.hub, member).await;
            compared.map_err(|why| format!("{}: {why}", member.name))?;
        }
        let placements: Api<api::ClusterResourcePlacement> = Api::all(ground.hub.client.clone());
        let placement = placements.get(self.placement).await.expect("the hub answers");
        let status = placement.status.ok_or("it has no status")?;
        let available = scenarios::available(placement.metadata.generation.unwrap_or_default());
        if scenarios::essence(&status.conditions) != available {
            return Err(format!("it shows {:#?}", status.conditions));
        }
        Ok(())
    }

    async fn compare(&self, hub: &Cluster, member: &Cluster) -> Result<(), String> {
        let kinds = Kinds::of(&hub.client).await.expect("the hub answers");
        for object in &self.objects {
            let key = ObjectKey::of(object);
            let path = kinds.path_of(&key).expect("the hub serves the kind");
            let wanted = raw::get(&hub.client, &path).await.expect("the hub has it");
            let held = raw::get(&member.client, &path).await;
            let held = held.ok_or_else(|| format!("{key} is not there"))?;
            let (wanted, held) = (as_written(wanted), as_written(held));
            if wanted != held {
                return Err(format!("{key} is {held}, not {wanted}"));
            }
        }
        Ok(())
    }

    async fn remove(&self, ground: &Ground) {
        if let Some((path, _)) = self.in_system() {
            raw::delete(&ground.hub.client, &path).await;
            eventually(&format!("{path} is gone"), || async {
                raw::get(&ground.hub.client, &path).await.is_none()
            })
            .await;
        }
        let placements: Api<api::ClusterResourcePlacement> = Api::all(ground.hub.client.clone());
        let params = DeleteParams::default();
        placements.delete(self.placement, &params).await.expect("it is there");
        eventually(&format!("the placement {} is gone", self.placement), || async {
            placements.get_opt(self.placement).await.expect("the hub answers").is_none()
        })
        .await;
    }

    /// Every object says something else, and the controller runs twice.
    fn change(&mut self) {
        for object in &mut self.objects {
            object["metadata"]["annotations"]["example.com/round"] = json!("2");
            if object["kind"] == "Deployment" {
                object["spec"]["replicas"] = json!(2);
            }
        }
    }
}

fn as_written(object: Value) -> Value {
    let object: DynamicObject = serde_json::from_value(object).expect("it is an object");
    held::as_written(&object)
}

/// Objects of the kinds that the gateway component brings.
fn gateways() -> Vec<Value> {
    let api_version = "gateway.networking.k8s.io/v1";
    let metadata = |name: &str| json!({ "name": name, "namespace": "front" });
    let class = json!({
        "apiVersion": api_version, "kind": "GatewayClass", "metadata": { "name": "plain" },
        "spec": { "controllerName": "example.com/plain" },
    });
    let gateway = json!({
        "apiVersion": api_version, "kind": "Gateway", "metadata": metadata("front"),
        "spec": {
            "gatewayClassName": "plain",
            "listeners": [{ "name": "http", "protocol": "HTTP", "port": 80 }],
        },
    });
    let route = json!({
        "apiVersion": api_version, "kind": "HTTPRoute", "metadata": metadata("front"),
        "spec": { "parentRefs": [{ "name": "front" }], "hostnames": ["front.example.com"] },
    });
    let namespace =
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "front" } });
    vec![namespace, class, gateway, route]
}

/// What every member holds now.
async fn inventories(ground: &Ground) -> Vec<Inventory> {
    let mut all = vec![];
    for member in &ground.members {
        all.push(Inventory::of(&member.client).await.expect("the member answers"));
    }
    all
}

/// Waits until every member is what it was.
async fn are_as_before(ground: &Ground, before: &[Inventory]) {
    for (member, before) in ground.members.iter().zip(before) {
        let until = Instant::now() + PATIENCE;
        loop {
            let now = Inventory::of(&member.client).await.expect("the member answers");
            let differences = before.differences(&now);
            if differences.is_empty() {
                break;
            }
            assert!(Instant::now() < until, "{} is another:\n{differences:#?}", member.name);
            tokio::time::sleep(LOOK).await;
        }
    }
}

async fn play(ground: &Ground) {
    let (data, log) = (tempfile::tempdir().unwrap(), Arc::new(MemoryLog::new()));
    let rules = SelectionRules {
        kinds: KindRules::parse("", NOT_SERVED).unwrap(),
        namespaces: NamespaceRules::default().allowing([SYSTEM.to_owned()]).unwrap(),
        ..SelectionRules::default()
    };
    let client = client_of_a_hub(&ground.hub.kubeconfig).await;
    let (node, alone) = ("hub-a", Ownership::Alone);
    let hub = hubs::start_under(rules, node, client, log.clone(), data.path(), alone).await;
    for member in &ground.members {
        ground.join(member, &[]).await;
        let joined = ("Joined", "True", "MemberClusterJoined");
        scenarios::member_shows(ground, &member.name, joined).await;
    }
    let before = inventories(ground).await;
    assert!(before[0].count("rbac.authorization.k8s.io", "ClusterRole") > 50, "bootstrap roles");

    let mut components = [GATEWAY_API_BEFORE, EXTERNAL_SECRETS, KUEUE, METRICS_SERVER]
        .map(|one| Installed::of(&one));
    for component in &components {
        component.apply(ground).await;
    }
    let [gateway_api, ..] = &mut components;
    manifests::apply(&ground.hub.client, &gateways()).await;
    gateway_api.objects.extend(gateways());
    for component in &components {
        component.place(ground).await;
    }
    for component in &components {
        component.arrives(ground).await;
    }

    // One is upgraded, with kinds that are new; in the others each object changes.
    let [gateway_api, others @ ..] = &mut components;
    let old: BTreeSet<ObjectKey> = gateway_api.objects.iter().map(ObjectKey::of).collect();
    *gateway_api = Installed::of(&GATEWAY_API);
    gateway_api.objects.extend(gateways());
    let new: BTreeSet<ObjectKey> = gateway_api.objects.iter().map(ObjectKey::of).collect();
    assert!(new.is_superset(&old) && new.len() > old.len(), "the upgrade brings kinds");
    others.iter_mut().for_each(Installed::change);
    for component in &components {
        component.apply(ground).await;
    }
    components[0].place(ground).await;
    for component in &components {
        component.arrives(ground).await;
    }

    // The last first: a namespace does not go while an aggregated API of its cluster is silent.
    for component in components.iter().rev() {
        component.remove(ground).await;
    }
    are_as_before(ground, &before).await;
    hub.shutdown().await;
    let report = actors::replay::verify(&*log, PARTITIONS).await.expect("the log can be read");
    assert_eq!(report.first_difference, None);
}

/// On clusters of its own: whoever else works on a member would be seen.
#[test]
fn components_come_change_and_go_and_leave_members_as_they_were() {
    if !bed::wanted() {
        return;
    }
    let bed = Bed::builder().members(2).kwok(true).start().expect("the bed starts");
    let kubeconfig = |name: String| {
        let kubeconfig = bed.context(&name).kubeconfig();
        (name, kubeconfig)
    };
    let clusters = bed.context_names().into_iter().map(kubeconfig).collect();
    in_a_system(async {
        let ground = Ground::at(clusters).await;
        play(&ground).await;
    });
}
