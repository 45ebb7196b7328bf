//! Deletion: at once, or marked and held by finalizers; of one object or of a selection.

use serde_json::{Value, json};

use super::format::in_version;
use super::list::selects;
use super::{Call, Cluster};
use crate::error::{ApiError, Cause};
use crate::object::Meta;
use crate::registry::Resource;
use crate::request::Reply;
use crate::store::{ObjectKey, Stored};
use crate::time::seconds;

/// Deleting this owner waits for its dependents.
pub(super) const FOREGROUND: &str = "foregroundDeletion";

/// Deleting this owner leaves its dependents.
pub(super) const ORPHAN: &str = "orphan";

/// Namespaces that cannot be deleted.
const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

/// What becomes of dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

#[derive(Debug)]
struct DeleteOptions {
    propagation: Option<Propagation>,
    uid: Option<String>,
    revision: Option<String>,
    dry_run: bool,
}

impl Cluster {
    pub(super) fn delete(&mut self, call: &Call<'_>) -> Result<Reply, ApiError> {
        let options = call.delete_options()?;
        let object = self.existing(call)?;
        options.check(&call.resource, &object)?;
        check_may_go(&call.resource, &object)?;
        let key = call.key();
        let propagation = options.propagation_of(&call.resource, &object);
        if options.dry_run {
            let marked = self.marked_for_deletion(call, object.clone(), propagation);
            let gone = marked.finalizers().is_empty();
            return Ok(call.deleted_reply(if gone { object } else { marked }, gone));
        }
        let (object, gone) = self.begin_deletion(call, &key, object, propagation);
        Ok(call.deleted_reply(object, gone))
    }

    /// Removes the object, or marks it when something holds it. Returns its last state.
    fn begin_deletion(
        &mut self,
        call: &Call<'_>,
        key: &ObjectKey,
        object: Value,
        propagation: Propagation,
    ) -> (Value, bool) {
        let marked = self.marked_for_deletion(call, object.clone(), propagation);
        let holds_contents = call.resource.is("", "namespaces");
        if marked.finalizers().is_empty() && !holds_contents {
            self.remove(call.now, key);
            return (marked, true);
        }
        if marked == object {
            return (object, false);
        }
        (self.put(call.now, key, marked), false)
    }

    fn marked_for_deletion(
        &self,
        call: &Call<'_>,
        mut object: Value,
        propagation: Propagation,
    ) -> Value {
        let mut finalizers: Vec<String> =
            object.finalizers().into_iter().map(str::to_owned).collect();
        finalizers.retain(|it| it != FOREGROUND && it != ORPHAN);
        match propagation {
            Propagation::Background => {}
            Propagation::Foreground => finalizers.push(FOREGROUND.to_owned()),
            Propagation::Orphan => finalizers.push(ORPHAN.to_owned()),
        }
        if call.resource.is("apiextensions.k8s.io", "customresourcedefinitions")
            && !finalizers.iter().any(|it| it == crate::crd::CLEANUP_FINALIZER)
        {
            finalizers.push(crate::crd::CLEANUP_FINALIZER.to_owned());
        }
        object.set_finalizers(&finalizers);
        if !object.is_terminating() {
            object.set_meta("deletionTimestamp", seconds(call.now));
            object.set_meta("deletionGracePeriodSeconds", 0);
            let generation = object.generation();
            if generation > 0 {
                object.set_meta("generation", generation + 1);
            }
        }
        if call.resource.is("", "namespaces") {
            object["status"]["phase"] = json!("Terminating");
            object.remove_meta("deletionGracePeriodSeconds");
        }
        object
    }

    pub(super) fn delete_collection(&mut self, call: &Call<'_>) -> Result<Reply, ApiError> {
        if !call.resource.allows("deletecollection") {
            return Err(ApiError::method_not_allowed());
        }
        let options = call.delete_options()?;
        let selector = call.selector()?;
        let collection = self.store.collection(&call.resource.collection());
        let doomed: Vec<_> = collection
            .objects
            .iter()
            .filter(|(name, stored)| selects(&call.target.namespace, &selector, name, stored))
            .map(|(name, stored)| (name.clone(), stored.clone()))
            .collect();
        for (name, stored) in doomed.iter().filter(|_| !options.dry_run) {
            let key = ObjectKey { collection: call.resource.collection(), name: name.clone() };
            let object = stored.value();
            let propagation = options.propagation_of(&call.resource, &object);
            self.begin_deletion(call, &key, object, propagation);
        }
        let items: Vec<&Stored> = doomed.iter().map(|(_, stored)| stored.as_ref()).collect();
        let metadata = json!({"resourceVersion": self.store.revision().to_string()});
        Ok(Reply::bytes(200, call.format().list(&call.resource, &items, metadata, call.now)))
    }
}

