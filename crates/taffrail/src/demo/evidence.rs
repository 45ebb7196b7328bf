//! What this run has seen itself. The log knows what an earlier run has seen; that the application
//! is where it should be now, only the clusters can say.

use std::net::SocketAddr;

use anyhow::Result;
use api::ClusterResourcePlacement;
use api::http::Readiness;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use super::fleet::SimulatedFleet;
use super::shop;
use crate::client::HubClient;

/// Where to look.
pub(super) struct Evidence<'a> {
    pub(super) fleet: &'a SimulatedFleet,
    pub(super) http: SocketAddr,
}

impl Evidence<'_> {
    /// Whether the hub has seen everything that is on its API server, shows the placement to be
    /// available as it is written now, and these members run what the hub has.
    pub(super) async fn is_complete(&self, members: &[String]) -> Result<bool> {
        Ok(self.is_hub_ready().await?
            && self.is_shown().await?
            && self.is_running_on(members).await?)
    }

    async fn is_hub_ready(&self) -> Result<bool> {
        let client = HubClient::new(&format!("http://{}", self.http))?;
        let readiness: Readiness = client.get_any("/readyz").await?;
        Ok(readiness.ready)
    }

    async fn is_shown(&self) -> Result<bool> {
        let placements: Api<ClusterResourcePlacement> = Api::all(self.fleet.hub.clone());
        let placement = placements.get(shop::NAME).await?;
        let (generation, status) = (placement.metadata.generation, placement.status);
        let conditions = status.map(|status| status.conditions).unwrap_or_default();
        let is_true =
            conditions.iter().all(|it| it.status == "True" && it.observed_generation == generation);
        Ok(is_true && !conditions.is_empty())
    }

    async fn is_running_on(&self, members: &[String]) -> Result<bool> {
        let wanted = deployments(&self.fleet.hub).await?;
        for member in members {
            let held = deployments(&self.fleet.member(member).await?).await?;
            if !wanted.iter().all(|wanted| held.iter().any(|held| runs(held, wanted))) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

async fn deployments(cluster: &Client) -> Result<Vec<Deployment>> {
    let api: Api<Deployment> = Api::namespaced(cluster.clone(), shop::NAME);
    Ok(api.list(&ListParams::default()).await?.items)
}

/// Whether what a member holds is what the hub has, and all of it is ready.
fn runs(held: &Deployment, wanted: &Deployment) -> bool {
    let replicas = |it: &Deployment| it.spec.as_ref().and_then(|spec| spec.replicas);
    let template = |it: &Deployment| it.spec.as_ref().map(|spec| spec.template.clone());
    let ready = held.status.as_ref().and_then(|status| status.ready_replicas);
    held.name_any() == wanted.name_any()
        && template(held) == template(wanted)
        && replicas(held) == replicas(wanted)
        && ready.unwrap_or_default() == replicas(held).unwrap_or_default()
}
