//! Waiting for one object on a member to become what is needed, on a watch and with a deadline.

use std::time::Duration;

use kube::Api;
use kube::core::DynamicObject;
use kube::runtime::wait::await_condition;
use serde::Serialize;
use serde_json::Value;

use super::PushMember;
use super::discovery::Resource;

/// How long an order waits for a CRD that it brought along to be served. An API server needs some
/// tens of milliseconds; one with several replicas up to five seconds.
pub const CRD_ESTABLISHED_WAIT: Duration = Duration::from_secs(10);

/// Waits until an object, or its absence, satisfies a condition. `None` when it did not within the
/// deadline, or could not be watched.
pub(super) async fn wait_for(
    member: &PushMember,
    resource: &Resource,
    namespace: &str,
    name: &str,
    deadline: Duration,
    is_satisfied: impl Fn(Option<&Value>) -> bool + Send,
) -> Option<Option<Value>> {
    let client = member.requests.client().clone();
    let kind = resource.api_resource();
    let api: Api<DynamicObject> = match namespace {
        "" => Api::all_with(client, &kind),
        namespace => Api::namespaced_with(client, namespace, &kind),
    };
    let satisfied = await_condition(api, name, |object: Option<&DynamicObject>| {
        is_satisfied(object.map(|object| value_of(object, resource)).as_ref())
    });
    match tokio::time::timeout(deadline, satisfied).await {
        Ok(Ok(object)) => Some(object.map(|object| value_of(&object, resource))),
        Ok(Err(_)) | Err(_) => None,
    }
}

/// An object of a watch as plain JSON. Of what kind it is, it does not say when it comes from the
/// list with which the watch begins: API servers leave that out.
pub(super) fn value_of(object: &impl Serialize, resource: &Resource) -> Value {
    let mut value = serde_json::to_value(object).expect("what was read from JSON is JSON");
    value["apiVersion"] = resource.api_version().into();
    value["kind"] = resource.kind.as_str().into();
    value
}
