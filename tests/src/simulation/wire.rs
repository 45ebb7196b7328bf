//! The network between nodes and members: every request waits here until the scheduler says what
//! becomes of it.
//!
//! A request may outlive whoever sent it: it lands, or does not, after its node crashed or gave up
//! waiting. Watches are carried at once or kept waiting, but never fail: a client backs off after a
//! broken watch for a random time that no seed knows.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt;
use kube::client::Body;
use simulator::{SimulatedBody, TransportError};
use tokio::sync::oneshot;
use tower::Service;
use uuid::Uuid;

type Answer = Result<http::Response<SimulatedBody>, TransportError>;

/// A request on its way.
pub struct Waiting {
    /// Which run of which node sent it.
    pub sender: Uuid,
    /// The node's name, for the trace.
    pub node: String,
    /// To which member.
    pub member: String,
    /// When it was sent.
    pub sent_ms: u64,
    /// What it is.
    pub request: http::Request<Bytes>,
    reply: oneshot::Sender<Answer>,
}

impl Waiting {
    /// Whether it is a watch.
    #[must_use]
    pub fn is_watch(&self) -> bool {
        self.request.uri().query().is_some_and(|query| query.contains("watch=true"))
    }

    /// Whether it changes something.
    #[must_use]
    pub fn is_write(&self) -> bool {
        self.request.method() != http::Method::GET
    }

    /// Whether its sender crashed or does not wait for the answer any more.
    #[must_use]
    pub fn is_forsaken(&self) -> bool {
        self.reply.is_closed()
    }

    /// Splits it into what is sent and whom the answer goes to.
    #[must_use]
    pub fn split(self) -> (http::Request<Bytes>, Return) {
        (self.request, Return { node: self.node, member: self.member, reply: self.reply })
    }
}

/// The way back of an answer.
pub struct Return {
    /// To which node, for the trace.
    pub node: String,
    /// From which member.
    pub member: String,
    reply: oneshot::Sender<Answer>,
}

impl Return {
    /// Carries the answer. Its recipient may have gone.
    pub fn carry(self, answer: Answer) {
        drop(self.reply.send(answer));
    }
}

#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    now_ms: u64,
}

/// The network. Cheap to clone.
#[derive(Clone, Default)]
pub struct Wire {
    state: Arc<Mutex<State>>,
}

impl Wire {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client of a member, as a run of a node uses it.
    #[must_use]
    pub fn client(&self, node: &str, sender: Uuid, member: &str) -> kube::Client {
        let (node, member) = (node.to_owned(), member.to_owned());
        kube::Client::new(Line { wire: self.clone(), node, sender, member }, "default")
    }

    /// Sets the time that requests are stamped with.
    pub fn set_now(&self, now_ms: u64) {
        self.state().now_ms = now_ms;
    }

    /// Looks at everything that waits, in the order in which it was sent.
    pub fn look<T>(&self, look: impl FnOnce(&[Waiting]) -> T) -> T {
        look(&self.state().waiting)
    }

    /// Takes a request off the wire.
    #[must_use]
    pub fn take(&self, index: usize) -> Waiting {
        self.state().waiting.remove(index)
    }
}

/// One client's end of the wire.
struct Line {
    wire: Wire,
    node: String,
    sender: Uuid,
    member: String,
}

impl Service<http::Request<Body>> for Line {
    type Response = http::Response<SimulatedBody>;
    type Error = TransportError;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (reply, answer) = oneshot::channel();
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().now_or_never().expect("kube sends whole bodies");
        let body = body.expect("a whole body does not fail");
        let request = http::Request::from_parts(parts, body);
        let mut state = self.wire.state();
        let sent_ms = state.now_ms;
        state.waiting.push(Waiting {
            sender: self.sender,
            node: self.node.clone(),
            member: self.member.clone(),
            sent_ms,
            request,
            reply,
        });
        let cluster = self.member.clone();
        Box::pin(async move { answer.await.unwrap_or(Err(TransportError::Refused { cluster })) })
    }
}
