//! Failures as Kubernetes tells them: a `metav1.Status` with its code, reason and details.

use serde_json::{Map, Value, json};

use crate::registry::Resource;

/// A refused request, ready to be rendered as `metav1.Status`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{reason} ({code}): {message}")]
pub struct ApiError {
    /// HTTP status code.
    pub code: u16,
    /// The machine-readable reason, such as `NotFound`; empty when it is unknown.
    pub reason: &'static str,
    /// The sentence that `kubectl` prints.
    pub message: String,
    /// The `details` object: name, group, kind, causes.
    pub details: Map<String, Value>,
    /// For an expired list: where it can go on all the same.
    pub continuation: Option<String>,
    /// Values of `Warning` headers that go with the refusal.
    pub warnings: Vec<String>,
    /// Whether `details` are there even when they are empty, as Go writes a pointer.
    pub shows_details: bool,
}

/// One entry of `details.causes`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cause {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) field: String,
}

impl Cause {
    pub(crate) fn new(reason: &'static str, field: &str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), field: field.to_owned() }
    }

    pub(crate) fn required(field: &str, message: &str) -> Self {
        let message = match message {
            "" => "Required value".to_owned(),
            more => format!("Required value: {more}"),
        };
        Self::new("FieldValueRequired", field, message)
    }

    pub(crate) fn invalid(field: &str, value: &Value, why: &str) -> Self {
        Self::new("FieldValueInvalid", field, format!("Invalid value: {}: {why}", shown(value)))
    }

    pub(crate) fn type_invalid(field: &str, value: &Value, why: &str) -> Self {
        let message = format!("Invalid value: {}: {why}", shown(value));
        Self::new("FieldValueTypeInvalid", field, message)
    }

    pub(crate) fn not_supported(field: &str, value: &Value, choices: &[&str]) -> Self {
        let choices: Vec<String> = choices.iter().map(|it| format!("{it:?}")).collect();
        let choices = choices.join(", ");
        let message = format!("Unsupported value: {value}: supported values: {choices}");
        Self::new("FieldValueNotSupported", field, message)
    }

    pub(crate) fn duplicate(field: &str, value: &Value) -> Self {
        Self::new("FieldValueDuplicate", field, format!("Duplicate value: {value}"))
    }

    pub(crate) fn forbidden(field: &str, why: &str) -> Self {
        Self::new("FieldValueForbidden", field, format!("Forbidden: {why}"))
    }
}

/// How a value is quoted in messages: containers by their type only, like the API server does.
fn shown(value: &Value) -> String {
    if value.is_object() {
        "\"object\"".to_owned()
    } else if value.is_array() {
        "\"array\"".to_owned()
    } else {
        value.to_string()
    }
}

/// The causes as messages list them.
fn joined(causes: &[Cause]) -> String {
    let lines: Vec<String> =
        causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
    match lines.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

impl ApiError {
    /// An error without details.
    pub(crate) fn plain(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: Map::new(),
            continuation: None,
            warnings: Vec::new(),
            shows_details: false,
        }
    }

    fn about(mut self, resource: &Resource, name: &str) -> Self {
        if !name.is_empty() {
            self.details.insert("name".into(), json!(name));
        }
        if !resource.group.is_empty() {
            self.details.insert("group".into(), json!(resource.group));
        }
        self.details.insert("kind".into(), json!(resource.plural));
        self
    }

    pub(crate) fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", resource.group_resource());
        Self::plain(404, "NotFound", message).about(resource, name)
    }

    pub(crate) fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", resource.group_resource());
        Self::plain(409, "AlreadyExists", message).about(resource, name)
    }

    /// The object moved since the caller read it.
    pub(crate) fn stale(resource: &Resource, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version \
                   and try again";
        Self::conflict(resource, name, why)
    }

    pub(crate) fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let what = resource.group_resource();
        let message = format!("Operation cannot be fulfilled on {what} \"{name}\": {why}");
        Self::plain(409, "Conflict", message).about(resource, name)
    }

    pub(crate) fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        let what = resource.group_resource();
        let message = format!("{what} \"{name}\" is forbidden: {why}");
        Self::plain(403, "Forbidden", message).about(resource, name)
    }

    pub(crate) fn invalid(resource: &Resource, name: &str, causes: &[Cause]) -> Self {
        let why = joined(causes);
        let kind = resource.group_kind();
        let mut error = Self::plain(422, "Invalid", format!("{kind} \"{name}\" is invalid: {why}"))
            .about(resource, name)
            .with_causes(causes);
        error.details.insert("kind".into(), json!(resource.kind));
        error
    }

    /// Parameters of a request that do not make sense; `kind` is such as `CreateOptions`.
    pub(crate) fn invalid_options(kind: &str, causes: &[Cause]) -> Self {
        let mut error = Self::plain(
            422,
            "Invalid",
            format!("{kind}.meta.k8s.io \"\" is invalid: {}", joined(causes)),
        );
        error.details.insert("group".into(), json!("meta.k8s.io"));
        error.details.insert("kind".into(), json!(kind));
        error.with_causes(causes)
    }

    /// A patch that makes something of the object that cannot be read.
    pub(crate) fn invalid_patch(cause: &Cause) -> Self {
        let message = format!(" \"\" is invalid: {}: {}", cause.field, cause.message);
        Self::plain(422, "Invalid", message).with_causes(std::slice::from_ref(cause))
    }

    /// The client accepts no form that there is.
    pub(crate) fn not_acceptable() -> Self {
        let message = "only the following media types are accepted: application/json, \
                       application/yaml, application/vnd.kubernetes.protobuf";
        Self::plain(406, "NotAcceptable", message).with_details()
    }

    pub(crate) fn with_causes(mut self, causes: &[Cause]) -> Self {
        let causes: Vec<Value> = causes
            .iter()
            .map(|c| json!({"reason": c.reason, "message": c.message, "field": c.field}))
            .collect();
        self.details.insert("causes".into(), Value::Array(causes));
        self
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::plain(400, "BadRequest", message)
    }

    /// A path below a known group version that names nothing.
    pub(crate) fn no_such_resource() -> Self {
        Self::plain(404, "NotFound", "the server could not find the requested resource")
            .with_details()
    }

    pub(crate) fn with_warnings(mut self, warnings: &[String]) -> Self {
        self.warnings.extend_from_slice(warnings);
        self
    }

    /// Shows `details` although there are none.
    pub(crate) fn with_details(mut self) -> Self {
        self.shows_details = true;
        self
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::plain(405, "MethodNotAllowed", message).with_details()
    }

    pub(crate) fn unsupported_media_type(accepted: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: \
             {accepted}"
        );
        Self::plain(415, "UnsupportedMediaType", message)
    }

    /// The history that was asked for is gone: list again.
    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::plain(410, "Expired", message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::plain(500, "InternalError", message)
    }

    /// The `metav1.Status` object.
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        if let Some(token) = &self.continuation {
            status["metadata"]["continue"] = json!(token);
        }
        if self.shows_details || !self.details.is_empty() {
            status["details"] = Value::Object(self.details.clone());
        }
        status
    }
}
