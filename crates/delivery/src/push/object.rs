//! Applying one object.

use std::collections::BTreeSet;

use api::names::annotation::SPEC_HASH;
use events::ObjectId;
use events::cluster::ObjectFailure;
use kube::core::Status;
use serde_json::{Value, json};

use super::PushMember;
use super::applied_work::{Claimed, Stop};
use super::discovery::Resource;
use super::requests::CallError;
use crate::DeliverOrder;
use crate::conflict::{all_yield, describe as describe_conflicts, field_conflicts};
use crate::failure::{
    DECODING_ERRED, FAILED_TO_FIND, FAILED_TO_TAKE_OVER, MANIFEST_APPLY_FAILED, describe, failure,
    generation_of, is_conflict, is_not_found, is_object_missing, kind_is_unknown,
};
use crate::fence::is_fenced;
use crate::ownership::{
    ADOPTED_ANNOTATION, HANDED_OVER_ANNOTATION, Owners, Standing, WorkRef, is_adopted, is_adoption,
    is_deleting, is_handed_over_to, owner_references_without, standing,
};
use crate::plan::{FIELD_MANAGER, MANAGED_BY_LABEL, Step};

/// How often an object is read and written again when somebody else writes it in between. A writer
/// that is faster five times in a row keeps writing; the order reports it and is repeated later.
pub const OBJECT_ATTEMPTS_MAX: u32 = 5;

/// What became of one object.
pub(super) enum Outcome {
    /// It is as it should be.
    Applied {
        /// How its kind is served.
        resource: Resource,
        /// The object after that.
        live: Value,
        /// What had to be done for it.
        written: Written,
        /// Whether it was on the member before the placement.
        is_adopted: bool,
    },
    /// It runs once, was made before and is gone: it has finished, or may have.
    Finished,
    /// It could not be applied.
    Failed {
        failure: ObjectFailure,
        /// There is no such object now, or it is going away: nothing can be put into it.
        is_absent: bool,
    },
}

/// What had to be done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Nothing,
    Created,
    Changed,
}

/// What is known of an object before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// It may be there.
    Unknown,
    /// It cannot be there yet, because its namespace was not a moment ago: it need not be read.
    Absent,
}

/// What one attempt came to.
enum Attempt {
    Done(Outcome),
    /// Somebody else was faster: read again.
    Raced,
}

impl Attempt {
    /// What failed, with the generation of the object that was found.
    fn about(mut self, generation: Option<i64>) -> Self {
        if let Self::Done(Outcome::Failed { failure, .. }) = &mut self {
            failure.generation = generation;
        }
        self
    }
}

impl PushMember {
    /// Makes one object as it should be.
    pub(super) async fn apply(
        &self,
        claimed: &Claimed<'_>,
        step: &Step,
        order: &DeliverOrder,
        expected: Expected,
    ) -> Result<Outcome, Stop> {
        let _alone = self.object_lock(&step.id).lock().await;
        let id = &step.id;
        let Some(resource) = self.discovery.resource_of(&self.requests, id).await? else {
            let served = self.discovery.versions_of_kind(&self.requests, id).await?;
            return Ok(failed(id, MANIFEST_APPLY_FAILED, kind_is_unknown(id, &served)));
        };
        if resource.is_namespaced == id.namespace.is_empty() {
            return Ok(failed(id, DECODING_ERRED, reason_wrong_scope(&resource)));
        }
        let applier = Applier { member: self, claimed, step, order, resource };
        for attempt in 0..OBJECT_ATTEMPTS_MAX {
            let done = match expected {
                Expected::Absent if attempt == 0 => applier.create().await?,
                Expected::Absent | Expected::Unknown => applier.attempt().await?,
            };
            match done {
                Attempt::Done(outcome) => return Ok(outcome),
                Attempt::Raced => claimed.distrust().await,
            }
        }
        let message = "others keep changing it on the member at the same time";
        Ok(failed(id, MANIFEST_APPLY_FAILED, message))
    }
}

struct Applier<'a> {
    member: &'a PushMember,
    claimed: &'a Claimed<'a>,
    step: &'a Step,
    order: &'a DeliverOrder,
    resource: Resource,
}

/// The other works that own an object.
#[derive(Default)]
struct OtherWorks {
    /// Those that exist and count.
    existing: BTreeSet<WorkRef>,
    /// Those that do not exist, or are left over from deliveries that are over.
    dangling: BTreeSet<WorkRef>,
    /// Whether one of the latter was a delivery of ours.
    is_reclaimed: bool,
}

