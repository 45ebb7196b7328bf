//! Writing to MemberCluster objects.

use std::time::Duration;

use api::MemberCluster;
use kube::api::Patch;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::placements::patch_params;
use crate::work_queue::Next;

/// How long to wait after something did not work.
const RETRY: Duration = Duration::from_secs(1);

/// How long to wait for the newer version of an object that somebody else wrote in between.
const NEWER_VERSION: Duration = Duration::from_millis(50);

/// Writes metadata, unless somebody else wrote to the object meanwhile.
pub(super) async fn write_metadata(
    client: &Client,
    object: &MemberCluster,
    mut metadata: Value,
) -> Next {
    metadata["resourceVersion"] = json!(object.resource_version());
    let patch = Patch::Merge(json!({ "metadata": metadata }));
    let api: Api<MemberCluster> = Api::all(client.clone());
    written(object, api.patch_metadata(&object.name_any(), &patch_params(), &patch).await)
}

/// Writes a status.
pub(super) async fn write_status(client: &Client, object: &MemberCluster, patch: &Value) -> Next {
    let patch = Patch::Merge(json!({ "status": patch }));
    let api: Api<MemberCluster> = Api::all(client.clone());
    written(object, api.patch_status(&object.name_any(), &patch_params(), &patch).await)
}

fn written<T>(object: &MemberCluster, outcome: Result<T, kube::Error>) -> Next {
    match outcome {
        Ok(_) => Next::Wait,
        Err(kube::Error::Api(status)) if status.code == 404 => Next::Wait,
        Err(kube::Error::Api(status)) if status.code == 409 => Next::After(NEWER_VERSION),
        Err(error) => {
            let cluster = object.name_any();
            tracing::warn!(%cluster, %error, "the MemberCluster is written later");
            Next::After(RETRY)
        }
    }
}

/// What has to be merged into what is shown so that it becomes what is wanted: absent fields are
/// written as null, so that what is no longer true goes away. Lists are replaced whole.
pub(super) fn merge_patch(shown: &Value, wanted: &Value) -> Value {
    let (Value::Object(shown), Value::Object(wanted)) = (shown, wanted) else {
        return wanted.clone();
    };
    let gone = shown.keys().filter(|key| !wanted.contains_key(*key));
    let gone = gone.map(|key| (key.clone(), Value::Null));
    let kept = wanted.iter().map(|(key, value)| {
        (key.clone(), merge_patch(shown.get(key).unwrap_or(&Value::Null), value))
    });
    Value::Object(kept.chain(gone).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regression_what_is_absent_is_written_as_null() {
        let shown = json!({
            "properties": { "a": { "value": "1" }, "b": { "value": "2" } },
            "resourceUsage": { "capacity": { "cpu": "4" }, "available": { "cpu": "1" } },
            "conditions": [{ "type": "Joined" }, { "type": "Healthy" }],
        });
        let wanted = json!({
            "properties": { "b": { "value": "3" } },
            "resourceUsage": { "capacity": { "cpu": "4" } },
            "conditions": [{ "type": "Joined" }],
        });
        let mut patch = wanted.clone();
        patch["properties"]["a"] = Value::Null;
        patch["resourceUsage"]["available"] = Value::Null;
        assert_eq!(merge_patch(&shown, &wanted), patch);
        assert_eq!(merge_patch(&Value::Null, &wanted), wanted);
    }
}