impl Call<'_> {
    /// Options from the body, or from the query when there is none.
    fn delete_options(&self) -> Result<DeleteOptions, ApiError> {
        let body = match self.request.body.is_empty() {
            true => json!({}),
            false => self.decode_document()?,
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let asked = match self.request.body.is_empty() {
            true => self.query.text("propagationPolicy"),
            false => body["propagationPolicy"].as_str().unwrap_or_default(),
        };
        let orphan = body["orphanDependents"].as_bool();
        let mut causes = Vec::new();
        if orphan.is_some() && !asked.is_empty() {
            let why = "orphanDependents and deletionPropagation cannot be both set";
            causes.push(Cause::invalid("propagationPolicy", &json!(asked), why));
        }
        if !matches!(asked, "" | "Foreground" | "Background" | "Orphan") {
            let choices = &["Foreground", "Background", "Orphan", "nil"];
            causes.push(Cause::not_supported("propagationPolicy", &json!(asked), choices));
        }
        if !causes.is_empty() {
            return Err(ApiError::invalid_options("DeleteOptions", &causes));
        }
        let propagation = match (asked, orphan) {
            ("Foreground", _) => Some(Propagation::Foreground),
            ("Orphan", _) | ("", Some(true)) => Some(Propagation::Orphan),
            ("Background", _) | ("", Some(false)) => Some(Propagation::Background),
            _ => None,
        };
        let body_dry_run = body["dryRun"].as_array().is_some_and(|it| it.contains(&json!("All")));
        Ok(DeleteOptions {
            propagation,
            uid: text(&body["preconditions"]["uid"]),
            revision: text(&body["preconditions"]["resourceVersion"]),
            dry_run: body_dry_run || self.is_dry_run(),
        })
    }

    /// Most kinds answer with a Status once the object is gone, some with the object.
    fn deleted_reply(&self, object: Value, gone: bool) -> Reply {
        const RETURN_OBJECT: &[&str] = &[
            "pods",
            "podtemplates",
            "persistentvolumes",
            "persistentvolumeclaims",
            "resourcequotas",
            "serviceaccounts",
            "services",
        ];
        const STORAGE: &[&str] = &[
            "csidrivers",
            "csinodes",
            "storageclasses",
            "volumeattachments",
            "volumeattributesclasses",
        ];
        let plural = self.resource.plural.as_str();
        let returns_object = match self.resource.group.as_str() {
            "" => RETURN_OBJECT.contains(&plural),
            "storage.k8s.io" => STORAGE.contains(&plural),
            group => group == "resource.k8s.io",
        };
        if !gone || returns_object {
            let object = in_version(&self.resource, object);
            return Reply::json(200, &self.format().of_value(&self.resource, object, self.now));
        }
        let mut details = json!({"name": object.name(), "kind": self.resource.plural,
                                 "uid": object.meta_str("uid")});
        if !self.resource.group.is_empty() {
            details["group"] = json!(self.resource.group);
        }
        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
                            "status": "Success", "details": details});
        Reply::json(200, &status)
    }
}

impl DeleteOptions {
    /// What the client says, else what an earlier deletion said, else what the kind does.
    fn propagation_of(&self, resource: &Resource, object: &Value) -> Propagation {
        let of_finalizer = |it: &str| match it {
            FOREGROUND => Some(Propagation::Foreground),
            ORPHAN => Some(Propagation::Orphan),
            _ => None,
        };
        let earlier = || object.finalizers().into_iter().find_map(of_finalizer);
        self.propagation.or_else(earlier).unwrap_or_else(|| default_propagation(resource))
    }

    fn check(&self, resource: &Resource, object: &Value) -> Result<(), ApiError> {
        // These conflicts name the kind where others name the resource.
        let resource = &Resource { plural: resource.kind.clone(), ..resource.clone() };
        let (uid, revision) = (object.meta_str("uid"), object.meta_str("resourceVersion"));
        if let Some(wanted) = self.uid.as_deref().filter(|it| *it != uid) {
            let why = format!(
                "the UID in the precondition ({wanted}) does not match the UID in record ({uid}). \
                 The object might have been deleted and then recreated"
            );
            return Err(ApiError::conflict(resource, object.name(), &why));
        }
        if let Some(wanted) = self.revision.as_deref().filter(|it| *it != revision) {
            let why = format!(
                "the ResourceVersion in the precondition ({wanted}) does not match the \
                 ResourceVersion in record ({revision}). The object might have been modified"
            );
            return Err(ApiError::conflict(resource, object.name(), &why));
        }
        Ok(())
    }
}

fn check_may_go(resource: &Resource, object: &Value) -> Result<(), ApiError> {
    if resource.is("", "namespaces") && IMMORTAL.contains(&object.name()) {
        let why = "this namespace may not be deleted";
        return Err(ApiError::forbidden(resource, object.name(), why));
    }
    Ok(())
}

/// Jobs and ReplicationControllers leave their pods unless the client says otherwise.
fn default_propagation(resource: &Resource) -> Propagation {
    if resource.is("batch", "jobs") || resource.is("", "replicationcontrollers") {
        Propagation::Orphan
    } else {
        Propagation::Background
    }
}
