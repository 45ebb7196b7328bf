//! Reading: one object, or pages of many as they were at one revision.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as TOKEN;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::format::Format;
use super::{Call, Cluster};
use crate::error::{ApiError, Cause};
use crate::registry::Resource;
use crate::request::Reply;
use crate::selector::Selector;
use crate::store::{Forgotten, ObjectName, Stored};

/// In a continuation: the state of then does not matter. No revision is that low.
const LATEST: u64 = 0;

/// Where a list goes on: the revision of its first page, and the last object given out.
#[derive(Debug, Serialize, Deserialize)]
struct Continuation {
    revision: u64,
    namespace: String,
    name: String,
}

impl Call<'_> {
    pub(super) fn format(&self) -> Format {
        Format::of(&self.request.accept, self.query.text("includeObject"))
    }

    pub(super) fn selector(&self) -> Result<Selector, ApiError> {
        let known = |path: &str| selects_by(&self.resource, path);
        let fields = match (self.query.text("fieldSelector"), self.target.name.as_str()) {
            (fields, "") => fields.to_owned(),
            (_, name) => format!("metadata.name={name}"),
        };
        Selector::parse(self.query.text("labelSelector"), &fields, known)
    }
}

/// Whether the object lies in the namespace (empty: any) and is selected.
pub(super) fn selects(
    namespace: &str,
    selector: &Selector,
    name: &ObjectName,
    stored: &Stored,
) -> bool {
    (namespace.is_empty() || name.namespace == namespace)
        && selector.pinned_name().is_none_or(|pinned| pinned == name.name)
        && selector.matches(&stored.labels, || stored.value())
}

/// Whether lists of the resource can be selected by the field.
pub(super) fn selects_by(resource: &Resource, path: &str) -> bool {
    path == "metadata.name"
        || (path == "metadata.namespace" && resource.namespaced)
        || resource.selectable_fields.iter().any(|it| it == path)
}

impl Cluster {
    pub(super) fn get(&self, call: &Call<'_>) -> Result<Reply, ApiError> {
        let stored = self.store.get(&call.key());
        let stored =
            stored.ok_or_else(|| ApiError::not_found(&call.resource, &call.target.name))?;
        let body = call.format().one(&call.resource, stored, call.now, true);
        Ok(Reply::bytes(200, body))
    }

    pub(super) fn list(&self, call: &Call<'_>) -> Result<Reply, ApiError> {
        let selector = call.selector()?;
        let limit = call.query.number("limit")?.filter(|limit| *limit > 0);
        let start = self.continuation(call)?;
        let revision = start.as_ref().map_or(self.store.revision(), |it| match it.revision {
            LATEST => self.store.revision(),
            exact => exact,
        });
        let collection = self.store.collection(&call.resource.collection());
        let objects = collection.at(revision).map_err(|_| match &start {
            Some(it) if !it.name.is_empty() => expired_continuation(it),
            Some(_) | None => expired_revision(revision),
        })?;
        let after = start.map(|it| ObjectName { namespace: it.namespace, name: it.name });
        let mut matching = objects
            .into_iter()
            .filter(|(name, _)| after.as_ref().is_none_or(|after| *name > after))
            .filter(|(name, it)| selects(&call.target.namespace, &selector, name, it));
        let page_size = limit.map_or(usize::MAX, |it| usize::try_from(it).unwrap_or(usize::MAX));
        let page: Vec<_> = matching.by_ref().take(page_size).collect();
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        let remaining = matching.count();
        if let (true, Some((last, _))) = (remaining > 0, page.last()) {
            metadata["continue"] = json!(token(revision, last));
            if selector.is_empty() {
                metadata["remainingItemCount"] = json!(remaining);
            }
        }
        let items: Vec<&Stored> = page.iter().map(|(_, stored)| stored.as_ref()).collect();
        Ok(Reply::bytes(200, call.format().list(&call.resource, &items, metadata, call.now)))
    }

    /// The page to go on with, or the exact revision to list at.
    fn continuation(&self, call: &Call<'_>) -> Result<Option<Continuation>, ApiError> {
        let token = call.query.text("continue");
        if !token.is_empty() {
            let decoded = TOKEN.decode(token).ok().and_then(|it| serde_json::from_slice(&it).ok());
            let invalid = || ApiError::bad_request("continue key is not valid");
            return decoded.map(Some).ok_or_else(invalid);
        }
        let asked = call.query.number("resourceVersion")?.unwrap_or(0);
        if asked > self.store.revision() {
            return Err(too_large(asked, self.store.revision()));
        }
        let matching = call.query.text("resourceVersionMatch");
        if !matching.is_empty() && call.query.text("resourceVersion").is_empty() {
            let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            let cause = Cause::forbidden("resourceVersionMatch", why);
            return Err(ApiError::invalid_options("ListOptions", &[cause]));
        }
        if matching == "Exact" && asked == 0 {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            let cause = Cause::forbidden("resourceVersionMatch", why);
            return Err(ApiError::invalid_options("ListOptions", &[cause]));
        }
        if matching == "Exact" {
            let (namespace, name) = (String::new(), String::new());
            return Ok(Some(Continuation { revision: asked, namespace, name }));
        }
        Ok(None)
    }
}

const CONTINUE_EXPIRED: &str = "The provided continue parameter is too old to display a \
    consistent list result. You can start a new list without the continue parameter, or use the \
    continue token in this response to retrieve the remainder of the results.";

/// 410 for a page of a list that began before what the history reaches. The rest can be had as
/// it is now.
fn expired_continuation(start: &Continuation) -> ApiError {
    let (namespace, name) = (start.namespace.clone(), start.name.clone());
    let mut error = ApiError::expired(CONTINUE_EXPIRED);
    error.continuation = Some(encoded(&Continuation { revision: LATEST, namespace, name }));
    error
}

/// 410 for a revision that the history does not reach.
pub(super) fn expired_revision(revision: u64) -> ApiError {
    ApiError::expired(format!("The resourceVersion for the provided list is too old: {revision}"))
}

/// 410 for a watch from a revision that the history does not reach.
pub(super) fn expired_watch(revision: u64, forgotten: &Forgotten) -> ApiError {
    ApiError::expired(format!("too old resource version: {revision} ({})", forgotten.oldest))
}

fn too_large(asked: u64, current: u64) -> ApiError {
    let message = format!("Too large resource version: {asked}, current: {current}");
    let cause = Cause::new("ResourceVersionTooLarge", "", "Too large resource version");
    let mut error = ApiError::plain(504, "Timeout", message).with_causes(&[cause]);
    error.details.insert("retryAfterSeconds".to_owned(), Value::from(1));
    error
}

fn token(revision: u64, last: &ObjectName) -> String {
    let (namespace, name) = (last.namespace.clone(), last.name.clone());
    encoded(&Continuation { revision, namespace, name })
}

fn encoded(continuation: &Continuation) -> String {
    TOKEN.encode(serde_json::to_vec(continuation).unwrap_or_default())
}
