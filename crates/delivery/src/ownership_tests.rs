use serde_json::json;

use super::*;

fn work(name: &str, uid: &str) -> WorkRef {
    WorkRef { name: name.to_owned(), uid: uid.to_owned() }
}

fn owned_by(references: &[Value]) -> Value {
    json!({ "metadata": { "name": "x", "ownerReferences": references } })
}

fn controller() -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d" })
}

fn standing_of(object: &Value, existing: &[WorkRef], allow_co_ownership: bool) -> Standing {
    let existing = existing.iter().cloned().collect();
    standing(&Owners::of(object), &work("mine", "1"), &existing, allow_co_ownership)
}

#[track_caller]
fn refuses(standing: &Standing, part_of_message: &str) {
    match standing {
        Standing::Refused(message) => assert!(message.contains(part_of_message), "{message}"),
        Standing::Ours | Standing::TakeOver => panic!("{standing:?}"),
    }
}

#[test]
fn an_object_of_nobody_is_taken_over() {
    assert_eq!(standing_of(&json!({ "metadata": {} }), &[], false), Standing::TakeOver);
}

#[test]
fn ours_is_ours_by_uid() {
    let ours = owned_by(&[work("mine", "1").owner_reference()]);
    assert_eq!(standing_of(&ours, &[], false), Standing::Ours);
    let namesake = owned_by(&[work("mine", "0").owner_reference()]);
    assert_eq!(standing_of(&namesake, &[], false), Standing::TakeOver);
}

#[test]
fn two_placements_never_share() {
    let theirs = owned_by(&[work("theirs", "2").owner_reference()]);
    refuses(&standing_of(&theirs, &[work("theirs", "2")], true), "theirs");
    let both =
        owned_by(&[work("mine", "1").owner_reference(), work("theirs", "2").owner_reference()]);
    refuses(&standing_of(&both, &[work("theirs", "2")], true), "theirs");
}

#[test]
fn a_work_that_does_not_exist_owns_nothing() {
    let dangling = work("gone", "2");
    let object = owned_by(&[dangling.owner_reference(), controller()]);
    assert_eq!(standing_of(&object, &[], true), Standing::TakeOver);
    assert_eq!(
        owner_references_without(&object, &BTreeSet::from([dangling.clone()])),
        Some(json!([controller()]))
    );
    let clean = owned_by(&[controller()]);
    assert_eq!(owner_references_without(&clean, &BTreeSet::from([dangling])), None);
}

#[test]
fn other_owners_need_leave() {
    let object = owned_by(&[controller()]);
    refuses(&standing_of(&object, &[], false), "Deployment web");
    assert_eq!(standing_of(&object, &[], true), Standing::TakeOver);
}

#[test]
fn a_kind_of_another_group_is_no_work() {
    let other = json!({ "apiVersion": "example.com/v1", "kind": "AppliedWork", "name": "mine",
                        "uid": "1" });
    refuses(&standing_of(&owned_by(&[other]), &[], false), "AppliedWork mine");
}

#[test]
fn only_what_is_ours_is_deleted() {
    let ours = owned_by(&[work("mine", "1").owner_reference()]);
    let theirs = owned_by(&[work("theirs", "2").owner_reference()]);
    let old = owned_by(&[work("mine", "0").owner_reference()]);
    assert_eq!(removal(&ours, "mine", Some("1")), Removal::Ours);
    assert_eq!(removal(&theirs, "mine", Some("1")), Removal::NotOurs);
    assert_eq!(removal(&json!({ "metadata": {} }), "mine", Some("1")), Removal::NotOurs);
    assert_eq!(removal(&old, "mine", Some("1")), Removal::NotOurs, "of an earlier namesake");
    assert_eq!(removal(&old, "mine", None), Removal::Ours, "its work is gone altogether");
    assert_eq!(removal(&theirs, "mine", None), Removal::NotOurs);
}

#[test]
fn what_others_own_too_is_released() {
    let shared = owned_by(&[work("mine", "1").owner_reference(), controller()]);
    assert_eq!(removal(&shared, "mine", Some("1")), Removal::Shared);
    let patch = letting_go(&shared, "mine", Some("1"), None);
    assert_eq!(patch["metadata"]["ownerReferences"], json!([controller()]));
}

#[test]
fn what_is_let_go_bears_no_mark_of_ours() {
    let mut object = owned_by(&[work("mine", "1").owner_reference()]);
    object["metadata"]["resourceVersion"] = json!("7");
    let patch = letting_go(&object, "mine", Some("1"), None);
    assert_eq!(
        patch["metadata"],
        json!({
            "resourceVersion": "7", "ownerReferences": null,
            "labels": { MANAGED_BY_LABEL: null },
            "annotations": {
                SPEC_HASH: null, ADOPTED_ANNOTATION: null, HANDED_OVER_ANNOTATION: null,
            },
        })
    );
    let patch = letting_go(&object, "mine", None, Some("theirs"));
    assert_eq!(patch["metadata"]["annotations"][HANDED_OVER_ANNOTATION], "theirs");
}

#[test]
fn what_was_handed_over_is_ours_before_it_is_taken_over() {
    let handed = json!({ "metadata": { "annotations": { HANDED_OVER_ANNOTATION: "mine" } } });
    assert_eq!(removal(&handed, "mine", Some("1")), Removal::Ours);
    assert_eq!(removal(&handed, "theirs", Some("2")), Removal::NotOurs);
    let mut taken = owned_by(&[controller()]);
    taken["metadata"]["annotations"] = json!({ HANDED_OVER_ANNOTATION: "mine" });
    assert_eq!(removal(&taken, "mine", Some("1")), Removal::NotOurs, "somebody owns it by now");
}

#[test]
fn what_others_made_is_adopted() {
    let ours = work("mine", "1");
    assert!(is_adoption(&json!({ "metadata": {} }), &ours, false));
    assert!(is_adoption(&owned_by(&[controller()]), &ours, false));
    assert!(is_adoption(&owned_by(&[work("theirs", "2").owner_reference()]), &ours, false));
}

#[test]
fn what_was_ours_in_a_former_life_is_not_adopted() {
    let ours = work("mine", "1");
    let former = owned_by(&[work("mine", "0").owner_reference()]);
    assert!(!is_adoption(&former, &ours, false), "a work of the same name");
    assert!(!is_adoption(&owned_by(&[work("old", "2").owner_reference()]), &ours, true));
    let handed = json!({ "metadata": { "annotations": { HANDED_OVER_ANNOTATION: "mine" } } });
    assert!(!is_adoption(&handed, &ours, false));
    let mut adopted = former;
    adopted["metadata"]["annotations"] = json!({ ADOPTED_ANNOTATION: "mine" });
    assert!(is_adoption(&adopted, &ours, true), "once adopted, always adopted");
}

#[test]
fn what_is_being_deleted_is_not_deleted_again() {
    let mut object = owned_by(&[work("mine", "1").owner_reference()]);
    object["metadata"]["deletionTimestamp"] = json!("2026-08-01T00:00:00Z");
    assert_eq!(removal(&object, "mine", Some("1")), Removal::Deleting);
}
