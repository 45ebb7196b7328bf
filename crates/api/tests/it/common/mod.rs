//! The YAML fixtures, and reading any of them through the Rust type of its kind.

use serde::Deserialize as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

const FIXTURES: &[(&str, &str)] = &[
    ("internals.yaml", include_str!("../fixtures/internals.yaml")),
    ("members.yaml", include_str!("../fixtures/members.yaml")),
    ("overrides.yaml", include_str!("../fixtures/overrides.yaml")),
    ("placements.yaml", include_str!("../fixtures/placements.yaml")),
    ("updates.yaml", include_str!("../fixtures/updates.yaml")),
];

/// All objects of the fixtures, each with the file that it is from.
pub(crate) fn fixtures() -> Vec<(&'static str, Value)> {
    FIXTURES
        .iter()
        .flat_map(|(file, text)| documents(text).into_iter().map(move |it| (*file, it)))
        .collect()
}

/// The documents of a YAML text.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    serde_yaml_ng::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).expect("the fixture is YAML"))
        .collect()
}

/// A text such as `ClusterResourcePlacement api-test-fixed`, for messages.
pub(crate) fn name_of(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"]))
}

/// Reads an object into the type of its kind and writes it back.
pub(crate) fn through_its_type(object: &Value) -> Result<Value, serde_json::Error> {
    fn through<K: DeserializeOwned + Serialize>(
        object: &Value,
    ) -> Result<Value, serde_json::Error> {
        serde_json::to_value(serde_json::from_value::<K>(object.clone())?)
    }
    macro_rules! dispatch {
        ($($kind:ident)*) => {
            match object["kind"].as_str().unwrap_or_default() {
                $( stringify!($kind) => through::<api::$kind>(object), )*
                other => panic!("no type for kind {other:?}"),
            }
        };
    }
    dispatch!(
        MemberCluster InternalMemberCluster ClusterResourcePlacement ResourcePlacement
        ClusterResourcePlacementStatus ClusterSchedulingPolicySnapshot SchedulingPolicySnapshot
        ClusterResourceSnapshot ResourceSnapshot ClusterResourceBinding ResourceBinding Work
        AppliedWork ClusterResourceOverride ResourceOverride ClusterResourceOverrideSnapshot
        ResourceOverrideSnapshot ClusterResourceEnvelope ResourceEnvelope
        ClusterStagedUpdateStrategy StagedUpdateStrategy ClusterStagedUpdateRun StagedUpdateRun
        ClusterApprovalRequest ApprovalRequest ClusterResourcePlacementEviction
        ClusterResourcePlacementDisruptionBudget
    )
}

/// What is in the first value and is missing or different in the second, which may hold more.
pub(crate) fn lost(before: &Value, after: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", before, after, &mut found);
    found
}

fn compare(path: &str, before: &Value, after: &Value, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (name, value) in before {
                let path = format!("{path}.{name}");
                match after.get(name) {
                    Some(after) => compare(&path, value, after, found),
                    None => found.push(format!("{path} is gone")),
                }
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (index, (before, after)) in before.iter().zip(after).enumerate() {
                compare(&format!("{path}[{index}]"), before, after, found);
            }
        }
        _ if before == after => {}
        _ => found.push(format!("{path} was {before} and is {after}")),
    }
}
