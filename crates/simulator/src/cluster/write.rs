//! Create, replace and patch: decode, prepare, validate, record managers, store.

use http::Method;
use serde_json::{Value, json};

use super::format::in_version;
use super::{Call, Cluster, faces};
use crate::apply::{self, Manager, Operation};
use crate::builtin::{self, Allocated};
use crate::error::{ApiError, Cause};
use crate::object::{Meta, as_object_mut, drop_nulls};
use crate::patch::{PatchKind, patched};
use crate::protobuf;
use crate::registry::Resource;
use crate::request::Reply;
use crate::schema;
use crate::time::seconds;

/// Letters of generated names: no vowels, so that no words come out.
const NAME_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// How often a generated name that is taken is drawn again.
const GENERATE_NAME_ATTEMPTS: usize = 8;

impl Cluster {
    pub(super) fn create(&mut self, call: &Call<'_>) -> Result<Reply, ApiError> {
        if !call.resource.allows("create") {
            return Err(ApiError::method_not_allowed());
        }
        let mut object = call.decode_body()?;
        let mut warnings = call.prepare_decoded(&mut object)?;
        self.name_object(call, &mut object);
        let created = self.create_object(call, object, None);
        let created = created.map_err(|error| error.with_warnings(&warnings))?;
        let mut reply = self.written(call, 201, created);
        reply.warnings.append(&mut warnings);
        Ok(reply)
    }

    /// Makes up the name if that is asked for.
    fn name_object(&mut self, call: &Call<'_>, object: &mut Value) {
        let prefix = object.meta_str("generateName").to_owned();
        if object.name().is_empty() && !prefix.is_empty() {
            for _ in 0..GENERATE_NAME_ATTEMPTS {
                let suffix: String = (0..5).map(|_| self.random_letter()).collect();
                object.set_meta("name", format!("{prefix}{suffix}"));
                if self.store.get(&call.key_of(object.name())).is_none() {
                    break;
                }
            }
        }
    }

    fn random_letter(&mut self) -> char {
        char::from(NAME_ALPHABET[self.rng.usize(..NAME_ALPHABET.len())])
    }

