//! The two servers, behind the same words.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use futures::{StreamExt as _, TryStreamExt as _};
use http_body_util::BodyExt as _;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use simulator::{Cluster, ClusterOptions, Reply, Request, Response, Timestamp, watch_events};

/// The time in the simulator. It stands still: what happens by itself does not happen.
const NOW: &str = "2026-01-01T00:00:00Z";

pub(crate) enum Server {
    Real(Client),
    Simulated(Box<Mutex<Cluster>>),
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) warnings: Vec<String>,
    /// Text that is no JSON is a JSON string.
    pub(crate) body: Value,
}

impl Answer {
    /// All of it as one document, to be compared.
    pub(crate) fn document(&self) -> Value {
        json!({"status": self.status, "contentType": self.content_type,
               "warnings": self.warnings, "body": self.body})
    }
}

pub(crate) async fn real(kubeconfig: &str) -> Server {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    config.default_retry = false;
    config.proxy_url = None;
    Server::Real(Client::try_from(config).unwrap())
}

pub(crate) fn simulated() -> Server {
    let options = ClusterOptions::default().with_bootstrap_objects();
    Server::Simulated(Box::new(Mutex::new(Cluster::new(now(), options))))
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

impl Server {
    /// Lets controllers see what was written. On the real server they always do.
    pub(crate) fn settle(&self) {
        if let Self::Simulated(cluster) = self {
            cluster.lock().unwrap_or_else(PoisonError::into_inner).tick(now());
        }
    }

    pub(crate) async fn send(&self, request: &Request) -> Answer {
        match self {
            Self::Real(client) => send_to_real(client, request).await,
            Self::Simulated(cluster) => {
                let mut cluster = cluster.lock().unwrap_or_else(PoisonError::into_inner);
                let handle = AssertUnwindSafe(|| cluster.handle(now(), request));
                match catch_unwind(handle).unwrap_or_else(panicked) {
                    Response::Reply(reply) => Answer {
                        status: reply.status,
                        content_type: reply.content_type.to_owned(),
                        warnings: reply.warnings.clone(),
                        body: document(&reply.body),
                    },
                    Response::Watch(id) => {
                        cluster.close_watch(id);
                        panic!("{} opened a watch", request.path)
                    }
                }
            }
        }
    }

    /// The events of a watch, up to that of the object with this name. A refusal is one event.
    pub(crate) async fn watch(&self, request: &Request, fence: &str) -> Vec<Value> {
        match self {
            Self::Real(client) => watch_real(client, request, fence).await,
            Self::Simulated(cluster) => {
                let mut cluster = cluster.lock().unwrap_or_else(PoisonError::into_inner);
                let id = match cluster.handle(now(), request) {
                    Response::Reply(reply) => return vec![reply.value()],
                    Response::Watch(id) => id,
                };
                let events = watch_events(&cluster.poll_watch(now(), id).lines);
                cluster.close_watch(id);
                up_to(events, fence)
            }
        }
    }
}

/// A request that breaks the simulator is a difference like any other.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    Response::Reply(Reply {
        status: 0,
        content_type: "",
        body: "the simulator panicked".into(),
        warnings: Vec::new(),
    })
}

/// The events without those behind the fence.
fn up_to(mut events: Vec<Value>, fence: &str) -> Vec<Value> {
    if let Some(end) = events.iter().position(|it| is_fence(it, fence)) {
        events.truncate(end + 1);
    }
    events
}

fn is_fence(event: &Value, fence: &str) -> bool {
    let object = &event["object"];
    object["metadata"]["name"] == fence
        || object["rows"][0]["object"]["metadata"]["name"] == fence
        || object["rows"][0]["cells"][0] == fence
}

fn document(body: &[u8]) -> Value {
    serde_json::from_slice(body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned()))
}

fn encoded(request: &Request) -> http::Request<Body> {
    let uri = match request.query.as_str() {
        "" => request.path.clone(),
        query => format!("{}?{query}", request.path),
    };
    let mut encoded = http::Request::builder().method(request.method.clone()).uri(uri);
    for (header, value) in [
        ("accept", &request.accept),
        ("content-type", &request.content_type),
        ("user-agent", &request.user_agent),
    ] {
        if !value.is_empty() {
            encoded = encoded.header(header, value);
        }
    }
    encoded.body(Body::from(request.body.to_vec())).unwrap()
}

async fn send_to_real(client: &Client, request: &Request) -> Answer {
    let response = client.send(encoded(request)).await.expect("the server answers");
    let header = |name: &str| {
        let values = response.headers().get_all(name).into_iter();
        values.filter_map(|it| it.to_str().ok()).map(str::to_owned).collect::<Vec<_>>()
    };
    let status = response.status().as_u16();
    let content_type = header("content-type").join(",");
    let warnings = header("warning").iter().map(|it| warning_text(it)).collect();
    let body = response.into_body().collect().await.expect("the body arrives").to_bytes();
    Answer { status, content_type, warnings, body: document(&body) }
}

/// The text in `299 - "text"`.
fn warning_text(header: &str) -> String {
    let quoted = header.strip_prefix("299 - ").unwrap_or(header);
    serde_json::from_str(quoted).unwrap_or_else(|_| quoted.to_owned())
}

async fn watch_real(client: &Client, request: &Request, fence: &str) -> Vec<Value> {
    let response = client.send(encoded(request)).await.expect("the server answers");
    let mut chunks = response.into_body().into_data_stream().map_err(std::io::Error::other);
    let mut text: Vec<u8> = Vec::new();
    loop {
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let events = watch_events(&text[..whole]);
        if events.iter().any(|it| is_fence(it, fence)) {
            return up_to(events, fence);
        }
        match chunks.next().await {
            Some(chunk) => text.extend_from_slice(&chunk.expect("a chunk of the watch")),
            None => return watch_events(&text),
        }
    }
}
