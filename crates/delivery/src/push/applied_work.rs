//! The AppliedWork of an order on its member: created, claimed, watched over, recorded in.

use std::collections::BTreeMap;
use std::time::Duration;

use api::{PLACEMENT_GROUP, STORAGE_VERSION};
use events::ObjectId;
use events::cluster::LinkProblem;
use kube::core::Status;
use kube::core::params::ListParams;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::PushMember;
use super::discovery::Resource;
use super::object::is_path_missing;
use super::requests::CallError;
use super::runs::Runs;
use super::wait::{CRD_ESTABLISHED_WAIT, wait_for};
use crate::failure::{is_conflict, is_forbidden, is_not_found, is_object_missing};
use crate::fence::{self, Claim};
use crate::ownership::{WorkRef, is_deleting};
use crate::{Availability, Fence, availability};

/// How often a claim is tried when others write the AppliedWork at the same time. Each loss means
/// that somebody else won; five in a row means two owners that fight, and the newer one has won by
/// then.
pub const CLAIM_ATTEMPTS_MAX: u32 = 5;

/// How long a claim is trusted at least before it is confirmed again by one more request. Bounds
/// what an owner that was overtaken by another process can still write. A small order is done by
/// then; a large one asks ten times a second, whatever it writes.
const CLAIM_TRUST: Duration = Duration::from_millis(100);

/// How long it is trusted at most, on a member that answers slowly: less than the lease of an
/// owner, so that one that was held up for long enough to be overtaken always asks.
pub const CLAIM_TRUST_MAX: Duration = Duration::from_secs(1);

/// How many times as long as the answer took a claim is trusted. A small order is five requests; a
/// member that is slow because it has much to do is not asked even more.
const CLAIM_TRUST_ANSWERS: u32 = 8;

/// How long an order waits for an AppliedWork of its name to disappear that is being deleted.
pub const APPLIED_WORK_GONE_WAIT: Duration = Duration::from_secs(5);

/// Why an order stops as a whole.
#[derive(Debug)]
pub(super) enum Stop {
    Superseded(Fence),
    Call(CallError),
    Busy(String),
}

impl From<CallError> for Stop {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

/// An AppliedWork that an order holds.
pub(super) struct Claimed<'a> {
    member: &'a PushMember,
    fence: Fence,
    pub(super) work: WorkRef,
    /// The AppliedWork as it was when it was claimed.
    pub(super) live: Value,
    /// What its status names as applied.
    pub(super) recorded: Vec<Value>,
    /// Which objects that run once were made for it.
    pub(super) runs: Runs,
    /// Until when this order believes that it holds it; `None` after a sign that it may not.
    trusted_until: Mutex<Option<Instant>>,
}

/// What an order that takes things away finds.
pub(super) enum Found<'a> {
    Claimed(Box<Claimed<'a>>),
    Absent,
}

