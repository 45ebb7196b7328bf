//! The objects of the hub as selection sees them, and which of them the hub made for itself.

use std::fmt;

use events::ObjectId;
use events::cluster::Labels;
use serde_json::{Map, Value};

use super::kinds::{is_envelope, is_fleet_group};
use super::{GroupVersionKind, canonical_json, sanitise};

/// The `type` of a Secret with the credential of a member. Nobody can change it once it is made.
pub const LINK_SECRET_TYPE: &str = "taffrail.dev/member-link";

/// The label of a Secret with the credential of a member, for those that were made without the
/// type. The value does not matter.
pub const LINK_SECRET_LABEL: &str = "taffrail.dev/member-link";

/// The label of the roles and bindings that an API server makes for itself, and keeps up.
const BOOTSTRAP_LABEL: (&str, &str) = ("kubernetes.io/bootstrapping", "rbac-defaults");

/// The label of the APIServices that an API server makes for itself.
const AUTOMANAGED_LABEL: &str = "kube-aggregator.kubernetes.io/automanaged";

/// The annotation of the objects of flow control that an API server keeps up: `true`, unless
/// somebody took one over.
const AUTOUPDATE_ANNOTATION: &str = "apf.kubernetes.io~1autoupdate-spec";

/// The label of the IPAddresses that an API server makes for Services.
const ALLOCATED_LABEL: &str = "ipaddress.kubernetes.io/managed-by";

/// An object of the hub, read once for each change of it.
#[derive(Clone, PartialEq)]
pub struct HubObject {
    /// Which object.
    pub id: ObjectId,
    /// Its labels, for selectors.
    pub labels: Labels,
    /// The object whose controller made it and looks after it.
    pub controller: Option<Controller>,
    /// What of it is placed: sanitised, as canonical JSON. May hold the values of a Secret. Empty
    /// for an envelope: whatever is in it must not be stored as it is.
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

/// The owner of an object that is its controller: in the same namespace, or in none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// Its API group.
    pub group: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
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
    /// A Deployment, StatefulSet, DaemonSet or CronJob made it, and makes its own on the member.
    MadeByWorkload,
    /// A controller made it for an object that is selected too, and makes its own on the member.
    MadeForSelected,
    /// Every API server makes its own, and needs it.
    MadeByApiServer,
    /// It is part of the fleet's own API.
    FleetApi,
    /// What is in it is for members, and this version does not open it.
    Envelope,
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
            Self::MadeForSelected => {
                "a controller made it for an object that is selected, and makes its own on the \
                 member"
            }
            Self::MadeByApiServer => "every API server makes its own and needs it",
            Self::FleetApi => "it is part of the fleet's own API",
            Self::Envelope => {
                "this version does not open envelopes; select the objects themselves instead"
            }
            Self::MadeForNamespace => "every namespace has its own",
            Self::ServiceAccountToken => "it is a token of a service account of the hub",
            Self::MemberLink => "it holds the credential of a member",
            Self::MadeForService => "it lists addresses of a service in the hub's network",
            Self::ClaimOfHubWorkload => "it belongs to a workload that runs on the hub",
        })
    }
}

impl SkipReason {
    /// Whether an object that a selector names must not be placed by anybody: adopting it on a
    /// member, or removing it there, would do harm.
    #[must_use]
    pub fn forbids_name(self) -> bool {
        match self {
            Self::MadeByApiServer | Self::FleetApi | Self::Envelope | Self::MemberLink => true,
            Self::BeingDeleted
            | Self::MadeByWorkload
            | Self::MadeForSelected
            | Self::MadeForNamespace
            | Self::ServiceAccountToken
            | Self::MadeForService
            | Self::ClaimOfHubWorkload => false,
        }
    }

