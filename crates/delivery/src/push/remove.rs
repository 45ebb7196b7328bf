//! Removing objects by name, as long as they are ours.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use events::ObjectId;
use events::cluster::{Note, ObjectFailure, ObjectNote};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::core::params::{ListParams, PropagationPolicy};
use serde_json::Value;
use tokio::time::Instant;

use super::PushMember;
use super::applied_work::{Claimed, Stop};
use super::deliver::OBJECTS_IN_FLIGHT_PER_WAVE_MAX;
use super::discovery::{Resource, served_by};
use super::object::{OBJECT_ATTEMPTS_MAX, is_path_missing, waits_for_finalizers};
use super::requests::CallError;
use super::wait::wait_for;
use crate::failure::{MANIFEST_APPLY_FAILED, describe, failure, is_conflict, is_not_found};
use crate::ownership::{Removal, is_adopted, letting_go, removal};
use crate::wave::Wave;
use crate::{AdoptedRemoval, Fence, Neighbour, Neighbours};

/// How long an order waits in total for objects that it deleted to disappear. Most go at once; for
/// those that wait for a finalizer the order is repeated later.
pub const REMOVAL_WAIT: Duration = Duration::from_secs(3);

/// What became of the objects to remove.
#[derive(Debug, Default)]
pub(super) struct Removed {
    pub(super) removed: usize,
    pub(super) released: usize,
    pub(super) remaining: Vec<ObjectFailure>,
    pub(super) notes: Vec<ObjectNote>,
}

/// What became of one object.
enum Gone {
    Removed,
    /// It stays on the member: it belongs to somebody else by now, or was let go or kept.
    Stays(Option<Note>),
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
    /// What becomes of objects that were there before.
    pub(super) adopted: AdoptedRemoval,
    pub(super) neighbours: &'a dyn Neighbours,
    /// What the same order places.
    pub(super) placed: &'a [&'a ObjectId],
}