impl Applier<'_> {
    async fn attempt(&self) -> Result<Attempt, Stop> {
        let id = &self.step.id;
        match self.member.requests.get(&self.resource, &id.namespace, &id.name).await {
            Ok(live) => {
                let generation = generation_of(&live);
                Ok(self.update(live).await?.about(generation))
            }
            Err(CallError::Refused(status)) if is_object_missing(&status, &id.name) => {
                self.create().await
            }
            Err(error) => self.refused(FAILED_TO_FIND, error, false).await,
        }
    }

    async fn create(&self) -> Result<Attempt, Stop> {
        let was_made = self.claimed.runs.has(self.step);
        if was_made && !self.member.observer.was_cut_short(&self.step.id) {
            return Ok(Attempt::Done(Outcome::Finished));
        }
        self.claimed.confirm().await?;
        match self.write(None, false, false).await {
            Ok(live) if has_other_managers(&live) => self.mark_adopted(live).await,
            Ok(live) => Ok(self.applied(live, Written::Created)),
            Err(CallError::Refused(status)) if is_conflict(&status) => Ok(Attempt::Raced),
            Err(error) => self.refused(MANIFEST_APPLY_FAILED, error, true).await,
        }
    }

    /// Somebody else made the object in the moment between looking for it and writing it.
    async fn mark_adopted(&self, live: Value) -> Result<Attempt, Stop> {
        let mark = json!({ "metadata": {
            "uid": live["metadata"]["uid"],
            "annotations": { ADOPTED_ANNOTATION: self.claimed.work.name },
        } });
        match self.merge(&mark).await {
            Ok(live) => Ok(self.applied(live, Written::Changed)),
            Err(error) => self.refused(MANIFEST_APPLY_FAILED, error, false).await,
        }
    }

    async fn update(&self, live: Value) -> Result<Attempt, Stop> {
        let id = &self.step.id;
        if is_deleting(&live) {
            let failure = failure(id, MANIFEST_APPLY_FAILED, reason_going_away(id, &live));
            return Ok(Attempt::Done(Outcome::Failed { failure, is_absent: true }));
        }
        let owners = Owners::of(&live);
        let OtherWorks { existing, dangling, is_reclaimed } = self.sort_out(&owners).await?;
        let ours = &self.claimed.work;
        let is_ours = match standing(&owners, ours, &existing, self.order.apply.allow_co_ownership)
        {
            Standing::Ours => true,
            Standing::TakeOver => false,
            Standing::Refused(why) => {
                return Ok(Attempt::Done(failed(id, FAILED_TO_TAKE_OVER, why)));
            }
        };
        let is_adopted = match is_ours {
            true => is_adopted(&live),
            false => is_adoption(&live, ours, is_reclaimed),
        };
        let is_unchanged = is_ours && self.is_unchanged(&live);
        if is_unchanged && without_former_marks(&live, ours, &dangling).is_none() {
            return Ok(self.applied(live, Written::Nothing));
        }
        self.claimed.confirm().await?;
        let written = match is_unchanged {
            true => self.applied(live, Written::Nothing),
            false => self.overwrite(&live, self.order.apply.force || !is_ours, is_adopted).await?,
        };
        // Only now: whoever finds the object without these marks, and not ours yet, would take it
        // for one that somebody else made.
        let Attempt::Done(Outcome::Applied { live, .. }) = &written else { return Ok(written) };
        let Some(patch) = without_former_marks(live, ours, &dangling) else { return Ok(written) };
        match self.merge(&patch).await {
            Ok(live) => Ok(self.applied(live, Written::Changed)),
            Err(error) => self.refused(MANIFEST_APPLY_FAILED, error, false).await,
        }
    }

    /// Writes an object that exists, if it is still what was read.
    async fn overwrite(
        &self,
        live: &Value,
        force: bool,
        is_adopted: bool,
    ) -> Result<Attempt, Stop> {
        let version = live["metadata"]["resourceVersion"].as_str();
        let status = match self.write(version, force, is_adopted).await {
            Ok(live) => return Ok(self.applied(live, Written::Changed)),
            Err(CallError::Refused(status)) if is_conflict(&status) => status,
            Err(error) => return self.refused(MANIFEST_APPLY_FAILED, error, false).await,
        };
        let conflicts = field_conflicts(&status);
        if conflicts.is_empty() {
            return Ok(Attempt::Raced);
        }
        if !all_yield(&conflicts) {
            let message = describe_conflicts(&conflicts);
            return Ok(Attempt::Done(failed(&self.step.id, MANIFEST_APPLY_FAILED, message)));
        }
        match self.write(version, true, is_adopted).await {
            Ok(live) => Ok(self.applied(live, Written::Changed)),
            Err(error) => self.refused(MANIFEST_APPLY_FAILED, error, false).await,
        }
    }

    async fn write(
        &self,
        version: Option<&str>,
        force: bool,
        is_adopted: bool,
    ) -> Result<Value, CallError> {
        let id = &self.step.id;
        let body = self.step.applied(&self.claimed.work, version, is_adopted);
        self.member.requests.apply(&self.resource, &id.namespace, &id.name, &body, force).await
    }

    async fn merge(&self, patch: &Value) -> Result<Value, CallError> {
        let id = &self.step.id;
        self.member.requests.merge(&self.resource, &id.namespace, &id.name, None, patch).await
    }

    /// Which of the other works that own the object exist and count, and which do not.
    async fn sort_out(&self, owners: &Owners) -> Result<OtherWorks, Stop> {
        let mut others = OtherWorks::default();
        for work in owners.other_works(&self.claimed.work) {
            let resource = Resource::applied_work();
            let found = match self.member.requests.get(&resource, "", &work.name).await {
                Ok(live) => Some(live).filter(|live| live["metadata"]["uid"] == work.uid.as_str()),
                Err(CallError::Refused(status)) if is_not_found(&status) => None,
                Err(error) => return Err(error.into()),
            };
            let is_left_over =
                |live: &Value| is_fenced(live) && !self.order.neighbours.has_work(&work.name);
            let is_former = found.as_ref().is_some_and(is_left_over);
            others.is_reclaimed |= is_former;
            let counts = found.is_some() && !is_former;
            let of = if counts { &mut others.existing } else { &mut others.dangling };
            of.insert(work.clone());
        }
        Ok(others)
    }

    fn is_unchanged(&self, live: &Value) -> bool {
        let metadata = &live["metadata"];
        metadata["annotations"][SPEC_HASH] == self.step.hash.as_str()
            && metadata["labels"][MANAGED_BY_LABEL] == FIELD_MANAGER
    }

    fn applied(&self, live: Value, written: Written) -> Attempt {
        let is_adopted = is_adopted(&live);
        Attempt::Done(Outcome::Applied {
            resource: self.resource.clone(),
            live,
            written,
            is_adopted,
        })
    }

    /// Tells trouble with the object from trouble with the member, and both from a lost race.
    async fn refused(
        &self,
        reason: &str,
        error: CallError,
        is_absent: bool,
    ) -> Result<Attempt, Stop> {
        let id = &self.step.id;
        let status = match error {
            CallError::Refused(status) => status,
            CallError::TimedOut(message) => return self.timed_out(&message, is_absent).await,
            error @ (CallError::Unusable { .. } | CallError::Busy(_)) => return Err(error.into()),
        };
        if is_conflict(&status) && field_conflicts(&status).is_empty()
            || !is_absent && is_object_missing(&status, &id.name)
        {
            return Ok(Attempt::Raced);
        }
        let reason = if is_path_missing(&status) {
            self.member.discovery.forget(&id.group, &id.version).await;
            MANIFEST_APPLY_FAILED
        } else {
            reason
        };
        let failure = failure(id, reason, describe(&status, id));
        Ok(Attempt::Done(Outcome::Failed { failure, is_absent }))
    }
}

