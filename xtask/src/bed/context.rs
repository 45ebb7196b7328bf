//! How to reach a cluster of the bed: a kubeconfig context and what is in it.

use std::{fmt::Write, time::SystemTime};

use anyhow::Result;
use base64::{Engine, engine::general_purpose::STANDARD};

use super::pki::Credentials;

/// A cluster's address with an administrator's credentials.
#[derive(Debug, Clone)]
pub struct Context {
    /// The context's name in the kubeconfig: `hub`, `member-1`, …
    pub name: String,
    /// The API server, such as `https://127.0.0.1:21234`.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// Certificates and key, PEM.
    pub credentials: Credentials,
}

impl Context {
    /// A kubeconfig with this context alone.
    pub fn kubeconfig(&self) -> String {
        kubeconfig(std::slice::from_ref(self))
    }

    /// The same with credentials that expire.
    ///
    /// # Errors
    /// When there is no certificate to be made.
    pub fn kubeconfig_until(&self, end: SystemTime) -> Result<String> {
        let credentials = self.credentials.until(&self.name, end)?;
        Ok(Self { credentials, ..self.clone() }.kubeconfig())
    }
}

/// A kubeconfig with all contexts; the first one is current. Certificates are inline, so that
/// the file can be copied into a Secret or a container.
pub(crate) fn kubeconfig(contexts: &[Context]) -> String {
    let current = contexts.first().map_or("", |context| context.name.as_str());
    let (mut clusters, mut users, mut entries) = (String::new(), String::new(), String::new());
    for Context { name, server, credentials, .. } in contexts {
        let ca = STANDARD.encode(&credentials.ca_certificate);
        let certificate = STANDARD.encode(&credentials.client_certificate);
        let key = STANDARD.encode(&credentials.client_key);
        write!(
            clusters,
            "- name: {name}\n  cluster:\n    server: {server}\n    \
             certificate-authority-data: {ca}\n"
        )
        .and_then(|()| {
            write!(
                users,
                "- name: {name}\n  user:\n    client-certificate-data: {certificate}\n    \
                 client-key-data: {key}\n"
            )
        })
        .and_then(|()| {
            write!(entries, "- name: {name}\n  context:\n    cluster: {name}\n    user: {name}\n")
        })
        .expect("writing to a string does not fail");
    }
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {current}\n\
         clusters:\n{clusters}users:\n{users}contexts:\n{entries}"
    )
}
