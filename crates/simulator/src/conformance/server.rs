//! The server under test, spoken to in raw requests.

use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt};
use http::Method;
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::{Value, json};

use super::Subject;

/// How long anything may take that a controller does.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server, and the namespace that the case may use.
#[derive(Clone)]
pub struct Server {
    subject: Subject,
    pub(super) namespace: String,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Server").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

/// The answer to a request.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) body: Value,
    pub(super) warnings: Vec<String>,
}

impl Answer {
    /// The body of a success.
    #[track_caller]
    pub(super) fn ok(self) -> Value {
        assert!((200..300).contains(&self.code), "{}: {:#}", self.code, self.body);
        self.body
    }

    /// The Status of a failure with this code and reason.
    #[track_caller]
    pub(super) fn fails(self, code: u16, reason: &str) -> Value {
        let found = (self.code, self.body["reason"].as_str().unwrap_or_default());
        assert_eq!(found, (code, reason), "{:#}", self.body);
        assert_eq!(self.body["kind"], "Status");
        assert_eq!(self.body["status"], "Failure");
        assert_eq!(self.body["code"], code);
        self.body
    }
}

impl Server {
    /// Makes a fresh namespace to work in, and waits until it is furnished.
    pub(super) async fn with_namespace(subject: Subject) -> Self {
        let mut server = Self { subject, namespace: String::new() };
        let body = json!({"apiVersion": "v1", "kind": "Namespace",
                          "metadata": {"generateName": "conformance-"}});
        let namespace = server.post("/api/v1/namespaces", &body).await.ok();
        server.namespace = text(&namespace, "/metadata/name");
        let roots = server.core("configmaps");
        server.until(&roots, "kube-root-ca.crt", |_| true).await;
        server
    }

    /// Makes the server forget what objects were like before the revision.
    pub(super) fn compact(&self, revision: u64) {
        (self.subject.compact)(revision);
    }

    /// The path of a core collection in the namespace.
    pub(super) fn core(&self, plural: &str) -> String {
        format!("/api/v1/namespaces/{}/{plural}", self.namespace)
    }

    /// The path of a collection of a group version in the namespace.
    pub(super) fn grouped(&self, group_version: &str, plural: &str) -> String {
        format!("/apis/{group_version}/namespaces/{}/{plural}", self.namespace)
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "", Value::Null).await
    }

    pub(super) async fn get_as(&self, path: &str, accept: &str) -> Answer {
        let request = http::Request::get(path).header("accept", accept).body(Body::empty());
        self.exchange(request.expect("a valid request")).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, "application/json", body.clone()).await
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PUT, path, "application/json", body.clone()).await
    }

    pub(super) async fn patch(&self, path: &str, content_type: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, path, content_type, body.clone()).await
    }

    pub(super) async fn merge(&self, path: &str, body: &Value) -> Answer {
        self.patch(path, "application/merge-patch+json", body).await
    }

    /// Server-side apply; the path carries `fieldManager` and the like.
    pub(super) async fn apply(&self, path: &str, body: &Value) -> Answer {
        self.patch(path, "application/apply-patch+yaml", body).await
    }

    /// Server-side apply of a document as text.
    pub(super) async fn apply_text(&self, path: &str, document: &str) -> Answer {
        let request = http::Request::patch(path)
            .header("content-type", "application/apply-patch+yaml")
            .body(Body::from(document.as_bytes().to_vec()));
        self.exchange(request.expect("a valid request")).await
    }

    pub(super) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, "", Value::Null).await
    }

    pub(super) async fn delete_with(&self, path: &str, options: &Value) -> Answer {
        self.send(Method::DELETE, path, "application/json", options.clone()).await
    }

    async fn send(&self, method: Method, path: &str, content_type: &str, body: Value) -> Answer {
        let mut request = http::Request::builder().method(method).uri(path);
        request = request.header("accept", "application/json");
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.exchange(request.body(Body::from(body)).expect("a valid request")).await
    }

    async fn exchange(&self, request: http::Request<Body>) -> Answer {
        let response = self.subject.client.send(request).await.expect("the server answers");
        let code = response.status().as_u16();
        let warnings = response.headers().get_all("warning");
        let warnings = warnings.into_iter().filter_map(|it| it.to_str().ok());
        let warnings = warnings.map(str::to_owned).collect();
        let body = response.into_body().collect().await.expect("the body arrives").to_bytes();
        let body = serde_json::from_slice(&body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()));
        Answer { code, body, warnings }
    }

    /// Opens a watch: the code of the answer, and its events.
    pub(super) async fn watch(&self, path: &str) -> Events {
        let request = http::Request::get(path).body(Body::empty()).expect("a valid request");
        let response = self.subject.client.send(request).await.expect("the server answers");
        assert_eq!(response.status().as_u16(), 200, "{path}");
        let chunks = response.into_body().into_data_stream().map_err(std::io::Error::other);
        let lines = json_lines(chunks);
        Events { lines: Box::pin(lines) }
    }

    /// Waits until the object exists and is as wanted; returns it.
    pub(super) async fn until(
        &self,
        collection: &str,
        name: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let found = self.follow(collection, name, |it| it.is_some_and(&wanted)).await;
        found.unwrap_or_else(|| panic!("{collection}/{name} did not become as wanted"))
    }

    /// Asks until the code of the answer is the wanted one: for what no watch tells of.
    pub(super) async fn until_answers(&self, path: &str, code: u16) {
        let asked = async {
            while self.get(path).await.code != code {
                tokio::task::yield_now().await;
            }
        };
        let answered = tokio::time::timeout(PATIENCE, asked).await;
        assert!(answered.is_ok(), "{path} did not answer {code} in {PATIENCE:?}");
    }

    /// Waits until the object is gone.
    pub(super) async fn until_gone(&self, collection: &str, name: &str) {
        self.follow(collection, name, |it| it.is_none()).await;
    }

    /// Follows an object until its state (`None`: absent) is as wanted.
    async fn follow(
        &self,
        collection: &str,
        name: &str,
        wanted: impl Fn(Option<&Value>) -> bool,
    ) -> Option<Value> {
        let selected = format!("{collection}?fieldSelector=metadata.name%3D{name}");
        let list = self.get(&selected).await.ok();
        let mut state = list["items"].get(0).cloned();
        let revision = text(&list, "/metadata/resourceVersion");
        let mut events =
            self.watch(&format!("{selected}&watch=true&resourceVersion={revision}")).await;
        let all_of_it = async {
            while !wanted(state.as_ref()) {
                let event = events.next().await;
                state = (event["type"] != "DELETED").then(|| event["object"].clone());
            }
            state.clone()
        };
        match tokio::time::timeout(PATIENCE, all_of_it).await {
            Ok(state) => state,
            Err(_) => panic!("{collection}/{name} did not become as wanted in {PATIENCE:?}"),
        }
    }
}

