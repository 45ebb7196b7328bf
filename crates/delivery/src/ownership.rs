//! Whose an object on a member is, and what an order may do with it.

use std::collections::BTreeSet;

use api::{PLACEMENT_GROUP, STORAGE_VERSION};
use serde_json::{Value, json};

const APPLIED_WORK: &str = "AppliedWork";

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
    /// It is ours, and somebody else's too: give up our share. Holds the ownerReferences that stay.
    Release(Value),
    /// It is ours and is being deleted already.
    Deleting,
    /// It is ours: delete it.
    Delete,
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
    if ours.is_empty() {
        Removal::NotOurs
    } else if !theirs.is_empty() {
        Removal::Release(json!(theirs))
    } else if is_deleting(object) {
        Removal::Deleting
    } else {
        Removal::Delete
    }
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
