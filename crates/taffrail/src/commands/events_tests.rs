//! What lists of events look like, and how they are asked for.

use api::http::CloudEvent;
use serde_json::json;

use super::*;

fn event(position: &str, name: &str, subject: &str, data: Value) -> RecordedEvent {
    RecordedEvent {
        position: position.to_owned(),
        event: CloudEvent {
            specversion: "1.0".to_owned(),
            id: "018f0000-0000-7000-8000-000000000000".to_owned(),
            source: "/taffrail".to_owned(),
            event_type: format!("dev.taffrail.{name}"),
            subject: subject.to_owned(),
            time: "2026-01-31T14:03:00.5Z".to_owned(),
            schemaversion: 1,
            sequence: 7,
            aggregatesequence: 3,
            principal: "system".to_owned(),
            commandid: "018f0000-0000-7000-8000-000000000001".to_owned(),
            decisionindex: 0,
            causationid: None,
            correlationid: "018f0000-0000-7000-8000-000000000002".to_owned(),
            traceparent: None,
            data,
        },
    }
}

fn page() -> EventsPage {
    let registered = json!({"uid": "u-1", "labels": {"region": "eu"}, "taints": [],
                            "heartbeat_period_seconds": 60});
    let scheduled = json!({"message": "2 of 3 clusters match the policy", "verdicts": [1, 2, 3]});
    let moved = json!({"moves": [{"cluster": "eu-1"}, {"cluster": "eu-2"}]});
    EventsPage {
        events: vec![
            event("30:1", "ClusterRegistered", "cluster/eu-1", registered),
            event("22:7", "PlacementScheduled", "placement/cluster/web", scheduled),
            event("22:8", "TargetsMoved", "placement/cluster/web", moved),
        ],
        next: Some("22:8".to_owned()),
    }
}

#[test]
fn a_page_is_a_table() {
    insta::assert_snapshot!(text(&page()));
}

#[test]
fn what_is_followed_comes_in_lines() {
    let lines: String = page().events.iter().map(line).collect();
    insta::assert_snapshot!(lines);
}

#[test]
fn an_empty_page_says_so() {
    assert_eq!(text(&EventsPage::default()), "Nothing happened that matches.\n");
}

#[test]
fn names_and_times_become_parameters() {
    let args = Args {
        follow: false,
        event_type: Some("ClusterJoined".to_owned()),
        aggregate: Some("crp/web".to_owned()),
        principal: None,
        correlation: None,
        since: Some("1h".to_owned()),
        until: None,
        limit: 10,
    };
    let query = args.query("2026-01-31T14:03:00Z".parse().unwrap()).unwrap();
    let expected = [
        ("aggregate", "placement/cluster/web"),
        ("type", "ClusterJoined"),
        ("since", "2026-01-31T13:03:00Z"),
    ];
    assert_eq!(query, expected.map(|(name, value)| (name, value.to_owned())));
}

#[test]
fn a_note_is_told_by_its_first_object() {
    let object = json!({"group": "apiextensions.k8s.io", "version": "v1", "namespace": "",
                        "kind": "CustomResourceDefinition", "name": "boats.example.com"});
    let why = json!({"Released": {"why": "there are Boat objects on the member"}});
    let data = json!({"placement": "cluster/web", "generation": 4, "more": 2,
                      "notes": [{"object": object, "note": why}, {"object": {}, "note": "Adopted"}]});
    assert_eq!(
        what(&data),
        "CustomResourceDefinition boats.example.com Released: there are Boat objects on the member \
         (and 3 mor…"
    );
    let map = json!({"kind": "ConfigMap", "namespace": "shop", "name": "a"});
    let data = json!({"notes": [{"object": map, "note": "Adopted"}], "more": 0});
    assert_eq!(what(&data), "ConfigMap shop/a Adopted");
    let job = json!({"kind": "Job", "namespace": "shop", "name": "migrate"});
    let data = json!({"notes": [{"object": job, "note": "Finished"}], "more": 0});
    assert_eq!(
        what(&data),
        "Job shop/migrate is gone, and was finished or may have been: not made again"
    );
}

#[test]
fn of_objects_the_first_is_told() {
    let object = json!({"group": "", "version": "v1", "kind": "ConfigMap", "namespace": "a",
                        "name": "settings"});
    let missing = json!({"object": object, "reason": "R", "message": "it is gone"});
    let data = json!({"placement": "cluster/web", "missing": [missing, missing]});
    assert_eq!(what(&data), "ConfigMap a/settings (and 1 more): it is gone");
}
