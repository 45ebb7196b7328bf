//! Where a scenario plays: one hub API server and its members, simulated or real.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use serde_json::json;
use simulator::{ClusterOptions, Fleet, ServerHandle};
use xtask::bed::{Bed, Turn};

use crate::wait::eventually;

/// A cluster: its API, and the kubeconfig that leads there.
pub struct Cluster {
    /// Its name in the fleet.
    pub name: String,
    /// Its API, with full rights.
    pub client: Client,
    /// A kubeconfig that stands for itself.
    pub kubeconfig: String,
}

/// A hub API server and its members.
pub struct Ground {
    /// The hub's own cluster.
    pub hub: Cluster,
    /// The members.
    pub members: Vec<Cluster>,
    /// Set for a simulated ground: to break it.
    pub fleet: Option<Fleet>,
    server: Option<ServerHandle>,
    /// For a real ground: nobody else uses the clusters meanwhile.
    turn: Option<Turn>,
}

/// Simulated clusters, served over HTTP by this process.
pub struct SimulatedFleet {
    fleet: Fleet,
    server: ServerHandle,
    names: Vec<String>,
}

impl SimulatedFleet {
    /// Starts a hub and members.
    ///
    /// # Panics
    /// When they cannot be served.
    #[must_use]
    pub fn start(members: usize) -> Self {
        let fleet = Fleet::new();
        let members = (1..=members).map(|n| format!("member-{n}"));
        let names: Vec<String> = std::iter::once("hub".to_owned()).chain(members).collect();
        for (seed, name) in (1..).zip(&names) {
            // Clusters with one seed would be one cluster: their uids would be the same.
            let options = ClusterOptions { seed, ..ClusterOptions::default() };
            let options = options.with_nodes(3, 4, 16);
            fleet.add_cluster(name, options).expect("the names differ");
        }
        let address = "127.0.0.1:0".parse().expect("it is an address");
        let server = simulator::serve(&fleet, address).expect("a port is free");
        Self { fleet, server, names }
    }

    /// Names and kubeconfigs, the hub first.
    #[must_use]
    pub fn kubeconfigs(&self) -> Vec<(String, String)> {
        let kubeconfig = |name: &String| (name.clone(), self.server.kubeconfig(&[(name, name)]));
        self.names.iter().map(kubeconfig).collect()
    }
}

impl Ground {
    /// Simulated clusters over HTTP.
    pub async fn simulated(members: usize) -> Self {
        let simulated = SimulatedFleet::start(members);
        let mut ground = Self::at(simulated.kubeconfigs()).await;
        ground.fleet = Some(simulated.fleet);
        ground.server = Some(simulated.server);
        ground
    }

    /// Clusters that are there: their names and kubeconfigs, the hub first.
    pub async fn at(clusters: Vec<(String, String)>) -> Self {
        let mut all = vec![];
        for (name, kubeconfig) in clusters {
            all.push(cluster(&name, kubeconfig).await);
        }
        let members = all.split_off(1);
        let hub = all.pop().expect("a ground has a hub");
        let ground = Self { hub, members, fleet: None, server: None, turn: None };
        ground.install_crds().await;
        ground
    }

    /// The real clusters of the shared test bed; `None` when it is not wanted. Waits until no other
    /// test has them. A test that calls this has `real` in its name, so that `cargo xtask test`
    /// does not start two that would wait for each other.
    pub async fn real() -> Option<Self> {
        let bed = Bed::shared()?;
        let turn = Turn::alone(bed);
        let kubeconfig = |name: String| {
            let kubeconfig = bed.context(&name).kubeconfig();
            (name, kubeconfig)
        };
        let clusters = bed.context_names().into_iter().map(kubeconfig).collect();
        Some(Self { turn: Some(turn), ..Self::at(clusters).await })
    }

    async fn install_crds(&self) {
        install(&self.hub.client, api::crds::hub_crds()).await;
        for member in &self.members {
            install(&member.client, api::crds::member_crds()).await;
        }
    }

    /// Makes a cluster a member: its MemberCluster and its link.
    pub async fn join(&self, member: &Cluster, labels: &[(&str, &str)]) {
        self.link(&member.name, &member.kubeconfig).await;
        self.register(&member.name, labels).await;
    }

    /// Makes the MemberCluster object of a member.
    pub async fn register(&self, name: &str, labels: &[(&str, &str)]) {
        let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
        let object = serde_json::from_value(json!({
            "apiVersion": "cluster.kubernetes-fleet.io/v1beta1",
            "kind": "MemberCluster",
            "metadata": { "name": name, "labels": labels },
            "spec": {
                "identity": { "kind": "ServiceAccount", "name": "hub", "namespace": "fleet-system" },
                "heartbeatPeriodSeconds": 5,
            },
        }))
        .expect("it is a MemberCluster");
        let api: Api<api::MemberCluster> = Api::all(self.hub.client.clone());
        api.create(&PostParams::default(), &object).await.expect("it is new");
    }

