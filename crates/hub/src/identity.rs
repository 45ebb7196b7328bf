//! Which deployment a hub cluster belongs to: a mark on the cluster itself, a ConfigMap.
//!
//! A hub writes statuses and finalizers of every placement and member of its cluster, so two
//! deployments on one cluster would undo each other's work for ever. The mark is made once, by
//! whoever comes first; nothing changes it but a person who hands the cluster over, and that is
//! recorded by the hub that starts on it then. It always has the same place, whatever namespace the
//! hub keeps its Secrets in: what it guards is the cluster.
//!
//! A mark also says for which cluster it was made. One that was copied into another cluster with
//! everything else there, as backups are restored, says nothing about that one. A restored etcd is
//! the same cluster: if its copy is older than the mark, the mark is made again.

use std::collections::BTreeMap;
use std::time::Duration;

use actors::concerns::Gravity;
use actors::node::{Handover, HubCluster, Router};
use api::names::FLEET_SYSTEM_NAMESPACE;
use events::Genesis;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use crate::namespaces::ensure_namespace;

/// The ConfigMap on a hub cluster that names its deployment.
pub const HUB_MARK: &str = "taffrail-hub";

/// How often a hub looks whether its cluster is still its own: how long two deployments may undo
/// each other's work when a cluster is handed over while its hubs run.
const LOOK_EVERY: Duration = Duration::from_secs(10);

const DEPLOYMENT: &str = "deployment";
const CLUSTER: &str = "cluster";
const HANDOVER: &str = "handover";
const FROM_HUB: &str = "fromHub";
const FROM_DEPLOYMENT: &str = "fromDeployment";

/// What the mark on a hub cluster says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubMark {
    /// The deployment that the cluster belongs to; `None` when it was handed to whichever deployment
    /// is founded on it next.
    pub deployment: Option<Uuid>,
    /// The last handover, if there was one.
    pub handover: Option<Handover>,
}

/// Why a hub must not work on its cluster.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The cluster belongs to another deployment.
    #[error(
        "the hub cluster {cluster} belongs to deployment {theirs}, and the log to {ours}: two \
         deployments would undo each other's work; use another hub cluster, or, when the hubs of the \
         other deployment have ended for good, hand this one over with: taffrail handover --config \
         FILE"
    )]
    OtherDeployment {
        /// The hub cluster.
        cluster: String,
        /// The one that the cluster belongs to.
        theirs: Uuid,
        /// The one of the log.
        ours: Uuid,
    },
    /// The cluster belongs to a deployment, and the log is nobody's yet.
    #[error(
        "the hub cluster {cluster} belongs to deployment {theirs}, and the log is empty; point the \
         hub at the log of that deployment, or restore it; to found a new deployment on this \
         cluster, when the hubs of the other one have ended for good, hand it over with: taffrail \
         handover --config FILE"
    )]
    EmptyLog {
        /// The hub cluster.
        cluster: String,
        /// The one that the cluster belongs to.
        theirs: Uuid,
    },
    /// The log belongs to another hub cluster.
    #[error(
        "the log of deployment {deployment} belongs to the hub cluster {theirs}, and this is the hub \
         cluster {cluster}; point the hub at its own log, or at its own cluster; when that cluster \
         is gone for good, hand its deployment over to this one with: taffrail handover --config \
         FILE"
    )]
    OtherHub {
        /// Of the log.
        deployment: Uuid,
        /// The hub cluster of the log.
        theirs: String,
        /// This one.
        cluster: String,
    },
    /// The log does not say to which hub cluster it belongs.
    #[error(
        "the log of deployment {deployment} does not say which hub cluster it belongs to: it was \
         founded by an earlier version; if it is this one, say so with: taffrail handover --config \
         FILE"
    )]
    UnknownHub {
        /// Of the log.
        deployment: Uuid,
    },
    /// The mark is not one of ours.
    #[error(
        "the ConfigMap {FLEET_SYSTEM_NAMESPACE}/{HUB_MARK} does not say which deployment the hub \
         cluster belongs to ({what}); say it with: taffrail handover --config FILE"
    )]
    Unclear {
        /// What is wrong with it.
        what: String,
    },
    /// Somebody else made or changed the mark at the same time.
    #[error(
        "the ConfigMap {FLEET_SYSTEM_NAMESPACE}/{HUB_MARK} was changed by somebody else meanwhile; \
         look at it, and try again"
    )]
    Changed,
    /// The credential may not.
    #[error(
        "the ConfigMap {FLEET_SYSTEM_NAMESPACE}/{HUB_MARK}, which says which deployment the hub \
         cluster belongs to, is refused; give the hub get, create and update on ConfigMaps in \
         {FLEET_SYSTEM_NAMESPACE}, and create on namespaces if that one is not there"
    )]
    Forbidden(#[source] Box<kube::Error>),
    /// The hub's API server did not do it.
    #[error(
        "the ConfigMap {FLEET_SYSTEM_NAMESPACE}/{HUB_MARK}, which says which deployment the hub \
         cluster belongs to, cannot be read or made"
    )]
    Api(#[source] Box<kube::Error>),
}

