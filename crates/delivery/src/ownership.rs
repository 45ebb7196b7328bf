//! Whose an object on a member is, and what an order may do with it.

use std::collections::BTreeSet;

use api::names::annotation::SPEC_HASH;
use api::{PLACEMENT_GROUP, STORAGE_VERSION};
use serde_json::{Value, json};

use crate::plan::MANAGED_BY_LABEL;

const APPLIED_WORK: &str = "AppliedWork";

/// The annotation of an object that was on the member before its placement, made by somebody else.
/// It is let go when the placement goes. Written with the very request that makes the object ours,
/// so that there is no moment in which a crash could make it look like one that we made.
pub const ADOPTED_ANNOTATION: &str = "taffrail.dev/adopted-by";

/// The annotation of an object that one placement has left to another one of the same member, with
/// the name of that one's AppliedWork. It is that one's from then on, before it has taken it over.
pub const HANDED_OVER_ANNOTATION: &str = "taffrail.dev/handed-over-to";

/// An AppliedWork as owner of objects: its name, and the uid that tells it from a namesake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkRef {
    /// Name.
    pub name: String,
    /// Uid on the member.
    pub uid: String,
}

impl WorkRef {
    /// The ownerReference to it. It does not block the deletion of the AppliedWork: objects are
    /// removed by name before that.
    #[must_use]
    pub fn owner_reference(&self) -> Value {
        json!({
            "apiVersion": format!("{PLACEMENT_GROUP}/{STORAGE_VERSION}"),
            "kind": APPLIED_WORK,
            "name": self.name,
            "uid": self.uid,
            "blockOwnerDeletion": false,
        })
    }
}

/// Who owns an object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owners {
    /// The AppliedWorks among its owners.
    pub works: Vec<WorkRef>,
    /// All others, as kind and name.
    pub others: Vec<String>,
}

impl Owners {
    /// The owners of a live object.
    #[must_use]
    pub fn of(object: &Value) -> Self {
        let mut owners = Self::default();
        for reference in owner_references(object) {
            match work_of(reference) {
                Some(work) => owners.works.push(work),
                None => owners.others.push(format!(
                    "{} {}",
                    reference["kind"].as_str().unwrap_or("object"),
                    reference["name"].as_str().unwrap_or_default()
                )),
            }
        }
        owners
    }

    /// The works other than this one, of which somebody has to find out whether they exist.
    pub fn other_works<'a>(&'a self, ours: &'a WorkRef) -> impl Iterator<Item = &'a WorkRef> {
        self.works.iter().filter(move |work| work.uid != ours.uid)
    }
}

/// What to do with an object that an order wants to apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is ours: update it.
    Ours,
    /// It is nobody's that counts: make it ours.
    TakeOver,
    /// It stays as it is, and why.
    Refused(String),
}

/// Whether an order may write an object that exists. `existing` are those of its other works that
/// exist; references to the rest dangle and do not count.
#[must_use]
pub fn standing(
    owners: &Owners,
    ours: &WorkRef,
    existing: &BTreeSet<WorkRef>,
    allow_co_ownership: bool,
) -> Standing {
    if let Some(other) = owners.other_works(ours).find(|work| existing.contains(work)) {
        return Standing::Refused(format!(
            "the object belongs to another placement on this cluster (work {}): two placements \
             cannot share an object",
            other.name
        ));
    }
    if !owners.others.is_empty() && !allow_co_ownership {
        return Standing::Refused(format!(
            "the object is owned by {}, and the apply strategy does not allow co-ownership",
            owners.others.join(", ")
        ));
    }
    match owners.works.iter().any(|work| work.uid == ours.uid) {
        true => Standing::Ours,
        false => Standing::TakeOver,
    }
}