    /// Makes the Secret that leads to a member.
    pub async fn link(&self, name: &str, kubeconfig: &str) {
        hub::namespaces::ensure_namespace(&self.hub.client, "fleet-system")
            .await
            .expect("it is made");
        let mut secret = Secret {
            type_: Some("Opaque".to_owned()),
            data: Some(BTreeMap::from([(
                hub::links::KUBECONFIG_ENTRY.to_owned(),
                ByteString(kubeconfig.as_bytes().to_vec()),
            )])),
            ..Secret::default()
        };
        secret.metadata.name = Some(format!("link-{name}"));
        secret.metadata.labels = Some(BTreeMap::from([(
            domain::selection::LINK_SECRET_LABEL.to_owned(),
            name.to_owned(),
        )]));
        let api: Api<Secret> = Api::namespaced(self.hub.client.clone(), "fleet-system");
        let params = PatchParams::apply("acceptance").force();
        let name = secret.name_any();
        api.patch(&name, &params, &Patch::Apply(&secret)).await.expect("the link is made");
    }

    /// The members without what tests left there, for a ground that is used again.
    pub async fn tidy(&self) {
        let members: Api<api::MemberCluster> = Api::all(self.hub.client.clone());
        let placements: Api<api::ClusterResourcePlacement> = Api::all(self.hub.client.clone());
        for placement in placements.list(&Default::default()).await.expect("a list") {
            release(&placements, &placement.name_any()).await;
        }
        for member in members.list(&Default::default()).await.expect("a list") {
            release(&members, &member.name_any()).await;
        }
        let links: Api<Secret> = Api::namespaced(self.hub.client.clone(), "fleet-system");
        let linking = ListParams::default().labels(domain::selection::LINK_SECRET_LABEL);
        links.delete_collection(&DeleteParams::default(), &linking).await.expect("they go");
        // Each test has a deployment of its own.
        let marks: Api<ConfigMap> = Api::namespaced(self.hub.client.clone(), "fleet-system");
        drop(marks.delete(hub::identity::HUB_MARK, &DeleteParams::default()).await);
        for member in &self.members {
            let marks: Api<ConfigMap> = Api::namespaced(member.client.clone(), "fleet-system");
            drop(marks.delete("taffrail-member", &DeleteParams::default()).await);
        }
        for cluster in self.members.iter().chain([&self.hub]) {
            let works: Api<api::AppliedWork> = Api::all(cluster.client.clone());
            if let Ok(list) = works.list(&Default::default()).await {
                for work in list {
                    release(&works, &work.name_any()).await;
                }
            }
        }
        // All are told to go before the first is waited for: each takes its time.
        let mut going = vec![];
        for cluster in self.members.iter().chain([&self.hub]) {
            let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
            let list = namespaces.list(&Default::default()).await.expect("a list");
            let names = list.iter().map(ResourceExt::name_any);
            for name in names.filter(|name| name.starts_with("app-")) {
                drop(namespaces.delete(&name, &DeleteParams::default()).await);
                going.push((namespaces.clone(), name));
            }
        }
        for (namespaces, name) in going {
            eventually("the namespace is gone", || async {
                namespaces.get_opt(&name).await.expect("a namespace").is_none()
            })
            .await;
        }
    }

    /// Ends a simulated ground.
    pub fn stop(self) {
        if let Some(server) = self.server {
            server.stop();
        }
        drop(self.turn);
    }
}

/// Deletes an object whose finalizers nobody looks after any more.
async fn release<K>(api: &Api<K>, name: &str)
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    drop(api.delete(name, &DeleteParams::default()).await);
    let patch = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    drop(api.patch_metadata(name, &PatchParams::default(), &patch).await);
}

/// A client of the current context of a kubeconfig. Like kubectl, it asks again when it is told to.
pub async fn client(kubeconfig: &str) -> Client {
    Client::try_from(config(kubeconfig).await).expect("it is complete")
}

/// The same as the product makes it for a hub, which is told of everything.
pub async fn client_of_a_hub(kubeconfig: &str) -> Client {
    hub::client(config(kubeconfig).await).expect("it is complete")
}

async fn config(kubeconfig: &str) -> Config {
    let parsed = Kubeconfig::from_yaml(kubeconfig).expect("a kubeconfig");
    let options = KubeConfigOptions::default();
    Config::from_custom_kubeconfig(parsed, &options).await.expect("it is complete")
}

async fn cluster(name: &str, kubeconfig: String) -> Cluster {
    let client = client(&kubeconfig).await;
    Cluster { name: name.to_owned(), client, kubeconfig }
}

async fn install(client: &Client, crds: Vec<CustomResourceDefinition>) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for crd in &crds {
        let params = PatchParams::apply("acceptance").force();
        api.patch(&crd.name_any(), &params, &Patch::Apply(crd)).await.expect("the CRD is right");
    }
    for crd in &crds {
        eventually("the CRD is established", || async {
            let crd = api.get(&crd.name_any()).await.expect("it is there");
            let conditions = crd.status.and_then(|status| status.conditions).unwrap_or_default();
            conditions.iter().any(|c| c.type_ == "Established" && c.status == "True")
        })
        .await;
    }
}