    /// Stores a decoded object; `managed` is set when an apply already recorded its managers.
    fn create_object(
        &mut self,
        call: &Call<'_>,
        mut object: Value,
        managed: Option<Value>,
    ) -> Result<Value, ApiError> {
        let resource = call.resource.clone();
        let key = call.key_of(object.name());
        object = call.to_stored(object);
        self.check_namespace_accepts(call, object.name())?;
        self.check_account(call, &object)?;
        let written_revision = object.meta_str("resourceVersion").to_owned();
        object.remove_meta("resourceVersion");
        object.set_meta("uid", self.fresh_uid().to_string());
        object.set_meta("creationTimestamp", seconds(call.now));
        for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
            object.remove_meta(field);
        }
        if counts_generations(&resource) {
            object.set_meta("generation", 1);
        }
        if resource.has_status {
            as_object_mut(&mut object).remove("status");
        }
        builtin::prepare_write(&resource, &mut object);
        finish_structure(&resource, &mut object);
        // What the server itself adds from here on belongs to nobody.
        let mut object = match managed {
            Some(managed) => {
                object.set_meta("managedFields", managed);
                object
            }
            None => {
                let manager = call.manager(Operation::Update);
                apply::record_update(None, object, resource.schema(), &manager)
            }
        };
        builtin::prepare_create(&resource, &mut object);
        let mut causes = builtin::validate_metadata(&resource, None, &object);
        causes.extend(self.violations(&resource, None, &object));
        if causes.is_empty() {
            causes.extend(self.allocate(&resource, None, &mut object));
        }
        finish_structure(&resource, &mut object);
        if !causes.is_empty() {
            return Err(ApiError::invalid(&resource, object.name(), &causes));
        }
        if !matches!(written_revision.as_str(), "" | "0") && call.request.method == Method::POST {
            let message = "resourceVersion should not be set on objects to be created";
            return Err(ApiError::plain(500, "", message));
        }
        if let Some(existing) = self.store.get(&key) {
            let mut error = ApiError::already_exists(&resource, object.name());
            if existing.value().is_terminating() {
                error.message = format!("object is being deleted: {}", error.message);
            }
            return Err(error);
        }
        if call.is_dry_run() {
            return Ok(object);
        }
        Ok(self.put(call.now, &key, object))
    }

    /// Gives an object what the cluster has a stock of: addresses and ports of Services.
    fn allocate(
        &mut self,
        resource: &Resource,
        old: Option<&Value>,
        object: &mut Value,
    ) -> Vec<Cause> {
        if !resource.is("", "services") {
            return Vec::new();
        }
        let services = &self.store.collection(&resource.collection()).objects;
        let services: Vec<Value> = services.values().map(|it| it.value()).collect();
        let allocated = Allocated::to(services.iter());
        builtin::allocate(object, old, allocated, &mut || self.rng.u64(..))
    }

    /// Pods are created only with a service account that exists.
    fn check_account(&self, call: &Call<'_>, pod: &Value) -> Result<(), ApiError> {
        if !call.resource.is("", "pods") {
            return Ok(());
        }
        let account = pod["spec"]["serviceAccountName"].as_str().unwrap_or("default");
        let namespace = &call.target.namespace;
        if self.store.get(&super::background::account_key(namespace, account)).is_some() {
            return Ok(());
        }
        let why = format!(
            "error looking up service account {namespace}/{account}: serviceaccount \"{account}\" \
             not found"
        );
        Err(ApiError::forbidden(&call.resource, pod.name(), &why))
    }

    /// Objects are created only in namespaces that exist and stay.
    fn check_namespace_accepts(&self, call: &Call<'_>, name: &str) -> Result<(), ApiError> {
        if !call.resource.namespaced {
            return Ok(());
        }
        let namespace = &call.target.namespace;
        let Some(found) = self.namespace(namespace) else {
            let namespaces = self.registry.find("", "v1", "namespaces");
            return Err(namespaces.map_or_else(
                || ApiError::internal("namespaces are not served"),
                |resource| ApiError::not_found(resource, namespace),
            ));
        };
        if found.is_terminating() {
            let why = format!(
                "unable to create new content in namespace {namespace} because it is being \
                 terminated"
            );
            let message = format!("namespace {namespace} is being terminated");
            let cause = Cause::new("NamespaceTerminating", "metadata.namespace", message);
            let mut error = ApiError::forbidden(&call.resource, name, &why);
            error = error.with_causes(&[cause]);
            return Err(error);
        }
        Ok(())
    }

    fn violations(&self, resource: &Resource, old: Option<&Value>, new: &Value) -> Vec<Cause> {
        if resource.is_custom() {
            return schema::validate(new, resource.schema());
        }
        match old {
            None => builtin::validate_create(resource, new),
            Some(old) => builtin::validate_update(resource, old, new),
        }
    }

    pub(super) fn replace(&mut self, call: &Call<'_>) -> Result<Reply, ApiError> {
        let mut object = call.decode_body()?;
        let mut warnings = call.prepare_decoded(&mut object)?;
        call.check_names_match(&object)?;
        let replaced = self.replace_decoded(call, object);
        let mut reply = replaced.map_err(|error| error.with_warnings(&warnings))?;
        reply.warnings.append(&mut warnings);
        Ok(reply)
    }

    fn replace_decoded(&mut self, call: &Call<'_>, object: Value) -> Result<Reply, ApiError> {
        if self.store.get(&call.key()).is_none() && may_be_created_by_update(&call.resource) {
            let created = self.create_object(call, object, None)?;
            return Ok(self.written(call, 201, created));
        }
        let old = self.existing(call)?;
        if object.meta_str("resourceVersion").is_empty() && needs_revision(&call.resource) {
            let why = "must be specified for an update";
            let cause = Cause::invalid("metadata.resourceVersion", &json!(0), why);
            let mut error = ApiError::invalid(&call.resource, &call.target.name, &[cause]);
            error.details.insert("kind".to_owned(), json!(call.resource.plural));
            return Err(error);
        }
        let updated = self.update_object(call, &old, object, Writer::Update)?;
        Ok(self.written(call, 200, updated))
    }

    pub(super) fn patch(&mut self, call: &Call<'_>) -> Result<Reply, ApiError> {
        let kind = PatchKind::of(&call.request.content_type, call.resource.is_custom())?;
        if kind == PatchKind::Apply {
            return self.apply(call);
        }
        let patch = call.decode_document()?;
        let old = self.existing(call)?;
        let face = in_version(&call.resource, old.clone());
        let mut object = patched(kind, &face, &patch, call.resource.schema())?;
        let result = object.to_string();
        let mut warnings = call.prepare_decoded(&mut object).map_err(|error| {
            // What is wrong with the result is the fault of the patch.
            let cause = Cause::invalid("patch", &json!(result), &error.message);
            ApiError::invalid_patch(&cause)
        })?;
        call.check_names_match(&object)?;
        let updated = self.update_object(call, &old, object, Writer::Update);
        let updated = updated.map_err(|error| error.with_warnings(&warnings))?;
        let mut reply = self.written(call, 200, updated);
        reply.warnings.append(&mut warnings);
        Ok(reply)
    }

    fn apply(&mut self, call: &Call<'_>) -> Result<Reply, ApiError> {
        let mut config = call.decode_document()?;
        if !call.target.subresource.is_empty() {
            self.existing(call)?;
        }
        call.check_apply(&config)?;
        let existing = self.store.get(&call.key()).map(|it| it.value());
        if existing.is_none() && config.name().is_empty() {
            return Err(ApiError::bad_request(format!(
                "the name of the object ({} based on URL) was undeterminable: name must be provided",
                call.target.name
            )));
        }
        if existing.is_none() && !config.meta_str("uid").is_empty() {
            return Err(call.wrong_uid(config.meta_str("uid")));
        }
        if !call.resource.is_custom() {
            drop_nulls(&mut config);
        }
        config.set_meta("name", call.target.name.clone());
        call.take_namespace(&mut config)?;
        let config = call.typed_config(config)?;
        let force = call.query.flag("force");
        let manager = call.manager(Operation::Apply);
        let schema = call.resource.schema();
        match existing {
            None => {
                let mut object = apply::apply(&json!({}), &config, schema, &manager, force)?;
                let managed = object.meta_mut().remove("managedFields").unwrap_or(json!([]));
                let created = self.create_object(call, object, Some(managed))?;
                Ok(self.written(call, 201, created))
            }
            Some(old) => {
                let live = in_version(&call.resource, old.clone());
                let object = apply::apply(&live, &config, schema, &manager, force)?;
                let updated = self.update_object(call, &old, object, Writer::Apply)?;
                Ok(self.written(call, 200, updated))
            }
        }
    }

    /// Replaces the stored object by a new one, within the rights of the call's subresource.
    pub(super) fn update_object(
        &mut self,
        call: &Call<'_>,
        old: &Value,
        object: Value,
        writer: Writer,
    ) -> Result<Value, ApiError> {
        let resource = call.resource.clone();
        check_preconditions(call, old, &object)?;
        let mut object = call.to_stored(object);
        keep_system_metadata(&mut object, old);
        confine(&mut object, old, &resource, &call.target.subresource);
        if call.target.subresource.is_empty() {
            builtin::prepare_write(&resource, &mut object);
        }
        finish_structure(&resource, &mut object);
        // What the server does beside the write is the work of nobody.
        let mut object = match writer {
            Writer::Apply => object,
            Writer::Update => {
                let manager = call.manager(Operation::Update);
                apply::record_update(Some(old), object, resource.schema(), &manager)
            }
        };
        if call.target.subresource.is_empty() {
            builtin::prepare_update(&resource, &mut object, old);
        }
        finish_structure(&resource, &mut object);
        let mut causes: Vec<Cause> = late_finalizers(old, &object).into_iter().collect();
        causes.extend(builtin::validate_metadata(&resource, Some(old), &object));
        causes.extend(self.violations(&resource, Some(old), &object));
        if causes.is_empty() && call.target.subresource.is_empty() {
            causes.extend(self.allocate(&resource, Some(old), &mut object));
        }
        if !causes.is_empty() {
            return Err(ApiError::invalid(&resource, &call.target.name, &causes));
        }
        if counts_generations(&resource) && spec_differs(&resource, old, &object) {
            object.set_meta("generation", old.generation() + 1);
        }
        // A write without effect is no write: no new resource version, nothing to watch.
        if object == *old || call.is_dry_run() {
            return Ok(object);
        }
        Ok(self.put_or_finish(call.now, &call.key(), object))
    }

    /// The answer to a write.
    fn written(&self, call: &Call<'_>, status: u16, object: Value) -> Reply {
        let object = in_version(&call.resource, object);
        Reply::json(status, &call.format().of_value(&call.resource, object, call.now))
    }

    /// The namespace object.
    pub(super) fn namespace(&self, name: &str) -> Option<Value> {
        self.store.get(&super::background::namespace_key(name)).map(|it| it.value())
    }
}