/// What is to become of an object that is ours alone.
enum Fate {
    Delete,
    LetGo(Note),
    HandOver(Neighbour),
    Keep(Note),
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
        // Namespaces come last: by then it is known what stays in them.
        let mut inhabited = BTreeSet::new();
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
                    let gone = self.remove_one(&id, &inhabited, until).await?;
                    Ok::<_, Stop>((id, gone))
                })
                .buffer_unordered(OBJECTS_IN_FLIGHT_PER_WAVE_MAX)
                .try_collect()
                .await?;
            for (id, gone) in outcomes {
                if matches!(gone, Gone::Stays(_)) {
                    inhabited.insert(id.namespace.clone());
                }
                total.count(id, gone);
            }
        }
        total.remaining.sort_by(|one, other| one.object.cmp(&other.object));
        total.notes.sort_by(|one, other| one.object.cmp(&other.object));
        Ok(total)
    }

    async fn remove_one(
        self,
        id: &ObjectId,
        inhabited: &BTreeSet<String>,
        until: Instant,
    ) -> Result<Gone, Stop> {
        let gone = self.let_go_or_delete(id, inhabited).await?;
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

    async fn let_go_or_delete(
        self,
        id: &ObjectId,
        inhabited: &BTreeSet<String>,
    ) -> Result<Gone, Stop> {
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
            let fate = match removal(&live, self.work, self.uid()) {
                Removal::NotOurs => return Ok(Gone::Stays(None)),
                Removal::Deleting => return Ok(Gone::Going(Box::new((resource, live)))),
                Removal::Shared => Fate::LetGo(released("others own it too")),
                Removal::Ours => match self.fate(id, &live, inhabited).await {
                    Ok(fate) => fate,
                    Err(error) => return refused(error, id),
                },
            };
            if !matches!(fate, Fate::Keep(_)) {
                self.confirm().await?;
            }
            let done = match fate {
                Fate::Keep(note) => return Ok(Gone::Stays(Some(note))),
                Fate::LetGo(note) => {
                    self.let_go(&resource, id, &live, None).await.map(|()| Gone::Stays(Some(note)))
                }
                Fate::HandOver(heir) => {
                    let note = Note::HandedOver { to: heir.placement };
                    self.let_go(&resource, id, &live, Some(&heir.work))
                        .await
                        .map(|()| Gone::Stays(Some(note)))
                }
                Fate::Delete => requests
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
                Err(CallError::TimedOut(message)) => {
                    if let Some(claimed) = self.claimed {
                        claimed.distrust().await;
                    }
                    self.confirm().await?;
                    let message = format!("the member did not finish its removal: {message}");
                    return Ok(Gone::Remains(failure(id, MANIFEST_APPLY_FAILED, message)));
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

    fn uid(&self) -> Option<&str> {
        self.claimed.map(|claimed| claimed.work.uid.as_str())
    }

    /// What becomes of an object that is ours alone: nothing of others goes with it.
    async fn fate(
        self,
        id: &ObjectId,
        live: &Value,
        inhabited: &BTreeSet<String>,
    ) -> Result<Fate, CallError> {
        if is_adopted(live) && self.adopted == AdoptedRemoval::Release {
            return Ok(Fate::LetGo(released("it was on the member before")));
        }
        if let Some(heir) = self.neighbours.heir_of(id).await {
            return Ok(Fate::HandOver(heir));
        }
        match (id.group.as_str(), id.kind.as_str()) {
            ("", "Namespace") => Ok(self.fate_of_namespace(&id.name, inhabited).await),
            ("apiextensions.k8s.io", "CustomResourceDefinition") => {
                self.fate_of_definition(live).await
            }
            _ => Ok(Fate::Delete),
        }
    }

    async fn fate_of_namespace(self, name: &str, inhabited: &BTreeSet<String>) -> Fate {
        if let Some(first) = self.placed.iter().find(|placed| placed.namespace == name) {
            return Fate::Keep(Note::Kept { why: format!("{first} is placed in it") });
        }
        if let Some(tenant) = self.neighbours.tenant_of(name).await {
            let why = format!("objects of the placement {} are in it", tenant.placement);
            return Fate::LetGo(Note::Released { why });
        }
        if inhabited.contains(name) {
            return Fate::LetGo(released("objects that are not the placement's are in it"));
        }
        Fate::Delete
    }

    /// Who deletes the definition of a kind deletes every object of it.
    async fn fate_of_definition(self, live: &Value) -> Result<Fate, CallError> {
        let kinds: Vec<Resource> = served_by(live).collect();
        let is_of = |placed: &&&ObjectId| {
            kinds.iter().any(|kind| (&placed.group, &placed.kind) == (&kind.group, &kind.kind))
        };
        if let Some(first) = self.placed.iter().find(is_of) {
            return Ok(Fate::Keep(Note::Kept { why: format!("{first} is placed") }));
        }
        let Some(kind) = kinds.first() else { return Ok(Fate::Delete) };
        let one = ListParams::default().limit(1);
        let listed = match self.member.requests.list::<Value>(kind, &one).await {
            Ok(listed) => listed,
            // A kind that is not served, or not any more, has no objects that anybody could reach.
            Err(CallError::Refused(status)) if is_not_found(&status) => return Ok(Fate::Delete),
            Err(error) => return Err(error),
        };
        let Some(first) = listed["items"].as_array().and_then(|items| items.first()) else {
            return Ok(Fate::Delete);
        };
        let name = |field: &str| first["metadata"][field].as_str().unwrap_or_default();
        let at = match name("namespace") {
            "" => name("name").to_owned(),
            namespace => format!("{namespace}/{}", name("name")),
        };
        let why = format!("there are {} objects on the member, such as {at}", kind.kind);
        Ok(Fate::LetGo(Note::Released { why }))
    }

    async fn let_go(
        self,
        resource: &Resource,
        id: &ObjectId,
        live: &Value,
        heir: Option<&str>,
    ) -> Result<(), CallError> {
        let patch = letting_go(live, self.work, self.uid(), heir);
        let requests = &self.member.requests;
        requests.merge(resource, &id.namespace, &id.name, None, &patch).await.map(drop)
    }
}

fn released(why: &str) -> Note {
    Note::Released { why: why.to_owned() }
}

impl Removed {
    /// What stays the placement's although it is not selected any more.
    pub(super) fn kept(&self) -> impl Iterator<Item = &ObjectId> {
        let kept = self.notes.iter().filter(|one| matches!(one.note, Note::Kept { .. }));
        kept.map(|one| &one.object)
    }

    fn count(&mut self, id: ObjectId, gone: Gone) {
        match gone {
            Gone::Removed => self.removed += 1,
            Gone::Stays(note) => {
                self.released += usize::from(!matches!(note, Some(Note::Kept { .. })));
                self.notes.extend(note.map(|note| ObjectNote { object: id, note }));
            }
            Gone::Remains(failure) => self.remaining.push(failure),
            Gone::Going(going) => {
                let message =
                    format!("it is being deleted on the member{}", waits_for_finalizers(&going.1));
                self.remaining.push(failure(&id, MANIFEST_APPLY_FAILED, message));
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
        error @ (CallError::Unusable { .. } | CallError::Busy(_) | CallError::TimedOut(_)) => {
            Err(error.into())
        }
    }
}
