//! Kubernetes API servers, as the command line meets them.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Config, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::Instant;

use crate::kubeconfig;
use crate::serve::HubAccess;

/// Who the command line is to the API server: the manager of the fields that it sets.
pub(crate) const FIELD_MANAGER: &str = "taffrail-cli";

/// How long new CRDs may take to be served. API servers need a second.
const ESTABLISHED_TIMEOUT: Duration = Duration::from_secs(60);

/// How to say which hub.
const OTHER_HUB: &str = "name the hub's kubeconfig and context: --hub-kubeconfig, --hub-context, \
                         KUBECONFIG, or under [hub] in the configuration";

/// How often to look whether they are.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How the command line reaches the hub's API server.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct HubArgs {
    /// Kubeconfig of the hub [default: $KUBECONFIG, ~/.kube/config, in the cluster]
    #[arg(long, value_name = "FILE")]
    pub(crate) hub_kubeconfig: Option<PathBuf>,
    /// Context of the hub in that kubeconfig [default: the current one]
    #[arg(long, value_name = "NAME")]
    pub(crate) hub_context: Option<String>,
}

impl HubArgs {
    /// A client for the hub.
    pub(crate) async fn connect(&self) -> Result<Client> {
        let access = HubAccess::Kubeconfig {
            path: self.hub_kubeconfig.clone(),
            context: self.hub_context.clone(),
        };
        connect(&access).await
    }
}

/// A client for the hub's API server. Nothing is asked yet.
pub(crate) async fn connect(access: &HubAccess) -> Result<Client> {
    let config = match access {
        HubAccess::Client(client) => return Ok(client.clone()),
        HubAccess::InCluster => Config::incluster()
            .context("this does not run in a pod with a service account; name a kubeconfig")?,
        HubAccess::Kubeconfig { path: None, context } => {
            kubeconfig::config_of_the_environment(context.as_deref(), OTHER_HUB).await?
        }
        HubAccess::Kubeconfig { path: Some(file), context } => {
            let kubeconfig = kubeconfig::read(file, OTHER_HUB)?;
            kubeconfig::config(kubeconfig, context.as_deref(), file, OTHER_HUB).await?
        }
    };
    hub::client(config).context("the hub's API server cannot be talked to")
}

/// Creates an object, or makes it what it should be.
pub(crate) async fn apply<K>(api: &Api<K>, object: &K) -> Result<K>
where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned,
{
    let name = object.name_any();
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let applied = api.patch(&name, &params, &Patch::Apply(object)).await;
    applied.with_context(|| format!("{name} cannot be written"))
}

/// Adds entries to a ConfigMap, which is made if it is not there; others stay.
pub(crate) async fn add_data(
    api: &Api<ConfigMap>,
    name: &str,
    data: BTreeMap<String, String>,
) -> Result<(), kube::Error> {
    let params =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..Default::default() };
    let patch = Patch::Merge(json!({ "data": data }));
    match api.patch(name, &params, &patch).await {
        Err(kube::Error::Api(status)) if status.code == 404 => {
            let mut map = ConfigMap { data: Some(data), ..ConfigMap::default() };
            map.metadata.name = Some(name.to_owned());
            api.create(&PostParams::default(), &map).await.map(drop)
        }
        other => other.map(drop),
    }
}

/// Makes sure that a namespace is there; leaves it as it is if it is.
pub(crate) async fn ensure_namespace(client: &Client, name: &str) -> Result<()> {
    let api: Api<Namespace> = Api::all(client.clone());
    // Who may not make namespaces may still use one.
    if api.get_opt(name).await?.is_some() {
        return Ok(());
    }
    let made = hub::namespaces::ensure_namespace(client, name).await;
    made.with_context(|| format!("the namespace {name} cannot be made"))
}

/// Which cluster it is, whatever its address: the uid of its kube-system namespace.
pub(crate) async fn identity(client: &Client) -> Result<String> {
    Ok(hub::identity::cluster_identity(client).await?)
}

/// Installs CRDs and waits until all are served. Tells about each.
pub(crate) async fn install_crds(
    client: &Client,
    crds: &[CustomResourceDefinition],
    mut tell: impl FnMut(&str),
) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for crd in crds {
        apply(&api, crd).await?;
    }
    let deadline = Instant::now() + ESTABLISHED_TIMEOUT;
    for crd in crds {
        let name = crd.name_any();
        while !is_established(&api.get(&name).await?) {
            if Instant::now() > deadline {
                bail!("{name} is not served; see why with: kubectl describe crd {name}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        tell(&name);
    }
    Ok(())
}

/// Whether a CRD is served.
pub(crate) fn is_established(crd: &CustomResourceDefinition) -> bool {
    let conditions = crd.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|it| it.type_ == "Established" && it.status == "True")
}