impl PushMember {
    /// Holds the AppliedWork for an order, creating it if it is not there.
    pub(super) async fn claim(&self, order: &crate::DeliverOrder) -> Result<Claimed<'_>, Stop> {
        let is_new = self.note_claim(&order.work, order.fence)?;
        let mut is_likely_absent = is_new && order.is_first;
        for _ in 0..CLAIM_ATTEMPTS_MAX {
            let asked = Instant::now();
            let found = match std::mem::take(&mut is_likely_absent) {
                true => None,
                false => self.find(&order.work).await?,
            };
            let live = match found {
                Some(live) => live,
                None => match self.create(order).await? {
                    Some(live) => live,
                    None => continue,
                },
            };
            if let Some(claimed) = self.hold(live, asked, &order.work, order.fence).await? {
                return Ok(claimed);
            }
        }
        Err(Stop::Busy(format!("others keep writing its AppliedWork {}", order.work)))
    }

    /// Holds the AppliedWork for an order that creates nothing.
    pub(super) async fn claim_existing(&self, work: &str, fence: Fence) -> Result<Found<'_>, Stop> {
        self.note_claim(work, fence)?;
        for _ in 0..CLAIM_ATTEMPTS_MAX {
            let asked = Instant::now();
            let Some(live) = self.find(work).await? else {
                return Ok(Found::Absent);
            };
            if let Some(claimed) = self.hold(live, asked, work, fence).await? {
                return Ok(Found::Claimed(Box::new(claimed)));
            }
        }
        Err(Stop::Busy(format!("others keep writing its AppliedWork {work}")))
    }

    /// That the AppliedWork of an order that found none is still not there: a newer order would have
    /// made it again, under the same name.
    pub(super) async fn confirm_absent(&self, work: &str, fence: Fence) -> Result<(), Stop> {
        self.reason_overtaken(work, fence)?;
        let Some(live) = self.find(work).await? else { return Ok(()) };
        match fence::claim(&live, fence) {
            Claim::Superseded(holder) => Err(Stop::Superseded(holder)),
            Claim::Held | Claim::Open => {
                Err(Stop::Busy(format!("its AppliedWork {work} was made again meanwhile")))
            }
        }
    }

    /// The AppliedWork, if the member has it; waits for one that is going away.
    async fn find(&self, work: &str) -> Result<Option<Value>, Stop> {
        let resource = Resource::applied_work();
        let live = match self.requests.get(&resource, "", work).await {
            Ok(live) => live,
            Err(CallError::Refused(status)) if is_not_found(&status) => return Ok(None),
            Err(error) => return Err(work_error(error).into()),
        };
        if !is_deleting(&live) {
            return Ok(Some(live));
        }
        let is_gone = |live: Option<&Value>| live.is_none_or(|live| !is_deleting(live));
        match wait_for(self, &resource, "", work, APPLIED_WORK_GONE_WAIT, is_gone).await {
            Some(live) => Ok(live),
            None => Err(Stop::Busy(format!("its AppliedWork {work} is still being deleted"))),
        }
    }

    /// Creates the AppliedWork; `None` if somebody else just did.
    async fn create(&self, order: &crate::DeliverOrder) -> Result<Option<Value>, Stop> {
        let resource = Resource::applied_work();
        let body = json!({
            "apiVersion": format!("{PLACEMENT_GROUP}/{STORAGE_VERSION}"),
            "kind": "AppliedWork",
            "metadata": {
                "name": order.work,
                "annotations": fence::annotations(order.fence),
            },
            "spec": {
                "workName": order.work,
                "workNamespace": api::names::member_namespace(&order.cluster),
            },
        });
        match self.requests.create(&resource, "", &body).await {
            Ok(live) => Ok(Some(live)),
            Err(CallError::Refused(status)) if status.is_already_exists() => Ok(None),
            Err(CallError::Refused(status)) if is_kind_missing(&status, &order.work) => {
                self.install_applied_work().await?;
                Ok(None)
            }
            Err(error) => Err(work_error(error).into()),
        }
    }

    /// Writes our fence into the AppliedWork, unless it is there or a newer one is; `None` if
    /// somebody else wrote meanwhile. `asked` is when the member was asked for it.
    async fn hold(
        &self,
        live: Value,
        mut asked: Instant,
        work: &str,
        fence: Fence,
    ) -> Result<Option<Claimed<'_>>, Stop> {
        let live = match fence::claim(&live, fence) {
            Claim::Held => live,
            Claim::Superseded(holder) => return Err(Stop::Superseded(holder)),
            Claim::Open => {
                let patch = json!({ "metadata": {
                    "resourceVersion": live["metadata"]["resourceVersion"],
                    "annotations": fence::annotations(fence),
                } });
                let resource = Resource::applied_work();
                asked = Instant::now();
                match self.requests.merge(&resource, "", work, None, &patch).await {
                    Ok(live) => live,
                    Err(CallError::Refused(status))
                        if is_conflict(&status) || is_not_found(&status) =>
                    {
                        return Ok(None);
                    }
                    Err(error) => return Err(work_error(error).into()),
                }
            }
        };
        let uid = live["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let recorded = live["status"]["appliedResources"].as_array().cloned().unwrap_or_default();
        Ok(Some(Claimed {
            member: self,
            fence,
            work: WorkRef { name: work.to_owned(), uid },
            runs: Runs::of(&live),
            live,
            recorded,
            trusted_until: Mutex::new(Some(trusted_until(asked))),
        }))
    }

    /// See [`Link::prepare`](crate::Link::prepare).
    pub(super) async fn prepare(&self) -> Result<(), Stop> {
        let resource = Resource::applied_work();
        let one = ListParams::default().limit(1);
        match self.requests.list::<Value>(&resource, &one).await {
            Ok(_) => Ok(()),
            Err(CallError::Refused(status)) if is_path_missing(&status) => {
                let until = Instant::now() + CRD_ESTABLISHED_WAIT;
                self.install_applied_work().await?;
                self.until_served(&resource, until).await
            }
            Err(error) => Err(work_error(error).into()),
        }
    }

    /// Makes the member serve AppliedWork: there is no agent on it that brought the kind along.
    async fn install_applied_work(&self) -> Result<(), Stop> {
        let crd = super::applied_work_crd();
        let name = crd["metadata"]["name"].as_str().unwrap_or_default();
        let resource = Resource::crd();
        self.requests.apply(&resource, "", name, &crd, true).await.map_err(work_error)?;
        let is_served = |live: Option<&Value>| {
            live.is_some_and(|live| availability(live) == Availability::Available)
        };
        match wait_for(self, &resource, "", name, CRD_ESTABLISHED_WAIT, is_served).await {
            Some(_) => Ok(()),
            None => Err(Stop::Busy("it has not established the kind AppliedWork yet".to_owned())),
        }
    }
}