/// Who recorded the managed fields of a new object: the caller already, or nobody yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writer {
    Update,
    Apply,
}

impl Call<'_> {
    /// The body as any document: JSON, or YAML or protobuf where the content type says so.
    pub(super) fn decode_document(&self) -> Result<Value, ApiError> {
        let body = &self.request.body;
        if self.request.content_type.starts_with(protobuf::CONTENT_TYPE) {
            let unreadable = || ApiError::bad_request("the protobuf body cannot be read");
            return protobuf::decode(body).ok_or_else(unreadable);
        }
        let is_yaml = self.request.content_type.contains("yaml");
        let decoded = match serde_json::from_slice(body) {
            Ok(value) => Ok(value),
            Err(_) if is_yaml => serde_yaml_ng::from_slice(body).map_err(|it| it.to_string()),
            Err(error) => Err(error.to_string()),
        };
        decoded.map_err(|error| {
            ApiError::bad_request(format!("error decoding the body of the request: {error}"))
        })
    }

    /// The body as an object of the resource.
    fn decode_body(&self) -> Result<Value, ApiError> {
        let essence = self.request.content_type.split(';').next().unwrap_or_default().trim();
        let is_known = matches!(
            essence,
            "" | "application/json" | "application/yaml" | protobuf::CONTENT_TYPE
        );
        if !is_known {
            let accepted =
                "application/json, application/yaml, application/vnd.kubernetes.protobuf";
            return Err(ApiError::unsupported_media_type(accepted));
        }
        let mut object = self.decode_document()?;
        self.check_kind(&mut object)?;
        Ok(object)
    }

    /// The body names the kind of the resource, or none.
    fn check_kind(&self, object: &mut Value) -> Result<(), ApiError> {
        if !object.is_object() {
            return Err(ApiError::bad_request("the body of the request is not an object"));
        }
        let (api_version, kind) = (self.resource.api_version(), &self.resource.kind);
        let written = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
        let (their_version, their_kind) = (written("apiVersion"), written("kind"));
        let foreign_kind = !their_kind.is_empty() && their_kind != *kind;
        if foreign_kind || (!their_version.is_empty() && their_version != api_version) {
            return Err(ApiError::bad_request(format!(
                "{their_kind} in version \"{their_version}\" cannot be handled as a {kind}: the \
                 API version in the data ({their_version}) does not match the expected API version \
                 ({api_version})"
            )));
        }
        object["apiVersion"] = json!(api_version);
        object["kind"] = json!(kind);
        Ok(())
    }

    /// Checks and cleans what a client wrote: namespace, types, unknown fields. Returns warnings.
    fn prepare_decoded(&self, object: &mut Value) -> Result<Vec<String>, ApiError> {
        self.check_kind(object)?;
        self.take_namespace(object)?;
        let schema = self.resource.schema();
        // Of custom objects the metadata has a type that is known before the schema.
        let metadata_only = json!({"metadata": object["metadata"]});
        let typed = if self.resource.is_custom() { &metadata_only } else { &*object };
        if let Some((path, wanted)) = schema::builtin_type_errors(typed, schema) {
            let (kind, version) = (&self.resource.kind, &self.resource.version);
            return Err(ApiError::bad_request(format!(
                "{kind} in version \"{version}\" cannot be handled as a {kind}: json: cannot \
                 unmarshal into field .{path} of type {wanted}"
            )));
        }
        if !self.resource.is_custom() {
            drop_nulls(object);
        }
        let unknown = schema::prune(object, schema);
        let complaints = unknown.iter().map(|path| format!("unknown field \"{path}\""));
        match self.query.text("fieldValidation") {
            "Strict" if !unknown.is_empty() => {
                let (kind, version) = (&self.resource.kind, &self.resource.version);
                let complaints: Vec<String> = complaints.collect();
                Err(ApiError::bad_request(format!(
                    "{kind} in version \"{version}\" cannot be handled as a {kind}: strict \
                     decoding error: {}",
                    complaints.join(", ")
                )))
            }
            "Ignore" => Ok(Vec::new()),
            _ => Ok(complaints.collect()),
        }
    }

    /// The namespace of the request is that of the object, which must not name another one.
    fn take_namespace(&self, object: &mut Value) -> Result<(), ApiError> {
        let namespace = object.namespace().to_owned();
        if !self.resource.namespaced {
            object.remove_meta("namespace");
            return Ok(());
        }
        if !namespace.is_empty() && namespace != self.target.namespace {
            return Err(ApiError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the \
                 request",
            ));
        }
        object.set_meta("namespace", self.target.namespace.clone());
        Ok(())
    }

    /// An apply that names a uid does not create.
    fn wrong_uid(&self, uid: &str) -> ApiError {
        let why = format!(
            "uid mismatch: the provided object specified uid {uid}, and no existing object was \
             found"
        );
        ApiError::conflict(&self.resource, &self.target.name, &why)
    }

    fn check_names_match(&self, object: &Value) -> Result<(), ApiError> {
        if object.name() == self.target.name {
            return Ok(());
        }
        Err(ApiError::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({})",
            object.name(),
            self.target.name
        )))
    }

    fn check_apply(&self, config: &Value) -> Result<(), ApiError> {
        let written = |field: &str| config[field].as_str().unwrap_or_default();
        if written("apiVersion").is_empty() || written("kind").is_empty() {
            return Err(ApiError::bad_request(
                "invalid object type: apiVersion and kind must be set in an apply patch",
            ));
        }
        self.check_kind(&mut config.clone())?;
        let meta = config.meta();
        if meta.is_some_and(|it| it.get("managedFields").is_some_and(|it| !it.is_null())) {
            return Err(ApiError::bad_request("metadata.managedFields must be nil"));
        }
        if config.name().is_empty() { Ok(()) } else { self.check_names_match(config) }
    }

    /// The configuration of an apply as the type sees it; unknown fields are errors here.
    fn typed_config(&self, mut config: Value) -> Result<Value, ApiError> {
        let schema = self.resource.schema();
        let unknown = schema::prune(&mut config, schema);
        let problem = match unknown.first() {
            Some(path) => Some(format!(".{path}: field not declared in schema")),
            None => schema::builtin_type_errors(&config, schema)
                .map(|(path, wanted)| format!(".{path}: expected {wanted}"))
                .or_else(|| apply::repeated_item(&config, schema)),
        };
        if let Some(problem) = problem {
            let (namespace, name) = (&self.target.namespace, &self.target.name);
            let (api_version, kind) = (self.resource.api_version(), &self.resource.kind);
            return Err(ApiError::plain(
                500,
                "",
                format!(
                    "failed to create typed patch object ({namespace}/{name}; {api_version}, \
                     Kind={kind}): {problem}"
                ),
            ));
        }
        let fields = as_object_mut(&mut config);
        match self.target.subresource.as_str() {
            "status" => fields.retain(|field, _| {
                matches!(field.as_str(), "apiVersion" | "kind" | "metadata" | "status")
            }),
            _ if self.resource.has_status => {
                fields.remove("status");
            }
            _ => {}
        }
        Ok(config)
    }

    /// The manager that writes.
    fn manager(&self, operation: Operation) -> Manager {
        let name = match self.query.text("fieldManager") {
            "" => self.request.user_agent.split('/').next().unwrap_or_default(),
            name => name,
        };
        let name = if name.is_empty() { "unknown" } else { name };
        Manager {
            name: name.to_owned(),
            operation,
            api_version: self.resource.api_version(),
            subresource: self.target.subresource.clone(),
            time: seconds(self.now),
            carries_metadata: status_carries_metadata(&self.resource)
                && !self.resource.is("apps", "deployments"),
        }
    }

    /// The object in the form that is stored.
    fn to_stored(&self, object: Value) -> Value {
        faces::to_stored(&self.resource, object)
    }
}

