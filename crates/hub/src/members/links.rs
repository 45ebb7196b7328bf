//! Link Secrets, from the hub's API server to [`Links`].

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

use crate::links::Links;
use crate::watch::{Told, Watcher};

/// Keeps links current for ever. A link whose Secret a complete list does not name is dropped:
/// through it nothing can be reached, and nothing on the member is touched.
pub(super) async fn watch(client: Client, namespace: String, links: Links, watcher: Watcher) {
    let api: Api<Secret> = Api::namespaced(client, &namespace);
    let mut watching = watcher.watch_own(api, format!("secrets -n {namespace}"));
    loop {
        match watching.next().await {
            Told::There(secret) => links.apply(&secret).await,
            Told::Deleted(secret) => links.delete(&secret),
            Told::Complete(names) => {
                links.keep(&names.into_iter().map(|(_, name)| name).collect());
            }
            Told::Failing(_) => {}
        }
    }
}
