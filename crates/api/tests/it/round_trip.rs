//! Reading a user's YAML into the types and writing it back loses nothing, and fills in the
//! defaults of the contract.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::common::{fixtures, lost, name_of, through_its_type};

#[test]
fn nothing_is_lost() {
    for (file, object) in fixtures() {
        let after = through_its_type(&object)
            .unwrap_or_else(|error| panic!("{file}: {}: {error}", name_of(&object)));
        assert_eq!(lost(&object, &after), Vec::<String>::new(), "{file}: {}", name_of(&object));
    }
}

#[test]
fn a_second_trip_changes_nothing() {
    for (file, object) in fixtures() {
        let once = through_its_type(&object).unwrap();
        let twice = through_its_type(&once).unwrap();
        assert_eq!(once, twice, "{file}: {}", name_of(&object));
    }
}

#[test]
fn every_kind_has_a_fixture() {
    let kinds: BTreeSet<_> = api::crds::crds().into_iter().map(|it| it.spec.names.kind).collect();
    let seen: BTreeSet<_> =
        fixtures().iter().map(|(_, it)| it["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(seen, kinds);
}

/// An object that sets each field of its schema, so that no field is missing in the types.
#[test]
fn no_field_of_any_schema_is_lost() {
    for crd in api::crds::crds() {
        let kind = &crd.spec.names.kind;
        let stored = crd.spec.versions.iter().find(|it| it.storage).unwrap();
        let schema = stored.schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
        let mut object = sample(&serde_json::to_value(schema).unwrap());
        object["apiVersion"] = json!(format!("{}/{}", crd.spec.group, stored.name));
        object["kind"] = json!(kind);
        object["metadata"] = json!({ "name": "full" });
        let after = through_its_type(&object).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(object, after, "{kind}: {:?}", lost(&object, &after));
    }
}

/// A value that a schema allows, with every field set to something that is not its default.
fn sample(schema: &Value) -> Value {
    if let Some(values) = schema["enum"].as_array() {
        let default = schema.get("default");
        return values.iter().find(|it| Some(*it) != default).expect("two values").clone();
    }
    match schema["type"].as_str() {
        Some("object") if schema.get("additionalProperties").is_some() => {
            json!({ "key": sample(&schema["additionalProperties"]) })
        }
        Some("object") if schema.get("properties").is_some() => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            fields.map(|(name, field)| (name.clone(), sample(field))).collect()
        }
        Some("object") => json!({ "opaque": [1, null, { "deep": true }] }),
        Some("array") => json!([sample(&schema["items"])]),
        Some("integer") => json!(7),
        Some("boolean") => json!(true),
        Some("string") => match schema["format"].as_str() {
            Some("date-time") => json!("2026-08-01T10:00:00Z"),
            Some("byte") => json!("MDEyMzQ1"),
            _ => json!("text"),
        },
        _ => json!("12%"),
    }
}

#[test]
fn objects_that_bypassed_defaulting_read_as_if_they_had_not() {
    let bare = json!({
        "kind": "ClusterResourcePlacement",
        "metadata": { "name": "bare" },
        "spec": {
            "resourceSelectors": [{ "group": "", "version": "v1", "kind": "Namespace" }],
            "policy": { "tolerations": [{}], "topologySpreadConstraints": [{ "topologyKey": "k" }] },
            "strategy": { "rollingUpdate": {}, "applyStrategy": {}, "deleteStrategy": {} },
        },
    });
    let filled = json!({
        "apiVersion": "placement.kubernetes-fleet.io/v1beta1",
        "kind": "ClusterResourcePlacement",
        "metadata": { "name": "bare" },
        "spec": {
            "resourceSelectors": [{
                "group": "", "version": "v1", "kind": "Namespace",
                "selectionScope": "NamespaceWithResources",
            }],
            "policy": {
                "placementType": "PickAll",
                "tolerations": [{ "operator": "Equal" }],
                "topologySpreadConstraints": [
                    { "topologyKey": "k", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule" },
                ],
            },
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {
                    "maxSurge": "25%", "maxUnavailable": "25%", "unavailablePeriodSeconds": 60,
                },
                "applyStrategy": {
                    "type": "ClientSideApply", "comparisonOption": "PartialComparison",
                    "whenToApply": "Always", "whenToTakeOver": "Always",
                },
                "deleteStrategy": { "propagationPolicy": "Delete" },
            },
            "revisionHistoryLimit": 10,
            "statusReportingScope": "ClusterScopeOnly",
        },
    });
    assert_eq!(through_its_type(&bare).unwrap(), filled);
}

#[test]
fn absent_parts_have_accessors_with_the_same_defaults() {
    let spec = api::placement::PlacementSpec::default();
    assert_eq!(spec.revision_history_limit, 10);
    assert_eq!(spec.policy(), serde_json::from_value(json!({})).unwrap());
    let strategy = spec.strategy();
    assert_eq!(strategy, serde_json::from_value(json!({})).unwrap());
    assert_eq!(strategy.rolling_update(), serde_json::from_value(json!({})).unwrap());
    assert_eq!(strategy.apply_strategy(), serde_json::from_value(json!({})).unwrap());
    assert_eq!(strategy.report_back_strategy(), serde_json::from_value(json!({})).unwrap());
}

#[test]
fn a_null_in_an_override_is_a_value() {
    let read = |text: Value| {
        serde_json::from_value::<api::overrides::JsonPatchOverride>(text).unwrap().value
    };
    assert_eq!(read(json!({ "op": "add", "path": "/a", "value": null })), Some(Value::Null));
    assert_eq!(read(json!({ "op": "remove", "path": "/a" })), None);
}

#[test]
fn quantities_may_be_bare_numbers() {
    let usage = json!({ "capacity": { "cpu": 4, "memory": 17_179_869_184_u64 } });
    let usage: api::member_cluster::ResourceUsage = serde_json::from_value(usage).unwrap();
    assert_eq!(usage.capacity["cpu"].0, "4");
    assert_eq!(usage.capacity["memory"].0, "17179869184");
}

#[test]
fn waiting_times_are_durations_as_go_writes_them() {
    use api::staged::{StageTask, StageTaskType};
    let task = |text: &str| StageTask {
        task_type: StageTaskType::TimedWait,
        wait_time: Some(text.to_owned()),
    };
    let minutes = |text| task(text).wait_time().map(|it| it.as_secs() / 60);
    assert_eq!(minutes("1h30m"), Some(90));
    assert_eq!(minutes("1h30m0s"), Some(90));
    assert_eq!(minutes("0.5h"), Some(30));
    assert_eq!(minutes("-5m"), None);
    assert_eq!(minutes("soon"), None);
}
