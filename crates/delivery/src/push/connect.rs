//! From a kubeconfig to a client.

use std::time::Duration;

use http::HeaderValue;
use http::header::USER_AGENT;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::requests::chain;

/// How long connecting to a member may take. Long enough for the other side of the world and a lost
/// packet.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client for the current context of a kubeconfig, and the address that it goes to; or why there
/// is none.
pub(super) async fn client(
    kubeconfig_yaml: &str,
    user_agent: &str,
) -> Result<(Client, String), String> {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig_yaml)
        .map_err(|_| "the kubeconfig is not a kubeconfig in YAML".to_owned())?;
    if let Some(reason) = reason_not_self_contained(&kubeconfig) {
        return Err(reason);
    }
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|error| format!("the kubeconfig cannot be used: {}", chain(&error)))?;
    // kube takes proxies from the environment of the hub. They are not part of the kubeconfig.
    config.proxy_url = None;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // Requests have a deadline of their own, and are repeated by us: see `requests`.
    config.read_timeout = None;
    config.default_retry = false;
    let user_agent = HeaderValue::from_str(user_agent)
        .map_err(|_| format!("{user_agent:?} cannot be a user agent"))?;
    config.headers.push((USER_AGENT, user_agent));
    let address = address_of(&config.cluster_url);
    let client = Client::try_from(config)
        .map_err(|error| format!("the kubeconfig cannot be used: {}", chain(&error)))?;
    Ok((client, address))
}

/// Scheme, host and port, without anything else that an address can hold.
fn address_of(url: &http::Uri) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme_str().unwrap_or("https"), url.host().unwrap_or_default())
}

/// Why a kubeconfig would make the hub read its own files, run programs, or go through a proxy.
fn reason_not_self_contained(kubeconfig: &Kubeconfig) -> Option<String> {
    let instead = |field: &str, instead: &str| {
        Some(format!("the kubeconfig uses {field}, which the hub does not follow: {instead}"))
    };
    for named in &kubeconfig.clusters {
        let Some(cluster) = &named.cluster else { continue };
        if cluster.certificate_authority.is_some() {
            return instead("certificate-authority", "put certificate-authority-data into it");
        }
        if cluster.proxy_url.is_some() {
            return instead("proxy-url", "the member has to be reachable directly");
        }
    }
    for named in &kubeconfig.auth_infos {
        let Some(user) = &named.auth_info else { continue };
        for (is_used, field, other) in [
            (user.exec.is_some(), "exec", "use a token or a client certificate"),
            (user.auth_provider.is_some(), "auth-provider", "use a token or a client certificate"),
            (user.token_file.is_some(), "tokenFile", "put the token into it"),
            (
                user.client_certificate.is_some(),
                "client-certificate",
                "put client-certificate-data into it",
            ),
            (user.client_key.is_some(), "client-key", "put client-key-data into it"),
        ] {
            if is_used {
                return instead(field, other);
            }
        }
    }
    None
}

#[cfg(test)]
#[path = "connect_tests.rs"]
mod tests;
