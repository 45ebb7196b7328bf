//! The demo's fleet: simulated clusters over HTTP.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use api::MemberCluster;
use domain::selection::LINK_SECRET_LABEL;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use serde_json::json;
use simulator::{ClusterOptions, Fleet, ServerHandle};

const REGIONS: [&str; 3] = ["eu", "us", "ap"];

/// How soon workloads are ready on the fastest member: slow enough to be seen.
const READY_FIRST: Duration = Duration::from_millis(400);

/// How much slower others are.
const READY_STEP: Duration = Duration::from_millis(200);

/// The name under which the demo writes.
const MANAGER: &str = "taffrail-demo";

/// The clusters and the server that serves them.
pub(super) struct SimulatedFleet {
    /// The hub's API.
    pub(super) hub: Client,
    /// Name and region of each member.
    members: Vec<(String, &'static str)>,
    server: ServerHandle,
}

impl SimulatedFleet {
    pub(super) async fn start(clusters: u16) -> Result<Self> {
        let members: Vec<(String, &'static str)> = (0..usize::from(clusters))
            .map(|index| {
                let region = REGIONS[index % REGIONS.len()];
                (format!("member-{region}-{}", index / REGIONS.len() + 1), region)
            })
            .collect();
        let fleet = Fleet::new();
        fleet.add_cluster("hub", ClusterOptions::default())?;
        for (seed, (name, _)) in (1..).zip(&members) {
            // Clusters with one seed would be one cluster: their uids would be the same.
            let ready_delay = READY_FIRST + READY_STEP * u32::try_from(seed % 8).unwrap_or(0);
            let options = ClusterOptions { seed, ready_delay, ..ClusterOptions::default() };
            fleet.add_cluster(name, options.with_nodes(3, 4, 16))?;
        }
        let address = "127.0.0.1:0".parse().context("an address")?;
        let server = simulator::serve(&fleet, address).context("no port can be opened")?;
        let hub = client(&server.kubeconfig(&[("hub", "hub")])).await?;
        install(&hub, api::crds::hub_crds()).await?;
        for (name, _) in &members {
            let member = client(&server.kubeconfig(&[(name, name)])).await?;
            install(&member, api::crds::member_crds()).await?;
        }
        Ok(Self { hub, members, server })
    }

    /// Makes all clusters members: a MemberCluster and a link for each.
    pub(super) async fn join_members(&self) -> Result<()> {
        let namespace = api::names::FLEET_SYSTEM_NAMESPACE;
        hub::seal::ensure_namespace(&self.hub, namespace).await?;
        let secrets: Api<Secret> = Api::namespaced(self.hub.clone(), namespace);
        let members: Api<MemberCluster> = Api::all(self.hub.clone());
        let params = PatchParams::apply(MANAGER).force();
        for (name, region) in &self.members {
            let kubeconfig = self.server.kubeconfig(&[(name, name)]);
            let link = format!("link-{name}");
            let mut secret = Secret {
                data: Some(BTreeMap::from([(
                    hub::links::KUBECONFIG_ENTRY.to_owned(),
                    ByteString(kubeconfig.into_bytes()),
                )])),
                ..Secret::default()
            };
            secret.metadata.name = Some(link.clone());
            let label = (LINK_SECRET_LABEL.to_owned(), name.clone());
            secret.metadata.labels = Some(BTreeMap::from([label]));
            secrets.patch(&link, &params, &Patch::Apply(&secret)).await?;

            let member = json!({
                "apiVersion": "cluster.kubernetes-fleet.io/v1beta1",
                "kind": "MemberCluster",
                "metadata": { "name": name, "labels": { "region": region } },
                "spec": { "identity": {
                    "kind": "ServiceAccount", "name": "taffrail", "namespace": namespace,
                }},
            });
            members.patch(name, &params, &Patch::Apply(&member)).await?;
        }
        Ok(())
    }

    /// A kubeconfig with a context for the hub and for each member.
    pub(super) fn kubeconfig(&self) -> String {
        let names = self.members.iter().map(|(name, _)| name.as_str());
        let contexts: Vec<(&str, &str)> =
            std::iter::once("hub").chain(names).map(|name| (name, name)).collect();
        self.server.kubeconfig(&contexts)
    }

    pub(super) fn stop(self) {
        self.server.stop();
    }
}

async fn client(kubeconfig: &str) -> Result<Client> {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

async fn install(client: &Client, crds: Vec<CustomResourceDefinition>) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let params = PatchParams::apply(MANAGER).force();
    for crd in crds {
        api.patch(&crd.name_any(), &params, &Patch::Apply(&crd)).await?;
    }
    Ok(())
}
