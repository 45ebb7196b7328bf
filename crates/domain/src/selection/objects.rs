//! The objects of the hub as selection sees them, and which of them the hub made for itself.

use std::fmt;

use events::ObjectId;
use events::cluster::Labels;
use serde_json::{Map, Value};

use super::{GroupVersionKind, canonical_json, sanitise};

/// The `type` of a Secret with the credential of a member. Nobody can change it once it is made.
pub const LINK_SECRET_TYPE: &str = "taffrail.dev/member-link";

/// The label of a Secret with the credential of a member, for those that were made without the
/// type. The value does not matter.
pub const LINK_SECRET_LABEL: &str = "taffrail.dev/member-link";

/// An object of the hub, read once for each change of it.
#[derive(Clone, PartialEq)]
pub struct HubObject {
    /// Which object.
    pub id: ObjectId,
    /// Its labels, for selectors.
    pub labels: Labels,
    /// What of it is placed: sanitised, as canonical JSON. May hold the values of a Secret.
    pub manifest: Vec<u8>,
    /// Why it is not placed, as far as the object itself tells. The rest is in
    /// [`reason_skipped`].
    pub skip: Option<SkipReason>,
}

impl fmt::Debug for HubObject {
    /// Never the manifest: it may be a Secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HubObject({})", self.id)
    }
}

/// Something that is no Kubernetes object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an object of kind {kind} has no metadata.name")]
pub struct NamelessObject {
    /// The kind that it was read as.
    pub kind: GroupVersionKind,
}

/// Why an object is not placed although its kind and namespace could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SkipReason {
    /// It is on its way out.
    BeingDeleted,
    /// A Deployment, StatefulSet or DaemonSet made it, and makes its own on the member.
    MadeByWorkload,
    /// Every namespace of every cluster has its own.
    MadeForNamespace,
    /// A token that only this cluster accepts.
    ServiceAccountToken,
    /// A credential of the fleet itself.
    MemberLink,
    /// It lists addresses in the hub's network.
    MadeForService,
    /// It is bound to a volume of a workload that runs on the hub.
    ClaimOfHubWorkload,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BeingDeleted => "it is being deleted",
            Self::MadeByWorkload => "its owner makes one like it on the member",
            Self::MadeForNamespace => "every namespace has its own",
            Self::ServiceAccountToken => "it is a token of a service account of the hub",
            Self::MemberLink => "it holds the credential of a member",
            Self::MadeForService => "it lists addresses of a service in the hub's network",
            Self::ClaimOfHubWorkload => "it belongs to a workload that runs on the hub",
        })
    }
}

impl HubObject {
    /// Reads an object as the hub's API server shows it. Items of a list come without `apiVersion`
    /// and `kind`, so they are given.
    ///
    /// # Errors
    /// When it has no name.
    pub fn read(kind: &GroupVersionKind, mut object: Value) -> Result<Self, NamelessObject> {
        let name = text(&object, "/metadata/name").to_owned();
        if name.is_empty() {
            return Err(NamelessObject { kind: kind.clone() });
        }
        let id = ObjectId {
            group: kind.group.clone(),
            version: kind.version.clone(),
            kind: kind.kind.clone(),
            namespace: text(&object, "/metadata/namespace").to_owned(),
            name,
        };
        let labels = labels_of(&object);
        let skip = reason_skipped_by_itself(&id, &labels, &object);
        object["apiVersion"] = kind.api_version().into();
        object["kind"] = kind.kind.clone().into();
        sanitise(&mut object);
        Ok(Self { id, labels, manifest: canonical_json(&object), skip })
    }
}

/// Why an object is not placed, if it is not. `runs_workloads` says whether the hub runs workloads
/// of its own, `has_service` whether it has a Service of that namespace and name.
#[must_use]
pub fn reason_skipped(
    object: &HubObject,
    runs_workloads: bool,
    has_service: impl FnOnce(&str, &str) -> bool,
) -> Option<SkipReason> {
    let id = &object.id;
    match (id.group.as_str(), id.kind.as_str()) {
        _ if object.skip.is_some() => object.skip,
        ("", "PersistentVolumeClaim") if runs_workloads => Some(SkipReason::ClaimOfHubWorkload),
        // Endpoints without a Service of their name were written by somebody.
        ("", "Endpoints") if has_service(&id.namespace, &id.name) => {
            Some(SkipReason::MadeForService)
        }
        _ => None,
    }
}

fn reason_skipped_by_itself(id: &ObjectId, labels: &Labels, object: &Value) -> Option<SkipReason> {
    if !text(object, "/metadata/deletionTimestamp").is_empty() {
        return Some(SkipReason::BeingDeleted);
    }
    let reason = match (id.group.as_str(), id.kind.as_str()) {
        ("apps", "ReplicaSet" | "ControllerRevision") if has_owner(object) => {
            SkipReason::MadeByWorkload
        }
        ("", "ConfigMap") if id.name == "kube-root-ca.crt" => SkipReason::MadeForNamespace,
        ("", "ServiceAccount") if id.name == "default" => SkipReason::MadeForNamespace,
        ("", "Secret") if text(object, "/type") == "kubernetes.io/service-account-token" => {
            SkipReason::ServiceAccountToken
        }
        ("", "Secret")
            if text(object, "/type") == LINK_SECRET_TYPE
                || labels.contains_key(LINK_SECRET_LABEL) =>
        {
            SkipReason::MemberLink
        }
        // Whoever writes slices of their own does not set the label, or it would be a promise that
        // a controller looks after them.
        ("discovery.k8s.io", "EndpointSlice")
            if labels.contains_key("endpointslice.kubernetes.io/managed-by") =>
        {
            SkipReason::MadeForService
        }
        _ => return None,
    };
    Some(reason)
}

fn has_owner(object: &Value) -> bool {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    owners.is_some_and(|owners| !owners.is_empty())
}

fn labels_of(object: &Value) -> Labels {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    let pair = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    labels.into_iter().flat_map(Map::iter).filter_map(pair).collect()
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
