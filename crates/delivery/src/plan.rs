//! From an order to steps: which manifests can be applied, in which waves, in which form.

use std::collections::{BTreeMap, BTreeSet};

use api::names::annotation::SPEC_HASH;
use events::ObjectId;
use events::cluster::ObjectFailure;
use serde_json::{Map, Value, json};

use crate::availability::{kind_of, runs_once};
use crate::failure::{DECODING_ERRED, DUPLICATED, FOUND_GENERATE_NAME, failure};
use crate::hash::applied_hash;
use crate::ownership::{ADOPTED_ANNOTATION, HANDED_OVER_ANNOTATION, WorkRef};
use crate::wave::{Wave, wave_of};
use crate::{DeliverOrder, Manifest};

/// The label on everything that is delivered. Its only use is to select it in watches; which work an object belongs to is told by its owner, whose name may be too long for a
/// label.
pub const MANAGED_BY_LABEL: &str = "kubernetes-fleet.io/managed-by";
/// The value of [`MANAGED_BY_LABEL`], and the field manager of everything that is applied.
pub const FIELD_MANAGER: &str = "taffrail";

/// What an order comes down to.
#[derive(Debug, Default)]
pub struct Plan {
    /// What to apply, first wave first.
    pub waves: BTreeMap<Wave, Vec<Step>>,
    /// Manifests that cannot be applied anywhere.
    pub failures: Vec<ObjectFailure>,
    /// What to remove, by the wave of the object.
    pub leftovers: BTreeMap<Wave, Vec<ObjectId>>,
}

/// One manifest, ready but for its owner.
#[derive(Clone)]
pub struct Step {
    /// Which object.
    pub id: ObjectId,
    /// The place of the manifest in the order.
    pub ordinal: usize,
    /// The hash of the manifest in the form in which it is applied.
    pub hash: String,
    /// Names the run, of an object that runs once.
    run: Option<String>,
    body: Value,
}

impl std::fmt::Debug for Step {
    /// Never the body: it may be a Secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Step({})", self.id)
    }
}

impl Plan {
    /// The plan of an order.
    #[must_use]
    pub fn of(order: &DeliverOrder) -> Self {
        let mut plan = Self::default();
        let mut seen = BTreeSet::new();
        for (ordinal, manifest) in order.manifests.iter().enumerate() {
            let is_first = seen.insert(identity(&manifest.id));
            match reason_not_applicable(manifest, is_first) {
                Some(failure) => plan.failures.push(failure),
                None => plan
                    .waves
                    .entry(wave_of(&manifest.id))
                    .or_default()
                    .push(Step::of(manifest, ordinal)),
            }
        }
        plan.leftovers = by_wave(order.leftovers.iter().filter(|id| seen.insert(identity(id))));
        plan
    }
}

/// Groups objects by wave, each object once.
#[must_use]
pub fn by_wave<'a>(
    objects: impl IntoIterator<Item = &'a ObjectId>,
) -> BTreeMap<Wave, Vec<ObjectId>> {
    let mut seen = BTreeSet::new();
    let mut waves = BTreeMap::<Wave, Vec<ObjectId>>::new();
    for id in objects {
        if seen.insert(identity(id)) {
            waves.entry(wave_of(id)).or_default().push(id.clone());
        }
    }
    waves
}

/// What makes two ids the same object, whatever version of the API they use.
fn identity(id: &ObjectId) -> [String; 4] {
    [&id.group, &id.kind, &id.namespace, &id.name].map(Clone::clone)
}

/// Why a manifest cannot be applied, whatever the state of the member.
fn reason_not_applicable(manifest: &Manifest, is_first: bool) -> Option<ObjectFailure> {
    let Manifest { id, body } = manifest;
    let metadata = |field: &str| body["metadata"][field].as_str().unwrap_or_default();
    if metadata("name").is_empty() && !metadata("generateName").is_empty() {
        let message = "it has generateName and no name: only named objects can be placed";
        return Some(failure(id, FOUND_GENERATE_NAME, message));
    }
    let written = (kind_of(body), body["apiVersion"].as_str().unwrap_or_default());
    let named = ((id.group.as_str(), id.kind.as_str()), id.api_version());
    if written != (named.0, named.1.as_str())
        || metadata("name") != id.name
        || metadata("namespace") != id.namespace
        || id.name.is_empty()
        || id.kind.is_empty()
    {
        let message = "its apiVersion, kind, name and namespace are not those of the object that \
                       the manifest is recorded for";
        return Some(failure(id, DECODING_ERRED, message));
    }
    (!is_first).then(|| failure(id, DUPLICATED, "an earlier manifest is for the same object"))
}

/// How many digits of the hash name a run: two manifests of one object that share them are not met
/// by chance.
const RUN_HASH_DIGITS: usize = 32;

impl Step {
    fn of(manifest: &Manifest, ordinal: usize) -> Self {
        let mut body = sanitised(&manifest.body);
        body["metadata"]["labels"][MANAGED_BY_LABEL] = FIELD_MANAGER.into();
        let hash = applied_hash(&body);
        body["metadata"]["annotations"][SPEC_HASH] = hash.as_str().into();
        let run = runs_once(&body).then(|| {
            let uid = manifest.body["metadata"]["uid"].as_str().unwrap_or_default();
            format!("{} {uid}", &hash[..RUN_HASH_DIGITS])
        });
        Self { id: manifest.id.clone(), ordinal, hash, run, body }
    }

    /// Names the run, of an object that runs once: its manifest, and its uid on the hub.
    #[must_use]
    pub fn run(&self) -> Option<&str> {
        self.run.as_deref()
    }

    /// What is sent to the member: the manifest with its owner, and, when the object exists, with
    /// the version that it must still have, so that a writer in between is noticed, and with the
    /// mark that it was there before, if it was.
    #[must_use]
    pub fn applied(
        &self,
        owner: &WorkRef,
        resource_version: Option<&str>,
        is_adopted: bool,
    ) -> Value {
        let mut body = self.body.clone();
        body["metadata"]["ownerReferences"] = json!([owner.owner_reference()]);
        if is_adopted {
            body["metadata"]["annotations"][ADOPTED_ANNOTATION] = owner.name.as_str().into();
        }
        if let Some(resource_version) = resource_version {
            body["metadata"]["resourceVersion"] = resource_version.into();
        }
        body
    }

    /// The manifest as it is applied, without its owner.
    #[must_use]
    pub fn body(&self) -> &Value {
        &self.body
    }
}

/// Metadata that belongs to one cluster and must not travel to another.
const METADATA_OF_ONE_CLUSTER: [&str; 8] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
];

/// The manifest without what belongs to the cluster that it came from, and with maps where labels
/// and annotations are set.
fn sanitised(body: &Value) -> Value {
    let mut body = body.clone();
    if let Some(object) = body.as_object_mut() {
        object.remove("status");
    }
    if let Some(metadata) = body["metadata"].as_object_mut() {
        for field in METADATA_OF_ONE_CLUSTER.into_iter().chain(["uid"]) {
            metadata.remove(field);
        }
        for field in ["labels", "annotations"] {
            if metadata.get(field).is_some_and(Value::is_null) {
                metadata.remove(field);
            }
        }
        let annotations = metadata.entry("annotations").or_insert_with(|| Map::new().into());
        if let Some(annotations) = annotations.as_object_mut() {
            for mark in [SPEC_HASH, ADOPTED_ANNOTATION, HANDED_OVER_ANNOTATION] {
                annotations.remove(mark);
            }
        }
    }
    body
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
