//! Ownership told as stories: who applies what, and what is left.

use serde_json::{Value, json};

use super::*;
use crate::builtin::type_named;

fn applier(name: &str) -> Manager {
    Manager {
        name: name.to_owned(),
        operation: Operation::Apply,
        api_version: "v1".to_owned(),
        subresource: String::new(),
        time: String::new(),
        carries_metadata: false,
    }
}

fn pod(containers: Value) -> Value {
    json!({"metadata": {"name": "p"}, "spec": {"containers": containers}})
}

fn applied(live: &Value, name: &str, config: &Value) -> Value {
    let schema = type_named("io.k8s.api.core.v1.Pod");
    apply(live, config, schema, &applier(name), false).unwrap()
}

fn containers(object: &Value) -> Vec<&str> {
    let list = object["spec"]["containers"].as_array().into_iter().flatten();
    list.filter_map(|it| it["name"].as_str()).collect()
}

#[test]
fn list_items_belong_to_those_who_apply_them() {
    let one = applied(&json!({}), "one", &pod(json!([{"name": "a", "image": "a:1"}])));
    let two = applied(&one, "two", &pod(json!([{"name": "b", "image": "b:1"}])));
    assert_eq!(containers(&two), ["a", "b"]);
    let less = applied(&two, "one", &pod(json!([])));
    assert_eq!(containers(&less), ["b"]);
    assert_eq!(ManagedFields::of(&less).others(&applier("two")).count(), 0);
}

#[test]
fn a_field_that_two_apply_stays_until_both_let_go() {
    let config = pod(json!([{"name": "a", "image": "a:1"}]));
    let both = applied(&applied(&json!({}), "one", &config), "two", &config);
    let bare = json!({"metadata": {"name": "p"}});
    let once = applied(&both, "one", &bare);
    assert_eq!(containers(&once), ["a"]);
    let never = applied(&once, "two", &bare);
    assert!(containers(&never).is_empty());
    assert!(never.get("spec").is_none(), "{never}");
}

#[test]
fn an_update_takes_ownership_of_what_it_changes() {
    let schema = type_named("io.k8s.api.core.v1.Pod");
    let live = applied(&json!({}), "one", &pod(json!([{"name": "a", "image": "a:1"}])));
    let mut edited = live.clone();
    edited["spec"]["containers"][0]["image"] = json!("a:2");
    let editor = applier("editor").as_update();
    let edited = record_update(Some(&live), edited, schema, &editor);
    let config = pod(json!([{"name": "a", "image": "a:1"}]));
    let error = apply(&edited, &config, schema, &applier("one"), false).unwrap_err();
    let message = "Apply failed with 1 conflict: conflict with \"editor\" using v1: \
                   .spec.containers[name=\"a\"].image";
    assert_eq!(error.message, message);
    let forced = apply(&edited, &config, schema, &applier("one"), true).unwrap();
    assert_eq!(forced["spec"]["containers"][0]["image"], "a:1");
}

#[test]
fn applying_the_same_again_changes_nothing() {
    let config = pod(json!([{"name": "a", "image": "a:1",
        "ports": [{"containerPort": 80}], "env": [{"name": "X", "value": "1"}]}]));
    let once = applied(&json!({}), "one", &config);
    assert_eq!(applied(&once, "one", &config), once);
}

#[test]
fn items_keep_the_order_of_the_configuration() {
    let live = applied(&json!({}), "one", &pod(json!([{"name": "a"}, {"name": "b"}])));
    let more = applied(&live, "two", &pod(json!([{"name": "c"}])));
    let sorted = applied(&more, "one", &pod(json!([{"name": "b"}, {"name": "a"}])));
    assert_eq!(containers(&sorted), ["b", "a", "c"]);
}
