//! Removing objects by name, as long as they are ours.

use std::collections::BTreeMap;
use std::time::Duration;

use events::ObjectId;
use events::cluster::ObjectFailure;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::core::params::PropagationPolicy;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::PushMember;
use super::applied_work::{Claimed, Stop};
use super::deliver::OBJECTS_IN_FLIGHT_PER_WAVE_MAX;
use super::discovery::Resource;
use super::object::{OBJECT_ATTEMPTS_MAX, is_path_missing, waits_for_finalizers};
use super::requests::CallError;
use super::wait::wait_for;
use crate::Fence;
use crate::failure::{MANIFEST_APPLY_FAILED, describe, failure, is_conflict, is_not_found};
use crate::ownership::{Removal, removal};
use crate::wave::Wave;

/// How long an order waits in total for objects that it deleted to disappear. Most go at once; for
/// those that wait for a finalizer the order is repeated later.
pub const REMOVAL_WAIT: Duration = Duration::from_secs(3);

/// What became of the objects to remove.
#[derive(Debug, Default)]
pub(super) struct Removed {
    pub(super) removed: usize,
    pub(super) released: usize,
    pub(super) remaining: Vec<ObjectFailure>,
}

/// What became of one object.
enum Gone {
    Removed,
    /// It belongs to somebody else.
    Released,
    /// It is going away.
    Going(Box<(Resource, Value)>),
    Remains(ObjectFailure),
}

/// In whose name objects are removed: a work that exists and is held, or one that is gone.
#[derive(Clone, Copy)]
pub(super) struct Remover<'a> {
    pub(super) member: &'a PushMember,
    pub(super) work: &'a str,
    pub(super) fence: Fence,
    pub(super) claimed: Option<&'a Claimed<'a>>,
}

impl Remover<'_> {
    /// Removes objects, the last wave first. What is still there keeps the waves before it waiting:
    /// an operator must not go before the custom resources whose finalizers it serves.
    pub(super) async fn remove(
        self,
        waves: BTreeMap<Wave, Vec<ObjectId>>,
    ) -> Result<Removed, Stop> {
        let until = Instant::now() + REMOVAL_WAIT;
        let mut total = Removed::default();
        for (_, ids) in waves.into_iter().rev() {
            if let Some(first) = total.remaining.first() {
                let message = format!("its turn comes when {} is gone", first.object);
                total.remaining.extend(
                    ids.iter().map(|id| failure(id, MANIFEST_APPLY_FAILED, message.as_str())),
                );
                continue;
            }
            let outcomes: Vec<(ObjectId, Gone)> = stream::iter(ids)
                .map(async |id| {
                    let gone = self.remove_one(&id, until).await?;
                    Ok::<_, Stop>((id, gone))
                })
                .buffer_unordered(OBJECTS_IN_FLIGHT_PER_WAVE_MAX)
                .try_collect()
                .await?;
            for (id, gone) in outcomes {
                total.count(&id, gone);
            }
        }
        total.remaining.sort_by(|one, other| one.object.cmp(&other.object));
        Ok(total)
    }

    async fn remove_one(self, id: &ObjectId, until: Instant) -> Result<Gone, Stop> {
        let gone = self.delete_one(id).await?;
        let Gone::Going(going) = &gone else {
            return Ok(gone);
        };
        let (resource, live) = going.as_ref();
        let uid = &live["metadata"]["uid"];
        let is_gone = |now: Option<&Value>| now.is_none_or(|now| now["metadata"]["uid"] != *uid);
        let left = until.saturating_duration_since(Instant::now());
        match wait_for(self.member, resource, &id.namespace, &id.name, left, is_gone).await {
            Some(_) => Ok(Gone::Removed),
            None => Ok(gone),
        }
    }

    async fn delete_one(self, id: &ObjectId) -> Result<Gone, Stop> {
        let _alone = self.member.object_lock(id).lock().await;
        let requests = &self.member.requests;
        for _ in 0..OBJECT_ATTEMPTS_MAX {
            let discovery = &self.member.discovery;
            let Some(resource) = discovery.resource_in_any_version(requests, id).await? else {
                // Without the kind there are no objects of it.
                return Ok(Gone::Removed);
            };
            let live = match requests.get(&resource, &id.namespace, &id.name).await {
                Ok(live) => live,
                // What was known of the kind is out of date: it says nothing about the object.
                Err(CallError::Refused(status)) if is_path_missing(&status) => {
                    discovery.forget(&resource.group, &resource.version).await;
                    continue;
                }
                Err(error) => return refused(error, id),
            };
            let uid = self.claimed.map(|claimed| claimed.work.uid.as_str());
            let decision = removal(&live, self.work, uid);
            if let Removal::Delete | Removal::Release(_) = &decision {
                self.confirm().await?;
            }
            let done = match decision {
                Removal::NotOurs => return Ok(Gone::Released),
                Removal::Deleting => return Ok(Gone::Going(Box::new((resource, live)))),
                Removal::Release(references) => {
                    self.release(&resource, id, &live, &references).await.map(|()| Gone::Released)
                }
                Removal::Delete => requests
                    .delete(&resource, &live, PropagationPolicy::Background)
                    .await
                    .map(|still| match still {
                        None => Gone::Removed,
                        Some(live) => Gone::Going(Box::new((resource.clone(), live))),
                    }),
            };
            match done {
                Err(CallError::Refused(status)) if is_conflict(&status) => {
                    if let Some(claimed) = self.claimed {
                        claimed.distrust().await;
                    }
                }
                Err(error) => return refused(error, id),
                Ok(gone) => return Ok(gone),
            }
        }
        let message = "others keep changing it, or its kind, on the member at the same time";
        Ok(Gone::Remains(failure(id, MANIFEST_APPLY_FAILED, message)))
    }

    /// That no newer order holds the work, or has made it again.
    async fn confirm(self) -> Result<(), Stop> {
        match self.claimed {
            Some(claimed) => claimed.confirm().await,
            None => self.member.confirm_absent(self.work, self.fence).await,
        }
    }

    async fn release(
        self,
        resource: &Resource,
        id: &ObjectId,
        live: &Value,
        references: &Value,
    ) -> Result<(), CallError> {
        let patch = json!({ "metadata": {
            "resourceVersion": live["metadata"]["resourceVersion"],
            "ownerReferences": references,
        } });
        let requests = &self.member.requests;
        requests.merge(resource, &id.namespace, &id.name, None, &patch).await.map(drop)
    }
}

impl Removed {
    fn count(&mut self, id: &ObjectId, gone: Gone) {
        match gone {
            Gone::Removed => self.removed += 1,
            Gone::Released => self.released += 1,
            Gone::Remains(failure) => self.remaining.push(failure),
            Gone::Going(going) => {
                let message =
                    format!("it is being deleted on the member{}", waits_for_finalizers(&going.1));
                self.remaining.push(failure(id, MANIFEST_APPLY_FAILED, message));
            }
        }
    }
}

/// What is not found is gone. Other refusals are about this object only.
fn refused(error: CallError, id: &ObjectId) -> Result<Gone, Stop> {
    match error {
        CallError::Refused(status) if is_not_found(&status) => Ok(Gone::Removed),
        CallError::Refused(status) => {
            let message = format!("it could not be removed: {}", describe(&status, id));
            Ok(Gone::Remains(failure(id, MANIFEST_APPLY_FAILED, message)))
        }
        error @ (CallError::Unusable { .. } | CallError::Busy(_)) => Err(error.into()),
    }
}
