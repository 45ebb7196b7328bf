//! What people said about what is held.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;

use crate::watch::{Told, Watcher};

/// The name of the ConfigMap with the answers: tokens are its keys.
pub const ANSWERS: &str = "taffrail-held";

/// The answer that a loss counts.
pub const CONFIRM: &str = "confirm";

/// The tokens of what was confirmed. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Answers {
    confirmed: watch::Sender<BTreeSet<String>>,
}

impl Default for Answers {
    fn default() -> Self {
        Self { confirmed: watch::Sender::new(BTreeSet::new()) }
    }
}

impl Answers {
    /// Whether somebody confirmed this loss.
    pub(crate) fn is_confirmed(&self, token: &str) -> bool {
        self.confirmed.borrow().contains(token)
    }

    /// The tokens of everything that was confirmed.
    pub(super) fn all(&self) -> BTreeSet<String> {
        self.confirmed.borrow().clone()
    }

    /// Tells when there are other answers.
    pub(crate) fn changes(&self) -> watch::Receiver<BTreeSet<String>> {
        self.confirmed.subscribe()
    }

    fn take(&self, answers: Option<&ConfigMap>) {
        let data = answers.and_then(|answers| answers.data.as_ref());
        let confirmed = data.into_iter().flatten().filter(|(_, answer)| *answer == CONFIRM);
        let confirmed: BTreeSet<String> = confirmed.map(|(token, _)| token.clone()).collect();
        self.confirmed.send_if_modified(|known| {
            let is_news = *known != confirmed;
            *known = confirmed;
            is_news
        });
    }

    /// Keeps them current for ever.
    pub(crate) async fn watch(self, client: Client, namespace: String, watcher: Watcher) {
        let api: Api<ConfigMap> = Api::namespaced(client, &namespace);
        let mut watching = watcher.watch_own(api, format!("configmaps -n {namespace}"));
        loop {
            match watching.next().await {
                Told::There(map) if map.name_any() == ANSWERS => self.take(Some(&map)),
                Told::Deleted(map) if map.name_any() == ANSWERS => self.take(None),
                Told::Complete(names) if !names.iter().any(|(_, name)| name == ANSWERS) => {
                    self.take(None);
                }
                Told::There(_) | Told::Deleted(_) | Told::Complete(_) | Told::Failing(_) => {}
            }
        }
    }
}
