//! The push link: from the hub to the member's kube-apiserver.
//!
//! | file | what it does |
//! |---|---|
//! | `connect` | from a kubeconfig to a client |
//! | `requests` | single requests: deadlines, number, what their failure means |
//! | `discovery` | where the member serves which kind |
//! | `applied_work` | claims the AppliedWork for an order, and records in it |
//! | `deliver` | carries out orders: waves, then removal, then the record |
//! | `object` | applies one object |
//! | `remove` | removes objects by name |
//! | `runs` | which Jobs were made, so that none is made twice |
//! | `observe`, `seen`, `waiters` | notices what becomes available, what goes, and what orders wait for |
//! | `mark` | whose the member is |
//! | `token` | asks the member for a token |
//! | `probe` | asks the member about itself |

mod applied_work;
mod connect;
mod deliver;
mod discovery;
mod mark;
mod object;
mod observe;
mod probe;
mod remove;
mod requests;
mod runs;
mod seen;
mod token;
mod wait;
mod waiters;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use events::ObjectId;
use events::cluster::LinkProblem;
use kube::Client;
use serde_json::Value;
use tokio::sync::mpsc;
use tracing::instrument;

pub use applied_work::{APPLIED_WORK_GONE_WAIT, CLAIM_ATTEMPTS_MAX, CLAIM_TRUST_MAX};
pub use connect::CONNECT_TIMEOUT;
pub use deliver::OBJECTS_IN_FLIGHT_PER_WAVE_MAX;
pub use deliver::PROGRESS_EVERY;
pub use object::OBJECT_ATTEMPTS_MAX;
pub use observe::OBSERVED_WAIT;
pub use probe::{PODS_COUNTED_EVERY, PROBE_DEADLINE, PROBE_PAGE_OBJECTS, PROBE_PAGES_MAX};
pub use remove::REMOVAL_WAIT;
pub use requests::{REQUEST_TIMEOUT, REQUESTS_IN_FLIGHT_PER_MEMBER_MAX, RETRIES_WHEN_BUSY_MAX};
pub use runs::{RUNS_ANNOTATION, RUNS_RECORDED_MAX};
pub use wait::CRD_ESTABLISHED_WAIT;

use crate::failure::is_forbidden;
use crate::{
    Certainty, DeliverOrder, DeliveryAvailability, DeliveryReport, Fence, Link, LinkError, Marked,
    MemberMark, Observation, Probe, WithdrawOrder, WithdrawReport,
};
use applied_work::Stop;
use discovery::Discovery;
use observe::Observer;
use probe::PodCount;
use requests::{CallError, Requests};

/// Reaches a member through its kube-apiserver. Cheap to clone; the clones are one link.
///
/// Dropping the last clone ends its watches.
#[derive(Clone)]
pub struct PushLink {
    member: Arc<PushMember>,
}

/// How many locks keep writers of one object apart; objects share them by their hash. More locks
/// mean fewer objects that wait for one another by chance: with 32 requests in flight, one in six.
const OBJECT_LOCKS: usize = 128;

struct PushMember {
    cluster: String,
    requests: Requests,
    discovery: Discovery,
    /// Two orders of this link never write one object at the same time.
    object_locks: Vec<tokio::sync::Mutex<()>>,
    /// The newest order for each work that this link was given. Older ones stop before their next
    /// write, without asking the member.
    newest: Mutex<BTreeMap<String, Fence>>,
    observer: Observer,
    /// What the probe last counted.
    pods: Mutex<Option<PodCount>>,
}

impl PushLink {
    /// A link through a client that is already set up. Changes of availability are sent to
    /// `observations`; when that channel is full, they wait and are merged, each delivery counts
    /// once.
    ///
    /// Has to be called within a tokio runtime.
    #[must_use]
    pub fn from_client(
        cluster: &str,
        client: Client,
        observations: mpsc::Sender<Observation>,
    ) -> Self {
        Self::from_client_at(cluster, client, None, observations)
    }

    fn from_client_at(
        cluster: &str,
        client: Client,
        address: Option<String>,
        observations: mpsc::Sender<Observation>,
    ) -> Self {
        let observer = Observer::start(cluster, client.clone(), observations);
        let member = PushMember {
            cluster: cluster.to_owned(),
            requests: Requests::new(client, address),
            discovery: Discovery::default(),
            object_locks: std::iter::repeat_with(Default::default).take(OBJECT_LOCKS).collect(),
            newest: Mutex::default(),
            observer,
            pods: Mutex::default(),
        };
        Self { member: Arc::new(member) }
    }

    /// A link through a kubeconfig, as found in a Secret. Nothing is sent yet.
    ///
    /// The kubeconfig has to stand for itself: certificates, keys and tokens are in it, not in
    /// files, and no program is run to get them.
    ///
    /// # Errors
    ///
    /// When the kubeconfig cannot be used, with [`LinkProblem::InvalidKubeconfig`].
    pub async fn connect(
        cluster: &str,
        kubeconfig_yaml: &str,
        user_agent: &str,
        observations: mpsc::Sender<Observation>,
    ) -> Result<Self, LinkError> {
        let connected = connect::client(kubeconfig_yaml, user_agent).await;
        let (client, address) = connected.map_err(|message| LinkError::Unusable {
            problem: LinkProblem::InvalidKubeconfig,
            message,
            certainty: Certainty::Determinate,
        })?;
        Ok(Self::from_client_at(cluster, client, Some(address), observations))
    }
}