/// Kinds that may only be replaced by who says which version they saw.
fn needs_revision(resource: &Resource) -> bool {
    const STORAGE: &[&str] =
        &["csidrivers", "csinodes", "csistoragecapacities", "volumeattachments"];
    let is_storage = STORAGE.contains(&resource.plural.as_str());
    resource.is_custom()
        || resource.is("coordination.k8s.io", "leases")
        || resource.is("node.k8s.io", "runtimeclasses")
        || resource.is("policy", "poddisruptionbudgets")
        || resource.group == "admissionregistration.k8s.io"
        || (resource.group == "storage.k8s.io" && is_storage)
}

/// Kinds of which a replacement may be the first version.
fn may_be_created_by_update(resource: &Resource) -> bool {
    const CORE: &[&str] = &["endpoints", "events", "limitranges", "services"];
    resource.group == "rbac.authorization.k8s.io"
        || resource.is("coordination.k8s.io", "leases")
        || resource.is("node.k8s.io", "runtimeclasses")
        || (resource.group.is_empty() && CORE.contains(&resource.plural.as_str()))
}

/// Kinds whose `metadata.generation` counts changes.
fn counts_generations(resource: &Resource) -> bool {
    const COUNTED: &[(&str, &[&str])] = &[
        ("", &["replicationcontrollers", "pods", "podtemplates"]),
        ("admissionregistration.k8s.io", &[]),
        ("apiextensions.k8s.io", &[]),
        ("apps", &["deployments", "statefulsets", "daemonsets", "replicasets"]),
        ("batch", &[]),
        ("discovery.k8s.io", &[]),
        ("networking.k8s.io", &["ingresses", "networkpolicies", "ingressclasses"]),
        ("policy", &[]),
        ("scheduling.k8s.io", &[]),
    ];
    resource.is_custom()
        || COUNTED.iter().any(|(group, plurals)| {
            *group == resource.group
                && (plurals.is_empty() || plurals.contains(&resource.plural.as_str()))
        })
}

