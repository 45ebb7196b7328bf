//! How a hub talks to its API server.

use std::time::Duration;

use kube::client::{ClientBuilder, retry::RetryPolicy};
use kube::{Client, Config};
use tower::buffer::BufferLayer;
use tower::retry::RetryLayer;

/// How often a request is repeated that the server could not take now (429, 503, 504): of a kind
/// that is just being defined it says so for a moment.
const RETRIES_MAX: u32 = 4;

/// The first pause; each is twice the one before. All of them are 1.5 s: the kinds and the server
/// of which this is not enough are named well within the ten seconds that users are promised.
const RETRY_FIRST: Duration = Duration::from_millis(100);

/// The longest pause.
const RETRY_LONGEST: Duration = Duration::from_secs(1);

/// How many requests wait to be sent; more wait with whoever makes them.
const REQUESTS_WAITING_MAX: usize = 1024;

/// A client for a hub. By itself, kube would repeat such requests for minutes: an aggregated API
/// without a server would hold up whoever asks for it, and nobody would know.
///
/// # Errors
/// The configuration is not complete.
pub fn client(mut config: Config) -> Result<Client, kube::Error> {
    config.default_retry = false;
    let policy = RetryPolicy::new(RETRY_FIRST, RETRY_LONGEST, RETRIES_MAX, false)
        .expect("the first pause is shorter than the longest");
    let builder = ClientBuilder::try_from(config)?;
    let builder = builder.with_layer(&BufferLayer::new(REQUESTS_WAITING_MAX));
    Ok(builder.with_layer(&RetryLayer::new(policy)).build())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that has one answer.
    async fn server(answer: &'static str) -> (Config, Arc<AtomicU32>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            loop {
                let (mut peer, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let mut request = [0; 4096];
                assert!(peer.read(&mut request).await.unwrap() > 0);
                let head = "connection: close\r\ncontent-length: 0\r\n\r\n";
                let answer = format!("HTTP/1.1 {answer}\r\n{head}");
                peer.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (Config::new(format!("http://{address}").parse().unwrap()), asked)
    }

    #[tokio::test]
    async fn regression_an_api_that_is_not_available_is_heard_of_soon() {
        for (answer, asked_max) in
            [("503 Service Unavailable", 1 + RETRIES_MAX), ("500 Internal Server Error", 1)]
        {
            let (config, asked) = server(answer).await;
            let client = client(config).unwrap();
            let listed = client.list_api_group_resources("metrics.k8s.io/v1beta1");
            let listed = tokio::time::timeout(Duration::from_secs(20), listed).await;
            listed.expect("it is told soon").expect_err("it is not available");
            assert_eq!(asked.load(Ordering::Relaxed), asked_max, "{answer}");
        }
    }
}
