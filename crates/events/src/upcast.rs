//! Upcasters: how events of earlier schema versions become events of today.
//!
//! An upcaster lifts one type by one version. They are never removed, since the log is kept for
//! ever.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::event::EventCodecError;

/// Lifts the data of `kind` from version `from` to `from + 1`.
struct Upcaster {
    kind: &'static str,
    from: u32,
    lift: fn(Value) -> Value,
}

const UPCASTERS: &[Upcaster] = &[
    Upcaster { kind: "ClusterJoined", from: 1, lift: cluster_joined_2 },
    Upcaster { kind: "PlacementScheduled", from: 1, lift: placement_scheduled_2 },
    Upcaster { kind: "DeliveryFailed", from: 1, lift: without_generations },
    Upcaster { kind: "DeliveryUnavailable", from: 1, lift: without_generations },
    Upcaster { kind: "TargetProgressed", from: 1, lift: without_generations },
];

/// Nobody took clusters over before.
fn cluster_joined_2(mut data: Value) -> Value {
    data["taken_from"] = Value::Null;
    data
}

/// `StaysPlaced` says what it stays in spite of, which was not recorded before.
fn placement_scheduled_2(mut data: Value) -> Value {
    for verdict in data["verdicts"].as_array_mut().into_iter().flatten() {
        if verdict["reason"] == "StaysPlaced" {
            verdict["reason"] = serde_json::json!({ "StaysPlaced": { "despite": null } });
        }
    }
    data
}

/// Failures of objects did not say of which generation of the object they are.
fn without_generations(mut data: Value) -> Value {
    for list in ["failures", "waiting"] {
        for failure in data.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            failure["generation"] = Value::Null;
        }
    }
    data
}

/// Data lifted to the newest version to which the upcasters lead.
pub(crate) struct Upcast {
    pub(crate) version: u32,
    pub(crate) data: Box<RawValue>,
}

/// `None` when there is nothing to lift, which costs no parse.
pub(crate) fn to_current(
    kind: &str,
    version: u32,
    data: &RawValue,
) -> Result<Option<Upcast>, EventCodecError> {
    lift_with(UPCASTERS, kind, version, data)
}

fn lift_with(
    upcasters: &[Upcaster],
    kind: &str,
    version: u32,
    data: &RawValue,
) -> Result<Option<Upcast>, EventCodecError> {
    let next = |version| upcasters.iter().find(|up| up.kind == kind && up.from == version);
    let Some(mut upcaster) = next(version) else { return Ok(None) };
    let data_error =
        |version, source| EventCodecError::Data { kind: kind.to_owned(), version, source };

    let mut version = version;
    let mut value =
        serde_json::from_str(data.get()).map_err(|source| data_error(version, source))?;
    loop {
        value = (upcaster.lift)(value);
        version += 1;
        match next(version) {
            Some(further) => upcaster = further,
            None => break,
        }
    }
    let data =
        serde_json::value::to_raw_value(&value).map_err(|source| data_error(version, source))?;
    Ok(Some(Upcast { version, data }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: &[Upcaster] = &[
        Upcaster { kind: "Renamed", from: 1, lift: |v| serde_json::json!({ "name": v["title"] }) },
        Upcaster {
            kind: "Renamed",
            from: 2,
            lift: |v| serde_json::json!({ "name": v["name"], "size": 0 }),
        },
    ];

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn lifts_through_every_version_in_between() {
        let lifted = lift_with(CHAIN, "Renamed", 1, &raw(r#"{"title":"a"}"#)).unwrap().unwrap();
        assert_eq!(lifted.version, 3);
        assert_eq!(lifted.data.get(), r#"{"name":"a","size":0}"#);
    }

    #[test]
    fn a_verdict_of_the_first_version_stays_for_a_reason_that_nobody_knows() {
        let first = raw(r#"{"verdicts":[{"reason":"Matches"},{"reason":"StaysPlaced"}]}"#);
        let lifted = to_current("PlacementScheduled", 1, &first).unwrap().unwrap();
        assert_eq!(lifted.version, 2);
        let expected =
            r#"{"verdicts":[{"reason":"Matches"},{"reason":{"StaysPlaced":{"despite":null}}}]}"#;
        assert_eq!(lifted.data.get(), expected);
    }

    #[test]
    fn leaves_current_data_alone() {
        assert!(lift_with(CHAIN, "Renamed", 3, &raw("{}")).unwrap().is_none());
        assert!(lift_with(CHAIN, "Other", 1, &raw("{}")).unwrap().is_none());
    }
}