/// Whether anything but metadata and status differs. Without a status subresource, `status` of
/// a custom resource is a field like any other.
fn spec_differs(resource: &Resource, old: &Value, new: &Value) -> bool {
    let counted = |object: &Value| {
        let mut object = object.clone();
        let fields = as_object_mut(&mut object);
        fields.remove("metadata");
        fields.remove("apiVersion");
        if resource.has_status || !resource.is_custom() {
            fields.remove("status");
        }
        object
    };
    counted(old) != counted(new)
}

/// An object that is going gets no new finalizers.
fn late_finalizers(old: &Value, new: &Value) -> Option<Cause> {
    let (before, after) = (old.finalizers(), new.finalizers());
    let late: Vec<&str> = after.into_iter().filter(|it| !before.contains(it)).collect();
    if late.is_empty() || !old.is_terminating() {
        return None;
    }
    let why = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers \
         []string{{{late:?}}}"
    );
    Some(Cause::forbidden("metadata.finalizers", &why))
}

/// The resource version and uid that the writer saw are those of the object. A patch that changes
/// the uid is refused later, as a change of something immutable.
fn check_preconditions(call: &Call<'_>, old: &Value, new: &Value) -> Result<(), ApiError> {
    let (seen_uid, uid) = (new.meta_str("uid"), old.meta_str("uid"));
    let replaces = call.request.method == Method::PUT;
    if replaces && !seen_uid.is_empty() && seen_uid != uid {
        let why = format!(
            "StorageError: invalid object, Code: 4, AdditionalErrorMsg: Precondition failed: UID \
             in precondition: {seen_uid}, UID in object meta: {uid}"
        );
        return Err(ApiError::conflict(&call.resource, old.name(), &why));
    }
    let seen = new.meta_str("resourceVersion");
    if !seen.is_empty() && seen != "0" && seen != old.meta_str("resourceVersion") {
        return Err(ApiError::stale(&call.resource, old.name()));
    }
    Ok(())
}

