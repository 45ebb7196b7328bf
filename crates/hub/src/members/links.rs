//! Link Secrets, from the hub's API server to [`Links`].

use std::collections::BTreeSet;

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_objects};
use kube::{Api, Client, ResourceExt};

use crate::links::Links;

/// Keeps links current for ever. A link whose Secret a complete list does not name is dropped:
/// through it nothing can be reached, and nothing on the member is touched.
pub(super) async fn watch(client: Client, namespace: String, links: Links) {
    let api: Api<Secret> = Api::namespaced(client, &namespace);
    let mut stream = Box::pin(watch_objects(api, watcher::Config::default()).default_backoff());
    let mut listed = BTreeSet::new();
    loop {
        match stream.try_next().await {
            Ok(Some(Event::Init)) => listed.clear(),
            Ok(Some(Event::InitApply(secret))) => {
                listed.insert(secret.name_any());
                links.apply(&secret).await;
            }
            Ok(Some(Event::InitDone)) => links.keep(&std::mem::take(&mut listed)),
            Ok(Some(Event::Apply(secret))) => links.apply(&secret).await,
            Ok(Some(Event::Delete(secret))) => links.delete(&secret),
            Ok(None) => return,
            Err(error) => tracing::warn!(%error, "the watch of links is tried again"),
        }
    }
}
