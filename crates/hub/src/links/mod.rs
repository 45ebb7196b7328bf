//! One link for each member, made from the Secret that holds its kubeconfig.
//!
//! A link is trusted with orders after its member was asked which cluster it is, and as long as the
//! member answers: an order to one that does not would hold a place that others need for as long as
//! a request may take.
//!
//! ```text
//!  New ──identified──► Home ──doubted──► Doubted ──identified──► Home
//!   ▲                    └───────lost──────┴──► Lost ──identified──► Home
//!   └── astray: it leads to another cluster
//! ```

mod credential;
mod secret;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use delivery::{Link, LinkError, Observation, PushLink};
use domain::selection::LINK_SECRET_LABEL;
use events::Timestamp;
use events::cluster::LinkProblem;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use sha2::{Digest, Sha256};
use tokio::sync::{broadcast, mpsc};

pub use credential::RenewableToken;
pub use secret::KUBECONFIG_ENTRY;
use secret::{Rank, kubeconfig_of, member_of};

/// How the hub presents itself to members.
const USER_AGENT: &str = concat!("taffrail/", env!("CARGO_PKG_VERSION"));

/// How many changes of links a listener may be behind before it has to look at all of them.
const MOVED_BEHIND_MAX: usize = 1_024;

/// Why a member has no usable link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoLink {
    /// What is wrong.
    pub problem: LinkProblem,
    /// In words, with what to do.
    pub message: String,
}

/// How far a link is trusted with orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Nobody has asked yet where it leads, or it led to another cluster.
    New,
    /// The member answers.
    Home,
    /// An order got no answer; the member is to be asked.
    Doubted,
    /// The member did not answer when it was asked.
    Lost,
    /// It was made by this process for a member: nobody has to ask.
    Given,
}

/// What an answer of a member says about its link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// Nothing new.
    AsBefore,
    /// The member answers again.
    Again,
    /// The first answer through this link: it watches nothing yet.
    First,
}

struct Entry {
    fingerprint: [u8; 32],
    /// When its credential ends, if that can be told.
    expires_at: Option<Timestamp>,
    /// Its token, if the member can be asked for another one.
    renewable: Option<RenewableToken>,
    link: Result<Arc<dyn Link>, NoLink>,
    standing: Standing,
    /// Whether nobody was told yet how this link fares: what is on record is about another.
    is_news: bool,
}

impl Entry {
    fn leads_through(&self, link: &Arc<dyn Link>) -> bool {
        self.link.as_ref().is_ok_and(|own| Arc::ptr_eq(own, link))
    }
}

/// Which Secret is the link of which member.
#[derive(Default)]
struct Entries {
    of_members: BTreeMap<String, BTreeMap<Rank, Entry>>,
    of_secrets: BTreeMap<String, (String, Rank)>,
    /// Members that get no orders, whatever their links are like.
    held: BTreeSet<String>,
}

impl Entries {
    /// The one of a member that is used.
    fn used(&self, cluster: &str) -> Option<&Entry> {
        self.of_members.get(cluster)?.last_key_value().map(|(_, entry)| entry)
    }

    fn used_mut(&mut self, cluster: &str) -> Option<&mut Entry> {
        self.of_members.get_mut(cluster)?.last_entry().map(|last| last.into_mut())
    }

    fn knows(&self, cluster: &str, rank: &Rank, fingerprint: [u8; 32]) -> bool {
        let entry = self.of_members.get(cluster).and_then(|entries| entries.get(rank));
        entry.is_some_and(|entry| entry.fingerprint == fingerprint)
    }

    /// Forgets what a Secret was the link of.
    fn remove(&mut self, secret: &str) -> Option<String> {
        let (cluster, rank) = self.of_secrets.remove(secret)?;
        if let Some(entries) = self.of_members.get_mut(&cluster) {
            entries.remove(&rank);
            if entries.is_empty() {
                self.of_members.remove(&cluster);
            }
        }
        Some(cluster)
    }
}

/// The links of all members. Cheap to clone.
#[derive(Clone)]
pub struct Links {
    entries: Arc<RwLock<Entries>>,
    moved: broadcast::Sender<String>,
    observations: mpsc::Sender<Observation>,
}

