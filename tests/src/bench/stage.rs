//! What the parts with clusters have in common: a hub process on a ground whose members have
//! joined, and apps on it to be placed.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tempfile::TempDir;

use super::arrivals::{Arrivals, Statuses};
use super::processes::{HubPlace, HubProcess, LOOK_EVERY};
use crate::ground::Ground;
use crate::scenarios;

/// The label value that all members of a stage have.
const REGION: &str = "eu";

/// A ground whose members have joined, and where its hubs keep what they need.
pub(super) struct Stage {
    pub(super) ground: Ground,
    pub(super) arrivals: Arrivals,
    pub(super) statuses: Statuses,
    dir: TempDir,
}

impl Stage {
    /// A stage on this ground, without a hub yet.
    pub(super) fn on(ground: Ground) -> Result<Self> {
        // Not in a temporary directory, which may be in memory: hubs write to a disk.
        let beside = std::env::current_exe()?;
        let dir = tempfile::tempdir_in(beside.parent().context("this program is in a directory")?)?;
        std::fs::write(dir.path().join("kubeconfig"), &ground.hub.kubeconfig)?;
        let arrivals = Arrivals::watch(&ground.members);
        let statuses = Statuses::watch(&ground);
        Ok(Self { ground, arrivals, statuses, dir })
    }

    /// On the real members of the test bed, tidied.
    pub(super) async fn real() -> Result<Self> {
        let ground = Ground::real().await.context("there is no test bed")?;
        ground.tidy().await;
        Self::on(ground)
    }

    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("kubeconfig")
    }

    /// Where a hub keeps what it needs.
    pub(super) fn data(&self, hub: &str) -> PathBuf {
        self.dir.path().join(hub)
    }

    /// Starts the one hub of a stage, with the embedded log, and returns when it decides.
    pub(super) fn start_hub(&self) -> Result<HubProcess> {
        self.with_place(HubProcess::start)
    }

    /// Starts that hub, and returns as soon as its process runs.
    pub(super) fn spawn_hub(&self) -> Result<HubProcess> {
        self.with_place(HubProcess::spawn)
    }

    fn with_place<T>(&self, start: impl FnOnce(&HubPlace<'_>) -> T) -> T {
        let (kubeconfig, data) = (self.kubeconfig(), self.data("hub"));
        start(&HubPlace { name: "hub", kubeconfig: &kubeconfig, data: &data, log: "embedded" })
    }

    /// Makes all clusters members, and returns when they have joined.
    pub(super) async fn join(&self) -> Result<()> {
        for member in &self.ground.members {
            self.ground.join(member, &[("region", REGION)]).await;
        }
        let members: Api<api::MemberCluster> = Api::all(self.ground.hub.client.clone());
        let begin = Instant::now();
        loop {
            let list = members.list(&Default::default()).await?;
            let joined = list.iter().filter(|member| {
                let conditions = member.status.iter().flat_map(|status| &status.conditions);
                conditions.into_iter().any(|c| c.type_ == "Joined" && c.status == "True")
            });
            if joined.count() == self.ground.members.len() {
                return Ok(());
            }
            anyhow::ensure!(begin.elapsed() < super::arrivals::PATIENCE, "not all members joined");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Places an app on all members. Says when it was asked for.
    pub(super) async fn place(&self, app: &str) -> Instant {
        let asked = Instant::now();
        scenarios::place(&self.ground, app, app, &[REGION]).await;
        asked
    }

    /// Places many apps, so many requests at once. Says when the first was asked for.
    pub(super) async fn place_all(&self, apps: &[String], at_once: usize) -> Instant {
        let asked = Instant::now();
        futures::stream::iter(apps)
            .for_each_concurrent(at_once, async |app| {
                scenarios::place(&self.ground, app, app, &[REGION]).await;
            })
            .await;
        asked
    }
}

/// Names of apps, `app-<of>-<n>`: what [`Ground::tidy`] takes away.
pub(super) fn apps(of: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("app-{of}-{n:04}")).collect()
}

/// Writes a namespace with a ConfigMap, as a plain client does.
pub(super) async fn write_app(client: &Client, app: &str, greeting: &str) -> kube::Result<()> {
    let params = PatchParams::apply("bench").force();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": app } });
    namespaces.patch(app, &params, &Patch::Apply(namespace)).await?;
    write_greeting(client, app, greeting).await
}

/// Writes the ConfigMap of an app.
pub(super) async fn write_greeting(client: &Client, app: &str, greeting: &str) -> kube::Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), app);
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "settings", "namespace": app },
        "data": { "greeting": greeting },
    });
    let params = PatchParams::apply("bench").force();
    maps.patch("settings", &params, &Patch::Apply(map)).await.map(drop)
}

/// Writes many apps, so many at once.
pub(super) async fn write_apps(
    client: &Client,
    apps: &[String],
    greeting: &str,
    at_once: usize,
) -> Result<()> {
    futures::stream::iter(apps)
        .map(|app| write_app(client, app, greeting))
        .buffer_unordered(at_once)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}
