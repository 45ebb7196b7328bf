//! The hub's HTTP API, asked.
//!
//! The client is that of Kubernetes: an HTTP client like any other, and already here.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use api::http::ErrorBody;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use kube::client::Body;
use serde::de::DeserializeOwned;

use crate::usage::Usage;

/// Where a hub is when nobody says.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:8321";

/// How long connecting may take: hubs are near.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The most bytes of one answer. A page of a thousand events has half a megabyte; a line of a
/// stream has one event.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Nobody answers there.
#[derive(Debug, thiserror::Error)]
#[error(
    "the hub at {server} does not answer; start one with: taffrail hub --config taffrail.toml, or \
     say where it is: --server URL"
)]
pub(crate) struct Unreached {
    server: String,
}

/// A hub, as others see it.
#[derive(Clone)]
pub struct HubClient {
    server: String,
    client: kube::Client,
}

impl std::fmt::Debug for HubClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HubClient").field("server", &self.server).finish_non_exhaustive()
    }
}

impl HubClient {
    /// A client for the hub at a URL. Must be made within a tokio runtime.
    ///
    /// # Errors
    /// When it is no URL.
    pub fn new(server: &str) -> Result<Self> {
        let uri: http::Uri = server
            .parse()
            .ok()
            .filter(|uri: &http::Uri| {
                matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some()
            })
            .ok_or_else(|| {
                let how = format!("write --server {DEFAULT_SERVER}, or set TAFFRAIL_SERVER");
                Usage::new(format!("{server:?} is no URL of a hub"), how)
            })?;
        let mut config = kube::Config::new(uri);
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.default_retry = false;
        let client = kube::Client::try_from(config).context("no HTTP client can be made")?;
        Ok(Self { server: server.trim_end_matches('/').to_owned(), client })
    }

    /// Asks for JSON.
    ///
    /// # Errors
    /// When the hub does not answer, or says why it has no answer.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T> {
        let (status, bytes) = self.fetch(path, query).await?;
        if !status.is_success() {
            return Err(refused(status, &bytes));
        }
        self.read(&bytes)
    }

    /// Asks for JSON that comes with any status.
    ///
    /// # Errors
    /// When the hub does not answer, or with something else.
    pub async fn get_any<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let (_, bytes) = self.fetch(path, &[]).await?;
        self.read(&bytes)
    }

    /// Asks for lines of JSON, and passes each on until there are no more.
    ///
    /// # Errors
    /// When the hub does not answer, breaks off, or `take` fails.
    pub async fn follow<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
        mut take: impl FnMut(T) -> Result<()>,
    ) -> Result<()> {
        let response = self.send(path, query).await?;
        let status = response.status();
        let mut body = response.into_body();
        if !status.is_success() {
            return Err(refused(status, &body.collect().await?.to_bytes()));
        }
        let mut waiting: Vec<u8> = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.context("the hub broke off")?;
            let Some(data) = frame.data_ref() else { continue };
            waiting.extend_from_slice(data);
            if waiting.len() > ANSWER_BYTES_MAX {
                bail!("the hub sends a line without an end");
            }
            while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = waiting.drain(..=end).collect();
                if !line.trim_ascii().is_empty() {
                    take(self.read(&line)?)?;
                }
            }
        }
        Ok(())
    }

    async fn fetch(&self, path: &str, query: &[(&str, String)]) -> Result<(StatusCode, Vec<u8>)> {
        let response = self.send(path, query).await?;
        let status = response.status();
        let body = http_body_util::Limited::new(response.into_body(), ANSWER_BYTES_MAX);
        let body =
            body.collect().await.map_err(|error| anyhow!("the answer broke off: {error}"))?;
        Ok((status, body.to_bytes().to_vec()))
    }

    async fn send(&self, path: &str, query: &[(&str, String)]) -> Result<http::Response<Body>> {
        let request = Request::builder()
            .method(Method::GET)
            .uri(target(path, query))
            .header(http::header::ACCEPT, "application/json")
            .body(Body::empty())
            .context("the question cannot be put into a request")?;
        let answer = self.client.send(request).await;
        answer.with_context(|| Unreached { server: self.server.clone() })
    }

    fn read<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
        serde_json::from_slice(bytes).with_context(|| {
            format!("{} does not answer like a Taffrail hub; check --server", self.server)
        })
    }
}

fn refused(status: StatusCode, bytes: &[u8]) -> anyhow::Error {
    match serde_json::from_slice::<ErrorBody>(bytes) {
        Ok(ErrorBody { error, hint: Some(hint) }) => anyhow!("{error}; {hint}"),
        Ok(ErrorBody { error, hint: None }) => anyhow!(error),
        Err(_) => anyhow!("the hub answers with {status}"),
    }
}

/// A path with a query, percent-encoded.
fn target(path: &str, query: &[(&str, String)]) -> String {
    let mut target = encoded(path, "/");
    for (index, (name, value)) in query.iter().enumerate() {
        let separator = if index == 0 { '?' } else { '&' };
        write!(target, "{separator}{name}={}", encoded(value, "")).expect("a String takes it");
    }
    target
}

/// Text without anything that means something in a URL, but for what is in `kept`.
fn encoded(text: &str, kept: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        let character = char::from(byte);
        if byte.is_ascii_alphanumeric() || "-_.~".contains(character) || kept.contains(character) {
            encoded.push(character);
        } else {
            write!(encoded, "%{byte:02X}").expect("a String takes it");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_encoded() {
        let query = [("principal", "user:a b".to_owned()), ("limit", "3".to_owned())];
        assert_eq!(target("/e", &query), "/e?principal=user%3Aa%20b&limit=3");
    }

    #[test]
    fn regression_names_in_paths_are_encoded() {
        assert_eq!(target("/history/cluster/a?b#c%", &[]), "/history/cluster/a%3Fb%23c%25");
    }

    #[tokio::test]
    async fn what_is_no_url_is_refused_with_how_to_write_one() {
        for server in ["hub:1:2", "hub:8321", "ftp://hub", "", "http://"] {
            let error = HubClient::new(server).unwrap_err();
            let usage: &Usage = error.downcast_ref().unwrap();
            assert_eq!(usage.what, format!("{server:?} is no URL of a hub"));
            assert!(usage.how.starts_with("write --server http://127.0.0.1:8321"), "{usage:?}");
        }
    }
}