impl Links {
    /// No links yet. What they observe of deliveries goes to `observations`.
    #[must_use]
    pub fn new(observations: mpsc::Sender<Observation>) -> Self {
        let (moved, _) = broadcast::channel(MOVED_BEHIND_MAX);
        Self { entries: Arc::default(), moved, observations }
    }

    /// The link of a member for orders: only while it is known to lead to the member, and the member
    /// to answer.
    #[must_use]
    pub fn for_orders(&self, cluster: &str) -> Option<Arc<dyn Link>> {
        let entries = self.read();
        let entry = entries.used(cluster).filter(|_| !entries.held.contains(cluster))?;
        match entry.standing {
            Standing::Home | Standing::Given => entry.link.as_ref().ok().cloned(),
            Standing::New | Standing::Doubted | Standing::Lost => None,
        }
    }

    /// Has a member get orders, or none.
    pub(crate) fn hold(&self, cluster: &str, is_held: bool) {
        if self.read().held.contains(cluster) == is_held {
            return;
        }
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        match is_held {
            true => drop(entries.held.insert(cluster.to_owned())),
            false => drop(entries.held.remove(cluster)),
        }
    }

    /// The link of a member, to ask where it leads.
    ///
    /// # Errors
    /// Why there is none.
    pub fn get(&self, cluster: &str) -> Result<Arc<dyn Link>, NoLink> {
        match self.read().used(cluster) {
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

    /// When the credential of a member's link ends, if that can be told.
    #[must_use]
    pub fn expires_at(&self, cluster: &str) -> Option<Timestamp> {
        self.read().used(cluster).and_then(|entry| entry.expires_at)
    }

    /// The token of a member's link, if the member can be asked for another one.
    #[must_use]
    pub fn renewable(&self, cluster: &str) -> Option<RenewableToken> {
        self.read().used(cluster).and_then(|entry| entry.renewable.clone())
    }

    /// Whether nobody was told yet how the link of a member fares.
    #[must_use]
    pub fn is_news(&self, cluster: &str) -> bool {
        self.read().used(cluster).is_some_and(|entry| entry.is_news)
    }

    /// Somebody was told how the link of a member fares, if it still is this one.
    pub fn told(&self, cluster: &str, link: &Result<Arc<dyn Link>, NoLink>) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let is_it = |entry: &&mut Entry| match (&entry.link, link) {
            (Ok(own), Ok(other)) => Arc::ptr_eq(own, other),
            (Err(own), Err(other)) => own == other,
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
        };
        if let Some(entry) = entries.used_mut(cluster).filter(is_it) {
            entry.is_news = false;
        }
    }

    /// Whether a link is the one that is used for a member.
    #[must_use]
    pub fn is_used(&self, cluster: &str, link: &Arc<dyn Link>) -> bool {
        self.read().used(cluster).is_some_and(|entry| entry.leads_through(link))
    }

    /// The member answered through a link, and is the one that it is for.
    #[must_use]
    pub fn identified(&self, cluster: &str, link: &Arc<dyn Link>) -> Answered {
        let before = self.change(cluster, link, |standing| match standing {
            Standing::New | Standing::Home | Standing::Doubted | Standing::Lost => Standing::Home,
            Standing::Given => Standing::Given,
        });
        match before {
            Some(Standing::New) => Answered::First,
            Some(Standing::Lost) => Answered::Again,
            // Orders that wait because of a doubt come soon enough by themselves. If every doubt
            // hurried them, a member that answers questions but no orders would get no rest.
            Some(Standing::Doubted | Standing::Home | Standing::Given) | None => Answered::AsBefore,
        }
    }

    /// The member did not answer when it was asked through a link.
    pub fn lost(&self, cluster: &str, link: &Arc<dyn Link>) {
        self.change(cluster, link, |standing| match standing {
            Standing::Home | Standing::Doubted | Standing::Lost => Standing::Lost,
            Standing::New => Standing::New,
            Standing::Given => Standing::Given,
        });
    }

    /// A link leads to a cluster that is not the member.
    pub fn astray(&self, cluster: &str, link: &Arc<dyn Link>) {
        self.change(cluster, link, |standing| match standing {
            Standing::Given => Standing::Given,
            Standing::New | Standing::Home | Standing::Doubted | Standing::Lost => Standing::New,
        });
    }

    /// An order got no answer through a link. There are no more of them until the member was asked,
    /// which is to happen at once.
    pub fn doubted(&self, cluster: &str, link: &Arc<dyn Link>) {
        let before = self.change(cluster, link, |standing| match standing {
            Standing::Home => Standing::Doubted,
            Standing::New | Standing::Doubted | Standing::Lost | Standing::Given => standing,
        });
        if before == Some(Standing::Home) {
            self.tell([cluster.to_owned()]);
        }
    }

    /// Whether an order got no answer and the member was not asked since.
    #[must_use]
    pub fn is_doubted(&self, cluster: &str) -> bool {
        self.read().used(cluster).is_some_and(|entry| entry.standing == Standing::Doubted)
    }

    /// Changes the standing of a link that is in use. Gives the one before.
    fn change(
        &self,
        cluster: &str,
        link: &Arc<dyn Link>,
        change: impl FnOnce(Standing) -> Standing,
    ) -> Option<Standing> {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.used_mut(cluster).filter(|entry| entry.leads_through(link))?;
        let before = entry.standing;
        entry.standing = change(before);
        Some(before)
    }

    /// The members whose links came, changed, went or came into doubt.
    #[must_use]
    pub fn moved(&self) -> broadcast::Receiver<String> {
        self.moved.subscribe()
    }

    /// Takes a Secret in. One that is no link (any more) is none from then on.
    pub async fn apply(&self, secret: &Secret) {
        let Some(cluster) = member_of(secret) else {
            self.delete(secret);
            return;
        };
        let rank = Rank::of(secret);
        let kubeconfig = kubeconfig_of(secret);
        let fingerprint = Sha256::digest(&kubeconfig).into();
        if self.read().knows(&cluster, &rank, fingerprint) {
            return;
        }
        let link = self.connect(&cluster, secret, &kubeconfig).await;
        let expires_at = credential::expires_at(&kubeconfig);
        let renewable = credential::renewable(&secret.name_any(), &kubeconfig);
        let standing = Standing::New;
        let is_news = true;
        let entry = Entry { fingerprint, expires_at, renewable, link, standing, is_news };
        self.put(&cluster, rank, entry);
    }

    fn put(&self, cluster: &str, rank: Rank, entry: Entry) {
        let place = (cluster.to_owned(), rank.clone());
        let before = {
            let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
            let before = entries.remove(&rank.secret);
            entries.of_secrets.insert(rank.secret.clone(), place);
            let of_member = entries.of_members.entry(cluster.to_owned()).or_default();
            of_member.insert(rank, entry);
            if let [.., other, used] = of_member.keys().collect::<Vec<_>>()[..] {
                tracing::warn!(
                    cluster,
                    used = used.secret,
                    other = other.secret,
                    "several Secrets are links of one member; the newest is used"
                );
            }
            before
        };
        self.tell(
            before.filter(|before| before != cluster).into_iter().chain([cluster.to_owned()]),
        );
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
            fingerprint: [0; 32],
            expires_at: None,
            renewable: None,
            link: Ok(link),
            standing: Standing::Given,
            is_news: false,
        };
        {
            let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
            let of_member = entries.of_members.entry(cluster.to_owned()).or_default();
            of_member.insert(Rank::lowest(), entry);
        }
        self.tell([cluster.to_owned()]);
    }

    /// A Secret is gone: through it the member can no longer be reached. Nothing on it is touched.
    pub fn delete(&self, secret: &Secret) {
        self.forget(|name| *name == secret.name_any());
    }

    /// All Secrets were listed: links of others are gone, whose deletion nobody saw.
    pub fn keep(&self, listed: &BTreeSet<String>) {
        self.forget(|name| !listed.contains(name));
    }

    fn forget(&self, is_gone: impl Fn(&String) -> bool) {
        let touched: Vec<String> = {
            let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
            let gone: Vec<String> =
                entries.of_secrets.keys().filter(|name| is_gone(name)).cloned().collect();
            gone.iter().filter_map(|secret| entries.remove(secret)).collect()
        };
        self.tell(touched);
    }

    fn tell(&self, clusters: impl IntoIterator<Item = String>) {
        for cluster in clusters {
            // Without listeners there is nobody to tell.
            drop(self.moved.send(cluster));
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Entries> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