    /// Whether people may have meant such an object when they chose a kind or a namespace. What
    /// comes and goes by itself, and what every namespace has, they have not.
    #[must_use]
    pub fn is_worth_a_note(self) -> bool {
        match self {
            Self::MadeByApiServer
            | Self::FleetApi
            | Self::Envelope
            | Self::MemberLink
            | Self::ServiceAccountToken
            | Self::ClaimOfHubWorkload => true,
            Self::BeingDeleted
            | Self::MadeByWorkload
            | Self::MadeForSelected
            | Self::MadeForNamespace
            | Self::MadeForService => false,
        }
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
        let controller = controller_of(&object);
        object["apiVersion"] = kind.api_version().into();
        object["kind"] = kind.kind.clone().into();
        sanitise(&mut object);
        let manifest = match is_envelope(&kind.group, &kind.kind) {
            true => vec![],
            false => canonical_json(&object),
        };
        Ok(Self { id, labels, controller, manifest, skip })
    }
}

impl HubObject {
    /// The namespaces of the service accounts that a RoleBinding is about, unless an API server made
    /// it for itself.
    pub(super) fn service_account_namespaces(&self) -> Vec<String> {
        if self.skip.is_some() {
            return vec![];
        }
        let manifest: Value = serde_json::from_slice(&self.manifest).unwrap_or_default();
        let subjects = manifest["subjects"].as_array().into_iter().flatten();
        let accounts = subjects.filter(|subject| subject["kind"] == "ServiceAccount");
        accounts.filter_map(|subject| Some(subject["namespace"].as_str()?.to_owned())).collect()
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
    if is_made_by_api_server(id, labels, object) {
        return Some(SkipReason::MadeByApiServer);
    }
    let reason = match (id.group.as_str(), id.kind.as_str()) {
        (group, kind) if is_envelope(group, kind) => SkipReason::Envelope,
        ("apiextensions.k8s.io", "CustomResourceDefinition")
            if is_fleet_group(text(object, "/spec/group")) =>
        {
            SkipReason::FleetApi
        }
        ("apps", "ReplicaSet" | "ControllerRevision") if has_owner(object) => {
            SkipReason::MadeByWorkload
        }
        ("batch", "Job")
            if controller_of(object)
                .is_some_and(|it| it.group == "batch" && it.kind == "CronJob") =>
        {
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

/// What each API server makes for itself, as Kubernetes 1.34 does, and puts right again when it
/// starts. In the namespaces of the system there is more, which are never placed.
fn is_made_by_api_server(id: &ObjectId, labels: &Labels, object: &Value) -> bool {
    match (id.group.as_str(), id.kind.as_str()) {
        (
            "rbac.authorization.k8s.io",
            "ClusterRole" | "ClusterRoleBinding" | "Role" | "RoleBinding",
        ) => labels.get(BOOTSTRAP_LABEL.0).is_some_and(|value| value == BOOTSTRAP_LABEL.1),
        // Nobody else may use the prefix.
        ("scheduling.k8s.io", "PriorityClass") => id.name.starts_with("system-"),
        ("apiregistration.k8s.io", "APIService") => labels.contains_key(AUTOMANAGED_LABEL),
        ("flowcontrol.apiserver.k8s.io", "FlowSchema" | "PriorityLevelConfiguration") => {
            text(object, &format!("/metadata/annotations/{AUTOUPDATE_ANNOTATION}")) == "true"
        }
        ("networking.k8s.io", "IPAddress") => labels.contains_key(ALLOCATED_LABEL),
        ("networking.k8s.io", "ServiceCIDR") => id.name == "kubernetes",
        ("internal.apiserver.k8s.io", "StorageVersion") => true,
        _ => false,
    }
}

/// The owner that is the controller; others, of which there may be several, only keep the object
/// alive.
fn controller_of(object: &Value) -> Option<Controller> {
    let owners = object.pointer("/metadata/ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|owner| owner["controller"] == true)?;
    let api_version = text(owner, "/apiVersion");
    let (group, _) = api_version.split_once('/').unwrap_or(("", api_version));
    Some(Controller {
        group: group.to_owned(),
        kind: text(owner, "/kind").to_owned(),
        name: text(owner, "/name").to_owned(),
    })
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
