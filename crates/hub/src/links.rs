//! One link for each member, made from the Secret that holds its kubeconfig.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use delivery::{Link, LinkError, Observation, PushLink};
use domain::selection::{LINK_SECRET_LABEL, LINK_SECRET_TYPE};
use events::cluster::LinkProblem;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, watch};

/// The key of the Secret's data that holds the kubeconfig.
pub const KUBECONFIG_ENTRY: &str = "kubeconfig";

/// How the hub presents itself to members.
const USER_AGENT: &str = concat!("taffrail/", env!("CARGO_PKG_VERSION"));

/// Why a member has no usable link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoLink {
    /// What is wrong.
    pub problem: LinkProblem,
    /// In words, with what to do.
    pub message: String,
}

#[derive(Clone)]
struct Entry {
    secret: String,
    fingerprint: [u8; 32],
    link: Result<Arc<dyn Link>, NoLink>,
    /// Whether what it leads to was seen to be the member.
    is_identified: bool,
}

/// The links of all members. Cheap to clone.
#[derive(Clone)]
pub struct Links {
    entries: Arc<RwLock<BTreeMap<String, Entry>>>,
    moved: watch::Sender<u64>,
    observations: mpsc::Sender<Observation>,
}

impl Links {
    /// No links yet. What they observe of deliveries goes to `observations`.
    #[must_use]
    pub fn new(observations: mpsc::Sender<Observation>) -> Self {
        let (moved, _) = watch::channel(0);
        Self { entries: Arc::default(), moved, observations }
    }

    /// The link of a member for orders: only after [`Links::identified`], so that nothing is written
    /// to a cluster of which nobody has asked yet which one it is.
    #[must_use]
    pub fn for_orders(&self, cluster: &str) -> Option<Arc<dyn Link>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(cluster).filter(|entry| entry.is_identified)?;
        entry.link.as_ref().ok().cloned()
    }

    /// Notes that a link leads to the member that it is for. Says whether that is news.
    #[must_use]
    pub fn identified(&self, cluster: &str, link: &Arc<dyn Link>) -> bool {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = entries.get_mut(cluster) else { return false };
        let is_current = entry.link.as_ref().is_ok_and(|current| Arc::ptr_eq(current, link));
        let is_news = is_current && !entry.is_identified;
        entry.is_identified |= is_current;
        is_news
    }

    /// The link of a member, to ask where it leads.
    ///
    /// # Errors
    /// Why there is none.
    pub fn get(&self, cluster: &str) -> Result<Arc<dyn Link>, NoLink> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        match entries.get(cluster) {
            Some(entry) => entry.link.clone(),
            None => Err(NoLink {
                problem: LinkProblem::Missing,
                message: format!(
                    "there is no Secret with the label {LINK_SECRET_LABEL}={cluster}; make one with: \
                     taffrail join {cluster} --member-kubeconfig FILE"
                ),
            }),
        }
    }

    /// Tells when a link came, changed or went.
    #[must_use]
    pub fn moved(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    /// Takes a Secret in. Anything that is not a link is ignored.
    pub async fn apply(&self, secret: &Secret) {
        let Some(cluster) = member_of(secret) else { return };
        let kubeconfig = kubeconfig_of(secret);
        let fingerprint = Sha256::digest(&kubeconfig).into();
        let is_known = {
            let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
            entries.get(&cluster).is_some_and(|entry| entry.fingerprint == fingerprint)
        };
        if is_known {
            return;
        }
        let link = self.connect(&cluster, secret, &kubeconfig).await;
        let secret = secret.name_any();
        let entry = Entry { secret, fingerprint, link, is_identified: false };
        self.with(|entries| drop(entries.insert(cluster, entry)));
    }

    async fn connect(
        &self,
        cluster: &str,
        secret: &Secret,
        kubeconfig: &[u8],
    ) -> Result<Arc<dyn Link>, NoLink> {
        let invalid = |message: String| NoLink { problem: LinkProblem::InvalidKubeconfig, message };
        let name = secret.name_any();
        if kubeconfig.is_empty() {
            let message = format!("the Secret {name} has no entry {KUBECONFIG_ENTRY}");
            return Err(invalid(message));
        }
        let Ok(text) = std::str::from_utf8(kubeconfig) else {
            return Err(invalid(format!("the kubeconfig in the Secret {name} is not text")));
        };
        let connected =
            PushLink::connect(cluster, text, USER_AGENT, self.observations.clone()).await;
        match connected {
            Ok(link) => Ok(Arc::new(link)),
            Err(LinkError::Unusable { problem, message, .. }) => {
                let message = format!("the kubeconfig in the Secret {name}: {message}");
                Err(NoLink { problem, message })
            }
            Err(error) => Err(invalid(error.to_string())),
        }
    }

    /// Takes a link in that was made elsewhere, as for a member in this process.
    pub fn insert(&self, cluster: &str, link: Arc<dyn Link>) {
        let entry = Entry {
            secret: String::new(),
            fingerprint: <[u8; 32]>::default(),
            link: Ok(link),
            is_identified: true,
        };
        self.with(|entries| drop(entries.insert(cluster.to_owned(), entry)));
    }

    /// A Secret is gone: the member can no longer be reached. Nothing on it is touched.
    pub fn delete(&self, secret: &Secret) {
        let Some(cluster) = member_of(secret) else { return };
        let name = secret.name_any();
        self.with(|entries| {
            if entries.get(&cluster).is_some_and(|entry| entry.secret == name) {
                entries.remove(&cluster);
            }
        });
    }

    fn with(&self, change: impl FnOnce(&mut BTreeMap<String, Entry>)) {
        change(&mut self.entries.write().unwrap_or_else(PoisonError::into_inner));
        self.moved.send_modify(|count| *count += 1);
    }
}

/// The member that a Secret is the link of: its label says it; a Secret of the type without the
/// label is named like the member.
fn member_of(secret: &Secret) -> Option<String> {
    let label = secret.labels().get(LINK_SECRET_LABEL).filter(|name| !name.is_empty());
    match (label, secret.type_.as_deref()) {
        (Some(name), _) => Some(name.clone()),
        (None, Some(LINK_SECRET_TYPE)) => Some(secret.name_any()),
        (None, _) => None,
    }
}

fn kubeconfig_of(secret: &Secret) -> Vec<u8> {
    let entry = secret.data.as_ref().and_then(|data| data.get(KUBECONFIG_ENTRY));
    entry.map(|bytes| bytes.0.clone()).unwrap_or_default()
}
