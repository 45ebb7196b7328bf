use serde_json::{Value, json};

use super::*;

fn object(kind: &str) -> ObjectId {
    let group = if kind == "Widget" { "example.com" } else { "" };
    ObjectId {
        group: group.to_owned(),
        version: "v1".to_owned(),
        kind: kind.to_owned(),
        namespace: "team".to_owned(),
        name: "x".to_owned(),
    }
}

fn status(value: Value) -> Status {
    serde_json::from_value(value).unwrap()
}

#[test]
fn values_of_secrets_are_withheld() {
    let invalid = status(json!({
        "code": 422, "reason": "Invalid",
        "message": "Secret \"x\" is invalid: data[p]: Invalid value: \"hunter2\": too short",
        "details": { "name": "x", "causes": [{
            "reason": "FieldValueInvalid", "field": "data[p]",
            "message": "Invalid value: \"hunter2\": too short",
        }] },
    }));
    let message = describe(&invalid, &object("Secret"));
    assert!(!message.contains("hunter2"), "{message}");
    assert!(message.contains("data[p]") && message.contains("Invalid"), "{message}");
    assert!(describe(&invalid, &object("ConfigMap")).contains("hunter2"));
}

#[test]
fn a_webhook_that_quotes_a_secret_is_not_quoted() {
    let denied = status(json!({
        "code": 403, "reason": "Forbidden",
        "message": "admission webhook \"x\" denied the request: password is hunter2",
    }));
    assert!(!describe(&denied, &object("Secret")).contains("hunter2"));
}

#[test]
fn the_user_learns_what_is_missing() {
    let no_namespace = status(json!({
        "code": 404, "reason": "NotFound", "message": "namespaces \"team\" not found",
        "details": { "name": "team", "kind": "namespaces" },
    }));
    assert_eq!(
        describe(&no_namespace, &object("ConfigMap")),
        "namespace team does not exist on the member: place it too"
    );
    let no_kind = status(json!({ "code": 404, "reason": "Failed to parse error data",
                                 "message": "404 page not found" }));
    assert!(describe(&no_kind, &object("Widget")).contains("place its CustomResourceDefinition"));
    assert!(!is_object_missing(&no_kind, "x"));
    assert!(!is_object_missing(&no_namespace, "x"));
    let no_object = status(json!({ "code": 404, "reason": "NotFound",
                                   "details": { "name": "x", "kind": "configmaps" } }));
    assert!(is_object_missing(&no_object, "x"));
}

#[test]
fn a_namespace_that_goes_away_is_named() {
    let terminating = status(json!({
        "code": 403, "reason": "Forbidden", "message": "configmaps \"x\" is forbidden: …",
        "details": { "causes": [{ "reason": "NamespaceTerminating", "field": "metadata.namespace",
                                  "message": "namespace team is being terminated" }] },
    }));
    assert_eq!(
        describe(&terminating, &object("ConfigMap")),
        "namespace team is being deleted on the member"
    );
}

#[test]
fn too_large_is_said_so_however_the_server_says_it() {
    for answer in [
        json!({ "code": 413, "reason": "RequestEntityTooLarge", "message": "limit is 3145728" }),
        json!({ "code": 500, "message": "etcdserver: request is too large" }),
        json!({ "code": 413, "message": "Request Entity Too Large" }),
    ] {
        let message = describe(&status(answer), &object("ConfigMap"));
        assert_eq!(message, "it is too large for the member's API server");
    }
}

#[test]
fn messages_are_bounded() {
    let long = failure(&object("ConfigMap"), DUPLICATED, "ä".repeat(MESSAGE_BYTES_MAX));
    assert!(long.message.len() < MESSAGE_BYTES_MAX + 20);
    assert!(long.message.ends_with("… (cut)"));
    let short = failure(&object("ConfigMap"), DUPLICATED, "short");
    assert_eq!(short.message, "short");
}
