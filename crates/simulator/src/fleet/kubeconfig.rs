//! Kubeconfig files for a served fleet.

use std::net::SocketAddr;

use serde_json::json;

/// A kubeconfig with one context for each (context, cluster) pair, served at the address. The
/// first is the current one. The text is JSON, which is YAML.
pub fn kubeconfig(server: SocketAddr, contexts: &[(&str, &str)]) -> String {
    let named = |name: &str, key: &str, value: serde_json::Value| json!({"name": name, key: value});
    let clusters: Vec<_> = contexts
        .iter()
        .map(|(context, cluster)| {
            let url = format!("http://{server}/clusters/{cluster}");
            named(context, "cluster", json!({"server": url}))
        })
        .collect();
    let entries: Vec<_> = contexts
        .iter()
        .map(|(context, _)| {
            let link = json!({"cluster": context, "user": context, "namespace": "default"});
            named(context, "context", link)
        })
        .collect();
    // Everybody may do everything; the token says where requests without the path of the URL go.
    let user =
        |(context, cluster): &(&str, &str)| named(context, "user", json!({"token": cluster}));
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": clusters,
        "contexts": entries,
        "current-context": contexts.first().map_or("", |(context, _)| context),
        "users": contexts.iter().map(user).collect::<Vec<_>>(),
    });
    serde_yaml_ng::to_string(&config).unwrap_or_else(|_| config.to_string())
}