/// The events of a watch.
pub(super) struct Events {
    lines: std::pin::Pin<Box<dyn Stream<Item = Value> + Send>>,
}

impl Events {
    /// The next event.
    pub(super) async fn next(&mut self) -> Value {
        let next = tokio::time::timeout(PATIENCE, self.lines.next()).await;
        next.expect("an event in time").expect("the watch goes on")
    }

    /// The next event, or `None` when the server ends the watch.
    pub(super) async fn next_or_end(&mut self) -> Option<Value> {
        tokio::time::timeout(PATIENCE, self.lines.next()).await.expect("an event or the end")
    }

    /// The next events as (type, name) pairs.
    pub(super) async fn take(&mut self, count: usize) -> Vec<(String, String)> {
        let mut taken = Vec::new();
        for _ in 0..count {
            let event = self.next().await;
            taken.push((text(&event, "/type"), text(&event, "/object/metadata/name")));
        }
        taken
    }
}

/// JSON values of newline-delimited chunks. A broken connection ends the stream.
fn json_lines(
    chunks: impl Stream<Item = Result<bytes::Bytes, std::io::Error>> + Send + 'static,
) -> impl Stream<Item = Value> + Send {
    let state = (Box::pin(chunks), Vec::<u8>::new());
    futures::stream::unfold(state, |(mut chunks, mut buffer)| async move {
        loop {
            if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                let event = serde_json::from_slice(&line).expect("watch lines are JSON");
                return Some((event, (chunks, buffer)));
            }
            match chunks.next().await {
                Some(Ok(chunk)) => buffer.extend_from_slice(&chunk),
                Some(Err(_)) | None => return None,
            }
        }
    })
}

/// The text at a JSON pointer; empty when there is none.
pub(super) fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A ConfigMap to write.
pub(super) fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

/// A Deployment to write.
pub(super) fn deployment(name: &str, replicas: i64) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
        "replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "main", "image": "example.com/main:1"}]}}}})
}

/// The `items` of a list by name.
pub(super) fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().expect("a list has items");
    items.iter().map(|it| text(it, "/metadata/name")).collect()
}