impl From<kube::Error> for IdentityError {
    fn from(error: kube::Error) -> Self {
        let is_forbidden = matches!(&error, kube::Error::Api(status) if status.code == 403);
        let error = Box::new(error);
        if is_forbidden { Self::Forbidden(error) } else { Self::Api(error) }
    }
}

/// Which cluster a client leads to: the uid of its kube-system namespace.
///
/// # Errors
/// What the API server said.
pub async fn cluster_identity(client: &Client) -> Result<String, kube::Error> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let system = namespaces.get("kube-system").await?;
    Ok(system.uid().unwrap_or_default())
}

/// Reads the mark of a hub cluster.
///
/// # Errors
/// When it cannot be read, or says something else than a mark.
pub async fn read_mark(client: &Client, cluster: &str) -> Result<Option<HubMark>, IdentityError> {
    match marks(client).get_opt(HUB_MARK).await? {
        Some(found) => parse(&found, cluster),
        None => Ok(None),
    }
}

/// Whether a hub may work on its cluster, with a log that begins like this or is empty. Changes
/// nothing.
///
/// # Errors
/// Why it may not.
pub fn check(
    cluster: &str,
    mark: Option<&HubMark>,
    genesis: Option<&Genesis>,
) -> Result<HubCluster, IdentityError> {
    let cluster = cluster.to_owned();
    let belongs_to = mark.and_then(|mark| mark.deployment);
    let handover = mark.and_then(|mark| mark.handover.clone());
    let Some(genesis) = genesis else {
        return match belongs_to {
            Some(theirs) => Err(IdentityError::EmptyLog { cluster, theirs }),
            None => Ok(HubCluster { identity: cluster, handover }),
        };
    };
    let ours = genesis.deployment;
    if let Some(theirs) = belongs_to.filter(|theirs| *theirs != ours) {
        return Err(IdentityError::OtherDeployment { cluster, theirs, ours });
    }
    // Only a handover makes a mark with the deployment of another cluster's log.
    let is_handed_over = belongs_to == Some(ours) && handover.is_some();
    match &genesis.hub {
        Some(hub) if *hub == cluster => {}
        Some(_) | None if is_handed_over => {}
        Some(hub) => {
            let theirs = hub.clone();
            return Err(IdentityError::OtherHub { deployment: ours, theirs, cluster });
        }
        None => return Err(IdentityError::UnknownHub { deployment: ours }),
    }
    Ok(HubCluster { identity: cluster, handover })
}

/// Makes the mark, unless it is there. Of two deployments that do so at once, one gets it.
///
/// # Errors
/// When the cluster belongs to another deployment, or the mark can be neither made nor read.
pub async fn claim(
    client: &Client,
    hub: &HubCluster,
    deployment: Uuid,
) -> Result<(), IdentityError> {
    let mark = HubMark { deployment: Some(deployment), handover: hub.handover.clone() };
    let found = marks(client).get_opt(HUB_MARK).await?;
    let known = match &found {
        Some(found) => parse(found, &hub.identity)?,
        None => None,
    };
    match known.and_then(|known| known.deployment) {
        Some(theirs) if theirs == deployment => Ok(()),
        Some(theirs) => {
            let cluster = hub.identity.clone();
            Err(IdentityError::OtherDeployment { cluster, theirs, ours: deployment })
        }
        None => match write(client, &hub.identity, &mark, found).await {
            // Another node of this deployment may have made it.
            Err(IdentityError::Changed) => {
                let mark = read_mark(client, &hub.identity).await?;
                match mark.and_then(|mark| mark.deployment) {
                    Some(theirs) if theirs != deployment => {
                        let cluster = hub.identity.clone();
                        Err(IdentityError::OtherDeployment { cluster, theirs, ours: deployment })
                    }
                    Some(_) => Ok(()),
                    None => Err(IdentityError::Changed),
                }
            }
            written => written,
        },
    }
}

