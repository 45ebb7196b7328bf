//! Single requests to one member: their paths, deadlines, number and what their failure means.

use std::time::Duration;

use events::cluster::LinkProblem;
use kube::Client;
use kube::core::Status;
use kube::core::params::{
    DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams, Preconditions,
    PropagationPolicy,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::discovery::Resource;
use crate::plan::FIELD_MANAGER;

/// How many requests one member is asked at once, over all deliveries to it. An API server serves
/// 200 writes at a time by default and has other clients; at twice this number a small control
/// plane starts to throttle. More wait in order of arrival.
pub const REQUESTS_IN_FLIGHT_PER_MEMBER_MAX: usize = 32;

/// How long one request may take. Longer than any healthy answer and than webhooks are given by
/// default (10 s); a member that needs more is treated as one that does not answer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// How often a request is sent again that the member was too busy for. What is still refused then
/// ends the order as busy, and its caller comes back later.
pub const RETRIES_WHEN_BUSY_MAX: u32 = 3;

/// The pause before a busy member is asked again the first time; it doubles each time.
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// Why a request came to nothing.
#[derive(Debug)]
pub(super) enum CallError {
    /// The member answered that it will not do it.
    Refused(Box<Status>),
    /// The member cannot be used at all. Whether the request had an effect is not known.
    Unusable { problem: LinkProblem, message: String },
    /// The member is too busy.
    Busy(String),
    /// The member did not finish the request in time, by its own word or because nothing came:
    /// whether it had an effect is not known. It may answer others.
    TimedOut(String),
}

/// Sends requests to one member.
pub(super) struct Requests {
    client: Client,
    /// Where the member is said to be, if that is known.
    address: Option<String>,
    permits: Semaphore,
}

impl Requests {
    pub(super) fn new(client: Client, address: Option<String>) -> Self {
        Self { client, address, permits: Semaphore::new(REQUESTS_IN_FLIGHT_PER_MEMBER_MAX) }
    }

    /// That nothing useful comes from the member's address, and why.
    pub(super) fn unreachable(&self, cause: &str) -> CallError {
        let message = match &self.address {
            Some(address) => format!("{address} does not answer as it should: {cause}"),
            None => cause.to_owned(),
        };
        CallError::Unusable { problem: LinkProblem::Unreachable, message }
    }

    /// The client, for watches: they are not requests that come to an end.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) async fn get(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Value, CallError> {
        let request = resource.at(namespace).get(name, &GetParams::default());
        self.send(request).await
    }

    /// Server-side apply in our name.
    pub(super) async fn apply(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        body: &Value,
        force: bool,
    ) -> Result<Value, CallError> {
        let mut params = PatchParams::apply(FIELD_MANAGER);
        params.force = force;
        self.send(resource.at(namespace).patch(name, &params, &Patch::Apply(body))).await
    }

    /// JSON merge patch in our name, of the object or of one of its subresources.
    pub(super) async fn merge(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        subresource: Option<&str>,
        patch: &Value,
    ) -> Result<Value, CallError> {
        let at = resource.at(namespace);
        let params =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(patch);
        self.send(match subresource {
            None => at.patch(name, &params, &patch),
            Some(subresource) => at.patch_subresource(subresource, name, &params, &patch),
        })
        .await
    }

    pub(super) async fn create(
        &self,
        resource: &Resource,
        namespace: &str,
        body: &Value,
    ) -> Result<Value, CallError> {
        let params =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        self.send(resource.at(namespace).create(&params, body.to_string().into_bytes())).await
    }

    /// Deletes exactly this version of this object. Returns the object if it is still there after
    /// that, waiting for something.
    pub(super) async fn delete(
        &self,
        resource: &Resource,
        live: &Value,
        propagation: PropagationPolicy,
    ) -> Result<Option<Value>, CallError> {
        let field = |name: &str| live["metadata"][name].as_str();
        let params = DeleteParams {
            propagation_policy: Some(propagation),
            preconditions: Some(Preconditions {
                uid: field("uid").map(str::to_owned),
                resource_version: field("resourceVersion").map(str::to_owned),
            }),
            ..DeleteParams::default()
        };
        let at = resource.at(field("namespace").unwrap_or_default());
        let answer: Value =
            self.send(at.delete(field("name").unwrap_or_default(), &params)).await?;
        let is_still_there =
            answer["kind"] != "Status" && !answer["metadata"]["deletionTimestamp"].is_null();
        Ok(is_still_there.then_some(answer))
    }

    /// A request that is put together elsewhere.
    pub(super) async fn send_request(
        &self,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Value, CallError> {
        self.send(request).await
    }

    /// One page of a list, as much of it as the caller wants to see.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        resource: &Resource,
        params: &ListParams,
    ) -> Result<T, CallError> {
        self.send(resource.at("").list(params)).await
    }

    /// GET of a path that is not an object, such as discovery.
    pub(super) async fn get_path(&self, path: &str) -> Result<Value, CallError> {
        self.parsed(&self.get_text(path).await?)
    }

    /// GET of a path that answers with text.
    pub(super) async fn get_text(&self, path: &str) -> Result<String, CallError> {
        let request = http::Request::get(path).body(Vec::new());
        self.send_text(request.map_err(|error| cannot_send(&error))?).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<T, CallError> {
        self.parsed(&self.send_text(request.map_err(|error| cannot_send(&error))?).await?)
    }

    async fn send_text(&self, request: http::Request<Vec<u8>>) -> Result<String, CallError> {
        let mut pause = BUSY_PAUSE;
        for _ in 0..RETRIES_WHEN_BUSY_MAX {
            match self.send_once(request.clone()).await {
                Err(CallError::Busy(_)) => tokio::time::sleep(pause).await,
                outcome => return outcome,
            }
            pause *= 2;
        }
        self.send_once(request).await
    }

    async fn send_once(&self, request: http::Request<Vec<u8>>) -> Result<String, CallError> {
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        match tokio::time::timeout(REQUEST_TIMEOUT, self.client.request_text(request)).await {
            Ok(answer) => answer.map_err(|error| self.call_error(error)),
            Err(_) => {
                let seconds = REQUEST_TIMEOUT.as_secs();
                Err(CallError::TimedOut(format!("no answer within {seconds} s")))
            }
        }
    }

    /// What a failed request means.
    fn call_error(&self, error: kube::Error) -> CallError {
        let kube::Error::Api(status) = error else { return self.unreachable(&chain(&error)) };
        match status.code {
            401 => CallError::Unusable {
                problem: LinkProblem::Unauthorized,
                message: "the member refuses the credential: renew the kubeconfig in the Secret"
                    .to_owned(),
            },
            429 | 503 => CallError::Busy(format!("it answers with {}", status.code)),
            504 => CallError::TimedOut("it answers with 504".to_owned()),
            _ => CallError::Refused(status),
        }
    }

    fn parsed<T: DeserializeOwned>(&self, text: &str) -> Result<T, CallError> {
        // Not the text, and not the position in it: it may be a Secret.
        serde_json::from_str(text).map_err(|_| {
            self.unreachable(
                "this is not what a kube-apiserver answers: is the address that of one?",
            )
        })
    }
}

fn cannot_send(error: &(dyn std::error::Error + 'static)) -> CallError {
    CallError::Refused(Status::failure(&chain(error), "RequestNotBuilt").with_code(400).boxed())
}

/// An error with its causes, each said once: the outermost ones of the HTTP stack say nothing.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if parts.last().is_none_or(|last| !last.contains(&text)) {
            parts.push(text);
        }
        next = error.source();
    }
    parts.join(": ")
}
