//! Tokens of links, replaced by the hub itself before they end.
//!
//! A token of a service account says when it was given and when it ends. When two thirds of that
//! are over, the member is asked for another one for the same account, for as long as the old one
//! was given, and the link's Secret gets it. Then the link is a new one, and which credential it
//! has is recorded as after a renewal by hand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actors::concerns::{Concerns, Gravity};
use delivery::{Link, LinkError};
use events::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::config::Kubeconfig;
use kube::{Api, Client};
use tokio::time::Instant;

use crate::links::{KUBECONFIG_ENTRY, Links, RenewableToken};

/// How long after an attempt the next one comes, whatever came of it. A failure is told at once and
/// leaves a third of the token's life to mend it.
const TRY_EVERY: Duration = Duration::from_secs(5 * 60);

const CHECK: &str = "credential";

/// Why a token was not renewed.
#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    /// The member gives none.
    #[error("the member gives no new token: {0}")]
    Member(LinkError),
    /// The Secret changed meanwhile, which may have been a renewal by hand.
    #[error("the Secret {0} was changed meanwhile")]
    Changed(String),
    /// The Secret holds something else than it did.
    #[error("the Secret {0} holds no kubeconfig with the token that was read")]
    Unreadable(String),
    /// The hub's API server does not take it.
    #[error("the Secret {secret} cannot be read or written: {source}")]
    Hub {
        /// Which.
        secret: String,
        /// What it said.
        source: Box<kube::Error>,
    },
}

/// The renewals of all members. Cheap to clone.
#[derive(Clone)]
pub struct Renewals {
    secrets: Api<Secret>,
    tried: Arc<Mutex<BTreeMap<String, Instant>>>,
}

impl Renewals {
    /// Renewals of the links in a namespace of the hub.
    #[must_use]
    pub fn new(client: Client, system_namespace: String) -> Self {
        Self { secrets: Api::namespaced(client, &system_namespace), tried: Arc::default() }
    }

    /// Renews the token of a member's link if it is time, and says so when that does not work.
    pub(super) async fn look(&self, cluster: &str, links: &Links, concerns: &Concerns) {
        let Some(token) = links.renewable(cluster) else {
            self.forget(cluster, concerns);
            return;
        };
        if !token.is_due(Timestamp::now()) {
            self.forget(cluster, concerns);
            return;
        }
        if !self.may_try(cluster) {
            return;
        }
        let Ok(link) = links.get(cluster) else { return };
        let concern = match self.renew(&*link, &token).await {
            Ok(()) => {
                tracing::info!(%cluster, "the token of the link was renewed");
                None
            }
            Err(error) => Some(format!(
                "the token of the link ends at {} and cannot be renewed: {error}; renew it with: \
                 taffrail join {cluster} --member-kubeconfig FILE",
                token.expires_at
            )),
        };
        concerns.set(CHECK, cluster, Gravity::Warning, concern);
    }

    pub(super) fn forget(&self, cluster: &str, concerns: &Concerns) {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner).remove(cluster);
        concerns.settle(CHECK, cluster);
    }

    fn may_try(&self, cluster: &str) -> bool {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let is_early = tried.get(cluster).is_some_and(|at| at.elapsed() < TRY_EVERY);
        if !is_early {
            tried.insert(cluster.to_owned(), Instant::now());
        }
        !is_early
    }

    /// Puts a new token in the place of one.
    ///
    /// # Errors
    /// When the member gives none, or the Secret cannot take it.
    pub async fn renew(&self, link: &dyn Link, token: &RenewableToken) -> Result<(), RenewalError> {
        let name = token.secret.clone();
        let hub = |source| RenewalError::Hub { secret: name.clone(), source: Box::new(source) };
        let mut secret = self.secrets.get(&token.secret).await.map_err(hub)?;
        let entry = secret.data.get_or_insert_default().entry(KUBECONFIG_ENTRY.to_owned());
        let entry = entry.or_default();
        // Before the member is asked: what it gives is to be kept.
        if !token.is_in(&entry.0) {
            return Err(RenewalError::Changed(name));
        }
        let asked = link.token(&token.namespace, &token.account, token.life_seconds());
        let fresh = asked.await.map_err(RenewalError::Member)?;
        let kubeconfig = with_token(&entry.0, &fresh);
        *entry = ByteString(kubeconfig.ok_or_else(|| RenewalError::Unreadable(name.clone()))?);
        // It names the version that was read.
        match self.secrets.replace(&name, &PostParams::default(), &secret).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => Err(RenewalError::Changed(name)),
            Err(error) => Err(hub(error)),
        }
    }
}

/// A kubeconfig whose current user has this token.
fn with_token(kubeconfig: &[u8], token: &str) -> Option<Vec<u8>> {
    let mut kubeconfig = Kubeconfig::from_yaml(std::str::from_utf8(kubeconfig).ok()?).ok()?;
    let current = kubeconfig.current_context.as_ref()?;
    let context = kubeconfig.contexts.iter().find(|context| context.name == *current)?;
    let user = context.context.as_ref()?.user.as_ref()?;
    let user = kubeconfig.auth_infos.iter_mut().find(|info| info.name == *user)?;
    user.auth_info.as_mut()?.token = Some(token.to_owned().into());
    serde_json::to_vec(&kubeconfig).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_of_the_current_user_changes() {
        let kubeconfig = "{current-context: there, contexts: [{name: there, context: {cluster: c, \
                          user: u}}], clusters: [{name: c, cluster: {server: 'https://m:1'}}], users: \
                          [{name: other, user: {token: kept}}, {name: u, user: {token: old}}]}";
        let renewed = with_token(kubeconfig.as_bytes(), "new").unwrap();
        let renewed: serde_json::Value = serde_json::from_slice(&renewed).unwrap();
        assert_eq!(renewed["users"][0]["user"]["token"], "kept");
        assert_eq!(renewed["users"][1]["user"]["token"], "new");
        assert_eq!(renewed["clusters"][0]["cluster"]["server"], "https://m:1");
        assert_eq!(with_token(b"current-context: there", "new"), None);
    }
}
