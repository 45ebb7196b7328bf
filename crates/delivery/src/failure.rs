//! What an API server's refusal means for one object, in words that a user can act on.

use events::ObjectId;
use events::cluster::ObjectFailure;
use kube::core::Status;
use serde_json::Value;

pub use api::conditions::work::apply_reason::{
    DECODING_ERRED, DUPLICATED, FAILED_TO_FIND, FAILED_TO_TAKE_OVER, FOUND_GENERATE_NAME,
    MANIFEST_APPLY_FAILED,
};
pub use api::conditions::work::availability_reason::NOT_AVAILABLE_YET;

/// The longest message about one object, in bytes. Webhooks and validation can answer with whole
/// documents; messages are recorded for ever. What is longer is cut and says so.
pub const MESSAGE_BYTES_MAX: usize = 1024;

/// An object and what is wrong with it.
#[must_use]
pub fn failure(object: &ObjectId, reason: &str, message: impl Into<String>) -> ObjectFailure {
    ObjectFailure {
        object: object.clone(),
        reason: reason.to_owned(),
        message: shortened(message.into()),
        generation: None,
    }
}

/// The generation of an object, if its kind counts them.
#[must_use]
pub fn generation_of(object: &Value) -> Option<i64> {
    object["metadata"]["generation"].as_i64()
}

/// Why a member refused to take an object. Of a Secret only the reason and the paths are told,
/// because API servers and webhooks quote values.
#[must_use]
pub fn describe(status: &Status, object: &ObjectId) -> String {
    if has_cause(status, "NamespaceTerminating") {
        return format!("namespace {} is being deleted on the member", object.namespace);
    }
    if is_not_found(status) {
        return describe_not_found(status, object);
    }
    if is_too_large(status) {
        return "it is too large for the member's API server".to_owned();
    }
    let told = told_by(status, object);
    match status.code {
        403 => format!("the member does not allow it: {told}"),
        422 => format!("the member finds it invalid: {told}"),
        _ => format!("the member refused it: {told}"),
    }
}

// By code: kube's predicates of the same names go by the reason alone, and a path that is not served
// is answered without one.

pub(crate) fn is_not_found(status: &Status) -> bool {
    status.code == 404
}

pub(crate) fn is_forbidden(status: &Status) -> bool {
    status.code == 403
}

/// Somebody else wrote, or manages fields; not that something exists already, which has the same
/// code.
pub(crate) fn is_conflict(status: &Status) -> bool {
    status.code == 409 && !status.is_already_exists()
}

/// Whether a 404 is about this very object. One about anything else is about what it needs.
#[must_use]
pub fn is_object_missing(status: &Status, name: &str) -> bool {
    let details = status.details.as_ref();
    is_not_found(status) && details.is_some_and(|details| details.name == name)
}

/// That a kind is not served by the member, or only in these versions.
#[must_use]
pub fn kind_is_unknown(object: &ObjectId, served: &[String]) -> String {
    let (kind, api_version) = (&object.kind, object.api_version());
    match served {
        [] => format!(
            "the kind {kind} ({api_version}) is not known on this cluster: place its \
             CustomResourceDefinition too"
        ),
        served => format!(
            "the kind {kind} is not known on this cluster as {api_version}: the member serves it as \
             {}; select it in that version",
            served.join(", ")
        ),
    }
}

fn describe_not_found(status: &Status, object: &ObjectId) -> String {
    let details = status.details.as_ref();
    match details.map(|details| details.name.as_str()) {
        Some(name) if !name.is_empty() && name == object.namespace => {
            format!("namespace {name} does not exist on the member: place it too")
        }
        Some(name) if !name.is_empty() => "it disappeared from the member".to_owned(),
        _ => kind_is_unknown(object, &[]),
    }
}

fn is_too_large(status: &Status) -> bool {
    status.code == 413
        || status.reason == "RequestEntityTooLarge"
        || status.message.contains("request is too large")
        || status.message.contains("limit is 3145728")
}

/// What the server says, or, of a Secret, as much of it as holds no values.
fn told_by(status: &Status, object: &ObjectId) -> String {
    if !is_secret(object) {
        return match status.message.as_str() {
            "" => format!("{} ({})", status.reason, status.code),
            message => message.to_owned(),
        };
    }
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let fields: Vec<&str> =
        causes.map(|cause| cause.field.as_str()).filter(|field| !field.is_empty()).collect();
    let place =
        if fields.is_empty() { String::new() } else { format!(" at {}", fields.join(", ")) };
    format!(
        "{} ({}){place}; the message is withheld, it may quote values",
        status.reason, status.code
    )
}

fn is_secret(object: &ObjectId) -> bool {
    object.group.is_empty() && object.kind == "Secret"
}

fn has_cause(status: &Status, reason: &str) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == reason)
}

fn shortened(mut message: String) -> String {
    if message.len() > MESSAGE_BYTES_MAX {
        let end = message.floor_char_boundary(MESSAGE_BYTES_MAX);
        message.truncate(end);
        message.push_str("… (cut)");
    }
    message
}

#[cfg(test)]
#[path = "failure_tests.rs"]
mod tests;