/// Metadata that only the server writes.
fn keep_system_metadata(object: &mut Value, old: &Value) {
    const SYSTEM: &[&str] = &[
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "resourceVersion",
        "generateName",
    ];
    for field in SYSTEM {
        object.copy_meta(field, old);
    }
    if object.meta_str("uid").is_empty() {
        object.copy_meta("uid", old);
    }
}

/// Whether metadata that is written with the status counts.
fn status_carries_metadata(resource: &Resource) -> bool {
    let is_bare = resource.is("", "pods")
        || resource.is("networking.k8s.io", "servicecidrs")
        || resource.is("storage.k8s.io", "volumeattachments")
        || resource.is("admissionregistration.k8s.io", "validatingadmissionpolicies");
    !resource.is_custom() && !is_bare
}

/// Takes back what the subresource does not let a writer touch.
fn confine(object: &mut Value, old: &Value, resource: &Resource, subresource: &str) {
    let keep = |object: &mut Value, field: &str| match old.get(field) {
        Some(value) => {
            as_object_mut(object).insert(field.to_owned(), value.clone());
        }
        None => {
            as_object_mut(object).remove(field);
        }
    };
    match subresource {
        "status" => {
            let status = object.get("status").cloned();
            let managed = object.meta().and_then(|it| it.get("managedFields")).cloned();
            let metadata = ["labels", "annotations", "finalizers", "ownerReferences"];
            let written = object.clone();
            *object = old.clone();
            if status_carries_metadata(resource) {
                metadata.iter().for_each(|field| object.copy_meta(field, &written));
            }
            if resource.is("apps", "deployments") {
                object.copy_meta("labels", old);
            }
            match status {
                Some(status) => object["status"] = status,
                None => {
                    as_object_mut(object).remove("status");
                }
            }
            match managed {
                Some(managed) => object.set_meta("managedFields", managed),
                None => object.remove_meta("managedFields"),
            }
        }
        "" => {
            if resource.has_status {
                keep(object, "status");
            }
            if resource.is("", "namespaces") {
                keep(object, "spec");
            }
        }
        _ => {}
    }
}

/// What reading and writing the typed object does to it.
fn finish_structure(resource: &Resource, object: &mut Value) {
    if resource.is_custom() {
        schema::apply_defaults(object, resource.schema());
    } else {
        schema::canonicalise_quantities(object, resource.schema());
        schema::drop_empty_collections(object, resource.schema());
        schema::fill_zero_fields(object, resource.schema());
    }
}
