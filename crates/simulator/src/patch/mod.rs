//! The patch formats other than server-side apply.

mod strategic;

use serde_json::Value;

use crate::error::ApiError;
use crate::schema::Schema;
pub(crate) use strategic::strategic_merge;

/// How the body of a PATCH is to be read, by its content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchKind {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl PatchKind {
    pub(crate) fn of(content_type: &str, custom: bool) -> Result<Self, ApiError> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        match essence {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" if !custom => Ok(Self::Strategic),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            _ if custom => Err(ApiError::unsupported_media_type(accepted(custom))),
            _ => Err(ApiError::unsupported_media_type(accepted(custom)).with_details()),
        }
    }
}

fn accepted(custom: bool) -> &'static str {
    if custom {
        "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    } else {
        "application/json-patch+json, application/merge-patch+json, \
         application/strategic-merge-patch+json, application/apply-patch+yaml"
    }
}

/// RFC 6902. A failing `test` or a missing path is the fault of the patch: 422.
pub(crate) fn json_patch(target: &Value, patch: &Value) -> Result<Value, ApiError> {
    if !patch.is_array() {
        return Err(ApiError::bad_request("error decoding patch: a JSON patch is a list"));
    }
    let unprocessable = |error: String| {
        let message =
            format!("the server rejected our request due to an error in our request: {error}");
        ApiError::plain(422, "Invalid", message).with_details()
    };
    let patch: json_patch::Patch =
        serde_json::from_value(patch.clone()).map_err(|error| unprocessable(error.to_string()))?;
    let mut patched = target.clone();
    json_patch::patch(&mut patched, &patch).map_err(|error| unprocessable(error.to_string()))?;
    Ok(patched)
}

/// RFC 7396.
pub(crate) fn merge_patch(target: &Value, patch: &Value) -> Value {
    let mut patched = target.clone();
    json_patch::merge(&mut patched, patch);
    patched
}

/// Applies a patch that is not server-side apply.
pub(crate) fn patched(
    kind: PatchKind,
    target: &Value,
    patch: &Value,
    schema: &Schema,
) -> Result<Value, ApiError> {
    match kind {
        PatchKind::Json => json_patch(target, patch),
        PatchKind::Strategic => strategic_merge(target, patch, schema),
        PatchKind::Merge if !patch.is_object() => {
            Err(ApiError::bad_request("error decoding patch: a merge patch is an object"))
        }
        PatchKind::Merge | PatchKind::Apply => Ok(merge_patch(target, patch)),
    }
}
