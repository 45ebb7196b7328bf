//! The scale subresource: a small view of objects that have replicas.

use serde_json::{Value, json};

use super::write::Writer;
use super::{Call, Cluster};
use crate::error::ApiError;
use crate::object::{Meta, at, set_at};
use crate::patch::{PatchKind, patched};
use crate::registry::ScalePaths;
use crate::request::Reply;
use crate::schema::Schema;

impl Cluster {
    pub(super) fn get_scale(&self, call: &Call<'_>) -> Result<Reply, ApiError> {
        let object = self.existing(call)?;
        Ok(Reply::json(200, &scale_of(call.scale_paths()?, &object)))
    }

    pub(super) fn write_scale(&mut self, call: &Call<'_>) -> Result<Reply, ApiError> {
        let paths = call.scale_paths()?.clone();
        let old = self.existing(call)?;
        let scale = scale_of(&paths, &old);
        let body = call.decode_document()?;
        let wanted = if call.request.method == http::Method::PUT {
            body
        } else {
            let kind = PatchKind::of(&call.request.content_type, false)?;
            patched(kind, &scale, &body, Schema::deduced())?
        };
        let replicas = wanted["spec"]["replicas"].as_i64().unwrap_or(0);
        let mut object = old.clone();
        set_at(&mut object, &paths.spec, json!(replicas));
        object.set_meta("resourceVersion", wanted.meta_str("resourceVersion"));
        let updated = self.update_object(call, &old, object, Writer::Update)?;
        Ok(Reply::json(200, &scale_of(&paths, &updated)))
    }
}

impl Call<'_> {
    fn scale_paths(&self) -> Result<&ScalePaths, ApiError> {
        let none = || ApiError::internal("the resource has no scale subresource");
        self.resource.scale.as_ref().ok_or_else(none)
    }
}

fn scale_of(paths: &ScalePaths, object: &Value) -> Value {
    let number = |path: &str| at(object, path).and_then(Value::as_i64).unwrap_or(0);
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        metadata[field] = json!(object.meta_str(field));
    }
    let mut scale = json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": number(&paths.spec)},
        "status": {"replicas": number(&paths.status)},
    });
    let selector = match &paths.selector {
        Some(path) => at(object, path).and_then(Value::as_str).map(str::to_owned),
        None => at(object, "spec.selector.matchLabels").and_then(Value::as_object).map(|labels| {
            let terms = labels.iter().map(|(key, it)| (key, it.as_str().unwrap_or_default()));
            terms.map(|(key, it)| format!("{key}={it}")).collect::<Vec<_>>().join(",")
        }),
    };
    if let Some(selector) = selector {
        scale["status"]["selector"] = json!(selector);
    }
    scale
}