impl Claimed<'_> {
    /// That no newer order holds the AppliedWork, as far as it was seen lately.
    pub(super) async fn confirm(&self) -> Result<(), Stop> {
        self.member.reason_overtaken(&self.work.name, self.fence)?;
        let mut trusted = self.trusted_until.lock().await;
        if trusted.is_some_and(|until| Instant::now() < until) {
            return Ok(());
        }
        let asked = Instant::now();
        match self.member.find(&self.work.name).await? {
            Some(live) if live["metadata"]["uid"] == self.work.uid.as_str() => {
                match fence::claim(&live, self.fence) {
                    Claim::Superseded(holder) => Err(Stop::Superseded(holder)),
                    Claim::Held | Claim::Open => {
                        *trusted = Some(trusted_until(asked));
                        Ok(())
                    }
                }
            }
            Some(_) | None => {
                Err(Stop::Busy(format!("its AppliedWork {} was deleted meanwhile", self.work.name)))
            }
        }
    }

    /// Somebody else writes what this order writes: that may be a newer order.
    pub(super) async fn distrust(&self) {
        *self.trusted_until.lock().await = None;
    }

    /// Writes down which objects that run once were made, at once: whoever takes up the order after a
    /// crash must not make them again.
    pub(super) async fn record_runs(&self, runs: &Runs) -> Result<(), Stop> {
        self.confirm().await?;
        let metadata = json!({ "uid": self.work.uid, "annotations": runs.annotations() });
        self.write(None, &json!({ "metadata": metadata })).await
    }

    /// Writes down what is applied, if that is not what is written there.
    pub(super) async fn record(&self, applied: &[Value]) -> Result<(), Stop> {
        if self.recorded == applied {
            return Ok(());
        }
        self.confirm().await?;
        let patch = json!({
            "metadata": { "uid": self.work.uid },
            "status": { "appliedResources": applied },
        });
        self.write(Some("status"), &patch).await
    }

    async fn write(&self, subresource: Option<&str>, patch: &Value) -> Result<(), Stop> {
        let resource = Resource::applied_work();
        let name = &self.work.name;
        match self.member.requests.merge(&resource, "", name, subresource, patch).await {
            Ok(_) => Ok(()),
            Err(CallError::Refused(status)) if is_conflict(&status) || is_not_found(&status) => {
                Err(Stop::Busy(format!("its AppliedWork {name} was replaced meanwhile")))
            }
            Err(error) => Err(work_error(error).into()),
        }
    }
}

/// Until when an answer that came just now is believed. It counts from when the member was asked:
/// what an answer says may be over when it comes.
fn trusted_until(asked: Instant) -> Instant {
    asked + (asked.elapsed() * CLAIM_TRUST_ANSWERS).clamp(CLAIM_TRUST, CLAIM_TRUST_MAX)
}

/// One entry of the inventory on the member.
pub(super) fn inventory_entry(
    id: &ObjectId,
    resource: &Resource,
    ordinal: usize,
    uid: &str,
) -> Value {
    let texts = BTreeMap::from([
        ("group", id.group.as_str()),
        ("kind", &id.kind),
        ("name", &id.name),
        ("namespace", &id.namespace),
        ("resource", &resource.plural),
        ("uid", uid),
        ("version", &id.version),
    ]);
    let texts: BTreeMap<_, _> = texts.into_iter().filter(|(_, text)| !text.is_empty()).collect();
    let mut entry = json!(texts);
    entry["ordinal"] = ordinal.into();
    entry
}

/// Whether an entry of the inventory is about an object, in whatever version of its API.
pub(super) fn is_entry_of(entry: &Value, id: &ObjectId) -> bool {
    let is = |field: &str, value: &str| entry[field].as_str().unwrap_or_default() == value;
    is("group", &id.group)
        && is("kind", &id.kind)
        && is("namespace", &id.namespace)
        && is("name", &id.name)
}

/// A member that will not let us keep AppliedWorks cannot be used at all. What it answers is not
/// told: it names the one that an order needs, and what is recorded must not move with each of them.
pub(super) fn work_error(error: CallError) -> CallError {
    match error {
        CallError::Refused(status) if is_forbidden(&status) => CallError::Unusable {
            problem: LinkProblem::Forbidden,
            message: "the credential may not manage AppliedWorks: give it every verb on \
                      appliedworks.placement.kubernetes-fleet.io and their status, and on \
                      customresourcedefinitions.apiextensions.k8s.io"
                .to_owned(),
        },
        error @ (CallError::Refused(_)
        | CallError::Unusable { .. }
        | CallError::Busy(_)
        | CallError::TimedOut(_)) => error,
    }
}

fn is_kind_missing(status: &Status, name: &str) -> bool {
    is_not_found(status) && !is_object_missing(status, name)
}
