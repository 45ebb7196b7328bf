//! The demo's fleet: simulated clusters over HTTP.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use api::MemberCluster;
use api::names::FLEET_SYSTEM_NAMESPACE;
use domain::selection::LINK_SECRET_LABEL;
use hub::seal::KEY_SECRET;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use serde_json::json;
use simulator::{ClusterOptions, Fleet, ServerHandle};

use super::data::Data;
use crate::kubernetes::install_crds;

/// The name of the hub's cluster.
pub(super) const HUB: &str = "hub";

const REGIONS: [&str; 3] = ["eu", "us", "ap"];

/// How soon workloads are ready on the fastest member: slow enough to be seen.
const READY_FIRST: Duration = Duration::from_millis(400);

/// How much slower others are.
const READY_STEP: Duration = Duration::from_millis(200);

/// The name under which the demo writes.
const MANAGER: &str = "taffrail-demo";

/// The object on the hub that says what the demo has done: how many members it made join.
const PROGRESS: &str = "taffrail-demo";

/// The entry of that object.
const JOINED: &str = "membersJoined";

/// The clusters and the server that serves them.
pub(super) struct SimulatedFleet {
    /// The hub's API.
    pub(super) hub: Client,
    /// Name and region of each member.
    members: Vec<(String, &'static str)>,
    server: ServerHandle,
}

impl SimulatedFleet {
    /// Starts the clusters as they were left, those that there were.
    pub(super) async fn start(data: &Data) -> Result<Self> {
        let members: Vec<(String, &'static str)> = (0..usize::from(data.members))
            .map(|index| {
                let region = REGIONS[index % REGIONS.len()];
                (format!("member-{region}-{}", index / REGIONS.len() + 1), region)
            })
            .collect();
        let fleet = match data.journal.clone() {
            Some(journal) => Fleet::new().with_journal(journal),
            None => Fleet::new(),
        };
        fleet.add_cluster(HUB, ClusterOptions::default())?;
        for (seed, (name, _)) in (1..).zip(&members) {
            // Clusters with one seed would be one cluster: their uids would be the same.
            let ready_delay = READY_FIRST + READY_STEP * u32::try_from(seed % 8).unwrap_or(0);
            let options = ClusterOptions { seed, ready_delay, ..ClusterOptions::default() };
            fleet.add_cluster(name, options.with_nodes(3, 4, 16))?;
        }
        let address = "127.0.0.1:0".parse().context("an address")?;
        let server = simulator::serve(&fleet, address).context("no port can be opened")?;
        let hub = client(&server.kubeconfig(&[(HUB, HUB)])).await?;
        let fleet = Self { hub, members, server };
        fleet.check_log(data).await?;
        fleet.prepare().await?;
        Ok(fleet)
    }

    /// Members refuse the orders of a hub that has forgotten which it gave.
    async fn check_log(&self, data: &Data) -> Result<()> {
        let key = self.system::<Secret>().get_opt(KEY_SECRET).await?;
        if key.is_some() && !data.has_log {
            let dir = data.dir.display();
            bail!("{dir} holds clusters, but not their log; name another directory with --data");
        }
        Ok(())
    }

    async fn prepare(&self) -> Result<()> {
        install_crds(&self.hub, &api::crds::hub_crds(), |_| ()).await?;
        let crds = api::crds::member_crds();
        for (name, _) in &self.members {
            install_crds(&self.member(name).await?, &crds, |_| ()).await?;
        }
        hub::namespaces::ensure_namespace(&self.hub, FLEET_SYSTEM_NAMESPACE).await?;
        self.renew_links().await
    }

    /// Links say where members are, and that changes with each run.
    async fn renew_links(&self) -> Result<()> {
        let all = ListParams::default().labels(LINK_SECRET_LABEL);
        for secret in self.system::<Secret>().list(&all).await? {
            let member = secret.labels().get(LINK_SECRET_LABEL).cloned().unwrap_or_default();
            if self.members.iter().any(|(name, _)| *name == member) {
                self.link(&secret.name_any(), &member).await?;
            }
        }
        Ok(())
    }

    async fn link(&self, secret_name: &str, member: &str) -> Result<()> {
        let kubeconfig = self.server.kubeconfig(&[(member, member)]);
        let entry = hub::links::KUBECONFIG_ENTRY.to_owned();
        let mut secret = Secret {
            data: Some(BTreeMap::from([(entry, ByteString(kubeconfig.into_bytes()))])),
            ..Secret::default()
        };
        secret.metadata.name = Some(secret_name.to_owned());
        let label = (LINK_SECRET_LABEL.to_owned(), member.to_owned());
        secret.metadata.labels = Some(BTreeMap::from([label]));
        let params = PatchParams::apply(MANAGER).force();
        self.system::<Secret>().patch(secret_name, &params, &Patch::Apply(&secret)).await?;
        Ok(())
    }

    /// How many members an earlier run has made join; `None` when this is the first one.
    pub(super) async fn joined_before(&self) -> Result<Option<usize>> {
        let progress = self.system::<ConfigMap>().get_opt(PROGRESS).await?;
        let data = progress.and_then(|progress| progress.data).unwrap_or_default();
        Ok(data.get(JOINED).and_then(|joined| joined.parse().ok()))
    }

    /// Makes clusters members that no earlier run has: a MemberCluster and a link for each. Whom
    /// the user let go stays away.
    pub(super) async fn join_members(&self, before: usize) -> Result<()> {
        let members: Api<MemberCluster> = Api::all(self.hub.clone());
        let params = PatchParams::apply(MANAGER).force();
        for (name, region) in self.members.iter().skip(before) {
            self.link(&format!("link-{name}"), name).await?;
            let member = json!({
                "apiVersion": "cluster.kubernetes-fleet.io/v1beta1",
                "kind": "MemberCluster",
                "metadata": { "name": name, "labels": { "region": region } },
                "spec": { "identity": {
                    "kind": "ServiceAccount", "name": "taffrail",
                    "namespace": FLEET_SYSTEM_NAMESPACE,
                }},
            });
            members.patch(name, &params, &Patch::Apply(&member)).await?;
        }
        Ok(())
    }

    /// Notes that all members were made to join, and the application is placed.
    pub(super) async fn note_progress(&self) -> Result<()> {
        let progress = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": PROGRESS },
            "data": { JOINED: self.members.len().to_string() },
        });
        let params = PatchParams::apply(MANAGER).force();
        self.system::<ConfigMap>().patch(PROGRESS, &params, &Patch::Apply(&progress)).await?;
        Ok(())
    }

    /// How many members there are on the hub, whoever made them.
    pub(super) async fn registered(&self) -> Result<usize> {
        let members: Api<MemberCluster> = Api::all(self.hub.clone());
        Ok(members.list_metadata(&ListParams::default()).await?.items.len())
    }

    /// A member's API.
    pub(super) async fn member(&self, name: &str) -> Result<Client> {
        client(&self.server.kubeconfig(&[(name, name)])).await
    }

    fn system<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.hub.clone(), FLEET_SYSTEM_NAMESPACE)
    }

    /// A kubeconfig with a context for the hub and for each member.
    pub(super) fn kubeconfig(&self) -> String {
        let names = self.members.iter().map(|(name, _)| name.as_str());
        let contexts: Vec<(&str, &str)> =
            std::iter::once(HUB).chain(names).map(|name| (name, name)).collect();
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