/// Whether somebody else had made an object that an order takes over, so that it outlives the
/// placement. `is_reclaimed` says that it belonged to a delivery of ours that is over.
#[must_use]
pub fn is_adoption(object: &Value, ours: &WorkRef, is_reclaimed: bool) -> bool {
    let was_ours = || {
        let works = Owners::of(object).works;
        is_handed_over_to(object, &ours.name) || works.iter().any(|work| work.name == ours.name)
    };
    is_adopted(object) || !is_reclaimed && !was_ours()
}

/// Whether an object was on the member before the placement that owns it.
#[must_use]
pub fn is_adopted(object: &Value) -> bool {
    object["metadata"]["annotations"][ADOPTED_ANNOTATION].is_string()
}

/// Whether another placement left the object to the one with this work.
#[must_use]
pub fn is_handed_over_to(object: &Value, work: &str) -> bool {
    object["metadata"]["annotations"][HANDED_OVER_ANNOTATION] == work
}

/// The ownerReferences of an object without those to the given works. `None` if nothing changes.
#[must_use]
pub fn owner_references_without(object: &Value, dangling: &BTreeSet<WorkRef>) -> Option<Value> {
    let kept: Vec<&Value> = owner_references(object)
        .filter(|reference| work_of(reference).is_none_or(|work| !dangling.contains(&work)))
        .collect();
    (kept.len() < owner_references(object).count()).then(|| json!(kept))
}

/// What to do with an object that an order wants to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// It is not ours any more: leave it alone.
    NotOurs,
    /// It is ours, and somebody else's too: give up our share.
    Shared,
    /// It is ours and is being deleted already.
    Deleting,
    /// It is ours alone.
    Ours,
}

/// Whether an order may delete an object. `uid` is that of our AppliedWork, `None` if it does not
/// exist any more: a reference to one of its name then says that the object was ours.
#[must_use]
pub fn removal(object: &Value, work: &str, uid: Option<&str>) -> Removal {
    let is_ours = |reference: &Value| {
        work_of(reference).is_some_and(|owner| match uid {
            Some(uid) => owner.uid == uid,
            None => owner.name == work,
        })
    };
    let (ours, theirs): (Vec<_>, Vec<_>) =
        owner_references(object).partition(|reference| is_ours(reference));
    if ours.is_empty() && (!theirs.is_empty() || !is_handed_over_to(object, work)) {
        Removal::NotOurs
    } else if !theirs.is_empty() {
        Removal::Shared
    } else if is_deleting(object) {
        Removal::Deleting
    } else {
        Removal::Ours
    }
}

/// The change that lets go of an object: it stays as it is, and bears no mark of ours any more.
/// Left to an heir it keeps one that says so, by the name of the heir's work.
#[must_use]
pub fn letting_go(object: &Value, work: &str, uid: Option<&str>, heir: Option<&str>) -> Value {
    let stays = |reference: &&Value| {
        work_of(reference).is_none_or(|owner| match uid {
            Some(uid) => owner.uid != uid,
            None => owner.name != work,
        })
    };
    let references: Vec<&Value> = owner_references(object).filter(stays).collect();
    json!({ "metadata": {
        "resourceVersion": object["metadata"]["resourceVersion"],
        "ownerReferences": if references.is_empty() { Value::Null } else { json!(references) },
        "labels": { MANAGED_BY_LABEL: Value::Null },
        "annotations": {
            SPEC_HASH: Value::Null,
            ADOPTED_ANNOTATION: Value::Null,
            HANDED_OVER_ANNOTATION: heir,
        },
    } })
}

/// Whether somebody asked for the deletion of an object.
#[must_use]
pub fn is_deleting(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null())
}

fn owner_references(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten()
}

fn work_of(reference: &Value) -> Option<WorkRef> {
    let (group, _) = reference["apiVersion"].as_str()?.split_once('/')?;
    (group == PLACEMENT_GROUP && reference["kind"] == APPLIED_WORK).then(|| WorkRef {
        name: reference["name"].as_str().unwrap_or_default().to_owned(),
        uid: reference["uid"].as_str().unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
#[path = "ownership_tests.rs"]
mod tests;