#[async_trait]
impl Link for PushLink {
    #[instrument(skip_all, fields(
        cluster = %order.cluster,
        placement = %order.placement,
        generation = order.fence.generation,
    ))]
    async fn deliver(&self, order: &DeliverOrder) -> Result<DeliveryReport, LinkError> {
        let claimed = self.member.claim(order).await.map_err(before_writing)?;
        self.member.deliver(order, &claimed).await.map_err(after_writing)
    }

    #[instrument(skip_all, fields(
        cluster = %order.cluster,
        placement = %order.placement,
        generation = order.fence.generation,
    ))]
    async fn withdraw(&self, order: &WithdrawOrder) -> Result<WithdrawReport, LinkError> {
        let found = self.member.claim_existing(&order.work, order.fence).await;
        let found = found.map_err(before_writing)?;
        self.member.withdraw(order, &found).await.map_err(after_writing)
    }

    #[instrument(skip_all, fields(
        cluster = %order.cluster,
        placement = %order.placement,
        generation = order.fence.generation,
    ))]
    async fn assess(&self, order: &DeliverOrder) -> Result<DeliveryAvailability, LinkError> {
        self.member.assess(order).await.map_err(before_writing)
    }

    #[instrument(skip_all, fields(cluster = %self.member.cluster))]
    async fn probe(&self) -> Result<Probe, LinkError> {
        self.member.probe().await.map_err(|error| before_writing(error.into()))
    }

    #[instrument(skip_all, fields(cluster = %self.member.cluster))]
    async fn mark(&self, cluster: &str, mark: &MemberMark) -> Result<Marked, LinkError> {
        self.member.mark(cluster, mark).await.map_err(|error| before_writing(error.into()))
    }

    #[instrument(skip_all, fields(cluster = %self.member.cluster))]
    async fn unmark(&self, deployment: &str, name: &str) -> Result<(), LinkError> {
        self.member.unmark(deployment, name).await.map_err(|error| before_writing(error.into()))
    }

    #[instrument(skip_all, fields(cluster = %self.member.cluster))]
    async fn token(
        &self,
        namespace: &str,
        account: &str,
        seconds: i64,
    ) -> Result<String, LinkError> {
        let token = self.member.token(namespace, account, seconds).await;
        token.map_err(|error| before_writing(error.into()))
    }

    #[instrument(skip_all, fields(cluster = %self.member.cluster))]
    async fn prepare(&self) -> Result<(), LinkError> {
        self.member.prepare().await.map_err(before_writing)
    }
}

impl PushMember {
    fn object_lock(&self, id: &ObjectId) -> &tokio::sync::Mutex<()> {
        let mut hasher = DefaultHasher::new();
        (&id.group, &id.kind, &id.namespace, &id.name).hash(&mut hasher);
        let place = usize::try_from(hasher.finish() % OBJECT_LOCKS as u64).unwrap_or_default();
        &self.object_locks[place]
    }

    /// Notes that an order has come, unless a newer one has. Tells whether it is the first for its
    /// work.
    fn note_claim(&self, work: &str, fence: Fence) -> Result<bool, Stop> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        match newest.get_mut(work) {
            None => {
                newest.insert(work.to_owned(), fence);
                Ok(true)
            }
            Some(newest) if *newest > fence => Err(Stop::Superseded(*newest)),
            Some(newest) => {
                *newest = fence;
                Ok(false)
            }
        }
    }

    /// That no newer order has come through this link.
    fn reason_overtaken(&self, work: &str, fence: Fence) -> Result<(), Stop> {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        match newest.get(work) {
            Some(newest) if *newest > fence => Err(Stop::Superseded(*newest)),
            Some(_) | None => Ok(()),
        }
    }
}

/// The CRD of AppliedWork, as members get it.
fn applied_work_crd() -> Value {
    let crd = api::crds::member_crds()
        .into_iter()
        .find(|crd| crd.spec.names.kind == "AppliedWork")
        .expect("the CRDs of members hold AppliedWork");
    serde_json::to_value(crd).expect("a CRD can be written as JSON")
}

fn before_writing(stop: Stop) -> LinkError {
    link_error(stop, Certainty::Determinate)
}

fn after_writing(stop: Stop) -> LinkError {
    link_error(stop, Certainty::Indeterminate)
}

fn link_error(stop: Stop, certainty: Certainty) -> LinkError {
    match stop {
        Stop::Superseded(holder) => LinkError::Superseded { holder },
        Stop::Busy(message) | Stop::Call(CallError::Busy(message)) => {
            LinkError::Busy { message, certainty }
        }
        Stop::Call(CallError::Unusable { problem, message }) => {
            LinkError::Unusable { problem, message, certainty }
        }
        Stop::Call(CallError::TimedOut(message)) => {
            LinkError::Unusable { problem: LinkProblem::Unreachable, message, certainty }
        }
        // Stable, whatever order it was: see `work_error`.
        Stop::Call(CallError::Refused(status)) if is_forbidden(&status) => LinkError::Unusable {
            problem: LinkProblem::Forbidden,
            message: "the credential may not read what the hub has to know: give it get, list and \
                      watch on what is placed, and get on the namespace kube-system"
                .to_owned(),
            certainty,
        },
        Stop::Call(CallError::Refused(status)) => LinkError::Unusable {
            problem: LinkProblem::Unreachable,
            message: format!("it answers with {}: {}", status.code, status.message),
            certainty,
        },
    }
}