/// The change that takes off what says that others had the object before. `None` if nothing does.
fn without_former_marks(
    live: &Value,
    ours: &WorkRef,
    dangling: &BTreeSet<WorkRef>,
) -> Option<Value> {
    let references = owner_references_without(live, dangling);
    let is_handed_over = is_handed_over_to(live, &ours.name);
    if references.is_none() && !is_handed_over {
        return None;
    }
    let mut patch = json!({ "metadata": {
        "resourceVersion": live["metadata"]["resourceVersion"],
        "annotations": { HANDED_OVER_ANNOTATION: Value::Null },
    } });
    if let Some(references) = references {
        patch["metadata"]["ownerReferences"] = references;
    }
    Some(patch)
}

/// Whether an object that was just created has fields of others: then it was there before.
fn has_other_managers(live: &Value) -> bool {
    let managers = live["metadata"]["managedFields"].as_array().into_iter().flatten();
    managers.into_iter().any(|entry| entry["manager"] != FIELD_MANAGER)
}

impl Applier<'_> {
    /// A request about one object that is not finished in time does not hold up the others, as long as
    /// the member answers about what is ours.
    async fn timed_out(&self, message: &str, is_absent: bool) -> Result<Attempt, Stop> {
        self.claimed.distrust().await;
        self.claimed.confirm().await?;
        let message = format!(
            "the member did not finish the request for it: {message}; does an admission webhook, or \
             the API that serves it, not answer?"
        );
        let failure = failure(&self.step.id, MANIFEST_APPLY_FAILED, message);
        Ok(Attempt::Done(Outcome::Failed { failure, is_absent }))
    }
}

fn failed(id: &ObjectId, reason: &str, message: impl Into<String>) -> Outcome {
    Outcome::Failed { failure: failure(id, reason, message), is_absent: false }
}

/// Whether a 404 is about the kind and not about an object.
pub(super) fn is_path_missing(status: &Status) -> bool {
    let names_an_object = status.details.as_ref().is_some_and(|details| !details.name.is_empty());
    is_not_found(status) && !names_an_object
}

fn reason_wrong_scope(resource: &Resource) -> &'static str {
    if resource.is_namespaced {
        "its kind is namespaced on the member, and it has no namespace"
    } else {
        "its kind is cluster-scoped on the member, and it has a namespace"
    }
}

fn reason_going_away(id: &ObjectId, live: &Value) -> String {
    if id.group.is_empty() && id.kind == "Namespace" {
        return format!("namespace {} is being deleted on the member", id.name);
    }
    format!("it is being deleted on the member{}", waits_for_finalizers(live))
}

/// What an object that is being deleted waits for, as the end of a sentence.
pub(super) fn waits_for_finalizers(live: &Value) -> String {
    let finalizers = live["metadata"]["finalizers"].as_array().into_iter().flatten();
    let names: Vec<&str> = finalizers.filter_map(Value::as_str).collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(" and waits for its finalizers: {}", names.join(", "))
    }
}