/// Hands a hub cluster over to a deployment; to whichever is founded on it next if the log is
/// empty. Gives what the mark said before, and says now.
///
/// # Errors
/// When the mark can be neither read nor written.
pub async fn hand_over(
    client: &Client,
    cluster: &str,
    genesis: Option<&Genesis>,
) -> Result<(Option<HubMark>, HubMark), IdentityError> {
    let found = marks(client).get_opt(HUB_MARK).await?;
    // One that says nothing is replaced as well: that is what this is for.
    let before = found.as_ref().and_then(|found| parse(found, cluster).ok().flatten());
    let deployment = genesis.map(|genesis| genesis.deployment);
    let other = before.as_ref().and_then(|mark| mark.deployment);
    let mark = HubMark {
        deployment,
        handover: Some(Handover {
            id: Uuid::now_v7(),
            from_hub: genesis.and_then(|it| it.hub.clone()).filter(|hub| hub != cluster),
            from_deployment: other.filter(|other| Some(*other) != deployment),
        }),
    };
    write(client, cluster, &mark, found).await?;
    Ok((before, mark))
}

/// Looks whether the hub cluster is still this deployment's.
#[derive(Clone)]
pub(crate) struct Belonging {
    pub(crate) client: Client,
    pub(crate) router: Router,
    pub(crate) hub: HubCluster,
    pub(crate) deployment: Uuid,
}

impl Belonging {
    /// Looks for ever. When the cluster was handed over to another deployment, this node lets go of
    /// everything; while the mark cannot be read or made, it says so.
    pub(crate) async fn watch(self) {
        const CHECK: &str = "hub-cluster";
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            let concern = match claim(&self.client, &self.hub, self.deployment).await {
                Ok(()) => None,
                Err(error @ IdentityError::OtherDeployment { .. }) => {
                    self.router.supersede(error.to_string());
                    return std::future::pending().await;
                }
                // That it does not answer is said where it is asked all the time.
                Err(IdentityError::Api(error)) => {
                    tracing::debug!(%error, "the mark of the hub cluster is looked at later");
                    continue;
                }
                Err(error) => Some(error.to_string()),
            };
            self.router.concerns().set(CHECK, "", Gravity::Warning, concern);
        }
    }
}

fn marks(client: &Client) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), FLEET_SYSTEM_NAMESPACE)
}

/// Writes the mark in the place of what was found.
async fn write(
    client: &Client,
    cluster: &str,
    mark: &HubMark,
    found: Option<ConfigMap>,
) -> Result<(), IdentityError> {
    let marks = marks(client);
    let mut object = ConfigMap {
        metadata: ObjectMeta { name: Some(HUB_MARK.to_owned()), ..ObjectMeta::default() },
        data: Some(entries(cluster, mark)),
        ..ConfigMap::default()
    };
    let params = PostParams::default();
    let written = match found {
        None => {
            ensure_namespace(client, FLEET_SYSTEM_NAMESPACE).await?;
            marks.create(&params, &object).await
        }
        Some(found) => {
            object.metadata.resource_version = found.resource_version();
            marks.replace(HUB_MARK, &params, &object).await
        }
    };
    match written {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {
            Err(IdentityError::Changed)
        }
        Err(error) => Err(error.into()),
    }
}

fn entries(cluster: &str, mark: &HubMark) -> BTreeMap<String, String> {
    let handover = mark.handover.as_ref();
    let entries = [
        (CLUSTER, Some(cluster.to_owned())),
        (DEPLOYMENT, mark.deployment.map(|deployment| deployment.to_string())),
        (HANDOVER, handover.map(|handover| handover.id.to_string())),
        (FROM_HUB, handover.and_then(|handover| handover.from_hub.clone())),
        (
            FROM_DEPLOYMENT,
            handover.and_then(|handover| handover.from_deployment).map(|it| it.to_string()),
        ),
    ];
    let present = entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    present.collect()
}

/// What a ConfigMap says; nothing if it was made for another cluster.
fn parse(object: &ConfigMap, cluster: &str) -> Result<Option<HubMark>, IdentityError> {
    let data = object.data.as_ref();
    let entry = |key: &str| data.and_then(|data| data.get(key)).map(String::as_str);
    let uuid = |key: &str| {
        let parsed = entry(key).map(|text| {
            text.parse::<Uuid>().map_err(|_| {
                let what = format!("its entry {key} is {text:?}, which is no UUID");
                IdentityError::Unclear { what }
            })
        });
        parsed.transpose()
    };
    match entry(CLUSTER) {
        None => {
            let what = format!("it has no entry {CLUSTER}");
            return Err(IdentityError::Unclear { what });
        }
        Some(other) if other != cluster => return Ok(None),
        Some(_) => {}
    }
    let (from_hub, from_deployment) = (entry(FROM_HUB), uuid(FROM_DEPLOYMENT)?);
    let handover = uuid(HANDOVER)?.map(|id| Handover {
        id,
        from_hub: from_hub.map(str::to_owned),
        from_deployment,
    });
    Ok(Some(HubMark { deployment: uuid(DEPLOYMENT)?, handover }))
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
